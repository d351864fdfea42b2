"""The fleet file from the command line: exit codes, lines, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.cli import run
from provision.fleet.source.schema import PUBLISHED


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_nothing_to_a_fleet_of_two(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "init", "--name", "msp"]) == 0
    assert run(["fleet", "init"]) == 11
    assert run(["fleet", "add", "a", "a.onmicrosoft.com", "--company-code", "A", "--set", "secretMonths=6"]) == 0
    assert run(["fleet", "add", "b", "b.onmicrosoft.com", "--company-code", "B", "--group", "x", "--group", "y"]) == 0
    assert run(["fleet", "add", "b", "c.onmicrosoft.com", "--company-code", "C"]) == 3
    assert run(["fleet", "add", "c", "c.onmicrosoft.com", "--company-code", "C", "--set", "secretMonth=6"]) == 3
    assert run(["fleet", "add", "c", "c.onmicrosoft.com", "--set", "secretMonths"]) == 2
    capsys.readouterr()
    assert run(["fleet", "validate", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"fleet": "msp", "good": 2, "tenants": ["a", "b"], "problems": []}
    assert (folder / "tenants.yaml").read_text().count("- key:") == 2


def test_the_first_tenant_needs_no_file_and_a_name_that_was_mistyped_makes_none(folder: Path) -> None:
    assert run(["fleet", "add", "a", "a.onmicrosoft.com", "--company-code", "A"]) == 0
    assert (folder / "tenants.yaml").read_text().count("- key:") == 1
    assert run(["fleet", "add", "a", "a.onmicrosoft.com", "--company-code", "A", "--file", "tenant.yaml"]) == 3
    assert not (folder / "tenant.yaml").exists()
    assert run(["fleet", "init", "--name", "A b", "--file", "new.yaml"]) == 3
    assert not (folder / "new.yaml").exists()


def test_every_problem_is_a_line_that_an_editor_can_jump_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "t.yaml").write_text("fleet: a\ntenants:\n- key: B\n- {key: c, tenant: c.com, companyCode: C}\n")
    assert run(["fleet", "validate", "--file", "t.yaml"]) == 3
    told = capsys.readouterr()
    assert told.out.startswith("t.yaml:3: tenant 1, key: key is 'B'; it must be")
    assert "t.yaml:3: tenant 1, tenant: tenant is missing" in told.out
    assert told.err == "t.yaml: 1 good row, 2 problems.\n"
    assert run(["fleet", "validate", "--file", "t.yaml", "--json"]) == 3
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [(one["file"], one["line"]) for one in problems] == [("t.yaml", 3), ("t.yaml", 3)]


@pytest.mark.parametrize("text", [None, "fleet: [", "fleet: a\ntenants: {}\n"])
def test_a_file_that_is_none_ends_in_one_sentence(
    folder: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (folder / "tenants.yaml").write_text(text)
    assert run(["fleet", "validate"]) == 3
    assert capsys.readouterr().err.startswith("provision: ")
    assert run(["fleet", "validate", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["good"] == 0


def test_the_schema_is_printed_as_it_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fleet", "schema"]) == 0
    assert capsys.readouterr().out == PUBLISHED.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["up", "audit", "watch", "report"])
def test_a_command_for_which_no_good_row_is_left_names_each_mistake_and_its_remedy(
    folder: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROVISION_FLEET_STORE", f"sqlite://{folder}/fleet.db")
    (folder / "tenants.yaml").write_text("fleet: a\ntenants:\n- {key: B, tennant: c.com}\n")
    assert run(["fleet", "validate"]) == 3
    mistakes = capsys.readouterr().out.splitlines()
    assert len(mistakes) > 2
    assert run(["fleet", command]) == 3
    told = capsys.readouterr().err
    assert told.count("bad row: ") > 1
    assert told.replace("bad row: ", "").splitlines()[: len(mistakes)] == mistakes
    assert "tenants.yaml has no good row." in told
    (folder / "tenants.yaml").write_text("fleet: a\ntenants: []\n")
    assert run(["fleet", command]) == 3
    assert "provision fleet add" in capsys.readouterr().err
