"""Everything that can be known about why one mailbox can or cannot send: frozen values, each known or not, with the
reason.

Owns: the shapes. Does not own: reading them (``gather``), judging them (``rules``). A fact that could not be read is a
``NotKnown``, never a default: a rule that needs it is then skipped and says so. Names of Microsoft's own properties
stand in the descriptions. No fact holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class NotKnown:
    """A fact that could not be read."""

    reason: str
    """As the end of "not known, because …"."""


NOT_ASKED = NotKnown("it was not asked for")
NO_MAILBOX_NAMED = NotKnown("no mailbox was named (--mailbox)")
NO_REGISTRATION_NAMED = NotKnown("no app registration was named (--client-id or --stack)")


@dataclass(frozen=True)
class EwsClients:
    """Which clients may use Exchange Web Services, by their User-Agent."""

    policy: str
    """``EwsApplicationAccessPolicy``: ``EnforceAllowList`` or ``EnforceBlockList``."""
    listed: tuple[str, ...]
    """The list that then counts: ``EwsAllowList`` or ``EwsBlockList``; ``*`` stands for anything."""


@dataclass(frozen=True)
class TenantFacts:
    """What holds for the whole tenant."""

    id: str | NotKnown = NOT_ASKED
    security_defaults: bool | NotKnown = NOT_ASKED
    """``identitySecurityDefaultsEnforcementPolicy.isEnabled``."""
    legacy_blocked_by: tuple[str, ...] | NotKnown = NOT_ASKED
    """Names of enabled Conditional Access policies that block legacy authentication (``other``) of this mailbox."""
    modern_blocked_by: tuple[str, ...] | NotKnown = NOT_ASKED
    """Names of those that block its sign-in in a browser, too."""
    legacy_may_be_blocked_by: tuple[str, ...] | NotKnown = NOT_ASKED
    """The same of policies that depend on more than user and application, each with what it depends on."""
    modern_may_be_blocked_by: tuple[str, ...] | NotKnown = NOT_ASKED
    """The same for its sign-in in a browser."""
    smtp_disabled: bool | NotKnown = NOT_ASKED
    """``TransportConfig.SmtpClientAuthenticationDisabled``."""
    legacy_tls: bool | NotKnown = NOT_ASKED
    """``TransportConfig.AllowLegacyTLSClients``."""
    ews_enabled: bool | NotKnown | None = NOT_ASKED
    """``OrganizationConfig.EwsEnabled``; None is Microsoft's default."""
    ews_applications: tuple[str, ...] | NotKnown = NOT_ASKED
    """``OrganizationConfig.EwsAllowedAppIDs``: client ids, lower case."""
    ews_clients: EwsClients | NotKnown | None = NOT_ASKED
    """The organization's list of clients; None for none."""
    basic_kept: bool | NotKnown = NOT_ASKED
    """Whether somebody says that Basic SMTP was switched on again after December 2026; nothing shows it."""


