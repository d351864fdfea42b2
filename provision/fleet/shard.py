"""Some tenants that are looked at together, as they travel to a worker, and the looking there.

Owns: the shape, and that a worker looks by the same code as a coordinator alone (``audit``). Does not own: which
tenants are together, and what becomes of those whose worker dies (``sharding``).
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from provision.fleet import telemetry
from provision.fleet.audit import AT_ONCE, WITHIN, audit
from provision.fleet.kept import Kept
from provision.fleet.outcome import Action, Outcome
from provision.fleet.profiles import put_profiles
from provision.fleet.tenant import Tenant


@dataclass(frozen=True)
class Shard:
    """What a worker is given; JSON, no secret in it."""

    run: str
    """The run's id."""
    fleet: str
    action: Action
    tenants: tuple[Tenant, ...]
    kept: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What is kept of each tenant (``kept``), by key, as far as looking needs it: a worker needs no store."""
    at_once: int = AT_ONCE
    """How many of them are looked at at the same time."""
    within: timedelta = WITHIN
    """How soon a secret's end is told as soon."""
    profiles: Mapping[str, str] = field(default_factory=dict)
    """Product profiles beside the fleet file, name to TOML."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        rows = [tenant.document() for tenant in self.tenants]
        return {**asdict(self), "tenants": rows, "within": self.within.total_seconds()}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Shard:
        """Reads ``document``'s JSON."""
        tenants = tuple(Tenant.of_document(row) for row in document["tenants"])
        return cls(**{**document, "tenants": tenants, "within": timedelta(seconds=document["within"])})

    def halves(self) -> tuple[Shard, Shard]:
        """The same tenants in two."""
        middle = len(self.tenants) // 2
        return replace(self, tenants=self.tenants[:middle]), replace(self, tenants=self.tenants[middle:])


def needed(kept: Mapping[str, Any]) -> dict[str, Any]:
    """What looking needs of a tenant's kept document: not the salt, by which a passphrase could be guessed at."""
    return replace(Kept.of_document(kept), encryption_salt=None, at_work=None).document()


def look(shard: Shard, *, environ: Mapping[str, str]) -> list[Outcome]:
    """Looks at the tenants of a shard, on the worker.

    Args:
        shard: what was given.
        environ: the worker's own environment, where the credentials are found.

    Returns:
        An outcome for each tenant, in no particular order.
    """
    seen: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="provision-look-") as name:
        folder = Path(name)
        put_profiles(shard.profiles, folder)
        with telemetry.looking(shard.run, shard.fleet, shard.action):
            asyncio.run(
                audit(
                    shard.tenants,
                    lambda key: shard.kept.get(key, {}),
                    environ=environ,
                    on_outcome=seen.append,
                    at_once=shard.at_once,
                    within=shard.within,
                    profiles=folder,
                )
            )
    telemetry.send()
    return seen
