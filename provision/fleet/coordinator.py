"""Takes a run to its end: every tenant of it tried, by as many workers as the weather allows, whatever dies meanwhile.

Owns: what is begun next, what is tried again and when, and when the run is over. Does not own: what is done for a
tenant (``jobs``), where (``executors``), how fast (``pace``) and when it is hopeless (``breaker``).

The store is the one truth. A coordinator that dies loses nothing but its place: its workers write down what they have
done, and the next coordinator asks the store what is left.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from provision.app.preflight import SeveralRegistrations
from provision.errors import NotDelivered, ProvisionError, StateUnavailable, Unreachable
from provision.fleet import telemetry
from provision.fleet.breaker import Breaker, Cause
from provision.fleet.executors.interface import OUT_OF_TIME, Executor, WorkerLost
from provision.fleet.outcome import DEFECT, Failure, Outcome
from provision.fleet.pace import Pace, wait_before
from provision.fleet.tenant import Tenant

if TYPE_CHECKING:
    from provision.fleet.store import FleetStore, Run

ATTEMPTS = 6
"""How often one tenant is tried in a run, when trying again may help."""
LOSSES = 3
"""How many workers one tenant may cost: one that is too big for every machine must not take all of them, one by one."""
CUTS = 2
"""How often a tenant may run out of time: once may have been the weather."""
ELSEWHERE_SECONDS, ELSEWHERE_PATIENCE = 5.0, 1800.0
"""How often a tenant that somebody else works on is asked for, and for how long."""
_TRIED_AGAIN = frozenset(kind.exit_code for kind in (ProvisionError, Unreachable, StateUnavailable, NotDelivered))
"""Failures that may be gone at the next attempt: the engine's own (a request of its plugin broke), what does not
answer, a lock that a killed run has left, a sink. What is wrong with a row, a sign-in or a permission stays wrong."""
_ONCE = frozenset({DEFECT, SeveralRegistrations.__name__})
"""Failures of those codes that stay."""
_LOOK_SECONDS = 0.5

Waiting = Literal["", "throttled", "unanswered", "elsewhere", "worker lost"]
"""Why a tenant waits: "" its turn."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands at a moment."""

    total: int
    running: int
    at_once: int
    """How many may run now, as throttling allows."""
    waiting: Mapping[str, int]
    """By reason (``Waiting``)."""
    done: Mapping[str, int]
    """By status."""
    seconds: float
    """Since this coordinator began."""
    seconds_left: float | None
    """At the rate of the last minutes; None while there is none yet."""


@dataclass(frozen=True)
class Ended:
    """How a run ended, for now."""

    counts: Mapping[str, int]
    """Tenants by status."""
    causes: tuple[tuple[Cause, Failure], ...] = ()
    """What stopped the run for all that it hits, or what every tenant of a small one failed by."""
    interrupted: bool = False
    broken: ProvisionError | None = None
    """The workers as a whole are gone."""
    left_alone: int = 0
    """Of those not tried: tenants that a newer run knows otherwise (``FleetStore.outdated``)."""

    @property
    def complete(self) -> bool:
        """Whether every tenant was tried to its end, but for those that are a newer run's by now."""
        to_do = self.counts.get("not-tried", 0) > self.left_alone
        return not (to_do or self.causes or self.interrupted or self.broken)


@dataclass
class _Place:
    """One tenant's place in the run."""

    tenant: Tenant
    not_before: float = 0.0
    reason: Waiting = ""
    attempts: int = 0
    losses: int = 0
    cuts: int = 0
    elsewhere_since: float | None = None
    failed: Outcome | None = None
    """What the last attempt ended with, also one of an earlier session, until another one ends."""


@dataclass
class _Rate:
    """How fast tenants are done."""

    times: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def left(self, count: int, now: float) -> float | None:
        if len(self.times) < 3 or now <= self.times[0]:
            return None
        return count * (now - self.times[0]) / len(self.times)


def left_alone(key: str, run: Run, newer: str) -> Outcome:
    """The outcome of a tenant that a newer run knows otherwise.

    Args:
        key: the tenant.
        run: the older run.
        newer: the newer one's id.
    """
    why = f"left alone, because the run {newer} is newer than {run.id} and has other settings for it"
    return Outcome(key, run.action, "not-tried", notes=(why,))