@dataclass(frozen=True)
class MailboxFacts:
    """The mailbox that is to send, and its account."""

    address: str | NotKnown = NO_MAILBOX_NAMED
    account_exists: bool | NotKnown = NO_MAILBOX_NAMED
    account_enabled: bool | NotKnown = NO_MAILBOX_NAMED
    """``user.accountEnabled``."""
    mfa: bool | NotKnown = NO_MAILBOX_NAMED
    """Whether per-user multifactor authentication stands between a normal password and SMTP: ``perUserMfaState`` is
    ``enforced``. In the state ``enabled`` it does not yet.
    """
    mfa_registered: bool | NotKnown = NO_MAILBOX_NAMED
    """``userRegistrationDetails.isMfaRegistered``; it does not tell whether a second factor is asked for."""
    licensed: bool | NotKnown = NO_MAILBOX_NAMED
    """Whether an enabled Exchange Online plan is assigned."""
    kind: str | NotKnown | None = NO_MAILBOX_NAMED
    """``RecipientTypeDetails``; None when no mailbox is there."""
    absent_because: str | NotKnown = NO_MAILBOX_NAMED
    """Why none is there: ``unlicensed``, ``group``, ``soft-deleted``, ``restored``, ``no-mailbox``; empty for none."""
    smtp_disabled: bool | NotKnown | None = NO_MAILBOX_NAMED
    """``CASMailbox.SmtpClientAuthenticationDisabled``; None inherits."""
    ews_enabled: bool | NotKnown | None = NO_MAILBOX_NAMED
    """``CASMailbox.EwsEnabled``."""
    ews_clients: EwsClients | NotKnown | None = NO_MAILBOX_NAMED
    """The mailbox' own list of clients; None for none."""
    policy_blocks: str | NotKnown | None = NO_MAILBOX_NAMED
    """Name of the authentication policy that blocks Basic SMTP for it; None when none does."""
    restricted: bool | NotKnown = NO_MAILBOX_NAMED
    """Whether Microsoft restricts it as a sender (``Get-BlockedSenderAddress``)."""
    stack: str | NotKnown | None = NO_MAILBOX_NAMED
    """The stack whose program says how its switch is to be; None for none that was named."""


@dataclass(frozen=True)
class Secret:
    """A client secret as Graph lists it."""

    key_id: str
    name: str
    ends: datetime | None


@dataclass(frozen=True)
class RegistrationFacts:
    """The app registration by which the product signs in, and its enterprise application."""

    client_id: str | NotKnown = NO_REGISTRATION_NAMED
    exists: bool | NotKnown = NO_REGISTRATION_NAMED
    name: str | NotKnown = NO_REGISTRATION_NAMED
    multitenant: bool | NotKnown = NO_REGISTRATION_NAMED
    verified_publisher: str | NotKnown | None = NO_REGISTRATION_NAMED
    web_redirects: tuple[str, ...] | NotKnown = NO_REGISTRATION_NAMED
    spa_redirects: tuple[str, ...] | NotKnown = NO_REGISTRATION_NAMED
    public_redirects: tuple[str, ...] | NotKnown = NO_REGISTRATION_NAMED
    wanted_redirect: str | NotKnown = NO_REGISTRATION_NAMED
    """The address that the product calls back, by its profile."""
    public_client: bool | NotKnown = NO_REGISTRATION_NAMED
    """``isFallbackPublicClient``: "Allow public client flows"."""
    issues_tokens: tuple[bool, bool] | NotKnown = NO_REGISTRATION_NAMED
    """Implicit issuance of access tokens and of ID tokens."""
    wants_tokens: tuple[bool, bool] | NotKnown = NO_REGISTRATION_NAMED
    """The same as the product's profile wants it."""
    secrets: tuple[Secret, ...] | NotKnown = NO_REGISTRATION_NAMED
    granted: tuple[str, ...] | NotKnown = NO_REGISTRATION_NAMED
    """Delegated permissions that are consented to for everybody, or for this mailbox's user."""
    granted_roles: tuple[str, ...] | NotKnown = NO_REGISTRATION_NAMED
    """Application permissions of Microsoft Graph that are consented to."""
    exchange_roles: tuple[str, ...] | NotKnown = NO_REGISTRATION_NAMED
    """Application permissions of Office 365 Exchange Online that are consented to."""
    enterprise: bool | NotKnown = NO_REGISTRATION_NAMED
    """Whether the tenant has its enterprise application (service principal)."""
    enabled: bool | NotKnown = NO_REGISTRATION_NAMED
    """``servicePrincipal.accountEnabled``."""
    unassigned: bool | NotKnown = NO_REGISTRATION_NAMED
    """Whether assignment is required and this mailbox's user has none."""
    stack: str | NotKnown | None = NO_REGISTRATION_NAMED
    """The stack whose program says how it is to be; None for none that was named."""


