"""Rules about the app registration: is it the right one, with the right redirect, secret, permissions and consent?"""

from __future__ import annotations

from datetime import datetime, timedelta

from provision.diagnose.facts import NotKnown, Secret
from provision.diagnose.layers import Way
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_TOKEN: tuple[Way, ...] = ("graph", "smtp-oauth", "ews")
_APP = "https://entra.microsoft.com > App registrations > All applications > {client}"
_ENTERPRISE = "https://entra.microsoft.com > Enterprise applications > {client}"
_REPLY = "https://learn.microsoft.com/entra/identity-platform/reply-url"
_PERMISSIONS = "https://learn.microsoft.com/entra/identity-platform/permissions-consent-overview"
_CONSENT = f"{_APP} > API permissions > Grant admin consent"
_SOON = timedelta(days=30)


@rule(
    id="registration-missing",
    family="registration",
    title="The tenant has no such app registration",
    severity="stops",
    ways=_TOKEN,
    layer="registration",
    remedy=Remedy(
        "Compare ClientId and TenantId in the product with the registration's overview page; make the registration "
        "where there is none.",
        portal="https://entra.microsoft.com > App registrations > All applications",
        command="provision up",
        up="",
    ),
    docs="https://learn.microsoft.com/entra/identity-platform/quickstart-register-app",
)
def registration_missing(registration_exists: bool) -> Seen:
    """A wrong ClientId or TenantId ends in AADSTS700016."""
    return None if registration_exists else "Neither an app registration nor an enterprise application has this id."


@rule(
    id="redirect-missing",
    family="registration",
    title="No redirect URI is registered",
    severity="stops",
    ways=_TOKEN,
    layer="redirect",
    remedy=Remedy(
        "Register the address that the product shows, as type Web: {redirect}",
        portal=f"{_APP} > Authentication > Add a platform > Web",
        up="",
    ),
    fix="redirect",
    docs=_REPLY,
)
def redirect_missing(
    registration_web_redirects: tuple[str, ...],
    registration_spa_redirects: tuple[str, ...],
    registration_public_redirects: tuple[str, ...],
) -> Seen:
    """Entra sends users back to registered addresses only (AADSTS500113)."""
    if registration_web_redirects or registration_spa_redirects or registration_public_redirects:
        return None
    return "The registration has no redirect URI of any type."


@rule(
    id="redirect-single-page",
    family="registration",
    title="The redirect URI is registered as Single-page application, not as Web",
    severity="stops",
    ways=_TOKEN,
    layer="redirect",
    remedy=Remedy(
        "Remove it under Single-page application and add the same address under Web: {redirect}",
        portal=f"{_APP} > Authentication > Platform configurations",
        up="",
    ),
    fix="redirect",
    docs=_REPLY,
)
def redirect_single_page(
    registration_web_redirects: tuple[str, ...],
    registration_spa_redirects: tuple[str, ...],
    registration_public_redirects: tuple[str, ...],
    registration_wanted_redirect: str | NotKnown,
) -> Seen:
    """A product's server cannot redeem a sign-in that was given to a single-page application (AADSTS9002327)."""
    wanted = registration_wanted_redirect
    wrong = {"Single-page application": registration_spa_redirects, "Mobile and desktop": registration_public_redirects}
    seen = [
        f"{uri} stands under {kind}."
        for kind, uris in wrong.items()
        for uri in uris
        if (isinstance(wanted, str) and uri.lower() == wanted.lower())
        or (isinstance(wanted, NotKnown) and not registration_web_redirects)
    ]
    return tuple(seen) or None


@rule(
    id="redirect-letter-case",
    family="registration",
    title="The redirect URI differs in letter case",
    severity="stops",
    ways=_TOKEN,
    layer="redirect",
    remedy=Remedy(
        "Correct it, letter by letter: {redirect}",
        portal=f"{_APP} > Authentication > Web > Redirect URIs",
        up="",
    ),
    fix="redirect",
    docs=_REPLY,
)
def redirect_letter_case(registration_web_redirects: tuple[str, ...], registration_wanted_redirect: str) -> Seen:
    """The path of a redirect URI is case-sensitive at Microsoft Entra (AADSTS50011)."""
    wanted = registration_wanted_redirect
    if wanted in registration_web_redirects:
        return None
    alike = [uri for uri in registration_web_redirects if uri.lower() == wanted.lower()]
    return tuple(f"Registered is {uri}; the product calls {wanted}." for uri in alike) or None


