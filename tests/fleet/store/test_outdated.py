"""What a run has frozen at its beginning is never put in place of what a newer run has written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provision.fleet.outcome import Action, Outcome
from provision.fleet.store import FleetStore, Run
from provision.fleet.tenant import Tenant

OLD = [Tenant(key, f"{key}.example", company_code="OLD", line=number) for number, key in enumerate("abc")]
NEW = [replace(OLD[0], company_code="NEW"), replace(OLD[1], line=99)]


def begun(store: FleetStore, action: Action, rows: list[Tenant], fleet: str = "north", **options: object) -> Run:
    return store.begin(fleet, action, rows, options)


def test_only_another_setting_in_a_newer_run_makes_a_row_old(store: FleetStore) -> None:
    begun(store, "up", NEW)
    run = begun(store, "up", OLD)
    assert store.outdated(run) == {}
    begun(store, "up", NEW, fleet="south")
    begun(store, "audit", NEW)
    assert store.outdated(run) == {}, "another fleet, and what only looks"
    newer = begun(store, "rotate", NEW)
    assert store.outdated(run) == {"a": newer.id}
    assert store.outdated(run, "a") == {"a": newer.id}
    assert store.outdated(run, "b") == {}


def test_the_newest_run_that_has_the_tenant_counts(store: FleetStore) -> None:
    run = begun(store, "up", OLD)
    begun(store, "up", NEW)
    begun(store, "up", OLD[:1])
    assert store.outdated(run) == {}, "what was changed was changed back"


def test_another_product_profile_makes_every_row_old(store: FleetStore) -> None:
    run = begun(store, "up", OLD, profiles={"ours": "id = 1"})
    begun(store, "rotate", OLD[:1], profiles={"ours": "id = 1"})
    assert store.outdated(run) == {}
    newer = begun(store, "rotate", OLD[:2], profiles={"ours": "id = 2"})
    assert store.outdated(run) == {"a": newer.id, "b": newer.id}


@pytest.mark.parametrize("ended", [True, False])
def test_nobody_works_on_a_tenant_with_an_old_row(store: FleetStore, ended: bool) -> None:
    run, newer = begun(store, "up", OLD), begun(store, "up", NEW)
    if ended:
        claim = store.claim(newer.id, "a")
        assert claim is not None
        store.finish(claim, Outcome("a", "up", "changed"))
        store.end(newer)
    assert store.claim(run.id, "a") is None
    assert store.at_work(run) == 0, "the lease was given back"
    assert store.claim(run.id, "b") is not None
    assert (store.claim(newer.id, "a") is None) == ended


def test_an_audit_that_is_gone_on_with_is_measured_by_newer_audits_too(store: FleetStore) -> None:
    run = begun(store, "audit", OLD)
    newer = begun(store, "audit", NEW)
    assert store.outdated(run) == {"a": newer.id}
