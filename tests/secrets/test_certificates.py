"""A certificate's whole way, on the local tenant: the order is a client secret's, what is rotated signs assertions.

A run that stops in the middle is a journal or a file whose writes end, or a Graph that goes silent; real kills are in
``make sweep`` (``rotate-certificate``).
"""

from __future__ import annotations

import base64
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msal  # type: ignore[import-untyped]
import pytest
from azure.identity import CertificateCredential
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from provision.errors import InvalidInput, NotDelivered, SignInFailed, WouldOverwrite
from provision.journal import Entry, Store, open_store
from provision.journal.lease import Lease, peek
from provision.microsoft.graph import Graph
from provision.microsoft.proof import prove_certificate
from provision.sandbox import Sandbox, Tenant
from provision.secrets import certificate
from provision.secrets.certificate_slots import CertificateSlots
from provision.secrets.due import Pace
from provision.secrets.graph_slots import GraphSlots
from provision.secrets.record import Record
from provision.secrets.rotation import Report, Rotation, Wish, work_for
from provision.secrets.sinks import Delivery, Sink, open_sink
from provision.settings.endpoints import Endpoints

NAMES: dict[Any, str] = {"a": "Mail certificate A", "b": "Mail certificate B"}
KEY = "desk/mail"


@dataclass
class Desk:
    """One registration and everything that rotates its certificate; ``run`` is a new process in all but name."""

    graph: Graph
    endpoints: Endpoints
    tenant: Tenant
    object_id: str
    client_id: str
    store: Store
    api: httpx.Client
    sinks: list[Sink] = field(default_factory=list)
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def slots(self) -> CertificateSlots:
        return CertificateSlots(
            self.graph,
            self.object_id,
            self.tenant.tenant_id,
            self.client_id,
            names=NAMES,
            end=lambda: datetime.now(UTC) + timedelta(days=365),
            now=lambda: datetime.now(UTC),
            remembered=self.record,
        )

    def record(self) -> Record:
        return Record.of_kind("certificate", peek(self.store, KEY))

    def prove(self, pem: str) -> object:
        return prove_certificate(
            self.endpoints,
            tenant_id=self.tenant.tenant_id,
            client_id=self.client_id,
            pem=pem,
            seconds=20,
            first_delay=0.05,
        )

    def run(self, store: Store | None = None, pace: Pace | None = None, **wish: Any) -> Report:
        with Lease(store or self.store, KEY, pause=lambda _: None) as lease:
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

    def reason(self) -> str:
        return work_for(
            self.record(),
            self.slots().listed(),
            {},
            name=NAMES.__getitem__,
            places=[sink.address for sink in self.sinks],
            wish=Wish(),
            pace=Pace(),
            now=self.now(),
            kind="certificate",
        )

    def rows(self) -> list[dict[str, Any]]:
        return list(self.api.get(f"/v1.0/applications/{self.object_id}").json()["keyCredentials"])

    def listed(self) -> list[str]:
        return sorted(row["displayName"] for row in self.rows())

    def add_foreign(self, name: str) -> str:
        """Somebody else's certificate, as a careful tool adds one: it reads, and sends back with its own."""
        row = foreign(name)
        rows = self.rows()
        answer = self.api.patch(f"/v1.0/applications/{self.object_id}", json={"keyCredentials": [*rows, row]})
        answer.raise_for_status()
        return str(next(one["keyId"] for one in self.rows() if one["displayName"] == name))

    def works(self, pem: str) -> bool:
        credential = CertificateCredential(
            self.tenant.tenant_id,
            self.client_id,
            certificate_data=pem.encode(),
            authority=self.endpoints.login,
            disable_instance_discovery=True,
            connection_verify=self.endpoints.ca_file,
        )
        try:
            return bool(credential.get_token(self.endpoints.graph_scope).token)
        except Exception as refused:
            assert "AADSTS700027" in str(refused)
            return False


