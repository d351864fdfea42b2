"""A person reads the secret at a terminal and says how it ends; on a real pseudo terminal, in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from provision.errors import InvalidInput
from provision.secrets.sinks import Delivery, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
SHOWN = f"    {VALUE}\r\n"
PATIENCE = 60.0
"""Seconds after which a terminal that stays silent is a failure."""

SETUP = f"""
import fcntl, json, os, sys, termios
from datetime import UTC, datetime
from pathlib import Path
from provision.errors import ProvisionError
from provision.secrets.sinks import Delivery, open_sink

if os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # as a login does
delivery = Delivery("t", "client-1", "k-1", datetime(2099, 1, 1, tzinfo=UTC), {VALUE!r})
found = []

def told(stored):
    found.append(None if stored is None else [stored.value, stored.key_id, stored.changed])

def refused(doing):
    try:
        doing()
    except ProvisionError as error:
        found.append([type(error).__name__, str(error)])
    else:
        found.append("done")
"""
END = '\nPath(os.environ["FOUND"]).write_text(json.dumps(found))\n'


class Terminal:
    """A terminal with one process on it.

    Args:
        code: what it runs, after ``SETUP``; what it appends to ``found`` is in ``found()`` at its end.
        folder: for what it found.
        stdout: where standard output leads; the terminal, when None.
    """

    def __init__(self, code: str, folder: Path, *, stdout: int | None = None) -> None:
        self._file = folder / "found.json"
        self._screen, terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SETUP + textwrap.dedent(code) + END],
            stdin=terminal,
            stdout=terminal if stdout is None else stdout,
            stderr=terminal,
            env={**os.environ, "FOUND": str(self._file)},
            start_new_session=True,
        )
        os.close(terminal)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._screen)

    def wait_for(self, text: str) -> str:
        """Reads the screen until it shows a text; returns everything since the last time."""
        new, deadline = "", time.monotonic() + PATIENCE
        while text not in new:
            ready, _, _ = select.select([self._screen], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"the terminal does not show {text!r} but {new!r}"
            try:
                new += os.read(self._screen, 4096).decode()
            except OSError:  # the process and its terminal are gone
                pytest.fail(f"the process ended and had not shown {text!r} but {new!r}")
        self.seen += new
        return new

    def type(self, text: str) -> None:
        """Types at the keyboard."""
        os.write(self._screen, text.encode())

    def found(self) -> Any:
        """What the process found, when it has ended well."""
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._screen], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self._screen, 4096).decode()
                except OSError:
                    break
        assert self._process.wait(PATIENCE) == 0, self.seen
        return json.loads(self._file.read_text())


def test_a_person_reads_stores_and_says_how_it_ends(tmp_path: Path) -> None:
    code = """
        sink = open_sink("stdout:terminal")
        sink.check()
        told(sink.stored())
        sink.write(delivery)
        told(sink.stored())
        told(sink.stored())
        told(sink.stored())
    """
    with Terminal(code, tmp_path) as terminal:
        terminal.wait_for("(Enter when there is none, or you do not know): ")
        terminal.type("\n")
        shown = terminal.wait_for("what is stored there then: ")
        assert "client secret of client-1 (key id k-1, until 2099-01-01)" in shown
        assert SHOWN in shown
        terminal.type("9-a\n")
        shown = terminal.wait_for("stored there then: ")
        assert "That is not how it ends." in shown
        assert VALUE not in shown
        terminal.type("89-A\n")
        assert terminal.found() == [None, None, [None, "k-1", "…89-A"], [None, "k-1", "…89-A"]]


def test_a_later_run_asks_again_before_the_secret_before_is_retired(tmp_path: Path) -> None:
    """Its journal knows the ending from the first run, and nothing more of the value."""
    code = """
        for _ in range(2):
            told(open_sink("stdout:terminal").stored())
    """
    with Terminal(code, tmp_path) as terminal:
        terminal.wait_for("do not know): ")
        terminal.type("89-A\n")
        terminal.wait_for("do not know): ")
        terminal.type(f"{VALUE}\n")
        assert terminal.found() == [[None, None, "…89-A"]] * 2


def test_what_was_typed_before_the_question_is_no_answer(tmp_path: Path) -> None:
    code = """
        sink = open_sink("stdout:terminal")
        sink.write(delivery)
        sys.stdin.readline()
        told(sink.stored())
    """
    with Terminal(code, tmp_path) as terminal:
        terminal.wait_for("Clear the terminal when it is stored.")
        terminal.type("go\n\n\nxxxx\n")
        terminal.wait_for("stored there then: ")
        terminal.type("89-A\n")
        assert terminal.found() == [[None, "k-1", "…89-A"]]


def test_a_pipe_gets_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    code = """
        sink = open_sink("stdout:terminal")
        refused(sink.check)
        refused(lambda: sink.write(delivery))
    """
    with Terminal(code, tmp_path, stdout=writer) as terminal:
        os.close(writer)
        found = terminal.found()
        assert [kind for kind, _ in found] == ["InvalidInput"] * 2
        assert "Standard output is not a terminal" in found[0][1]
        assert VALUE not in terminal.seen + json.dumps(found)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == ""


def test_plain_gives_a_program_the_value_alone_and_asks_at_the_terminal(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    code = """
        sink = open_sink("stdout:plain")
        sink.check()
        sink.write(delivery)
        told(sink.stored())
    """
    with Terminal(code, tmp_path, stdout=writer) as terminal:
        os.close(writer)
        terminal.wait_for("stored there then: ")
        terminal.type("89-A\n")
        assert terminal.found() == [[None, "k-1", "…89-A"]]
        assert VALUE not in terminal.seen
    with os.fdopen(reader) as pipe:
        assert pipe.read() == f"{VALUE}\n"


def test_a_program_that_is_gone_did_not_get_it(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    code = """
        sink = open_sink("stdout:plain")
        sys.stdin.readline()
        refused(lambda: sink.write(delivery))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer
    """
    with Terminal(code, tmp_path, stdout=writer) as terminal:
        os.close(writer)
        os.close(reader)
        terminal.type("\n")
        ((kind, sentence),) = terminal.found()
    assert (kind, "Broken pipe" in sentence, VALUE in sentence) == ("NotDelivered", True, False)


@pytest.mark.parametrize("way", ["terminal", "plain"])
def test_without_a_terminal_nobody_can_say_that_it_is_stored(way: str, tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    code = f"""
        sink = open_sink("stdout:{way}")
        refused(sink.check)
        refused(sink.stored)
        refused(sink.remove)
    """
    done = subprocess.run(
        [sys.executable, "-c", SETUP + textwrap.dedent(code) + END],
        env={**os.environ, "FOUND": str(file)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
        check=True,
    )
    check, stored, removed = json.loads(file.read_text())
    assert (check[0], stored[0], removed) == ("InvalidInput", "InvalidInput", "done")
    assert "Nobody sits at a terminal" in stored[1]
    assert done.stdout + done.stderr == b""


def test_the_person_is_asked_to_remove_it(tmp_path: Path) -> None:
    with Terminal('open_sink("stdout:terminal").remove()', tmp_path) as terminal:
        terminal.wait_for("Remove the client secret where you store it")
        terminal.found()


def test_the_value_is_in_no_repr(capsys: pytest.CaptureFixture[str]) -> None:
    sink = open_sink("stdout:plain")
    sink.write(Delivery("t", "c", "k", datetime(2099, 1, 1, tzinfo=UTC), VALUE))
    assert capsys.readouterr() == (f"{VALUE}\n", "")
    assert VALUE not in repr(sink)


@pytest.mark.parametrize("rest", ["", "-", "Plain", "plain "])
def test_another_way_to_write_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput):
        open_sink(f"stdout:{rest}")
