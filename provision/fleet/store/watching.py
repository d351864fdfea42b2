"""A fleet's watcher in the store: one at a time, and what it has told whom.

Owns: the watcher's lease and its document, which is written only while the lease is held. Does not own: what is in the
document (``fleet.watch``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, literal, or_, select, update

from provision.errors import StateUnavailable
from provision.fleet.store.database import Database
from provision.fleet.store.fitting import fit
from provision.fleet.store.tables import WATCHES, now, upsert
from provision.journal.lease import Holder, LeaseLost

SECONDS = 120.0
"""How long a watcher may be silent before another takes over."""


@dataclass(frozen=True)
class Watch:
    """That this process is the fleet's watcher, until another one is."""

    fleet: str
    token: int
    """The fencing token: every later watcher has a greater one."""
    document: Mapping[str, Any]
    """What the watcher before has left; empty for the first."""


class Watching:
    """Taking, keeping and giving back the watch of fleets.

    Args:
        database: the store's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, fleet: str, *, seconds: float = SECONDS) -> Watch:
        """Becomes the fleet's watcher.

        Args:
            fleet: the fleet.
            seconds: how long this process may be silent (``beat``) before another takes over.

        Raises:
            StateUnavailable: another process that lives is.
        """
        us = Holder.this_process()

        def work(connection: Connection, _again: bool) -> Watch:
            found = connection.execute(select(WATCHES).where(WATCHES.c.fleet == fleet)).one_or_none()
            holder = Holder(**json.loads(found.holder)) if found is not None and found.holder else None
            dead = holder is not None and (holder.token == us.token or (holder.is_here and not holder.lives))
            values = {"token": 1, "holder": json.dumps(asdict(us)), "until": now() + literal(seconds)}
            insert = upsert(connection.dialect.name, WATCHES).values(fleet=fleet, document="{}", **values)
            free = or_(WATCHES.c.until.is_(None), WATCHES.c.until < now())
            if found is not None and dead:
                free = or_(free, WATCHES.c.token == found.token)
            taken = connection.execute(
                insert.on_conflict_do_update(
                    index_elements=[WATCHES.c.fleet],
                    set_={"token": WATCHES.c.token + 1, "holder": insert.excluded.holder, "until": values["until"]},
                    where=free,
                ).returning(WATCHES.c.token, WATCHES.c.document)
            ).one_or_none()
            if taken is None:
                raise StateUnavailable(
                    f"The fleet {fleet} is watched already: by {holder or 'another process'}.",
                    remedy="One watcher is enough; end that one first, or wait until its lease has run out.",
                )
            return Watch(fleet, taken.token, json.loads(taken.document))

        return self._database.write(work)

    def beat(self, watch: Watch, *, seconds: float = SECONDS) -> None:
        """Shows that the watcher lives.

        Raises:
            LeaseLost: another is the watcher now.
        """
        self._change(watch, {"until": now() + literal(seconds)}, lasting=False)

    def keep(self, watch: Watch, document: Mapping[str, Any]) -> None:
        """Keeps what the watcher knows and has told, in place of what was kept before.

        Raises:
            LeaseLost: another is the watcher now; nothing was written.
        """
        self._change(watch, {"document": json.dumps(fit(document), ensure_ascii=False)})

    def leave(self, watch: Watch) -> None:
        """Stops being the watcher; nothing happens when another is it already."""
        ours = (WATCHES.c.fleet == watch.fleet, WATCHES.c.token == watch.token)
        statement = update(WATCHES).where(*ours).values(until=None, holder=None)
        self._database.write(lambda connection, _again: connection.execute(statement) and None)

    def _change(self, watch: Watch, values: Mapping[str, Any], *, lasting: bool = True) -> None:
        ours = (WATCHES.c.fleet == watch.fleet, WATCHES.c.token == watch.token)
        statement = update(WATCHES).where(*ours).values(dict(values))

        def work(connection: Connection, _again: bool) -> None:
            if not connection.execute(statement).rowcount:
                raise LeaseLost(
                    f"Another process watches the fleet {watch.fleet} now; this one stops here.",
                    remedy="Nothing is lost: the other goes on.",
                )

        self._database.write(work, lasting=lasting)