def foreign(name: str) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=900))
        .sign(key, hashes.SHA256())
    )
    der = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    return {"type": "AsymmetricX509Cert", "usage": "Verify", "key": der, "displayName": name}


@pytest.fixture
def desk(graph: Graph, endpoints: Endpoints, tenant: Tenant, api: httpx.Client, tmp_path: Path) -> Desk:
    body = {"displayName": "Mail", "signInAudience": "AzureADMyOrg"}
    made = api.post("/v1.0/applications", json=body).raise_for_status().json()
    api.post("/v1.0/servicePrincipals", json={"appId": made["appId"]}).raise_for_status()
    store = open_store(f"file://{tmp_path}/state")
    sinks = [open_sink(f"file:{tmp_path}/{name}.pem", kind="certificate") for name in ("one", "two")]
    return Desk(graph, endpoints, tenant, made["id"], made["appId"], store, api, sinks)


def value_in(sink: Sink) -> str:
    stored = sink.stored()
    assert stored is not None
    assert stored.value
    return stored.value


def test_the_first_run_makes_a_certificate_and_every_place_has_its_key(desk: Desk, tmp_path: Path) -> None:
    assert desk.reason() == "no certificate of this toolkit is in use"
    report = desk.run()
    assert report.made is not None
    (row,) = desk.rows()
    assert (row["displayName"], row["keyId"]) == ("Mail certificate A", report.made.key_id)
    pem = value_in(desk.sinks[0])
    assert pem == value_in(desk.sinks[1])
    assert desk.works(pem)
    assert desk.reason() == ""
    assert stat.S_IMODE((tmp_path / "one.pem").stat().st_mode) == 0o600
    private = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.key_size >= 2048
    sent = x509.load_pem_x509_certificate(pem.encode())
    assert sent.not_valid_after_utc - sent.not_valid_before_utc <= timedelta(days=366)


def test_msal_signs_in_with_what_the_place_holds(desk: Desk, trusting: Path) -> None:
    desk.run()
    pem = value_in(desk.sinks[0])
    thumbprint = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1()).hex()
    client = msal.ConfidentialClientApplication(
        desk.client_id,
        client_credential={"private_key": pem, "thumbprint": thumbprint},
        authority=f"{desk.endpoints.login}/{desk.tenant.tenant_id}",
        instance_discovery=False,
        verify=str(trusting),
    )
    assert "access_token" in client.acquire_token_for_client([desk.endpoints.graph_scope])


def test_the_old_certificate_works_until_the_overlap_is_over_and_foreign_ones_stay(desk: Desk) -> None:
    theirs = desk.add_foreign("their own")
    desk.run()
    old = value_in(desk.sinks[0])
    report = desk.run(now=True)
    new = value_in(desk.sinks[0])
    assert desk.works(old) and desk.works(new) and old != new
    assert [one.key_id for one in report.foreign] == [theirs]
    desk.ahead = timedelta(days=7, minutes=1)
    assert desk.reason() == "an old certificate's overlap is over"
    assert desk.run().made is None
    assert desk.listed() == ["Mail certificate B", "their own"]
    assert desk.works(new) and not desk.works(old)


def test_a_foreign_certificate_retires_only_when_it_is_named(desk: Desk) -> None:
    theirs, kept = desk.add_foreign("their own"), desk.add_foreign("kept")
    report = desk.run(pace=Pace(timedelta(0)))
    assert report.active is not None
    with pytest.raises(InvalidInput, match=r"certificate .* is this toolkit's own"):
        desk.run(retire=(report.active.key_id,))
    with pytest.raises(InvalidInput, match="no certificate with the key id"):
        desk.run(retire=("00000000-0000-0000-0000-000000000000",))
    assert desk.run(pace=Pace(timedelta(0)), retire=(theirs,)).retired == [theirs]
    assert {row["keyId"] for row in desk.rows()} == {kept, report.active.key_id}


