"""How many tenants are worked on at once, and when one that has to wait is tried again. Pure.

Microsoft throttles a tenant or an application, not a machine, and says so by 429 with Retry-After ("Microsoft Graph
throttling guidance"); the client of each job heeds that within the job. What is left for a run is to ask less: additive
increase, multiplicative decrease, as TCP does (RFC 5681, section 3.1). Does not own: which tenants those are
(``coordinator``).
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_WAIT, LONGEST_WAIT = 5.0, 120.0
"""Seconds before a tenant's second attempt, and before any."""


def wait_before(attempt: int, *, first: float = FIRST_WAIT, longest: float = LONGEST_WAIT) -> float:
    """Seconds to leave a tenant alone before its next attempt: twice as long each time.

    Args:
        attempt: the attempt that comes, from 2.
        first: before the second.
        longest: never longer.
    """
    return min(longest, first * 2.0 ** min(max(0, attempt - 2), 32))


@dataclass
class Pace:
    """How many at once, between 1 and ``most``: halved when throttled, one more after each round that went well.

    All that are running when the pace is halved were begun at the old pace, so that their being throttled says nothing
    about the new one: until as many jobs have ended as were running then, the pace is not halved again.

    Args:
        most: how many the workers can take.
    """

    most: int
    width: float = 0.0
    """How many at once, with the fraction that is not yet one more; 0 means ``most``."""
    _settling: int = 0

    def __post_init__(self) -> None:
        self.most = max(1, self.most)
        self.width = min(self.width or float(self.most), float(self.most))

    @property
    def at_once(self) -> int:
        """How many tenants may be worked on now."""
        return max(1, int(self.width))

    def widen(self, most: int) -> None:
        """More or fewer workers are there than before."""
        grown = most > self.most and self.width >= self.most
        self.most = max(1, most)
        self.width = float(self.most) if grown else min(self.width, float(self.most))

    def ended(self, *, throttled: bool, running: int) -> None:
        """One job has ended.

        Args:
            throttled: Microsoft asked for fewer requests, and the job failed by that.
            running: how many others run still.
        """
        old_news = self._settling > 0
        self._settling = max(0, self._settling - 1)
        if not throttled:
            self.width = min(float(self.most), self.width + 1.0 / self.at_once)
        elif not old_news:
            self.width = max(1.0, self.at_once / 2)
            self._settling = running
