"""Slots whose secrets are certificates in the registration's list, added and removed through Microsoft Graph.

Owns: making a key pair here and giving Graph its certificate, and which certificates must be in a list before it is
written anew. Does not own: how the list is changed (``microsoft.certificates``), where the key goes (``sinks``): nobody
keeps it here. No stack's state knows certificates, so the journal alone remembers which one is in use.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from provision.microsoft.graph import Graph
from provision.microsoft.objects import Listed, NewCredential
from provision.secrets import certificate
from provision.secrets.record import Kind, Record, Secret
from provision.secrets.rotation import Held
from provision.settings.stack import Slot

_EARLIER = timedelta(minutes=5)
"""How long before it is made a certificate is valid: Entra's servers do not all have the same time."""


@dataclass
class CertificateSlots:
    """The two certificates of one registration.

    Args:
        graph: the tenant.
        object_id: the registration's object id.
        tenant_id: the tenant's id.
        client_id: the registration's Application (client) ID.
        names: display names of the slots' certificates.
        end: until when a certificate made now lives; raises when the tenant's policy forbids ours.
        now: the present, by Microsoft's clock.
        remembered: what the journal holds now.
    """

    graph: Graph = field(repr=False)
    object_id: str
    tenant_id: str
    client_id: str
    names: Mapping[Slot, str]
    end: Callable[[], datetime]
    now: Callable[[], datetime]
    remembered: Callable[[], Record] = field(repr=False)
    kind: Kind = "certificate"
    roomy: bool = True
    """Entra tells certificates apart by their key ids; a slot is no more than a name."""
    _seen: set[str] = field(default_factory=set)
    _removed: set[str] = field(default_factory=set)

    def name(self, slot: Slot) -> str:
        """The display name of a slot's certificates."""
        return self.names[slot]

    def listed(self) -> tuple[Listed, ...]:
        """Every certificate of the registration, as Graph lists them now."""
        found = self.graph.wait_until_readable(
            lambda: self.graph.application(self.object_id, with_certificates=True), "the app registration", seconds=60.0
        )
        self._seen |= {one.key_id for one in found.certificates}
        return found.certificates

    def held(self) -> Mapping[Slot, Held]:
        """Nothing: only the journal remembers."""
        return {}

    def active(self) -> Slot | None:
        """None: only the journal remembers."""
        return None

    def mint(self, slot: Slot) -> NewCredential:
        """Makes a key pair and adds its certificate to the list, under a key id that is chosen here."""
        start = (self.now() - _EARLIER).replace(microsecond=0)
        end = self.end().replace(microsecond=0)
        pair = certificate.make(self.client_id, start=start, end=end)
        key_id = str(uuid.uuid4())
        self.graph.change_certificates(
            self.object_id,
            add={
                "customKeyIdentifier": pair.thumbprint,
                "displayName": self.names[slot],
                "endDateTime": _written(end),
                "key": pair.certificate,
                "keyId": key_id,
                "startDateTime": _written(start),
                "type": "AsymmetricX509Cert",
                "usage": "Verify",
            },
            remove=self._removed,
            expected=self._known(),
        )
        self._seen.add(key_id)
        return NewCredential(key_id, end, pair.pem)

    def recall(self, slot: Slot) -> NewCredential | None:  # noqa: ARG002 - a private key was never given away
        """Nothing: nobody keeps the keys."""
        return None

    def activate(self, secret: Secret) -> None:
        """Nothing: the journal remembers."""

    def remove(self, secret: Secret) -> None:
        """Removes it by its key id."""
        self.remove_foreign(secret.key_id)

    def remove_foreign(self, key_id: str) -> None:
        """Removes it by its key id, and no other."""
        self._removed.add(key_id)
        self.graph.change_certificates(self.object_id, remove=self._removed, expected=self._known())

    def _known(self) -> set[str]:
        """What must be in a list before it may be written anew: what was seen, and what the journal knows of."""
        return (self._seen | set(self.remembered().secrets)) - self._removed


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
