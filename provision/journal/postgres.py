"""Journals in a PostgreSQL database: one row each.

Owns: the table ``provision_journal``, made on the first write, and reading the URL as Pulumi's own PostgreSQL backend
reads it (``pkg/backend/diy/postgres``, which connects through Go's ``lib/pq``) where libpq would read it otherwise:
TLS is required unless the URL says otherwise, the host is this machine, ``table`` is Pulumi's, and a parameter that
libpq does not know is a setting of the session.
"""

from __future__ import annotations

import re
import ssl
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, StateUnavailable, Unreachable
from provision.journal import Conflict, Entry, check_key, encode

_TABLE = """
    create table if not exists provision_journal (
        key text primary key,
        version bigint generated always as identity,
        document jsonb not null,
        changed timestamptz not null default now()
    )
"""
# A writer that was stopped in the middle must not stop the others; "off" would acknowledge what a crash takes away.
_BEGIN = """
    select set_config('lock_timeout', %s, true),
        case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end
"""
PATIENCE = 20.0
"""How many seconds a writer waits for another session's write of the same row, which takes milliseconds."""
_TIMES = {"connect_timeout": "10", "tcp_user_timeout": "20000", "keepalives_idle": "10", "keepalives_interval": "5"}
"""Seconds, but ``tcp_user_timeout`` milliseconds: a server that is gone is noticed before a lease is over."""
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep the authorities they trust (Go, ``crypto/x509/root_linux.go``, which ``lib/pq`` goes by); the
OpenSSL that psycopg brings looks where it was built."""


class Database:
    """A ``Store`` in a database; connects when it is first used, and again when the connection was lost.

    Args:
        parameters: libpq's connection parameters; may hold a password.
        patience: see ``PATIENCE``.
    """

    def __init__(self, parameters: Mapping[str, Any], *, patience: float = PATIENCE) -> None:
        self.parameters = dict(parameters)
        self._patience = patience
        self._turn = threading.Lock()
        self._open: list[psycopg.Connection[TupleRow]] = []
        weakref.finalize(self, _close, self._open)

    @property
    def shown(self) -> str:
        """User, host, port and database."""
        found = self.parameters
        return f"postgres://{found['user']}@{found['host']}:{found['port']}/{found['dbname']}"

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
                raise self._told(failure) from None

    def _begun(self) -> psycopg.Connection[TupleRow]:
        """A connection that has just answered; nothing has been written when it has not."""
        while self._open:
            try:
                self._open[0].execute(_BEGIN, [f"{self._patience * 1000:.0f}ms"])
            except psycopg.OperationalError:
                _close(self._open)
            else:
                return self._open[0]
        # A statement is not prepared: behind a pooler the next one may reach another session.
        connection = psycopg.connect(**self.parameters, prepare_threshold=None)
        self._open.append(connection)
        connection.execute(_BEGIN, [f"{self._patience * 1000:.0f}ms"])
        return connection

    def _told(self, failure: psycopg.Error) -> ProvisionError:
        said = " ".join((failure.diag.message_primary or str(failure)).split())
        if (
            failure.sqlstate is None
        ):  # libpq's own, or the server's refusal of a connection, which libpq hands on as text
            return self._not_connected(failure, said)
        if isinstance(failure, errors.InsufficientPrivilege):
            return NotPermitted(
                f"The journal in {self.shown} cannot be used: {said}.",
                remedy="Let an administrator grant the user CREATE on the schema, or make the table and grant SELECT, "
                "INSERT, UPDATE and DELETE on it.",
            )
        if isinstance(failure, errors.LockNotAvailable):
            return StateUnavailable(
                f"Another session holds the journal in {self.shown} and did not let go in {self._patience:.0f} s.",
                remedy="End its transaction (pg_stat_activity names it), then run again.",
            )
        if isinstance(failure, errors.ReadOnlySqlTransaction):
            return StateUnavailable(
                f"The journal in {self.shown} cannot be written: the database is read-only.",
                remedy="Name the primary server, for example with target_session_attrs=read-write in the URL.",
            )
        if isinstance(failure, psycopg.OperationalError):
            return Unreachable(f"The journal in {self.shown} does not answer: {said}.", remedy="Run again.")
        return StateUnavailable(
            f"The journal in {self.shown} cannot be used: {said} (SQLSTATE {failure.sqlstate}).",
            remedy="Look at the table provision_journal; this toolkit makes it when it is not there.",
        )

    def _not_connected(self, failure: psycopg.Error, said: str) -> ProvisionError:
        said = said.rpartition("failed: ")[2]
        if re.search(r'database ".*" does not exist', said):
            return StateUnavailable(
                f"There is no database {self.parameters['dbname']} at {self.shown}.",
                remedy="Make it (CREATE DATABASE), or correct the URL.",
            )
        if re.search(r"SSL|TLS|certificate", said):
            return Unreachable(
                f"No trusted TLS connection to {self.shown}: {said}.",
                remedy="Turn TLS on at the server, or name its authority with sslrootcert=… in the URL; "
                "say sslmode=disable for a server on this machine alone.",
            )
        # The server may speak any language, so a refusal after it asked for the password is taken for the sign-in's.
        busy = re.search(r"too many clients|starting up|shutting down|recovery mode|connection slots", said)
        if failure.pgconn is not None and failure.pgconn.used_password and not busy and "closed" not in said:
            return SignInFailed(
                f"The database of {self.shown} refuses the sign-in: {said}.",
                remedy="Correct user and password in the URL, or PGPASSWORD; a password's @ : / ? # % must be "
                "percent-encoded in a URL.",
            )
        return Unreachable(
            f"The database of {self.shown} does not answer: {said}.",
            remedy="See that the server runs, that host and port are right and that a firewall lets this machine in.",
        )


class _NoTable(Exception):
    """The table is not there: nothing was ever written."""


def open_place(url: str, environ: Mapping[str, str]) -> Database:
    """The store of a ``postgres://`` URL.

    Args:
        url: as Pulumi takes it; parameters of the query as libpq's documentation names them.
        environ: ``PGHOST``, ``PGUSER``, ``PGPASSWORD`` and the others of libpq.

    Raises:
        InvalidInput: the URL cannot be understood.
    """
    known = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    wrong = InvalidInput(
        "The journal's postgres:// URL cannot be understood.",
        remedy="Write postgres://user:password@host:5432/database; percent-encode @ : / ? # % in user and password.",
    )
    try:
        parts = urlsplit(url)
        query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "table"]
        ours = urlencode([(name, value) for name, value in query if name in known], quote_via=quote)
        parameters: dict[str, Any] = conninfo_to_dict(f"postgres://{parts.netloc}{parts.path}?{ours}")
    except (ValueError, psycopg.Error):
        raise wrong from None  # the reason would quote the URL
    for name, variable in known.items():
        if variable is not None and (value := environ.get(variable.decode())):
            parameters.setdefault(name, value)
    cut = any("@" in str(parameters.get(name, "")) for name in ("host", "dbname"))  # the end of a password
    if cut or not re.fullmatch(r"[0-9,]*", str(parameters.get("port", ""))):
        raise wrong
    session = [f"-c {name}={_escaped(value)}" for name, value in query if name not in known]
    if session:
        parameters["options"] = " ".join([*filter(None, [parameters.get("options")]), *session])
    return Database(_with_defaults(parameters, environ))


def _with_defaults(parameters: dict[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    found = {"host": "localhost", "port": "5432", "sslmode": "require", **_TIMES, **parameters}
    found.setdefault("user", _system_user(environ))
    found.setdefault("dbname", found["user"])
    if found["sslmode"] == "verify-full" and not found.get("sslrootcert"):
        # lib/pq asks the system's authorities, libpq a file that few have.
        own = Path(environ.get("HOME", "~")).expanduser() / ".postgresql" / "root.crt"
        bundles = [environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *_BUNDLES]
        if not own.exists():
            found["sslrootcert"] = next((file for file in bundles if file and Path(file).exists()), "system")
    return found


def _system_user(environ: Mapping[str, str]) -> str:
    import getpass

    return environ.get("USER") or getpass.getuser()


def _escaped(value: str) -> str:
    """A value as libpq's ``options`` takes it."""
    return re.sub(r"([\\\s])", r"\\\1", value)


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
