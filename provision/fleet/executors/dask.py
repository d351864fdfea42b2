"""Workers on other machines: a Dask cluster that is there, whoever started it (`dask scheduler`, `dask worker`).

A task holds a job or a shard, which has no secret in it: each worker takes the store's address and all credentials
from its own environment, and nothing of that passes the scheduler. In the Dask worker it is done by a process of its
own with a time limit, as on one machine (``local``), so that neither a hang nor a crash of one tenant ends the Dask
worker.

A Dask worker that is lost is found by the scheduler, which gives its tasks to others; the tenant's lease in the store
keeps two from working on it at once, and runs out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import platform
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar

from distributed import Client, Security, get_worker
from distributed.comm.addressing import get_address_host_port
from distributed.comm.core import connect
from distributed.scheduler import KilledWorker

from provision.errors import InvalidInput, ProvisionError, StateUnavailable, Unreachable
from provision.fleet.executors.interface import WorkerLost, out_of_time
from provision.fleet.executors.local import TIME_LIMIT, LocalExecutor
from provision.fleet.outcome import Outcome

if TYPE_CHECKING:
    from provision.fleet.jobs import Job
    from provision.fleet.shard import Shard
    from provision.fleet.store import Run

_T = TypeVar("_T")
CONNECT_SECONDS = 20.0
_GREETING_SECONDS = 5.0
_ASKS, _NANNY_SECONDS = 3, 2.0
"""How often workers are asked when one ends over it, and how long its nanny has to begin another in between."""
_SAME = "Install the same version of provision[fleet,dask] for the coordinator, the scheduler and every worker."
_PLACE = "PROVISION_FLEET_STORE"
_LOUD = ("distributed", "tornado", "asyncio")
"""Loggers that tell a lost connection in a hundred lines; here it is one sentence."""


class DaskExecutor:
    """A client of a cluster.

    Args:
        address: the scheduler's, as in ``tcp://10.0.0.5:8786`` or ``tls://…``.
        limit: seconds for one job.
        tls: files of the authority, the certificate and its key; without them Dask's own configuration counts.

    Raises:
        Unreachable: the scheduler does not answer, or has no workers.
        InvalidInput: it is none, or its versions or the workers' are others than ours.
    """

    def __init__(self, address: str, *, limit: float = TIME_LIMIT, tls: Mapping[str, str] | None = None) -> None:
        self._address = address
        self._limit = limit
        self._tries = 0
        for name in [*_LOUD, *logging.root.manager.loggerDict]:
            if name.partition(".")[0] in _LOUD:
                logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            security = Security(require_encryption=True, **tls) if tls else Security()
            # Before the client, which prints a traceback of its own when it ends without having begun.
            asyncio.run(_reach(address, security))
            self._client = Client(
                address, security=security, timeout=CONNECT_SECONDS, set_as_default=False, name="provision"
            )
        except (OSError, TimeoutError) as error:
            raise Unreachable(
                f"The Dask scheduler at {address} does not answer: {_cause(error)}.",
                remedy="Start it (dask scheduler), check the address, and for tls:// the three files.",
            ) from None
        except (ValueError, TypeError) as error:
            raise InvalidInput(
                f"{address!r} is not the address of a Dask scheduler that can be used: {_cause(error)}.",
                remedy="Write it like tcp://HOST:8786, or tls://HOST:8786 with --tls-ca, --tls-cert and --tls-key.",
            ) from None
        try:
            self._require_versions()
        except ProvisionError:
            self.close(hard=True)
            raise

    @property
    def workers(self) -> int:
        """How many jobs the cluster's workers do at once, now; at least 1, so that jobs wait for workers to come."""
        if self._client.status != "running":
            raise self._gone()
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        return max(1, sum(int(worker["nthreads"]) for worker in workers.values()))

    def require(self, run: Run) -> None:
        """Every worker knows the run, that is, has the same store as we.

        Raises:
            StateUnavailable: one of them has not.
        """
        for worker, problem in self._ask(knows, run.id).items():
            if problem:
                raise StateUnavailable(
                    f"The Dask worker {worker} does not use this run's store: {problem}",
                    remedy=f"Set {_PLACE} (and PGPASSWORD, if it takes one) in the environment of every worker.",
                )

    def submit(self, job: Job) -> Future[Outcome]:
        """See ``Executor``."""
        task = self._given(f"{job.action}-{job.tenant.key}-{job.run}", job.document())

        def read(document: dict[str, Any] | None) -> Outcome:
            return out_of_time(job, self._limit) if document is None else Outcome.of_document(document)

        return _promised(task, read)

    def look(self, shard: Shard) -> Future[list[Outcome]]:
        """See ``Lookers``."""
        task = self._given(f"look-{shard.tenants[0].key}-{shard.run}", shard.document())

        def read(document: dict[str, Any] | None) -> list[Outcome]:
            if document is None:
                raise WorkerLost(f"it was not done within {self._limit:g} seconds")
            return [Outcome.of_document(one) for one in document["outcomes"]]

        return _promised(task, read)

    def _given(self, name: str, document: dict[str, Any]) -> Any:
        """A document given to the cluster, under a name that is told on its dashboard."""
        if self._client.status != "running":
            raise self._gone()
        self._tries += 1
        return self._client.submit(work_here, document, self._limit, key=f"{name}-{self._tries}", pure=False)

    def close(self, *, hard: bool = False) -> None:  # noqa: ARG002 - the workers are not ours to end
        """Leaves the cluster; its workers end the job that they are at, and stay."""
        with contextlib.suppress(OSError, TimeoutError):
            self._client.close(timeout=5)

    def _ask(self, what: Callable[..., Any], *arguments: object) -> dict[str, Any]:
        """Asks each worker, whatever it does meanwhile. Where one ends over it, those that are there then are asked.

        Raises:
            InvalidInput: a worker has another version, which cannot even be asked.
            Unreachable: a worker ends whenever it is asked, there are none, or the scheduler is gone.
        """
        for asked in range(1, _ASKS + 1):
            try:
                self._require_workers()
                answers = dict(self._client.run(what, *arguments, on_error="return"))
            except OSError:
                raise self._gone() from None
            ended = {worker: answer for worker, answer in answers.items() if isinstance(answer, OSError)}
            if not ended:
                break
            if asked < _ASKS:
                time.sleep(_NANNY_SECONDS)
        for worker, lost in ended.items():
            raise Unreachable(
                f"The Dask worker {worker} ended {_ASKS} times while it was asked for its version and its store "
                f"({_cause(lost)}).",
                remedy="Its own log says why; short memory is the usual cause. Mend it, or leave it out.",
            )
        for worker, refused in answers.items():
            if isinstance(refused, ImportError):
                raise InvalidInput(
                    f"The Dask worker {worker} lacks the Python package {refused.name or 'provision'}.", remedy=_SAME
                )
            if isinstance(refused, Exception):
                raise InvalidInput(
                    f"The Dask worker {worker} cannot be used: {type(refused).__name__}: {_first_line(refused)}.",
                    remedy=_SAME,
                )
        return answers

    def _require_workers(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise Unreachable(
                f"The Dask scheduler at {self._address} has no workers.",
                remedy=f"Start some: dask worker {self._address} --nthreads 2",
            ) from None

    def _require_versions(self) -> None:
        ours = versions()
        theirs = self._ask(versions)
        try:
            found: Any = self._client.get_versions()
        except OSError:
            raise self._gone() from None
        if found["scheduler"] is not None:
            packages = found["scheduler"]["packages"]
            theirs["scheduler"] = {name: packages.get(name, ours[name]) for name in ("dask", "distributed")}
        for who, has in theirs.items():
            for name, version in has.items():
                if ours[name] != version:
                    raise InvalidInput(
                        f"The Dask {'scheduler' if who == 'scheduler' else f'worker {who}'} has {name} {version}, "
                        f"and here it is {ours[name]}.",
                        remedy=_SAME,
                    )

    def _gone(self) -> Unreachable:
        return Unreachable(
            f"The Dask scheduler at {self._address} is gone.",
            remedy="Start it again, then the same command with --resume: what is done stays done.",
        )


def _promised(task: Any, read: Callable[[dict[str, Any] | None], _T]) -> Future[_T]:
    """What a task of the cluster ends with, whatever happens there, as a future of this process."""
    promised: Future[_T] = Future()
    promised.set_running_or_notify_cancel()

    def settle(ended: Any) -> None:
        try:
            promised.set_result(read(ended.result()))
        except (KilledWorker, CancelledError, WorkerLost, OSError) as error:
            promised.set_exception(WorkerLost(_first_line(error)))
        except Exception as error:  # noqa: BLE001 - whatever a foreign machine raises is the job's end, not ours
            promised.set_exception(WorkerLost(f"{type(error).__name__}: {_first_line(error)}"))
        finally:
            ended.release()

    task.add_done_callback(settle)
    return promised


async def _reach(address: str, security: Security) -> None:
    """Connects, and no more.

    Raises:
        OSError, TimeoutError: nobody answers, or TLS fails.
        ValueError, TypeError: it is no address, or the certificates cannot be used.
    """
    connecting = connect(address, timeout=CONNECT_SECONDS, **security.get_connection_args("client"))
    try:
        comm = await asyncio.wait_for(connecting, CONNECT_SECONDS + _GREETING_SECONDS)  # who takes calls may be silent
    except (OSError, TimeoutError):  # of Dask's many tries the last may have run out of time, whatever the others met
        socket.create_connection(get_address_host_port(address), timeout=_GREETING_SECONDS).close()
        raise
    comm.abort()


def _cause(error: BaseException) -> str:
    """What is behind an error: Dask tries again and again, and says in the end that its time was up."""
    while error.__cause__ is not None and not isinstance(error, TimeoutError):
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return "nothing was heard from it in time"
    return (isinstance(error, OSError) and error.strerror) or _first_line(error)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


# In the Dask worker


class _Here:
    """The processes of this Dask worker."""

    lock = threading.Lock()
    executors: dict[float, LocalExecutor] = {}  # noqa: RUF012 - of the process


def versions() -> dict[str, str]:
    """What has to be the same everywhere."""
    from importlib.metadata import version

    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in ("provision", "dask", "distributed")}}


def knows(run_id: str) -> str:
    """Whether this worker's store has the run; the sentence that says why not, else empty."""
    from provision.fleet.store import open_fleet_store

    try:
        store = open_fleet_store()
        known = store.run(run_id)
    except ProvisionError as refused:
        return str(refused)
    return "" if known else "it knows no such run."


def work_here(document: Mapping[str, Any], limit: float) -> dict[str, Any] | None:
    """Does a job, or looks at a shard, in a process of its own beside this Dask worker; None when it was cut.

    Raises:
        WorkerLost: that process died.
    """
    with _Here.lock:
        executor = _Here.executors.get(limit)
        if executor is None:
            # A nanny starts its worker as a daemon, which may have no children lest they outlive it. Ours end
            # themselves when their parent is gone (``child``).
            multiprocessing.current_process().daemon = False
            executor = _Here.executors[limit] = LocalExecutor(get_worker().state.nthreads, limit=limit)
    return executor.do(document)
