"""One cmdlet on its way: who runs it, with which parameters, and what it gives back.

Owns: the call, what a cmdlet is, objects in places. Does not own: the wire (``app``), the cmdlets themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from provision.sandbox.directory import Directory, Document
from provision.sandbox.exchange.parameters import Parameter
from provision.sandbox.world import World

Place = tuple[int, int]
"""Where an object stands in a listing: which of its parts, and the object's place in the store there."""
START: Place = (0, 0)
"""Of a single object."""


@dataclass(frozen=True)
class Caller:
    """Whoever a verified token speaks for."""

    tenant: str
    app_id: str
    object_id: str
    """The user's id, or the service principal's in an app-only call."""
    delegated: bool
    roles: frozenset[str]
    """Management roles."""


@dataclass
class Call:
    """A cmdlet whose caller and parameters have been checked."""

    world: World
    caller: Caller
    cmdlet: Cmdlet
    parameters: Document
    """By declared name, in the declared type; a parameter that was not given is absent."""
    after: Place | None = None
    """A listing goes on behind this place; None: from its start."""
    warnings: list[str] = field(default_factory=list)

    @property
    def directory(self) -> Directory:
        """The store."""
        return self.world.directory

    @property
    def tenant(self) -> str:
        """The tenant's id."""
        return self.caller.tenant

    @cached_property
    def organization(self) -> str:
        """The tenant's initial domain, which Exchange shows as the organisation."""
        found = self.directory.tenant(self.tenant)
        return str(found["domain"]) if found else ""

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter's value, or the default when it was not given."""
        return self.parameters.get(name, default)

    def given(self, names: Iterable[str]) -> Document:
        """Those of the named parameters that were given."""
        return {name: self.parameters[name] for name in names if name in self.parameters}

    def warn(self, text: str) -> None:
        """Adds a warning to the answer."""
        self.warnings.append(text)

    def nothing_changed(self, identity: str) -> None:
        """The warning of a Set cmdlet that found everything as it was asked for (Exchange's sentence)."""
        self.warn(f"The command completed successfully but no settings of '{identity}' have been modified.")

    def now(self) -> str:
        """The time as documents of the store hold it."""
        return self.directory.clock.iso()

    def pages(self, kind: str, part: int = 0, *, deleted: bool = False) -> Iterator[tuple[Place, Document]]:
        """The objects of a kind behind ``after``, read page by page.

        Args:
            kind: the kind of the store.
            part: which part of a listing with several kinds this is.
            deleted: the soft-deleted ones instead of the live ones.
        """
        reached, seq = self.after or START
        if reached > part:
            return
        seq = seq if reached == part else 0
        while rows := self.directory.page(self.tenant, kind, after=seq, limit=_READ_AT_ONCE, deleted=deleted):
            for seq, document in rows:
                yield (part, seq), document


_READ_AT_ONCE = 500

Rows = Iterable[tuple[Place, Document]]
"""What a cmdlet gives back: objects in places, read no further than they are asked for."""


@dataclass(frozen=True)
class Cmdlet:
    """One cmdlet: an entry of the table in ``cmdlets``."""

    name: str
    parameters: Mapping[str, Parameter]
    roles: tuple[str, ...]
    """Management roles, any of which lets a caller run it."""
    run: Callable[[Call], Rows]


def one(document: Document) -> Rows:
    """A single object."""
    return [(START, document)]


def listed(documents: Iterable[Document]) -> Rows:
    """A few objects, given all at once."""
    return [((0, number), document) for number, document in enumerate(documents, 1)]


NOTHING: Rows = ()
"""A cmdlet that gives nothing back."""
