"""``provision`` as a sweep runs it: killing itself at a write, or under a name of its own on the wire.

``python runner.py kill STAGE N COMMAND…`` sends SIGKILL to its own process group at the Nth write, from 0, of the
journal or of a file that holds the secret: ``before`` it, ``torn`` (between the temporary file and its new name), or
``after`` it. A command that ends before that says last how many writes it made.
``python runner.py name NAME COMMAND…`` adds a name to the user agent of each request, so that a fault of the local
tenant can hit this runner and not the one beside it.

The production code knows nothing of this: its methods are wrapped from here.
"""

from __future__ import annotations

import http.client
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from provision.cli import run
from provision.journal.directory import Directory
from provision.secrets.sinks.envfile import EnvFile
from provision.secrets.sinks.file import SecretFile

STAGES = ("before", "torn", "after")
_WRITERS: tuple[tuple[type[Any], str], ...] = ((Directory, "write"), (EnvFile, "write"), (SecretFile, "write"))


class Killer:
    """Counts writes and ends the process at one of them.

    Args:
        stage: one of ``STAGES``.
        at: which write, from 0.
    """

    def __init__(self, stage: str, at: int) -> None:
        self._stage = stage
        self._at = at
        self.seen = 0
        self._tearing = False

    def install(self) -> None:
        """Wraps the writers, and what gives a temporary file its name."""
        for owner, name in _WRITERS:
            setattr(owner, name, self._counted(getattr(owner, name)))
        setattr(Path, "replace", self._naming(Path.replace))  # noqa: B010 - mypy forbids to assign a method
        os.link = self._naming(os.link)

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            here = self.seen == self._at
            self.seen += 1
            if here and self._stage == "before":
                _die()
            self._tearing = here and self._stage == "torn"
            result = write(*arguments, **named)
            if here and self._stage == "after":
                _die()
            self._tearing = False
            return result

        return counted

    def _naming(self, name: Callable[..., Any]) -> Callable[..., Any]:
        def naming(*arguments: Any, **named: Any) -> Any:
            if self._tearing:
                _die()
            return name(*arguments, **named)

        return naming


def _die() -> NoReturn:
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("outlived SIGKILL")


def call_oneself(name: str) -> None:
    """Adds a name to the user agent of every request of this process."""
    import httpcore

    put = http.client.HTTPConnection.putheader

    def putheader(connection: Any, header: str, *values: Any) -> None:
        if header.lower() == "user-agent":
            values = (f"{values[0].decode() if isinstance(values[0], bytes) else values[0]} {name}",)
        put(connection, header, *values)

    setattr(http.client.HTTPConnection, "putheader", putheader)  # noqa: B010 - urllib and requests
    for pool, method in (
        (httpcore.ConnectionPool, "handle_request"),
        (httpcore.AsyncConnectionPool, "handle_async_request"),
    ):
        handle = getattr(pool, method)

        def named(itself: Any, request: Any, handle: Callable[..., Any] = handle) -> Any:
            request.headers = [
                (key, value + b" " + name.encode() if key.lower() == b"user-agent" else value)
                for key, value in request.headers
            ]
            return handle(itself, request)

        setattr(pool, method, named)


def main() -> int:
    """One command of ``provision``; its exit code."""
    what, *words = sys.argv[1:]
    if what == "name":
        name, *words = words
        call_oneself(name)
        return run(words)
    stage, at, *words = words
    killer = Killer(stage, int(at))
    killer.install()
    code = run(words)
    print(killer.seen)
    return code


if __name__ == "__main__":
    sys.exit(main())
