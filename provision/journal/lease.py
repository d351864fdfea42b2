"""One runner at a time for each journal: who holds it, whether that runner still lives, and stopping one that lost it.

Owns: taking, keeping and giving back the lease, which is a part of the journal's own document, so that every write of
the journal also proves that the lease is still ours. Does not own: what is in the journal, and where it is kept.

No clock is compared with another machine's. A runner shows that it lives by writing now and then (a beat); another one
watches the document, and takes over only when nothing was written for the lease's whole time by its own clock. On one
machine a dead process is known at once.
"""

from __future__ import annotations

import copy
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from provision.errors import ProvisionError, StateUnavailable
from provision.journal import Conflict, Entry, Store

SECONDS = 60.0
"""How long a runner may be silent before another takes over."""
_BEAT = "lease"
_BODY = "body"


@dataclass(frozen=True)
class Holder:
    """A process that holds a lease."""

    token: str
    host: str
    boot: str
    """The machine's boot, and the container where there is one: a process id means nothing in another."""
    pid: int
    started: float
    """When the process began, seconds since 1970; another process may get its id later."""

    @classmethod
    def this_process(cls) -> Holder:
        """A new holder: this process."""
        pid = os.getpid()
        return cls(str(uuid.uuid4()), socket.gethostname(), _boot(), pid, psutil.Process(pid).create_time())

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine as it runs now."""
        return self.host == socket.gethostname() and self.boot == _boot()

    @property
    def lives(self) -> bool:
        """Whether the process is there; only meaningful when it ``is_here``."""
        try:
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - self.started) < 1.0
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class LeaseLost(StateUnavailable):
    """Another runner has taken over; whatever this one would do next is the other's to do."""


