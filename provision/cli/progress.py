"""Progress on standard error: in place on a terminal, now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_EVERY_SECONDS = 20.0
_REPEATED = "building"
"""How lines begin that a long piece of work repeats each second."""


def progress() -> Callable[[str], None]:
    """Makes the function that shows one line.

    A repeated line replaces the one before it on a terminal; elsewhere it is shown every 20 seconds. Every other line
    is shown at once.
    """
    shown = {"at": float("-inf"), "open": False}

    def show(line: str) -> None:
        repeated = line.startswith(_REPEATED)
        if sys.stderr.isatty():
            begin = "\r\x1b[2K" if shown["open"] else ""
            print(f"{begin}{line}", end="" if repeated else "\n", file=sys.stderr, flush=True)
            shown["open"] = repeated
        elif not repeated or time.monotonic() - shown["at"] >= _EVERY_SECONDS:
            print(line, file=sys.stderr, flush=True)
            shown["at"] = time.monotonic() if repeated else shown["at"]

    return show


@contextmanager
def bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Shows how many pieces of a known number are done: a bar on a terminal, a line every 20 seconds elsewhere.

    Args:
        total: how many pieces there are.
        what: what is done to them, as in "setting".
    """
    if sys.stderr.isatty() and total:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
            task = shown.add_task(what, total=total)
            yield lambda done: shown.update(task, completed=done)
        return
    told = {"at": time.monotonic()}

    def tell(done: int) -> None:
        if time.monotonic() - told["at"] >= _EVERY_SECONDS:
            told["at"] = time.monotonic()
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)

    yield tell
