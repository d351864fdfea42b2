"""Microsoft's refusals as one sentence and a remedy each: Entra's AADSTS codes, Graph's and Exchange's statuses.

Owns: the tables. Microsoft says never to branch on AADSTS numbers ("Microsoft Entra authentication and authorization
error codes"); they choose help text here and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, ProvisionError, SignInFailed, Unreachable
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, tls_context, unreachable

_AADSTS = re.compile(r"AADSTS(\d+)")
_SIGN_IN_AGAIN = "Sign in again: az login --tenant {tenant}, or take another --credential."

AADSTS: dict[str, tuple[str, str]] = {
    "50020": ("the account is not in this tenant", "Sign in with an account of the tenant, or name the right tenant."),
    "50034": ("the account is not in this tenant", "Sign in with an account of the tenant, or name the right tenant."),
    "50053": ("the account is locked, or the address is blocked", "Wait, or unblock it; the sign-in log tells which."),
    "50057": ("the account is disabled", "Enable it, or use another."),
    "50076": ("multifactor authentication is required", _SIGN_IN_AGAIN),
    "50078": ("multifactor authentication has expired", _SIGN_IN_AGAIN),
    "50079": ("the account must first register for multifactor authentication", "Register at aka.ms/mfasetup."),
    "50105": ("the account is not assigned to the application", "Assign it, or turn off assignment-required."),
    "50126": ("user name or password is wrong", "Correct it."),
    "50132": ("the sign-in is no longer valid", _SIGN_IN_AGAIN),
    "50173": ("the sign-in was revoked", _SIGN_IN_AGAIN),
    "50194": ("the application is single-tenant and /common was called", "Name the tenant."),
    "53000": ("Conditional Access wants a compliant device", "Use one, or another sign-in method."),
    "53003": ("Conditional Access blocks it", "Ask the tenant's administrator which policy does."),
    "530035": ("security defaults block this way to sign in", "Use --credential browser instead of a device code."),
    "65001": ("consent for the application is missing", "Give admin consent to the application that signs in."),
    "65004": ("consent was declined", "Run again and accept."),
    "70008": ("the sign-in has expired", _SIGN_IN_AGAIN),
    "70016": ("the sign-in page was not finished", "Finish it in the browser in time."),
    "70020": ("the device code has expired", "Run again and enter the new code in time."),
    "70021": (
        "no federated credential fits the token's issuer, subject and audience",
        "Compare the subject with the application's federated credential, letter by letter.",
    ),
    "700016": ("there is no such application in the tenant", "Check the client id{application} and the tenant."),
    "700024": ("the federated token has expired or is not yet valid", "Check the clock; ask for a fresh token."),
    "700027": ("the certificate{kept} is not the application's", "Upload its public part to the application."),
    "700082": ("the sign-in has expired from disuse", _SIGN_IN_AGAIN),
    "700213": (
        "no federated credential fits the token's subject",
        "Compare the subject with the application's federated credential, letter by letter.",
    ),
    "7002138": (
        "the token's subject differs from the federated credential's in letter case",
        "Correct the subject of the application's federated credential.",
    ),
    "7000112": ("the application is disabled in the tenant", "Enable it under Enterprise applications."),
    "7000215": (
        "the client secret{kept} is wrong",
        "Use the secret's Value; its Secret ID is something else. A new one needs a minute.",
    ),
    "7000218": ("the application wants a secret or a certificate", "Give it one (docs/credentials.md)."),
    "7000222": (
        "the client secret{kept} has expired",
        "Make a new one under Certificates & secrets, and use its Value.",
    ),
    "7000229": (
        "the application has no service principal in the tenant",
        "An administrator of that tenant consents to the application (a partner's: docs/fleet-credentials.md).",
    ),
    "90002": ("there is no such tenant", "Check the tenant's id or domain, and the cloud (azuread:environment)."),
    "900021": ("the tenant's id is not one", "Check azuread:tenantId."),
    "900023": ("the tenant's name is not one", "Check azuread:tenantId."),
    "90094": ("an administrator must consent first", "Ask an administrator to consent to the application."),
    "90095": ("an administrator must consent first", "Ask an administrator to consent to the application."),
}
"""What an Entra error code means and what to do (source as above). ``{kept}`` says where the secret or certificate is,
``{application}`` and ``{tenant}`` which they are."""


def sign_in_failed(
    error: BaseException, endpoints: Endpoints, *, setting: CredentialSetting | None = None
) -> ProvisionError:
    """The sentence for a sign-in that failed.

    Args:
        error: what azure-identity raised.
        endpoints: the cloud.
        setting: how it was tried, for the message.

    Returns:
        SignInFailed, or Unreachable when Entra did not answer at all.
    """
    from azure.core.exceptions import ServiceRequestError, ServiceResponseError

    broken = ServiceRequestError | ServiceResponseError
    for one in (error, error.__cause__):  # azure-identity wraps a connection that broke as a refusal
        if isinstance(one, broken):
            return unreachable(endpoints.login, one, ca_file=endpoints.ca_file)
    text, tenant = str(error), setting.tenant_id if setting else None
    if _is_weather(text, endpoints, tenant):
        return Throttled(
            f"Microsoft Entra is overloaded: it did not answer the sign-in{f' to tenant {tenant}' if tenant else ''}.",
            remedy="Run again in a few minutes; nothing is lost.",
        )
    where = f" to tenant {tenant}" if tenant else ""
    if found := _AADSTS.search(text):
        code = found.group(1)
        meaning, remedy = AADSTS.get(code, ("Microsoft Entra refuses it", f"See {endpoints.login}/error?code={code}."))
        words = {
            "tenant": tenant or "TENANT",
            "application": f" {setting.client_id}" if setting and setting.client_id else "",
            "kept": f" in {setting.kept_in}" if setting and setting.kept_in else "",
        }
        return SignInFailed(
            f"Signing in{where} failed: {meaning.format(**words)} (AADSTS{code}).", remedy=remedy.format(**words)
        )
    for needle, meaning, remedy in _WITHOUT_CODE:
        if needle in text:
            return SignInFailed(f"Signing in{where} failed: {meaning}.", remedy=remedy)
    if any(needle in text for needle in ("CERTIFICATE_VERIFY_FAILED", "Connection refused", "Max retries exceeded")):
        return unreachable(endpoints.login, error, ca_file=endpoints.ca_file)
    return SignInFailed(f"Signing in{where} failed.", remedy="Check the credential's settings (docs/credentials.md).")


_TRANSIENT = frozenset({"90033", "90055"})
"""AADSTS codes that pass: a service is away for a moment, too many requests at the tenant (the same page)."""
_OVERLOADED = re.compile(r"HTTP Error: (?:429|5\d\d)\b")
"""What MSAL says of an answer without a body that it can read (``msal/oauth2cli/oauth2.py``)."""
_NO_DISCOVERY = "Unable to get authority configuration"
"""What MSAL says when a tenant's published configuration could not be read, be it absent or for the moment
(``msal/authority.py``)."""


def _is_weather(text: str, endpoints: Endpoints, tenant: str | None) -> bool:
    """Whether a sign-in failed for the moment, not for good."""
    if _OVERLOADED.search(text) or any(code in _TRANSIENT for code in _AADSTS.findall(text)):
        return True
    return tenant is not None and _NO_DISCOVERY in text and not _is_no_tenant(endpoints, tenant)


def _is_no_tenant(endpoints: Endpoints, tenant: str) -> bool:
    """Whether Entra says that there is no such tenant (400, "invalid_tenant", AADSTS90002)."""
    import httpx

    address = f"{endpoints.login}/{quote(tenant, safe='')}/v2.0/.well-known/openid-configuration"
    try:
        return httpx.get(address, verify=tls_context(endpoints.ca_file), timeout=10.0).status_code in (400, 404)
    except httpx.HTTPError:
        return False


_WITHOUT_CODE = (
    ("Azure CLI not found", "the Azure CLI is not installed", "Install it, or take another --credential."),
    ("az login", "the Azure CLI is not signed in", "Run az login, or take another --credential."),
    ("az' to", "the Azure CLI could not be run", "Run az account show to see why."),
    (
        "not configured to acquire tokens for tenant",
        "what it is for belongs to another tenant",
        "Sign in to the tenant that it belongs to.",
    ),
    ("invalid_tenant", "there is no such tenant", "Check azuread:tenantId."),
    ("Unable to get authority configuration", "there is no such tenant", "Check the tenant's id or domain."),
    ("IMDS", "this machine has no managed identity", "Assign one, or take another --credential."),
    ("managed identity", "this machine has no managed identity", "Assign one, or take another --credential."),
    ("invalid password", "the certificate's password is wrong", "Set ARM_CLIENT_CERTIFICATE_PASSWORD."),
    ("Failed to deserialize certificate", "the certificate cannot be read", "Check the file and its password."),
)


@dataclass(frozen=True)
class GraphRefusal:
    """Graph's error answer: the HTTP status, ``error.code`` and ``error.message``."""

    status: int
    code: str
    message: str


