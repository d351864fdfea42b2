"""Where the engine is kept on this machine, and the receipts of what was put there.

Owns: the cache's place (outside every checkout, keyed by version), the lock that keeps two processes from building at
once, the receipt beside each engine (how it was had, its SHA-256, which Go made it). Does not own: how an engine is had
(``toolchain``, ``gobuild``, ``installer``).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path

ENGINE_VERSION = "3.259.0"
"""The Pulumi version that is installed or built when PATH has none; the programs here need nothing older."""

Source = Literal["path", "installer", "modules"]

_RECEIPT = "receipt.json"


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """The cache directory: ``PROVISION_CACHE``, else the user's cache directory of the platform."""
    override = environ.get("PROVISION_CACHE")
    return Path(override) if override else user_cache_path("provision")


def engine_home(source: Source, environ: Mapping[str, str] = os.environ) -> Path:
    """The directory of one engine, e.g. ``…/engine/3.259.0`` (built) or ``…/engine/3.259.0-official`` (installer)."""
    suffix = "-official" if source == "installer" else ""
    return cache_root(environ) / "engine" / f"{ENGINE_VERSION}{suffix}"


@dataclass(frozen=True)
class Receipt:
    """What lies in a cached engine directory and where it came from."""

    version: str
    source: Source
    sha256: str
    """SHA-256 of ``bin/pulumi``, hexadecimal."""
    size: int
    """Bytes of ``bin/pulumi``."""
    mtime_ns: int
    """Modification time of ``bin/pulumi`` in nanoseconds; with the size the cheap check on each use."""
    go_version: str
    """The Go release that built it; empty for the official release."""
    obtained: str
    """UTC time, ISO 8601."""
    seconds: float
    """How long it took."""

    def save(self, home: Path) -> None:
        """Writes the receipt beside the engine."""
        (home / _RECEIPT).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, home: Path) -> Receipt | None:
        """The receipt of an engine directory; None where there is none or it cannot be read."""
        try:
            return cls(**json.loads((home / _RECEIPT).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def matches(self, executable: Path) -> bool:
        """Whether size and modification time are still those of the file that was hashed."""
        try:
            found = executable.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)


def receipt_for(executable: Path, *, source: Source, go_version: str = "", started: float) -> Receipt:
    """Hashes a fresh engine.

    Args:
        executable: the ``pulumi`` file.
        source: how it was had.
        go_version: the compiler, where one was used.
        started: ``time.monotonic()`` at the beginning.
    """
    found = executable.stat()
    return Receipt(
        version=ENGINE_VERSION,
        source=source,
        sha256=sha256_of(executable),
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        go_version=go_version,
        obtained=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seconds=round(time.monotonic() - started, 1),
    )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def exclusively(name: str, *, waiting: Callable[[], None], environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Holds a machine-wide lock of the cache; the operating system drops it when its holder dies.

    Args:
        name: what is being done, as a file name.
        waiting: called once when somebody else holds the lock, before waiting for it.
        environ: the settings.
    """
    folder = cache_root(environ) / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("a+b") as handle:
        if sys.platform == "win32":
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, text: str | Iterable[str], *, mode: int = 0o644) -> None:
    """Writes a file so that readers see the old or the new text, never a part.

    Args:
        path: the file; its directory must exist.
        text: the content, whole or in pieces.
        mode: permission bits from the first byte on.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.writelines([text] if isinstance(text, str) else text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
