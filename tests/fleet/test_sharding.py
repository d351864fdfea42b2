"""Tenants dealt out to real worker processes: one that kills whoever looks at it leaves the others alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hands import look

from provision.errors import Unreachable
from provision.fleet.executors import LocalExecutor
from provision.fleet.kept import Kept
from provision.fleet.looking import Looking
from provision.fleet.outcome import Outcome
from provision.fleet.shard import Shard, needed
from provision.fleet.sharding import LOSSES, SIZE, Sharding
from provision.fleet.store import open_fleet_store
from provision.fleet.tenant import CredentialReference, Tenant


class Workers:
    """Processes of this machine that do as ``hands.look`` says."""

    def __init__(self, count: int) -> None:
        self.workers = count
        self.given: list[int] = []
        self.gone_after: int | None = None
        self._executor = LocalExecutor(count, limit=60, work=look)
        self._threads = ThreadPoolExecutor(count)

    def look(self, shard: Shard) -> Future[list[Outcome]]:
        if len(self.given) == self.gone_after:
            raise Unreachable("They are gone.")
        self.given.append(len(shard.tenants))
        return self._threads.submit(self._look, shard)

    def _look(self, shard: Shard) -> list[Outcome]:
        done = self._executor.do(json.loads(json.dumps(shard.document())))
        assert done is not None
        return [Outcome.of_document(one) for one in done["outcomes"]]

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._executor.close(hard=True)


@contextmanager
def working(count: int = 2) -> Iterator[Workers]:
    workers = Workers(count)
    try:
        yield workers
    finally:
        workers.close()


def tenants(count: int, **bad: Iterable[int]) -> list[Tenant]:
    """Rows whose keys say what happens to whoever looks at them (``hands.look``)."""
    words = {number: word for word, numbers in bad.items() for number in numbers}
    return [Tenant(f"{words.get(number, 'good')}-{number:04}", "a.example") for number in range(count)]


def make(rows: tuple[Tenant, ...]) -> Shard:
    return Shard("run", "north", "audit", rows)


def test_a_tenant_that_kills_whoever_looks_at_it_is_alone_with_that() -> None:
    rows = tenants(9, kill=[4])
    seen: list[Outcome] = []
    with working() as workers:
        left = Sharding(workers, make, seen.append, lambda: None).work(iter(rows), count=len(rows))
    assert left == []
    assert sorted(one.key for one in seen) == sorted(row.key for row in rows)
    (failed,) = [one for one in seen if one.status == "failed"]
    assert failed.key == "kill-0004"
    assert failed.failure is not None
    assert failed.failure.kind == "WorkerLost"
    assert "signal 9" in failed.failure.message
    assert sum(1 for size in workers.given if size == 1) <= LOSSES + 3, workers.given


def test_few_tenants_are_shared_by_all_workers_and_many_are_never_all_in_memory() -> None:
    with working(2) as workers:
        seen: list[Outcome] = []
        Sharding(workers, make, seen.append, lambda: None).work(iter(tenants(5)), count=5)
        assert workers.given == [3, 2]
        ahead = []

        def read() -> Iterator[Tenant]:
            for number, row in enumerate(tenants(1000)):
                ahead.append(number + 5 - len(seen))
                yield row

        Sharding(workers, make, seen.append, lambda: None).work(read(), count=1000)
    assert len(seen) == 1005
    assert set(workers.given[2:]) == {SIZE}
    assert max(ahead) <= 2 * 2 * SIZE


def test_one_cause_that_hits_all_stops_a_run_that_workers_look_at(tmp_path: Path) -> None:
    store = open_fleet_store(environ={"PROVISION_FLEET_STORE": f"sqlite://{tmp_path / 'fleet.db'}"})
    run = store.begin("north", "audit", tenants(1000, dark=range(1000)), {})
    with working(2) as workers:
        ended = Looking(store, run, environ={}, lookers=workers).work()
    ((cause, why),) = ended.causes
    assert (cause.kind, why.message) == ("Unreachable", "No network.")
    assert not ended.complete
    counts = store.counts(run)
    assert sum(counts.values()) == 1000
    assert 3 * SIZE <= counts["failed"] <= 3 * SIZE + 2 * 2 * SIZE, counts
    untried = next(one for one in store.outcomes(run) if one.status == "not-tried")
    assert untried.notes == ("not tried, because it would have hit this tenant, too: No network.",)


def test_workers_that_are_gone_leave_what_they_had_not_looked_at() -> None:
    rows = tenants(400)
    seen: list[Outcome] = []
    with working(1) as workers:
        workers.gone_after = 3
        sharding = Sharding(workers, make, seen.append, lambda: None)
        source = iter(rows)
        left = [*sharding.work(source, count=400), *source]
    assert isinstance(sharding.broken, Unreachable)
    assert sorted([*(one.key for one in seen), *(one.key for one in left)]) == [row.key for row in rows]
    assert len(left) >= 250


@pytest.mark.parametrize("hard", [False, True])
def test_when_it_is_stopped_nothing_more_is_given_out_and_what_was_is_waited_for_unless_hard(hard: bool) -> None:
    rows = tenants(4 * SIZE, slow=range(SIZE, 2 * SIZE))
    seen: list[Outcome] = []

    def take(outcome: Outcome) -> None:
        seen.append(outcome)
        sharding.stop(hard=hard)

    with working(1) as workers:
        sharding = Sharding(workers, make, take, lambda: None)
        left = sharding.work((row for row in rows if not seen), count=len(rows))
    assert workers.given == [SIZE, SIZE]
    assert [row.key for row in left] == ([row.key for row in rows[SIZE : 2 * SIZE]] if hard else [])
    assert len(seen) + len(left) == 2 * SIZE


def test_a_shard_travels_as_json_and_needs_no_salt() -> None:
    credential = CredentialReference("partner", "client-secret", "id", "env:PARTNER")
    row = Tenant("a", "a.example", credential=credential, groups=("x",), settings={"secretMonths": "6"})
    kept = Kept("instance", "v1:salt", {"k": "v"}, client_id="c", at_work={"host": "h"}).document()
    shard = Shard("r", "north", "plan", (row,), {"a": needed(kept)}, 8, timedelta(days=3), {"own": "x = 1"})
    assert Shard.of_document(json.loads(json.dumps(shard.document()))) == shard
    assert shard.kept["a"] == {"instance_id": "instance", "settings": {"k": "v"}, "client_id": "c"}
