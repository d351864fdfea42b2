"""``provision engine``: what a user sees of the engine room."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from provision.cli import run
from provision.engine.toolchain import ensure_engine


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and passphrase of their own; the engine's cache is the machine's."""
    for name in [name for name in os.environ if name.startswith(("PULUMI_", "ARM_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROVISION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PROVISION_AZUREAD_PLUGIN", "offline")
    monkeypatch.chdir(tmp_path)
    ensure_engine(progress=print)


def test_status_names_engine_plugin_and_state(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["engine", "status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert Path(status["engine"]).name == "pulumi"
    assert status["state"] == str(tmp_path / "data/state")
    assert (tmp_path / "data/passphrase").read_text() not in json.dumps(status)


def test_verify_hashes_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["engine", "verify"]) == 0
    assert "sha256" in capsys.readouterr().out


def test_env_lets_a_shell_run_the_same_engine(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The target is read from the stack's configuration; standard output holds nothing but export lines."""
    (tmp_path / "Pulumi.dev.yaml").write_text("config:\n  azuread:metadataHost: localhost:8443\n")
    assert run(["engine", "env", "--stack", "dev"]) == 0
    said = capsys.readouterr()
    assert "stand-in" in said.err
    assert all(line.startswith("export ") for line in said.out.splitlines())
    assert (tmp_path / "data/passphrase").read_text() not in said.out + said.err
    script = said.out + "command -v pulumi && pulumi whoami --json"
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert shell.returncode == 0, shell.stderr
    assert f"file://{tmp_path}/data/state" in shell.stdout


def test_env_for_microsoft_without_a_plugin_still_helps(capsys: pytest.CaptureFixture[str]) -> None:
    """The shell may be for another project; the missing plugin is said, not made a failure."""
    assert run(["engine", "env"]) == 0
    said = capsys.readouterr()
    assert "export PATH=" in said.out or "PULUMI_BACKEND_URL" in said.out
    assert "serves local tenants only" in said.err


def test_a_password_in_the_users_backend_is_not_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_BACKEND_URL", "postgres://user:hunter2@db/state")
    assert run(["engine", "env"]) == 0
    assert run(["engine", "status"]) == 0
    said = capsys.readouterr()
    assert "hunter2" not in said.out + said.err
