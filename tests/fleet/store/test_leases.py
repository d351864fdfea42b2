"""One worker at a time for each tenant, whatever dies, hangs or comes twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provision.errors import StateUnavailable
from provision.fleet.outcome import Outcome
from provision.fleet.store import Claim, FleetStore, LeaseLost, Run, open_fleet_store
from provision.fleet.tenant import Tenant

DONE = Outcome("t0", "up", "changed")
HOLDER = """
import sys, time
from provision.fleet.store import open_fleet_store
print(open_fleet_store().claim(sys.argv[1], "t0").token, flush=True)
time.sleep(60)
"""
WORKER = Path(__file__).with_name("worker.py")


def begun(store: FleetStore, count: int = 1, fleet: str = "north") -> Run:
    return store.begin(fleet, "up", [Tenant(f"t{number}", f"t{number}.example") for number in range(count)], {})


def taken(store: FleetStore, run: Run, key: str = "t0", *, seconds: float = 60) -> Claim:
    claim = store.claim(run.id, key, seconds=seconds)
    assert claim is not None
    return claim


def test_who_has_a_tenant_has_it_alone_until_it_is_given_back(store: FleetStore) -> None:
    run = begun(store)
    first = taken(store, run)
    assert store.claim(run.id, "t0") is None
    store.release(first)
    second = taken(store, run)
    assert (first.token, first.attempt) == (1, 1)
    assert (second.token, second.attempt) == (2, 2)


def test_a_tenant_has_one_lease_whichever_run_it_is_for(store: FleetStore) -> None:
    run, other, elsewhere = begun(store), begun(store), begun(store, fleet="south")
    claim = taken(store, run)
    assert store.claim(other.id, "t0") is None
    assert store.claim(elsewhere.id, "t0") is not None
    store.finish(claim, DONE)
    assert store.claim(run.id, "t0") is None
    later = taken(store, other)
    assert (later.token, later.attempt) == (2, 1)


def test_a_lease_that_ran_out_is_anybodys_and_who_had_it_can_write_nothing_more(store: FleetStore) -> None:
    run = begun(store)
    slow = taken(store, run, seconds=0.2)
    store.keep("north", "t0", {"by": "the slow one"}, slow)
    time.sleep(0.3)
    quick = taken(store, run)
    for late in (
        lambda: store.beat(slow),
        lambda: store.keep("north", "t0", {"by": "the slow one, late"}, slow),
        lambda: store.finish(slow, Outcome("t0", "up", "failed")),
        lambda: store.release(slow),
    ):
        with pytest.raises(LeaseLost, match="tenant t0"):
            late()
    assert store.kept("north", "t0") == {"by": "the slow one"}
    assert list(store.outcomes(run)) == []
    store.beat(quick)
    store.finish(quick, DONE)
    with pytest.raises(LeaseLost):
        store.finish(slow, Outcome("t0", "up", "failed"))
    assert list(store.outcomes(run)) == [DONE]


def test_a_lease_that_ran_out_and_that_nobody_took_is_still_its_holders(store: FleetStore) -> None:
    run = begun(store)
    claim = taken(store, run, seconds=0.05)
    time.sleep(0.1)
    store.keep("north", "t0", {"instanceId": "i"}, claim)
    store.finish(claim, DONE)
    assert store.left(run) == []
    assert store.kept("north", "t0") == {"instanceId": "i"}


def test_a_beat_makes_a_lease_last(store: FleetStore) -> None:
    run = begun(store)
    claim = taken(store, run, seconds=0.6)
    for _ in range(4):
        time.sleep(0.25)
        store.beat(claim)
        assert store.claim(run.id, "t0") is None
    time.sleep(0.7)
    assert taken(store, run).token == 2


def test_what_was_given_back_cannot_be_used_any_more(store: FleetStore) -> None:
    run = begun(store)
    claim = taken(store, run)
    store.release(claim)
    store.release(claim)
    for late in (lambda: store.beat(claim), lambda: store.keep("north", "t0", {}, claim)):
        with pytest.raises(LeaseLost):
            late()
    with pytest.raises(LeaseLost):
        store.finish(claim, DONE)
    assert store.left(run) == ["t0"]


def test_finishing_twice_is_finishing_once(store: FleetStore) -> None:
    run = begun(store)
    claim = taken(store, run)
    store.finish(claim, DONE)
    store.finish(claim, Outcome("t0", "up", "failed"))
    assert list(store.outcomes(run)) == [DONE]


def test_a_claim_is_good_for_its_own_tenant_alone(store: FleetStore) -> None:
    run = begun(store, 2)
    claim = taken(store, run)
    with pytest.raises(ValueError, match="another tenant"):
        store.keep("north", "t1", {}, claim)
    with pytest.raises(ValueError, match="another tenant"):
        store.finish(claim, Outcome("t1", "up", "changed"))
    assert store.left(run) == ["t0", "t1"]


def test_nobody_works_on_for_a_run_that_has_ended(store: FleetStore) -> None:
    run = begun(store, 2)
    claim = taken(store, run)
    store.end(run)
    assert store.claim(run.id, "t1") is None
    store.finish(claim, DONE)
    assert list(store.outcomes(run)) == [DONE]


def test_a_worker_with_another_store_than_its_coordinator_is_told(store: FleetStore) -> None:
    run = begun(store)
    for run_id, key in ((run.id, "stranger"), ("20260101t000000-00000000", "t0")):
        with pytest.raises(StateUnavailable, match="PROVISION_FLEET_STORE"):
            store.claim(run_id, key)


def test_what_a_worker_finished_is_not_overwritten_by_who_thought_it_dead(store: FleetStore) -> None:
    run = begun(store)
    store.finish(taken(store, run), DONE)
    store.record(run.id, [Outcome("t0", "up", "failed")])
    assert list(store.outcomes(run)) == [DONE]


def test_another_machines_clock_decides_nothing(store: FleetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(store)
    claim = taken(store, run)
    for moment in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda moment=moment: moment)
        assert store.claim(run.id, "t0") is None
        store.beat(claim)


def test_a_worker_killed_on_this_machine_is_known_to_be_dead_at_once(store: FleetStore, address: str) -> None:
    run = begun(store)
    with holding(address, run) as process:
        assert store.claim(run.id, "t0") is None
        process.kill()
        process.wait()
        claim = taken(store, run)
    assert (claim.token, claim.attempt) == (2, 2)


def test_of_many_who_find_a_dead_one_one_goes_on(store: FleetStore, address: str) -> None:
    run = begun(store)
    with holding(address, run) as process:
        process.kill()
        process.wait()
    together, found = threading.Barrier(8), list[Claim | None]()

    def take() -> None:
        together.wait()
        found.append(store.claim(run.id, "t0"))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert [claim.token for claim in found if claim is not None] == [2]


def test_who_waits_for_the_one_that_finishes_finds_the_tenant_done(
    store: FleetStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement sees what was there when it began: the lease that it waits for is free then, and the job not open."""
    run = begun(store)
    claim = taken(store, run)
    finishing, waiting = threading.Event(), threading.Event()
    other = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    point = store._point

    def slowly(*arguments) -> None:
        finishing.set()
        waiting.wait(10)
        time.sleep(0.5)
        point(*arguments)

    monkeypatch.setattr(store, "_point", slowly)
    thread = threading.Thread(target=store.finish, args=(claim, DONE))
    thread.start()
    assert finishing.wait(10)
    waiting.set()
    assert other.claim(run.id, "t0") is None
    thread.join()
    assert list(other.outcomes(run)) == [DONE]
    assert next(iter(other.history("north", "t0"))).outcome == DONE
    other.close()


