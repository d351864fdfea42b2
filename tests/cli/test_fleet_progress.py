"""What a person sees of a run: a bar in place on a terminal, lines in a log."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from provision.cli import fleet_progress
from provision.cli.fleet_progress import words
from provision.fleet.coordinator import Standing
from provision.fleet.outcome import Failure, Outcome

STANDING = Standing(
    total=1000,
    running=4,
    at_once=4,
    waiting={"": 480, "throttled": 12, "elsewhere": 1},
    done={"changed": 500, "failed": 3},
    seconds=600.0,
    seconds_left=587.4,
)
FAILED = Outcome("contoso", "up", "failed", failure=Failure("NotPermitted", "No [role] to do it.", "", 5))


def test_the_standing_in_words() -> None:
    said = "500 changed, 3 failed, 4 running, 12 waiting on throttling, 1 worked on elsewhere, about 09:47 left"
    assert words(STANDING) == said


def test_a_log_gets_failures_at_once_and_the_standing_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fleet_progress.shown("fleet up") as show:
        for _ in range(3):
            show.tell(STANDING)
        show.ended(FAILED)
        assert capsys.readouterr().err == "contoso: No [role] to do it.\n"
        monkeypatch.setattr(fleet_progress, "_EVERY_SECONDS", 0.0)
        show.tell(STANDING)
    assert capsys.readouterr().err.startswith("fleet up: 503 of 1000 tenants: 500 changed, 3 failed, 4 running")


def test_a_terminal_gets_a_bar_that_goes_away_and_failures_that_stay() -> None:
    program = (
        "from provision.cli.fleet_progress import shown\n"
        "from provision.fleet.coordinator import Standing\n"
        "from provision.fleet.outcome import Failure, Outcome\n"
        "import time\n"
        f"with shown('fleet up') as show:\n    show.tell({STANDING!r})\n    time.sleep(0.3)\n"
        "    show.ended(Outcome('contoso', 'up', 'failed', failure=Failure('X', 'No [role] to do it.', '', 5)))\n"
        "    time.sleep(0.3)\n"
    )
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen([sys.executable, "-c", program], stderr=theirs, stdout=theirs, env=environ)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
    assert process.wait() == 0
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())
    assert "503/1000" in plain
    assert "12 waiting on throttling" in plain
    assert "contoso: No [role] to do it." in plain
    assert b"\x1b[2K" in said, "the bar is taken away in the end"
