"""Whether a lock of a stack in a shared backend is one that a dead worker has left.

A lock says host and process, and nobody can see from another machine whether that process lives. The fleet can: a
worker writes down where it is at work before its engine begins, and takes the note away when it has ended. Who holds
the tenant's lease and finds another's note knows that the other has not shown that it lives for a whole lease, and a
worker that cannot show it ends its engine before the lease is over (``work``). So a lock from that host, taken after
that note, is a dead run's. On the worker's own machine its lease is over the moment it dies, and its engine may live a
little longer; there the lock's process is looked at, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provision.engine.locks import Lock
from provision.fleet.kept import Kept
from provision.journal.lease import Holder

_ROUNDING = timedelta(seconds=2)
"""A lock's time is in whole seconds."""


@dataclass(frozen=True)
class AtWork:
    """The note of the worker before, if it left one."""

    host: str = ""
    since: datetime | None = None
    boot: str = ""
    """As in ``journal.lease.Holder``: whose process ids it speaks of."""

    @classmethod
    def of(cls, kept: Kept) -> AtWork:
        """The note that is kept of a tenant."""
        note = kept.at_work or {}
        try:
            return cls(str(note["host"]), datetime.fromisoformat(note["since"]), str(note.get("boot", "")))
        except (KeyError, ValueError):
            return cls()

    @staticmethod
    def here() -> dict[str, str]:
        """The note of this worker."""
        us = Holder.this_process()
        return {"host": us.host, "since": datetime.now(UTC).isoformat(), "boot": us.boot}

    def is_of(self, lock: Lock) -> bool:
        """Whether a lock was taken by the worker that left the note, and nobody is at work under it any more."""
        if self.since is None or lock.host != self.host or lock.since < self.since - _ROUNDING:
            return False
        return self.boot != Holder.this_process().boot or not lock.holder_lives
