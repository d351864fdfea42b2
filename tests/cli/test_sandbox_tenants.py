"""Tenants by the thousand from the command line: as lines, a list, a table, or a fleet file that holds no secret."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import yaml

from provision.cli import run
from provision.fleet.credentials import environment_for
from provision.fleet.tenant import CredentialReference, Tenant
from provision.microsoft.credentials import sign_in
from provision.sandbox import Sandbox
from provision.settings import credential
from provision.settings.endpoints import Endpoints


def test_lines_a_list_and_a_table(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    create = ["sandbox", "tenants", "create", "--dir", str(sandbox.directory), "--count", "2", "--prefix", "shapes"]
    assert run(create) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["domain"] for line in lines] == ["shapes-0001.onmicrosoft.com", "shapes-0002.onmicrosoft.com"]
    assert run([*create, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert run([*create, "--table"]) == 0
    shown = capsys.readouterr().out
    assert "shapes-0005.onmicrosoft.com" in shown
    assert not [row for row in sandbox.control.ask("GET", "tenants") if row["admin_client_secret"] in shown]


def test_a_fleet_file_names_where_the_secrets_are_and_signs_in(
    sandbox: Sandbox, endpoints: Endpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tenants.yaml"
    create = ["sandbox", "tenants", "create", "--dir", str(sandbox.directory), "--count", "3", "--prefix", "fleet"]
    assert run([*create, "--fleet-file", str(file)]) == 0
    secrets = {path.name: path.read_text() for path in (tmp_path / "tenants.secrets").iterdir()}
    assert not [secret for secret in secrets.values() if secret in file.read_text() + capsys.readouterr().out]
    assert stat.S_IMODE((tmp_path / "tenants.secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tenants.secrets").iterdir()} == {0o600}
    written = yaml.safe_load(file.read_text())
    assert written["credentials"]["own"]["secret"] == f"file:{tmp_path}/tenants.secrets/{{key}}"
    assert [row["key"] for row in written["tenants"]] == ["fleet-0001", "fleet-0002", "fleet-0003"]
    row = written["tenants"][1]
    own = written["credentials"]["own"] | written["credentials"][row["credential"]]
    reference = CredentialReference(row["credential"], own["method"], client_id=own["clientId"], secret=own["secret"])
    with environment_for(Tenant(row["key"], row["tenant"], credential=reference), {}) as variables:
        _, caller = sign_in(credential.read(environ=variables), endpoints)
    assert caller.tenant_id == row["tenant"]
    before = sandbox.status()["tenants"]
    assert run([*create, "--fleet-file", str(file)]) == 11
    assert sandbox.status()["tenants"] == before, "refused before anything was made"


def test_a_partners_fleet_file_has_one_credential_for_all(
    sandbox: Sandbox, endpoints: Endpoints, tmp_path: Path
) -> None:
    file = tmp_path / "customers.yaml"
    create = ["sandbox", "tenants", "create", "--dir", str(sandbox.directory), "--count", "2", "--prefix", "partnered"]
    assert run([*create, "--partner", "--fleet-file", str(file)]) == 0
    written = yaml.safe_load(file.read_text())
    assert list(written["credentials"]) == ["partner"]
    assert [path.name for path in (tmp_path / "customers.secrets").iterdir()] == ["partner"]
    own = written["credentials"]["partner"]
    reference = CredentialReference("partner", own["method"], client_id=own["clientId"], secret=own["secret"])
    for row in written["tenants"]:
        with environment_for(Tenant(row["key"], row["tenant"], credential=reference), {}) as variables:
            _, caller = sign_in(credential.read(environ=variables), endpoints)
        assert (caller.tenant_id, caller.app_id) == (row["tenant"], sandbox.partner().client_id)


def test_tenants_are_listed_and_deleted(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--dir", str(sandbox.directory)]
    tenant = sandbox.new_tenant()
    assert run(["sandbox", "tenants", "delete", tenant.domain, *where]) == 0
    assert run(["sandbox", "tenants", "list", *where]) == 0
    shown = capsys.readouterr().out
    assert f"{sandbox.tenant_id}  {sandbox.domain}" in shown
    assert tenant.tenant_id not in shown
    assert run(["sandbox", "tenants", "delete", tenant.domain, *where]) == 3
    assert "there is no tenant" in capsys.readouterr().err.lower()


@pytest.mark.parametrize("options", [["--count", "0"], ["--prefix", "a b"], ["--fleet-file", "/nowhere/tenants.yaml"]])
def test_what_cannot_be_made_is_one_sentence(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["sandbox", "tenants", "create", *options, "--dir", str(sandbox.directory)]) == 3
    assert len(capsys.readouterr().err.splitlines()) <= 2
