"""The certificates of an app registration, changed one at a time although Graph takes only the whole list.

Owns: reading the list until it can be trusted, sending it back with one change, and looking whether that held. Does not
own: the requests (``microsoft.graph``), the certificates themselves (``secrets.certificate``).

A PATCH of ``keyCredentials`` replaces the list ("Update application"); entries go back as they were read, without their
``key`` (microsoftgraph/microsoft-graph-docs#3579, and as the azuread Terraform provider does it), or Entra refuses a
changed one (Azure/azure-powershell#6219). The actions ``addKey`` and ``removeKey``, which change one entry, do not
serve: they take a proof signed with the private key of a certificate that is there ("application: addKey"), which the
first one cannot have and later nobody keeps.

Graph offers no condition on the write, so two rules stand in for it. Nothing is sent before two reads in a row agree
and show every certificate that is known to be there: a server that lags would have the newest ones taken away. And
what was written is looked for afterwards; another writer's older list may have taken it away, and then it goes again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from provision.errors import Unreachable
from provision.microsoft.channel import AnswerLost
from provision.microsoft.reading import Document

_ATTEMPTS = 4
_LOOKS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each look at the list after a write."""
_PATIENCE = 45.0
"""For how long a certificate that must be there may stay unlisted, seconds, before it counts as somebody's removal."""


class KeyCredentials(Protocol):
    """The two requests."""

    def key_credentials(self, object_id: str) -> list[Document]:
        """The list as Graph shows it."""

    def set_key_credentials(self, object_id: str, rows: list[Document]) -> None:
        """Replaces the list."""


def change(
    at: KeyCredentials,
    object_id: str,
    *,
    add: Mapping[str, Any] | None = None,
    remove: Collection[str] = (),
    expected: Collection[str] = (),
    patience: float = _PATIENCE,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Adds a certificate or removes some, and leaves every other one as it is; the same again changes nothing.

    Args:
        at: Graph.
        object_id: the app registration's object id.
        add: a ``keyCredential`` with a ``keyId`` and everything else that Graph would fill in.
        remove: key ids.
        expected: key ids that are known to be there, even when a server does not list them yet.
        patience: how long to wait for those, seconds.
        pause: waits a number of seconds.

    Raises:
        Unreachable: others change the list so often that the change does not hold, or Graph does not answer.
        PolicyRefuses, NotPermitted, InvalidInput: as Graph refuses.
    """
    gone = {key_id.lower() for key_id in remove}
    known = {key_id.lower() for key_id in expected} - gone
    for _ in range(_ATTEMPTS):
        rows = _trusted(at, object_id, known, patience, pause)
        kept = [row for row in rows if _key_id(row) not in gone]
        missing = add is not None and _key_id(add) not in {_key_id(row) for row in rows}
        if len(kept) == len(rows) and not missing:
            return
        known |= {_key_id(row) for row in kept}
        with contextlib.suppress(AnswerLost):  # the list tells whether it arrived
            at.set_key_credentials(object_id, [*kept, dict(add)] if add is not None and missing else kept)
        if _holds(at, object_id, add, gone, pause):
            return
    raise Unreachable(
        "Microsoft Graph does not show the change of the registration's certificates: others change them too.",
        remedy="Run again when nobody else edits them; nothing is lost.",
    )


def _trusted(
    at: KeyCredentials, object_id: str, known: Collection[str], patience: float, pause: Callable[[float], None]
) -> list[Document]:
    """The list, once two reads in a row agree and nothing that must be there is missing."""
    deadline = time.monotonic() + patience
    before = at.key_credentials(object_id)
    delay = 0.25
    while True:
        rows = at.key_credentials(object_id)
        listed = {_key_id(row) for row in rows}
        if rows == before and (listed.issuperset(known) or time.monotonic() > deadline):
            return rows
        before = rows
        pause(delay)
        delay = min(delay * 2, 4.0)


def _holds(
    at: KeyCredentials,
    object_id: str,
    add: Mapping[str, Any] | None,
    gone: Collection[str],
    pause: Callable[[float], None],
) -> bool:
    for seconds in _LOOKS:
        pause(seconds)
        listed = {_key_id(row) for row in at.key_credentials(object_id)}
        if not listed & set(gone) and (add is None or _key_id(add) in listed):
            return True
    return False


def _key_id(row: Mapping[str, Any]) -> str:
    return str(row["keyId"]).lower()
