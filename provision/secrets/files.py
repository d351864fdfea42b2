"""Files that hold a secret: new, readable by their owner alone, complete or not there at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from provision.errors import InvalidInput, WouldOverwrite


def write_new_private_file(path: Path, text: str) -> None:
    """Writes a new file with mode 0600; a reader sees all of it or nothing, and nothing that exists is replaced.

    The text goes to a private sibling first and is linked into place, which fails when the name is taken (``os.link``
    never replaces), so two writers cannot both win.

    Args:
        path: the file to make; its folder must exist.
        text: what to write, UTF-8.

    Raises:
        WouldOverwrite: the name is taken.
        InvalidInput: the folder is missing, not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise WouldOverwrite(
            f"{path} already exists and is not overwritten.", remedy="Name another file, or remove that one yourself."
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}.", remedy="Name a file in a folder that exists and is yours."
        ) from None


def ensure_writable(path: Path) -> None:
    """Checks, before a secret is made, that ``write_new_private_file`` will be able to store it.

    Raises:
        WouldOverwrite: the name is taken.
        InvalidInput: the folder is missing or not writable.
    """
    if path.exists():
        raise WouldOverwrite(
            f"{path} already exists and is not overwritten.", remedy="Name another file, or remove that one yourself."
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidInput(
            f"{path} cannot be written: {path.parent} is not a folder that you may write to.",
            remedy="Name a file in a folder that exists and is yours.",
        )
