"""Making client secrets, and one-way storage of secrets and passwords: like Entra, it cannot show one again.

Entra's client secrets are random and long: one salted SHA-256 is enough for them and keeps the server quick to start.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string


def hash_secret(value: str) -> str:
    """``salt$digest`` of a secret or password, both in hexadecimal."""
    salt = secrets.token_hex(8)
    return f"{salt}${hashlib.sha256((salt + value).encode()).hexdigest()}"


def matches(value: str, stored: str) -> bool:
    """Whether the value is the one that was stored; compared in constant time."""
    salt, _, digest = stored.partition("$")
    return hmac.compare_digest(hashlib.sha256((salt + value).encode()).hexdigest(), digest)


def new_secret() -> str:
    """A client secret of the length and alphabet that Entra uses (40 characters, ``8Q~`` after the third)."""
    alphabet = string.ascii_letters + string.digits + "_-~."
    first = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(3))
    return first + "8Q~" + "".join(secrets.choice(alphabet) for _ in range(34))
