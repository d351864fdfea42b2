"""Where a fleet's run stands, on standard error: a bar in place on a terminal, a line every 20 seconds elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from provision.fleet.coordinator import Standing
    from provision.fleet.outcome import Outcome

_EVERY_SECONDS = 20.0
_WAITING = {
    "throttled": "waiting on throttling",
    "unanswered": "waiting for an answer",
    "elsewhere": "worked on elsewhere",
    "worker lost": "waiting for a new worker",
}
"""What a tenant waits for, but for its turn."""


class Shown(Protocol):
    """Shows a run."""

    def tell(self, standing: Standing) -> None:
        """Shows where it stands."""

    def ended(self, outcome: Outcome) -> None:
        """Shows one tenant's end where it is worth a line."""

    def say(self, line: str) -> None:
        """Shows a line of its own."""


@contextmanager
def shown(action: str) -> Iterator[Shown]:
    """How a run is shown on this machine.

    Args:
        action: the command's word, as in ``up``.
    """
    if not sys.stderr.isatty():
        yield _Lines(action)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(action), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress)


def words(standing: Standing) -> str:
    """The standing in words: what was done, what runs, what waits for what, and the time left."""
    parts = [f"{count} {status}" for status, count in standing.done.items() if count]
    parts.append(f"{standing.running} running")
    parts += [f"{count} {_WAITING[reason]}" for reason, count in standing.waiting.items() if count and reason]
    if standing.seconds_left is not None and sum(standing.done.values()) < standing.total:
        parts.append(f"about {_time(standing.seconds_left)} left")
    return ", ".join(parts)


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))).removeprefix("0:")


def _end(outcome: Outcome) -> str:
    return f"{outcome.key}: {outcome.failure.message}" if outcome.failure else ""


class _Lines:
    """Lines in a log."""

    def __init__(self, action: str) -> None:
        self._action = action
        self._told = time.monotonic()

    def tell(self, standing: Standing) -> None:
        if time.monotonic() - self._told >= _EVERY_SECONDS:
            self._told = time.monotonic()
            done = sum(standing.done.values())
            self.say(f"{self._action}: {done} of {standing.total} tenants: {words(standing)}")

    def ended(self, outcome: Outcome) -> None:
        if line := _end(outcome):
            self.say(line)

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


class _Bar:
    """A bar on a terminal."""

    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, words="")

    def tell(self, standing: Standing) -> None:
        done = sum(standing.done.values())
        self._progress.update(self._task, total=standing.total, completed=done, words=words(standing))

    def ended(self, outcome: Outcome) -> None:
        if line := _end(outcome):
            self.say(line)

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
