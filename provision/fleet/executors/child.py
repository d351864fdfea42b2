"""A worker process: warm between its jobs, in charge of its own time, and never longer alive than it is of use.

Its time limit is kept in here, too, for the coordinator may die first: a worker whose coordinator is gone ends the job
that it has begun, which is in the store then, and itself after it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.errors import ProvisionError
from provision.fleet.executors import family, scratch
from provision.fleet.outcome import Failure, Outcome

if TYPE_CHECKING:
    from provision.fleet.store import FleetStore

OUT_OF_TIME = 124
"""The exit code of a worker that ended itself at its job's limit, as of ``timeout`` (GNU coreutils)."""
LEASE_LOST = 75
"""The exit code of a worker that could not show in time that it lives (EX_TEMPFAIL, sysexits.h)."""
_LOOK_SECONDS = 1.0


class _Me:
    """What this process knows of itself."""

    mark = ""
    parent = 0
    busy = False
    environ: Mapping[str, str] = os.environ
    store: FleetStore | None = None


def begin(mark: str, folder: str, settings: Mapping[str, str], log: str | None) -> None:
    """Makes this process a worker.

    Args:
        mark: the word for what it starts (``family``).
        folder: the executor's, in which it has one of its own (``scratch``); its process id is beside it.
        settings: variables to set: the store's address, as on the coordinator's command line.
        log: the file that takes what libraries print; without it they print as the coordinator does.
    """
    os.environ.update(settings)
    os.environ[family.MARK] = mark
    _Me.mark, _Me.parent, _Me.environ = mark, os.getppid(), os.environ
    os.setpgid(0, 0)  # Ctrl-C at the terminal is the coordinator's; a job in work is finished
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what is started here may be interrupted by whom it likes
    if log is not None:
        _print_into(Path(log))
    scratch.enter(Path(folder), mark)
    process_file(folder, mark).write_text(str(os.getpid()), encoding="utf-8")
    threading.Thread(target=_leave_when_alone, name="parent", daemon=True).start()


def process_file(folder: str, mark: str) -> Path:
    """Where a worker writes its process id."""
    return Path(folder, f"{mark}.pid")


def work(document: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Does a job, or looks at a shard.

    Args:
        document: the job or the shard, as JSON.
        limit: seconds after which this process ends itself.

    Returns:
        The job's outcome, as JSON; of a shard ``outcomes``.
    """
    with deadline(limit):
        if "tenants" in document:
            from provision.fleet.shard import Shard, look

            return {"outcomes": [one.document() for one in look(Shard.of_document(document), environ=_Me.environ)]}
        from provision.fleet.jobs import Job, work_on
        from provision.fleet.store import open_fleet_store

        job = Job.of_document(document)
        if _Me.store is None:
            try:
                _Me.store = open_fleet_store(environ=_Me.environ)
            except ProvisionError as refused:  # this worker's first word with it; the others go on
                return Outcome(job.tenant.key, job.action, "failed", failure=Failure.of(refused)).document()
        return work_on(job, _Me.store, environ=_Me.environ, say=_say, lost=_lease_lost).document()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Ends this process, and what it has started, unless it comes to its end in time."""
    timer = threading.Timer(seconds, _out_of_time)
    timer.daemon = True
    timer.start()
    _Me.busy = True
    try:
        yield
    finally:
        _Me.busy = False
        timer.cancel()


def _out_of_time() -> None:
    if _alone():
        family.end(_Me.mark)
    os._exit(
        OUT_OF_TIME
    )  # at once: the parent ends the family, and nobody here sees the engine die and calls it a result


def _lease_lost() -> None:
    """Another may work on the tenant from now on: nothing of this job goes on, the engine first of all."""
    family.end(_Me.mark)
    os._exit(LEASE_LOST)


def _alone() -> bool:
    return os.getppid() != _Me.parent


def _leave_when_alone() -> None:
    while not (_alone() and not _Me.busy):
        time.sleep(_LOOK_SECONDS)
    family.end(_Me.mark)
    os._exit(0)


def _print_into(log: Path) -> None:
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    into = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(into, 1)
    os.dup2(into, 2)
    os.close(into)


def _say(_line: str) -> None:
    """Lines on the way stand in the tenant's log; a thousand tenants' lines on one screen tell nobody anything."""
