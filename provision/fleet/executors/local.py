"""Worker processes of this machine: each does one job at a time and is warm for the next.

Each worker is a pebble pool of one: pools share pipes and locks among their workers, and one that is killed while it
holds a lock would take the others with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from pebble import ProcessExpired, ProcessPool

from provision.fleet.executors import child, family
from provision.fleet.executors.interface import WorkerLost, out_of_time
from provision.fleet.executors.scratch import Scratch
from provision.fleet.outcome import Outcome

if TYPE_CHECKING:
    from provision.fleet.jobs import Job
    from provision.fleet.store import Run

Work = Callable[[Mapping[str, Any], float], dict[str, Any]]
TIME_LIMIT = 900.0
"""Seconds for one tenant: a first run in bad weather takes two minutes."""
_JOBS_EACH = 200
"""A worker makes room for a fresh one after so many: what libraries leak stays small."""
_GRACE = 15.0
"""Seconds that a worker has to end itself before it is ended."""


class LocalExecutor:
    """Some worker processes.

    Args:
        workers: how many.
        limit: seconds for one job; then the worker and all it has started are ended.
        settings: variables for the workers, beside this process's own.
        log: where what their libraries print goes.
        work: what a worker does; importable by name, for it runs in another process.
    """

    def __init__(
        self,
        workers: int,
        *,
        limit: float = TIME_LIMIT,
        settings: Mapping[str, str] | None = None,
        log: Path | None = None,
        work: Work = child.work,
    ) -> None:
        self._limit = limit
        self._scratch = Scratch()
        given = (str(self._scratch.folder), dict(settings or {}), None if log is None else str(log))
        self._slots = [_Slot(work, given, self._scratch) for _ in range(workers)]
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        for slot in self._slots:
            self._free.put(slot)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="worker")

    @property
    def workers(self) -> int:
        """How many."""
        return len(self._slots)

    def require(self, run: Run) -> None:
        """The workers are this installation, and are told the coordinator's store."""

    def submit(self, job: Job) -> Future[Outcome]:
        """See ``Executor``."""
        return self._threads.submit(self._run, job)

    def do(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """Has a worker do what a document says, and waits for it; None when it was cut at its limit.

        Raises:
            WorkerLost: the worker died.
        """
        slot = self._free.get()
        try:
            return slot.run(document, self._limit)
        finally:
            self._free.put(slot)

    def close(self, *, hard: bool = False) -> None:
        """See ``Executor``."""
        for slot in self._slots if hard else ():
            slot.end()
        self._threads.shutdown(cancel_futures=True)
        for slot in self._slots:
            slot.close()
        self._scratch.close()

    def _run(self, job: Job) -> Outcome:
        document = self.do(job.document())
        return out_of_time(job, self._limit) if document is None else Outcome.of_document(document)


class _Slot:
    """A place for one worker, filled again when it dies."""

    def __init__(self, work: Work, given: tuple[str, dict[str, str], str | None], scratch: Scratch) -> None:
        self._work = work
        self._given = given
        self._scratch = scratch
        self._doing: Future[dict[str, Any]] | None = None
        self._ended = False
        self._fill()

    def _fill(self) -> None:
        self._mark = uuid.uuid4().hex
        self._pool = ProcessPool(
            max_workers=1,
            max_tasks=_JOBS_EACH,
            initializer=child.begin,
            initargs=(self._mark, *self._given),
            context=multiprocessing.get_context("spawn"),
        )

    def run(self, document: Mapping[str, Any], limit: float) -> dict[str, Any] | None:
        """Does a job; None when it was cut at its limit.

        Raises:
            WorkerLost: the worker died.
        """
        if self._ended:
            raise WorkerLost("its worker was ended")
        try:
            self._doing = self._pool.schedule(self._work, args=(document, limit), timeout=limit + _GRACE)
            return dict(self._doing.result())
        except CancelledError:
            raise WorkerLost("its worker was ended") from None
        except ProcessExpired as expired:
            code = getattr(expired, "exitcode", None)
            self._replace()
            if code == child.OUT_OF_TIME:
                return None
            how = f"ended with code {code}" if code is None or code >= 0 else f"was killed by signal {-code}"
            raise WorkerLost(f"a worker {how}") from None
        except TimeoutError:
            self._replace()
            return None
        except (BrokenProcessPool, RuntimeError) as broken:  # it died between two jobs
            self._replace()
            raise WorkerLost("a worker died before its job began") from broken
        except Exception as error:  # whatever a worker raises is the job's end, not the run's
            raise WorkerLost(f"a worker raised {type(error).__name__}") from error

    def end(self) -> None:
        """Ends the worker and all it has started, whatever it is at."""
        self._ended = True
        family.end(self._mark, self._process())
        if self._doing is not None:
            self._doing.cancel()

    def close(self) -> None:
        """Lets the worker go that has nothing to do."""
        self._pool.close()
        with contextlib.suppress(RuntimeError):
            self._pool.join()
        family.end(self._mark)

    def _replace(self) -> None:
        family.end(self._mark)
        self._pool.stop()
        with contextlib.suppress(RuntimeError):
            self._pool.join()
        self._scratch.clear(self._mark)
        self._fill()

    def _process(self) -> int | None:
        """The worker's process id while it lives and is ours."""
        try:
            found = int(child.process_file(self._given[0], self._mark).read_text(encoding="utf-8"))
            return found if psutil.Process(found).ppid() == os.getpid() else None
        except (OSError, ValueError, psutil.Error):
            return None
