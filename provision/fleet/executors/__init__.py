"""Where jobs are done: worker processes of this machine, or a Dask cluster of many, behind one interface.

Owns: a process for each job that may hang or die without harm to the others, its time limit, and what is left of it
afterwards. Does not own: which jobs and when (``coordinator``), nor what a job is (``jobs``).

What a worker has done is in the store before its answer comes; so an answer that is lost loses nothing.
"""

from provision.fleet.executors.interface import Executor, Lookers, WorkerLost, out_of_time
from provision.fleet.executors.local import LocalExecutor

__all__ = ["Executor", "LocalExecutor", "Lookers", "WorkerLost", "out_of_time"]
