"""Makes a document fit to be kept: JSON that both databases take, and nothing in it that looks like a secret.

Nothing secret is handed to the store. But an outcome quotes what others answered, so texts are looked through once more
where they are kept for long and read by many.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from provision.engine.state import without_passwords

_SECRETS = re.compile(
    r"(?<![\w~.-])[\w~.-]{3}\dQ~[\w~.-]{31,34}(?![\w~.-])"  # a client secret of Entra; see ``sandbox/hashing.py``
    r"|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]*"  # a JSON Web Token (RFC 7519)
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"  # RFC 7468
)
_NOT_KEPT = re.compile("[\0\ud800-\udfff]")
"""PostgreSQL's documentation, "JSON Types": jsonb takes neither NUL nor half a surrogate pair."""


def fit(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it is kept; a tuple in it becomes a list.

    Raises:
        ValueError: it holds NaN.
        TypeError: it holds something that JSON has not.
    """
    plain = json.loads(json.dumps(dict(document), allow_nan=False))
    found: dict[str, Any] = _fit(plain)
    return found


def _fit(value: Any) -> Any:
    if isinstance(value, str):
        return without_passwords(_SECRETS.sub("****", _NOT_KEPT.sub("\N{REPLACEMENT CHARACTER}", value)))
    if isinstance(value, dict):
        return {_fit(name): _fit(part) for name, part in value.items()}
    return [_fit(part) for part in value] if isinstance(value, list) else value
