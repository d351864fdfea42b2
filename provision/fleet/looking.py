"""A run that only looks: every tenant through Microsoft Graph alone, many at once, in this process or by workers.

Owns: which tenants are looked at and when what was seen is written down. Does not own: the looking (``audit``), nor who
of the workers looks at what (``sharding``).
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from provision.fleet import telemetry
from provision.fleet.audit import AT_ONCE, WITHIN, audit
from provision.fleet.audit.judge import UNSEEN
from provision.fleet.breaker import Breaker
from provision.fleet.coordinator import Ended, Standing, left_alone
from provision.fleet.outcome import Outcome
from provision.fleet.shard import Shard, needed
from provision.fleet.sharding import SIZE, Sharding
from provision.fleet.tenant import Tenant

if TYPE_CHECKING:
    from provision.fleet.executors import Lookers
    from provision.fleet.store import FleetStore, Run

_BATCH = 100
"""Outcomes that are written at once: of a run that is killed, so many are looked at again."""
_TELL_SECONDS = 0.5


class Looking:
    """One run that only looks.

    Args:
        store: the fleet's.
        run: one that is not ended; its action's name is given to what is seen.
        environ: where credentials are found.
        at_once: how many tenants are looked at at the same time, in this process or by each worker.
        within: how soon a secret's end is told as soon.
        profiles: the folder beside which product profiles of one's own lie; workers take those of the run's options.
        lookers: workers that look in place of this process.
        ended: told each outcome.
        tell: told where the run stands.
    """

    def __init__(
        self,
        store: FleetStore,
        run: Run,
        *,
        environ: Mapping[str, str],
        at_once: int = AT_ONCE,
        within: timedelta = WITHIN,
        profiles: Path | None = None,
        lookers: Lookers | None = None,
        ended: Callable[[Outcome], None] = lambda _outcome: None,
        tell: Callable[[Standing], None] = lambda _standing: None,
    ) -> None:
        self._store = store
        self._run = run
        self._environ = environ
        self._at_once = at_once
        self._within = within
        self._profiles = profiles
        self._first = False
        self._failed: set[str] = set()
        """Keys of those that an earlier session of the run could not look at; they are looked at again."""
        self._left_alone = 0
        self._ended = telemetry.told(run, ended)
        self._tell = tell
        # Those that are looked at beside each other fail beside each other: far more of them make a cause.
        self._breaker = Breaker(in_a_row=3 * (at_once if lookers is None else max(at_once, SIZE)), probes=0)
        self._sharding = Sharding(lookers, self._shard, self._take, self._show) if lookers is not None else None
        self._stopping = False
        self._counts: Counter[str] = Counter()
        self._seen: list[Outcome] = []
        self._rows: dict[str, Tenant] = {}
        self._untried: list[Tenant] = []
        self._total = 0
        self._began = self._told = 0.0

    def stop(self, *, hard: bool = False) -> None:
        """Begins no more tenants; may be called from a signal handler.

        Args:
            hard: do not wait for workers; what this process looks at is over soon.
        """
        self._stopping = True
        if self._sharding is not None:
            self._sharding.stop(hard=hard)

    def work(self) -> Ended:
        """Looks at every tenant that is left, and ends the run when all were seen.

        Raises:
            ProvisionError: the store cannot be used; the same command with ``--resume`` goes on.
        """
        for one in self._store.outcomes(self._run):
            if one.status == "failed":
                self._failed.add(one.key)
            elif one.status != "not-tried":
                self._counts[one.status] += 1
        ended = self._look()
        if ended.complete:
            self._store.end(self._run)
        telemetry.run_ended(self._run, ended)
        return ended

    def first(self) -> Ended:
        """Before a run that writes: tenants that were made before and are as they should be are done with.

        All others, and whatever could not be looked at, such as a row's mailboxes, are left to the run.
        """
        self._first = True
        ended = self._look()
        cut_short = ended.interrupted or ended.broken is not None
        return replace(ended, counts=self._store.counts(self._run)) if cut_short else ended

    def _look(self) -> Ended:
        self._began = time.monotonic()
        left = {*self._store.left(self._run), *self._failed}
        self._total = len(left) + self._counts.total()
        outdated = {key: newer for key, newer in self._store.outdated(self._run).items() if key in left}
        left -= outdated.keys()
        tenants = self._next(tenant for tenant in self._store.tenants_of(self._run) if tenant.key in left)
        broken = None
        if self._sharding is None:
            self._look_here(tenants)
        else:
            for tenant in self._sharding.work(tenants, count=len(left)):
                self._untried.append(self._rows.pop(tenant.key))
            broken = self._sharding.broken
            self._untried += list(tenants)
        for key, newer in outdated.items():
            self._left_alone += key not in self._failed
            self._note(left_alone(key, self._run, newer))
        causes = tuple(self._breaker.open_causes())
        why = f"not tried, because it would have hit this tenant, too: {causes[0][1].message}" if causes else ""
        why = why if broken is None else f"not tried: {broken.message}"
        for tenant in self._untried:
            note = why or "the run was stopped before its turn"
            self._note(Outcome(tenant.key, self._run.action, "not-tried", notes=(note,)))
        self._write()
        causes = causes or self._breaker.of_all(self._counts)
        return Ended(
            dict(self._counts),
            causes,
            interrupted=self._stopping,
            broken=broken,
            left_alone=self._left_alone,
        )

    def _look_here(self, tenants: Iterator[Tenant]) -> None:
        run = self._run
        with telemetry.looking(run.id, run.fleet, run.action):
            asyncio.run(
                audit(
                    tenants,
                    lambda key: self._store.kept(run.fleet, key),
                    environ=self._environ,
                    on_outcome=self._take,
                    at_once=self._at_once,
                    within=self._within,
                    profiles=self._profiles,
                )
            )

    def _shard(self, tenants: tuple[Tenant, ...]) -> Shard:
        run = self._run
        return Shard(
            run.id,
            run.fleet,
            run.action,
            tenants,
            kept={tenant.key: needed(self._store.kept(run.fleet, tenant.key)) for tenant in tenants},
            at_once=self._at_once,
            within=self._within,
            profiles=run.options.get("profiles") or {},
        )

    def _next(self, tenants: Iterable[Tenant]) -> Iterator[Tenant]:
        for tenant in tenants:
            if self._first and not self._store.kept(self._run.fleet, tenant.key).get("client_id"):
                continue
            if self._stopping or self._breaker.opened(tenant) is not None:
                self._untried.append(tenant)
            else:
                self._rows[tenant.key] = tenant
                yield tenant

    def _take(self, outcome: Outcome) -> None:
        self._breaker.ended(self._rows.pop(outcome.key), outcome, now=time.monotonic())
        outcome = replace(outcome, action=self._run.action)
        self._note(outcome)
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_SECONDS:
            self._told = now
            self._tell(self._standing(now))

    def _note(self, outcome: Outcome) -> None:
        if self._first and (outcome.status != "unchanged" or any(one.rule == UNSEEN for one in outcome.findings)):
            return
        if outcome.status == "not-tried" and outcome.key in self._failed:
            self._counts["failed"] += 1  # what it failed by in an earlier session says more, and stands
            return
        self._counts[outcome.status] += 1
        self._ended(outcome)
        self._seen.append(outcome)
        if len(self._seen) >= _BATCH:
            self._write()

    def _write(self) -> None:
        self._store.record(self._run.id, self._seen)
        self._seen = []

    def _standing(self, now: float) -> Standing:
        done, seconds = self._counts.total(), now - self._began
        left = self._total - done
        return Standing(
            total=self._total,
            running=len(self._rows),
            at_once=self._at_once * (self._sharding.workers if self._sharding else 1),
            waiting={"": left - len(self._rows)},
            done=dict(self._counts),
            seconds=seconds,
            seconds_left=left * seconds / done if done else None,
        )
