"""What a journal remembers of one registration's client secrets and certificates: never a value, only what tells one
from another.

Owns: the document's shape and reading it back. Does not own: when it is written (``rotation``) and where (``journal``).
One document, under one lease, holds both kinds: client secrets at its top, certificates under a name of their own.

A value is recognised later by a salted SHA-256 of it; an Entra secret has 40 random characters, so nothing can be
guessed from that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from provision.errors import StateUnavailable
from provision.settings.stack import Slot

Kind = Literal["secret", "certificate"]
"""What a registration signs in with and this toolkit rotates."""
WORDS: dict[Kind, str] = {"secret": "client secret", "certificate": "certificate"}
"""Each kind as sentences say it."""

State = Literal["minted", "published", "active", "old"]
"""A secret's way: ``minted`` (no place has it), ``published`` (a place may have it), ``active`` (every place was seen
to have it, and it is in use), ``old`` (another one is; it retires at ``retire_after``)."""


@dataclass
class Secret:
    """A client secret or a certificate that this toolkit made."""

    key_id: str
    slot: Slot
    state: State
    expires: str
    """RFC 3339, by Entra's answer."""
    made: str = ""
    """When it was made, RFC 3339; empty when it was there before the journal."""
    salt: str = ""
    digest: str = ""
    activated: str | None = None
    """When every place was seen to have it, RFC 3339."""
    retire_after: str | None = None

    def remember_value(self, value: str) -> None:
        """Notes what the value can be recognised by."""
        self.salt = secrets.token_hex(16)
        self.digest = _digest(self.salt, value)

    def is_value(self, value: str) -> bool:
        """Whether a value is this secret's; False when it was never seen."""
        return bool(self.digest) and hmac.compare_digest(self.digest, _digest(self.salt, value))

    @property
    def ends(self) -> datetime:
        """When it expires."""
        return datetime.fromisoformat(self.expires)


@dataclass
class Pending:
    """A secret that is being made: Entra may have made it although no answer came."""

    slot: Slot
    before: list[str]
    """Key ids that were there before, whoever made them."""
    asked: str = ""
    """When Entra was asked, RFC 3339."""


@dataclass
class Place:
    """A sink."""

    key_id: str
    """The secret that was written, or is being written."""
    confirmed: bool = False
    """Whether it was read back."""
    changed: str | None = None
    """The place's own word for its version, when it was read back."""


@dataclass
class Record:
    """Everything that is remembered of one registration's secrets of one kind."""

    secrets: dict[str, Secret] = field(default_factory=dict)
    pending: Pending | None = None
    suspects: Pending | None = None
    """Where a secret that was made without anybody's knowledge may still turn up (Graph lists it a little later)."""
    places: dict[str, Place] = field(default_factory=dict)
    """By the sink's address."""
    retire: list[str] = field(default_factory=list)
    """Key ids of foreign secrets that somebody asked to retire."""

    def in_state(self, *states: State) -> list[Secret]:
        """The secrets in one of some states, the newest first."""
        found = [secret for secret in self.secrets.values() if secret.state in states]
        return sorted(found, key=lambda secret: (secret.made, secret.expires), reverse=True)

    @property
    def active(self) -> Secret | None:
        """The secret in use, if one was made by this toolkit."""
        return next(iter(self.in_state("active")), None)

    @property
    def unfinished(self) -> bool:
        """Whether a run stopped between making a secret and having it everywhere."""
        return self.pending is not None or bool(self.in_state("minted", "published"))

    def within(self, document: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
        """The journal's content with this in it; what it holds of the other kind stays.

        Args:
            document: the content so far.
            kind: of which this is the record.
        """
        own = {"format": 1, **asdict(self)}
        if kind != "secret":
            return {**document, kind: own}
        return {**own, **{str(name): document[name] for name in WORDS if name in document}}

    @classmethod
    def of_kind(cls, kind: Kind, document: Mapping[str, Any]) -> Record:
        """Reads one kind's record out of the journal's content; an empty one is a new record.

        Raises:
            StateUnavailable: it is none of ours, or of a later format.
        """
        return cls.from_json(document if kind == "secret" else document.get(kind) or {})

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Record:
        """Reads a record; an empty document is a new one.

        Raises:
            StateUnavailable: it is none of ours, or of a later format.
        """
        if not set(document) - set(WORDS):
            return cls()  # a journal that holds certificates alone
        try:
            if document["format"] != 1:
                raise _unreadable()
            return cls(
                secrets={key: Secret(**value) for key, value in document["secrets"].items()},
                pending=_pending(document["pending"]),
                suspects=_pending(document["suspects"]),
                places={address: Place(**value) for address, value in document["places"].items()},
                retire=list(document["retire"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise _unreadable() from None


def _unreadable() -> StateUnavailable:
    return StateUnavailable(
        "The rotation's journal cannot be read: it is of another version of this toolkit, or damaged.",
        remedy="Use the version that wrote it, or restore it from a backup.",
    )


def _pending(document: Mapping[str, Any] | None) -> Pending | None:
    return Pending(**document) if document else None


def _digest(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}:{value}".encode()).hexdigest()
