"""A Dask scheduler and workers as separate processes, for benches and tests."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from trial import kill_tree


class Cluster:
    """``dask scheduler`` and some ``dask worker``s on this machine.

    Args:
        workers: how many workers.
        environ: their environment: the store, the data directory, credentials.
        threads: jobs that each does at once.
        options: of the scheduler and of every worker, for example of TLS.
        protocol: ``tcp`` or ``tls``.
    """

    def __init__(
        self,
        workers: int,
        environ: Mapping[str, str],
        *,
        threads: int = 1,
        options: tuple[str, ...] = (),
        protocol: str = "tcp",
    ) -> None:
        self._environ = dict(environ)
        self._threads = threads
        self._options = options
        self._protocol = protocol
        self._folder = tempfile.TemporaryDirectory(prefix="cluster-")
        self.log = Path(self._folder.name, "log")
        self.workers: list[subprocess.Popen[bytes]] = []
        self._count = workers

    def __enter__(self) -> Self:
        place = Path(self._folder.name, "scheduler.json")
        self.scheduler = self._start(
            self._environ,
            *("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--protocol", self._protocol, "--scheduler-file", str(place), *self._options),
        )
        end = time.monotonic() + 60
        while not place.exists():
            assert self.scheduler.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)
        self.address: str = json.loads(place.read_text())["address"]
        for _ in range(self._count):
            self.add()
        return self

    def add(self, environ: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """One more worker, under a nanny as `dask worker` starts it.

        Args:
            environ: its environment, where it is another than the cluster's.
        """
        worker = self._start(
            environ or self._environ,
            *("dask_worker", self.address, "--nthreads", str(self._threads), "--no-dashboard"),
            *("--host", "127.0.0.1", "--local-directory", self._folder.name, *self._options),
        )
        self.workers.append(worker)
        return worker

    def lose(self, worker: subprocess.Popen[bytes]) -> None:
        """A worker's machine loses power: it, its nanny, and everything that they have started are gone at once."""
        self.workers.remove(worker)
        _end(worker)

    def _start(self, environ: Mapping[str, str], module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
                env=dict(environ),
                stdout=log,
                stderr=log,
                cwd=self._folder.name,
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self.workers, self.scheduler):
            _end(process)
        with contextlib.suppress(OSError):
            self._folder.cleanup()


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        kill_tree(process)
