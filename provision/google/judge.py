"""Facts to findings, purely: what is in order, what is a problem with its cause and remedy, what could not be seen.

Owns: the rules. A rule is a function of the facts; a new one is an entry in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from provision.google import guide
from provision.google.facts import Account, Attempt, Facts, Unread
from provision.google.refusals import meaning


class Status(StrEnum):
    """How a finding stands."""

    OK = "ok"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    id: str
    title: str
    status: Status
    seen: str
    """What was seen, or why nothing was."""
    cause: str = ""
    remedy: str = ""
    links: tuple[str, ...] = ()


Rule = Callable[[Facts], Finding]


def _ok(identity: str, title: str, seen: str) -> Finding:
    return Finding(identity, title, Status.OK, seen)


def _skipped(identity: str, title: str, missing: Unread) -> Finding:
    links = (missing.link,) if missing.link else ()
    return Finding(identity, title, Status.SKIPPED, missing.reason, remedy=missing.remedy, links=links)


def account_active(facts: Facts) -> Finding:
    """The account exists and may sign in."""
    identity, title, account = "google-account", "Account active", facts.account
    if isinstance(account.exists, Unread):
        return _skipped(identity, title, account.exists)
    if not account.exists:
        return Finding(
            identity,
            title,
            Status.PROBLEM,
            f"Google Workspace has no user {account.address}.",
            "The address is mistyped, or is an alias of another organisation or a group.",
            "Correct the address, or have the administrator make the user.",
            (guide.ADMIN_USERS_PAGE,),
        )
    if account.suspended is True:
        return Finding(
            identity,
            title,
            Status.PROBLEM,
            f"{account.address} is suspended.",
            "A suspended user cannot sign in anywhere, by SMTP neither.",
            "The administrator reactivates the user.",
            (guide.ADMIN_USERS_PAGE,),
        )
    return _ok(identity, title, f"{account.address} is active in {account.unit or '/'}.")


def two_step_allowed(facts: Facts) -> Finding:
    """The organisation lets its users turn 2-Step Verification on."""
    identity, title, account = "google-2sv-allowed", "2-Step Verification allowed", facts.account
    if account.allowed is False:
        return Finding(
            identity,
            title,
            Status.PROBLEM,
            f"The organisational unit {account.unit or '/'} does not let its users turn on 2-Step Verification.",
            "The company does not have the option enabled; without it there are no app passwords.",
            "The administrator ticks Allow users to turn on 2-Step Verification for this organisational unit.",
            (guide.ADMIN_TWO_STEP_PAGE, guide.DEPLOY_HELP),
        )
    if account.allowed is True:
        return _ok(identity, title, f"The organisational unit {account.unit or '/'} allows it.")
    if account.enrolled is True:
        return _ok(identity, title, "The user has it on, so it was allowed.")
    return _skipped(identity, title, account.allowed)


def two_step_enforced(facts: Facts) -> Finding:
    """What the organisation demands leaves room for app passwords."""
    identity, title, account = "google-2sv-enforced", "2-Step Verification enforced", facts.account
    if account.only_security_keys is True:
        return Finding(
            identity,
            title,
            Status.PROBLEM,
            "The organisation takes security keys alone.",
            "With security keys as the only method there are no app passwords.",
            "The administrator chooses another method than Only security key for users who need app passwords.",
            (guide.ADMIN_TWO_STEP_PAGE, guide.DEPLOY_HELP),
        )
    if isinstance(account.enforced, Unread):
        return _skipped(identity, title, account.enforced)
    if account.enforced and account.enrolled is False:
        return Finding(
            identity,
            title,
            Status.PROBLEM,
            "The organisation demands 2-Step Verification, and the user does not have it on.",
            "Google locks such a user out once the time for enrolling is over.",
            "The user turns it on; if he is locked out, the administrator lets him in with a backup code.",
            (guide.TWO_STEP_PAGE, guide.DEPLOY_HELP),
        )
    return _ok(
        identity, title, "It is demanded." if account.enforced else "It is not demanded; app passwords need none."
    )


def two_step_on(facts: Facts) -> Finding:
    """The user has turned it on."""
    identity, title, account = "google-2sv-on", "2-Step Verification on", facts.account
    if isinstance(account.enrolled, Unread):
        return _skipped(identity, title, account.enrolled)
    if account.enrolled:
        return _ok(identity, title, "The user has it on.")
    return Finding(
        identity,
        title,
        Status.PROBLEM,
        "The user does not have it on.",
        "App passwords exist only with 2-Step Verification.",
        "The user opens Security (Drošība) in his Google account and turns on 2-Step Verification "
        "(2-pakāpju verifikācija).",
        (guide.TWO_STEP_PAGE,),
    )


def app_password(facts: Facts) -> Finding:
    """There is an app password."""
    identity, title, account = "google-app-password", "App password present", facts.account
    if isinstance(account.app_passwords, Unread):
        return _skipped(identity, title, account.app_passwords)
    if account.app_passwords:
        return _ok(identity, title, f"The user has {account.app_passwords}.")
    cause = "Nobody has created one, or a changed Google password revoked it."
    if account.enrolled is False:
        cause = "2-Step Verification is off, and app passwords exist only with it."
    elif account.enrolled is True:
        cause += " Where the page shows no app passwords: security keys alone, or Advanced Protection."
    return Finding(
        identity,
        title,
        Status.PROBLEM,
        "The user has none.",
        cause,
        "The user creates one; nobody else can. If the section is missing, leave the page and enter it again.",
        (guide.APP_PASSWORDS_PAGE, guide.APP_PASSWORDS_HELP),
    )


def smtp_login(facts: Facts) -> Finding:
    """Gmail's SMTP takes the password."""
    identity, title, attempt = "google-smtp-login", "SMTP sign-in", facts.attempt
    if isinstance(attempt, Unread):
        return _skipped(identity, title, attempt)
    if attempt.signed_in:
        return _ok(identity, title, f"{attempt.address} accepts the password.")
    return _refused(identity, title, attempt, facts.account)


