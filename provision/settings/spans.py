"""Spans of time as people write them on a command line: ``7d``, ``12h``, ``8w``."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_LONGEST = timedelta(days=3650)


def span(text: str) -> timedelta:
    """Reads a number and a unit: s, m (minutes), h, d or w.

    Args:
        text: for example ``7d``.

    Raises:
        ValueError: it is none, or longer than ten years; the message says what it must be.
    """
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    length = int(found[1]) * _UNITS[found[2]] if found else None
    if length is None or length > _LONGEST:
        raise ValueError("must be a number and a unit (s, m, h, d, w) like 7d, at most ten years")
    return length