@dataclass(frozen=True)
class Answer:
    """What a server said to one attempt, or a person was told by one."""

    where: str
    """As in "seen in": the SMTP dialogue, the sign-in log, the pasted text."""
    way: str
    """The way of sending that it is about (``layers.Way``); empty when it is not told."""
    said: str
    """The answer's own words, one line, or what was recognised of a pasted text."""
    codes: tuple[str, ...]
    """Ids of ``codes``, the most exact first."""


@dataclass(frozen=True)
class AttemptFacts:
    """What live attempts showed."""

    works: tuple[str, ...] | NotKnown = NOT_ASKED
    """Ways of sending by which Exchange Online let the mailbox in just now."""
    answers: tuple[Answer, ...] = ()
    """Every refusal that is known of, newest attempts first."""
    tls: str | NotKnown = NOT_ASKED
    """TLS version of the SMTP connection."""
    secret_works: bool | NotKnown = NOT_ASKED
    """Whether Entra gave a token for the client secret that the product uses."""


@dataclass(frozen=True)
class TokenFacts:
    """The access token for SMTP, as its inside says; Exchange alone decides."""

    audience: str | NotKnown = NOT_ASKED
    permissions: tuple[str, ...] | NotKnown = NOT_ASKED
    ends: datetime | NotKnown = NOT_ASKED
    user: str | NotKnown = NOT_ASKED
    """Whom it is for; empty for an application's own token."""


@dataclass(frozen=True)
class DomainFacts:
    """DNS of the domain that the mail is from; it does not stop sending, it decides where mail ends up."""

    name: str | NotKnown = NOT_ASKED
    mx: tuple[str, ...] | NotKnown = NOT_ASKED
    spf: tuple[str, ...] | NotKnown = NOT_ASKED
    """Its TXT records that begin with ``v=spf1``."""
    dkim: tuple[str, ...] | NotKnown = NOT_ASKED
    """Those of Microsoft's selectors (selector1, selector2) that answer with a key."""
    dmarc: str | NotKnown | None = NOT_ASKED
    """The record at ``_dmarc``; None for none."""


@dataclass(frozen=True)
class Facts:
    """All that is known. A rule asks for ``tenant.security_defaults`` by a parameter ``tenant_security_defaults``."""

    now: datetime
    """The present, UTC."""
    tenant: TenantFacts = TenantFacts()
    mailbox: MailboxFacts = MailboxFacts()
    registration: RegistrationFacts = RegistrationFacts()
    attempt: AttemptFacts = AttemptFacts()
    token: TokenFacts = TokenFacts()
    domain: DomainFacts = DomainFacts()

    def get(self, name: str) -> Any:
        """A fact by its flat name.

        Raises:
            KeyError: there is no such fact.
        """
        if name not in NAMES:
            raise KeyError(f"there is no fact {name!r}; there are {', '.join(NAMES)}")
        subject, _, rest = name.partition("_")
        return getattr(self, subject) if not rest else getattr(getattr(self, subject), rest)


_SUBJECTS: dict[str, type[Any]] = {
    "tenant": TenantFacts,
    "mailbox": MailboxFacts,
    "registration": RegistrationFacts,
    "attempt": AttemptFacts,
    "token": TokenFacts,
    "domain": DomainFacts,
}
NAMES: tuple[str, ...] = (
    "now",
    *(f"{subject}_{field.name}" for subject, kind in _SUBJECTS.items() for field in fields(kind)),
)
"""Every fact's flat name."""

AUXILIARY: tuple[str, ...] = (
    *(name for name in NAMES if name.startswith(("attempt_", "token_", "domain_"))),
    "mailbox_restricted",
    "mailbox_mfa",
    "mailbox_mfa_registered",
    "registration_wanted_redirect",
    "registration_wants_tokens",
)
"""Facts that often cannot be read. A verdict stands without them: what they would show, an attempt's answer shows."""
