"""A variable of an env file on this machine, readable by its owner alone.

The address is ``envfile:/absolute/path`` or ``envfile:/absolute/path#VARIABLE`` (``MAIL_CLIENT_SECRET`` without it); a
``%`` in the path is written ``%25``, a ``#`` ``%23``, a blank ``%20``. Other lines of the file stay as they are. The
whole file is written anew beside the old one and renamed over it, so that a reader sees the old value or the new one
and never half a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from provision.errors import InvalidInput
from provision.secrets.files import ensure_replaceable, read_private_file, replace_private_file
from provision.secrets.sinks import Delivery, Stored

RIGHTS = "Write access to the file and its folder, as the user that the product runs as."
WITHOUT_CERTIFICATES = "a variable of an env file is one line, and readers disagree about more."

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT = "MAIL_CLIENT_SECRET"


@dataclass(frozen=True)
class EnvFile:
    """One variable of one file."""

    path: Path
    variable: str
    address: str

    def check(self) -> None:
        """Refuses what cannot be written, and a file that others may read."""
        ensure_replaceable(self.path)
        self._lines()

    def stored(self) -> Stored | None:
        """The variable's value; None when the file or the variable is not there."""
        lines = self._lines()
        at = self._line_of(lines)
        if at is None:
            return None
        value = lines[at].partition("=")[2].strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        return Stored(value=value) if value else None

    def write(self, delivery: Delivery) -> None:
        """Sets the variable; Entra's secrets need no quoting (letters, digits and ``~ . _ -``), and others get it."""
        lines = self._lines()
        shown = delivery.value if re.fullmatch(r"[A-Za-z0-9~._-]+", delivery.value) else f"'{delivery.value}'"
        line = f"{self.variable}={shown}"
        at = self._line_of(lines)
        if at is None:
            lines.append(line)
        else:
            lines[at] = line
        replace_private_file(self.path, "\n".join(lines) + "\n")

    def remove(self) -> None:
        """Takes the variable's line out; a file that is empty then is removed."""
        lines = self._lines()
        at = self._line_of(lines)
        if at is None:
            return
        del lines[at]
        if lines:
            replace_private_file(self.path, "\n".join(lines) + "\n")
        else:
            self.path.unlink(missing_ok=True)

    def _lines(self) -> list[str]:
        text = read_private_file(self.path)
        return [] if text is None else text.splitlines()

    def _line_of(self, lines: list[str]) -> int | None:
        """The last line that sets the variable: the one that counts for a reader."""
        name = re.compile(rf"\s*(export\s+)?{re.escape(self.variable)}\s*=")
        return next((at for at in range(len(lines) - 1, -1, -1) if name.match(lines[at])), None)


def open_sink(rest: str, environ: Mapping[str, str]) -> EnvFile:  # noqa: ARG001 - a file needs no sign-in
    """The sink of ``/path#VARIABLE``.

    Raises:
        InvalidInput: the path is not absolute, or the variable is none.
    """
    place, _, variable = rest.partition("#")
    path = Path(unquote(place))
    name = variable or _DEFAULT
    if not path.is_absolute() or "\0" in str(path):
        raise InvalidInput(
            f"The env file {place!r} is not an absolute path.", remedy="For example envfile:/srv/tms/mail.env"
        )
    if not _VARIABLE.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is not a variable's name.", remedy="Use letters, digits and _, for example MAIL_CLIENT_SECRET."
        )
    return EnvFile(path, name, f"envfile:{place}#{name}")
