"""Microsoft's own client libraries, unmodified, sign in to the local tenant."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import msal
import pytest
from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    DeviceCodeCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from entra_tenant import REDIRECT, App, Entra, answered

from provision.sandbox import Sandbox, Tenant

pytestmark = pytest.mark.usefixtures("trusting")
GRAPH_SCOPE = "https://graph.microsoft.com/.default"


@pytest.fixture
def options(sandbox: Sandbox) -> dict[str, Any]:
    return {"authority": sandbox.base_url, "disable_instance_discovery": True}


def test_client_secret(tenant: Tenant, options: dict[str, Any]) -> None:
    credential = ClientSecretCredential(tenant.tenant_id, tenant.admin_client_id, tenant.admin_client_secret, **options)
    assert credential.get_token(GRAPH_SCOPE).token.count(".") == 2


def test_a_token_for_azure_key_vault(tenant: Tenant, options: dict[str, Any]) -> None:
    """What azure-keyvault-secrets asks for when a vault challenges it."""
    credential = ClientSecretCredential(tenant.tenant_id, tenant.admin_client_id, tenant.admin_client_secret, **options)
    token = credential.get_token("https://vault.azure.net/.default").token
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["aud"], claims["iss"]) == ("https://vault.azure.net", f"https://sts.windows.net/{tenant.tenant_id}/")


def certificate(directory: Path, *, days: int = 30) -> tuple[Path, bytes]:
    """A self-signed certificate: the PEM file with its key, and its DER."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=60))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(serialization.Encoding.PEM)
    path = directory / "certificate.pem"
    path.write_bytes(pem)
    return path, made.public_bytes(serialization.Encoding.DER)


def test_certificate(entra: Entra, app: App, options: dict[str, Any], tmp_path: Path) -> None:
    path, der = certificate(tmp_path)
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.b64encode(der).decode()}
    entra.graph("PATCH", f"/applications/{app.object_id}", {"keyCredentials": [key]})
    credential = CertificateCredential(entra.tenant.tenant_id, app.client_id, str(path), **options)
    assert credential.get_token(GRAPH_SCOPE).token


def test_certificate_as_the_azure_cli_uploads_it(
    entra: Entra, app: App, options: dict[str, Any], tmp_path: Path
) -> None:
    """``az ad app credential reset --create-cert`` sends the body of a PEM file, its line breaks included."""
    path, der = certificate(tmp_path)
    pem = x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM).decode()
    body = "\n".join(line for line in pem.splitlines() if not line.startswith("-----"))
    assert "\n" in body
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": body}
    entra.graph("PATCH", f"/applications/{app.object_id}", {"keyCredentials": [key]})
    credential = CertificateCredential(entra.tenant.tenant_id, app.client_id, str(path), **options)
    assert credential.get_token(GRAPH_SCOPE).token


def test_certificate_that_is_not_registered(entra: Entra, app: App, options: dict[str, Any], tmp_path: Path) -> None:
    path, _ = certificate(tmp_path)
    credential = CertificateCredential(entra.tenant.tenant_id, app.client_id, str(path), **options)
    with pytest.raises(Exception, match="AADSTS700027"):
        credential.get_token(GRAPH_SCOPE)


@pytest.mark.parametrize("provider", ["github", "gitlab", "azure-devops"])
def test_federated_credential_of_a_ci(
    entra: Entra, app: App, sandbox: Sandbox, options: dict[str, Any], provider: str
) -> None:
    """No secret anywhere: the CI's token is the proof."""
    trust = {
        "name": "ci-main",
        "issuer": f"{sandbox.base_url}/_oidc/{provider}",
        "subject": "repo:contoso/mail:ref:refs/heads/main",
        "audiences": ["api://AzureADTokenExchange"],
    }
    entra.graph("POST", f"/applications/{app.object_id}/federatedIdentityCredentials", trust)

    def ci_token() -> str:
        return sandbox.ci_token(provider, trust["subject"])  # type: ignore[arg-type]

    credential = ClientAssertionCredential(entra.tenant.tenant_id, app.client_id, ci_token, **options)
    assert credential.get_token(GRAPH_SCOPE).token


def approve(
    entra: Entra, uri: str, user_code: str, *, alias: str = "admin", choice: str = "continue"
) -> httpx.Response:
    """What the person does on the page."""
    page = entra.http.get(uri, params={"otc": user_code})
    confirm = entra.sign_in(page, "admin")
    return entra.submit(confirm, choice=choice)


def test_device_code_of_the_azure_cli(entra: Entra, options: dict[str, Any]) -> None:
    """Microsoft's own public client, known in every tenant, its permissions granted beforehand."""
    azure_cli = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

    def prompt(uri: str, user_code: str, expires: datetime) -> None:
        assert "You have signed in" in approve(entra, uri, user_code).text

    credential = DeviceCodeCredential(azure_cli, tenant_id=entra.tenant.tenant_id, prompt_callback=prompt, **options)
    token = credential.get_token(GRAPH_SCOPE).token
    applications = entra.http.get("/v1.0/applications", headers={"Authorization": f"Bearer {token}"})
    assert applications.status_code == 200


