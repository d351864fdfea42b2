"""What one resource type of the stand-in must say and do.

Owns: the type and its values. Errors: ``GraphRefusal`` and ``Gone`` (``session``), ``Refused`` here.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from provision.errors import ProvisionError
from provision.standin.fields import Field
from provision.standin.planning import State
from provision.standin.session import Deadline, Session
from provision.standin.wire import Value

_TIMEOUTS_KEY = "e2bfb730-ecaa-11e6-8f88-34363bc7c4c0"
"""Under this key the Terraform plugin SDK keeps a resource's timeouts beside its state."""
_NANOSECONDS = 1_000_000_000


class Refused(ProvisionError):
    """The request cannot be carried out; nothing was changed by it."""


@dataclass(frozen=True)
class Timeouts:
    """How long each operation may take, in seconds; None where the type has no such operation."""

    create: int
    read: int
    update: int | None
    delete: int


@dataclass(frozen=True)
class Made:
    """An object that is in the tenant now.

    ``told``: what only the creating answer holds (a secret's value). ``was_there``: it was taken over, not made.
    """

    id: str
    told: State = field(default_factory=dict)
    was_there: bool = False


class Resource(ABC):
    """One resource type."""

    token: ClassVar[str]
    """Pulumi's type token."""
    known_as: ClassVar[str]
    """Its name in the provider it is bridged from, for messages that point to its documentation."""
    fields: ClassVar[tuple[Field, ...]]
    timeouts: ClassVar[Timeouts]
    schema_version: ClassVar[int] = 0
    importable: ClassVar[bool] = True

    @property
    def title(self) -> str:
        """The type's name in a sentence."""
        return self.token.rpartition(":")[2]

    @abstractmethod
    def owns_id(self, resource_id: str) -> bool:
        """Whether an id has this type's form."""

    def contradictions(self, planned: State) -> list[str]:
        """Refusals that need more than one property to see."""
        del planned
        return []

    async def foresee(self, session: Session, planned: State, prior: State | None) -> None:
        """Refuses, before anything is changed, what the tenant already speaks against. Raises Refused."""
        del session, planned, prior

    @abstractmethod
    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Makes the object. From here on the engine knows it: nothing is orphaned when a later step fails.

        Raises:
            GraphRefusal, Gone, Unreachable, Refused: it was not made.
        """

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Carries out the steps after the object was made, until the directory shows it."""
        del session, made, planned, deadline

    @abstractmethod
    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the object into state; None when it is gone. ``prior`` gives what the tenant does not tell."""

    async def update(
        self, session: Session, resource_id: str, planned: State, changed: frozenset[str], deadline: Deadline
    ) -> None:
        """Changes the object in place. ``changed``: the top-level properties that differ.

        The engine asks for an update without a difference, too, where a step after the creation had failed; the bridged
        plugin then leaves the object as it is (pulumi-terraform-bridge, ``pkg/tfbridge/provider.go``, ``Update``).
        """
        del session, planned, deadline
        if changed:
            raise Refused(f"{resource_id} cannot be changed in place.")

    @abstractmethod
    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Deletes the object and waits until it is gone."""

    def meta(self) -> str:
        """What the bridged plugin keeps as ``__meta``: timeouts in nanoseconds and the schema's version."""
        limits = {
            name: seconds * _NANOSECONDS for name, seconds in sorted(vars(self.timeouts).items()) if seconds is not None
        }
        content: dict[str, Value] = {_TIMEOUTS_KEY: limits}
        if self.schema_version:
            content["schema_version"] = str(self.schema_version)
        return json.dumps(content, separators=(",", ":"), sort_keys=True)


def carried(prior: Mapping[str, Value], *names: str) -> State:
    """Properties that live in state only."""
    return {name: prior.get(name) for name in names}
