"""Old runs are taken away, and nothing that is still needed with them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from provision.errors import InvalidInput
from provision.fleet.outcome import Outcome
from provision.fleet.store import FleetStore, Run
from provision.fleet.store.tables import JOBS, ROWS, RUNS
from provision.fleet.tenant import Tenant

FLEET = [Tenant(f"t{number}", f"t{number}.example") for number in range(3)]


def audited(store: FleetStore, tenants: list[Tenant], fleet: str = "north") -> Run:
    run = store.begin(fleet, "audit", tenants, {})
    store.record(run.id, [Outcome(tenant.key, "audit", "unchanged") for tenant in tenants])
    store.end(run)
    return run


def count(store: FleetStore, table) -> int:
    return store._database.read(
        lambda connection, _again: connection.execute(select(func.count()).select_from(table)).scalar_one()
    )


def test_the_newest_runs_of_each_action_stay_whole(store: FleetStore) -> None:
    old, *new = (audited(store, FLEET) for _ in range(4))
    up = store.begin("north", "up", FLEET, {})
    store.end(up)
    elsewhere = audited(store, FLEET, fleet="south")
    assert store.prune("north", keep_runs=3) == 1
    assert [run.id for run in store.runs("north")] == [up.id, *(run.id for run in reversed(new))]
    assert store.run(old.id) is None
    assert len(list(store.outcomes(elsewhere))) == 3
    assert len(store.history("north", "t1")) == 3


def test_a_run_that_has_not_ended_stays_however_old(store: FleetStore) -> None:
    run = store.begin("north", "audit", FLEET, {})
    for _ in range(3):
        audited(store, FLEET)
    assert store.prune("north", keep_runs=1) == 2
    assert store.run(run.id) == run
    assert store.left(run) == ["t0", "t1", "t2"]
    assert len(list(store.tenants_of(run))) == 3


def test_the_last_word_on_a_tenant_stays_and_its_run_shrinks_to_it(store: FleetStore) -> None:
    first = audited(store, FLEET)
    for _ in range(2):
        audited(store, FLEET[:1])
    assert store.prune("north", keep_runs=1) == 1
    assert [(one.outcome.key, one.run == first.id) for one in store.latest("north", "audit")] == [
        ("t0", False),
        ("t1", True),
        ("t2", True),
    ]
    assert [outcome.key for outcome in store.outcomes(first)] == ["t1", "t2"]


def test_rows_go_with_the_last_run_that_needs_them(store: FleetStore) -> None:
    audited(store, FLEET)
    audited(store, FLEET)
    assert count(store, ROWS) == 3
    other = audited(store, [replace(tenant, company_code="NEW") for tenant in FLEET])
    assert count(store, ROWS) == 6
    store.prune("north", keep_runs=1)
    assert (count(store, ROWS), count(store, JOBS)) == (3, 3)
    assert {tenant.company_code for tenant in store.tenants_of(other)} == {"NEW"}


def test_what_is_kept_of_tenants_and_their_tokens_outlives_every_run(store: FleetStore) -> None:
    run = store.begin("north", "up", FLEET, {})
    claim = store.claim(run.id, "t0")
    assert claim is not None
    store.keep("north", "t0", {"instanceId": "i"}, claim)
    store.finish(claim, Outcome("t0", "up", "changed"))
    store.end(run)
    for _ in range(2):
        store.end(store.begin("north", "up", FLEET, {}))
    store.prune("north", keep_runs=1)
    assert store.kept("north", "t0") == {"instanceId": "i"}
    again = store.claim(store.begin("north", "up", FLEET, {}).id, "t0")
    assert again is not None
    assert again.token == 2


def test_runs_of_one_action_are_over_after_a_time_but_for_the_last_word_on_a_tenant(store: FleetStore) -> None:
    first, second, young = audited(store, FLEET), audited(store, FLEET[:2]), audited(store, FLEET[:1])
    up = store.begin("north", "up", FLEET, {})
    store.end(up)
    elsewhere = audited(store, FLEET, fleet="south")
    open_run = store.begin("north", "audit", FLEET, {})
    days = timedelta(days=3).total_seconds()
    old = RUNS.c.id.in_([first.id, second.id, up.id, elsewhere.id])
    store._database.write(
        lambda connection, _again: (
            connection.execute(update(RUNS).where(old).values(ended=RUNS.c.ended - days)) and None
        )
    )
    assert store.expire("north", "audit", after=timedelta(days=4)) == 0
    assert len(store.statuses(first)) == 3
    assert store.expire("north", "audit", after=timedelta(days=2)) == 0
    assert store.statuses(first) == {"t2": "unchanged"}
    assert store.statuses(second) == {"t1": "unchanged"}
    assert [run.id for run in store.runs("north")] == [open_run.id, up.id, young.id, second.id, first.id]
    assert len(store.statuses(elsewhere)) == 3
    audited(store, FLEET)
    assert store.expire("north", "audit", after=timedelta(days=2)) == 2
    assert young.id in {run.id for run in store.runs("north")}


def test_at_least_one_run_is_kept(store: FleetStore) -> None:
    with pytest.raises(InvalidInput, match="0 runs"):
        store.prune("north", keep_runs=0)