def test_device_code_is_pending_then_declined(entra: Entra) -> None:
    form = {"client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "scope": "openid User.Read.All"}
    path = f"/{entra.tenant.tenant_id}/oauth2/v2.0/devicecode"
    flow = entra.http.post(path, data=form).json()
    poll = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": form["client_id"],
        "device_code": flow["device_code"],
    }
    assert entra.token(**poll).json()["error"] == "authorization_pending"
    approve(entra, flow["verification_uri"], flow["user_code"], choice="cancel")
    assert entra.token(**poll).json()["error_codes"] == [65004]


def forbid_device_codes(entra: Entra, by: str) -> None:
    """By Security Defaults, or by the Conditional Access policy that Microsoft recommends in their place."""
    if by == "security defaults":
        entra.graph("PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": True})
        return
    policy = {
        "displayName": "Block device code flow",
        "state": "enabled",
        "conditions": {
            "clientAppTypes": ["all"],
            "applications": {"includeApplications": ["All"]},
            "users": {"includeUsers": ["All"]},
            "authenticationFlows": {"transferMethods": "deviceCodeFlow,authenticationTransfer"},
        },
        "grantControls": {"operator": "OR", "builtInControls": ["block"]},
    }
    entra.graph("POST", "/identity/conditionalAccess/policies", policy)


@pytest.mark.parametrize(("by", "code"), [("security defaults", 530035), ("conditional access", 53003)])
def test_a_tenant_that_forbids_device_codes_lets_the_browser_in(entra: Entra, app: App, by: str, code: int) -> None:
    """An attacker may have sent the code; who signs in at the client itself is not stopped."""
    forbid_device_codes(entra, by)
    form = {"client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46", "scope": "openid User.Read.All"}
    flow = entra.http.post(f"/{entra.tenant.tenant_id}/oauth2/v2.0/devicecode", data=form).json()
    page = entra.http.get(flow["verification_uri"], params={"otc": flow["user_code"]})
    refused = entra.sign_in(page, "admin")
    assert f"AADSTS{code}" in refused.text
    poll = {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": flow["device_code"]}
    assert entra.token(client_id=form["client_id"], **poll).json()["error"] == "authorization_pending"
    at_the_client = entra.authorize(app)
    if by == "security defaults":
        at_the_client = entra.submit(at_the_client, otc="123456")
    assert answered(at_the_client)["code"]


@pytest.fixture
def confidential(entra: Entra, app: App) -> Callable[[], msal.ConfidentialClientApplication]:
    authority = f"{entra.sandbox.base_url}/{entra.tenant.tenant_id}"
    return lambda: msal.ConfidentialClientApplication(
        app.client_id, client_credential=app.secret, authority=authority, instance_discovery=False
    )


def test_msal_authorization_code_with_pkce_nonce_and_silent_refresh(
    entra: Entra, confidential: Callable[[], msal.ConfidentialClientApplication]
) -> None:
    """MSAL checks state, nonce and the ID token itself, and keeps the account from client_info."""
    client = confidential()
    flow = client.initiate_auth_code_flow(["Mail.Send"], redirect_uri=REDIRECT)
    back = answered(entra.sign_in(entra.http.get(flow["auth_uri"])))
    result = client.acquire_token_by_auth_code_flow(flow, back)
    assert "access_token" in result, result
    assert result["id_token_claims"]["preferred_username"] == entra.upn("ada")
    (account,) = client.get_accounts()
    assert account["username"] == entra.upn("ada")
    renewed = client.acquire_token_silent(["Mail.Send"], account, force_refresh=True)
    assert renewed and renewed["access_token"] != result["access_token"]


def test_msal_on_behalf_of(entra: Entra) -> None:
    """An API that got a user's token asks Graph for the same user."""
    api = entra.register()
    scope = {
        "id": "5f3d5c4e-7c0a-4c0d-9a55-0d6a1f3b7c11",
        "value": "access",
        "type": "User",
        "isEnabled": True,
        "adminConsentDisplayName": "Access",
        "adminConsentDescription": "Access",
    }
    uri = f"api://{api.client_id}"
    entra.graph(
        "PATCH", f"/applications/{api.object_id}", {"identifierUris": [uri], "api": {"oauth2PermissionScopes": [scope]}}
    )
    entra.consent(api)
    web = entra.register()
    page = entra.sign_in(entra.authorize(web, scope=f"openid {uri}/access"), "admin")
    code = answered(entra.submit(page, choice="accept", organization="1"))["code"]
    token = entra.redeem(web, code).json()["access_token"]
    client = msal.ConfidentialClientApplication(
        api.client_id,
        client_credential=api.secret,
        authority=f"{entra.sandbox.base_url}/{entra.tenant.tenant_id}",
        instance_discovery=False,
    )
    result = client.acquire_token_on_behalf_of(token, ["https://graph.microsoft.com/User.Read"])
    assert "access_token" in result, result
