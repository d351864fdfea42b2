"""Where Pulumi's state is kept and with which passphrase its secrets are encrypted.

Owns: the default backend (a directory of the user's data), ``PULUMI_BACKEND_URL`` and ``--backend`` (every backend
that Pulumi has, by URL), and the passphrase: the user's own setting, else the operating system's keyring or a 0600
file, made on first use. The engine gets the passphrase as a file's name, never as an argument. Does not own: locks
(``locks``) and what is in the state.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platformdirs import user_data_path, user_runtime_path

from provision.engine.cache import write_atomically
from provision.errors import InvalidInput, StateUnavailable
from provision.settings.credential import AZURES_OWN

_SERVICE = "provision"
_ENTRY = "pulumi-state-passphrase"
_PASSWORD = re.compile(r"""(://[^\s/:@"']*:)(?!\d+[/?])[^\s"']*(?=@)|([?&](?:ssl)?password=)[^&\s"']*""", re.IGNORECASE)
_SCHEMES = ("file", "azblob", "s3", "gs", "postgres", "http", "https")


@dataclass(frozen=True)
class State:
    """A backend and its passphrase."""

    backend: str = field(repr=False)
    """Pulumi's backend URL; may hold a password, see ``shown``."""
    passphrase_file: Path | None
    """The file that holds the passphrase; None when ``PULUMI_CONFIG_PASSPHRASE`` itself is set."""
    passphrase_from: str
    """Where the passphrase comes from, in words, for messages."""
    sign_in: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The variables by which the backend is signed in to through Microsoft Entra, whatever a program signs in with."""

    @property
    def shown(self) -> str:
        """Where the state is, as it may be shown."""
        return str(self.directory or without_passwords(self.backend))

    @property
    def directory(self) -> Path | None:
        """The state's directory for a ``file://`` backend, else None."""
        return Path(self.backend.removeprefix("file://")).expanduser() if self.backend.startswith("file://") else None


def open_state(backend: str | None = None, *, environ: Mapping[str, str] = os.environ) -> State:
    """The state to use.

    Args:
        backend: the value of ``--backend``; wins over ``PULUMI_BACKEND_URL``.
        environ: the settings.

    Raises:
        InvalidInput: the backend's URL has a scheme that Pulumi does not know.
        StateUnavailable: the state's directory or the passphrase's file cannot be used.
    """
    url = backend_url(backend, environ=environ)
    passphrase_file, origin = _passphrase(environ)
    state = State(url, passphrase_file, origin, _sign_in(url, environ))
    if state.directory is not None:
        _make_private(state.directory)
        if not os.access(state.directory, os.R_OK | os.W_OK | os.X_OK):
            raise StateUnavailable(
                f"The state directory {state.directory} cannot be read and written.",
                remedy="Correct its permissions, or name another with PULUMI_BACKEND_URL=file:///…",
            )
    return state


def backend_url(backend: str | None = None, *, environ: Mapping[str, str] = os.environ) -> str:
    """Where the state is; nothing is made or asked there.

    Args:
        backend: the value of ``--backend``; wins over ``PULUMI_BACKEND_URL``.
        environ: the settings.

    Raises:
        InvalidInput: the URL has a scheme that Pulumi does not know, or stands on the command line with a password.
    """
    if backend and backend != without_passwords(backend):
        raise InvalidInput(
            "The state backend on the command line has a password in it, which every user of this machine could see.",
            remedy="Put the URL into the environment variable PULUMI_BACKEND_URL.",
        )
    url = backend or environ.get("PULUMI_BACKEND_URL") or f"file://{(data_directory(environ) / 'state').as_posix()}"
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise InvalidInput(
            f"The state backend {without_passwords(url)!r} is not a URL that Pulumi knows.",
            remedy=f"Use one of {', '.join(f'{name}://' for name in _SCHEMES)}.",
        )
    return url


def _sign_in(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What Go CDK's bucket leaves to Azure's own library, where no key or signature is set (``azureblob``)."""
    names = AZURES_OWN if url.startswith("azblob://") else ()
    return {name: environ[name] for name in names if environ.get(name)}


def data_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's data directory of this program (``PROVISION_DATA`` overrides it)."""
    override = environ.get("PROVISION_DATA")
    return Path(override) if override else user_data_path("provision")


def _passphrase(environ: Mapping[str, str]) -> tuple[Path | None, str]:
    # An empty passphrase is a legal one in Pulumi, so presence counts, not content.
    if "PULUMI_CONFIG_PASSPHRASE" in environ:
        return None, "PULUMI_CONFIG_PASSPHRASE"
    if given := environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        if not os.access(given, os.R_OK):
            raise StateUnavailable(
                f"The passphrase file {given} cannot be read.",
                remedy="Correct PULUMI_CONFIG_PASSPHRASE_FILE, or unset it to use this toolkit's own passphrase.",
            )
        return Path(given), "PULUMI_CONFIG_PASSPHRASE_FILE"
    own = data_directory(environ) / "passphrase"
    if own.exists():
        if not os.access(own, os.R_OK):
            raise StateUnavailable(f"The passphrase file {own} cannot be read.", remedy="Correct its permissions.")
        if own.stat().st_mode & 0o077 and os.name != "nt":
            raise StateUnavailable(
                f"The passphrase file {own} can be read or written by others.", remedy=f"chmod 600 {own}"
            )
        return own, str(own)
    if kept := _from_keyring(environ):
        copy = user_runtime_path("provision") / "passphrase"  # memory, emptied when the user's session ends
        _make_private(copy.parent)
        _require_ours(copy.parent)
        write_atomically(copy, kept, mode=0o600)
        return copy, "the keyring"
    return _private_file(own, secrets.token_urlsafe(32)), str(own)


def _from_keyring(environ: Mapping[str, str]) -> str | None:
    """The passphrase in the operating system's keyring, made on first use; None where there is no real keyring."""
    if environ.get("PROVISION_DATA"):
        return None  # everything of this data directory is kept in it
    import keyring
    from keyring.errors import KeyringError

    try:
        store = keyring.get_keyring()
        if store.priority < 1 or not user_runtime_path("provision").parent.is_dir():
            return None
        kept = store.get_password(_SERVICE, _ENTRY)
        if kept is None:
            kept = secrets.token_urlsafe(32)
            store.set_password(_SERVICE, _ENTRY, kept)
    except (KeyringError, OSError, RuntimeError):
        return None
    return kept


def _private_file(path: Path, text: str) -> Path:
    """Writes a file that only its owner can read; one that another process made at the same moment is kept."""
    _make_private(path.parent)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        if path.stat().st_size:
            return path
        raise StateUnavailable(f"The passphrase file {path} is empty.", remedy="Restore it from a backup.") from None
    except OSError as failure:
        raise StateUnavailable(
            f"The passphrase file {path} cannot be written: {failure.strerror}.",
            remedy="Correct the directory's permissions, or set PULUMI_CONFIG_PASSPHRASE_FILE.",
        ) from None
    return path


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as failure:
        raise StateUnavailable(
            f"The directory {folder} cannot be made: {failure.strerror}.",
            remedy="Correct its parent's permissions, or name another place with PULUMI_BACKEND_URL=file:///…",
        ) from None


def _require_ours(folder: Path) -> None:
    """Refuses a folder in which somebody else could change a file's name.

    Without XDG_RUNTIME_DIR the runtime folder is one in ``/tmp`` with a known name, which anybody may have made first.
    """
    found = folder.lstat()
    others = found.st_mode & 0o077 and os.name != "nt"
    if not stat.S_ISDIR(found.st_mode) or others or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise StateUnavailable(
            f"The folder {folder} is not yours alone, and the state's passphrase would lie in it.",
            remedy="Remove it, or name a private one with XDG_RUNTIME_DIR.",
        )


def without_passwords(text: str) -> str:
    """A backend's URL, or a text in which there are some, as it may be shown.

    What looks like a password is taken for one: up to the last ``@`` of the word, since a password that was not
    percent-encoded may hold ``/`` and ``@`` (not a port, though), and in libpq's parameters too (``?password=``).
    """
    return _PASSWORD.sub(r"\1\2****", text)
