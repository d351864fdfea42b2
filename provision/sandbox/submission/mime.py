"""A message as it came over the wire becomes a ``message`` document as Graph shows it.

Owns: reading MIME (by the standard library). Does not own: who gets the message (``post``).
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime

from provision.sandbox.directory import Clock, Document

_SERVER = "LOC0P000MB0001.LOC0P000.PROD.OUTLOOK.COM"
_TEXTS = ("text/html", "text/plain")
_PREVIEW = 255
_BLIND = re.compile(rb"^bcc[ \t]*:.*?\r\n(?![ \t])", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_IMPORTANCE = {"high": "high", "low": "low", "normal": "normal", "1": "high", "2": "high", "4": "low", "5": "low"}


def new_id() -> str:
    """A message's id in the form of Exchange's: base64url, long, letter case significant."""
    return "AAMkA" + base64.urlsafe_b64encode(uuid.uuid4().bytes * 4).rstrip(b"=").decode()


def parse(content: bytes) -> EmailMessage:
    """The message; never fails, like a mail server: what is malformed is kept as it is."""
    return BytesParser(policy=policy.default.clone(raise_on_defect=False)).parsebytes(content)


def without_blind_copies(content: bytes) -> bytes:
    """The message without its ``Bcc`` fields, which are for nobody's eyes but the sender's."""
    head, end, body = content.partition(b"\r\n\r\n")
    if not end:
        head, end = content.rstrip(b"\r\n"), b"\r\n"  # fields alone, without a body
    return _BLIND.sub(b"", head + b"\r\n") + end[2:] + body


def senders(message: EmailMessage) -> list[str]:
    """The addresses of ``From`` in lower case; empty when there is none."""
    return [address.addr_spec.lower() for address in _addresses(message, "from")]


def message_id(message: EmailMessage) -> str:
    """The ``Message-ID`` of the client, else one in the form of Exchange's."""
    given = _header(message, "message-id").strip()
    return given if re.fullmatch(r"<[^<>\s]+>", given) else f"<{uuid.uuid4().hex.upper()}@{_SERVER}>"


def document(message: EmailMessage, *, identity: str, sender: Document, clock: Clock) -> Document:
    """The message as a document, without id, owner and folder.

    Args:
        message: the parsed message.
        identity: its ``Message-ID``.
        sender: the recipient object for ``from`` where the message has none, and for ``sender``.
        clock: the tenant's time.
    """
    now = clock.iso()
    kind, text = _body(message)
    attachments = [_attachment(part) for part in _attachment_parts(message)]
    plain = re.sub(r"<(style|script)\b.*?</\1\s*>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    written = _recipients(message, "from")
    return {
        "createdDateTime": now,
        "lastModifiedDateTime": now,
        "categories": [],
        "receivedDateTime": now,
        "sentDateTime": _sent(message) or now,
        "hasAttachments": any(not attachment["isInline"] for attachment in attachments),
        "internetMessageId": identity,
        "internetMessageHeaders": [
            {"name": name, "value": re.sub(r"[\r\n]+", "", str(value)).strip()} for name, value in message.raw_items()
        ],
        "subject": _header(message, "subject"),
        "bodyPreview": " ".join((plain if kind == "html" else text).split())[:_PREVIEW],
        "importance": _importance(message),
        "conversationId": new_id(),
        "isDeliveryReceiptRequested": "return-receipt-to" in message,
        "isReadReceiptRequested": "disposition-notification-to" in message,
        "isRead": True,
        "isDraft": False,
        "inferenceClassification": "focused",
        "body": {"contentType": kind, "content": text},
        "sender": sender,
        "from": written[0] if written else sender,
        "toRecipients": _recipients(message, "to"),
        "ccRecipients": _recipients(message, "cc"),
        "bccRecipients": _recipients(message, "bcc"),
        "replyTo": _recipients(message, "reply-to"),
        "flag": {"flagStatus": "notFlagged"},
        "_attachments": attachments,
    }


def recipient(address: str, name: str = "") -> Document:
    """A recipient object; the name is the address where there is none, as Exchange shows it."""
    return {"emailAddress": {"name": name or address, "address": address}}


def written_addresses(values: Document) -> set[str]:
    """The addresses that the message's own fields name, in lower case."""
    fields = ("toRecipients", "ccRecipients", "bccRecipients")
    return {row["emailAddress"]["address"].lower() for field in fields for row in values[field]}


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, "")).replace("\r", "").replace("\n", "")
    except (ValueError, IndexError, AttributeError):  # headers that the standard library's parser cannot read
        return ""


def _addresses(message: EmailMessage, name: str) -> Sequence[Address]:
    found: list[Address] = []
    for header in _all(message, name):
        found += [address for address in getattr(header, "addresses", ()) if address.domain]
    return found


def _all(message: EmailMessage, name: str) -> Iterable[object]:
    try:
        return message.get_all(name, [])
    except (ValueError, IndexError, AttributeError):
        return ()


def _recipients(message: EmailMessage, name: str) -> list[Document]:
    return [recipient(address.addr_spec, address.display_name) for address in _addresses(message, name)]


def _importance(message: EmailMessage) -> str:
    for name in ("importance", "x-priority"):
        value = _header(message, name).strip().lower()
        if value:
            return _IMPORTANCE.get(value.split()[0], "normal")
    return "normal"


def _sent(message: EmailMessage) -> str | None:
    try:
        moment = parsedate_to_datetime(_header(message, "date"))
    except (ValueError, TypeError):
        return None
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _body_part(message: EmailMessage) -> EmailMessage | None:
    part = message.get_body(("html", "plain"))
    return part if isinstance(part, EmailMessage) else None


def _body(message: EmailMessage) -> tuple[str, str]:
    part = _body_part(message)
    if part is None:
        return "text", ""
    try:
        text = part.get_content()
    except (LookupError, KeyError, ValueError):
        raw = part.get_payload(decode=True)
        text = raw.decode("latin-1") if isinstance(raw, bytes) else ""
    return ("html" if part.get_content_type() == "text/html" else "text"), str(text)


def _attachment_parts(message: EmailMessage) -> Iterable[EmailMessage]:
    body = _body_part(message)
    for part in message.walk():
        if part is body or part.is_multipart() or not isinstance(part, EmailMessage):
            continue
        if part.get_content_type() in _TEXTS and not part.is_attachment() and part.get_filename() is None:
            continue  # the other alternative of the body
        yield part


def _attachment(part: EmailMessage) -> Document:
    raw = part.get_payload(decode=True)
    content = raw if isinstance(raw, bytes) else b""
    content_id = _header(part, "content-id").strip().strip("<>")
    return {
        "id": new_id(),
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": part.get_filename() or "untitled attachment",
        "contentType": part.get_content_type(),
        "size": len(content),
        "isInline": part.get_content_disposition() == "inline" or (bool(content_id) and not part.is_attachment()),
        "contentId": content_id or None,
        "contentBytes": base64.b64encode(content).decode(),
    }
