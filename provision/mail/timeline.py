"""What a proof did, step after step: done, refused or skipped, with the answer, the reason and how long it took.

Owns: the values and their order. Does not own: how they are shown (``cli``), what a refusal means (``diagnose``).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn, TypeVar

from provision.errors import ProvisionError

T = TypeVar("T")


class Outcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    REFUSED = "refused"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Stage:
    """One step of a proof. No secret is in it: what was sent is never kept."""

    way: str
    """secret, sign-in, graph, smtp or ews."""
    name: str
    outcome: Outcome
    seconds: float = 0.0
    said: str = ""
    """What was answered or seen, or why it was skipped; one line."""
    remedy: str = ""
    """What to do, where the step knows it."""
    exact: bool = False
    """Whether the remedy is for this very case, so that it says more than the answer's code in general does."""


class Timeline:
    """Collects the steps of a proof.

    Args:
        tell: told each step as it ends.
    """

    def __init__(self, tell: Callable[[Stage], None] = lambda _stage: None) -> None:
        self.stages: list[Stage] = []
        self._tell = tell

    @contextlib.contextmanager
    def way(self) -> Iterator[None]:
        """One way of sending: it ends at its first refusal, and the next one begins."""
        with contextlib.suppress(_Ended):
            yield

    def take(self, way: str, name: str, work: Callable[[], T], said: Callable[[T], str] = lambda _: "") -> T:
        """Takes a step; a refusal is noted and ends the way.

        Args:
            way: see ``Stage``.
            name: the step's name.
            work: does it; raises ProvisionError when it is refused.
            said: what to note of the result.
        """
        began = time.monotonic()
        try:
            result = work()
        except ProvisionError as refused:
            self.refuse(way, name, refused.message, refused.remedy, seconds=time.monotonic() - began)
        self.note(Stage(way, name, Outcome.DONE, time.monotonic() - began, said(result)))
        return result

    def refuse(
        self, way: str, name: str, said: str, remedy: str = "", *, seconds: float = 0.0, exact: bool = False
    ) -> NoReturn:
        """Notes a refusal and ends the way; takes what ``Stage`` does."""
        self.note(Stage(way, name, Outcome.REFUSED, seconds, said, remedy, exact))
        raise _Ended

    def skip(self, way: str, name: str, reason: str, remedy: str = "") -> None:
        """Notes a step that was not taken, and why."""
        self.note(Stage(way, name, Outcome.SKIPPED, 0.0, reason, remedy))

    def note(self, stage: Stage) -> None:
        """Adds a step."""
        self.stages.append(stage)
        self._tell(stage)

    def any(self, outcome: Outcome) -> bool:
        """Whether a step ended so."""
        return any(stage.outcome is outcome for stage in self.stages)


class _Ended(Exception):
    """The way is over; its last step says why."""
