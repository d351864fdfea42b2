"""A file on this machine that holds the secret and nothing else, readable by its owner alone.

The address is ``file:/absolute/path``; a ``%`` in the path is written ``%25``, a blank ``%20``. A file that holds
anything but a client secret, or a private key and certificate that this toolkit made, is never overwritten, and neither
of the two takes the other's place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from provision.errors import InvalidInput, WouldOverwrite
from provision.secrets.certificate import is_ours
from provision.secrets.files import ensure_replaceable, read_private_file, replace_private_file, write_new_private_file
from provision.secrets.record import WORDS, Kind
from provision.secrets.sinks import Delivery, Stored

RIGHTS = "Write access to the file and its folder, as the user that the product runs as."
WITHOUT_CERTIFICATES = ""

_SECRET = re.compile(r"[\x21-\x7e]{16,128}")
"""A client secret: one word of printable characters (Entra's have 40; nothing documents that they always will)."""


@dataclass(frozen=True)
class SecretFile:
    """One file."""

    path: Path
    address: str

    def check(self) -> None:
        """Refuses what cannot be written, a file that others may read, and one that holds something else."""
        ensure_replaceable(self.path)
        text = read_private_file(self.path)
        if text and _kind_of(text.removesuffix("\n")) is None:
            raise self._would_overwrite("something else than a client secret")

    def stored(self) -> Stored | None:
        """The file's text; None when the file is missing, empty or something else."""
        text = (read_private_file(self.path) or "").removesuffix("\n")
        return Stored(value=text) if _kind_of(text) else None

    def write(self, delivery: Delivery) -> None:
        """Writes the value and a line break; a name that is not taken yet stays safe from another writer."""
        text = read_private_file(self.path)
        if text is None:
            write_new_private_file(self.path, f"{delivery.value}\n")
            return
        self.check()
        if text and (there := _kind_of(text.removesuffix("\n"))) != delivery.kind:
            raise self._would_overwrite(f"a {WORDS[there or 'secret']}")
        replace_private_file(self.path, f"{delivery.value}\n")

    def remove(self) -> None:
        """Removes the file, if it holds a secret."""
        if self.stored() is not None:
            self.path.unlink(missing_ok=True)

    def _would_overwrite(self, what: str) -> WouldOverwrite:
        return WouldOverwrite(
            f"{self.path} already exists, holds {what}, and is not overwritten.",
            remedy="Name another file, or remove that one yourself.",
        )


def _kind_of(text: str) -> Kind | None:
    if _SECRET.fullmatch(text):
        return "secret"
    return "certificate" if is_ours(text) else None


def open_sink(rest: str, environ: Mapping[str, str]) -> SecretFile:  # noqa: ARG001 - a file needs no sign-in
    """The sink of an absolute path.

    Raises:
        InvalidInput: the path is not absolute.
    """
    path = Path(unquote(rest))
    if not path.is_absolute() or "\0" in str(path):
        raise InvalidInput(f"The file {rest!r} is not an absolute path.", remedy="For example file:/srv/tms/secret")
    return SecretFile(path, f"file:{rest}")
