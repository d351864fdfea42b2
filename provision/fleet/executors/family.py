"""A worker's family: the engine, the plugins and the programs that run for its job, ended with it.

They cannot be found from the worker down: the engine has a session of its own, and once the worker is dead its children
are nobody's. So each worker puts a word of its own into its environment, which all it starts inherit. (Jenkins finds
the processes of a build in this way: "ProcessTreeKiller".)
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import psutil

MARK = "PROVISION_FLEET_WORKER"
"""The variable that holds the word."""


def members(mark: str) -> list[psutil.Process]:
    """The running processes that a worker has started, the oldest first: who started another stands before it."""
    found = []
    for process in psutil.process_iter(["create_time"]):
        with contextlib.suppress(psutil.Error, OSError):  # gone meanwhile, or somebody else's
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                found.append(process)
    return sorted(found, key=lambda process: float(process.info["create_time"]))


def end(mark: str, worker: int | None = None) -> int:
    """Ends a worker and all it has started, by force.

    All are stopped before one is killed, from the top down: an engine that outlived its plugin for a moment would still
    write into the state that the plugin is gone. What begins meanwhile is found in another round.

    Args:
        mark: the worker's word.
        worker: the worker itself; without it only what it started.

    Returns:
        How many processes were ended.
    """
    first: list[psutil.Process] = []
    if worker is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            first = [psutil.Process(worker)]
    ended = 0
    for _ in range(3):
        family = first + members(mark)
        if not family:
            break
        acts: tuple[Callable[[psutil.Process], None], ...] = (psutil.Process.suspend, psutil.Process.kill)
        for act in acts:
            for process in family:
                with contextlib.suppress(psutil.Error):
                    act(process)
        psutil.wait_procs(family, timeout=5.0)
        ended += len(family)
        first = []
    return ended
