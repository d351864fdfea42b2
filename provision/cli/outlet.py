"""Standard output and standard error when nobody reads them any more: ``| head`` has seen enough, a terminal is closed.

Owns: that a command's work and exit code are the same whether somebody listens or not. Does not own: what is said.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast


@contextlib.contextmanager
def lasting_errors() -> Iterator[None]:
    """While this lasts, a line on standard error that cannot be written is lost and stops nothing."""
    with contextlib.redirect_stderr(cast(TextIO, _Lasting(sys.stderr))):
        yield


@contextlib.contextmanager
def unread_output() -> Iterator[None]:
    """What is written to standard output in here is written as far as it is read; the rest is lost, and no failure.

    For what only tells what was done. A secret, or whatever somebody waits for, is not written in here.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)


def silence(stream: TextIO) -> None:
    """Leads what is still written to a stream nowhere, so that the end of the process does not stumble over it.

    Python's documentation, "signal", "Note on SIGPIPE".
    """
    with contextlib.suppress(OSError, ValueError):  # a stream of a test has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Lasting:
    """A text stream whose reader may go.

    Args:
        stream: the stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            silence(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            silence(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
