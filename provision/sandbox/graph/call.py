"""One Graph request as its handler sees it, and the answer a handler gives.

Owns: the caller (who, with which permissions), the request's parts, the answer. Does not own: the wire (``app``),
which permission an operation needs (``permissions``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from provision.sandbox.directory import Directory, Document
from provision.sandbox.graph import errors
from provision.sandbox.graph.odata.query import QueryOptions
from provision.sandbox.world import World


@dataclass(frozen=True)
class Caller:
    """Whoever a verified access token speaks for."""

    tenant: str
    app_id: str
    object_id: str
    """The user's id in a delegated call, the service principal's in an app-only one."""
    delegated: bool
    permissions: frozenset[str]
    """Scopes of a delegated token, roles of an app-only one; lower case."""
    directory_roles: frozenset[str] = frozenset()
    """Template ids of the directory roles that the user (or service principal) holds now."""


@dataclass(frozen=True)
class Answer:
    """What a handler gives back."""

    body: Document | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = (
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    )
    text: str | bytes | None = None
    """A body that is not JSON (``$count``, ``$metadata``, a message's MIME)."""


NO_CONTENT = Answer(status=204)


@dataclass
class Call:
    """A request that has passed authentication and routing."""

    world: World
    caller: Caller
    version: str
    """``v1.0`` or ``beta``."""
    root: str
    """The service root as the client addressed it, for links: ``https://localhost:8443/v1.0``."""
    path: str
    """The path below the version, as sent."""
    keys: dict[str, str]
    """The path's variable segments; an alternate key is ``(name=value)``."""
    options: QueryOptions
    headers: Mapping[str, str]
    body: Any = None
    owned_only: bool = False
    """Set by authorization: the caller may do this only to objects of which it is an owner."""
    role_assignments: list[Document] | None = None
    """Set by authorization where only RBAC for Applications lets the caller in: Exchange's role assignments."""

    @property
    def directory(self) -> Directory:
        """The store."""
        return self.world.directory

    @property
    def tenant(self) -> str:
        """The tenant in which everything happens: the token's."""
        return self.caller.tenant

    def get(self, kind: str, identity: str) -> Document:
        """A live object of the tenant; 404 when absent or not yet replicated."""
        document = self.directory.get(self.tenant, kind, identity)
        if document is None:
            raise errors.resource_not_found(identity)
        return document

    def all(self, kind: str) -> list[Document]:
        """All live objects of a kind."""
        return self.directory.all(self.tenant, kind)

    def now(self) -> str:
        """The time as Graph writes it."""
        return self.directory.clock.iso()

    def require_owner(self, document: Document) -> None:
        """Refuses when authorization allowed only owned objects and this is not one."""
        if self.owned_only and self.caller.object_id not in document.get("_owners", ()):
            raise errors.insufficient_privileges()


def alternate_key(key: str) -> tuple[str, str] | None:
    """The name and value of an alternate key segment, or None for a plain id."""
    if not key.startswith("("):
        return None
    name, _, value = key[1:-1].partition("=")
    return name, value
