"""Messages signed as the Standard Webhooks specification 1.0.0 says (HMAC-SHA256, ``v1``), and the keys for it.

Two keys, separated by a blank, sign each message twice, for the time in which a receiver's key is changed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import InvalidInput
from provision.secrets.files import read_key_file

if TYPE_CHECKING:
    from standardwebhooks import Webhook

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)
"""Standard Webhooks 1.0.0, "Signature scheme": at least 192 bits, 512 at most."""


def signer(message_id: str, variable: str, environ: Mapping[str, str]) -> Callable[[bytes], dict[str, str]]:
    """Makes a message's headers, anew for each time it is sent.

    Args:
        message_id: by which the receiver knows a message that comes twice.
        variable: the variable with the key, in place of which one with ``_FILE`` may name a private file.
        environ: where they are.

    Raises:
        InvalidInput: see ``signing_keys``.
    """
    keys = signing_keys(variable, environ)

    def sign(content: bytes) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(key.sign(message_id, now, content.decode()) for key in keys),
        }

    return sign


def signing_keys(variable: str, environ: Mapping[str, str]) -> list[Webhook]:
    """The signing keys; no message names one.

    Raises:
        InvalidInput: none or both variables are set, the file is not private, or a key is not written as keys are.
    """
    from standardwebhooks import Webhook

    by_file = f"{variable}_FILE"
    given, file = environ.get(variable, ""), environ.get(by_file, "")
    if bool(given) == bool(file):
        raise InvalidInput(
            f"Give the webhook's key either in {variable} or in the file that {by_file} names.",
            remedy="The receiver shows it as whsec_…",
        )
    source = by_file if file else variable
    written = (read_key_file(Path(file), by_file) if file else given).split()
    keys = [_bytes(key) for key in written]
    if not keys or None in keys:
        raise InvalidInput(
            f"{source} does not hold a webhook's key: whsec_ and 24 to 64 bytes in Base64.",
            remedy="Copy it from the receiver once more.",
        )
    return [Webhook(key) for key in keys if key is not None]


def _bytes(key: str) -> bytes | None:
    try:
        decoded = base64.b64decode(key.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if key.startswith(_PREFIX) and len(decoded) in _KEY_BYTES else None
