"""Certificates of a registration as Graph lists them: when they end, and never their data."""

from __future__ import annotations

import base64
import time
import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from trial import foreign_certificate

from provision.errors import PolicyRefuses, Unreachable
from provision.microsoft import certificates
from provision.microsoft.graph import Graph
from provision.sandbox import Sandbox


def test_certificates_are_read_where_they_are_asked_for(graph: Graph, api: httpx.Client) -> None:
    sent = foreign_certificate("mail 2026", days=90)
    body = {"displayName": "Mail", "tags": ["t:1"], "keyCredentials": [sent]}
    made = api.post("/v1.0/applications", json=body).raise_for_status().json()
    by_id = graph.application(made["id"], with_certificates=True)
    assert by_id is not None
    (one,) = by_id.certificates
    assert (one.display_name, one.key_id) == ("mail 2026", made["keyCredentials"][0]["keyId"])
    assert one.start is not None
    assert one.end is not None
    assert one.end - one.start == timedelta(days=91)
    assert sent["key"] not in repr(by_id)
    assert graph.application_by_app_id(made["appId"], with_certificates=True) == by_id
    assert graph.applications_by_tag("t:1", with_certificates=True) == [by_id]
    without = graph.application(made["id"])
    assert without is not None
    assert without.certificates == ()


def complete(name: str) -> dict[str, Any]:
    """A ``keyCredential`` under a key id of one's own, with everything that Graph would fill in."""
    made = foreign_certificate("mail 2026", days=90)
    parsed = x509.load_der_x509_certificate(base64.b64decode(made["key"]))
    return {
        **made,
        "displayName": name,
        "keyId": str(uuid.uuid4()),
        "customKeyIdentifier": base64.b64encode(parsed.fingerprint(hashes.SHA1())).decode(),
        "startDateTime": parsed.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "endDateTime": parsed.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def names(api: httpx.Client, object_id: str) -> list[str]:
    return sorted(row["displayName"] for row in api.get(f"/v1.0/applications/{object_id}").json()["keyCredentials"])


def test_one_is_added_and_removed_and_the_others_stay_as_they_are(graph: Graph, api: httpx.Client) -> None:
    body = {"displayName": "Mail", "keyCredentials": [foreign_certificate("mail 2026", days=90)]}
    made = api.post("/v1.0/applications", json=body).raise_for_status().json()
    theirs = api.get(f"/v1.0/applications/{made['id']}").json()["keyCredentials"]
    ours = complete("ours")
    for _ in range(2):
        graph.change_certificates(made["id"], add=ours)
        assert names(api, made["id"]) == ["mail 2026", "ours"]
    for _ in range(2):
        graph.change_certificates(made["id"], remove=[ours["keyId"].upper()])
        assert api.get(f"/v1.0/applications/{made['id']}").json()["keyCredentials"] == theirs


def test_a_list_is_not_written_before_it_shows_what_is_known_to_be_there(
    graph: Graph, api: httpx.Client, sandbox: Sandbox
) -> None:
    made = api.post("/v1.0/applications", json={"displayName": "Mail"}).raise_for_status().json()
    path = f"/v1.0/applications/{made['id']}"
    time.sleep(1.6)  # the application itself is everywhere
    theirs, ours = complete("theirs"), complete("ours")
    sandbox.set_faults(replication_delay=1.5)
    try:
        api.patch(path, json={"keyCredentials": [theirs]}).raise_for_status()
        assert names(api, made["id"]) == []
        graph.change_certificates(made["id"], add=ours, expected=[theirs["keyId"]])
    finally:
        sandbox.clear_faults()
    assert names(api, made["id"]) == ["ours", "theirs"]


def test_what_somebody_took_away_is_not_waited_for_without_end(graph: Graph, api: httpx.Client) -> None:
    made = api.post("/v1.0/applications", json={"displayName": "Mail"}).raise_for_status().json()
    certificates.change(graph, made["id"], add=complete("ours"), expected=[str(uuid.uuid4())], patience=0.5)
    assert names(api, made["id"]) == ["ours"]


def test_a_change_that_never_holds_is_given_up(
    graph: Graph, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = api.post("/v1.0/applications", json={"displayName": "Mail"}).raise_for_status().json()
    original = Graph.set_key_credentials

    def undone(self: Graph, object_id: str, rows: list[dict[str, Any]]) -> None:
        original(self, object_id, rows)
        original(self, object_id, [])

    monkeypatch.setattr(Graph, "set_key_credentials", undone)
    with pytest.raises(Unreachable, match="others change them too"):
        certificates.change(graph, made["id"], add=complete("ours"), pause=lambda _: None)


def test_a_policy_that_caps_their_life_is_read_and_obeyed(graph: Graph, api: httpx.Client) -> None:
    made = api.post("/v1.0/applications", json={"displayName": "Mail"}).raise_for_status().json()
    rule = {"restrictionType": "asymmetricKeyLifetime", "maxLifetime": "P30D"}
    policy = {"isEnabled": True, "applicationRestrictions": {"keyCredentials": [rule]}}
    api.patch("/v1.0/policies/defaultAppManagementPolicy", json=policy).raise_for_status()
    assert graph.certificate_rules(made["id"]).max_lifetime == timedelta(days=30)
    assert graph.password_rules(made["id"]).max_lifetime is None
    with pytest.raises(PolicyRefuses):
        graph.change_certificates(made["id"], add=complete("ours"))
