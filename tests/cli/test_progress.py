"""A log gets a line now and then, not one each second; whatever is said once is said at once."""

from __future__ import annotations

import pytest

from provision.cli import progress as module


def test_a_repeated_line_is_shown_now_and_then_in_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(float(n) for n in range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(seconds))
    show = module.progress()
    for package in range(100):
        show(f"building the engine: {package} packages")
    show("built")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "building the engine: 0 packages"
    assert lines[-1] == "built"
    assert 4 <= len(lines) <= 8


def test_lines_said_once_are_all_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show = module.progress()
    for line in ("downloading", "waiting", "built"):
        show(line)
    assert capsys.readouterr().err.splitlines() == ["downloading", "waiting", "built"]


def test_on_a_terminal_a_repeated_line_is_replaced_and_the_next_begins_clean(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    show = module.progress()
    for line in ("building: 1", "building: 2", "built"):
        show(line)
    assert capsys.readouterr().err == "building: 1\r\x1b[2Kbuilding: 2\r\x1b[2Kbuilt\n"


def test_a_bar_in_a_log_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(float(n) for n in range(1000))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(seconds))
    with module.bar(100, "setting") as tick:
        for done in range(1, 101):
            tick(done)
    lines = capsys.readouterr().err.splitlines()
    assert 3 <= len(lines) <= 8
    assert all(line.startswith("setting: ") and line.endswith(" of 100") for line in lines)


def test_a_bar_on_a_terminal_shows_how_many_are_done_and_goes_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with module.bar(3, "setting") as tick:
        for done in (1, 2, 3):
            tick(done)
    shown = capsys.readouterr()
    assert "3/3" in shown.err
    assert shown.out == ""
