"""One registration and everything that rotates its secret, on the local tenant: real tokens, journal, and places.

A secret is a client secret or a certificate with its private key, as in ``secrets.rotation``. A run is a new process in
all but name: it knows only what is on disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential
from trial import foreign_certificate

from provision.journal import Entry, Store, open_store
from provision.journal.lease import Lease, peek
from provision.microsoft.graph import Graph
from provision.microsoft.proof import prove
from provision.onboard.rotating import MEANS
from provision.sandbox import Tenant
from provision.secrets.certificate_slots import CertificateSlots
from provision.secrets.due import Pace
from provision.secrets.graph_slots import GraphSlots
from provision.secrets.record import WORDS, Kind, Record
from provision.secrets.rotation import Report, Rotation, Wish, work_for
from provision.secrets.sinks import Sink
from provision.settings.endpoints import Endpoints

_NAMES: dict[Kind, dict[Any, str]] = {
    "secret": {"a": "Mail Secret A", "b": "Mail Secret B"},
    "certificate": {"a": "Mail certificate A", "b": "Mail certificate B"},
}
_UNKNOWN: dict[Kind, str] = {"secret": "AADSTS7000215", "certificate": "AADSTS700027"}
"""How Entra refuses one that it does not know."""


@dataclass
class Desk:
    """One registration, the places of its secret, and the journal."""

    kind: Kind
    graph: Graph
    endpoints: Endpoints
    tenant: Tenant
    object_id: str
    client_id: str
    store: Store
    api: httpx.Client
    key: str = "desk/mail"
    sinks: list[Sink] = field(default_factory=list)
    ahead: timedelta = timedelta(0)

    @classmethod
    def at(
        cls, kind: Kind, graph: Graph, endpoints: Endpoints, tenant: Tenant, api: httpx.Client, folder: Path
    ) -> Desk:
        """A new registration without any secret; its journal is in the folder, and it has no places yet."""
        body = {"displayName": "Mail", "signInAudience": "AzureADMyOrg"}
        made = api.post("/v1.0/applications", json=body).raise_for_status().json()
        api.post("/v1.0/servicePrincipals", json={"appId": made["appId"]}).raise_for_status()
        store = open_store(f"file://{folder}/state")
        return cls(kind, graph, endpoints, tenant, made["id"], made["appId"], store, api)

    @property
    def words(self) -> str:
        return WORDS[self.kind]

    @property
    def names(self) -> dict[Any, str]:
        return _NAMES[self.kind]

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def slots(self) -> GraphSlots | CertificateSlots:
        registration = (self.graph, self.object_id, self.tenant.tenant_id, self.client_id)
        more: dict[str, Any] = {
            "names": self.names,
            "end": lambda: datetime.now(UTC) + timedelta(days=365),
            "now": lambda: datetime.now(UTC),
        }
        if self.kind == "certificate":
            return CertificateSlots(*registration, **more, remembered=self.record)
        return GraphSlots(*registration, **more)

    def record(self) -> Record:
        return Record.of_kind(self.kind, peek(self.store, self.key))

    def prove(self, value: str) -> object:
        return prove(
            self.endpoints,
            MEANS[self.kind],
            value,
            tenant_id=self.tenant.tenant_id,
            client_id=self.client_id,
            seconds=20,
            delay=0.05,
        )

    def run(self, store: Store | None = None, pace: Pace | None = None, **wish: Any) -> Report:
        with Lease(store or self.store, self.key, pause=lambda _: None) as lease:
            return Rotation(
                slots=self.slots(),
                sinks=self.sinks,
                lease=lease,
                prove=self.prove,
                pace=pace or Pace(),
                now=self.now,
                say=lambda _: None,
                pause=lambda _: None,
            ).run(Wish(**wish))

    def reason(self, **wish: Any) -> str:
        return work_for(
            self.record(),
            self.slots().listed(),
            {},
            name=self.names.__getitem__,
            places=[sink.address for sink in self.sinks],
            wish=Wish(**wish),
            pace=Pace(),
            now=self.now(),
            kind=self.kind,
        )

    def listed(self) -> list[str]:
        return sorted(str(one.display_name) for one in self.slots().listed())

    def rows(self) -> list[dict[str, Any]]:
        """The registration's certificates, as Graph shows them."""
        return list(self.api.get(f"/v1.0/applications/{self.object_id}").json()["keyCredentials"])

    def add_foreign(self, name: str) -> str:
        """Somebody else's, made as a careful tool makes it; its key id."""
        path = f"/v1.0/applications/{self.object_id}"
        if self.kind == "secret":
            made = self.api.post(f"{path}/addPassword", json={"passwordCredential": {"displayName": name}})
            return str(made.raise_for_status().json()["keyId"])
        rows = [*self.rows(), foreign_certificate(name)]
        self.api.patch(path, json={"keyCredentials": rows}).raise_for_status()
        return str(next(one["keyId"] for one in self.rows() if one["displayName"] == name))

    def works(self, value: str) -> bool:
        """Whether azure-identity signs in with a value, as the product would."""
        ids = (self.tenant.tenant_id, self.client_id)
        more: dict[str, Any] = {
            "authority": self.endpoints.login,
            "disable_instance_discovery": True,
            "connection_verify": self.endpoints.ca_file,
        }
        credential = (
            ClientSecretCredential(*ids, value, **more)
            if self.kind == "secret"
            else CertificateCredential(*ids, certificate_data=value.encode(), **more)
        )
        try:
            return bool(credential.get_token(self.endpoints.graph_scope).token)
        except ClientAuthenticationError as refused:
            assert _UNKNOWN[self.kind] in str(refused)
            return False


