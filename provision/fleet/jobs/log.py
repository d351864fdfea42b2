"""A tenant's own log of a run: what was said on the way, with the time, and no secret.

Owns: the file (0600, in folders of 0700) and taking secrets out of what goes into it. Does not own: what is said.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from provision.engine.state import without_passwords
from provision.errors import StateUnavailable

_SECRET_NAMES = re.compile(r"SECRET|PASSWORD|PASSPHRASE|TOKEN|CREDENTIALS?$|PRIVATE|API_?KEY|_KEY$|CONNECTION_?STRING")
_PLAIN = frozenset({"PROVISION_CREDENTIAL"})
"""Called like a secret and none: a way to sign in, as in "certificate", a word that sentences need."""
_SHORTEST = 6
"""Shorter values are no secrets worth the name, and taking them out would leave holes everywhere."""
_SHAPES = re.compile(
    r"eyJ[\w-]{10,}\.[\w-]+\.[\w-]*"  # a JSON Web Token
    r"|[\w~.-]{3}[78]Q~[\w~.-]{34}"  # a client secret of Entra
)
_HIDDEN = "[secret]"


class Log:
    """One file; use it as a context manager.

    Args:
        path: the file; what an earlier attempt wrote stays.
        environ: its values whose names say that they are secret never appear.

    Raises:
        StateUnavailable: the file cannot be made or opened.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        self.path = path
        self._secrets: list[str] = []
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8")
        except OSError as error:
            raise StateUnavailable(
                f"The log {path} cannot be written: {error.strerror}.",
                remedy="Correct the permissions of its folder, make room, or name another place with PROVISION_DATA.",
            ) from None
        self.hide(environ)

    def hide(self, environ: Mapping[str, str]) -> None:
        """Takes further values out of what is written from now on, and of what was not to be in it before."""
        values = [
            value
            for name, value in environ.items()
            if _SECRET_NAMES.search(name.upper()) and name not in _PLAIN and len(value) >= _SHORTEST
        ]
        self._secrets = sorted({*self._secrets, *values}, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """A text without the secrets that are known, and without what looks like one."""
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        return _SHAPES.sub(_HIDDEN, without_passwords(text))

    def write(self, text: str) -> None:
        """Writes one entry, which may have several lines."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock:
            if not self._file.closed:
                self._file.write(f"{at} {self.clean(text)}\n")
                self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._file.close()
