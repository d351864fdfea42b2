"""Slots whose secrets are minted through Microsoft Graph: for no stack at all, or a state that must not hold values.

Owns: making and removing by key id. Does not own: which secret is in which slot, beyond what the caller knew when the
run began (the journal does), and where the value goes (``sinks``): nobody keeps it here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from provision.microsoft.graph import Graph
from provision.microsoft.objects import Listed, NewCredential
from provision.secrets.record import Kind, Secret
from provision.secrets.rotation import Held
from provision.settings.stack import Slot


@dataclass
class GraphSlots:
    """The two slots of one registration.

    Args:
        graph: the tenant.
        object_id: the registration's object id.
        tenant_id: the tenant's id.
        client_id: the registration's Application (client) ID.
        names: display names of the slots' secrets.
        end: until when a secret made now lives; raises when the tenant's policy forbids secrets.
        now: the present, by Microsoft's clock.
        known: what was in the slots when the run began, where somebody remembers it (a stack's configuration).
        in_use: the slot in use when the run began.
        remember: told which secret is in use from now on; may be told the same again.
    """

    graph: Graph = field(repr=False)
    object_id: str
    tenant_id: str
    client_id: str
    names: Mapping[Slot, str]
    end: Callable[[], datetime]
    now: Callable[[], datetime]
    known: Mapping[Slot, Held] = field(default_factory=dict)
    in_use: Slot | None = None
    remember: Callable[[Secret], None] = lambda _secret: None
    kind: Kind = "secret"
    roomy: bool = True
    """Entra tells secrets apart by their key ids; a slot is no more than a name."""

    def name(self, slot: Slot) -> str:
        """The display name of a slot's secrets."""
        return self.names[slot]

    def listed(self) -> tuple[Listed, ...]:
        """Every client secret of the registration, as Graph lists them now."""
        found = self.graph.wait_until_readable(
            lambda: self.graph.application(self.object_id), "the app registration", seconds=60.0
        )
        return found.passwords

    def held(self) -> Mapping[Slot, Held]:
        """What was known when the run began."""
        return self.known

    def active(self) -> Slot | None:
        """The slot in use when the run began."""
        return self.in_use

    def mint(self, slot: Slot) -> NewCredential:
        """Makes a secret; by Microsoft's clock, so that it is valid at once."""
        return self.graph.add_password(self.object_id, self.names[slot], self.end(), start=self.now())

    def recall(self, slot: Slot) -> NewCredential | None:  # noqa: ARG002 - Graph never shows a value again
        """Nothing: nobody keeps the values."""
        return None

    def activate(self, secret: Secret) -> None:
        """Tells whoever remembers."""
        self.remember(secret)

    def remove(self, secret: Secret) -> None:
        """Removes it by its key id."""
        self.graph.remove_password(self.object_id, secret.key_id)

    def remove_foreign(self, key_id: str) -> None:
        """Removes it by its key id."""
        self.graph.remove_password(self.object_id, key_id)
