"""The sample product's receiving side of a secret's rotation: is a message genuine, and what does it ask for?

Owns: the signature (Standard Webhooks specification 1.0.0, ``v1``: HMAC-SHA256), the timestamp, the message's shape.
Does not own: what was received before and what is stored (``store``). It uses the standard library alone, as a product
in any language would.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

TOLERANCE_SECONDS = 300
"""How far a message's timestamp may be from the product's clock, either way."""
MAX_BODY_BYTES = 20_000
"""Standard Webhooks, "Payload size"."""
_PREFIX = "whsec_"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""No full stop: it separates the parts of what is signed."""
_SECRET = re.compile(r"[\x21-\x7e]{1,256}")
ROTATED, REMOVED, STATUS = "client-secret.rotated", "client-secret.removed", "client-secret.status"
_FIELDS = {
    ROTATED: {"tenantId", "clientId", "keyId", "expires", "clientSecret"},
    REMOVED: {"keyId"},
    STATUS: set[str](),
}


@dataclass
class Rejected(Exception):
    """A message that is not taken; ``error`` is one word, and nothing of the message is told."""

    status: int
    error: str

    def __post_init__(self) -> None:
        super().__init__(self.error)


@dataclass(frozen=True)
class Message:
    """A genuine message."""

    id: str
    timestamp: int
    """When it was sent, seconds since 1970."""
    event: str
    values: Mapping[str, str] = field(repr=False)


def key_bytes(key: str) -> bytes | None:
    """The bytes of a key as it is shown (``whsec_`` and Base64); None when it is none, or not of 24 to 64 bytes."""
    try:
        decoded = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if key.startswith(_PREFIX) and 24 <= len(decoded) <= 64 else None


def read(key: str, headers: Mapping[str, str], body: bytes, now: float) -> Message:
    """Reads a message after its signature and its age were found right.

    Args:
        key: the company's key, as shown.
        headers: the request's, names in lower case.
        body: the request's, byte by byte as received.
        now: seconds since 1970.

    Raises:
        Rejected: 401 not signed with this key, too old or too new; 400 not a message of this protocol.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id) or not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise Rejected(HTTPStatus.UNAUTHORIZED, "no_signature")
    signed = b".".join([message_id.encode(), timestamp.encode(), body])
    expected = base64.b64encode(hmac.digest(key_bytes(key) or b"", signed, hashlib.sha256))
    given = [one.removeprefix("v1,") for one in headers.get("webhook-signature", "").split() if one.startswith("v1,")]
    if not key_bytes(key) or not any(hmac.compare_digest(one.encode(), expected) for one in given):
        raise Rejected(HTTPStatus.UNAUTHORIZED, "wrong_signature")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise Rejected(HTTPStatus.UNAUTHORIZED, "wrong_timestamp")
    event, values = _parsed(body)
    if event == ROTATED:
        _require_usable(message_id, values, now)
    return Message(message_id, int(timestamp), event, values)


def fingerprint(key_id: str, value: str) -> str:
    """What shows the sender that the value arrived whole, without telling it."""
    return hashlib.sha256(f"{key_id}.{value}".encode()).hexdigest()


def _parsed(body: bytes) -> tuple[str, dict[str, str]]:
    try:
        document: Any = json.loads(body)
    except ValueError:
        raise Rejected(HTTPStatus.BAD_REQUEST, "not_json") from None
    event = document.pop("event", None) if isinstance(document, dict) else None
    if not isinstance(event, str) or event not in _FIELDS:
        raise Rejected(HTTPStatus.BAD_REQUEST, "unknown_event")
    # A later sender may add fields; those that are known must be there.
    values = {name: document.get(name) for name in _FIELDS[event]}
    if not all(isinstance(value, str) and value for value in values.values()):
        raise Rejected(HTTPStatus.BAD_REQUEST, "missing_field")
    return event, values


def _require_usable(message_id: str, values: Mapping[str, str], now: float) -> None:
    if values["keyId"] != message_id:
        raise Rejected(HTTPStatus.BAD_REQUEST, "wrong_id")
    try:
        expires = datetime.fromisoformat(values["expires"])
    except ValueError:
        raise Rejected(HTTPStatus.BAD_REQUEST, "wrong_expiry") from None
    if expires.tzinfo is None or expires <= datetime.fromtimestamp(now, UTC):
        raise Rejected(HTTPStatus.BAD_REQUEST, "wrong_expiry")
    if not _SECRET.fullmatch(values["clientSecret"]):
        raise Rejected(HTTPStatus.BAD_REQUEST, "wrong_secret")
