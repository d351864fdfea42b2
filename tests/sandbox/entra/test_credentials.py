"""Proofs of a client, judged by the tenant's clock and replication."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.credentials import ClientProof, basic_credentials
from provision.sandbox.entra.errors import EntraError
from provision.sandbox.keys import SigningKeys
from provision.sandbox.oidc_issuer import OidcIssuer
from provision.sandbox.replicas import Replicas

SECRET = "s" * 40


@pytest.fixture
def proof(tmp_path: Path) -> tuple[Directory, ClientProof]:
    directory = Directory(tmp_path / "store.sqlite")
    keys = SigningKeys.load(tmp_path / "key.pem")
    issuer = OidcIssuer("https://localhost:1", keys, directory.clock)
    return directory, ClientProof(directory, issuer, frozenset())


def client(**credential: object) -> Client:
    stored = {
        "keyId": "k",
        "_hash": hashing.hash_secret(SECRET),
        "_createdAt": 0.0,
        "endDateTime": "2999-01-01T00:00:00Z",
    }
    application: Document = {"id": "1", "passwordCredentials": [{**stored, **credential}]}
    return Client("app", "Mail", application, "tenant")


def test_new_secret_is_unknown_until_it_has_replicated(proof: tuple[Directory, ClientProof]) -> None:
    """Rotation must try a new secret again, not believe the first refusal."""
    directory, judge = proof
    directory.replication_delay = 30
    now = directory.clock.now()
    with pytest.raises(EntraError) as refused:
        judge.check(client(_createdAt=now), None, {"client_secret": SECRET}, None)
    assert refused.value.code == 7000215
    judge.check(client(_createdAt=now - 31), None, {"client_secret": SECRET}, None)


def judged(directory: Directory, judge: ClientProof, client: Client, requests: int = 60) -> list[bool]:
    """Which of some requests are accepted; each comes to a server of its own, as a new one at the token endpoint."""
    accepted = []
    for _ in range(requests):
        again = ClientProof(directory, judge._issuer, frozenset())
        try:
            again.check(client, None, {"client_secret": SECRET}, None)
        except EntraError as refused:
            assert refused.code == 7000215
        accepted.append(again.used is not None)
    return accepted


def test_one_server_knows_a_new_secret_and_the_next_does_not(proof: tuple[Directory, ClientProof]) -> None:
    directory, judge = proof
    directory.replication_delay = 30
    now = directory.clock.now()
    seen = []
    for _ in range(2):
        directory.replicas = Replicas(4, seed=3)
        assert not any(judged(directory, judge, client(_createdAt=now)))
        seen.append(judged(directory, judge, client(_createdAt=now - 29)))
        assert all(judged(directory, judge, client(_createdAt=now - 31)))
    assert seen[0] == seen[1], "the seed repeats it"
    assert set(seen[0]) == {True, False}, "the slowest server takes the whole delay"


def test_a_removed_secret_is_forgotten_server_by_server(proof: tuple[Directory, ClientProof]) -> None:
    directory, judge = proof
    directory.replication_delay = 30
    directory.replicas = Replicas(4, seed=3)
    now = directory.clock.now()

    def removed(seconds: float) -> Client:
        (row,) = (client().application or {})["passwordCredentials"]
        gone = {"id": "1", "_removed.passwordCredentials": [{**row, "_removedAt": now - seconds}]}
        return Client("app", "Mail", gone, "tenant")

    assert all(judged(directory, judge, removed(0)))
    assert set(judged(directory, judge, removed(29))) == {True, False}
    assert not any(judged(directory, judge, removed(31)))


def test_secret_is_good_between_its_start_and_end(proof: tuple[Directory, ClientProof]) -> None:
    _, judge = proof
    judge.check(client(), None, {}, SECRET)
    for window, code in (
        ({"endDateTime": "2020-01-01T00:00:00Z"}, 7000222),
        ({"startDateTime": "2998-01-01T00:00:00Z"}, 7000215),
    ):
        with pytest.raises(EntraError) as refused:
            judge.check(client(**window), None, {"client_secret": SECRET}, None)
        assert refused.value.code == code
        assert SECRET not in str(refused.value)


def test_basic_header_is_decoded_as_rfc_6749_says() -> None:
    assert basic_credentials("Basic YSUyRmI6YyUzRGQ=") == ("a/b", "c=d")
    assert basic_credentials("Bearer x") == (None, None)
    assert basic_credentials(None) == (None, None)