class Lease:
    """A journal that this process alone may write; a context manager that gives it back.

    Args:
        store: where journals are kept.
        key: which journal.
        seconds: how long this runner may be silent before another takes over.
        say: told single lines on the way.
        pause: waits a number of seconds, while another runner is watched.

    Raises (on entering):
        StateUnavailable: another runner that lives holds the journal.
        Unreachable: the store does not answer.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        *,
        seconds: float = SECONDS,
        say: Callable[[str], None] = lambda _line: None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._key = key
        self._seconds = seconds
        self._say = say
        self._pause = pause
        self._holder = Holder.this_process()
        self._writing = threading.RLock()
        self._ended = threading.Event()
        self._beats = 0
        self._version = ""
        self._body: dict[str, Any] = {}
        self._proven = 0.0
        self._lost = False
        self._discarded = False

    @property
    def body(self) -> dict[str, Any]:
        """The journal's content, a copy; empty for a new one."""
        return copy.deepcopy(self._body)

    def __enter__(self) -> Self:
        self._take()
        self._beater = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._beater.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._beater.join()
        if self._lost:
            return
        try:
            if self._discarded and kind is None:
                self._store.remove(self._key, expected=self._version)
            else:
                self._write(self._body, held=False)
        except Conflict:
            return  # somebody took over in the last moment; the journal is theirs
        except ProvisionError:
            if kind is None:
                raise  # else the first failure counts; the lease ends by itself

    def save(self, body: Mapping[str, Any]) -> None:
        """Writes the journal; when it returns, the content is on disk and the lease is proven to be ours.

        Raises:
            LeaseLost: another runner has taken over.
            StateUnavailable, Unreachable: the store cannot be written.
        """
        with self._writing:
            self._write(dict(body), held=True)

    def discard(self) -> None:
        """Lets the journal go when the lease is given back: what it speaks of is no more."""
        self._discarded = True

    def require(self, seconds: float = 0.0) -> None:
        """Refuses to go on with something that cannot be taken back when the lease may be over before it is done.

        Args:
            seconds: how long the next thing may take.

        Raises:
            LeaseLost: the lease is not ours, or not surely for so long.
        """
        with self._writing:
            if not self._lost and time.monotonic() - self._proven + seconds > self._seconds * 0.9:
                self._write(self._body, held=True)
            if self._lost:
                raise self._gone()

    # How

    def _take(self) -> None:
        entry = self._store.read(self._key)
        watched: tuple[str, float] | None = None
        while True:
            holder = _holder_of(entry)
            if entry is None or holder is None:
                if self._taken(entry):
                    return
            elif holder.is_here and not holder.lives:
                self._say(f"going on with the work of {holder}, which is no more")
                if self._taken(entry):
                    return
            elif holder.is_here:
                raise self._busy(holder)
            elif watched is None or watched[0] != entry.version:
                if watched is not None:
                    raise self._busy(holder)
                self._say(f"{holder} holds {self._key}: watching for {self._seconds:.0f} s whether it still lives")
                watched = (entry.version, time.monotonic())
            elif time.monotonic() - watched[1] > self._seconds:
                self._say(f"going on with the work of {holder}, which has been silent")
                if self._taken(entry):
                    return
            if watched is not None:
                self._pause(min(1.0, self._seconds / 20))
            entry = self._store.read(self._key)

    def _taken(self, entry: Entry | None) -> bool:
        """Whether the journal is ours now; False when somebody else was quicker."""
        self._body = {} if entry is None else dict(entry.document.get(_BODY) or {})
        try:
            self._version = self._store.write(
                self._key, self._document(self._body, held=True), expected=None if entry is None else entry.version
            )
        except Conflict:
            return False
        self._proven = time.monotonic()
        return True

    def _write(self, body: dict[str, Any], *, held: bool) -> None:
        with self._writing:
            if self._lost:
                raise self._gone()
            self._beats += 1
            begun = time.monotonic()
            try:
                self._version = self._store.write(self._key, self._document(body, held=held), expected=self._version)
            except Conflict:
                self._version = self._again(body, held=held)
            self._proven = begun
            self._body = body

    def _again(self, body: dict[str, Any], *, held: bool) -> str:
        """After a conflict: a write of our own whose answer was lost is no conflict; anybody else's is the end."""
        entry = self._store.read(self._key)
        holder = _holder_of(entry)
        if entry is None or holder is None or holder.token != self._holder.token:
            self._lost = True
            raise self._gone()
        try:
            return self._store.write(self._key, self._document(body, held=held), expected=entry.version)
        except Conflict:
            self._lost = True
            raise self._gone() from None

    def _document(self, body: Mapping[str, Any], *, held: bool) -> dict[str, Any]:
        lease = {**asdict(self._holder), "beat": self._beats} if held else None
        return {_BEAT: lease, _BODY: copy.deepcopy(dict(body))}

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            try:
                with self._writing:  # what is written is what the last ``save`` wrote
                    self._write(self._body, held=True)
            except LeaseLost:
                return
            except ProvisionError:
                continue  # the store may answer again before the lease is over; ``require`` knows when it is not

    def _busy(self, holder: Holder) -> StateUnavailable:
        return StateUnavailable(
            f"Another run is at work on {self._key}: {holder}.", remedy="Wait for it to end, then run again."
        )

    def _gone(self) -> LeaseLost:
        return LeaseLost(
            f"Another run has taken over {self._key}; this one stops here.",
            remedy="Nothing is lost: the other goes on.",
        )


def _holder_of(entry: Entry | None) -> Holder | None:
    lease = None if entry is None else entry.document.get(_BEAT)
    if not lease:
        return None
    try:
        return Holder(**{name: lease[name] for name in Holder.__dataclass_fields__})
    except (KeyError, TypeError):
        raise StateUnavailable(
            "The journal's lease cannot be read: it was written by something else.",
            remedy="Look at the journal; when no run is at work, remove its lease.",
        ) from None


def _boot() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{psutil.boot_time():.0f}"


def peek(store: Store, key: str) -> dict[str, Any]:
    """A journal's content without taking its lease; empty for one that is not there. Nothing is written.

    Args:
        store: where journals are kept.
        key: which journal.
    """
    entry = store.read(key)
    return {} if entry is None else dict(entry.document.get(_BODY) or {})