class Throttled(Unreachable):
    """Microsoft asks for fewer requests (HTTP 429), and still does after as many repeats as were worth it."""


_POLICY_CODES = ("CredentialTypeNotAllowedAsPerAppPolicy", "CredentialInvalidLifetimeAsPerAppPolicy")


def graph_refused(refusal: GraphRefusal, doing: str, needs: str) -> ProvisionError:
    """The sentence for a refused Graph request.

    Args:
        refusal: Graph's answer.
        doing: what was tried, as in "read the application".
        needs: the permission that it takes, for a 403.
    """
    said = f"{refusal.code}: {refusal.message}".strip(": ")
    if any(code in said for code in _POLICY_CODES):
        return PolicyRefuses(
            f"The tenant's app management policy refuses to {doing} ({said}).",
            remedy="Ask for a shorter lifetime (secretMonths), or an exemption from the policy.",
        )
    if refusal.status == 401:
        return SignInFailed(
            f"Microsoft Graph does not accept the sign-in ({said}).", remedy=_SIGN_IN_AGAIN.format(tenant="TENANT")
        )
    if refusal.status == 403:
        return NotPermitted(
            f"Microsoft Graph refuses to {doing} ({said}).",
            remedy=f"It takes {needs}." if needs else "Ask for a role that may.",
        )
    if refusal.status == 429 or refusal.status >= 500:
        return (Throttled if refusal.status == 429 else Unreachable)(
            f"Microsoft Graph is overloaded: HTTP {refusal.status} to the request to {doing}, after retries.",
            remedy="Run again in a few minutes; nothing is lost.",
        )
    if refusal.status in (400, 404, 409):
        return InvalidInput(f"Microsoft Graph refuses to {doing} ({said}).", remedy="Check the values named there.")
    return ProvisionError(f"Microsoft Graph answers HTTP {refusal.status} to the request to {doing} ({said}).")


