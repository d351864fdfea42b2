"""What is done for one tenant: an action in a project folder of its own, with its own credential, log and outcome.

Owns: the order for one tenant: claim, folder, sign-in, work, keep, finish. Does not own: which tenants and when
(``coordinator``), on which process (``executors``), and the work itself (``onboard``, ``mailbox``, ``diagnose``).

A new action is a function and its entry in ``actions.ACTIONS``.
"""

from provision.fleet.jobs.job import Job
from provision.fleet.jobs.work import Store, forget_logs, log_file, run_logs, work_on

__all__ = ["Job", "Store", "forget_logs", "log_file", "run_logs", "work_on"]
