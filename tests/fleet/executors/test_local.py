"""Workers on this machine that die, hang, and leave processes behind: nobody else notices, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from hands import hand

from provision.fleet.executors import LocalExecutor, WorkerLost, family
from provision.fleet.executors.interface import OUT_OF_TIME
from provision.fleet.jobs import Job
from provision.fleet.tenant import Tenant

HERE = Path(__file__).parent


def job(do: str, key: str = "a", **options: Any) -> Job:
    return Job("run", "fleet", "up", Tenant(key, "contoso.com"), {"do": do, **options})


def sleepers(folder: Path) -> list[psutil.Process]:
    """What ``leave`` started, whoever its parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("THIS_TEST") == str(folder) and "time.sleep(300)" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def eventually(true: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)


@pytest.fixture
def workers() -> Iterator[LocalExecutor]:
    executor = LocalExecutor(2, limit=60, work=hand)
    yield executor
    executor.close(hard=True)


def test_a_worker_is_warm_for_its_next_job() -> None:
    with closing(LocalExecutor(1, limit=60, work=hand)) as executor:
        outcomes = [executor.submit(job("name")).result(timeout=60) for _ in range(3)]
    assert len({outcome.notes for outcome in outcomes}) == 1
    assert outcomes[0].notes != (str(os.getpid()),)


def test_a_worker_that_is_killed_costs_its_own_job_and_no_other(workers: LocalExecutor) -> None:
    lost = workers.submit(job("crash"))
    others = [workers.submit(job("name", key=f"b{number}")) for number in range(6)]
    with pytest.raises(WorkerLost, match="signal 9"):
        lost.result(timeout=60)
    assert [other.result(timeout=60).status for other in others] == ["changed"] * 6


def test_what_a_worker_raises_costs_its_own_job_and_no_other(workers: LocalExecutor) -> None:
    stumbled = workers.submit(job("stumble"))
    with pytest.raises(WorkerLost, match="OSError"):
        stumbled.result(timeout=60)
    assert workers.submit(job("name")).result(timeout=60).status == "changed"


def test_a_worker_that_cannot_open_the_store_has_failed_like_any_other_job(tmp_path: Path) -> None:
    """A database that a new worker does not reach at once must not end a run whose others do."""
    folder = tmp_path / "file"
    folder.touch()
    settings = {"PROVISION_FLEET_STORE": f"sqlite://{folder}/fleet.db"}
    with closing(LocalExecutor(1, limit=60, settings=settings)) as executor:
        outcome = executor.submit(job("name")).result(timeout=60)
    assert (outcome.key, outcome.status) == ("a", "failed")
    assert outcome.failure is not None
    assert outcome.failure.kind == "StateUnavailable"


def test_an_idle_worker_that_is_killed_is_replaced() -> None:
    with closing(LocalExecutor(1, limit=60, work=hand)) as executor:
        first = int(executor.submit(job("name")).result(timeout=60).notes[0])
        os.kill(first, signal.SIGKILL)
        again = None
        for _ in range(3):
            try:
                again = executor.submit(job("name")).result(timeout=60)
                break
            except WorkerLost:
                continue
    assert again is not None
    assert again.notes != (str(first),)


def test_a_hanging_job_is_cut_at_its_limit_and_all_it_had_started_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine has a session of its own: neither its group nor, once the worker is dead, its parent tells it."""
    monkeypatch.setenv("THIS_TEST", str(tmp_path))
    with closing(LocalExecutor(1, limit=5, work=hand)) as executor:
        began = time.monotonic()
        hanging = executor.submit(job("leave", folder=str(tmp_path), then="hang"))
        eventually(lambda: len(sleepers(tmp_path)) == 2)
        outcome = hanging.result(timeout=60)
        assert outcome.failure is not None
        assert outcome.failure.kind == OUT_OF_TIME
        assert time.monotonic() - began < 12
        assert not sleepers(tmp_path)
        assert executor.submit(job("name")).result(timeout=60).status == "changed"


def test_what_a_killed_worker_had_started_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THIS_TEST", str(tmp_path))
    with closing(LocalExecutor(1, limit=60, work=hand)) as executor:
        with pytest.raises(WorkerLost):
            executor.submit(job("leave", folder=str(tmp_path), then="crash")).result(timeout=60)
        assert not sleepers(tmp_path)


def test_a_hard_end_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THIS_TEST", str(tmp_path))
    executor = LocalExecutor(1, limit=60, work=hand)
    hanging = executor.submit(job("leave", folder=str(tmp_path), then="hang"))
    eventually(lambda: len(sleepers(tmp_path)) == 2)
    executor.close(hard=True)
    assert isinstance(hanging.exception(timeout=5), WorkerLost)
    assert not sleepers(tmp_path)


def test_a_worker_whose_coordinator_is_killed_ends_its_job_and_then_itself(tmp_path: Path) -> None:
    """What it has done is then in the store, and it does not stay as a process that nobody knows."""
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from hands import hand; from test_local import job\n"
        "from provision.fleet.executors import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        "    executor = LocalExecutor(1, limit=60, work=hand)\n"
        "    executor.submit(job('linger', folder=sys.argv[2], seconds=3)); time.sleep(300)\n"
    )
    file = tmp_path / "program.py"
    file.write_text(program)
    coordinator = subprocess.Popen([sys.executable, str(file), str(HERE), str(tmp_path)])
    eventually((tmp_path / "begun").exists, 60)
    workers = psutil.Process(coordinator.pid).children(recursive=True)
    coordinator.kill()
    coordinator.wait()
    eventually((tmp_path / "done").exists)
    eventually(lambda: not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"])


def test_a_worker_whose_coordinator_is_killed_still_keeps_its_time(tmp_path: Path) -> None:
    program = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from hands import hand; from test_local import job\n"
        "from provision.fleet.executors import LocalExecutor\n"
        "if __name__ == '__main__':\n"
        "    executor = LocalExecutor(1, limit=6, work=hand)\n"
        "    executor.submit(job('leave', folder=sys.argv[2], then='hang')); time.sleep(300)\n"
    )
    file = tmp_path / "program.py"
    file.write_text(program)
    environ = {**os.environ, "THIS_TEST": str(tmp_path)}
    coordinator = subprocess.Popen([sys.executable, str(file), str(HERE), str(tmp_path)], env=environ)
    eventually(lambda: len(sleepers(tmp_path)) == 2, 60)
    workers = psutil.Process(coordinator.pid).children(recursive=True)
    coordinator.kill()
    coordinator.wait()
    eventually(lambda: not sleepers(tmp_path))
    eventually(lambda: not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"])


def test_only_a_workers_own_family_is_ended() -> None:
    environ = {**os.environ, family.MARK: "mine"}
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environ)
    other = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, family.MARK: "others"}
    )
    try:
        eventually(lambda: len(family.members("mine")) == 1)
        assert family.end("mine") == 1
        assert not family.members("mine")
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
