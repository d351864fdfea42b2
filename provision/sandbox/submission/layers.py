"""The order in which Exchange Online refuses a sign-in over SMTP: pure, from facts that somebody else gathered.

Owns: which layer refuses first. Does not own: reading the tenant (``gather``), the words (``replies``).

No page of Microsoft gives the whole order. What the sources say of it: an authentication policy acts before the
password is looked at ("Disable Basic authentication in Exchange Online": the request is blocked before it reaches
Microsoft Entra ID); Entra checks lockout and password before Conditional Access (policies "are enforced after
first-factor authentication is completed"). That the switches of mailbox and organisation are read last, and the stage
of the retirement first of all, was not read at a source. None but the switches touches XOAUTH2: the others acted when
the token was issued (jstedfast/MailKit#700, simonrob/email-oauth2-proxy#193).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

Method = Literal["basic", "oauth"]
SignIn = Literal["unknown", "right", "locked", "credentials", "security-defaults", "conditional-access", "mfa"]


@dataclass(frozen=True)
class Facts:
    """What decides about one sign-in; the defaults are those of a mailbox that may send."""

    method: Method = "basic"
    legacy_tls_refused: bool = False
    """TLS 1.0 or 1.1 in a tenant that has not opted in."""
    stage: str = "available"
    """How far the retirement of Basic authentication has come, one of ``exchange.organization.STAGES``."""
    reenabled: bool = False
    """Whether an administrator switched it on again after December 2026."""
    policy_blocks: bool = False
    """An authentication policy without ``AllowBasicAuthSmtp`` applies."""
    sign_in: SignIn = "unknown"
    """What Entra says of the name and password, and ``unknown`` as long as nobody has asked it."""
    token_good: bool = True
    """XOAUTH2: the token is for Outlook, has the permission and may be used for this mailbox."""
    enabled: bool = True
    """XOAUTH2: the account of the token is enabled."""
    mailbox: str | None = "UserMailbox"
    """``RecipientTypeDetails`` of the mailbox that can be used; None when there is none."""
    mailbox_disabled: bool | None = None
    """The mailbox's ``SmtpClientAuthenticationDisabled``; None inherits."""
    organisation_disabled: bool = False
    """The organisation's ``SmtpClientAuthenticationDisabled``."""


class Layer(NamedTuple):
    """One row: its name (also in the request log), whom it concerns, when it refuses, and with which reply."""

    name: str
    methods: tuple[Method, ...]
    refuses: Callable[[Facts], bool]
    reply: str


_BASIC: tuple[Method, ...] = ("basic",)
_OAUTH: tuple[Method, ...] = ("oauth",)
_BOTH: tuple[Method, ...] = ("basic", "oauth")

LAYERS: tuple[Layer, ...] = (
    Layer("legacy-tls", _BOTH, lambda f: f.legacy_tls_refused, "legacy-tls"),
    Layer("retired", _BASIC, lambda f: f.stage == "removed", "retired"),
    Layer("off-by-default", _BASIC, lambda f: f.stage == "off_by_default" and not f.reenabled, "basic-disabled"),
    Layer("authentication-policy", _BASIC, lambda f: f.policy_blocks, "basic-disabled"),
    Layer("locked", _BASIC, lambda f: f.sign_in == "locked", "locked"),
    Layer("credentials", _BASIC, lambda f: f.sign_in == "credentials", "credentials"),
    Layer("security-defaults", _BASIC, lambda f: f.sign_in == "security-defaults", "security-defaults"),
    Layer("conditional-access", _BASIC, lambda f: f.sign_in == "conditional-access", "criteria"),
    Layer("mfa", _BASIC, lambda f: f.sign_in == "mfa", "credentials"),
    Layer("token", _OAUTH, lambda f: not f.token_good, "unsuccessful"),
    Layer("account-disabled", _OAUTH, lambda f: not f.enabled, "unsuccessful"),
    Layer("no-mailbox", _BOTH, lambda f: f.mailbox is None, "no-mailbox"),
    Layer("mailbox-type", _BOTH, lambda f: f.mailbox not in {"UserMailbox", "SharedMailbox"}, "no-mailbox"),
    Layer("mailbox-off", _BOTH, lambda f: f.mailbox_disabled is True, "mailbox-off"),
    Layer(
        "organisation-off", _BOTH, lambda f: f.mailbox_disabled is None and f.organisation_disabled, "organisation-off"
    ),
)
"""In the order in which they are asked."""


def first_refusal(facts: Facts) -> Layer | None:
    """The first layer that refuses; None when the sign-in succeeds, or (``sign_in`` unknown) Entra is to be asked."""
    for layer in LAYERS:
        if facts.method in layer.methods:
            if layer.name == "locked" and facts.sign_in == "unknown":
                return None
            if layer.refuses(facts):
                return layer
    return None