@rule(
    id="redirect-changed",
    family="registration",
    title="The product's callback address is not registered",
    severity="stops",
    ways=_TOKEN,
    layer="redirect",
    remedy=Remedy(
        "Set the redirect URI to {redirect}; in YourCompanyCode stands the company code of the product.",
        portal=f"{_APP} > Authentication > Web > Redirect URIs",
        up="",
    ),
    fix="redirect",
    docs=_REPLY,
)
def redirect_changed(
    registration_web_redirects: tuple[str, ...],
    registration_spa_redirects: tuple[str, ...],
    registration_public_redirects: tuple[str, ...],
    registration_wanted_redirect: str,
) -> Seen:
    """After a new host, path or company code the registration must follow (AADSTS50011)."""
    everywhere = (*registration_web_redirects, *registration_spa_redirects, *registration_public_redirects)
    if not everywhere or registration_wanted_redirect.lower() in {uri.lower() for uri in everywhere}:
        return None
    return f"The product calls {registration_wanted_redirect}; registered are {', '.join(everywhere)}."


@rule(
    id="public-client-flows",
    family="registration",
    title="Public client flows are allowed",
    severity="weakens",
    ways=_TOKEN,
    remedy=Remedy(
        "Switch them off: a product with a client secret needs none, and whoever knows the ClientId could use them.",
        portal=f"{_APP} > Authentication > Allow public client flows: No",
        graph=("PATCH /applications(appId='{client_id}') {\"isFallbackPublicClient\": false}",),
        up="",
    ),
    docs="https://learn.microsoft.com/entra/identity-platform/msal-client-applications",
)
def public_client_flows(registration_public_client: bool) -> Seen:
    """With them on Entra may take the application for a public one and refuse its secret (AADSTS700025)."""
    return "isFallbackPublicClient is true." if registration_public_client else None


@rule(
    id="token-issuance",
    family="registration",
    title="Access tokens and ID tokens are not set as the product wants them",
    severity="weakens",
    ways=("graph",),
    remedy=Remedy(
        "Set both as the product's guide says. The authorization code flow itself needs neither.",
        portal=f"{_APP} > Authentication > Implicit grant and hybrid flows",
        up="",
    ),
    docs="https://learn.microsoft.com/entra/identity-platform/v2-oauth2-implicit-grant-flow",
)
def token_issuance(registration_issues_tokens: tuple[bool, bool], registration_wants_tokens: tuple[bool, bool]) -> Seen:
    """A product that asks the sign-in page for a token gets AADSTS700051 or AADSTS700054 where it is off."""
    names = ("Access tokens", "ID tokens")
    pairs = zip(names, registration_issues_tokens, registration_wants_tokens, strict=True)
    differ = [
        f"{name}: {'on' if has else 'off'}, wanted {'on' if want else 'off'}."
        for name, has, want in pairs
        if has != want
    ]
    return tuple(differ) or None


@rule(
    id="multitenant-unverified",
    family="registration",
    title="The registration is multitenant and its publisher is not verified",
    severity="weakens",
    ways=_TOKEN,
    remedy=Remedy(
        "Register it as single tenant, as the guide recommends. A multitenant one needs the vendor's Partner One ID as "
        "verified publisher, which only the vendor's own tenant can set.",
        portal=f"{_APP} > Authentication > Supported account types",
        graph=('PATCH /applications(appId=\'{client_id}\') {"signInAudience": "AzureADMyOrg"}',),
        up="--audience single-tenant",
    ),
    docs="https://learn.microsoft.com/entra/identity-platform/publisher-verification-overview",
)
def multitenant_unverified(registration_multitenant: bool, registration_verified_publisher: str | None) -> Seen:
    """Users of other tenants cannot consent to most unverified multitenant applications."""
    if not registration_multitenant or registration_verified_publisher is not None:
        return None
    return "signInAudience is multitenant, and there is no verified publisher."


