"""Tenants dealt out to workers that look at them, so that no worker waits and none that dies takes its tenants with it.

Owns: how many tenants are together, who is given what next, and what is given anew. Does not own: the looking
(``shard``), where the workers are (``executors``), and what becomes of what was seen (``looking``).
"""

from __future__ import annotations

import concurrent.futures
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from itertools import islice

from provision.errors import ProvisionError
from provision.fleet.executors.interface import Lookers, WorkerLost
from provision.fleet.outcome import Failure, Outcome
from provision.fleet.shard import Shard
from provision.fleet.tenant import Tenant

SIZE = 50
"""Tenants in a shard at most: so many that the one request which each shard makes for itself (what Microsoft Graph
publishes) does not count, so few that a worker that dies costs seconds."""
LOSSES = 3
"""How many workers one tenant may cost before it is looked at no more."""
_AHEAD = 2
"""Shards that are given for each that is looked at."""
_WAIT_SECONDS = 0.5


class Sharding:
    """One run's tenants on their way to workers.

    Args:
        lookers: the workers.
        make: a shard of tenants, with what is kept of them.
        take: told each outcome.
        tell: called about twice a second.
    """

    def __init__(
        self,
        lookers: Lookers,
        make: Callable[[tuple[Tenant, ...]], Shard],
        take: Callable[[Outcome], None],
        tell: Callable[[], None],
    ) -> None:
        self._lookers = lookers
        self._make = make
        self._take = take
        self._tell = tell
        self._stopping = self._hard = False
        self._given: dict[Future[list[Outcome]], Shard] = {}
        self._again: deque[Shard] = deque()
        self._losses: Counter[str] = Counter()
        self.workers = 1
        """How many shards are looked at at once, as far as it is known."""
        self.broken: ProvisionError | None = None
        """The workers as a whole are gone."""

    def stop(self, *, hard: bool = False) -> None:
        """Gives out no more; may be called from a signal handler.

        Args:
            hard: do not wait for what was given out.
        """
        self._stopping = True
        self._hard = self._hard or hard

    def work(self, tenants: Iterator[Tenant], *, count: int) -> list[Tenant]:
        """Has all looked at.

        Args:
            tenants: read as workers become free, so that few are in memory.
            count: how many they are, about: with few of them each worker has a part.

        Returns:
            Those that nobody looked at, because it was stopped or the workers are gone.

        Raises:
            Whatever ``tenants``, ``make`` or ``take`` raises, as it is.
        """
        self._widen()
        size = max(1, min(SIZE, -(-count // self.workers)))
        while not self._hard:
            self._fill(tenants, size)
            if not self._given or self.broken is not None:
                break
            for future in concurrent.futures.wait(
                self._given, timeout=_WAIT_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            ).done:
                self._settle(self._given.pop(future), future)
            self._tell()
        return [tenant for shard in (*self._given.values(), *self._again) for tenant in shard.tenants]

    def _widen(self) -> None:
        try:
            self.workers = self._lookers.workers
        except ProvisionError as gone:
            self.broken = gone

    def _fill(self, tenants: Iterator[Tenant], size: int) -> None:
        self._widen()
        while self.broken is None and len(self._given) < _AHEAD * self.workers:
            if self._again and not self._stopping:
                shard = self._again.popleft()
            elif rows := tuple(islice(tenants, size)):
                shard = self._make(rows)
            else:
                return
            try:
                self._given[self._lookers.look(shard)] = shard
            except ProvisionError as gone:
                self.broken = gone
                self._again.append(shard)

    def _settle(self, shard: Shard, future: Future[list[Outcome]]) -> None:
        try:
            outcomes = future.result()
        except WorkerLost as lost:
            self._again.extend(self._lost(shard, lost))
            return
        for outcome in outcomes:
            self._take(outcome)

    def _lost(self, shard: Shard, lost: WorkerLost) -> Iterable[Shard]:
        """What is given anew of a shard that is lost; in halves, so that who costs workers is left alone with that.

        A scheduler gives what a machine had that is gone to others by itself. A shard that comes back lost has cost
        several of them, or ended the process that looked.
        """
        self._losses.update(tenant.key for tenant in shard.tenants)
        if len(shard.tenants) > 1:
            return shard.halves()
        key = shard.tenants[0].key
        if self._losses[key] < LOSSES:
            return (shard,)
        failure = Failure(
            "WorkerLost",
            f"{key} has cost {self._losses[key]} workers; the last time {lost}.",
            "Look whether memory is short on their machines (a smaller --at-once); then look at it without a cluster.",
            exit_code=1,
        )
        self._take(Outcome(key, "audit", "failed", failure=failure))
        return ()
