"""``provision fleet up`` and its like: what is refused before a run is begun leaves none behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from provision.cli import run
from provision.errors import InvalidInput, PartlyFailed, ProvisionError, Unreachable, Usage
from provision.fleet.store import FleetStore, open_fleet_store
from provision.fleet.tenant import Tenant


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetStore:
    """The record of a fleet of one tenant, whose file is in the working directory."""
    monkeypatch.setenv("PROVISION_FLEET_STORE", f"sqlite://{tmp_path}/fleet.db")
    monkeypatch.chdir(tmp_path)
    assert run(["fleet", "init", "--name", "north"]) == 0
    assert run(["fleet", "add", "contoso", "contoso.onmicrosoft.com", "--company-code", "ACME"]) == 0
    return open_fleet_store()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--scheduler", "nowhere"], InvalidInput),
        (["--scheduler", "tcp://127.0.0.1:9"], Unreachable),
        (["--scheduler", "tcp://127.0.0.1:9", "--workers", "2"], Usage),
        (["--tls-ca", "ca.pem"], Usage),
    ],
)
def test_a_cluster_that_cannot_be_used_leaves_no_run_to_go_on_with(
    store: FleetStore, options: list[str], error: type[ProvisionError]
) -> None:
    if error is not Usage:
        pytest.importorskip("distributed")
    assert run(["fleet", "rotate", *options]) == error.exit_code
    assert store.runs("north") == []


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("deaf", [("stdout",), ("stdout", "stderr")], ids="+".join)
def test_a_reader_who_has_gone_changes_neither_the_work_nor_the_exit_code(
    store: FleetStore, tmp_path: Path, deaf: tuple[str, ...], form: list[str]
) -> None:
    """As in ``| head`` and ``2>&1 | head``; the fleet has a row with a mistake, which is told on the way."""
    with Path("tenants.yaml").open("a") as file:
        file.write("  - key: wrong\n    tenant: nonsense\n    companyCode: W\n")
    reading, writing = os.pipe()
    os.close(reading)
    said = tmp_path / "said"
    with said.open("wb") as heard:
        streams = {name: writing if name in deaf else heard for name in ("stdout", "stderr")}
        command = [sys.executable, "-m", "provision", "fleet", "smtp-auth", "--workers", "1", *form]
        done = subprocess.run(command, **streams, check=False, timeout=120)  # type: ignore[call-overload]
    os.close(writing)
    assert done.returncode == PartlyFailed.exit_code
    (begun,) = store.runs("north")
    assert begun.ended is not None
    assert store.counts(begun) == {"unchanged": 1}
    assert "Traceback" not in said.read_text()
    assert "BrokenPipe" not in said.read_text()


ROW = Tenant("contoso", "contoso.onmicrosoft.com", company_code="OLD")


def test_a_run_that_a_newer_one_has_superseded_is_told_and_not_gone_on_with(
    store: FleetStore, capsys: pytest.CaptureFixture[str]
) -> None:
    older = store.begin("north", "smtp-auth", [ROW], {})
    newer = store.begin("north", "smtp-auth", [ROW], {})
    store.end(newer)
    assert run(["fleet", "smtp-auth", "--resume", "--workers", "1"]) == 0
    said = capsys.readouterr().err
    assert f"run {older.id} was not ended, but run {newer.id} is newer and has ended" in said
    assert "this is a new one" in said
    assert len(store.runs("north")) == 3
    assert store.left(older) == ["contoso"]


def test_the_run_that_is_named_is_gone_on_with_but_for_what_is_a_newer_ones(
    store: FleetStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rows name no mailboxes, so that nobody has to sign in for them."""
    older = store.begin("north", "smtp-auth", [ROW, replace(ROW, key="fabrikam")], {})
    newer = store.begin("north", "smtp-auth", [replace(ROW, company_code="NEW")], {})
    store.end(newer)
    command = ["fleet", "smtp-auth", "--resume", older.id, "--workers", "1"]
    assert run(command) == PartlyFailed.exit_code
    told = capsys.readouterr()
    assert f"going on with run {older.id}: 2 tenants are left" in told.err
    assert f"contoso  not-tried  left alone, because the run {newer.id} is newer" in told.out
    assert store.counts(older) == {"not-tried": 1, "unchanged": 1}
    assert run(command) == InvalidInput.exit_code
    assert f"The run {older.id} has ended" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["up", "smtp-auth"])
def test_only_a_run_of_the_same_action_can_be_named(
    store: FleetStore, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rotation = store.begin("north", "rotate", [ROW], {})
    assert run(["fleet", action, "--resume", rotation.id]) == InvalidInput.exit_code
    assert f"There is no run {rotation.id} of fleet {action} over north" in capsys.readouterr().err
    assert store.runs("north") == [rotation]


def test_a_way_of_sending_that_does_not_exist_is_refused(store: FleetStore, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run(["fleet", "diagnose", "--via", "pigeon"])
    assert raised.value.code == Usage.exit_code
    assert "smtp-oauth" in capsys.readouterr().err
    assert store.runs("north") == []
