"""Certificates of a registration as Graph lists them: when they end, and never their data."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from provision.microsoft.graph import Graph


def certificate(days: int) -> dict[str, Any]:
    """A ``keyCredential`` that ends in some days, as a request sends it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    der = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    return {"type": "AsymmetricX509Cert", "usage": "Verify", "key": der, "displayName": "mail 2026"}


def test_certificates_are_read_where_they_are_asked_for(graph: Graph, api: httpx.Client) -> None:
    sent = certificate(90)
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
