"""One-way storage of secrets and passwords: the local tenant, like Entra, cannot show a secret again.

Entra's client secrets are random and long, so one salted SHA-256 is enough for them and keeps the server quick to start.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets


def hash_secret(value: str) -> str:
    """``salt$digest`` of a secret or password, both in hexadecimal."""
    salt = secrets.token_hex(8)
    return f"{salt}${hashlib.sha256((salt + value).encode()).hexdigest()}"


def matches(value: str, stored: str) -> bool:
    """Whether the value is the one that was stored; compared in constant time."""
    salt, _, digest = stored.partition("$")
    return hmac.compare_digest(hashlib.sha256((salt + value).encode()).hexdigest(), digest)