def test_many_workers_of_two_runs_have_each_tenant_one_at_a_time_and_lose_none(
    store: FleetStore, address: str, tmp_path: Path
) -> None:
    """Real processes, of which some are killed in the middle, some give up, and some are too slow for their lease."""
    runs = [begun(store, 12), begun(store, 12)]
    dice = random.Random(6)
    working: list[subprocess.Popen[str]] = []

    def start() -> None:
        command = [
            sys.executable,
            str(WORKER),
            str(tmp_path / "at-work"),
            str(dice.random()),
            *(run.id for run in runs),
        ]
        environ = {**os.environ, "PROVISION_FLEET_STORE": address}
        working.append(
            subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )

    (tmp_path / "at-work").mkdir()
    for _ in range(6):
        start()
    until = time.monotonic() + 120
    killed = 0
    while any(store.left(run) for run in runs):
        assert time.monotonic() < until, "some tenant was never done"
        time.sleep(1.0)
        if killed < 3:
            victim = working.pop(0)
            victim.kill()
            victim.communicate()
            killed += 1
            start()
    said = [json.loads(line) for process in working for line in ended(process)]
    assert killed == 3
    assert [line for line in said if line["kind"] == "twice"] == []
    assert {line["kind"] for line in said} >= {"finished", "busy", "lost", "gave up"}
    for run in runs:
        assert sorted(outcome.key for outcome in store.outcomes(run)) == sorted(f"t{number}" for number in range(12))


def ended(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()


class holding:
    """A process that holds ``t0``."""

    def __init__(self, address: str, run: Run) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, run.id],
            env={**os.environ, "PROVISION_FLEET_STORE": address},
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> subprocess.Popen[str]:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "1\n"
        return self._process

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        self._process.communicate()
