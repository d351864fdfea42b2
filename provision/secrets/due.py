"""When a client secret is to be rotated, and how long its successor and its own grace last.

The rule: a secret is rotated while the overlap and a margin are left of it, so that a run that fails can be repeated
for the whole margin (lifetime = 2 x interval + margin, the rule of Infisical's dual-phase rotation, turned round). A
tenant whose policy allows only short lives gets a shorter margin: never more than half of a life is given away, or
every run would rotate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from provision.errors import InvalidInput

OVERLAP = timedelta(days=7)
MARGIN = timedelta(days=30)


@dataclass(frozen=True)
class Pace:
    """How rotation is paced."""

    overlap: timedelta = OVERLAP
    """How long the old secret goes on working after every sink was seen to hold the new one."""
    margin: timedelta = MARGIN
    """How much life is left, beyond the overlap, when rotation becomes due."""

    def __post_init__(self) -> None:
        if self.overlap < timedelta(0) or self.margin < timedelta(0):
            raise InvalidInput("Overlap and margin cannot be negative.", remedy="For example --overlap 7d.")

    def lead(self, lifetime: timedelta | None) -> timedelta:
        """How long before its end a secret is due.

        Args:
            lifetime: of the secret, from its start to its end; None when its start is not known.
        """
        wanted = self.overlap + self.margin
        return wanted if lifetime is None else min(wanted, max(lifetime / 2, timedelta(0)))

    def is_due(self, *, start: datetime | None, end: datetime, now: datetime) -> bool:
        """Whether a secret is to be rotated now.

        Args:
            start: when it became valid.
            end: when it expires.
            now: the present, by Microsoft's clock.
        """
        return end - now <= self.lead(None if start is None else end - start)

    def require_fits(self, lifetime: timedelta, words: str = "client secret") -> None:
        """Refuses an overlap that a new secret would not outlive comfortably.

        Args:
            lifetime: of the new secret.
            words: what it is, for the message.

        Raises:
            InvalidInput: the overlap is longer than half of it.
        """
        if self.overlap > lifetime / 2:
            hours = max(1, int(lifetime / timedelta(hours=1) / 4))
            raise InvalidInput(
                f"An overlap of {days(self.overlap)} does not fit a {words} that lives {days(lifetime)}.",
                remedy=f"Use --overlap {hours}h, or ask for a longer lifetime.",
            )


def days(span: timedelta) -> str:
    """A span in words: days, or hours below two days."""
    if span >= timedelta(days=2):
        return f"{span.days} days"
    hours = span / timedelta(hours=1)
    return f"{hours:.0f} hours" if hours >= 2 else f"{span / timedelta(minutes=1):.0f} minutes"
