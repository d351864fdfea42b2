"""When a changed Exchange setting is known to the servers that take mail.

Owns: noting what was changed when, and what a server knows by now. Does not own: who asks (SMTP, EWS).
Reading a setting back by a cmdlet shows it at once; Microsoft gives no figure for the rest (vendors say 15 minutes, for
authentication policies "Disable Basic authentication in Exchange Online" says up to 24 hours, and 30 minutes after
``Set-User -STSRefreshTokensValidFrom``). Here it takes the weather's ``exchange_delay``, 0 unless set.
"""

from __future__ import annotations

import time
from collections.abc import Collection

from provision.sandbox.directory import Directory, Document

_KEPT_SECONDS = 86400.0


def changed(document: Document, changes: Document) -> Document:
    """The document with the changes, which remembers what it said before.

    Args:
        document: as stored.
        changes: new values by property.
    """
    now = time.time()
    before = {name: document.get(name) for name, value in changes.items() if document.get(name) != value}
    history = [entry for entry in document.get("_history", ()) if entry["at"] > now - _KEPT_SECONDS]
    return {**document, **changes, "_history": [*history, {"at": now, "before": before}] if before else history}


def in_effect(directory: Directory, document: Document) -> Document:
    """The document as the servers that take mail know it now: without changes younger than ``exchange_delay``."""
    known = dict(document)
    for entry in reversed(document.get("_history", ())):
        if entry["at"] <= time.time() - directory.exchange_delay:
            break
        known |= entry["before"]
    return known


def hastened(document: Document, names: Collection[str]) -> Document:
    """The document with changes of these properties known everywhere at once."""
    history = [
        {**entry, "before": {name: value for name, value in entry["before"].items() if name not in names}}
        for entry in document.get("_history", ())
    ]
    return {**document, "_history": history}
