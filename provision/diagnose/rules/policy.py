"""Rules about what the tenant forbids: Security Defaults, Conditional Access, authentication policies, old TLS."""

from __future__ import annotations

from provision.diagnose.facts import NotKnown
from provision.diagnose.rules.rule import Remedy, Rule, Seen, rule

_DEFAULTS = "https://learn.microsoft.com/entra/fundamentals/security-defaults"
_ACCESS = "https://learn.microsoft.com/entra/identity/conditional-access/policy-block-legacy-authentication"


@rule(
    id="security-defaults",
    family="policy",
    title="Security Defaults block sign-in by password over SMTP",
    severity="stops",
    ways=("smtp-basic",),
    layer="security-defaults",
    remedy=Remedy(
        "Leave them on and send through Microsoft Graph, or through SMTP with OAuth. Turning them off takes "
        "multifactor authentication from every user of the tenant; with Entra ID P1, Conditional Access in their "
        "place can except one sender.",
        portal="https://entra.microsoft.com > Overview > Properties > Manage security defaults",
        better=True,
    ),
    fix="security-defaults-off",
    flag="--allow-security-defaults-off",
    docs=_DEFAULTS,
)
def security_defaults(tenant_security_defaults: bool) -> Seen:
    """They block every client of older mail protocols, app passwords included, whatever the mailbox's switch says."""
    return "isEnabled of the security defaults policy is true." if tenant_security_defaults else None


@rule(
    id="conditional-access-legacy",
    family="policy",
    title="Conditional Access blocks legacy authentication",
    severity="stops",
    ways=("smtp-basic",),
    layer="conditional-access",
    remedy=Remedy(
        "Send through Microsoft Graph or SMTP with OAuth, which such a policy does not touch. Else exclude this one "
        "account from the policy {policy}, and keep the mailbox's own switch on.",
        portal="https://entra.microsoft.com > Protection > Conditional Access > Policies > {policy} > Users > Exclude",
        better=True,
    ),
    fix="exclude-from-policy",
    flag="--allow-policy-exclusion",
    docs=_ACCESS,
)
def conditional_access_legacy(tenant_legacy_blocked_by: tuple[str, ...]) -> Seen:
    """A policy for client apps "Other clients" that blocks refuses SMTP with a password after it was found right."""
    if not tenant_legacy_blocked_by:
        return None
    return tuple(f"The policy {name!r} is on and blocks other clients." for name in tenant_legacy_blocked_by)


@rule(
    id="conditional-access-modern",
    family="policy",
    title="Conditional Access blocks the user's sign-in",
    severity="stops",
    ways=("graph", "smtp-oauth", "ews"),
    layer="conditional-access",
    remedy=Remedy(
        "Let the policy's owner except the application or the account, or sign in where the policy allows it.",
        portal="https://entra.microsoft.com > Monitoring > Sign-in logs > the user > Conditional Access",
    ),
    docs="https://learn.microsoft.com/entra/identity/conditional-access/troubleshoot-conditional-access",
)
def conditional_access_modern(tenant_modern_blocked_by: tuple[str, ...]) -> Seen:
    """A policy that blocks browsers or all client apps refuses the product's sign-in with AADSTS53003."""
    if not tenant_modern_blocked_by:
        return None
    return tuple(f"The policy {name!r} is on and blocks this account's sign-in." for name in tenant_modern_blocked_by)


@rule(
    id="conditional-access-legacy-perhaps",
    family="policy",
    title="Conditional Access may block legacy authentication, by the place or the device of the sign-in",
    severity="may",
    ways=("smtp-basic",),
    layer="conditional-access",
    remedy=Remedy(
        "Send through Microsoft Graph or SMTP with OAuth. Else look up in the sign-in log whether the policy was "
        "applied, and let its owner except the account or the place from which the product sends.",
        portal="https://entra.microsoft.com > Monitoring > Sign-in logs > the user > Conditional Access",
        better=True,
    ),
    docs="https://learn.microsoft.com/entra/identity/conditional-access/concept-assignment-network",
)
def conditional_access_legacy_perhaps(tenant_legacy_may_be_blocked_by: tuple[str, ...]) -> Seen:
    """Where the product signs in from, and with what, stands in no setting; Entra decides it at each sign-in."""
    return _perhaps(tenant_legacy_may_be_blocked_by)


@rule(
    id="conditional-access-modern-perhaps",
    family="policy",
    title="Conditional Access may block the user's sign-in, by its place, device or risk",
    severity="may",
    ways=("graph", "smtp-oauth", "ews"),
    layer="conditional-access",
    remedy=Remedy(
        "Look up in the sign-in log whether the policy was applied to the product's sign-in; let its owner except the "
        "application, the account, or the place from which the product signs in.",
        portal="https://entra.microsoft.com > Monitoring > Sign-in logs > the user > Conditional Access",
    ),
    docs="https://learn.microsoft.com/entra/identity/conditional-access/concept-assignment-network",
)
def conditional_access_modern_perhaps(tenant_modern_may_be_blocked_by: tuple[str, ...]) -> Seen:
    """The policy counts at the user's sign-in, and again where the product's server refreshes its token."""
    return _perhaps(tenant_modern_may_be_blocked_by)


