"""Signing in by each method against the local tenant; every failure is one sentence and the right kind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from provision.errors import InvalidInput, SignInFailed, Unreachable
from provision.microsoft.credentials import sign_in, tenant_id_of
from provision.sandbox import Sandbox, Tenant
from provision.settings import credential
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, read_metadata

ROOT = Path(__file__).parents[2]


def by_secret(tenant: Tenant, **changes: str) -> CredentialSetting:
    environ = {
        "ARM_TENANT_ID": tenant.tenant_id,
        "ARM_CLIENT_ID": tenant.admin_client_id,
        "ARM_CLIENT_SECRET": tenant.admin_client_secret,
    }
    return credential.read(environ={**environ, **changes})


def test_a_client_secret(tenant: Tenant, endpoints: Endpoints) -> None:
    _, caller = sign_in(by_secret(tenant), endpoints)
    assert (caller.kind, caller.tenant_id, caller.app_id) == ("app", tenant.tenant_id, tenant.admin_client_id)
    assert "Application.ReadWrite.All" in caller.roles


def test_a_domain_names_the_tenant_too(tenant: Tenant, endpoints: Endpoints) -> None:
    assert tenant_id_of(tenant.domain, endpoints) == tenant.tenant_id
    _, caller = sign_in(by_secret(tenant, ARM_TENANT_ID=tenant.domain), endpoints)
    assert caller.tenant_id == tenant.tenant_id


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ARM_CLIENT_SECRET": "wrong"}, "AADSTS7000215"),
        ({"ARM_CLIENT_ID": "00000000-1111-2222-3333-444444444444"}, "AADSTS700016"),
        ({"ARM_TENANT_ID": "00000000-1111-2222-3333-444444444444"}, "no such tenant"),
        ({"ARM_TENANT_ID": "nobody.example"}, "no such tenant"),
    ],
)
def test_each_wrong_value_is_told_apart(
    tenant: Tenant, endpoints: Endpoints, changes: dict[str, str], says: str
) -> None:
    with pytest.raises(SignInFailed) as refused:
        sign_in(by_secret(tenant, **changes), endpoints)
    assert says in refused.value.message
    assert tenant.admin_client_secret not in str(refused.value)


def test_an_unknown_domain_is_no_tenant(endpoints: Endpoints) -> None:
    with pytest.raises(SignInFailed, match=r"nobody\.example"):
        tenant_id_of("nobody.example", endpoints)


def test_an_authority_that_is_not_trusted(sandbox: Sandbox, tenant: Tenant, endpoints: Endpoints) -> None:
    host = sandbox.base_url.removeprefix("https://")
    with pytest.raises(Unreachable, match="not trusted"):
        read_metadata(host, ca_file=None, environ={"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"})
    distrusting = Endpoints(
        endpoints.login, endpoints.graph, endpoints.resource_manager, endpoints.name, metadata_host=host,
        ca_file="/etc/ssl/certs/ca-certificates.crt",
    )  # fmt: skip
    with pytest.raises(Unreachable, match="not trusted"):
        sign_in(by_secret(tenant), distrusting)


def test_the_tenant_of_the_token_must_be_the_intended_one(
    sandbox: Sandbox, tenant: Tenant, endpoints: Endpoints
) -> None:
    from provision.microsoft.credentials import require_tenant

    other = sandbox.new_tenant()
    _, caller = sign_in(by_secret(tenant), endpoints)
    with pytest.raises(SignInFailed) as refused:
        require_tenant(caller, other.domain, endpoints)
    assert tenant.tenant_id in refused.value.message
    assert other.tenant_id in refused.value.message


def test_a_pipelines_token_in_place_of_a_secret(
    sandbox: Sandbox, tenant: Tenant, endpoints: Endpoints, api: httpx.Client, tmp_path: Path
) -> None:
    subject = "repo:acme/mail:ref:refs/heads/main"
    token = sandbox.ci_token("github", subject)
    (app,) = api.get(f"/v1.0/applications?$filter=appId eq '{tenant.admin_client_id}'").json()["value"]
    trust = {
        "name": "ci-main",
        "issuer": _issuer(token),
        "subject": subject,
        "audiences": ["api://AzureADTokenExchange"],
    }
    answer = api.post(f"/v1.0/applications/{app['id']}/federatedIdentityCredentials", json=trust)
    assert answer.status_code == 201, answer.text
    answer.raise_for_status()
    file = tmp_path / "token"
    environ = {
        "ARM_TENANT_ID": tenant.tenant_id,
        "ARM_CLIENT_ID": tenant.admin_client_id,
        "AZURE_FEDERATED_TOKEN_FILE": str(file),
    }
    file.write_text(token)
    _, caller = sign_in(credential.read(environ=environ), endpoints)
    assert caller.app_id == tenant.admin_client_id
    file.write_text(sandbox.ci_token("github", subject.replace("main", "Main")))
    with pytest.raises(SignInFailed, match="federated credential"):
        sign_in(credential.read(environ=environ), endpoints)
    file.unlink()
    with pytest.raises(SignInFailed, match="cannot be read"):
        sign_in(credential.read(environ=environ), endpoints)


def _issuer(token: str) -> str:
    import base64

    payload = token.split(".")[1]
    issuer: str = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iss"]
    return issuer


def test_a_certificate_that_cannot_be_opened(tenant: Tenant, endpoints: Endpoints, tmp_path: Path) -> None:
    file = tmp_path / "app.pfx"
    file.write_bytes(b"not a certificate")
    environ = {
        "ARM_TENANT_ID": tenant.tenant_id,
        "ARM_CLIENT_ID": tenant.admin_client_id,
        "ARM_CLIENT_CERTIFICATE_PATH": str(file),
    }
    with pytest.raises((SignInFailed, InvalidInput)) as refused:
        sign_in(credential.read(environ=environ), endpoints)
    assert refused.value.remedy


def test_a_failed_sign_in_says_nothing_on_its_own(tenant: Tenant, endpoints: Endpoints, tmp_path: Path) -> None:
    """azure-identity logs a page of text for each failure; without a handler it would end up on the screen."""
    program = tmp_path / "sign_in.py"
    program.write_text(
        "import sys\n"
        "from provision.microsoft.credentials import sign_in\n"
        "from provision.settings import credential\n"
        "from provision.settings.endpoints import read_metadata\n"
        "from provision.errors import SignInFailed\n"
        "try:\n"
        "    sign_in(credential.read(), read_metadata(sys.argv[1], ca_file=sys.argv[2]))\n"
        "except SignInFailed as error:\n"
        "    print(error.message)\n"
    )
    environ = {
        "ARM_TENANT_ID": tenant.tenant_id,
        "ARM_CLIENT_ID": tenant.admin_client_id,
        "ARM_CLIENT_SECRET": "wrong",
        "PATH": "/bin",
    }
    ca_file = endpoints.ca_file or ""
    command = [sys.executable, str(program), endpoints.metadata_host or "", ca_file]
    said = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "AADSTS7000215" in said.stdout
    assert said.stderr == ""
