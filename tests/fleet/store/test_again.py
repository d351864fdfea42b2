"""A tenant that failed is tried again in the same run, and what it failed by is seen until then."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.fleet.outcome import Failure, Outcome
from provision.fleet.store import FleetStore, Run, open_fleet_store
from provision.fleet.tenant import Tenant

FAILED = Outcome("a", "up", "failed", failure=Failure("Unreachable", "No answer.", "", 7))


@pytest.fixture
def store(tmp_path: Path) -> FleetStore:
    return open_fleet_store(f"sqlite:///{tmp_path / 'fleet.db'}", environ={})


@pytest.fixture
def run(store: FleetStore) -> Run:
    return store.begin("fleet", "up", [Tenant("a", "a.example"), Tenant("b", "b.example")], {})


def finish(store: FleetStore, run: Run, outcome: Outcome) -> int:
    claim = store.claim(run.id, outcome.key)
    assert claim is not None
    store.finish(claim, outcome)
    return claim.attempt


def test_a_failed_tenant_is_claimed_again_when_it_is_let(store: FleetStore, run: Run) -> None:
    finish(store, run, FAILED)
    assert store.claim(run.id, "a") is None
    store.reopen(run.id, ["a"])
    assert store.outcome(run.id, "a") is None
    assert [one.outcome for one in store.latest("fleet", "up")] == [FAILED]
    assert finish(store, run, Outcome("a", "up", "changed")) == 2
    found = store.outcome(run.id, "a")
    assert found is not None
    assert found.status == "changed"


def test_what_is_done_is_not_opened_again(store: FleetStore, run: Run) -> None:
    finish(store, run, Outcome("a", "up", "changed"))
    store.reopen(run.id, ["a", "b"])
    assert store.left(run) == ["b"]


def test_what_was_opened_again_and_not_tried_has_still_failed(store: FleetStore, run: Run) -> None:
    finish(store, run, FAILED)
    at = store.history("fleet", "a")[0].at
    store.reopen(run.id, ["a", "b"])
    store.record(run.id, [Outcome("b", "up", "not-tried")])
    store.put_back(run.id, ["a", "b"])
    assert store.outcome(run.id, "a") == FAILED
    assert store.history("fleet", "a")[0].at == at, "when it failed"
    assert store.left(run) == ["b"]


def test_what_the_coordinator_says_counts_after_an_attempt_that_failed(store: FleetStore, run: Run) -> None:
    """A worker that died at the second attempt leaves no outcome of its own; the first one's is old."""
    finish(store, run, FAILED)
    store.reopen(run.id, ["a"])
    store.record(run.id, [Outcome("a", "up", "failed", failure=Failure("WorkerLost", "Gone.", "", 1))])
    found = store.outcome(run.id, "a")
    assert found is not None
    assert found.failure is not None
    assert found.failure.kind == "WorkerLost"
