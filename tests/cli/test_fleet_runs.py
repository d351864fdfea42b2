"""``provision fleet runs``: the runs of a fleet as a table and as JSON, a tenant's history, and old runs taken away."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from provision.cli import run
from provision.errors import InvalidInput, StateUnavailable, Usage
from provision.fleet.jobs import log_file
from provision.fleet.outcome import Failure, Outcome
from provision.fleet.store import FleetStore, open_fleet_store
from provision.fleet.tenant import Tenant

ROWS = [Tenant(key, f"{key}.example") for key in ("a", "b", "c")]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetStore:
    monkeypatch.setenv("PROVISION_FLEET_STORE", f"sqlite://{tmp_path}/fleet.db")
    monkeypatch.chdir(tmp_path)
    opened = open_fleet_store()
    audit = opened.begin("north", "audit", ROWS, {"at_once": 8})
    refused = Failure("NotPermitted", "The application may not read grants.", "Grant it.", 5)
    opened.record(audit.id, [Outcome("a", "audit", "unchanged"), Outcome("b", "audit", "failed", failure=refused)])
    opened.end(audit)
    up = opened.begin("north", "up", ROWS, {})
    opened.claim(up.id, "c")
    opened.begin("north", "up", ROWS[:1], {})
    opened.begin("south", "up", ROWS, {})
    return opened


def test_runs_are_listed_with_how_they_ended_the_newest_first(
    store: FleetStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fleet", "runs", "--fleet", "north"]) == 0
    _head, _rule, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["up", "up", "audit"]
    assert lines[0].endswith("not ended: provision fleet up --resume")
    assert lines[1].endswith("1 at work")
    assert lines[2].split()[-7:] == ["3", "1", "0", "0", "1", "1", "ended"]


def test_a_run_that_a_newer_one_has_overtaken_is_shown_as_such(
    store: FleetStore, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = (store.begin("south", "rotate", ROWS, {}) for _ in range(2))
    store.end(newer)
    assert run(["fleet", "runs", "--fleet", "south"]) == 0
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    assert told[older.id].endswith(f"superseded by {newer.id}")


def test_programs_read_the_same_as_json(store: FleetStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "runs", "--fleet", "north", "--json", "--last", "9"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fleet"] == "north"
    assert told["store"] == store.shown
    assert [one["run"] for one in told["runs"]] == [one.id for one in store.runs("north")]
    assert told["runs"][2]["counts"] == {"failed": 1, "not-tried": 1, "unchanged": 1}
    assert told["runs"][2]["options"] == {"at_once": 8}
    assert told["runs"][2]["ended"] > told["runs"][2]["begun"]
    assert (told["runs"][1]["ended"], told["runs"][1]["atWork"], told["runs"][1]["tenants"]) == (None, 1, 3)


def test_the_fleet_is_the_fleet_files_unless_named(
    store: FleetStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fleet", "runs"]) == InvalidInput.exit_code
    assert "--fleet" in capsys.readouterr().err
    assert run(["fleet", "init", "--name", "south"]) == 0
    capsys.readouterr()
    assert run(["fleet", "runs", "--json"]) == 0
    assert [one["action"] for one in json.loads(capsys.readouterr().out)["runs"]] == ["up"]


def test_a_tenants_history_says_what_failed(store: FleetStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "runs", "--fleet", "north", "--tenant", "b"]) == 0
    assert "The application may not read grants." in capsys.readouterr().out
    assert run(["fleet", "runs", "--fleet", "north", "--tenant", "b", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["history"]
    assert one["outcome"]["failure"]["kind"] == "NotPermitted"
    assert run(["fleet", "runs", "--fleet", "south", "--tenant", "b"]) == 0
    assert capsys.readouterr().out == "nothing yet\n"


def test_a_tenant_or_a_fleet_that_nobody_knows_is_told_with_those_that_there_are(
    store: FleetStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fleet", "runs", "--fleet", "north", "--tenant", "z"]) == InvalidInput.exit_code
    said = capsys.readouterr().err
    assert "No run of the fleet north had a tenant z." in said
    assert "There are: a, b, c." in said
    assert run(["fleet", "runs", "--fleet", "nroth"]) == InvalidInput.exit_code
    said = capsys.readouterr().err
    assert "knows no fleet nroth." in said
    assert "There are: north, south." in said


def test_a_new_store_has_no_run_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = f"sqlite://{tmp_path}/new.db"
    assert run(["fleet", "runs", "--fleet", "north", "--store", new]) == 0
    assert capsys.readouterr().out == "no run yet\n"
    assert run(["fleet", "runs", "--fleet", "north", "--store", new, "--tenant", "z"]) == InvalidInput.exit_code
    assert "begins a first one" in capsys.readouterr().err


def test_old_runs_are_taken_away_when_asked_and_their_logs_with_them(
    store: FleetStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PROVISION_DATA", str(tmp_path / "data"))
    logs = []
    for _ in range(2):
        later = store.begin("north", "audit", ROWS, {})
        logs.append(log_file("north", later.id, "a", environ=os.environ))
        logs[-1].parent.mkdir(parents=True)
        logs[-1].write_text("said\n")
        store.record(later.id, [Outcome(row.key, "audit", "unchanged") for row in ROWS])
        store.end(later)
    assert run(["fleet", "runs", "--fleet", "north", "--keep", "1"]) == 0
    told = capsys.readouterr()
    assert told.err == "taken away: 2 runs\n"
    assert [log.parent.exists() for log in logs] == [False, True]
    assert [line.split()[1] for line in told.out.splitlines()[2:]] == ["audit", "up", "up"]


@pytest.mark.parametrize("wrong", [["--last", "0"], ["--keep", "0"], ["--store", "postgres://u:p@ss@h/d"]])
def test_what_is_no_number_or_place_is_refused(store: FleetStore, wrong: list[str]) -> None:
    assert run(["fleet", "runs", "--fleet", "north", *wrong]) == InvalidInput.exit_code


def test_a_store_that_others_can_read_is_refused(
    store: FleetStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fleet.db").chmod(0o644)
    assert run(["fleet", "runs", "--fleet", "north"]) == StateUnavailable.exit_code
    assert "chmod 600" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], ["--tls-ca", "ca.pem"]])
def test_options_that_do_not_go_together_begin_no_run_that_nobody_would_end(
    store: FleetStore, tmp_path: Path, wrong: list[str]
) -> None:
    (tmp_path / "tenants.yaml").write_text(
        "fleet: west\ntenants:\n- {key: a, tenant: a.onmicrosoft.com, companyCode: A}\n"
    )
    assert run(["fleet", "up", "--thorough", *wrong]) == Usage.exit_code
    assert store.runs("west") == []
