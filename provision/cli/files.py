"""Files that commands write because a person named them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from provision.errors import InvalidInput

PRIVATE = 0o600
"""For its owner alone: what is in it names customers."""


def put(file: Path, text: str | Iterable[str], *, mode: int = 0o644) -> None:
    """Writes a file in place of the one before; whoever reads it never sees half of it.

    Args:
        file: in a folder that is there.
        text: the content, whole or in pieces.
        mode: permission bits.

    Raises:
        InvalidInput: the file cannot be written.
    """
    from provision.engine.cache import write_atomically

    try:
        write_atomically(file, text, mode=mode)
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be written: {error.strerror}.", remedy="Name a file in a folder that is there and yours."
        ) from None
