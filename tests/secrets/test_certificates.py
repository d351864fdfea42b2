"""What is a certificate's own in its rotation: the key, the list that Graph takes as a whole, and its places.

What it shares with a client secret's is in ``test_rotation.py``; real kills are in ``make sweep``
(``rotate-certificate``).
"""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msal  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from desk import Desk, value_in
from entra_tenant import Entra
from trial import foreign_certificate

from provision.errors import InvalidInput, NotDelivered, SignInFailed, WouldOverwrite
from provision.journal.lease import Lease
from provision.microsoft.graph import Graph
from provision.microsoft.proof import prove
from provision.onboard.rotating import prover
from provision.sandbox import Sandbox, Tenant
from provision.secrets import certificate
from provision.secrets.due import Pace
from provision.secrets.record import Kind
from provision.secrets.sinks import Delivery, open_sink


@pytest.fixture
def kind() -> Kind:
    return "certificate"


def test_the_key_is_of_the_size_and_its_certificate_of_the_life_that_was_asked_for(desk: Desk, tmp_path: Path) -> None:
    desk.run()
    pem = value_in(desk.sinks[0])
    assert stat.S_IMODE((tmp_path / "first").stat().st_mode) == 0o600
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


def test_a_users_refresh_token_is_redeemed_with_the_key_before_it_goes_anywhere(
    http: httpx.Client,
    tenant: Tenant,
    sandbox: Sandbox,
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entra = Entra(http, tenant, sandbox)
    app = entra.register()
    entra.consent(app)
    file = tmp_path / "refresh-token"
    file.write_text(entra.tokens(app)["refresh_token"])
    file.chmod(0o600)
    ours = replace(desk, object_id=app.object_id, client_id=app.client_id)

    def proving() -> Callable[[str], object]:
        return prover(
            desk.endpoints,
            "certificate",
            tenant_id=tenant.tenant_id,
            client_id=app.client_id,
            scopes=("Mail.Send",),
            refresh_token_file=file,
        )

    ours.prove = proving()  # type: ignore[method-assign]
    assert ours.run().made is not None
    file.write_text("revoked")
    ours.prove = proving()  # type: ignore[method-assign]
    monkeypatch.setattr("provision.microsoft.proof.REFRESH_SECONDS", 0.5)
    before = value_in(ours.sinks[0])
    with pytest.raises(SignInFailed, match="new certificate with the user's refresh token does not work"):
        ours.run(now=True)
    assert value_in(ours.sinks[0]) == before


def test_secrets_and_certificates_share_a_journal_and_leave_each_other_alone(desk: Desk, tmp_path: Path) -> None:
    other = replace(desk, kind="secret", sinks=[open_sink(f"file:{tmp_path}/secret")])
    desk.run()
    ours = desk.record()
    other.run(now=True)
    assert desk.record() == ours
    desk.run(now=True)
    in_use = other.record().active
    assert in_use is not None
    assert in_use.key_id not in desk.record().secrets
    with Lease(desk.store, desk.key), pytest.raises(Exception, match="Another run is at work"):
        other.run(now=True)


# The list


def test_under_replication_the_list_is_not_written_before_it_shows_what_is_there(desk: Desk, sandbox: Sandbox) -> None:
    """A server that lags would have the newest certificate taken away by the next change of the list."""
    theirs = desk.add_foreign("their own")
    time.sleep(1.1)  # before the weather: no server forgets what it knew
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
            body = {"keyCredentials": [*stale, foreign_certificate("quicker")]}
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
        prove(
            desk.endpoints,
            "certificate",
            other.pem,
            tenant_id=desk.tenant.tenant_id,
            client_id=desk.client_id,
            seconds=1,
        )
