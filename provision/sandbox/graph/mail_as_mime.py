"""A message as MIME: as it was handed in, else written from its properties, as messages of Graph or EWS are.

Sources: "Get MIME content of a message", "MimeContent" (EWS reference).
"""

from __future__ import annotations

import base64
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from provision.sandbox.directory import Directory, Document

_POLICY = SMTP.clone(max_line_length=900)
"""Long headers stay in one line: Python would put a long Message-ID behind a line's end."""
_HEADERS = {"From": "from", "To": "toRecipients", "Cc": "ccRecipients", "Reply-To": "replyTo"}


def of(directory: Directory, message: Document) -> bytes:
    """The MIME content of a stored message."""
    kept = message.get("_mime")
    if kept is None:
        return written(message)
    tenant, identity = kept
    stored = directory.get(tenant, "mime", identity, fresh=True)
    return base64.b64decode(stored["content"]) if stored else b""


def written(message: Document) -> bytes:
    """The message document as MIME."""
    mime = EmailMessage(policy=_POLICY)
    for header, name in _HEADERS.items():
        if people := _addresses(message.get(name)):
            mime[header] = people
    mime["Subject"] = message["subject"]
    mime["Date"] = format_datetime(datetime.fromisoformat(message["sentDateTime"].replace("Z", "+00:00")))
    mime["Message-ID"] = message["internetMessageId"]
    body = message["body"]
    mime.set_content(body["content"], subtype="html" if body["contentType"].lower() == "html" else "plain")
    for attachment in message["_attachments"]:
        main, _, sub = str(attachment.get("contentType") or "application/octet-stream").partition("/")
        content = base64.b64decode(attachment.get("contentBytes") or "")
        mime.add_attachment(content, maintype=main, subtype=sub or "octet-stream", filename=attachment["name"])
    return mime.as_bytes()


def _addresses(value: Any) -> list[Address]:
    rows = value if isinstance(value, list) else [value] if value else []
    pairs = (row["emailAddress"] for row in rows)
    return [Address(display_name=pair.get("name") or "", addr_spec=pair["address"]) for pair in pairs]
