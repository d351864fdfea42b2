"""What still counts when several actions have spoken about a tenant, and what is counted out of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provision.fleet.outcome import Action, Failure, Finding, Outcome, Status
from provision.fleet.report import View, document, view
from provision.fleet.store import FleetStore, open_fleet_store
from provision.fleet.tenant import Tenant

REFUSED = Failure("NotPermitted", "The role is not enough.", "Ask for it.", 5)
WEB = Finding("redirect-web", "error", "The redirect is another.", "provision fleet up")


@pytest.fixture
def store(tmp_path: Path) -> FleetStore:
    return open_fleet_store(f"sqlite://{tmp_path}/fleet.db", environ={})


def ran(store: FleetStore, action: Action, *outcomes: Outcome, keys: str = "abc") -> str:
    run = store.begin("north", action, [Tenant(key, f"{key}.example", groups=("g",)) for key in keys], {})
    store.record(run.id, outcomes)
    store.end(run)
    return run.id


def said(key: str, action: Action, status: Status, **more: object) -> Outcome:
    if status == "failed":
        more = {"failure": REFUSED, **more}
    return Outcome(key, action, status, **more)  # type: ignore[arg-type]


def states(found: View) -> dict[str, str]:
    return {row.key: row.state for row in found.rows}


def test_a_later_audit_outdates_what_up_said_but_not_what_smtp_auth_said(store: FleetStore) -> None:
    ran(store, "up", said("a", "up", "failed"), said("b", "up", "changed"))
    ran(store, "smtp-auth", said("a", "smtp-auth", "failed"), said("b", "smtp-auth", "unchanged"))
    ran(store, "audit", said("a", "audit", "unchanged"), said("b", "audit", "pending", verdict="drifted"))
    found = view(store, "north")
    assert states(found) == {"a": "failed", "b": "pending", "c": "not-tried"}
    assert [one.outcome.action for one in found.rows[0].standing] == ["smtp-auth", "audit"]
    assert [row.key for row in found.drifted] == ["b"]
    (cause,) = found.causes()
    assert (cause.action, cause.keys) == ("smtp-auth", ("a",))
    ran(store, "smtp-auth", said("a", "smtp-auth", "changed"))
    assert states(view(store, "north"))["a"] == "changed"


def test_an_attempt_that_failed_does_not_hide_what_was_seen_before(store: FleetStore) -> None:
    ran(store, "audit", said("a", "audit", "pending", verdict="drifted", findings=(WEB,)))
    ran(store, "up", said("a", "up", "failed"))
    found = view(store, "north")
    assert states(found)["a"] == "failed"
    assert [row.key for row in found.drifted] == ["a"]
    assert [(one.rule, one.keys) for one in found.rules()] == [("redirect-web", ("a",))]
    ran(store, "up", said("a", "up", "changed"))
    found = view(store, "north")
    assert (states(found)["a"], found.drifted, found.rules(), found.causes()) == ("changed", [], [], [])


def test_what_an_action_does_not_mend_is_still_there_after_it(store: FleetStore) -> None:
    found_there = (
        Finding("differs-redirect-web", "error", "The redirect is another.", mended_by=("up",)),
        Finding("secret-ends", "warning", "The client secret ends in 9 days.", mended_by=("rotate",)),
        Finding("publisher-unverified", "warning", "The publisher is not set.", mended_by=()),
    )

    def rules() -> list[str]:
        return [one.rule for one in view(store, "north").rules()]

    ran(store, "audit", said("a", "audit", "pending", verdict="drifted", findings=found_there))
    assert rules() == ["differs-redirect-web", "publisher-unverified", "secret-ends"]
    ran(store, "up", said("a", "up", "changed"))
    assert rules() == ["publisher-unverified", "secret-ends"]
    assert [one.rule for one in next(view(store, "north").outcomes).findings] == ["secret-ends", "publisher-unverified"]
    ran(store, "rotate", said("a", "rotate", "failed"))
    assert rules() == ["publisher-unverified", "secret-ends"]
    ran(store, "rotate", said("a", "rotate", "changed"))
    assert rules() == ["publisher-unverified"]
    ran(store, "audit", said("a", "audit", "unchanged"))
    assert rules() == []


def test_a_rotated_secret_waits_for_nobody_any_more(store: FleetStore) -> None:
    ends = Finding("secret-ends", "warning", "The client secret ends in 9 days.", mended_by=("rotate",))
    theirs = Finding("secret-foreign", "note", "Somebody else's.", mended_by=())
    ran(store, "audit", said("a", "audit", "pending", verdict="secret-ends", findings=(ends, theirs)))
    ran(store, "rotate", said("a", "rotate", "unchanged"))  # it was not due
    assert states(view(store, "north"))["a"] == "pending"
    ran(store, "rotate", said("a", "rotate", "changed"))
    found = view(store, "north")
    assert states(found)["a"] == "changed"
    assert [one.rule for one in found.rules()] == ["secret-foreign"]


def test_findings_are_counted_by_rule_the_worst_first(store: FleetStore) -> None:
    note = Finding("secret-foreign", "note", "Somebody else's.")
    seen = [said(key, "audit", "pending", verdict="drifted", findings=(note, WEB)) for key in "ab"]
    ran(store, "audit", *seen, said("c", "audit", "unchanged", findings=(note,)))
    found = view(store, "north")
    assert [(one.rule, one.severity, one.keys) for one in found.rules()] == [
        ("redirect-web", "error", ("a", "b")),
        ("secret-foreign", "note", ("a", "b", "c")),
    ]
    assert [finding.rule for finding in found.rows[0].findings] == ["redirect-web", "secret-foreign"]


def test_the_history_tells_what_became_better_and_worse(store: FleetStore) -> None:
    ran(store, "audit", said("a", "audit", "unchanged"), said("b", "audit", "failed"))
    ran(store, "up", *(said(key, "up", "changed") for key in "abc"))
    ran(store, "audit", said("a", "audit", "pending"), said("b", "audit", "unchanged"), said("c", "audit", "failed"))
    newest, up, first = view(store, "north").runs
    assert (newest.better, newest.worse, newest.counts) == (1, 1, {"pending": 1, "unchanged": 1, "failed": 1})
    assert (up.better, up.worse, first.better, first.worse) == (0, 0, 0, 0)
    trails = {row.key: row.trail for row in view(store, "north").rows}
    assert trails == {
        "a": ("unchanged", "changed", "pending"),
        "b": ("failed", "changed", "unchanged"),
        "c": ("changed", "failed"),
    }


def test_one_run_alone_and_the_rows_of_the_fleet_file(store: FleetStore) -> None:
    first = ran(store, "audit", said("a", "audit", "failed"), keys="a")
    ran(store, "audit", said("a", "audit", "unchanged"), said("b", "audit", "unchanged"), keys="ab")
    assert states(view(store, "north")) == {"a": "unchanged", "b": "unchanged"}
    assert states(view(store, "north", run=store.run(first))) == {"a": "failed"}
    assert states(view(store, "north", tenants=[Tenant("b", "b.example"), Tenant("z", "z.example")])) == {
        "b": "unchanged",
        "z": "not-tried",
    }
    assert [one.status for one in view(store, "north", tenants=[Tenant("z", "z.example")]).outcomes] == ["not-tried"]
    assert view(store, "south").rows == ()


@pytest.mark.parametrize("now", [datetime(2026, 1, 31, 23, 59, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)])
def test_every_end_is_in_one_bar_of_the_timeline(store: FleetStore, now: datetime) -> None:
    days = [-400, -1, 0, 6, 7, 34, 35, 55, 56, 57, 120, 365, 700, 2000]
    keys = [f"k{number:02}" for number in range(len(days))]
    run = store.begin("north", "audit", [Tenant(key, f"{key}.example") for key in keys], {})
    store.record(
        run.id,
        [
            said(key, "audit", "unchanged", secret_ends=(now + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%SZ"))
            for key, day in zip(keys, days, strict=True)
        ],
    )
    spans = view(store, "north", now=now).timeline()
    assert sorted(key for span in spans for key in span.keys) == keys
    assert spans[0].keys == ("k00", "k01")
    assert {key for span in spans if span.soon for key in span.keys} == set(keys[:6])
    assert spans[-1].label == "later"


def test_the_json_says_the_same(store: FleetStore) -> None:
    run_id = ran(
        store, "audit", said("a", "audit", "failed"), said("b", "audit", "pending", verdict="new", findings=(WEB,))
    )
    found = view(store, "north")
    told = json.loads("".join(document(found)))
    assert (told["fleet"], told["counts"], told["drifted"]) == (
        "north",
        {"failed": 1, "pending": 1, "not-tried": 1},
        ["b"],
    )
    assert (told["rules"][0]["tenants"], told["rules"][0]["remedy"]) == (["b"], WEB.remedy)
    assert told["failures"][0] | {"tenants": ["a"], "kind": "NotPermitted"} == told["failures"][0]
    first, second, third = told["tenants"]
    assert (first["key"], first["state"], third["latest"]) == ("a", "failed", [])
    assert second["latest"][0]["run"] == run_id
    assert Outcome.of_document(second["latest"][0]["outcome"]).findings == (WEB,)
    assert told["runs"][0]["run"] == run_id
