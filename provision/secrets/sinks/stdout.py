"""A person at a terminal, who reads the secret there and stores it somewhere by hand.

The address is ``stdout:terminal``, which writes to a terminal and to nothing else, or ``stdout:plain``, which writes
the value alone to standard output, wherever that leads (into a program, for example). Where the person keeps it nobody
else can look, so the terminal asks for the last four characters of what is stored there. They are kept in the journal:
a later run asks again, and compares, before it retires the secret before. (Microsoft Graph shows the first three to
everybody who may read the registration, as ``hint``.)
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC

from provision.errors import InvalidInput, NotDelivered
from provision.secrets.sinks import Delivery, Stored

RIGHTS = "None; somebody has to sit at the terminal, in this run and in the one that retires the secret before."
WITHOUT_CERTIFICATES = "every certificate ends in the same characters, so a person's answer would prove nothing."

_TERMINAL, _PLAIN = "terminal", "plain"
_TTY = "/dev/tty"
"""The terminal that the process belongs to, wherever its standard output leads."""
_ENDING = 4


@dataclass
class Person:
    """Whoever sits at this process's terminal."""

    address: str
    plain: bool
    _shown: Delivery | None = field(default=None, repr=False)
    _confirmed: Stored | None = field(default=None, repr=False)

    def check(self) -> None:
        """Refuses a standard output that is no terminal, unless plain, and a process that nobody sits at."""
        self._require_terminal_output()
        with _terminal():
            pass

    def stored(self) -> Stored | None:
        """Asks the person; None when they say that nothing is stored, or something else than what was shown.

        A confirmation counts for the rest of this run.
        """
        if self._confirmed is not None:
            return self._confirmed
        shown = self._shown
        if shown is None:
            said = _ask(
                f"The client secret that is stored now where you keep it: its last {_ENDING} characters "
                "(Enter when there is none, or you do not know): "
            )
            return Stored(changed=_ending(said)) if len(said) >= _ENDING else None
        said = _ask(
            f"Store the client secret {shown.key_id} now. The last {_ENDING} characters of what is stored there then: "
        )
        if _ending(said) != _ending(shown.value):
            with _terminal() as terminal:
                _say(terminal, "That is not how it ends.\n")
            return None
        self._confirmed = Stored(key_id=shown.key_id, changed=_ending(said))
        return self._confirmed

    def write(self, delivery: Delivery) -> None:
        """Shows the value; plain: writes it and a line break, and nothing else.

        Raises:
            NotDelivered: whoever reads standard output is gone.
        """
        self._require_terminal_output()
        self._confirmed = None
        text = f"{delivery.value}\n"
        if not self.plain:
            until = f"{delivery.expires.astimezone(UTC):%Y-%m-%d}"
            text = (
                f"\nThe new client secret of {delivery.client_id} (key id {delivery.key_id}, until {until}):\n\n"
                f"    {delivery.value}\n\nIt is not shown again. Clear the terminal when it is stored.\n\n"
            )
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            raise NotDelivered(
                f"Standard output did not take the client secret: {error.strerror}.",
                remedy="Look at the program that reads it, then run again.",
            ) from None
        self._shown = delivery

    def remove(self) -> None:
        """Asks the person to; nothing when nobody sits there."""
        self._shown = self._confirmed = None
        with contextlib.suppress(InvalidInput), _terminal() as terminal:
            _say(terminal, "Remove the client secret where you store it: it is not used any more.\n")

    def _require_terminal_output(self) -> None:
        if not self.plain and not sys.stdout.isatty():
            raise InvalidInput(
                "Standard output is not a terminal, so the client secret is not written there.",
                remedy="Run it at a terminal. If a program is to read the value: --sink stdout:plain",
            )


def _ask(question: str) -> str:
    """One line from the person; what was typed before the question does not count."""
    with _terminal() as terminal:
        termios.tcflush(terminal, termios.TCIFLUSH)
        _say(terminal, question)
        return os.read(terminal, 4096).decode(errors="replace").strip()


def _say(terminal: int, text: str) -> None:
    os.write(terminal, text.encode())


def _ending(value: str) -> str:
    return f"…{value[-_ENDING:]}"


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    try:
        terminal = os.open(_TTY, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise InvalidInput(
            "Nobody sits at a terminal who could say that the client secret is stored.",
            remedy="Run it at a terminal, or name another sink (docs/sinks.md).",
        ) from None
    try:
        yield terminal
    finally:
        os.close(terminal)


def open_sink(rest: str, environ: Mapping[str, str]) -> Person:  # noqa: ARG001 - a terminal needs no sign-in
    """The sink of ``terminal`` or ``plain``.

    Raises:
        InvalidInput: it is neither.
    """
    if rest not in (_TERMINAL, _PLAIN):
        raise InvalidInput(
            f"{rest!r} is no way to write to standard output.", remedy="Use stdout:terminal or stdout:plain."
        )
    return Person(f"stdout:{rest}", rest == _PLAIN)