@rule(
    id="secret-missing",
    family="registration",
    title="The registration has no client secret",
    severity="stops",
    ways=_TOKEN,
    layer="secret",
    remedy=Remedy(
        "Make one, copy its Value at once and enter it in the product.",
        portal=f"{_APP} > Certificates & secrets > New client secret",
        command="provision rotate --now {which}",
    ),
    fix="renew-secret",
    docs="https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials",
)
def secret_missing(registration_secrets: tuple[Secret, ...]) -> Seen:
    """Without one the product cannot prove that it is the application."""
    return None if registration_secrets else "Certificates & secrets lists no client secret."


@rule(
    id="secret-expired",
    family="registration",
    title="Every client secret has expired",
    severity="stops",
    ways=_TOKEN,
    layer="secret",
    remedy=Remedy(
        "Make a new one and enter its Value in the product.",
        portal=f"{_APP} > Certificates & secrets > New client secret",
        command="provision rotate --now {which}",
    ),
    fix="renew-secret",
    docs="https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials",
)
def secret_expired(registration_secrets: tuple[Secret, ...], now: datetime) -> Seen:
    """Entra refuses an expired secret with AADSTS7000222."""
    if not registration_secrets or any(secret.ends is None or secret.ends > now for secret in registration_secrets):
        return None
    return tuple(f"{secret.name or secret.key_id} ended on {secret.ends:%Y-%m-%d}." for secret in registration_secrets)


@rule(
    id="secret-expires-soon",
    family="registration",
    title="The client secret that lasts longest expires soon",
    severity="ends",
    ways=_TOKEN,
    remedy=Remedy(
        "Renew it before then; with an overlap no mail is lost.",
        portal=f"{_APP} > Certificates & secrets",
        command="provision rotate {which}",
    ),
    fix="renew-secret",
    docs="https://learn.microsoft.com/entra/identity-platform/how-to-add-credentials",
)
def secret_expires_soon(registration_secrets: tuple[Secret, ...], now: datetime) -> Seen:
    """On that day mail stops with AADSTS7000222."""
    ends = [secret.ends for secret in registration_secrets]
    if not ends or any(end is None for end in ends):
        return None
    last = max(end for end in ends if end is not None)
    return f"The last one ends on {last:%Y-%m-%d}." if now < last <= now + _SOON else None


@rule(
    id="secret-refused",
    family="registration",
    title="Entra refuses the client secret that the product uses",
    severity="stops",
    ways=_TOKEN,
    layer="secret",
    remedy=Remedy(
        "Enter the secret's Value in the product: its Secret ID is something else. Where nobody knows the Value any "
        "more, make a new one.",
        portal=f"{_APP} > Certificates & secrets > New client secret",
        command="provision rotate --now {which}",
    ),
    fix="renew-secret",
    docs="https://learn.microsoft.com/entra/identity-platform/reference-error-codes",
)
def secret_refused(attempt_secret_works: bool) -> Seen:
    """Often the Secret ID was copied in place of the Value (AADSTS7000215)."""
    return None if attempt_secret_works else "Entra gave no token for the client secret."


@rule(
    id="enterprise-application-missing",
    family="registration",
    title="The tenant has no enterprise application of it",
    severity="stops",
    ways=_TOKEN,
    layer="registration",
    remedy=Remedy("Give admin consent once; it makes the enterprise application.", portal=_CONSENT, up=""),
    fix="consent",
    docs=_PERMISSIONS,
)
def enterprise_application_missing(registration_exists: bool, registration_enterprise: bool) -> Seen:
    """Users sign in to the enterprise application; the registration is only its pattern."""
    if not registration_exists or registration_enterprise:
        return None
    return "There is a registration, but no enterprise application (service principal) of it."


