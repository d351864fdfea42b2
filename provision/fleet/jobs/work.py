"""One job from its claim to its outcome. Nothing that happens to one tenant is an exception for the others.

Owns: claim and heartbeat, the log, and what a failure becomes. Does not own: the actions (``actions``).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from provision.engine.state import data_directory
from provision.errors import ProvisionError
from provision.fleet.jobs.actions import ACTIONS
from provision.fleet.jobs.job import Job
from provision.fleet.jobs.log import Log
from provision.fleet.jobs.opening import Opening
from provision.fleet.outcome import DEFECT, WRITING, Failure, Outcome
from provision.fleet.telemetry import traced_job
from provision.journal.lease import LeaseLost

Say = Callable[[str], None]
LEASE_SECONDS = 60.0
_BEAT_SECONDS = 15.0
_SAFE_SECONDS = 10.0
"""So long before the lease may run out its holder stops, if it could not renew it."""
_BUSY = re.compile(r"\b429\b|TooManyRequests|is overloaded", re.IGNORECASE)


class Store(Protocol):
    """What a job needs of the fleet's store."""

    def claim(self, run_id: str, key: str, *, seconds: float = ...) -> Any | None:
        """Takes the tenant's lease and counts the attempt; None when somebody who lives has it, or it is done."""

    def beat(self, claim: Any) -> None:
        """Shows that the holder lives."""

    def finish(self, claim: Any, outcome: Outcome) -> None:
        """Records the outcome and gives the lease back."""

    def release(self, claim: Any) -> None:
        """Gives the lease back without an outcome."""

    def record(self, run_id: str, outcomes: Iterable[Outcome]) -> None:
        """Records outcomes of actions that only look."""

    def kept(self, fleet: str, key: str) -> dict[str, Any]:
        """What outlives the worker's machine."""

    def keep(self, fleet: str, key: str, document: Mapping[str, Any], claim: Any) -> None:
        """Keeps it."""


def log_file(fleet: str, run: str, key: str, *, environ: Mapping[str, str]) -> Path:
    """Where a tenant's log of a run is, on the machine of the worker.

    Args:
        fleet: the fleet's name; what is no plain letter in it cannot lead to another folder.
        run: the run's id.
        key: the tenant's.
        environ: names the data directory.
    """
    return run_logs(fleet, run, environ=environ) / f"{_part(key)}.log"


def run_logs(fleet: str, run: str, *, environ: Mapping[str, str]) -> Path:
    """The folder of a run's logs on this machine; the arguments are ``log_file``'s."""
    return data_directory(environ) / "fleet" / _part(fleet) / "logs" / _part(run)


def forget_logs(fleet: str, runs: Iterable[str], *, environ: Mapping[str, str]) -> None:
    """Removes this machine's logs of runs.

    Args:
        fleet: the fleet's name.
        runs: the runs' ids; where there is no log, nothing happens.
        environ: names the data directory.
    """
    for run in runs:
        shutil.rmtree(run_logs(fleet, run, environ=environ), ignore_errors=True)


def _part(word: str) -> str:
    """A word as one part of a path, whatever is in it."""
    return quote(word, safe="").replace(".", "%2E")


@traced_job
def work_on(
    job: Job,
    store: Store,
    *,
    environ: Mapping[str, str],
    say: Say,
    lost: Callable[[], None] = lambda: None,
) -> Outcome:
    """Does one job; its outcome is in the store before this returns.

    Args:
        job: what is to be done.
        store: the fleet's.
        environ: the run's settings; the tenant's credential is added for this job alone, and this process's own
            environment is neither read nor changed.
        say: told single lines on the way; they are in the tenant's log, too.
        lost: called, on another thread, when the lease is lost or may be by now: another may begin, so whatever this
            one still runs must end at once.

    Returns:
        The outcome. ``not-tried`` when somebody else is at work on the tenant, or it is done already.
    """
    began = time.monotonic()
    key = job.tenant.key
    claim = None
    try:
        if job.action in WRITING:
            claim = store.claim(job.run, key, seconds=LEASE_SECONDS)
            if claim is None:
                return Outcome(key, job.action, "not-tried", notes=("somebody else is at work on it, or it is done",))
        with Log(log_file(job.fleet, job.run, key, environ=environ), environ) as log, _beating(store, claim, log, lost):
            outcome = _outcome(job, store, claim, environ=environ, say=say, log=log)
            outcome = replace(
                outcome, seconds=round(time.monotonic() - began, 3), attempt=claim.attempt if claim else 1
            )
            log.write(f"{outcome.status}{f': {outcome.failure.message}' if outcome.failure else ''}")
        if claim is not None:
            store.finish(claim, outcome)
        else:
            store.record(job.run, [outcome])
    except KeyboardInterrupt:
        if claim is not None:
            with contextlib.suppress(ProvisionError):
                store.release(claim)
        raise
    except ProvisionError as refused:  # the store or the log: what was done stays done, and the next attempt finds it
        if claim is not None:  # which else would wait until the lease has run out
            with contextlib.suppress(ProvisionError):
                store.release(claim)
        return Outcome(key, job.action, "failed", failure=Failure.of(refused), seconds=time.monotonic() - began)
    return outcome


def _outcome(job: Job, store: Store, claim: Any | None, *, environ: Mapping[str, str], say: Say, log: Log) -> Outcome:
    def tell(line: str) -> None:
        line = log.clean(line)
        log.write(line)
        say(f"{job.tenant.key}: {line}")

    log.write(f"{job.action} of {job.tenant.key} ({job.tenant.tenant}), run {job.run}")
    try:
        return ACTIONS[job.action](Opening(job, store, claim, environ=environ, say=tell, hide=log.hide))
    except ProvisionError as refused:
        failure = Failure.of(refused, throttled=_BUSY.search(str(refused)) is not None)
        failure = replace(failure, message=log.clean(failure.message), remedy=log.clean(failure.remedy))
    except Exception as defect:  # noqa: BLE001 - one tenant's defect must not stop a thousand others
        log.write("".join(traceback.format_exception(defect)).rstrip())
        failure = Failure(
            DEFECT,
            f"A mistake in this program stopped it ({type(defect).__name__}); {log.path} says where.",
            "Run it again; if it comes again, report it with that log.",
            exit_code=1,
        )
    return Outcome(job.tenant.key, job.action, "failed", failure=failure)


@contextlib.contextmanager
def _beating(store: Store, claim: Any | None, log: Log, lost: Callable[[], None]) -> Iterator[None]:
    """Shows that this worker lives, on a thread, for as long as the work lasts."""
    if claim is None:
        yield
        return
    over = threading.Event()
    shown = [time.monotonic()]

    def beat() -> None:
        while not over.wait(_BEAT_SECONDS):
            asked = time.monotonic()
            try:
                store.beat(claim)
                shown[0] = asked
            except LeaseLost as refused:
                log.write(f"the lease is lost: {refused}")
                lost()
                return
            except ProvisionError as refused:
                log.write(f"the lease could not be renewed: {refused}")

    def watch() -> None:  # beside the beat, which waits for the store as long as the store is patient
        while not over.wait(1.0):
            if time.monotonic() - shown[0] > LEASE_SECONDS - _SAFE_SECONDS:
                log.write("the lease could not be renewed in time, so that another may begin")
                lost()
                return

    threads = [threading.Thread(target=one, name=f"{one.__name__}-{claim.key}", daemon=True) for one in (beat, watch)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
