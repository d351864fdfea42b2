"""A stack's lock in a backend of one's own: who holds it, and whether that process still lives.

Owns: reading the engine's refusal (it names every lock with its holder), and telling a lock left by a killed process of
this machine from a live one. Does not own: the lock itself, which is the engine's. Only locks in a directory
(``file://``) are ever taken away, and only the very file whose holder is dead: in a shared backend the same host name
may belong to another machine.
"""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

# pkg/backend/diy/lock.go, checkForLock: "\n  <url>: created by <user>@<host> (pid <pid>) at <RFC 3339>"
_LOCK = re.compile(
    r"^\s+(?P<url>\S.*?): created by (?P<user>.*)@(?P<host>\S*) \(pid (?P<pid>\d+)\) at (?P<since>\S+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Lock:
    """One lock of a stack."""

    url: str
    user: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return f"{self.user}@{self.host} (process {self.pid}) since {self.since:%Y-%m-%d %H:%M:%S %z}"

    @property
    def file(self) -> Path | None:
        """The lock's file in a ``file://`` backend."""
        parts = urlsplit(self.url)  # the engine adds a query of its own
        return Path(unquote(parts.path)) if parts.scheme == "file" else None

    @property
    def stale(self) -> bool:
        """Whether its holder was a process of this machine that is no more."""
        return self.file is not None and self.host == socket.gethostname() and not self.holder_lives

    @property
    def holder_lives(self) -> bool:
        """Whether its holder's process runs here; only meaningful for a holder on this machine."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # alive, somebody else's
        if _ended(self.pid):
            return False
        begun = _started(self.pid)
        # Another process may have got the number since; it began after the lock was written (clock: whole seconds).
        return begun is None or begun <= self.since.timestamp() + 1.0


def locks_in(refusal: str) -> list[Lock]:
    """The locks that the engine's refusal names."""
    return [
        Lock(
            url=found["url"],
            user=found["user"],
            host=found["host"],
            pid=int(found["pid"]),
            since=datetime.fromisoformat(found["since"]),
        )
        for found in _LOCK.finditer(refusal)
    ]


def _fields(pid: int) -> list[str]:
    """What the system says of a process, from its state on (proc(5), ``/proc/pid/stat``)."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()


def _ended(pid: int) -> bool:
    """Whether a process has ended and only its parent has not taken note, as in containers whose init never does."""
    try:
        return _fields(pid)[0] in ("Z", "X")
    except (OSError, IndexError):
        return False


def locks_under(state: Path, project: str, stack: str) -> list[Lock]:
    """The locks of a stack as they lie in a state's directory.

    One that cannot be read counts as alive (it may be being written): its process number is ours.

    Args:
        state: the directory of a ``file://`` backend.
        project: the project's name.
        stack: the stack's name.
    """
    found = []
    for file in (state / ".pulumi" / "locks").glob(f"**/{project}/{stack}/*.json"):
        try:
            said = json.loads(file.read_text(encoding="utf-8"))
            since = datetime.fromisoformat(said["timestamp"])
            found.append(Lock(f"file://{file}", said["username"], said["hostname"], int(said["pid"]), since))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            found.append(Lock(f"file://{file}", "", socket.gethostname(), os.getpid(), datetime.now(UTC)))
    return found


def _started(pid: int) -> float | None:
    """When a process began, in seconds since the epoch; None where the system does not say."""
    try:
        fields = _fields(pid)
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, StopIteration, IndexError, ValueError):
        return None
