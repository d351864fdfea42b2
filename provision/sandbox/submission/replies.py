"""What Exchange Online says over SMTP: one table of code, enhanced code, sentence and where it was read.

Owns: the words. Does not own: when a reply applies (``layers``, ``session``).

Replies end in a mark of the server that gave them, which no client may rely on: ``[SERVER time session]`` from the
front end, ``[Hostname=SERVER]`` from the mailbox server that took the message after ``DATA``
(nodemailer/nodemailer#1714, sabuhish/fastapi-mail#75). ``UNREAD`` marks a sentence that was not read at a source.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

SERVER = "LOC0P000CA0001"
"""The front end's name, of the form that Microsoft's have, of a region that does not exist."""
FRONT_END = f"{SERVER}.outlook.office365.com"
_FRONT_END_MARK = f"{SERVER}.LOC0P000.PROD.OUTLOOK.COM"
_MAILBOX_SERVER = "LOC0P000MB0001.LOC0P000.PROD.OUTLOOK.COM"

UNREAD = "not read at a source"

Mark = Literal["front end", "mailbox server", "none"]


class Reply(NamedTuple):
    """One row; ``text`` has placeholders in braces."""

    code: int
    enhanced: str
    text: str
    source: str
    mark: Mark = "front end"


_EHLO = "datawookie/emayili#147"
_EXCHANGE = "Exchange's own, in many public transcripts of its servers"
_SMTP_AUTH = "https://aka.ms/smtp_auth_disabled"
_FIX_ISSUES = (
    "MicrosoftDocs/OfficeDocs-Exchange, "
    "fix-issues-with-printers-scanners-and-lob-applications-that-send-email-using-off.md"
)
_LIMITS = "MicrosoftDocs/OfficeDocs-Support, smtp-submission-improvements.md"

TABLE: dict[str, Reply] = {
    # The conversation
    "starttls": Reply(220, "2.0.0", "SMTP server ready", _EHLO, "none"),
    "closing": Reply(221, "2.0.0", "Service closing transmission channel", _EXCHANGE, "none"),
    "authenticated": Reply(235, "2.7.0", "Authentication successful", _EXCHANGE, "none"),
    "noop": Reply(250, "2.0.0", "OK", _EXCHANGE, "none"),
    "reset": Reply(250, "2.0.0", "Resetting", _EXCHANGE, "none"),
    "sender": Reply(250, "2.1.0", "Sender OK", _EXCHANGE, "none"),
    "recipient": Reply(250, "2.1.5", "Recipient OK", _EXCHANGE, "none"),
    "chunk": Reply(250, "2.6.0", "CHUNK received OK, {size} octets", UNREAD, "none"),
    "accepted": Reply(
        250, "2.0.0", "OK {message_id}", "nodemailer/nodemailer, public logs of 2023 and 2025", "mailbox server"
    ),
    "verify": Reply(252, "2.1.5", "Cannot VRFY user", _EXCHANGE, "none"),
    "data": Reply(354, "", "Start mail input; end with <CRLF>.<CRLF>", _EXCHANGE, "none"),
    "timeout": Reply(451, "4.7.0", "Timeout waiting for client input", _EXCHANGE),
    "errors": Reply(421, "4.7.0", "Too many errors on this connection, closing transmission channel", _EXCHANGE),
    "unavailable": Reply(421, "4.3.2", "Service not available, closing transmission channel", UNREAD),
    "unrecognised": Reply(500, "5.3.3", "Unrecognized command 'unknown'", "simonrob/email-oauth2-proxy#232"),
    "too-long": Reply(500, "5.3.3", "Line too long", UNREAD),
    "arguments": Reply(501, "5.5.4", "Invalid arguments", _EXCHANGE),
    "domain-name": Reply(501, "5.5.4", "Invalid domain name", _EXCHANGE),
    "sender-address": Reply(501, "5.1.7", "Invalid address", _EXCHANGE),
    "recipient-address": Reply(501, "5.1.3", "Invalid address", _EXCHANGE),
    "cancelled": Reply(501, "5.7.0", "Authentication canceled", UNREAD),
    "undecodable": Reply(501, "5.5.4", "Cannot decode the authentication data", UNREAD),
    "hello-first": Reply(503, "5.5.2", "Send hello first", _EXCHANGE),
    "mail-first": Reply(503, "5.5.2", "Need mail command", _EXCHANGE),
    "recipient-first": Reply(503, "5.5.2", "Need rcpt command", _EXCHANGE),
    "sender-again": Reply(503, "5.5.2", "Sender already specified", _EXCHANGE),
    "authenticated-already": Reply(503, "5.5.2", "Already authenticated", UNREAD),
    "starttls-again": Reply(503, "5.5.2", "Only one STARTTLS command can be issued per session", UNREAD),
    "chunks-only": Reply(503, "5.5.2", "BINARYMIME content needs the BDAT command", UNREAD),
    "parameters": Reply(555, "5.5.4", "Unsupported option: {option}", UNREAD),
    "recipients": Reply(452, "4.5.3", "Too many recipients", UNREAD),
    "size": Reply(552, "5.3.4", "Message size exceeds fixed maximum message size", _EXCHANGE),
    "weather": Reply(451, "4.7.0", "Temporary server error. Please try again later", UNREAD),
    # Before authentication
    "starttls-first": Reply(451, "5.7.3", "STARTTLS is required to send mail", "apache/hertzbeat#2365"),
    "mechanism": Reply(
        504, "5.7.4", "Unrecognized authentication type", "mikel/mail#1357, sensu/sensu-email-handler#18"
    ),
    "authentication-first": Reply(
        530, "5.7.57", "Client not authenticated to send mail.", "simonrob/email-oauth2-proxy#315"
    ),
    "legacy-tls": Reply(
        421,
        "4.7.66",
        "TLS 1.0 and 1.1 are not supported. Please upgrade/update your client to support TLS 1.2. "
        "Visit https://aka.ms/smtp_auth_tls.",
        "https://m365scripts.com/security/opt-in-to-the-exchange-online-endpoint-for-legacy-tls-clients-using-smtp-auth/",
    ),
    # Signing in
    "retired": Reply(
        550,
        "5.7.30",
        "Basic authentication is not supported for Client Submission.",
        "https://techcommunity.microsoft.com/t5/exchange-team-blog/"
        "exchange-online-to-retire-basic-auth-for-client-submission-smtp/ba-p/4114750",
    ),
    "basic-disabled": Reply(
        535,
        "5.7.139",
        "Authentication unsuccessful, basic authentication is disabled.",
        "nodemailer/nodemailer#1714, lukevella/rallly#3154",
    ),
    "locked": Reply(535, "5.7.139", "Authentication unsuccessful, the user account is locked.", UNREAD),
    "credentials": Reply(
        535,
        "5.7.139",
        "Authentication unsuccessful, the user credentials were incorrect.",
        "freescout-help-desk/freescout#4930",
    ),
    "security-defaults": Reply(
        535,
        "5.7.139",
        "Authentication unsuccessful, user is locked by your organization's security defaults policy. "
        "Contact your administrator.",
        "https://docs.bookyourpto.com/features/smtp-troubleshoot and the full sentence in several public repositories",
    ),
    "criteria": Reply(
        535,
        "5.7.139",
        "Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. "
        "Contact your administrator.",
        "https://docs.bookyourpto.com/features/smtp-troubleshoot",
    ),
    "unsuccessful": Reply(
        535,
        "5.7.3",
        "Authentication unsuccessful",
        "tarickb/sasl-xoauth2#43, Azure-Samples/ms-identity-python-webapp#70",
    ),
    "no-mailbox": Reply(550, "5.2.1", "Mailbox cannot be accessed", "nodemailer/nodemailer#949 (550 to AUTH LOGIN)"),
    "mailbox-off": Reply(
        535,
        "5.7.139",
        "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. "
        f"Visit {_SMTP_AUTH} for more information.",
        "several public repositories that quote it",
    ),
    "organisation-off": Reply(
        535,
        "5.7.139",
        "Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. "
        f"Visit {_SMTP_AUTH} for more information.",
        "simonrob/email-oauth2-proxy#193, nodemailer/nodemailer#1484",
    ),
    # Handing a message over
    "concurrent": Reply(
        432,
        "4.3.2",
        "Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
        "sabuhish/fastapi-mail#75 (after DATA)",
        "mailbox server",
    ),
    "send-as": Reply(
        554,
        "5.2.252",
        "SendAsDenied; {login} not allowed to send as {sender}; "
        "STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message due "
        "to a permanent exception with message [BeginDiagnosticData]Cannot submit message.[EndDiagnosticData]",
        "gophish/gophish#2900",
        "mailbox server",
    ),
    "restricted": Reply(550, "5.1.8", "Access denied, bad outbound sender.", _FIX_ISSUES, "mailbox server"),
    "quota": Reply(
        554, "5.2.0", "STOREDRV.Submission.Exception:SubmissionQuotaExceededException", _LIMITS, "mailbox server"
    ),
}


def reply(name: str, *, session: str, now: float, **values: str) -> str:
    """A reply as it goes over the wire, without the line's end.

    Args:
        name: a row of ``TABLE``.
        session: the id of the conversation, 16 hexadecimal digits.
        now: the tenant's time in seconds since 1970.
        values: for the placeholders of the row.
    """
    row = TABLE[name]
    words = [str(row.code), row.enhanced, row.text.format(**values)]
    if row.mark == "front end":
        moment = datetime.fromtimestamp(now, UTC)
        stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
        words.append(f"[{_FRONT_END_MARK} {stamp} {session}]")
    elif row.mark == "mailbox server":
        words.append(f"[Hostname={_MAILBOX_SERVER}]")
    return " ".join(word for word in words if word)


def banner(now: float) -> str:
    """What follows ``220 SERVER``; the day of the month has no leading zero (email-oauth2-proxy#95)."""
    moment = datetime.fromtimestamp(now, UTC)
    return f"Microsoft ESMTP MAIL Service ready at {moment:%a}, {moment.day} {moment:%b %Y %H:%M:%S} +0000"
