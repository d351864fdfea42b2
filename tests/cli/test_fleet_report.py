"""``provision fleet report``: every form from the command line, into private files."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path

import pytest
from junitparser import JUnitXml

from provision.cli import run
from provision.errors import InvalidInput, Usage
from provision.fleet.outcome import Failure, Outcome
from provision.fleet.store import open_fleet_store
from provision.fleet.tenant import Tenant

FORMULA = "=HYPERLINK(1) <b>x</b>"


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PROVISION_FLEET_STORE", f"sqlite://{tmp_path}/fleet.db")
    monkeypatch.chdir(tmp_path)
    assert run(["fleet", "init", "--name", "north"]) == 0
    assert run(["fleet", "add", "a", "a.onmicrosoft.com", "--company-code", "A1", "--group", "x"]) == 0
    assert run(["fleet", "add", "b", "b.onmicrosoft.com", "--company-code", "B1"]) == 0
    store = open_fleet_store()
    audit = store.begin("north", "audit", [Tenant("a", "a.onmicrosoft.com"), Tenant("gone", "gone.example")], {})
    store.record(audit.id, [Outcome("a", "audit", "failed", failure=Failure("NotPermitted", FORMULA, "Ask.", 5))])
    store.record(audit.id, [Outcome("gone", "audit", "unchanged")])
    store.end(audit)
    return audit.id


def test_the_rows_of_the_fleet_file_are_shown_whether_a_run_tried_them_or_not(
    first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(["fleet", "report"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1 failed, 1 not-tried"
    assert FORMULA in out
    assert run(["fleet", "report", "--group", "x", "--json"]) == 0
    assert [one["key"] for one in json.loads(capsys.readouterr().out)["tenants"]] == ["a"]
    assert run(["fleet", "report", "--fleet", "north", "--json"]) == 0
    assert [one["key"] for one in json.loads(capsys.readouterr().out)["tenants"]] == ["a", "gone"]


def test_the_files_are_their_owners_alone_and_take_the_place_of_those_before(first: str, tmp_path: Path) -> None:
    names = {"--html": tmp_path / "r.html", "--csv": tmp_path / "r.csv", "--junit": tmp_path / "r.xml"}
    wanted = [str(word) for pair in names.items() for word in pair]
    for _ in range(2):
        assert run(["fleet", "report", *wanted]) == 0
    for file in names.values():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".r.*"))
    assert "=HYPERLINK(1) &lt;b&gt;" in names["--html"].read_text(encoding="utf-8")
    head, *rows = csv.reader(names["--csv"].read_text(encoding="utf-8").splitlines())
    assert [(one[0], one[head.index("message")][:4]) for one in rows] == [("a", "'=HY"), ("b", "no r")]
    (suite,) = JUnitXml.fromfile(str(names["--junit"]))
    assert (suite.tests, suite.failures, suite.skipped) == (2, 1, 1)


def test_one_run_alone(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["fleet", "report", "--fleet", "north", "--run", first, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == first
    open_fleet_store().begin("south", "audit", [], {})
    assert run(["fleet", "report", "--fleet", "south", "--run", first]) == InvalidInput.exit_code
    assert f"no run {first} of the fleet south" in capsys.readouterr().err


def test_a_fleet_that_the_store_does_not_know_is_told_with_those_that_it_knows(
    first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["fleet", "report", "--fleet", "nope"]) == InvalidInput.exit_code
    said = capsys.readouterr()
    assert (said.out, "knows no fleet nope." in said.err, "There is: north." in said.err) == ("", True, True)


def test_a_choice_among_rows_needs_their_file(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "report", "--fleet", "north", "--tenant", "nobody"]) == Usage.exit_code
    assert "Leave out --fleet, or the selection." in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "report", "--html", "nowhere/r.html"]) == InvalidInput.exit_code
    assert "nowhere/r.html cannot be written" in capsys.readouterr().err