def _perhaps(policies: tuple[str, ...]) -> Seen:
    return (
        tuple(
            f"The policy {policy}, is on and blocks; whether it applies shows only at a sign-in." for policy in policies
        )
        or None
    )


@rule(
    id="authentication-policy",
    family="policy",
    title="An authentication policy blocks Basic authentication for SMTP",
    severity="stops",
    ways=("smtp-basic",),
    layer="authentication-policy",
    remedy=Remedy(
        "Send through Microsoft Graph or SMTP with OAuth. Else give this one mailbox a policy that allows Basic "
        "SMTP; it takes up to 24 hours, or 30 minutes after the last line.",
        powershell=(
            'New-AuthenticationPolicy -Name "Allow Basic SMTP" -AllowBasicAuthSmtp',
            'Set-User -Identity {mailbox} -AuthenticationPolicy "Allow Basic SMTP"',
            "Set-User -Identity {mailbox} -STSRefreshTokensValidFrom $([System.DateTime]::UtcNow)",
        ),
        better=True,
    ),
    fix="allow-basic-by-policy",
    flag="--allow-basic-authentication",
    docs="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/disable-basic-authentication-in-exchange-online",
)
def authentication_policy(mailbox_policy_blocks: str | None) -> Seen:
    """Exchange Online refuses before it looks at the password; the mailbox's switch does not help."""
    if mailbox_policy_blocks is None:
        return None
    return f"AllowBasicAuthSmtp is False in the policy {mailbox_policy_blocks!r}, which holds for the mailbox."


@rule(
    id="old-tls",
    family="policy",
    title="The connection uses an old TLS version",
    severity="stops",
    ways=("smtp-oauth", "smtp-basic"),
    layer="tls",
    remedy=Remedy(
        "Update the program or its system so that it speaks TLS 1.2 or later. The endpoint for old clients "
        "(smtp-legacy.office365.com) lowers security for every mailbox and is no way out for a program.",
        powershell=("Get-TransportConfig | Format-List AllowLegacyTLSClients",),
    ),
    docs="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/opt-in-exchange-online-endpoint-for-legacy-tls-using-smtp-auth",
)
def old_tls(attempt_tls: str) -> Seen:
    """Exchange Online takes TLS 1.2 and later."""
    return f"The connection stood on {attempt_tls}." if attempt_tls in {"TLSv1", "TLSv1.1", "SSLv3"} else None


@rule(
    id="legacy-tls-allowed",
    family="policy",
    title="The organization lets clients in with TLS 1.0 and 1.1",
    severity="weakens",
    ways=("smtp-oauth", "smtp-basic"),
    remedy=Remedy(
        "Turn it off when no device needs it any more.",
        portal="https://admin.exchange.microsoft.com > Settings > Mail flow > Turn on use of legacy TLS clients: off",
        powershell=("Set-TransportConfig -AllowLegacyTLSClients $false",),
    ),
    docs="https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/opt-in-exchange-online-endpoint-for-legacy-tls-using-smtp-auth",
)
def legacy_tls_allowed(tenant_legacy_tls: bool) -> Seen:
    """It opens smtp-legacy.office365.com for every mailbox; it never makes the switch of a mailbox appear."""
    return "AllowLegacyTLSClients is True." if tenant_legacy_tls else None


@rule(
    id="organization-smtp-on",
    family="policy",
    title="Authenticated SMTP is on for every mailbox of the organization",
    severity="weakens",
    ways=("smtp-oauth", "smtp-basic"),
    remedy=Remedy(
        "Switch it on for the mailboxes that send, then off for the organization.",
        portal=(
            "https://admin.exchange.microsoft.com > Settings > Mail flow > Turn off SMTP AUTH protocol for your "
            "organization"
        ),
        powershell=("Set-TransportConfig -SmtpClientAuthenticationDisabled $true",),
        command="provision smtp-auth org disable --yes",
    ),
    docs="https://learn.microsoft.com/powershell/module/exchange/set-transportconfig",
)
def organization_smtp_on(tenant_smtp_disabled: bool, tenant_legacy_blocked_by: tuple[str, ...] | NotKnown) -> Seen:
    """Auditors (CIS, SCuBA) expect it off, with exceptions for single mailboxes."""
    if tenant_smtp_disabled or (isinstance(tenant_legacy_blocked_by, tuple) and tenant_legacy_blocked_by):
        return None
    return "SmtpClientAuthenticationDisabled is False in the organization's transport settings."


RULES: tuple[Rule, ...] = (
    security_defaults,
    conditional_access_legacy,
    conditional_access_modern,
    conditional_access_legacy_perhaps,
    conditional_access_modern_perhaps,
    authentication_policy,
    old_tls,
    legacy_tls_allowed,
    organization_smtp_on,
)
