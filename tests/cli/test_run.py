"""Whatever happens, a command ends with one sentence and a documented exit code, never with a traceback."""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from provision.cli import engine, registration, run
from provision.errors import InvalidInput, Usage


def test_a_folder_that_may_not_be_written_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cache that is a file stands for every foreseen-by-nobody refusal of the operating system."""
    (tmp_path / "cache").write_text("not a folder")
    monkeypatch.setenv("PROVISION_CACHE", str(tmp_path / "cache"))
    assert run(["engine", "build"]) == InvalidInput.exit_code
    said = capsys.readouterr().err
    assert said.startswith("provision: ")
    assert "cache" in said


def test_the_version_is_the_installed_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"provision {importlib.metadata.version('provision')}\n"


def test_a_list_whose_reader_has_gone_ends_without_a_word() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "provision", "profiles"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("typed", ["", "\n", "y\n", "contoso2\n"])
def test_destroy_without_the_stacks_name_removes_nothing(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Also with standard input closed, as in a pipeline."""
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    there = SimpleNamespace(stack="contoso", require_stack=lambda: None, destroy=pytest.fail)
    monkeypatch.setattr(registration, "_open", lambda _: there)
    with pytest.raises(Usage, match="Nothing was removed"):
        registration._destroy(argparse.Namespace(yes=False))


KEEPING = {"up", "adopt"}
FOR_ONE_RUN = {"preview", "refresh", "destroy"}
FROM_THE_STATE_ALONE = {"outputs", "handoff"}


@pytest.mark.parametrize("command", sorted(KEEPING | FOR_ONE_RUN))
def test_help_says_which_flags_are_kept(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit):
        run([command, "--help"])
    title = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("where and as whom"))
    assert ("for this run" in title) == (command in FOR_ONE_RUN)


@pytest.mark.parametrize("command", sorted(FROM_THE_STATE_ALONE))
@pytest.mark.parametrize("flag", ["--tenant", "--metadata-host", "--credential"])
def test_a_command_that_signs_in_nowhere_takes_no_sign_in(
    capsys: pytest.CaptureFixture[str], command: str, flag: str
) -> None:
    """It would be passed over, and its user would believe that another tenant had been asked."""
    with pytest.raises(SystemExit) as ended:
        run([command, *(["values.txt"] if command == "handoff" else []), flag, "x"])
    assert ended.value.code == Usage.exit_code
    assert flag in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"config: [", b"- a list", b"config: text", b"\xff\xfe\x00"])
def test_a_broken_stack_file_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARM_METADATA_HOSTNAME", raising=False)
    (tmp_path / "Pulumi.contoso.yaml").write_bytes(content)
    with pytest.raises(InvalidInput, match=r"Pulumi\.contoso\.yaml"):
        engine._metadata_host("contoso")
