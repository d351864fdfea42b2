"""Tokens, by every method of ``settings.credential``, through azure-identity.

Owns: which azure-identity credential serves a method, caching, and sentences for failures. The azuread plugin signs in
by itself with the same settings (``settings.plugin``), or asks ``microsoft.az_bridge``.

An authority that MSAL does not know needs ``disable_instance_discovery`` (azure-identity's troubleshooting guide).
``connection_verify`` goes with each request, so an exported ``REQUESTS_CA_BUNDLE`` does not win over it.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from provision.errors import ProvisionError, SignInFailed
from provision.microsoft.refusals import AADSTS, sign_in_failed
from provision.microsoft.tokens import Caller, caller_of
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, tls_context, unreachable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

for _name in ("azure", "msal"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
"""Without a handler Python writes their warnings to standard error; a failed sign-in is one sentence, not a dump."""

Prompt = Callable[[str], None]
"""Shows one line to the person who signs in."""

_EXPIRY_MARGIN = 300
"""Seconds before its end at which a token is no longer handed out (azure-identity's own margin)."""
_AZURE_CLI_TIMEOUT = 60
"""Seconds; azure-identity's default of 10 is too short for the Azure CLI's first run on a small machine."""


class Credential:
    """A ``TokenCredential`` that keeps tokens in memory and says failures in one sentence.

    azure-identity's Azure CLI credential caches nothing: without this, every Graph request would start ``az``.
    """

    def __init__(self, inner: TokenCredential, endpoints: Endpoints, setting: CredentialSetting | None) -> None:
        self._inner = inner
        self._endpoints = endpoints
        self._setting = setting
        self._tokens: dict[tuple[str, ...], AccessToken] = {}
        self._lock = threading.Lock()

    def get_token(self, *scopes: str, claims: str | None = None, **options: Any) -> AccessToken:
        """A token for the scopes.

        Raises:
            SignInFailed: Entra refuses.
            Unreachable: Entra does not answer, or its certificate is not trusted.
        """
        with self._lock:
            kept = self._tokens.get(scopes)
            if kept is not None and claims is None and kept.expires_on - _EXPIRY_MARGIN > time.time():
                return kept
            token = self._ask(scopes, claims, options)
            self._tokens[scopes] = token
            return token

    def _ask(self, scopes: tuple[str, ...], claims: str | None, options: dict[str, Any]) -> AccessToken:
        from azure.core.exceptions import AzureError

        if claims is not None:
            options["claims"] = claims
        try:
            return self._inner.get_token(*scopes, **options)
        except ProvisionError:
            raise
        except (AzureError, ValueError, OSError) as error:
            raise sign_in_failed(error, self._endpoints, setting=self._setting) from None

    def forget(self) -> None:
        """Drops the kept tokens, for example after new permissions were granted."""
        with self._lock:
            self._tokens.clear()

    def close(self) -> None:
        """Closes the connections underneath."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()


def credential_for(setting: CredentialSetting, endpoints: Endpoints, *, prompt: Prompt | None = None) -> Credential:
    """The credential that a setting asks for. Nothing is sent yet.

    Args:
        setting: how to sign in.
        endpoints: the cloud.
        prompt: shows the device code's line; standard error without it.

    Raises:
        SignInFailed: the certificate cannot be read.
    """
    options: dict[str, Any] = {
        "authority": endpoints.login,
        "disable_instance_discovery": endpoints.is_custom,
    }
    if endpoints.ca_file:
        options["connection_verify"] = endpoints.ca_file
    if setting.method == "workload-identity":
        options["audience"] = endpoints.token_exchange_audience
    try:
        if setting.method in APPLICATIONS:
            import azure.identity

            inner = APPLICATIONS[setting.method](azure.identity, setting, options)
        else:
            inner = _BUILDERS[setting.method](setting, options, prompt or _to_stderr)
    except (ValueError, OSError) as error:
        raise sign_in_failed(error, endpoints, setting=setting) from None
    return Credential(inner, endpoints, setting)


def sign_in(
    setting: CredentialSetting, endpoints: Endpoints, *, prompt: Prompt | None = None
) -> tuple[Credential, Caller]:
    """Signs in to Microsoft Graph and tells as whom.

    Args:
        setting: how to sign in.
        endpoints: the cloud.
        prompt: shows the device code's line.

    Raises:
        SignInFailed: Entra refuses, or the token is for another tenant than the setting's.
        Unreachable: Entra does not answer, or its certificate is not trusted.
    """
    credential = credential_for(setting, endpoints, prompt=prompt)
    caller = caller_of(credential.get_token(endpoints.graph_scope).token)
    if setting.tenant_id:
        require_tenant(caller, setting.tenant_id, endpoints)
    return credential, caller


def require_tenant(caller: Caller, intended: str, endpoints: Endpoints) -> None:
    """Refuses a sign-in that is for another tenant than the intended one.

    Args:
        caller: who is signed in.
        intended: the tenant's id or one of its domains.
        endpoints: the cloud.

    Raises:
        SignInFailed: the token's ``tid`` is not the intended tenant, or there is no such tenant.
    """
    wanted = tenant_id_of(intended, endpoints)
    if wanted != caller.tenant_id:
        named = intended if intended.lower() == wanted else f"{intended} ({wanted})"
        raise SignInFailed(
            f"Signed in as {caller.name} to tenant {caller.tenant_id}, but {named} is intended.",
            remedy=f"Sign in to the intended tenant (az login --tenant {intended}), or correct azuread:tenantId.",
        )


def is_tenant_id(name: str) -> bool:
    """Whether a tenant is named by its id, and not by one of its domains."""
    return len(name) == 36 and name.count("-") == 4


def tenant_id_of(name: str, endpoints: Endpoints) -> str:
    """A tenant's id, from its id or one of its domains.

    A domain is looked up in the tenant's OpenID configuration ("Find your app's OpenID configuration document URI"),
    which names the id in its issuer.

    Raises:
        SignInFailed: no such tenant.
        Unreachable: Entra does not answer.
    """
    if is_tenant_id(name):
        return name.lower()
    url = f"{endpoints.login}/{quote(name, safe='.')}/v2.0/.well-known/openid-configuration"
    try:
        with urllib.request.urlopen(url, timeout=15, context=tls_context(endpoints.ca_file)) as answer:  # noqa: S310
            issuer = str(json.loads(answer.read(1_000_000))["issuer"])
    except urllib.error.HTTPError as error:
        error.close()
        raise SignInFailed(f"There is no tenant {name} at {endpoints.login}.", remedy=AADSTS["90002"][1]) from None
    except (OSError, ValueError, KeyError) as error:
        raise unreachable(endpoints.login, error, ca_file=endpoints.ca_file) from None
    return issuer.rstrip("/").removesuffix("/v2.0").rsplit("/", 1)[-1].lower()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _azure_cli(setting: CredentialSetting, _: dict[str, Any], __: Prompt) -> TokenCredential:
    from azure.identity import AzureCliCredential

    return AzureCliCredential(tenant_id=setting.tenant_id or "", process_timeout=_AZURE_CLI_TIMEOUT)


def _client_secret(identity: ModuleType, setting: CredentialSetting, options: dict[str, Any]) -> Any:
    return identity.ClientSecretCredential(
        setting.tenant_id or "", setting.client_id or "", setting.client_secret or "", **options
    )


def _certificate(identity: ModuleType, setting: CredentialSetting, options: dict[str, Any]) -> Any:
    whose = (setting.tenant_id or "", setting.client_id or "")
    if setting.certificate_pem is not None:
        return identity.CertificateCredential(*whose, certificate_data=setting.certificate_pem.encode(), **options)
    return identity.CertificateCredential(
        *whose, str(setting.certificate_path), password=setting.certificate_password, **options
    )


def _workload_identity(identity: ModuleType, setting: CredentialSetting, options: dict[str, Any]) -> Any:
    from provision.microsoft.assertions import assertion

    audience = options.pop("audience")
    return identity.ClientAssertionCredential(
        setting.tenant_id or "", setting.client_id or "", lambda: assertion(setting, audience), **options
    )


APPLICATIONS: dict[str, Callable[[ModuleType, CredentialSetting, dict[str, Any]], Any]] = {
    "client-secret": _client_secret,
    "certificate": _certificate,
    "workload-identity": _workload_identity,
}
"""The ways in which an application signs in as itself. The module is ``azure.identity``, or ``azure.identity.aio`` for
its coroutines; ``workload-identity`` takes the token's ``audience`` among the options.
"""


def _managed_identity(setting: CredentialSetting, _: dict[str, Any], __: Prompt) -> TokenCredential:
    from azure.identity import ManagedIdentityCredential

    return ManagedIdentityCredential(client_id=setting.client_id)


def _device_code(setting: CredentialSetting, options: dict[str, Any], prompt: Prompt) -> TokenCredential:
    from azure.identity import DeviceCodeCredential

    def show(uri: str, code: str, _: object) -> None:
        prompt(f"To sign in, open {uri} and enter the code {code}")

    return DeviceCodeCredential(prompt_callback=show, **options, **_person(setting))


def _browser(setting: CredentialSetting, options: dict[str, Any], _: Prompt) -> TokenCredential:
    from azure.identity import InteractiveBrowserCredential

    return InteractiveBrowserCredential(**options, **_person(setting))


def _person(setting: CredentialSetting) -> dict[str, Any]:
    """Tenant, and the platform's encrypted token cache where it has one (DPAPI, Keychain, libsecret)."""
    from azure.identity import TokenCachePersistenceOptions

    options: dict[str, Any] = {"tenant_id": setting.tenant_id} if setting.tenant_id else {}
    if _has_encrypted_cache():
        options["cache_persistence_options"] = TokenCachePersistenceOptions(name="provision")
    return options


def _has_encrypted_cache() -> bool:
    """Whether tokens can be kept encrypted; they are never kept in clear."""
    from msal_extensions import build_encrypted_persistence  # type: ignore[import-untyped]

    try:
        build_encrypted_persistence(str(Path.home() / ".IdentityService" / "provision"))
    except (ImportError, OSError, RuntimeError):
        return False
    return True


_BUILDERS: dict[str, Callable[[CredentialSetting, dict[str, Any], Prompt], TokenCredential]] = {
    "azure-cli": _azure_cli,
    "device-code": _device_code,
    "browser": _browser,
    "managed-identity": _managed_identity,
}
