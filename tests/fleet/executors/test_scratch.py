"""What a worker had in temporary files is gone when it is gone, however it went, and nobody else's is touched."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from hands import hand
from test_local import HERE, eventually, job, sleepers

from provision.fleet.executors import LocalExecutor, WorkerLost
from provision.fleet.executors.scratch import sweep

RUN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from hands import hand
from test_local import job
from provision.fleet.executors import LocalExecutor
if __name__ == "__main__":
    executor = LocalExecutor(1, limit=120, work=hand)
    executor.submit(job("put down", folder=sys.argv[2], next="leave", then="hang"))
    time.sleep(300)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's folder for temporary files."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def put_down(folder: Path) -> Path:
    """Where the job has put its file, once it has."""
    said = folder / "place"
    eventually(lambda: said.exists() and said.read_text(), 60)
    return Path(said.read_text())


def test_a_worker_that_is_killed_leaves_nothing_behind(temporary: Path, tmp_path: Path) -> None:
    with closing(LocalExecutor(1, limit=60, work=hand)) as executor:
        with pytest.raises(WorkerLost):
            executor.submit(job("put down", folder=str(tmp_path), next="crash")).result(timeout=60)
        place = put_down(tmp_path)
        assert place.is_relative_to(temporary)
        assert not place.exists()
        assert executor.submit(job("name")).result(timeout=60).status == "changed"
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("last_of_all", ["worker", "engine"])
def test_what_a_killed_run_left_is_swept_by_the_next_one_once_nobody_uses_it(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_of_all: str
) -> None:
    monkeypatch.setenv("THIS_TEST", str(tmp_path))
    file = tmp_path / "program.py"
    file.write_text(RUN)
    coordinator = subprocess.Popen([sys.executable, str(file), str(HERE), str(tmp_path)])
    try:
        place = put_down(tmp_path)
        eventually(lambda: len(sleepers(tmp_path)) == 2, 60)
        engine = sleepers(tmp_path)
        workers = [one for one in psutil.Process(coordinator.pid).children(recursive=True) if one not in engine]
        assert (sweep(), place.exists()) == (0, True), "its coordinator lives"
        coordinator.kill()
        coordinator.wait()
        last, others = (workers, engine) if last_of_all == "worker" else (engine, workers)
        end(*others)
        assert (sweep(), place.exists()) == (0, True), f"its {last_of_all} lives"
        end(*last)
        with closing(LocalExecutor(1, limit=60, work=hand)) as executor:
            assert not place.exists()
            assert executor.submit(job("name")).result(timeout=60).status == "changed"
        assert list(temporary.iterdir()) == []
    finally:
        coordinator.kill()
        coordinator.wait()
        end(*sleepers(tmp_path))


def end(*processes: psutil.Process) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def test_what_only_has_such_a_name_is_left_alone(temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, temporary / "provision-workers-without-a-lock"):
        folder.mkdir()
        (folder / "dear").touch()
    (elsewhere / "lock").touch()
    (temporary / "provision-workers-link").symlink_to(elsewhere)
    assert sweep() == 0
    assert (elsewhere / "dear").exists()
    assert (temporary / "provision-workers-without-a-lock" / "dear").exists()
