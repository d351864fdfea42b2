"""Temporary folders of workers, which may hold a customer's project, settings and certificate, and are gone with them.

Owns: one folder for an executor and in it one for each worker, where the worker and what it starts put their temporary
files (TMPDIR); taking them away; and sweeping what killed processes left. Does not own: what is put there.

Whoever uses a folder holds a shared lock on a file in it, which the kernel gives back however that process ends. So a
folder whose lock can be had alone is nobody's. An engine may outlive its worker for a while; it is found by the
worker's word (``family``), and as long as it is there the folder stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path

from provision.fleet.executors import family

_NAME = "provision-workers-"
_LOCK = "lock"


class Scratch:
    """The folder of one executor of this process; what earlier ones left on this machine is swept first."""

    def __init__(self) -> None:
        sweep()
        fresh = Path(tempfile.mkdtemp(prefix=f".{_NAME}"))  # 0700
        self._lock = hold(fresh)
        self.folder = fresh.rename(fresh.with_name(fresh.name.removeprefix(".")))  # locked before anybody sees it

    def clear(self, mark: str) -> None:
        """Takes away what a worker left that has ended, and all it had started.

        Args:
            mark: the worker's word.
        """
        shutil.rmtree(self.folder / mark, ignore_errors=True)

    def close(self) -> None:
        """Takes everything away; all workers have ended."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def enter(folder: Path, mark: str) -> Path:
    """Makes a worker's own folder the place of this process's temporary files, and of those that it starts.

    Args:
        folder: the executor's.
        mark: the worker's word.

    Returns:
        The worker's folder.
    """
    hold(folder)  # until the process ends
    own = folder / mark
    own.mkdir(mode=0o700, exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(own)
    return own


def hold(folder: Path) -> int:
    """Shows that this process uses a folder, until the descriptor is closed; children do not inherit it."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def sweep() -> int:
    """Takes away the folders of executors and workers that are no more; of this user alone.

    Returns:
        How many.
    """
    gone = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{_NAME}*"):
        with contextlib.suppress(OSError):  # another sweeps it just now, or it is not ours after all
            found = folder.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and _is_nobodys(folder):
                shutil.rmtree(folder, ignore_errors=True)
                gone += 1
    return gone


def _is_nobodys(folder: Path) -> bool:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        marks = [own.name for own in folder.iterdir() if own.is_dir()]
        return not any(family.members(mark) for mark in marks)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
