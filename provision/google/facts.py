"""What is known about a Google account, as values; what could not be read carries its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Unread:
    """Stands where a fact is missing."""

    reason: str
    """Why, one sentence."""
    remedy: str = ""
    """What to do so that it can be read."""
    link: str = ""


NOT_ASKED = Unread(
    "Nothing was read from Google Workspace.",
    "Give a service account's key file and an administrator: --service-account-file FILE --admin ADDRESS.",
)


@dataclass(frozen=True)
class Account:
    """A user as Google Workspace tells about him."""

    address: str
    exists: bool | Unread = NOT_ASKED
    suspended: bool | Unread = NOT_ASKED
    enrolled: bool | Unread = NOT_ASKED
    """Whether he has turned 2-Step Verification on."""
    enforced: bool | Unread = NOT_ASKED
    """Whether the organisation demands it."""
    allowed: bool | Unread = NOT_ASKED
    """Whether his organisational unit lets him turn it on."""
    only_security_keys: bool | Unread = NOT_ASKED
    """Whether the organisation takes security keys alone, which ends app passwords."""
    app_passwords: int | Unread = NOT_ASKED
    """How many he has."""
    unit: str = ""
    """The path of his organisational unit."""

    def unread(self, missing: Unread) -> Account:
        """The account with everything that depends on it missing for one reason."""
        return replace(
            self,
            exists=missing,
            suspended=missing,
            enrolled=missing,
            enforced=missing,
            allowed=missing,
            only_security_keys=missing,
            app_passwords=missing,
        )


@dataclass(frozen=True)
class Attempt:
    """A live dialogue with Gmail's SMTP, up to its first refusal."""

    address: str
    """``host:port``."""
    signed_in: bool
    sent_to: str = ""
    """Whom a test mail was handed over for; empty when none was."""
    refused_at: str = ""
    """The step that was refused, as ``mail.smtp`` names it."""
    code: int | None = None
    enhanced: str = ""
    said: str = ""
    """The whole reply, or why there was none."""
    looks_like_app_password: bool = True
    """Whether what was given has the form of an app password: 16 letters."""


@dataclass(frozen=True)
class Facts:
    """Everything that is judged."""

    account: Account
    attempt: Attempt | Unread
