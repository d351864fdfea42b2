"""The placeholders of a fleet file: words in braces in a sink or a credential's place, for which each row's own stand.

Owns: which there are, whether a text uses them rightly, and filling them in. Does not own: the sentences about it,
which name a row (``source``) or a credential (``credentials``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

NAMES = ("key", "tenant", "companyCode")
"""As the fields of a row are called."""
KNOWN = ", ".join(f"{{{name}}}" for name in NAMES)
"""The same for a sentence."""

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""What may be filled in: no slash, no dots alone, so that no name leads to another folder or another path of Vault."""


class Unfilled(Exception):
    """A row has nothing for a placeholder, or nothing that can be part of a place.

    Args:
        name: the placeholder's.
        value: what the row has.
    """

    def __init__(self, name: str, value: str | None) -> None:
        super().__init__(name)
        self.name = name
        self.value = value


def complaint(text: str) -> str | None:
    """What is wrong with the placeholders of a text, to follow the text's name in a sentence; None when nothing is."""
    for name in _PLACEHOLDER.findall(text):
        if name not in NAMES:
            return f"has an unknown placeholder {{{name}}}"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        return "has a brace that is not closed"
    return None


def is_in(text: str) -> bool:
    """Whether a text is another one for each row."""
    return _PLACEHOLDER.search(text) is not None


def filled(text: str, values: Mapping[str, str | None], write: Callable[[str], str] = str) -> str:
    """A text with the row's own values in it.

    Args:
        text: one without a complaint.
        values: by placeholder.
        write: how a value is written there.

    Raises:
        Unfilled: a value is missing or could lead elsewhere.
    """

    def fill(found: re.Match[str]) -> str:
        value = values.get(found[1])
        if value is None or not _SAFE.fullmatch(value):
            raise Unfilled(found[1], value)
        return write(value)

    return _PLACEHOLDER.sub(fill, text)
