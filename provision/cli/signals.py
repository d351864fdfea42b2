"""What a command that runs for long does when it is to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_stop(stop: Callable[[], None]) -> Iterator[None]:
    """Calls a function for each Ctrl-C and each SIGTERM, instead of being ended by it."""

    def heard(_signal: int, _frame: FrameType | None) -> None:
        stop()

    before: dict[int, Callable[..., object] | int | None] = {
        number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
