"""What ``smtp.gmail.com`` says: one table of code, enhanced code, lines and where they were read.

Every refusal ends in a session's mark and ``- gsmtp`` on its last line ("Gmail SMTP errors and codes", Google Workspace
Admin Help); of several lines each repeats the code, the first with a hyphen. ``UNREAD``: not read at a source.
"""

from __future__ import annotations

import secrets
from typing import NamedTuple

HOST = "smtp.gmail.com"
UNREAD = "not read at a source"
_ERRORS = "https://support.google.com/a/answer/3726730"
_LOGS = "clients' logs in many public repositories"


class Reply(NamedTuple):
    """One row."""

    code: int
    enhanced: str
    lines: tuple[str, ...]
    source: str
    marked: bool = True
    """Whether the session's mark and ``gsmtp`` follow."""


TABLE: dict[str, Reply] = {
    # The conversation
    "starttls": Reply(220, "2.0.0", ("Ready to start TLS",), _LOGS, marked=False),
    "closing": Reply(221, "2.0.0", ("closing connection",), _LOGS),
    "authenticated": Reply(235, "2.7.0", ("Accepted",), _LOGS, marked=False),
    "ok": Reply(250, "2.1.0", ("OK",), _LOGS),
    "recipient": Reply(250, "2.1.5", ("OK",), _LOGS),
    "flushed": Reply(250, "2.1.5", ("Flushed",), _LOGS),
    "accepted": Reply(250, "2.0.0", ("OK  {moment}",), _LOGS),
    "data": Reply(354, "", ("Go ahead",), _LOGS),
    "verify": Reply(252, "2.1.5", ("Send some mail, I'll try my best",), _LOGS),
    "unrecognised": Reply(502, "5.5.1", ("Unrecognized command.",), _ERRORS),
    "syntax": Reply(555, "5.5.2", ("Syntax error, cannot decode response.",), _ERRORS),
    "too-long": Reply(500, "5.5.1", ("Line too long.",), UNREAD),
    "hello-first": Reply(503, "5.5.1", ("EHLO/HELO first.",), _ERRORS),
    "mail-first": Reply(503, "5.5.1", ("MAIL first.",), _ERRORS),
    "recipient-first": Reply(503, "5.5.1", ("RCPT first.",), _ERRORS),
    "size": Reply(
        552,
        "5.3.4",
        (
            "Your message exceeded Google's message size limits. For more information,",
            "go to",
            "https://support.google.com/mail/?p=MaxSizeError",
        ),
        _ERRORS,
    ),
    "recipients": Reply(
        452,
        "4.5.3",
        (
            "Your message has too many recipients. For more information regarding",
            "Google's sending limits, go to",
            "https://support.google.com/mail/?p=TooManyRecipientsError",
        ),
        _ERRORS,
    ),
    "recipient-address": Reply(
        553,
        "5.1.3",
        (
            "The recipient address <{address}> is not a valid RFC 5321 address. For",
            "more information, go to",
            "https://support.google.com/a/answer/3221692",
        ),
        _ERRORS,
    ),
    # Signing in
    "starttls-first": Reply(530, "5.7.0", ("Must issue a STARTTLS command first.",), _ERRORS),
    "authentication-first": Reply(
        530,
        "5.7.0",
        ("Authentication Required. For more information, go to", "https://support.google.com/mail/?p=WantAuthError"),
        _ERRORS,
    ),
    "mechanism": Reply(504, "5.7.4", ("Unrecognized Authentication Type",), _ERRORS),
    "undecodable": Reply(501, "5.5.2", ("Cannot Decode response",), _ERRORS),
    "app-password-required": Reply(
        534,
        "5.7.9",
        (
            "Application-specific password required. For more information, go to",
            "https://support.google.com/mail/?p=InvalidSecondFactor",
        ),
        _LOGS,
    ),
    "credentials": Reply(
        535,
        "5.7.8",
        (
            "Username and Password not accepted. For more information, go to",
            "https://support.google.com/mail/?p=BadCredentials",
        ),
        _LOGS,
    ),
    "too-many-logins": Reply(454, "4.7.0", ("Too many login attempts, please try again later.",), _LOGS),
    # Handing a message over
    "daily-limit": Reply(
        550,
        "5.4.5",
        (
            "Daily user sending limit exceeded. For more information on Gmail",
            "sending limits go to",
            "https://support.google.com/a/answer/166852",
        ),
        _LOGS,
    ),
    "busy": Reply(421, "4.7.0", ("Try again later, closing connection. ({command})",), _ERRORS),
    "weather": Reply(421, "4.3.0", ("Temporary System Problem. Try again later.",), _ERRORS),
}


def mark() -> str:
    """A session's mark, as Gmail makes them."""
    return f"{secrets.token_hex(8)}-{secrets.token_hex(5)}sm{secrets.randbelow(10**7)}.{secrets.randbelow(100)}"


def reply(name: str, session: str, **values: str) -> str:
    """A reply as it goes over the wire, its lines joined by CR LF, without the last line's end.

    Args:
        name: a row of ``TABLE``.
        session: ``mark()`` of the conversation.
        values: for the placeholders of the row.
    """
    row = TABLE[name]
    made = []
    for number, line in enumerate(row.lines):
        last = number == len(row.lines) - 1
        # The first line sets the code apart by one blank, those below by two, as Gmail writes them.
        words = [row.enhanced, ("" if number == 0 else " ") + line.format(**values)]
        if last and row.marked:
            words.append(f"{session} - gsmtp")
        made.append(f"{row.code}{' ' if last else '-'}{' '.join(word for word in words if word)}")
    return "\r\n".join(made)