def test_secrets_and_certificates_share_a_journal_and_leave_each_other_alone(desk: Desk, tmp_path: Path) -> None:
    def rotate_the_secret() -> None:
        slots = GraphSlots(
            desk.graph,
            desk.object_id,
            desk.tenant.tenant_id,
            desk.client_id,
            names={"a": "Mail Secret A", "b": "Mail Secret B"},
            end=lambda: datetime.now(UTC) + timedelta(days=300),
            now=lambda: datetime.now(UTC),
        )
        with Lease(desk.store, KEY) as lease:
            Rotation(
                slots=slots,
                sinks=[open_sink(f"file:{tmp_path}/secret")],
                lease=lease,
                prove=lambda _: None,
                pace=Pace(),
                now=desk.now,
                say=lambda _: None,
            ).run(Wish(now=True))

    desk.run()
    ours = desk.record()
    rotate_the_secret()
    assert desk.record() == ours
    desk.run(now=True)
    secrets = Record.of_kind("secret", peek(desk.store, KEY))
    assert secrets.active is not None
    assert secrets.active.key_id not in desk.record().secrets
    with Lease(desk.store, KEY), pytest.raises(Exception, match="Another run is at work"):
        rotate_the_secret()


# Kills


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


@pytest.fixture
def never_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.journal.lease.Holder.lives", property(lambda _: False))


@pytest.mark.usefixtures("never_alive")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_stopped_at_any_write_of_the_journal_the_next_run_ends_it(desk: Desk, after: bool) -> None:
    theirs = desk.add_foreign("their own")
    desk.run()
    points = 0
    for at in range(40):
        try:
            desk.run(store=Stopping(desk.store, at, after=after), pace=Pace(timedelta(0)), now=True)
        except Stopped:
            points += 1
        else:
            break
        assert all(desk.works(value_in(sink)) for sink in desk.sinks)
        desk.run(pace=Pace(timedelta(0)))
        (ours,) = [row for row in desk.rows() if row["keyId"] != theirs]
        assert theirs in {row["keyId"] for row in desk.rows()}
        assert ours["displayName"] in NAMES.values()
        assert len({value_in(sink) for sink in desk.sinks}) == 1
        assert desk.works(value_in(desk.sinks[0]))
        assert desk.reason() == ""
    assert points >= 10


@pytest.mark.usefixtures("never_alive")
def test_a_certificate_whose_answer_was_lost_is_removed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run()
    original: Callable[..., Any] = CertificateSlots.mint

    def lost(self: CertificateSlots, slot: Any) -> Any:
        original(self, slot)
        raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(CertificateSlots, "mint", lost)
        desk.run(now=True)
    assert len(desk.listed()) == 2
    in_use = value_in(desk.sinks[0])
    assert desk.run().made is None
    assert desk.listed() == ["Mail certificate A"]
    assert desk.works(in_use)


def test_under_replication_the_list_is_not_written_before_it_shows_what_is_there(desk: Desk, sandbox: Sandbox) -> None:
    """A server that lags would have the newest certificate taken away by the next change of the list."""
    theirs = desk.add_foreign("their own")
    sandbox.set_faults(replication_delay=1.0)
    try:
        desk.run(pace=Pace(timedelta(0)))
        desk.run(pace=Pace(timedelta(0)), now=True)
        desk.run(pace=Pace(timedelta(0)), now=True)
    finally:
        sandbox.clear_faults()
    rows = desk.rows()
    assert theirs in {row["keyId"] for row in rows}
    assert len(rows) == 2
    assert desk.works(value_in(desk.sinks[0]))


def test_weather_on_the_list_loses_nothing(desk: Desk, sandbox: Sandbox) -> None:
    theirs = desk.add_foreign("their own")
    desk.run()
    match = {"method": "PATCH", "path": "^/v1.0/applications/"}
    for number, rule in enumerate(
        [
            {"action": "drop_after", "match": match, "count": 1},
            {"action": "drop_before", "match": match, "count": 1},
            {"action": "status", "status": 503, "match": match, "count": 1},
            {"action": "status", "status": 429, "match": match, "count": 1},
        ]
    ):
        sandbox.set_faults([{"name": f"w{number}", **rule}])
        try:
            desk.run(pace=Pace(timedelta(0)), now=True)
        finally:
            sandbox.clear_faults()
        assert {row["keyId"] for row in desk.rows()} > {theirs}
        assert len(desk.rows()) == 2
        assert desk.works(value_in(desk.sinks[0]))


