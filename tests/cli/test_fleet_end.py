"""Which exit code a run ends with, and what is said of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from provision import errors
from provision.cli.fleet_end import print_json, print_table, verdict, write_forms
from provision.fleet.breaker import Cause
from provision.fleet.coordinator import Ended
from provision.fleet.outcome import Failure, Outcome
from provision.fleet.source import Problem
from provision.fleet.store import FleetStore, Run, open_fleet_store
from provision.fleet.tenant import Tenant

REFUSED = Failure("SignInFailed", "The client secret is wrong.", "Set another.", 4)


@pytest.mark.parametrize(
    ("ended", "action", "error", "said"),
    [
        (Ended({"changed": 2, "failed": 1}), "up", errors.PartlyFailed, "1 tenant failed; the others are done."),
        (Ended({"failed": 6}), "plan", errors.PartlyFailed, "6 tenants failed."),
        (Ended({"pending": 2}), "audit", errors.ProblemsFound, "2 tenants are not as they should be."),
        (Ended({"changed": 2}, interrupted=True), "up", errors.Interrupted, "Stopped; 0 tenants not tried."),
        (
            Ended({"failed": 8, "not-tried": 92}, ((Cause("SignInFailed", "partner"), REFUSED),)),
            "up",
            errors.SignInFailed,
            "one cause hits every tenant with the credential partner (SignInFailed); 92 tenants not tried. The client",
        ),
        (
            Ended({"failed": 2}, ((Cause("Unreachable", ""), Failure("Unreachable", "Nobody answers.", "", 7)),)),
            "audit",
            errors.Unreachable,
            "One cause hits every tenant (Unreachable). Nobody answers.",
        ),
        (
            Ended({"not-tried": 1}, broken=errors.Unreachable("The scheduler is gone.")),
            "up",
            errors.Unreachable,
            "gone",
        ),
        (Ended({"pending": 1, "unchanged": 9}), "audit", errors.ProblemsFound, "1 tenant is not as it should be."),
        (Ended({"unchanged": 9, "not-tried": 1}), "audit", errors.PartlyFailed, "1 tenant not tried"),
    ],
)
def test_what_is_not_as_it_should_be_ends_in_one_sentence(
    ended: Ended, action: str, error: type[errors.ProvisionError], said: str
) -> None:
    with pytest.raises(error) as raised:
        verdict(ended, (), action=action)
    assert said in raised.value.message


def test_all_well_is_0_and_pending_changes_are_what_a_plan_is_for() -> None:
    assert verdict(Ended({"changed": 3, "unchanged": 1}), (), action="up") == 0
    assert verdict(Ended({"pending": 3}), (), action="plan") == 0
    with pytest.raises(errors.ProvisionError) as raised:
        verdict(Ended({"pending": 3}), (), action="plan", expect_no_changes=True)
    assert raised.value.exit_code == 1


def test_a_bad_row_is_told_though_all_others_are_done() -> None:
    with pytest.raises(errors.PartlyFailed, match=r"^bad rows left out \(1 mistake\); the others are done"):
        verdict(Ended({"changed": 3}), (Problem(4, "contoso", "It has no tenant."),), action="up")


@pytest.fixture
def store(tmp_path: Path) -> FleetStore:
    return open_fleet_store(environ={"PROVISION_FLEET_STORE": f"sqlite://{tmp_path / 'fleet.db'}"})


@pytest.fixture
def run(store: FleetStore) -> Run:
    run = store.begin("fleet", "up", [Tenant(f"t{number:03}", "a.example") for number in range(70)], {})
    outcomes = [Outcome(f"t{number:03}", "up", "changed", changes={"create": 6}) for number in range(69)]
    store.record(run.id, [*outcomes, Outcome("t069", "up", "failed", failure=REFUSED)])
    return run


def test_the_failed_stand_in_the_table_however_many_changed(
    store: FleetStore, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(store, run, Ended({"changed": 69, "failed": 1}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["t069", "failed", "The", "client", "secret", "is", "wrong."]
    assert lines[-2] == "and 20 more"
    assert lines[-1] == f"run {run.id}: 69 changed, 1 failed"


def test_as_json_every_tenant_is_there(store: FleetStore, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        store, run, Ended({"changed": 69, "failed": 1}), (Problem(4, "contoso", "It has no tenant.", "Add it."),)
    )
    told = json.loads(capsys.readouterr().out)
    assert len(told["tenants"]) == 70
    assert told["counts"] == {"changed": 69, "failed": 1}
    assert told["badRows"] == [{"line": 4, "where": "contoso", "message": "It has no tenant.", "remedy": "Add it."}]


def test_the_files_are_their_owners_alone_because_they_name_customers(
    store: FleetStore, run: Run, tmp_path: Path
) -> None:
    files = {"csv": tmp_path / "t.csv", "junit": tmp_path / "t.xml"}
    files["csv"].touch(0o644)
    write_forms(store, run, **files)
    for file in files.values():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "t069" in file.read_text(encoding="utf-8")
