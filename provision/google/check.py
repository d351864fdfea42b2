"""The whole check of one user: what Workspace tells, one live sign-in, the findings.

Owns: the order of the steps. Does not own: the questions (``directory``), the dialogue (``mail.smtp``), the rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from provision.errors import InvalidInput
from provision.google import directory
from provision.google.facts import Account, Attempt, Facts, Unread
from provision.google.judge import Finding, judge
from provision.google.places import Google
from provision.mail.letter import Letter
from provision.mail.smtp import Dialogue, Password, converse

_ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
_APP_PASSWORD = re.compile(r"[A-Za-z]{16}")
NO_PASSWORD = Unread(
    "No app password was given, so nothing was tried.", "Give it with --password-file FILE, or type it when asked."
)


@dataclass(frozen=True)
class Administrator:
    """How Workspace is read: a service account's key, and whom it acts for."""

    key_file: Path
    address: str


@dataclass(frozen=True)
class Wish:
    """What is checked."""

    address: str
    administrator: Administrator | None = None
    password: str | None = field(default=None, repr=False)
    """The app password as it was given; its blanks do not count."""
    send_to: str = ""
    """Whom a test mail goes to; empty: none."""
    implicit_tls: bool = False
    """Port 465 with TLS from the first byte, instead of 587 with STARTTLS."""


def check(google: Google, wish: Wish) -> list[Finding]:
    """Looks at everything that can be looked at.

    Raises:
        InvalidInput: an address or the key file is wrong; nothing was sent.
        Unreachable: Google's APIs do not answer. That SMTP does not answer is a finding.
    """
    for address in (wish.address, wish.send_to, wish.administrator.address if wish.administrator else ""):
        if address and not _ADDRESS.fullmatch(address):
            raise InvalidInput(
                f"{address!r} is no e-mail address.", remedy="Give a full address, like anna@example.com."
            )
    account = Account(wish.address)
    if wish.administrator is not None:
        key = directory.Key.read(wish.administrator.key_file)
        account = directory.read_account(google, key, wish.administrator.address, wish.address)
    attempt = NO_PASSWORD if not wish.password else _attempt(google, wish, "".join(wish.password.split()))
    return judge(Facts(account, attempt))


def _attempt(google: Google, wish: Wish, password: str) -> Attempt:
    letter = Letter.written(wish.address, wish.send_to, "SMTP") if wish.send_to else None
    dialogue = converse(
        google.smtps_host if wish.implicit_tls else google.smtp_host,
        google.smtps_port if wish.implicit_tls else google.smtp_port,
        login=Password(wish.address, password),
        letter=letter,
        ca_file=google.ca_file,
        implicit_tls=wish.implicit_tls,
    )
    return attempted(dialogue, wish.send_to, app_password=bool(_APP_PASSWORD.fullmatch(password)))


def attempted(dialogue: Dialogue, send_to: str, *, app_password: bool) -> Attempt:
    """A dialogue as the facts keep it."""
    refused = dialogue.refused
    signed_in = any(step.name == "auth" and step.accepted for step in dialogue.steps)
    if refused is None:
        return Attempt(dialogue.address, signed_in, send_to, looks_like_app_password=app_password)
    return Attempt(
        dialogue.address,
        signed_in,
        "",
        refused.name,
        refused.code,
        refused.enhanced,
        refused.reply,
        app_password,
    )
