"""What every executor can do, and how a job can end other than by its outcome."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol

from provision.fleet.outcome import Failure, Outcome

if TYPE_CHECKING:
    from provision.fleet.jobs import Job
    from provision.fleet.shard import Shard
    from provision.fleet.store import Run

OUT_OF_TIME = "OutOfTime"
"""The kind of a failure by a job's time limit."""


class WorkerLost(Exception):
    """A job's worker is gone: killed, out of memory, or its machine does not answer. What it had done is kept."""


class Executor(Protocol):
    """Does jobs, each for itself."""

    @property
    def workers(self) -> int:
        """How many jobs it can do at once, now; more that are given wait."""

    def require(self, run: Run) -> None:
        """Makes sure that the workers can do a run's jobs, before the first.

        Raises:
            ProvisionError: they cannot; one sentence says why.
        """

    def submit(self, job: Job) -> Future[Outcome]:
        """Has a job done.

        Returns:
            Its outcome (``out_of_time`` when it was cut at its limit), or ``WorkerLost``.
        """

    def close(self, *, hard: bool = False) -> None:
        """Ends the workers.

        Args:
            hard: at once, and everything that they started; else when each has done its job.
        """


class Lookers(Protocol):
    """Look at tenants through Microsoft Graph alone, elsewhere than in the coordinator's process."""

    @property
    def workers(self) -> int:
        """How many shards they look at at once, now.

        Raises:
            ProvisionError: they are gone.
        """

    def look(self, shard: Shard) -> Future[list[Outcome]]:
        """Has a shard looked at.

        Returns:
            An outcome for each of its tenants, or ``WorkerLost``.

        Raises:
            ProvisionError: they are gone.
        """


def out_of_time(job: Job, seconds: float) -> Outcome:
    """The outcome of a job that was cut at its limit."""
    failure = Failure(
        OUT_OF_TIME,
        f"{job.tenant.key} was not done within {seconds:g} seconds; its worker and all it had started were ended.",
        "The tenant's log says where it stood; try it alone, or give more time: --time-limit SECONDS.",
        exit_code=1,
    )
    return Outcome(job.tenant.key, job.action, "failed", failure=failure, seconds=seconds)
