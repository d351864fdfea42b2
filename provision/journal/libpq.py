"""How a PostgreSQL database is reached, and what its refusals mean, for everything that is kept in one.

Owns: reading the URL as Pulumi's own PostgreSQL backend reads it (``pkg/backend/diy/postgres``, which connects through
Go's ``lib/pq``) where libpq would read it otherwise: TLS is required unless the URL says otherwise, the host is this
machine, ``table`` is Pulumi's, and a parameter that libpq does not know is a setting of the session.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, StateUnavailable, Unreachable

# A writer that was stopped in the middle must not stop the others; "off" would acknowledge what a crash takes away.
BEGIN = """
    select set_config('lock_timeout', %s, true),
        case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end
"""
"""Begins a transaction that writes; takes the longest wait for another session, as in ``20000ms``."""
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


@dataclass(frozen=True)
class Server:
    """A database as a URL and the environment name it, and what of ours is in it."""

    parameters: Mapping[str, Any] = field(repr=False)
    """libpq's connection parameters; may hold a password."""
    content: str
    """What the database is to us, as in "journal"."""
    tables: str
    """Where that is, as in "the table provision_journal"."""

    @property
    def shown(self) -> str:
        """User, host, port and database."""
        found = self.parameters
        return f"postgres://{found['user']}@{found['host']}:{found['port']}/{found['dbname']}"

    def told(self, failure: psycopg.Error, patience: float) -> ProvisionError:
        """What a failure means: ``Unreachable`` when the database may answer later.

        Args:
            failure: psycopg's.
            patience: how many seconds another session was waited for.
        """
        said = " ".join((failure.diag.message_primary or str(failure)).split())
        if failure.sqlstate is None:  # libpq's own, or a refused connection, which libpq hands on as text
            return self._not_connected(failure, said)
        if isinstance(failure, errors.InsufficientPrivilege):
            return NotPermitted(
                f"The {self.content} in {self.shown} cannot be used: {said}.",
                remedy=f"Let an administrator grant the user CREATE on the schema, or make {self.tables} and grant "
                "SELECT, INSERT, UPDATE and DELETE there.",
            )
        if isinstance(failure, errors.LockNotAvailable):
            return StateUnavailable(
                f"Another session holds the {self.content} in {self.shown} and did not let go in {patience:.0f} s.",
                remedy="End its transaction (pg_stat_activity names it), then run again.",
            )
        if isinstance(failure, errors.ReadOnlySqlTransaction):
            return StateUnavailable(
                f"The {self.content} in {self.shown} cannot be written: the database is read-only.",
                remedy="Name the primary server, for example with target_session_attrs=read-write in the URL.",
            )
        if isinstance(failure, psycopg.OperationalError):
            return Unreachable(f"The {self.content} in {self.shown} does not answer: {said}.", remedy="Run again.")
        return StateUnavailable(
            f"The {self.content} in {self.shown} cannot be used: {said} (SQLSTATE {failure.sqlstate}).",
            remedy=f"Look at {self.tables}; this toolkit makes what is not there.",
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


def read_url(url: str, environ: Mapping[str, str], *, content: str, tables: str) -> Server:
    """The database of a ``postgres://`` URL; nothing is sent.

    Args:
        url: as Pulumi takes it; parameters of the query as libpq's documentation names them.
        environ: ``PGHOST``, ``PGUSER``, ``PGPASSWORD`` and the others of libpq.
        content: see ``Server.content``.
        tables: see ``Server.tables``.

    Raises:
        InvalidInput: the URL cannot be understood.
    """
    known = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    wrong = InvalidInput(
        f"The {content}'s postgres:// URL cannot be understood.",
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
    return Server(_with_defaults(parameters, environ), content, tables)


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