class Coordinator:
    """One run, worked through.

    Args:
        store: the fleet's.
        run: one that is not ended.
        executor: who does the jobs; not closed here.
        attempts: how often one tenant is tried.
        breaker: when it is hopeless for all.
        ended: told each tenant's last outcome, once.
        tell: told where the run stands, about twice a second.
    """

    def __init__(
        self,
        store: FleetStore,
        run: Run,
        executor: Executor,
        *,
        attempts: int = ATTEMPTS,
        breaker: Breaker | None = None,
        ended: Callable[[Outcome], None] = lambda _outcome: None,
        tell: Callable[[Standing], None] = lambda _standing: None,
    ) -> None:
        self._store = store
        self._run = run
        self._executor = executor
        self._attempts = attempts
        self._breaker = breaker or Breaker()
        self._ended = telemetry.told(run, ended)
        self._tell = tell
        self._stopping = self._hard = False
        self._broken: ProvisionError | None = None
        self._waiting: dict[str, _Place] = {}
        self._running: dict[Future[Outcome], _Place] = {}
        self._counts: Counter[str] = Counter()
        self._left_alone = 0
        self._total = 0
        self._rate = _Rate()

    def stop(self, *, hard: bool = False) -> None:
        """Begins no more tenants; may be called from a signal handler.

        Args:
            hard: do not wait for those that are at work; their workers are ended with the executor.
        """
        self._stopping = True
        self._hard = self._hard or hard

    @property
    def hard(self) -> bool:
        """Whether those at work are not waited for."""
        return self._hard

    def work(self) -> Ended:
        """Works until nothing is left that can be done.

        Raises:
            ProvisionError: the store cannot be used; the same command with ``--resume`` goes on.
        """
        began = time.monotonic()
        self._take_up()
        pace = Pace(self._executor.workers)
        while (self._waiting or self._running) and not self._hard:
            self._widen(pace)
            if not (self._stopping or self._broken):
                self._fill(pace)
            if not self._running and (self._stopping or self._broken or not self._hopeful()):
                break
            for future in self._finished():
                self._settle(self._running.pop(future), future, pace)
            self._tell(self._standing(pace, began))
        return self._conclude()

    # What is left

    def _take_up(self) -> None:
        """Asks the store what is left; what failed in this run before is tried again."""
        failed: dict[str, Outcome] = {}
        for outcome in self._store.outcomes(self._run):
            if outcome.status == "failed":
                failed[outcome.key] = outcome
            elif outcome.status != "not-tried":
                self._counts[outcome.status] += 1
        done = self._counts.total()
        left = {*self._store.left(self._run), *failed}
        self._waiting = {
            tenant.key: _Place(tenant, failed=failed.get(tenant.key))
            for tenant in self._store.tenants_of(self._run)
            if tenant.key in left
        }
        self._total = done + len(self._waiting)
        for key, newer in self._store.outdated(self._run).items():
            if key in self._waiting:
                self._leave_alone(self._waiting[key], newer)

    def _hopeful(self) -> bool:
        return any(self._breaker.opened(place.tenant) is None for place in self._waiting.values())

    def _fill(self, pace: Pace) -> None:
        now = time.monotonic()
        if len(self._running) >= pace.at_once:
            return
        ready = [
            place.tenant
            for place in self._waiting.values()
            if place.not_before <= now and self._breaker.opened(place.tenant) is None
        ]
        while ready and len(self._running) < pace.at_once:
            tenant = self._breaker.pick(ready, now=now)
            if tenant is None:
                return
            ready.remove(tenant)
            self._begin(self._waiting.pop(tenant.key))

    def _begin(self, place: _Place) -> None:
        from provision.fleet.jobs import Job

        run = self._run
        if place.failed is not None:
            self._store.reopen(run.id, [place.tenant.key])
        try:
            future = self._executor.submit(Job(run.id, run.fleet, run.action, place.tenant, run.options))
        except ProvisionError as gone:
            self._broken = gone
            self._waiting[place.tenant.key] = place
            return
        place.attempts += 1
        self._running[future] = place

    def _finished(self) -> Iterable[Future[Outcome]]:
        if not self._running:
            time.sleep(_LOOK_SECONDS)
            return ()
        return concurrent.futures.wait(
            self._running, timeout=_LOOK_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
        ).done

    def _widen(self, pace: Pace) -> None:
        try:
            pace.widen(self._executor.workers)
        except ProvisionError as gone:
            self._broken = gone

    # What came of it

    def _settle(self, place: _Place, future: Future[Outcome], pace: Pace) -> None:
        now = time.monotonic()
        tenant = place.tenant
        try:
            outcome = future.result()
        except WorkerLost as lost:
            self._breaker.lost(tenant)
            self._lost(place, lost, now)
            return
        if outcome.status == "not-tried":
            self._breaker.lost(tenant)
            self._elsewhere(place, outcome, now)
            return
        failure = outcome.failure
        throttled = failure is not None and failure.throttled
        pace.ended(throttled=throttled, running=len(self._running))
        self._breaker.ended(tenant, outcome, now=now)
        place.elsewhere_since = None
        place.cuts += failure is not None and failure.kind == OUT_OF_TIME
        if not self._put_off(place, outcome, now):
            self._close(place, outcome)

    def _put_off(self, place: _Place, outcome: Outcome, now: float) -> bool:
        """Has a tenant wait for another attempt, where that may help."""
        failure = outcome.failure
        if failure is None or not self._again(place, failure):
            return False
        place.failed = outcome
        self._wait(place, "throttled" if failure.throttled else "unanswered", now + wait_before(place.attempts + 1))
        return True

    def _again(self, place: _Place, failure: Failure) -> bool:
        if self._stopping or place.attempts >= self._attempts or place.cuts >= CUTS or failure.kind in _ONCE:
            return False
        return failure.throttled or failure.exit_code in _TRIED_AGAIN

    def _lost(self, place: _Place, lost: WorkerLost, now: float) -> None:
        """The lease of a worker that died runs out; until then the tenant counts as worked on elsewhere."""
        if self._is_known(place, now):  # it died, or its answer was lost, after it had written down what it did
            return
        place.losses += 1
        if place.losses < LOSSES or self._broken:
            self._wait(place, "worker lost", now + ELSEWHERE_SECONDS)
            return
        failure = Failure(
            "WorkerLost",
            f"{place.tenant.key} has cost {place.losses} workers; the last time {lost}.",
            "Look whether memory is short (fewer --workers); the tenant's log says where it stood.",
            exit_code=1,
        )
        self._close(place, Outcome(place.tenant.key, self._run.action, "failed", failure=failure))

    def _elsewhere(self, place: _Place, outcome: Outcome, now: float) -> None:
        """Somebody else works on the tenant, or has done it in this run, or in a newer one with other settings."""
        if self._is_known(place, now):
            return
        if newer := self._store.outdated(self._run, place.tenant.key):
            self._leave_alone(place, newer[place.tenant.key])
            return
        place.attempts -= 1
        if place.elsewhere_since is None:
            place.elsewhere_since = now
        if now - place.elsewhere_since < ELSEWHERE_PATIENCE:
            self._wait(place, "elsewhere", now + ELSEWHERE_SECONDS)
        else:
            self._close(place, outcome)

    def _is_known(self, place: _Place, now: float) -> bool:
        """Counts a tenant whose end the store knows, whoever wrote it down: perhaps a worker whose coordinator was
        killed, so that nobody but this one tries again what failed.
        """
        outcome = self._store.outcome(self._run.id, place.tenant.key)
        if outcome is None:
            return False
        if not self._put_off(place, outcome, now):
            self._count(place, outcome)
        return True

    def _wait(self, place: _Place, reason: Waiting, until: float) -> None:
        place.reason, place.not_before = reason, until
        self._waiting[place.tenant.key] = place

    def _leave_alone(self, place: _Place, newer: str) -> None:
        """The run's row would put old values in place of a newer run's."""
        self._left_alone += place.failed is None
        self._close(place, left_alone(place.tenant.key, self._run, newer))

    def _close(self, place: _Place, outcome: Outcome) -> None:
        if outcome.status == "not-tried" and place.failed is not None:
            outcome = place.failed  # which says more
            self._store.put_back(self._run.id, [outcome.key])
        elif outcome.status in ("failed", "not-tried"):  # what a worker wrote down itself stays as it is
            self._store.record(self._run.id, [outcome])
        self._count(place, outcome)

    def _count(self, place: _Place, outcome: Outcome) -> None:
        self._counts[outcome.status] += 1
        self._rate.times.append(time.monotonic())
        self._waiting.pop(place.tenant.key, None)
        self._ended(outcome)

    # The end

    def _conclude(self) -> Ended:
        causes = tuple(self._breaker.open_causes())
        for future in self._running:
            future.cancel()
        left = [*self._running.values(), *self._waiting.values()]
        self._running.clear()
        failed = [place.failed for place in left if place.failed is not None]
        untried = [self._untried(place) for place in left if place.failed is None]
        self._store.put_back(self._run.id, [outcome.key for outcome in failed])
        self._store.record(self._run.id, untried)
        for outcome in (*failed, *untried):
            self._counts[outcome.status] += 1
            self._ended(outcome)
        causes = causes or self._breaker.of_all(self._counts)
        ended = Ended(
            dict(self._counts),
            causes,
            interrupted=self._stopping,
            broken=self._broken,
            left_alone=self._left_alone,
        )
        if ended.complete:
            self._store.end(self._run)
        telemetry.run_ended(self._run, ended)
        return ended

    def _untried(self, place: _Place) -> Outcome:
        opened = self._breaker.opened(place.tenant)
        if opened is not None:
            why = f"not tried, because it would have hit this tenant, too: {opened[1].message}"
        elif self._broken is not None:
            why = f"not tried: {self._broken.message}"
        elif place.reason == "elsewhere":
            why = "somebody else is at work on it"
        else:
            why = "the run was stopped before its turn"
        return Outcome(place.tenant.key, self._run.action, "not-tried", notes=(why,))

    def _standing(self, pace: Pace, began: float) -> Standing:
        now = time.monotonic()
        waiting: Counter[str] = Counter(place.reason for place in self._waiting.values())
        left = len(self._waiting) + len(self._running)
        return Standing(
            total=self._total,
            running=len(self._running),
            at_once=pace.at_once,
            waiting=dict(waiting),
            done=dict(self._counts),
            seconds=now - began,
            seconds_left=self._rate.left(left, now),
        )
