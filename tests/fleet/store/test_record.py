"""What both databases keep of runs: rows as they were, outcomes, what is left to do, and history."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provision.errors import InvalidInput, StateUnavailable
from provision.fleet.outcome import Failure, Finding, Outcome
from provision.fleet.store import FleetStore, open_fleet_store
from provision.fleet.tenant import CredentialReference, Tenant

CONTOSO = Tenant(
    "contoso",
    "contoso.onmicrosoft.com",
    company_code="Ä-ACME",
    credential=CredentialReference("partner", "client-secret", secret="env:PARTNER_SECRET"),
    mailboxes=("anna@contoso.com",),
    groups=("north",),
    settings={"secretMonths": "12"},
    line=7,
)
DRIFTED = Outcome(
    "contoso",
    "audit",
    "pending",
    verdict="drifted",
    changes={"update": 1},
    findings=(Finding("redirect-uri", "error", "It is https://a, and should be https://b.", "provision up"),),
    notes=("one",),
    failure=Failure("NotPermitted", "No.", "Ask.", 5, throttled=True),
    seconds=1.25,
    facts={"slots": ["a"]},
)


def rows(count: int) -> list[Tenant]:
    return [Tenant(f"t{number}", f"t{number}.example") for number in range(count)]


def test_a_run_begins_with_the_rows_as_they_are(store: FleetStore) -> None:
    fleet = [CONTOSO, *rows(1200)]
    run = store.begin("north", "audit", fleet, {"at_once": 32, "only": ["t1"]})
    assert abs(run.begun - datetime.now(UTC)) < timedelta(seconds=5)
    assert (run.fleet, run.action, run.options, run.ended) == (
        "north",
        "audit",
        {"at_once": 32, "only": ["t1"]},
        None,
    )
    kept = list(store.tenants_of(run))
    assert kept == sorted(fleet, key=lambda tenant: tenant.key)
    assert store.left(run) == [tenant.key for tenant in kept]
    assert store.run(run.id) == run
    assert store.run("another") is None


def test_a_run_goes_on_with_the_rows_it_was_begun_for_whatever_the_file_says_since(store: FleetStore) -> None:
    run = store.begin("north", "up", [CONTOSO], {})
    later = store.begin("north", "up", [replace(CONTOSO, company_code="OTHER")], {})
    assert [tenant.company_code for tenant in store.tenants_of(run)] == ["Ä-ACME"]
    assert [tenant.company_code for tenant in store.tenants_of(later)] == ["OTHER"]


def test_a_selection_with_a_tenant_twice_is_refused_and_leaves_no_run(store: FleetStore) -> None:
    with pytest.raises(InvalidInput, match="contoso stands twice"):
        store.begin("north", "up", [CONTOSO, *rows(3), CONTOSO], {})
    assert store.runs("north") == []


def test_a_run_of_no_tenants_is_a_run(store: FleetStore) -> None:
    run = store.begin("north", "up", [], {})
    store.record(run.id, [])
    assert list(store.tenants_of(run)) == list(store.outcomes(run)) == store.left(run) == []


def test_what_was_not_ended_is_found_for_its_own_fleet_and_action(store: FleetStore) -> None:
    first, second = (store.begin("north", "up", rows(1), {"turn": turn}) for turn in (1, 2))
    store.begin("south", "up", rows(1), {})
    assert store.unfinished("north", "up") == second
    assert store.unfinished("north", "audit") is None
    store.end(second)
    assert store.unfinished("north", "up") is None, "the older one is superseded"
    store.end(first)
    assert store.unfinished("north", "up") is None
    newest, oldest = store.runs("north")
    assert (newest.id, oldest.id) == (second.id, first.id)
    assert newest.ended is not None
    assert newest.ended >= newest.begun


def test_ending_twice_keeps_the_first_end(store: FleetStore) -> None:
    run = store.begin("north", "up", [], {})
    store.end(run)
    ended = store.run(run.id)
    store.end(run)
    assert store.run(run.id) == ended


def test_outcomes_of_an_action_that_looks_are_written_many_at_once(store: FleetStore) -> None:
    run = store.begin("north", "audit", [CONTOSO, *rows(1100)], {})
    store.record(run.id, (Outcome(tenant.key, "audit", "unchanged") for tenant in rows(1100)))
    assert store.left(run) == ["contoso"]
    store.record(run.id, [DRIFTED])
    assert store.left(run) == []
    found = {outcome.key: outcome for outcome in store.outcomes(run)}
    assert len(found) == 1101
    assert found["contoso"] == DRIFTED


def test_a_later_outcome_of_the_same_run_takes_the_place_of_an_earlier_one(store: FleetStore) -> None:
    run = store.begin("north", "audit", [CONTOSO], {})
    store.record(run.id, [DRIFTED, replace(DRIFTED, verdict="new")])
    store.record(run.id, [replace(DRIFTED, verdict="unchanged")])
    assert [outcome.verdict for outcome in store.outcomes(run)] == ["unchanged"]


def test_a_tenant_that_was_not_tried_is_left_to_do(store: FleetStore) -> None:
    run = store.begin("north", "up", rows(2), {})
    store.record(run.id, [Outcome("t0", "up", "not-tried"), Outcome("t1", "up", "failed")])
    assert store.left(run) == ["t0"]
    assert store.claim(run.id, "t0") is not None
    assert store.claim(run.id, "t1") is None


def test_the_latest_word_on_a_tenant_may_be_an_earlier_runs(store: FleetStore) -> None:
    first = store.begin("north", "audit", rows(3), {})
    store.record(first.id, [Outcome(f"t{number}", "audit", "pending") for number in range(3)])
    second = store.begin("north", "audit", rows(2), {})
    store.record(second.id, [Outcome("t0", "audit", "unchanged"), Outcome("t1", "audit", "not-tried")])
    store.record(store.begin("north", "plan", rows(3), {}).id, [Outcome("t2", "plan", "failed")])
    store.record(store.begin("south", "audit", rows(3), {}).id, [Outcome("t2", "audit", "failed")])
    found = list(store.latest("north", "audit"))
    assert [(one.outcome.key, one.outcome.status, one.run) for one in found] == [
        ("t0", "unchanged", second.id),
        ("t1", "pending", first.id),
        ("t2", "pending", first.id),
    ]
    assert found[1].at < found[0].at


def test_a_tenants_history_is_all_that_was_said_about_it(store: FleetStore) -> None:
    for action, status in (("up", "changed"), ("audit", "unchanged"), ("audit", "pending")):
        store.record(store.begin("north", action, rows(2), {}).id, [Outcome("t1", action, status)])
    told = [(one.outcome.action, one.outcome.status) for one in store.history("north", "t1")]
    assert told == [("audit", "pending"), ("audit", "unchanged"), ("up", "changed")]
    assert store.history("north", "t0") == store.history("south", "t1") == []


def test_an_outcome_of_a_tenant_that_the_run_does_not_have_is_refused_with_all_of_its_batch(store: FleetStore) -> None:
    run = store.begin("north", "audit", rows(1), {})
    with pytest.raises(StateUnavailable, match=r"no run .* with the tenant stranger") as refused:
        store.record(run.id, [Outcome("t0", "audit", "unchanged"), Outcome("stranger", "audit", "unchanged")])
    assert "PROVISION_FLEET_STORE" in refused.value.remedy
    assert list(store.outcomes(run)) == []


def test_nothing_that_looks_like_a_secret_is_kept_of_what_others_answered(store: FleetStore, address: str) -> None:
    secret = "Abc8Q~" + "x" * 34
    token = "eyJhbGciOiJSUzI1NiJ9.eyJ0aWQiOiJ4In0.c2ln"
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----"
    answered = f"refused {secret}, {token} and {key} from https://anna:pass-word@proxy.example/x"
    run = store.begin("north", "up", rows(1), {"proxy": "https://anna:pass-word@proxy.example"})
    claim = store.claim(run.id, "t0")
    assert claim is not None
    store.keep("north", "t0", {"encryptionSalt": "v1:vFzTSDh7gCE=:v1:Tq8Q/9zY:abc=", "said": answered}, claim)
    outcome = Outcome("t0", "up", "failed", failure=Failure("Unreachable", answered, secret, 7), facts={secret: token})
    store.finish(claim, outcome)
    (told,) = store.outcomes(run)
    assert told.failure is not None
    assert told.failure.message == "refused ****, **** and **** from https://anna:****@proxy.example/x"
    assert store.kept("north", "t0")["encryptionSalt"] == "v1:vFzTSDh7gCE=:v1:Tq8Q/9zY:abc="
    everything = _everything(store)
    assert "encryptionSalt" in everything
    for forbidden in (secret, token, "MIIEvQ", "pass-word"):
        assert forbidden not in everything


def test_texts_that_a_database_cannot_keep_are_kept_without_what_it_cannot(store: FleetStore) -> None:
    run = store.begin("north", "audit", rows(1), {})
    store.record(run.id, [Outcome("t0", "audit", "failed", notes=("a\0b", "\ud800c", "\N{GRINNING FACE}"))])
    (told,) = store.outcomes(run)
    assert told.notes == ("a\ufffdb", "\ufffdc", "\N{GRINNING FACE}")
    with pytest.raises(ValueError, match="JSON"):
        store.record(run.id, [Outcome("t0", "audit", "failed", seconds=math.nan)])


def test_another_process_sees_what_was_kept(store: FleetStore, address: str) -> None:
    run = store.begin("north", "audit", [CONTOSO], {})
    store.record(run.id, [DRIFTED])
    store.close()
    again = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    assert list(again.outcomes(run)) == [DRIFTED]
    assert list(store.outcomes(run)) == [DRIFTED]
    again.close()


def _everything(store: FleetStore) -> str:
    """Every row of every table, as text."""
    from provision.fleet.store.tables import METADATA

    return store._database.read(
        lambda connection, _again: "\n".join(
            str(row) for table in METADATA.sorted_tables for row in connection.execute(table.select())
        )
    )


def test_the_statuses_of_a_run_are_read_without_its_outcomes(store: FleetStore) -> None:
    run = store.begin("north", "audit", rows(3), {})
    first, second, third = (tenant.key for tenant in store.tenants_of(run))
    store.record(run.id, [Outcome(first, "audit", "failed"), Outcome(third, "audit", "unchanged")])
    assert store.statuses(run) == {first: "failed", second: "not-tried", third: "unchanged"}