def test_another_writer_that_takes_ours_away_is_noticed_and_none_is_lost(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read the list before ours came, and writes it after: ours is gone, and goes in again beside the other's."""
    desk.run()
    original: Callable[..., Any] = Graph.set_key_credentials
    raced = threading.Event()

    def beaten(self: Graph, object_id: str, rows: Any) -> None:
        stale = desk.rows()
        original(self, object_id, rows)
        if not raced.is_set():
            raced.set()
            body = {"keyCredentials": [*stale, foreign("quicker")]}
            desk.api.patch(f"/v1.0/applications/{object_id}", json=body).raise_for_status()

    monkeypatch.setattr(Graph, "set_key_credentials", beaten)
    desk.run(now=True)
    assert raced.is_set()
    assert desk.listed() == ["Mail certificate A", "Mail certificate B", "quicker"]
    assert desk.works(value_in(desk.sinks[0]))


# Places


def test_a_file_that_holds_something_else_is_never_overwritten(desk: Desk, tmp_path: Path) -> None:
    made = certificate.make("x", start=datetime.now(UTC), end=datetime.now(UTC) + timedelta(days=1)).pem
    assert certificate.is_ours(made)
    theirs = made.replace("-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----")
    for number, text in enumerate((theirs, f"{made}\n{made}", "-----BEGIN PRIVATE KEY-----\n-----BEGIN x", "a b")):
        file = tmp_path / f"taken-{number}"
        file.write_text(text)
        file.chmod(0o600)
        desk.sinks = [open_sink(f"file:{file}", kind="certificate")]
        with pytest.raises(WouldOverwrite):
            desk.run()
        assert file.read_text() == text
    assert desk.rows() == []


def test_a_file_with_a_client_secret_takes_no_certificate(desk: Desk, tmp_path: Path) -> None:
    sink = open_sink(f"file:{tmp_path}/secret")
    sink.write(Delivery("t", "c", "k", datetime.now(UTC), "abcdefghijklmnopqrstuvwxyz"))
    desk.sinks = [sink]
    with pytest.raises(NotDelivered, match="holds a client secret, and is not overwritten"):
        desk.run()
    assert value_in(sink) == "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "address", ["envfile:/srv/mail.env", "stdout:plain", "keyring:a/b", "webhook:https://a/b", "gitlab:a/b#C"]
)
def test_a_sink_that_cannot_hold_a_certificate_says_so(address: str) -> None:
    with pytest.raises(InvalidInput, match=r"cannot hold a certificate: .*\. Name one of the kinds file, github"):
        open_sink(address, {}, kind="certificate")


def test_neither_the_journal_nor_graph_ever_gets_the_private_key(desk: Desk, sandbox: Sandbox, tmp_path: Path) -> None:
    desk.run()
    pem = value_in(desk.sinks[0])
    private = pem.split("-----")[2].strip().splitlines()[3]
    state = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
    assert private.encode() not in state
    shown = desk.api.get(f"/v1.0/applications/{desk.object_id}?$select=keyCredentials").text
    assert "".join(private.split()) not in shown
    assert private not in repr(desk.slots()) + repr(certificate.KeyPair(pem, "", ""))


def test_a_certificate_that_is_not_registered_proves_nothing(desk: Desk) -> None:
    other = certificate.make(desk.client_id, start=datetime.now(UTC), end=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(SignInFailed, match="new certificate does not work after 1 seconds"):
        prove_certificate(
            desk.endpoints, tenant_id=desk.tenant.tenant_id, client_id=desk.client_id, pem=other.pem, seconds=1
        )