@rule(
    id="enterprise-application-off",
    family="registration",
    title="The enterprise application is switched off",
    severity="stops",
    ways=_TOKEN,
    layer="application-off",
    remedy=Remedy(
        "Switch it on.",
        portal=f"{_ENTERPRISE} > Properties > Enabled for users to sign in: Yes",
        graph=("PATCH /servicePrincipals(appId='{client_id}') {\"accountEnabled\": true}",),
    ),
    docs="https://learn.microsoft.com/entra/identity/enterprise-apps/disable-user-sign-in-portal",
)
def enterprise_application_off(registration_enabled: bool) -> Seen:
    """Nobody gets a token for it (AADSTS7000112)."""
    return None if registration_enabled else "accountEnabled of the enterprise application is false."


@rule(
    id="user-not-assigned",
    family="registration",
    title="The user is not assigned to the application",
    severity="stops",
    ways=_TOKEN,
    layer="assignment",
    remedy=Remedy(
        "Assign the user, or turn off that assignment is required.",
        portal=f"{_ENTERPRISE} > Users and groups > Add user/group",
        graph=("PATCH /servicePrincipals(appId='{client_id}') {\"appRoleAssignmentRequired\": false}",),
    ),
    docs="https://learn.microsoft.com/entra/identity/enterprise-apps/assign-user-or-group-access-portal",
)
def user_not_assigned(registration_unassigned: bool) -> Seen:
    """Entra lets in only who is assigned (AADSTS50105)."""
    return "Assignment is required, and this user has none." if registration_unassigned else None


@rule(
    id="permission-of-wrong-kind",
    family="registration",
    title="Mail.Send was given as application permission, the product signs in as the user",
    severity="weakens",
    ways=("graph",),
    remedy=Remedy(
        "Add Mail.Send under Delegated permissions and consent to it; remove the application permission, which lets "
        "the application send as everybody.",
        portal=f"{_APP} > API permissions > Add a permission > Microsoft Graph > Delegated permissions",
        up="",
    ),
    docs=_PERMISSIONS,
)
def permission_of_wrong_kind(
    registration_granted_roles: tuple[str, ...], registration_granted: tuple[str, ...]
) -> Seen:
    """Two permissions have the same name; only the delegated one counts when a user signs in."""
    if "Mail.Send" not in registration_granted_roles:
        return None
    seen = ["The application permission Mail.Send is consented to."]
    if "Mail.Send" not in registration_granted:
        seen.append("The delegated permission Mail.Send is not.")
    return tuple(seen)


def _consent(way: Way, permission: str, resource: str) -> Rule:
    """One consent rule for each way of sending."""

    def missing(registration_granted: tuple[str, ...]) -> Seen:
        if permission in registration_granted:
            return None
        listed = ", ".join(registration_granted) or "nothing"
        return f"{permission} is not among the delegated permissions that are consented to: {listed}."

    missing.__doc__ = (
        f"Sending this way takes the delegated permission {permission} of {resource}, with consent (AADSTS65001)."
    )
    return rule(
        id=f"consent-missing-{way}",
        family="registration",
        title=f"Nobody has consented to {permission}",
        severity="stops",
        ways=(way,),
        layer="consent",
        remedy=Remedy(
            f"Add the delegated permission {permission} of {resource}, and grant admin consent. Users sign in again.",
            portal=_CONSENT,
            up="" if way == "graph" else None,
        ),
        fix="consent",
        docs=_PERMISSIONS,
    )(missing)


consent_for_graph = _consent("graph", "Mail.Send", "Microsoft Graph")
consent_for_smtp = _consent("smtp-oauth", "SMTP.Send", "Office 365 Exchange Online or Microsoft Graph")


RULES: tuple[Rule, ...] = (
    registration_missing,
    redirect_missing,
    redirect_single_page,
    redirect_letter_case,
    redirect_changed,
    public_client_flows,
    token_issuance,
    multitenant_unverified,
    secret_missing,
    secret_expired,
    secret_expires_soon,
    secret_refused,
    enterprise_application_missing,
    enterprise_application_off,
    user_not_assigned,
    permission_of_wrong_kind,
    consent_for_graph,
    consent_for_smtp,
)