def value_in(sink: Sink) -> str:
    """What a place that shows its value holds."""
    stored = sink.stored()
    assert stored is not None
    assert stored.value
    return stored.value


def certificates_arrive(desk: Desk, sink: Sink, read: Callable[[], str]) -> None:
    """One certificate follows another at a place, and the product signs in with what it reads there.

    Args:
        desk: of a certificate.
        sink: the place.
        read: what the product finds there, read in its own way.
    """
    desk.sinks = [sink]
    seen = []
    for wish in ({}, {"now": True}):
        made = desk.run(**wish).made
        assert made is not None
        pem = read()
        assert made.is_value(pem), "the place changed it on the way"
        assert desk.works(pem)
        seen.append((made.key_id, pem))
    (first, old), (second, new) = seen
    assert desk.works(old), "for the overlap"
    desk.ahead = timedelta(days=8)
    assert desk.run().retired == [first]
    assert [row["keyId"] for row in desk.rows()] == [second]
    assert desk.works(read()) and read() == new and not desk.works(old)


class Stopped(BaseException):
    """The process is no more."""


class Stopping:
    """A journal that ends before or after its nth write, as a process that is killed there sees it."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self._store, self._left, self._after = store, at, after

    @property
    def shown(self) -> str:
        return self._store.shown

    def read(self, key: str) -> Entry | None:
        return self._store.read(key)

    def write(self, key: str, document: Mapping[str, Any], *, expected: str | None) -> str:
        if self._left < 0:
            raise Stopped
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Stopped
        version = self._store.write(key, document, expected=expected)
        if self._left < 0:
            raise Stopped
        return version

    def keys(self) -> list[str]:
        return self._store.keys()

    def remove(self, key: str, *, expected: str) -> None:
        self._store.remove(key, expected=expected)


def losing_its_answer(mint: Callable[..., Any]) -> Callable[..., Any]:
    """``Slots.mint`` of a run that is stopped when Graph has made the secret and nobody has the answer."""

    def lost(slots: Any, slot: Any) -> Any:
        mint(slots, slot)
        raise Stopped

    return lost
