"""The record of a fleet's runs, in SQLite for one machine or PostgreSQL for many.

Owns: which tenants a run was begun for and what became of each, who works on a tenant now (leases with fencing
tokens), what must outlive a worker's machine, and the history. Does not own: what is done for a tenant (``jobs``), and
in which order (``coordinator``).

It is the one truth about a run: a message that is lost between a coordinator and a worker loses nothing. Only the
database's own clock decides about leases. No secret is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from provision.fleet.store.database import PATIENCE, open_database
from provision.fleet.store.record import FleetStore
from provision.fleet.store.values import Claim, Recorded, Run
from provision.journal.lease import LeaseLost

__all__ = ["Claim", "FleetStore", "LeaseLost", "Recorded", "Run", "open_fleet_store"]


def open_fleet_store(
    url: str | None = None, *, environ: Mapping[str, str] = os.environ, patience: float = PATIENCE
) -> FleetStore:
    """The store at an address, its tables made or brought up to date.

    Args:
        url: ``sqlite:///…`` or ``postgres://…``, the value of ``--store``; without it ``PROVISION_FLEET_STORE``, else a
            SQLite file in the user's data directory. A URL with a password belongs into the variable.
        environ: the settings, and ``PGHOST``, ``PGUSER``, ``PGPASSWORD`` and the others of libpq.
        patience: how many seconds a call goes on trying while the database does not answer.

    Raises:
        InvalidInput: the URL cannot be understood, or has a password on the command line.
        StateUnavailable: the file or the tables cannot be used, or a newer version of this toolkit made them.
        Unreachable, SignInFailed, NotPermitted: the database does not answer, or does not let us in.
    """
    return FleetStore(open_database(url, environ, patience=patience))
