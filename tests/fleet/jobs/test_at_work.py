"""Whose lock is a dead worker's, in a backend that several machines share."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from provision.engine.locks import Lock
from provision.fleet.jobs.at_work import AtWork
from provision.fleet.kept import Kept

NOTED = datetime(2026, 11, 26, 0, 39, 25, 600_000, tzinfo=UTC)
KEPT = Kept(at_work={"host": "worker-1", "since": NOTED.isoformat()})
LOCK = Lock("postgres://db/state/lock.json", "root", "worker-1", 4711, NOTED.replace(microsecond=0))


def test_a_lock_that_was_taken_after_the_note_on_the_same_host_is_its_writers() -> None:
    assert AtWork.of(KEPT).is_of(LOCK)
    assert AtWork.of(KEPT).is_of(replace(LOCK, since=NOTED + timedelta(minutes=10)))


@pytest.mark.parametrize(
    "lock",
    [replace(LOCK, host="laptop"), replace(LOCK, since=NOTED - timedelta(minutes=1))],
    ids=["another host", "from before"],
)
def test_anybody_elses_lock_stays(lock: Lock) -> None:
    assert not AtWork.of(KEPT).is_of(lock)


def test_without_a_note_every_lock_stays() -> None:
    assert not AtWork.of(Kept()).is_of(LOCK)
    assert not AtWork.of(Kept(at_work={"host": "worker-1", "since": "yesterday"})).is_of(LOCK)


def test_the_note_of_this_machine_is_read_back_and_outlives_the_store() -> None:
    kept = Kept.of_document(Kept(at_work=AtWork.here()).document())
    assert AtWork.of(kept).since is not None
    assert AtWork.of(kept).host


def test_the_lock_of_an_engine_that_outlived_its_worker_on_this_machine_stays_until_it_has_ended() -> None:
    """Killed alone, a worker is known to be dead at once; its engine has a session of its own."""
    note = AtWork.of(Kept(at_work=AtWork.here()))
    assert note.since is not None
    engine = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        lock = replace(LOCK, host=note.host, pid=engine.pid, since=datetime.now(UTC))
        assert not note.is_of(lock)
        assert replace(note, boot="another machine of the same name").is_of(lock)
    finally:
        engine.kill()
        engine.wait()
    assert note.is_of(lock)
