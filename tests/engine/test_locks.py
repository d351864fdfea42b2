"""Telling a dead run's lock from a live one; a wrong answer loses state or locks the user out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from provision.engine.locks import locks_in

HERE = socket.gethostname()


def refusal(*, host: str = HERE, pid: int, since: datetime | None = None, url: str = "file:///s/a%20b.json?x=1") -> str:
    """The engine's sentence, as pkg/backend/diy/lock.go writes it."""
    at = (since or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete "
        f"the lock file with `pulumi cancel`.\n  {url}: created by ann@{host} (pid {pid}) at {at}"
    )


@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_holder_is_read_from_the_refusal() -> None:
    since = datetime(2026, 11, 23, 14, 12, 39, tzinfo=UTC)
    (lock,) = locks_in(refusal(host="build-7", pid=4711, since=since))
    assert (lock.user, lock.host, lock.pid, lock.since) == ("ann", "build-7", 4711, since)
    assert str(lock.file) == "/s/a b.json"
    assert str(lock) == "ann@build-7 (process 4711) since 2026-11-23 14:12:39 +0000"


def test_a_dead_holder_of_this_machine_is_stale(dead: int) -> None:
    assert locks_in(refusal(pid=dead))[0].stale


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="no such processes here")
def test_a_killed_holder_that_nobody_reaps_is_stale() -> None:
    """In a container without an init that reaps, a killed engine keeps its number for ever."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert locks_in(refusal(pid=process.pid))[0].stale
    process.wait()


def test_a_live_holder_is_not() -> None:
    assert not locks_in(refusal(pid=os.getpid()))[0].stale


def test_a_later_process_with_the_same_number_is_not_the_holder() -> None:
    """Process numbers are used again: the lock of before the reboot must not lock the user out for ever."""
    assert locks_in(refusal(pid=os.getpid(), since=datetime.now(UTC) - timedelta(days=400)))[0].stale


def test_another_machines_lock_is_never_stale(dead: int) -> None:
    assert not locks_in(refusal(host="elsewhere", pid=dead))[0].stale


def test_a_shared_backends_lock_is_never_stale(dead: int) -> None:
    """Two CI runners may have the same host name; only a directory on this machine proves anything."""
    assert not locks_in(refusal(pid=dead, url="azblob://states/.pulumi/locks/x.json"))[0].stale


def test_other_words_name_no_lock() -> None:
    assert locks_in("error: no stack named 'dev' found") == []
