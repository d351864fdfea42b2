"""Journals in a PostgreSQL database: one row each.

Owns: the table ``provision_journal``, made on the first write. Does not own: how the database is reached (``libpq``).
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from provision.journal import Conflict, Entry, check_key, encode
from provision.journal.libpq import BEGIN, Server, read_url

_TABLE = """
    create table if not exists provision_journal (
        key text primary key,
        version bigint generated always as identity,
        document jsonb not null,
        changed timestamptz not null default now()
    )
"""
PATIENCE = 20.0
"""How many seconds a writer waits for another session's write of the same row, which takes milliseconds."""


class Database:
    """A ``Store`` in a database; connects when it is first used, and again when the connection was lost.

    Args:
        server: the database.
        patience: see ``PATIENCE``.
    """

    def __init__(self, server: Server, *, patience: float = PATIENCE) -> None:
        self.server = server
        self._patience = patience
        self._turn = threading.Lock()
        self._open: list[psycopg.Connection[TupleRow]] = []
        weakref.finalize(self, _close, self._open)

    @property
    def shown(self) -> str:
        """User, host, port and database."""
        return self.server.shown

    def read(self, key: str) -> Entry | None:
        """See ``Store.read``."""
        check_key(key)
        try:
            with self._transaction() as connection:
                row = connection.execute(
                    "select document, version from provision_journal where key = %s", [key]
                ).fetchone()
        except _NoTable:
            return None
        return None if row is None else Entry(row[0], str(row[1]))

    def write(self, key: str, document: Mapping[str, Any], *, expected: str | None) -> str:
        """See ``Store.write``."""
        check_key(key)
        content = Jsonb(dict(document), dumps=encode)
        if expected is None:
            statement = (
                "insert into provision_journal (key, document) values (%s, %s) on conflict do nothing returning version"
            )
            return self._changed(key, statement, [key, content], make_table=True)
        statement = (
            "update provision_journal set document = %s, version = default, changed = now()"
            " where key = %s and version = %s returning version"
        )
        return self._changed(key, statement, [content, key, _number(key, expected)])

    def keys(self) -> list[str]:
        """See ``Store.keys``."""
        try:
            with self._transaction() as connection:
                return sorted(row[0] for row in connection.execute("select key from provision_journal"))
        except _NoTable:
            return []

    def remove(self, key: str, *, expected: str) -> None:
        """See ``Store.remove``."""
        statement = "delete from provision_journal where key = %s and version = %s returning version"
        self._changed(key, statement, [check_key(key), _number(key, expected)])

    def _changed(self, key: str, statement: str, values: list[Any], *, make_table: bool = False) -> str:
        """Runs a statement that touches one row or, after somebody else's, none."""
        try:
            with self._transaction() as connection:
                row = connection.execute(statement.encode(), values).fetchone()
        except _NoTable:
            if not make_table:
                raise Conflict(key) from None
            self._make_table()
            return self._changed(key, statement, values)
        if row is None:
            raise Conflict(key)
        return str(row[0])

    def _make_table(self) -> None:
        """Makes the table; ``if not exists`` alone fails when two do it at once, so one waits for the other."""
        with self._transaction() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtext('provision_journal'))")
            connection.execute(_TABLE)

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[TupleRow]]:
        """One transaction, committed when this returns; what PostgreSQL refuses, in one sentence."""
        with self._turn:
            try:
                connection = self._begun()
                try:
                    yield connection
                    connection.commit()
                except BaseException:
                    _roll_back(connection)
                    raise
            except errors.UndefinedTable:
                raise _NoTable from None
            except (errors.SerializationFailure, errors.DeadlockDetected):
                raise Conflict from None
            except psycopg.Error as failure:
                raise self.server.told(failure, self._patience) from None

    def _begun(self) -> psycopg.Connection[TupleRow]:
        """A connection that has just answered; nothing has been written when it has not."""
        while self._open:
            try:
                self._open[0].execute(BEGIN, [f"{self._patience * 1000:.0f}ms"])
            except psycopg.OperationalError:
                _close(self._open)
            else:
                return self._open[0]
        # A statement is not prepared: behind a pooler the next one may reach another session.
        connection = psycopg.connect(**self.server.parameters, prepare_threshold=None)
        self._open.append(connection)
        connection.execute(BEGIN, [f"{self._patience * 1000:.0f}ms"])
        return connection


class _NoTable(Exception):
    """The table is not there: nothing was ever written."""


def open_place(url: str, environ: Mapping[str, str]) -> Database:
    """The store of a ``postgres://`` URL; see ``libpq.read_url``."""
    return Database(read_url(url, environ, content="journal", tables="the table provision_journal"))


def _number(key: str, version: str) -> int:
    """The row's version; a version of another kind of store is no row's."""
    if not version.isdecimal() or int(version) >= 2**63:
        raise Conflict(key)
    return int(version)


def _roll_back(connection: psycopg.Connection[TupleRow]) -> None:
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()


def _close(connections: list[psycopg.Connection[TupleRow]]) -> None:
    while connections:
        connections.pop().close()
