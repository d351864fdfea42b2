"""A partner's customers become rows: by Microsoft Graph, with the one permission that it takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from provision.cli import run
from provision.fleet.source import read_fleet
from provision.sandbox import Sandbox, Tenant

READ_ALL = "f6e9e124-4586-492f-adc0-c6f96e4823fd"
"""The application role DelegatedAdminRelationship.Read.All ("Microsoft Graph permissions reference")."""


@pytest.fixture
def sign_in(
    sandbox: Sandbox, tenant: Tenant, api: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str | None], None]:
    """Signs in to the partner's tenant as an application with one role of Microsoft Graph, or none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(sandbox.ca_file))
    monkeypatch.setenv("ARM_METADATA_HOSTNAME", sandbox.base_url.removeprefix("https://"))
    monkeypatch.setenv("ARM_TENANT_ID", tenant.tenant_id)

    def made(path: str, body: dict[str, str]) -> dict[str, str]:
        return dict(api.post(f"/v1.0{path}", json=body).raise_for_status().json())

    def as_application(role: str | None) -> None:
        application = made("/applications", {"displayName": "Partner"})
        principal = made("/servicePrincipals", {"appId": application["appId"]})
        if role is not None:
            found = api.get("/v1.0/servicePrincipals?$filter=appId eq '00000003-0000-0000-c000-000000000000'").json()
            body = {"principalId": principal["id"], "resourceId": found["value"][0]["id"], "appRoleId": role}
            made(f"/servicePrincipals/{principal['id']}/appRoleAssignments", body)
        monkeypatch.setenv("ARM_CLIENT_ID", application["appId"])
        monkeypatch.setenv(
            "ARM_CLIENT_SECRET", made(f"/applications/{application['id']}/addPassword", {})["secretText"]
        )

    return as_application


def test_every_customer_becomes_a_row_that_waits_for_its_code(
    sandbox: Sandbox, tenant: Tenant, sign_in: Callable[[str | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    customers = sandbox.new_tenants(305, "customer-of-partner")
    sandbox.set_customers(tenant, *customers)
    sign_in(READ_ALL)
    assert run(["fleet", "init", "--name", "msp"]) == 0
    assert run(["fleet", "import", "--gdap"]) == 0
    assert "305 added" in capsys.readouterr().out, "more than one page of 300"
    assert run(["fleet", "validate", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["good"], len(told["problems"])) == (0, 305)
    file = Path("tenants.yaml")
    text = file.read_text()
    assert all(f"tenant: '{one.tenant_id}'" in text or f"tenant: {one.tenant_id}" in text for one in customers)
    file.write_text(text.replace("companyCode:\n", "companyCode: ACME\n", 1))
    assert len(read_fleet(file).tenants) == 1
    assert run(["fleet", "import", "--gdap"]) == 0
    assert "0 added" in capsys.readouterr().out


def test_without_the_permission_it_is_named_and_nothing_is_written(
    sandbox: Sandbox, tenant: Tenant, sign_in: Callable[[str | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.set_customers(tenant, sandbox.new_tenant())
    sign_in(None)
    assert run(["fleet", "init", "--name", "msp"]) == 0
    before = Path("tenants.yaml").read_text()
    assert run(["fleet", "import", "--gdap"]) == 5
    assert "DelegatedAdminRelationship.Read.All" in capsys.readouterr().err
    assert Path("tenants.yaml").read_text() == before
