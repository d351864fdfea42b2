"""An entry of the operating system's keyring: Keychain, Credential Manager, Secret Service or KWallet.

The address is ``keyring:SERVICE/USERNAME``; everything before the last ``/`` is the service. A ``%`` is written
``%25``, a blank ``%20``, a ``/`` in the user name ``%2F``. The entry is the one that ``keyring get SERVICE USERNAME``
shows, in the session of the user who runs this. A keyring that would keep secrets in clear, or not at all, is refused.

An entry is one text without anything beside it, so the place does not say which client secret it holds.

Sources: the library ``keyring`` (``core.recommended``); "CREDENTIALW structure (wincred.h)" for the lengths.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from provision.errors import InvalidInput, ProvisionError, SignInFailed, Unreachable
from provision.secrets.sinks import Delivery, Stored

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

RIGHTS = "A session of the user that the product runs as, with the keyring unlocked."
WITHOUT_CERTIFICATES = "Windows keeps at most 2,560 bytes in an entry."

_REAL = 1
"""The library recommends backends of this priority and above; those below keep nothing, or keep it in clear."""
_LONGEST_USERNAME, _LONGEST_VALUE = 513, 1280
"""Characters that Windows takes: CRED_MAX_USERNAME_LENGTH, and CRED_MAX_CREDENTIAL_BLOB_SIZE (2,560 bytes) in UTF-16.

They count everywhere, so that an address means the same on each system.
"""


@dataclass(frozen=True)
class KeyringEntry:
    """One entry."""

    address: str
    service: str
    username: str

    def check(self) -> None:
        """Reads the entry, which finds out whether there is a real keyring and whether it is unlocked."""
        self.stored()

    def stored(self) -> Stored | None:
        """The entry's text."""
        store = _store()
        with self._asking(store, "read"):
            value = store.get_password(self.service, self.username)
        return None if value is None else Stored(value)

    def write(self, delivery: Delivery) -> None:
        """Sets the entry's text."""
        if len(delivery.value) > _LONGEST_VALUE:
            raise InvalidInput(
                f"The secret is longer than the {_LONGEST_VALUE} characters that every keyring takes.",
                remedy="Name another place.",
            )
        store = _store()
        with self._asking(store, "write"):
            store.set_password(self.service, self.username, delivery.value)

    def remove(self) -> None:
        """Deletes the entry."""
        if self.stored() is None:
            return
        store = _store()
        with self._asking(store, "delete"):
            store.delete_password(self.service, self.username)

    @contextlib.contextmanager
    def _asking(self, store: KeyringBackend, what: str) -> Iterator[None]:
        from keyring.errors import KeyringLocked, NoKeyringError

        try:
            yield
        except KeyringLocked:
            raise SignInFailed(
                f"The keyring {store.name} is locked.", remedy="Unlock it in the session of the user that runs this."
            ) from None
        except NoKeyringError:
            raise _no_keyring(store) from None
        except Exception:  # noqa: BLE001 - backends let errors of their own libraries through
            raise Unreachable(
                f"The keyring {store.name} does not {what} the entry {self.service}/{self.username}.",
                remedy="See which keyring is in use: keyring diagnose, keyring --list-backends.",
            ) from None


def _store() -> KeyringBackend:
    """The keyring of this session.

    Raises:
        InvalidInput: there is none, or it keeps secrets in clear.
    """
    import keyring

    store = keyring.get_keyring()
    # The chainer asks several; it writes to the first.
    while chained := list(getattr(store, "backends", None) or ()):
        store = chained[0]
    try:
        priority = float(store.priority)
    except RuntimeError:
        raise _no_keyring(store) from None
    if priority < _REAL:
        raise _no_keyring(store)
    return store


def _no_keyring(store: KeyringBackend) -> ProvisionError:
    return InvalidInput(
        f"There is no keyring that keeps secrets encrypted in this session ({store.name}).",
        remedy="Sign in to a desktop session, start a keyring service, or name a file: envfile:/srv/tms/mail.env",
    )


def open_sink(rest: str, environ: Mapping[str, str]) -> KeyringEntry:  # noqa: ARG001 - the session is the sign-in
    """The sink of ``SERVICE/USERNAME``.

    Raises:
        InvalidInput: one of them is missing or too long.
    """
    service, _, username = (unquote(part) for part in rest.rpartition("/"))
    if not service or not username or not (service + username).isprintable():
        raise InvalidInput(f"{rest!r} is not a service and a user name.", remedy="For example keyring:tms/mail")
    if len(username) > _LONGEST_USERNAME:
        raise InvalidInput(
            f"The user name of {rest[:40]!r}… is longer than {_LONGEST_USERNAME} characters.", remedy="Shorten it."
        )
    return KeyringEntry(f"keyring:{rest}", service, username)
