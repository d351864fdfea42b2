"""Where a secret's value goes when Pulumi's state must not hold it. One entry in ``SINKS`` for each kind of place.

A sink can be checked before there is a secret, written once, and emptied again when the rest of the run fails.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from provision.errors import InvalidInput
from provision.secrets.files import ensure_writable, write_new_private_file


class Sink(Protocol):
    """A place for one secret."""

    def check(self) -> None:
        """Refuses (a ``ProvisionError``) when ``write`` could not succeed."""

    def write(self, value: str) -> None:
        """Stores the value."""

    def holds(self, hint: str) -> bool:
        """Whether a value that begins so is stored there."""

    def remove(self) -> None:
        """Removes what ``write`` stored; nothing when nothing is there."""


@dataclass(frozen=True)
class FileSink:
    """A new file, readable by its owner alone; an existing one is never overwritten."""

    path: Path

    def __str__(self) -> str:
        return f"the file {self.path}"

    def check(self) -> None:
        """Refuses a name that is taken or a folder that cannot be written."""
        ensure_writable(self.path)

    def write(self, value: str) -> None:
        """Writes the value and a line break."""
        write_new_private_file(self.path, f"{value}\n")

    def holds(self, hint: str) -> bool:
        """Whether the file is one that ``write`` made, with a value that begins so."""
        try:
            private = stat.S_IMODE(self.path.lstat().st_mode) == 0o600
            return private and self.path.read_text(encoding="utf-8").startswith(hint)
        except (OSError, UnicodeDecodeError):
            return False

    def remove(self) -> None:
        """Removes the file."""
        self.path.unlink(missing_ok=True)


SINKS: dict[str, Callable[[str], Sink]] = {
    "file": lambda rest: FileSink(Path(rest)),
}
"""Kind (the word before the colon of ``secretSink``) to what makes the sink from the rest."""


def sink_named(text: str) -> Sink:
    """The sink that ``secretSink`` names, for example ``file:/home/me/secret.txt``.

    Raises:
        InvalidInput: no such kind, or nothing after the colon.
    """
    kind, _, rest = text.partition(":")
    if kind not in SINKS or not rest:
        raise InvalidInput(
            f"office365-mail:secretSink is {text!r}; it must be a kind, a colon and a place.",
            remedy=f"Kinds: {', '.join(SINKS)}. For example file:/home/me/secret.txt",
        )
    return SINKS[kind](rest)
