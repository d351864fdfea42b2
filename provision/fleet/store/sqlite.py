"""The store in a file, for the processes of one machine.

SQLite's documentation, "Write-Ahead Logging": readers and the one writer do not wait for each other, and all of them
must be on one machine, because they share memory; so a network file system is refused.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError

from provision.errors import InvalidInput, ProvisionError, StateUnavailable, Unreachable

WAIT = 10.0
"""How many seconds a writer waits for another process's transaction, which takes milliseconds, before it tries anew."""
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "lustre", "9p", "gpfs", "beegfs"}
)
"""File systems (as the kernel names them; with ``fuse.`` before it too) that other machines write to as well."""
_REFUSALS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_READONLY: ("cannot be written", "Correct its permissions and its folder's."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Correct its permissions and its folder's."),
    sqlite3.SQLITE_FULL: ("cannot be written: the disk is full", "Make room, then run again: nothing is lost."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "See that the disk is well, then run again."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a backup."),
    sqlite3.SQLITE_NOTADB: ("is not an SQLite database", "Name another file."),
}
"""By SQLite's primary result code: what it means for the file, and what to do."""


def named(url: str) -> Path:
    """The file of a ``sqlite:///`` URL.

    Raises:
        InvalidInput: the URL names no absolute path, or one in a folder that is not there: a letter mistyped must not
            begin a second record somewhere else.
    """
    path = re.fullmatch(r"sqlite:///+([^/].*)", url)
    if path is None:
        raise InvalidInput(f"The fleet's store {url!r} names no file.", remedy="Write sqlite:///full/path/to/file.db.")
    file = Path(path[1] if re.match("[A-Za-z]:", path[1]) else f"/{path[1]}")
    try:
        file.parent.stat()
    except FileNotFoundError:
        raise InvalidInput(
            f"The fleet's store {url} is to be in the folder {file.parent}, which is not there.",
            remedy=f"Correct the URL; or make the folder first: mkdir -p -m 700 {shlex.quote(str(file.parent))}",
        ) from None
    except OSError:
        pass  # what is wrong with it, opening the file will say
    return file


def prepare(file: Path) -> None:
    """Makes a file when it is not there, for its owner alone.

    Raises:
        StateUnavailable: the file cannot be made, is on a network file system, or others can read it.
    """
    if (kind := _file_system(file)).removeprefix("fuse.") in NETWORK or kind == "fuse.sshfs":
        raise StateUnavailable(
            f"The fleet's store {file} is on a network file system ({kind}), on which SQLite loses writes.",
            remedy="Name a local file, or a PostgreSQL database for several machines.",
        )
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        mode = file.stat().st_mode
    except OSError as failure:
        raise StateUnavailable(
            f"The fleet's store {file} cannot be made or opened: {failure.strerror}.",
            remedy="Correct the permissions, or name another place with PROVISION_FLEET_STORE=sqlite:///….",
        ) from None
    if mode & 0o077 and os.name != "nt":
        raise StateUnavailable(
            f"The fleet's store {file} can be read or written by others.", remedy=f"chmod 600 {file}"
        )


def engine(file: Path) -> Engine:
    """Connections to a file that ``prepare`` made."""
    made = create_engine(
        "sqlite+pysqlite://", creator=lambda: _connect(file), poolclass=QueuePool, hide_parameters=True
    )
    event.listen(made, "connect", _set_up)
    event.listen(made, "begin", _begin)
    return made


def told(failure: DBAPIError, file: Path) -> ProvisionError:
    """What a refusal means."""
    code = getattr(failure.orig, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Unreachable(
            f"Another process holds the fleet's store {file} and does not let go.",
            remedy="End what uses the file (fuser names it), then run again.",
        )
    said = " ".join(str(failure.orig).split())
    what, remedy = _REFUSALS.get(code, ("cannot be used", "Run again; when it stays so, restore it from a backup."))
    return StateUnavailable(f"The fleet's store {file} {what} ({said}).", remedy=remedy)


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=WAIT, isolation_level=None, check_same_thread=False)


def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
    for pragma in ("journal_mode = wal", "foreign_keys = on"):
        connection.execute(f"pragma {pragma}").close()


def _begin(connection: Connection) -> None:
    """A writer waits for its turn here, not in the middle, where SQLite would have to refuse it."""
    writes = connection.get_execution_options().get("store_writes", "none")
    connection.exec_driver_sql(f"pragma synchronous = {'full' if writes == 'lasting' else 'normal'}")
    connection.exec_driver_sql("begin" if writes == "none" else "begin immediate")


def _file_system(file: Path) -> str:
    """The kind of file system that a file lies on; empty where the system does not tell."""
    real, best = file.resolve(), ("", "")
    for partition in psutil.disk_partitions(all=True):
        if real.is_relative_to(partition.mountpoint) and len(partition.mountpoint) >= len(best[0]):
            best = (partition.mountpoint, partition.fstype)
    return best[1]