def smtp_send(facts: Facts) -> Finding:
    """Gmail's SMTP takes a test mail."""
    identity, title, attempt = "google-smtp-send", "Test mail", facts.attempt
    if isinstance(attempt, Unread):
        return _skipped(identity, title, attempt)
    if not attempt.signed_in:
        return _skipped(identity, title, Unread("Nothing was sent, because the sign-in was refused."))
    if attempt.refused_at:
        return _refused(identity, title, attempt, facts.account)
    if not attempt.sent_to:
        return _skipped(identity, title, Unread("No test mail was asked for.", "Name a recipient: --send-to ADDRESS."))
    return _ok(identity, title, f"{attempt.address} took a mail for {attempt.sent_to}.")


def _refused(identity: str, title: str, attempt: Attempt, account: Account) -> Finding:
    """A refusal with the cause that fits best what is known of the account."""
    seen = f"{attempt.address} refuses {attempt.refused_at}: {attempt.said}"
    known = meaning(attempt.code, attempt.enhanced)
    if known is None:
        return Finding(
            identity,
            title,
            Status.PROBLEM,
            seen,
            "This reply is not known here.",
            "Look it up in Google's list of SMTP errors.",
            ("https://support.google.com/a/answer/3726730",),
        )
    cause, remedy = known.cause, known.remedy
    if (known.code, known.enhanced) == (535, "5.7.8"):
        cause, remedy = _wrong_password(attempt, account, cause, remedy)
    return Finding(identity, title, Status.PROBLEM, seen, cause, remedy, known.links)


def _wrong_password(attempt: Attempt, account: Account, cause: str, remedy: str) -> tuple[str, str]:
    if account.suspended is True:
        return "The user is suspended.", "The administrator reactivates the user."
    if account.enrolled is False:
        return (
            "2-Step Verification is off, so there are no app passwords; the account's own password is no longer taken.",
            "Turn on 2-Step Verification, then create an app password.",
        )
    if account.app_passwords == 0 and not isinstance(account.app_passwords, bool):
        return "The user has no app password (any more).", "Create an app password and enter it."
    if not attempt.looks_like_app_password:
        return f"What was given is no app password: those are 16 letters. {cause}", remedy
    return cause, remedy


RULES: tuple[Rule, ...] = (
    account_active,
    two_step_allowed,
    two_step_enforced,
    two_step_on,
    app_password,
    smtp_login,
    smtp_send,
)
"""In the order in which a reader mends them."""


def judge(facts: Facts) -> list[Finding]:
    """All findings."""
    return [rule(facts) for rule in RULES]
