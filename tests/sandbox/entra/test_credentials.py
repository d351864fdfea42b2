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
