"""What has to be changed: pure. Only mailboxes that differ are in a plan, and none that cannot have SMTP AUTH."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from provision.mailbox.obstacles import Obstacle
from provision.mailbox.values import Mailbox, Switch


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    switch: Switch
    until: datetime | None = None
    """When an exception ends (UTC) and the value before comes back; None for no end."""


@dataclass(frozen=True)
class Change:
    """One mailbox to be set."""

    mailbox: Mailbox
    """As it is before."""
    switch: Switch
    """What it is to become."""


@dataclass(frozen=True)
class Refused:
    """A mailbox, or a name that is none, that is left as it is."""

    name: str
    reason: str
    """Follows the name in a sentence."""
    remedy: str
    obstacle: str = ""
    """A word for programs; see ``obstacles``."""

    @classmethod
    def by(cls, obstacle: Obstacle, name: str) -> Refused:
        """For an obstacle."""
        return cls(name, obstacle.reason, obstacle.remedy, obstacle.id)


@dataclass
class Plan:
    """What a run would do."""

    wish: Wish
    changes: list[Change] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    as_wanted: int = 0
    """How many have the value already."""
    settled: list[str] = field(default_factory=list)
    """Ids of mailboxes that have the value already, but by an exception whose end is to be another."""


def differing(mailboxes: Iterable[Mailbox], plan: Plan, settled: Callable[[str], bool]) -> list[Mailbox]:
    """Those that do not have the wanted value; the others are counted in the plan.

    Args:
        mailboxes: a stream; only what differs is kept.
        plan: knows what is asked for, and counts.
        settled: which of the others are to be remembered, by their ids.
    """
    found = []
    for mailbox in mailboxes:
        if mailbox.switch is not plan.wish.switch:
            found.append(mailbox)
            continue
        plan.as_wanted += 1
        if settled(mailbox.id):
            plan.settled.append(mailbox.id)
    return found


def sort_out(candidates: Iterable[Mailbox], obstacles: Mapping[str, Obstacle], plan: Plan) -> Plan:
    """Puts each candidate among the changes or the refused.

    Only switching on is refused: whoever cannot have SMTP AUTH may well have it off.

    Args:
        candidates: mailboxes that differ.
        obstacles: by mailbox id.
        plan: completed and given back.
    """
    for mailbox in candidates:
        obstacle = obstacles.get(mailbox.id) if plan.wish.switch is Switch.ON else None
        if obstacle is None:
            plan.changes.append(Change(mailbox, plan.wish.switch))
        else:
            plan.refused.append(Refused.by(obstacle, mailbox.address))
    return plan
