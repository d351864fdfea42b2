"""What the store hands out: a run, a claim on a tenant, an outcome with its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from provision.fleet.outcome import Action, Outcome


@dataclass(frozen=True)
class Run:
    """One action over some tenants of a fleet."""

    id: str
    """Sorts by the time of its beginning; fit for a file's name."""
    fleet: str
    action: Action
    options: Mapping[str, Any]
    """What the action was asked for, JSON."""
    begun: datetime
    """UTC, by the database's clock; so is ``ended``."""
    ended: datetime | None = None
    """None: at work, or killed; ``FleetStore.end`` was not called."""


@dataclass(frozen=True)
class Claim:
    """A tenant that its holder alone may work on, until the lease runs out."""

    run: str
    fleet: str
    key: str
    token: int
    """The fencing token: every later claim on this tenant has a greater one."""
    attempt: int
    """1 for the first claim on the tenant in this run."""
    seconds: float
    """How long the lease lasts from the claim or the last beat on, by the database's clock."""


@dataclass(frozen=True)
class Recorded:
    """An outcome as it was kept."""

    run: str
    outcome: Outcome
    at: datetime
    """When it was written; UTC, by the database's clock."""
