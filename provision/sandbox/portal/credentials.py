"""How long a secret or certificate still lives, in the words and colours that the portal shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from provision.sandbox.directory import Document

SOON_DAYS = 30
"""From here on a secret is shown as one that must be replaced."""


@dataclass(frozen=True)
class Credential:
    """One secret or certificate, without its value."""

    name: str
    kind: str
    """``secret`` or ``certificate``."""
    key_id: str
    hint: str
    """The first characters, as Microsoft's portal shows them; empty for a certificate."""
    starts: str
    ends: str
    days: int
    """Whole days until the end; negative: whole days since."""
    state: str
    """``expired``, ``soon``, ``pending`` (not valid yet) or ``good``."""

    @property
    def words(self) -> str:
        """The time left, for people."""
        if self.state == "expired":
            return f"expired {_days(-self.days)} ago" if self.days else "expired today"
        if self.state == "pending":
            return "not valid yet"
        return f"{_days(self.days)} left" if self.days else "less than a day left"


def _days(number: int) -> str:
    return f"{number} day" if number == 1 else f"{number} days"


def _epoch(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _credential(document: Document, kind: str, now: float) -> Credential:
    starts, ends = _epoch(document.get("startDateTime")), _epoch(document.get("endDateTime"))
    left = math.inf if ends is None else ends - now
    days = 0 if math.isinf(left) else math.trunc(left / 86400)
    state = "good"
    if left <= 0:
        state = "expired"
    elif starts is not None and starts > now:
        state = "pending"
    elif left < SOON_DAYS * 86400:
        state = "soon"
    return Credential(
        name=document.get("displayName") or "(no name)",
        kind=kind,
        key_id=str(document.get("keyId", "")),
        hint=str(document.get("hint") or ""),
        starts=document.get("startDateTime") or "",
        ends=document.get("endDateTime") or "",
        days=days,
        state=state,
    )


def credentials(document: Document, now: float) -> list[Credential]:
    """The secrets and certificates of an application or service principal, the one that ends first on top.

    Args:
        document: the object as stored.
        now: seconds since 1970, by the tenant's clock.
    """
    found = [_credential(item, "secret", now) for item in document.get("passwordCredentials") or []]
    found += [_credential(item, "certificate", now) for item in document.get("keyCredentials") or []]
    return sorted(found, key=lambda credential: credential.ends)
