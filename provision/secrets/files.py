"""Files that hold a secret: new, readable by their owner alone, complete or not there at all."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from provision.errors import InvalidInput, WouldOverwrite

_TURN_SECONDS = 10.0
"""How long a writer waits for another one in the same folder, which takes milliseconds."""


def write_new_private_file(path: Path, text: str) -> None:
    """Writes a new file with mode 0600; a reader sees all of it or nothing, and nothing that exists is replaced.

    The text goes to a private sibling first and is linked into place, which fails when the name is taken (``os.link``
    never replaces), so two writers cannot both win.

    Args:
        path: the file to make; its folder must exist.
        text: what to write, UTF-8.

    Raises:
        WouldOverwrite: the name is taken.
        InvalidInput: the folder is missing, not writable, or the disk is full.
    """
    try:
        _by_sibling(path, text, lambda temporary: os.link(temporary, path))
    except FileExistsError:
        raise WouldOverwrite(
            f"{path} already exists and is not overwritten.", remedy="Name another file, or remove that one yourself."
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}.", remedy="Name a file in a folder that exists and is yours."
        ) from None


def ensure_writable(path: Path) -> None:
    """Checks, before a secret is made, that ``write_new_private_file`` will be able to store it.

    Raises:
        WouldOverwrite: the name is taken.
        InvalidInput: the folder is missing or not writable.
    """
    if path.exists():
        raise WouldOverwrite(
            f"{path} already exists and is not overwritten.", remedy="Name another file, or remove that one yourself."
        )
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidInput(
            f"{path} cannot be written: {path.parent} is not a folder that you may write to.",
            remedy="Name a file in a folder that exists and is yours.",
        )


def read_private_file(path: Path) -> str | None:
    """The text of a file that holds a secret; None when it is not there.

    Raises:
        InvalidInput: it cannot be read, or is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", remedy="Correct its permissions.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not UTF-8 text.", remedy="Name another file.") from None


def read_key_file(path: Path, setting: str) -> str:
    """The text of a file that holds a sign-in: a key or a token that somebody else put there.

    Args:
        path: the file.
        setting: the environment variable that names it, for messages.

    Raises:
        InvalidInput: it cannot be read, or others than its owner can read or write it.
    """
    return _private_bytes(path, f"Correct {setting}, or the file's permissions.").decode("utf-8", "replace")


def read_private_bytes(path: Path, what: str) -> bytes:
    """The content of a file that holds a secret in any form, also a PKCS#12.

    Args:
        path: the file.
        what: what it should be, for messages.

    Raises:
        InvalidInput: it cannot be read, is no file, or others than its owner can read or write it.
    """
    return _private_bytes(path, f"Put the {what} there, or correct the file's permissions.")


def _private_bytes(path: Path, remedy: str) -> bytes:
    try:
        # A pipe without a writer would be waited for without an end.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(descriptor).st_mode
            content = b"" if mode & 0o077 or not stat.S_ISREG(mode) else stream.read()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.", remedy=remedy) from None
    if not stat.S_ISREG(mode):
        raise InvalidInput(f"{path} is not a file.", remedy=remedy)
    if mode & 0o077:
        raise InvalidInput(
            f"{path} can be read or written by others (mode {stat.S_IMODE(mode):04o}).", remedy=f"chmod 600 {path}"
        )
    return content


def replace_private_file(path: Path, text: str) -> None:
    """Writes a file with mode 0600 in place of the one before: a reader sees the old text or the new, never a part.

    Owner and group of the file before are kept where the caller may set them; its mode is not: it becomes 0600.

    Args:
        path: the file; a link is followed, so that the file it names is replaced and not the link.
        text: what to write, UTF-8.

    Raises:
        InvalidInput: the folder is missing or not writable, or the disk is full; the file before is as it was.
    """
    target = path.resolve()

    def keep_owner(stream: TextIO) -> None:
        with contextlib.suppress(FileNotFoundError, PermissionError):
            before = target.stat()
            os.fchown(stream.fileno(), before.st_uid, before.st_gid)

    try:
        _by_sibling(target, text, lambda temporary: temporary.replace(target), before_sync=keep_owner)
        _sync_folder(target.parent)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}; what was in it before is still there.",
            remedy="Free space on the disk, or correct the folder's permissions, then run again.",
        ) from None


def ensure_replaceable(path: Path) -> None:
    """Checks, before a secret is made, that ``replace_private_file`` will be able to store it.

    Raises:
        InvalidInput: the folder is missing or not writable, or the file can be read by others.
    """
    target = path.resolve()
    if not target.parent.is_dir() or not os.access(target.parent, os.W_OK | os.X_OK):
        raise InvalidInput(
            f"{path} cannot be written: {target.parent} is not a folder that you may write to.",
            remedy="Name a file in a folder that exists and is yours.",
        )
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise InvalidInput(f"{path} is not a file.", remedy="Name a file.")
    if mode & 0o077:
        raise InvalidInput(
            f"{path} can be read or written by others (mode {stat.S_IMODE(mode):04o}).",
            remedy=f"chmod 600 {path}, and run the product as the file's owner.",
        )


def _sync_folder(folder: Path) -> None:
    """Makes a rename outlive a power cut; file systems that cannot (some network ones) are left as they are."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _by_sibling(
    path: Path,
    text: str,
    name: Callable[[Path], object],
    *,
    before_sync: Callable[[TextIO], None] = lambda _stream: None,
) -> None:
    """Writes a private file beside another, gives it to ``name``, and leaves nothing behind, whatever happens.

    A process that is killed here leaves its file, with a secret in it; the next writer removes that. Writers in one
    folder take turns, so what lies there in one's turn is nobody's.
    """
    with _turn(path.parent) as alone:
        if alone:
            _remove_abandoned(path)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                before_sync(stream)
                os.fsync(descriptor)
            name(temporary)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[bool]:
    """Waits for the folder's lock, which ends with its process; False where there is none (Windows, NFS, no right)."""
    if sys.platform == "win32" or not os.access(folder, os.R_OK):
        yield False
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        until = time.monotonic() + _TURN_SECONDS
        locked = False
        while not locked and time.monotonic() < until:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                locked = True
            except BlockingIOError:
                time.sleep(0.005)
            except OSError:
                break
        yield locked
    finally:
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    ours = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}")
    for file in [file for file in path.parent.iterdir() if ours.fullmatch(file.name)]:
        with contextlib.suppress(OSError):  # somebody else's
            file.unlink()
