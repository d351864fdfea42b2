"""Journals in a directory: one private file each.

Owns: files whose readers see the old or the new document at any moment, a power cut included, and the lock beside each
that makes compare and write one step between processes. The lock is the operating system's and ends with its process;
its file stays, since taking it away would let two processes hold two locks of one name.
"""

from __future__ import annotations

import errno
import os
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from provision.errors import StateUnavailable
from provision.journal import FOLDER, Conflict, Entry, check_key, seal, unseal

PATIENCE = 30.0
"""How many seconds a writer waits for another process's write of the same document, which takes milliseconds."""


class Directory:
    """A ``Store`` in ``<folder>/provision-journal``; made on the first write, readable by its owner alone.

    Args:
        folder: where Pulumi's state is, or another directory.
        patience: see ``PATIENCE``.
    """

    def __init__(self, folder: Path, *, patience: float = PATIENCE) -> None:
        self._root = folder / FOLDER
        self._patience = patience

    @property
    def shown(self) -> str:
        """The directory."""
        return str(self._root)

    def read(self, key: str) -> Entry | None:
        """See ``Store.read``. No lock is needed: a document is replaced as a whole."""
        file = self._file(key)
        try:
            document, mark = unseal(file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise StateUnavailable(
                f"The journal {file} cannot be read: {failure.strerror}.",
                remedy="Correct its permissions and those above it.",
            ) from None
        except ValueError:
            raise StateUnavailable(
                f"The journal {file} is damaged: it is not what this toolkit writes.",
                remedy="Restore it from a backup, or move it away to begin a new one.",
            ) from None
        return Entry(document, mark)

    def write(self, key: str, document: Mapping[str, Any], *, expected: str | None) -> str:
        """See ``Store.write``."""
        file = self._file(key)
        mark = secrets.token_hex(16)
        content = seal(document, mark)
        with self._told(file, "written"):
            _make_private(file.parent)
            with self._alone(file):
                self._compare(key, expected)
                _replace(file, content)
        return mark

    def keys(self) -> list[str]:
        """See ``Store.keys``."""
        with self._told(self._root, "listed"):
            walked = [Path(folder, name) for folder, _, names in os.walk(self._root, onerror=_refuse) for name in names]
        files = [file for file in walked if file.suffix == ".json" and not file.name.startswith(".")]
        return sorted(file.with_suffix("").relative_to(self._root).as_posix() for file in files)

    def remove(self, key: str, *, expected: str) -> None:
        """See ``Store.remove``."""
        file = self._file(key)
        if not file.parent.is_dir():
            raise Conflict(key)
        with self._told(file, "removed"), self._alone(file):
            self._compare(key, expected)
            file.unlink()
            _sync(file.parent)

    def _file(self, key: str) -> Path:
        return self._root / f"{check_key(key)}.json"

    def _compare(self, key: str, expected: str | None) -> None:
        found = self.read(key)
        if (None if found is None else found.version) != expected:
            raise Conflict(key)

    @contextmanager
    def _alone(self, file: Path) -> Iterator[None]:
        """Holds the lock of one document."""
        lock = file.with_name(f".{file.name}.lock")
        with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as handle:
            until = time.monotonic() + self._patience
            while not _locked(handle):
                if time.monotonic() > until:
                    raise StateUnavailable(
                        f"Another process has been writing the journal {file} for {self._patience:.0f} s.",
                        remedy=f"Let it go on or end it (`fuser {lock}` says which it is), then run again.",
                    )
                time.sleep(0.002)
            yield

    @contextmanager
    def _told(self, file: Path, what: str) -> Iterator[None]:
        """The operating system's refusal in one sentence."""
        try:
            yield
        except OSError as failure:
            raise StateUnavailable(
                f"The journal {file} cannot be {what}: {failure.strerror}.",
                remedy="Free space on the disk or correct the directory's permissions, then run again.",
            ) from None


def open_place(url: str, _environ: Mapping[str, str]) -> Directory:
    """The store of a ``file://`` URL, read as Pulumi reads it: ``~`` is the home, a query is not part of the path."""
    path = unquote(url.removeprefix("file://").partition("?")[0])
    return Directory(Path(path or ".").expanduser().absolute())


def _replace(file: Path, content: bytes) -> None:
    """Puts a complete, synced file in place of the one before. The caller holds the lock, so one name is enough."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)  # of a process that was killed here
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)
    _sync(file.parent)


def _make_private(folder: Path) -> None:
    """Makes a directory and those above it, mode 0700, each lasting."""
    if folder.is_dir():
        return
    _make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Makes a name in a directory outlive a power cut; where directories cannot be synced (Windows, some network file
    systems), the file system orders this by itself.
    """
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as failure:
        if failure.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _locked(handle: BinaryIO) -> bool:
    """Takes a lock without waiting; the system gives it back when the file is closed or its process ends."""
    if sys.platform == "win32":
        import msvcrt

        try:
            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse(failure: OSError) -> None:
    if not isinstance(failure, FileNotFoundError):
        raise failure
