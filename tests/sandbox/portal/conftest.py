"""A seeded tenant with an app, secrets in every state, consent, mail and requests, behind the portal's routes."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from provision.sandbox import hashing, portal, published, seed
from provision.sandbox.directory import Directory
from provision.sandbox.faults import Weather
from provision.sandbox.graph import shapes
from provision.sandbox.keys import SigningKeys
from provision.sandbox.world import World

BASE_URL = "https://localhost:8443"
SECRETS = {"Gone": ("gone-secret-value", -3), "Ending": ("ending-secret-value", 12), "New": ("new-secret-value", 700)}
"""Name of a secret: its value, and the days until it ends."""
HTML_MAIL = "<h1>Hello</h1><script>document.title='owned'</script><img src=https://tracker.example/pixel>"


@dataclass
class Shown:
    """The portal and what stands behind it."""

    client: TestClient
    directory: Directory
    tenant: str
    seeded: seed.SeededTenant
    application: dict[str, Any]
    messages: dict[str, str]
    secrets: dict[str, tuple[str, int]] = field(default_factory=lambda: SECRETS)

    def get(self, path: str) -> str:
        """The text of a page of the tenant, which must exist."""
        response = self.client.get(f"/_portal/{self.tenant}/{path}")
        assert response.status_code == 200, path
        return response.text


def _password(directory: Directory, name: str) -> dict[str, Any]:
    value, days = SECRETS[name]
    now = time.time()
    return {
        "customKeyIdentifier": None,
        "displayName": name,
        "startDateTime": directory.clock.iso(now - 86400 * 9),
        "endDateTime": directory.clock.iso(now + 86400 * days + (60 if days > 0 else -60)),
        "hint": value[:3],
        "keyId": str(uuid.uuid4()),
        "secretText": None,
        "_hash": hashing.hash_secret(value),
        "_createdAt": 0.0,
    }


def mail_app(directory: Directory, tenant: str, owner: str) -> dict[str, Any]:
    """A mail app with one redirect per platform, asking for one permission more than was consented."""
    asked = ["Mail.Send", "User.Read", "Mail.ReadWrite"]
    document = shapes.complete(
        shapes.APPLICATION,
        {
            "appId": str(uuid.uuid4()),
            "displayName": "CLOUDEX TMS Email Integration",
            "createdDateTime": directory.clock.iso(),
            "signInAudience": "AzureADMyOrg",
            "web": {"redirectUris": ["https://my.cloudex.app/ACME/Services/Office365Callback.aspx"]},
            "spa": {"redirectUris": ["https://my.cloudex.app/ACME/spa"]},
            "requiredResourceAccess": [
                {
                    "resourceAppId": published.GRAPH_APP_ID,
                    "resourceAccess": [
                        {"id": published.scope_id(published.GRAPH_APP_ID, name), "type": "Scope"} for name in asked
                    ],
                }
            ],
            "passwordCredentials": [_password(directory, name) for name in SECRETS],
            "_owners": [owner],
        },
    )
    application = directory.insert(tenant, "application", document)
    principal = directory.insert(
        tenant,
        "servicePrincipal",
        shapes.service_principal_of(application, owner_tenant=tenant, values={}),
    )
    graph = directory.find(tenant, "servicePrincipal", appId=published.GRAPH_APP_ID)[0]
    directory.insert(
        tenant,
        "oauth2PermissionGrant",
        {
            "clientId": principal["id"],
            "consentType": "AllPrincipals",
            "principalId": None,
            "resourceId": graph["id"],
            "scope": "Mail.Send User.Read offline_access",
        },
    )
    directory.insert(
        tenant,
        "federatedIdentityCredential",
        {
            "_applicationId": application["id"],
            "name": "github-main",
            "issuer": "https://token.actions.githubusercontent.com",
            "subject": "repo:contoso/mail:ref:refs/heads/main",
            "audiences": ["api://AzureADTokenExchange"],
        },
    )
    return application


def _message(directory: Directory, tenant: str, user: dict[str, Any], subject: str, body: dict[str, str]) -> str:
    at = directory.clock.iso()
    mail = {"emailAddress": {"name": user["displayName"], "address": user["mail"]}}
    stored = directory.insert(
        tenant,
        "message",
        {
            "_userId": user["id"],
            "_folder": "inbox",
            "subject": subject,
            "body": body,
            "from": mail,
            "toRecipients": [mail, {"emailAddress": {"address": "office@contoso.example"}}],
            "receivedDateTime": at,
            "sentDateTime": at,
        },
    )
    return str(stored["id"])


@pytest.fixture
def shown(tmp_path: Path):
    """The portal over a full tenant."""
    directory = Directory(tmp_path / "tenants.sqlite")
    seeded = seed.create_tenant(directory, base_url=BASE_URL)
    tenant = seeded.tenant_id
    ada = directory.find(tenant, "user", userPrincipalName=f"ada@{seeded.domain}")[0]
    application = mail_app(directory, tenant, ada["id"])
    messages = {
        "text": _message(directory, tenant, ada, "Order <b>1</b>", {"contentType": "text", "content": "1 < 2 & so on"}),
        "html": _message(directory, tenant, ada, "Newsletter", {"contentType": "html", "content": HTML_MAIL}),
    }
    for n, (method, path, status, code, fault) in enumerate(
        [
            ("POST", f"/{tenant}/oauth2/v2.0/token", 200, None, None),
            ("POST", "/v1.0/me/sendMail", 202, None, None),
            ("GET", "/v1.0/applications?$filter=appId+eq+'x'", 429, "TooManyRequests", "throttle"),
            ("POST", f"/{tenant}/oauth2/v2.0/token", 401, "AADSTS7000222", None),
        ]
    ):
        directory.record_request(
            {
                "at": 1_790_000_000.0 + n,
                "tenant": tenant,
                "method": method,
                "host": "localhost",
                "path": path,
                "status": status,
                "ms": 3.4,
                "client": "python-httpx/0.28",
                "code": code,
                "fault": fault,
            }
        )
    world = World(directory, BASE_URL, SigningKeys.load(tmp_path / "signing-key.pem"), Weather(directory))
    client = TestClient(Starlette(routes=portal.routes(world)), base_url=BASE_URL, client=("127.0.0.1", 50000))
    yield Shown(client, directory, tenant, seeded, application, messages)
    directory.close()