@dataclass(frozen=True)
class ExchangeRefusal:
    """Exchange Online's answer to a cmdlet that it did not run, or that failed."""

    status: int
    """The HTTP status; cmdlets that fail come as 400 or 404, too."""
    kind: str
    """The exception's class without its namespace, such as ``ManagementObjectNotFoundException``; may be empty."""
    message: str
    """What the cmdlet says; empty for a bare status."""

    @property
    def is_absent(self) -> bool:
        """Whether what the cmdlet names is not there."""
        return "ObjectNotFound" in self.kind or (self.status == 404 and not self.kind)


EXCHANGE_ROLES = (
    "It takes the application permission Exchange.ManageAsApp (Office 365 Exchange Online) with admin consent, and for "
    "its service principal the directory role Exchange Administrator{}. A role that was given needs up to 15 minutes."
)
"""What an application needs ("App-only authentication for unattended scripts in Exchange Online PowerShell"); the place
holds the lesser role, where that is enough.
"""
RECIPIENTS_TOO = " or, for mailboxes alone, Exchange Recipient Administrator"


def exchange_refused(refusal: ExchangeRefusal, doing: str, *, recipients: bool) -> ProvisionError:
    """The sentence for a cmdlet that Exchange Online refused.

    Args:
        refusal: Exchange's answer.
        doing: what was tried, as in "read the mailboxes".
        recipients: whether it is about recipients alone, for which the lesser role is enough.
    """
    said = f" ({refusal.message})" if refusal.message else f" (HTTP {refusal.status}, no reason given)"
    if refusal.status == 401:
        return SignInFailed(
            f"Exchange Online does not accept the sign-in to {doing}.", remedy=_SIGN_IN_AGAIN.format(tenant="TENANT")
        )
    if refusal.status == 403:
        return NotPermitted(
            f"Exchange Online refuses to {doing}{said}.",
            remedy=EXCHANGE_ROLES.format(RECIPIENTS_TOO if recipients else ""),
        )
    if refusal.status == 429 or refusal.status >= 500:
        return (Throttled if refusal.status == 429 else Unreachable)(
            f"Exchange Online is overloaded: HTTP {refusal.status} to the request to {doing}, after retries.",
            remedy="Run again in a few minutes; what is done is recorded.",
        )
    if refusal.status in (400, 404):
        return InvalidInput(f"Exchange Online refuses to {doing}{said}.", remedy="Check the values named there.")
    return ProvisionError(f"Exchange Online answers HTTP {refusal.status} to the request to {doing}{said}.")
