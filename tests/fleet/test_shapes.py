"""A row and an outcome travel to a worker and back as JSON, and a row's fingerprint is its settings, not its place."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from provision.errors import NotPermitted
from provision.fleet.outcome import Failure, Finding, Outcome
from provision.fleet.tenant import CredentialReference, Tenant

ROW = Tenant(
    "contoso",
    "contoso.onmicrosoft.com",
    company_code="ACME",
    credential=CredentialReference("partner", "client-secret", secret="env:PARTNER_SECRET"),
    mailboxes=("anna@contoso.com",),
    sinks=("envfile:/srv/tms/contoso.env",),
    groups=("north",),
    settings={"secretMonths": "12"},
    line=7,
)


def test_a_row_comes_back_whole_from_a_worker() -> None:
    assert Tenant.of_document(json.loads(json.dumps(ROW.document()))) == ROW


def test_a_row_asks_for_the_settings_of_its_stack() -> None:
    asked = ROW.configuration()
    assert asked["office365-mail:companyCode"] == "ACME"
    assert asked["office365-mail:secretInState"] == "false"
    assert asked["office365-mail:secretMonths"] == "12"
    assert "azuread:metadataHost" not in asked


def test_only_the_settings_make_the_fingerprint() -> None:
    assert replace(ROW, line=99, groups=("south",)).fingerprint() == ROW.fingerprint()
    assert replace(ROW, company_code="Acme").fingerprint() != ROW.fingerprint()


def test_an_outcome_comes_back_whole_from_a_worker() -> None:
    outcome = Outcome(
        "contoso",
        "audit",
        "failed",
        findings=(Finding("redirect-uri", "error", "The redirect URI is another."),),
        failure=Failure.of(NotPermitted("May not.", remedy="Ask.")),
        notes=("one",),
        changes=Counter(["create", "create"]),
    )
    assert Outcome.of_document(json.loads(json.dumps(outcome.document()))) == outcome
