"""A connection to the store's database that comes back: transactions, trying again, refusals in one sentence.

Owns: reading the address, and the tables' version. Does not own: what is in the tables (``record``).
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, func, inspect, select, text
from sqlalchemy.exc import DBAPIError

from provision.engine.state import data_directory, without_passwords
from provision.errors import InvalidInput, ProvisionError, StateUnavailable, Unreachable
from provision.fleet.store import sqlite
from provision.fleet.store.tables import METADATA, SCHEMA

VERSION = 2
"""Of the tables as this version of the toolkit makes them (``tables``)."""
STEPS: dict[int, tuple[str, ...]] = {
    1: (
        "create table provision_fleet_watches (fleet text primary key, token bigint not null, holder text, "
        "until double precision, document text not null)",
    ),
}
"""By version: the statements that make the tables of the next one of it, in words that both databases know."""
PATIENCE = 60.0
"""How many seconds a call goes on trying: longer than a database takes to restart or a standby to take over."""
FIRST_PATIENCE = 5.0
"""The same for a database that has not answered yet: a wrong address is told soon."""
_LONGEST_PAUSE = 2.0
_T = TypeVar("_T")
Work = Callable[[Connection, bool], _T]
"""Done in one transaction; told whether it is tried again, so that an earlier try may have been committed."""


class Database:
    """A database that keeps the store's tables.

    Args:
        shown: where it is, without a password.
        make_engine: makes an SQLAlchemy engine; nothing is sent yet.
        told: what the database's refusal means; ``Unreachable`` when trying again may help.
        patience: see ``PATIENCE``.
    """

    def __init__(
        self,
        shown: str,
        make_engine: Callable[[], Engine],
        told: Callable[[DBAPIError], ProvisionError],
        *,
        patience: float = PATIENCE,
    ) -> None:
        self.shown = shown
        self._make_engine = make_engine
        self._told = told
        self._patience = patience
        self._making = threading.Lock()
        self._engine: tuple[int, Engine] | None = None
        self._answered = False

    def write(self, work: Work[_T], *, lasting: bool = True) -> _T:
        """Does something in one transaction, which is committed when this returns.

        Args:
            work: see ``Work``.
            lasting: whether it must outlast a power cut of the machine. What means nothing once its processes are gone
                need not, where the database is a file on the same machine.
        """
        return self._tried(work, "lasting" if lasting else "passing")

    def read(self, work: Work[_T]) -> _T:
        """Reads in one transaction."""
        return self._tried(work, "none")

    def close(self) -> None:
        """Closes the connections; the next call opens another."""
        with self._making:
            if self._engine is not None and self._engine[0] == os.getpid():
                self._engine[1].dispose()
            self._engine = None

    def _tried(self, work: Work[_T], writes: str) -> _T:
        began, tries = time.monotonic(), 0
        while True:
            try:
                with self._ours().connect().execution_options(store_writes=writes) as connection, connection.begin():
                    result = work(connection, tries > 0)
            except DBAPIError as failure:
                told = self._told(failure)
                patience = self._patience if self._answered else min(self._patience, FIRST_PATIENCE)
                pause = min(_LONGEST_PAUSE, 0.05 * 2**tries) * random.uniform(0.5, 1.0)  # noqa: S311
                if not isinstance(told, Unreachable) or time.monotonic() - began + pause > patience:
                    raise told from None
                tries += 1
                time.sleep(pause)
            else:
                self._answered = True
                return result

    def _ours(self) -> Engine:
        """This process's engine: a fork shares its parent's connections and must not use them."""
        with self._making:
            if self._engine is None or self._engine[0] != os.getpid():
                if self._engine is not None:
                    self._engine[1].dispose(close=False)
                self._engine = (os.getpid(), self._make_engine())
            return self._engine[1]


def open_database(url: str | None, environ: Mapping[str, str], *, patience: float = PATIENCE) -> Database:
    """The database at an address, its tables ready; see ``open_fleet_store``."""
    if url and url != without_passwords(url):
        raise InvalidInput(
            "The store on the command line has a password in it, which every user of this machine could see.",
            remedy="Put the URL into the environment variable PROVISION_FLEET_STORE.",
        )
    address = url or environ.get("PROVISION_FLEET_STORE")
    scheme = (address or "").partition("://")[0]
    if not address:
        database = _in_file(_own_file(environ), patience)
    elif scheme == "sqlite":
        database = _in_file(sqlite.named(address), patience)
    elif scheme in ("postgres", "postgresql"):
        database = _in_postgres(f"postgres{address.removeprefix(scheme)}", environ, patience)
    else:
        raise InvalidInput(
            f"The fleet's store {without_passwords(address)!r} is not a URL that this toolkit knows.",
            remedy="Use sqlite:///path/to/file.db or postgres://user@host/database.",
        )
    _make_ready(database)
    return database


def _own_file(environ: Mapping[str, str]) -> Path:
    """The file in the user's data directory, whose folder is made: nobody has written its name, so none is mistyped.

    Raises:
        StateUnavailable: the folder cannot be made.
    """
    folder = data_directory(environ).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as failure:
        raise StateUnavailable(
            f"The folder {folder} for the fleet's store cannot be made: {failure.strerror}.",
            remedy="Correct the permissions, or name another place with PROVISION_FLEET_STORE=sqlite:///….",
        ) from None
    return folder / "fleet.db"


def _in_file(file: Path, patience: float) -> Database:
    sqlite.prepare(file)
    return Database(str(file), lambda: sqlite.engine(file), lambda e: sqlite.told(e, file), patience=patience)


def _in_postgres(url: str, environ: Mapping[str, str], patience: float) -> Database:
    try:
        from provision.fleet.store import postgres
    except ImportError as missing:
        raise InvalidInput(
            f"A fleet's store in postgres:// needs the Python package {missing.name}, which is not installed.",
            remedy="pip install 'provision[fleet,postgres]'",
        ) from None
    server = postgres.server(url, environ)
    return Database(
        server.shown, lambda: postgres.engine(server), lambda e: postgres.told(e, server), patience=patience
    )


def _make_ready(database: Database) -> None:
    """Makes the tables of a new database, brings older ones up to date, and leaves those of a newer toolkit alone."""
    found = database.read(lambda connection, _again: _version(connection))
    if found is None or found < VERSION:
        found = database.write(lambda connection, _again: _brought_up_to_date(connection))
    if found > VERSION:
        raise StateUnavailable(
            f"The fleet's store in {database.shown} belongs to a newer version of this toolkit (its tables have the "
            f"version {found}, this one knows {VERSION}).",
            remedy="Bring this one up to date: pip install --upgrade provision",
        )


def _version(connection: Connection) -> int | None:
    """The tables' version; None when there are none."""
    if not inspect(connection).has_table(SCHEMA.name):
        return None
    return int(connection.execute(select(SCHEMA.c.version)).scalar_one())


def _brought_up_to_date(connection: Connection) -> int:
    """Makes or changes the tables, all or nothing; of several who come at once one does it, the others wait."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(SCHEMA.name))))
    found = _version(connection)
    if found is None:
        METADATA.create_all(connection)
        connection.execute(SCHEMA.insert().values(version=VERSION))
        return VERSION
    for version in range(found, VERSION):
        for statement in STEPS[version]:
            connection.execute(text(statement))
        connection.execute(SCHEMA.update().values(version=version + 1))
    return max(found, VERSION)
