"""The engine gets the user's environment, except what would have it write client secrets to a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.engine.command import EngineCommand
from provision.engine.toolchain import Toolchain


@pytest.fixture
def teller(tmp_path: Path) -> tuple[EngineCommand, list[str]]:
    """A command that prints its environment, in the place of the engine; and what was said to the user."""
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\nexec env\n")
    program.chmod(0o700)
    said: list[str] = []
    return EngineCommand(Toolchain(program, "3.259.0", "path", None), say=said.append), said


def told(command: EngineCommand, **more: str) -> dict[str, str]:
    answer = command.run(["up"], cwd="/", additional_env=more)
    return dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)


def test_what_tells_all_is_not_passed_on_and_the_user_hears_it_once(teller: tuple[EngineCommand, list[str]]) -> None:
    command, said = teller
    for _ in range(2):
        got = told(command, PULUMI_DEBUG_GRPC="/tmp/x", TF_LOG="TRACE", TF_LOG_PROVIDER="DEBUG", OTHER="kept")
        assert got["OTHER"] == "kept"
        assert [name for name in got if name.startswith(("TF_LOG", "PULUMI_DEBUG"))] == []
        assert got["PULUMI_TRACING_NO_PAYLOADS"] == "true"
    assert [line.split()[0] for line in said] == ["PULUMI_DEBUG_GRPC", "TF_LOG", "TF_LOG_PROVIDER"]


@pytest.mark.parametrize(
    ("asked", "gets"), [("", ""), ("3", "3"), ("8", "8"), ("9", "8"), ("11", "8"), ("0x9", "8"), ("+9", "8")]
)
def test_the_engine_is_no_louder_than_its_secrets_allow(
    teller: tuple[EngineCommand, list[str]], asked: str, gets: str
) -> None:
    command, said = teller
    assert told(command, PULUMI_OPTION_VERBOSE=asked)["PULUMI_OPTION_VERBOSE"] == gets
    assert len(said) == (asked != gets)
