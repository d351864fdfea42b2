"""How long an answer asks to wait before the next request: ``Retry-After``, in both of its forms.

Owns: reading it. Does not own: how long is too long to wait, and how long to wait without it, which differ from one
service to the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol


class Headers(Protocol):
    """Names and values, whoever's HTTP client they come from."""

    def items(self) -> Iterable[tuple[str, Any]]:
        """Each name, in any letter case, and its value."""


def retry_after(headers: Headers) -> float | None:
    """Seconds that an answer asks to wait (RFC 9110, 10.2.3).

    A number counts as it is, with the fraction that some services send; a moment counts from the answer's own ``Date``,
    so that no two machines' clocks are compared, and from this machine's clock only without one.

    Args:
        headers: the answer's.

    Returns:
        Seconds, 0 for a moment that is past; None when nothing is asked, or nothing that can be read.
    """
    named = {name.lower(): str(value).strip() for name, value in headers.items()}
    text = named.get("retry-after", "")
    if text.isascii() and text.replace(".", "", 1).isdigit():
        seconds = float(text)
        return seconds if math.isfinite(seconds) else None
    until, now = _moment(text), _moment(named.get("date", "")) or datetime.now(UTC)
    return None if until is None else max((until - now).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
