"""The store in a PostgreSQL database, for coordinators and workers on several machines.

How the database is reached is the journal's business (``journal.libpq``): one URL means the same for both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from provision.errors import ProvisionError, StateUnavailable
from provision.journal.libpq import BEGIN, Server, read_url

WAIT = 20.0
"""How many seconds a writer waits for another session's transaction, which takes milliseconds."""
THREADS = 8
"""Connections of a process at most; one stays open, the others only while several threads ask at once."""


def server(url: str, environ: Mapping[str, str]) -> Server:
    """The database of a ``postgres://`` URL; nothing is sent.

    Raises:
        InvalidInput: the URL cannot be understood.
    """
    return read_url(url, environ, content="fleet's store", tables="the tables provision_fleet_…")


def engine(place: Server) -> Engine:
    """Connections to the database."""
    # A statement is not prepared: behind a pooler the next one may reach another session.
    parameters: dict[str, Any] = {**place.parameters, "prepare_threshold": None}
    made = create_engine(
        "postgresql+psycopg://",
        connect_args=parameters,
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=THREADS - 1,
        hide_parameters=True,
    )
    event.listen(made, "begin", _begin)
    return made


def told(failure: DBAPIError, place: Server) -> ProvisionError:
    """What a refusal means."""
    if isinstance(failure.orig, psycopg.Error):
        return place.told(failure.orig, WAIT)
    return StateUnavailable(f"The fleet's store in {place.shown} cannot be used: {failure.orig}.", remedy="Run again.")


def _begin(connection: Connection) -> None:
    if (
        connection.get_execution_options().get("store_writes", "none") != "none"
    ):  # workers outlive the server: all is lasting
        connection.exec_driver_sql(BEGIN, (f"{WAIT * 1000:.0f}ms",))
