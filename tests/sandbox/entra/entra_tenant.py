"""A tenant with one mail application, made through Graph as an administrator would, and a browser without a screen."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from provision.sandbox import Sandbox, Tenant

GRAPH = "00000003-0000-0000-c000-000000000000"
MAIL_SEND, USER_READ = "e383f46e-2787-4529-855e-0e479a3ffac0", "e1fe6dd8-ba31-4d61-89e7-88639da4683d"
REDIRECT = "https://my.cloudex.app/ACME/Services/Office365Callback.aspx"
SPA_REDIRECT = "https://spa.example/app"
SCOPES = "openid profile offline_access Mail.Send User.Read"


@dataclass
class App:
    """An application registration of the tenant, with the copy of its secret."""

    object_id: str
    client_id: str
    principal_id: str
    secret: str
    key_id: str


class Entra:
    """The tenant as its administrator and its users' browsers reach it."""

    def __init__(self, http: httpx.Client, tenant: Tenant, sandbox: Sandbox) -> None:
        self.http, self.tenant, self.sandbox = http, tenant, sandbox
        self.alias = tenant.domain
        answer = self.token(
            grant_type="client_credentials",
            client_id=tenant.admin_client_id,
            client_secret=tenant.admin_client_secret,
            scope="https://graph.microsoft.com/.default",
        )
        self.admin = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def token(self, *, tenant: str | None = None, headers: dict[str, str] | None = None, **form: str) -> httpx.Response:
        path = f"/{tenant or self.tenant.tenant_id}/oauth2/v2.0/token"
        return self.http.post(path, data=form, headers=headers)

    def graph(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"/v1.0{path}", json=body, headers=self.admin)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def register(self, **properties: Any) -> App:
        wanted: dict[str, Any] = {
            "displayName": "CLOUDEX TMS",
            "signInAudience": "AzureADMyOrg",
            "web": {"redirectUris": [REDIRECT]},
            "spa": {"redirectUris": [SPA_REDIRECT]},
            "requiredResourceAccess": [
                {
                    "resourceAppId": GRAPH,
                    "resourceAccess": [{"id": MAIL_SEND, "type": "Scope"}, {"id": USER_READ, "type": "Scope"}],
                }
            ],
        }
        application = self.graph("POST", "/applications", {**wanted, **properties})
        principal = self.graph("POST", "/servicePrincipals", {"appId": application["appId"]})
        password = self.graph("POST", f"/applications/{application['id']}/addPassword", {})
        return App(application["id"], application["appId"], principal["id"], password["secretText"], password["keyId"])

    def consent(self, app: App, scope: str = "Mail.Send User.Read") -> None:
        """Consent for all principals, as MailApp gives it."""
        graph = self.graph("GET", f"/servicePrincipals?$filter=appId eq '{GRAPH}'")["value"][0]
        grant = {"clientId": app.principal_id, "consentType": "AllPrincipals", "resourceId": graph["id"]}
        self.graph("POST", "/oauth2PermissionGrants", {**grant, "principalId": None, "scope": scope})

    def allow(self, app: App, *roles: str) -> None:
        """Application permissions of Microsoft Graph, by name."""
        graph = self.graph("GET", f"/servicePrincipals?$filter=appId eq '{GRAPH}'")["value"][0]
        ids = {role["value"]: role["id"] for role in graph["appRoles"]}
        for name in roles:
            body = {"principalId": app.principal_id, "resourceId": graph["id"], "appRoleId": ids[name]}
            self.graph("POST", f"/servicePrincipals/{graph['id']}/appRoleAssignedTo", body)

    def upn(self, alias: str) -> str:
        return f"{alias}@{self.tenant.domain}"

    def patch_user(self, alias: str, **changes: Any) -> None:
        self.graph("PATCH", f"/users/{self.upn(alias)}", changes)

    def app_only(self, app: App, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": app.client_id,
            "client_secret": app.secret,
            "scope": "https://graph.microsoft.com/.default",
        }
        return self.token(**{**form, **changes})

    def authorize(self, app: App, *, tenant: str | None = None, **changes: str | None) -> httpx.Response:
        query = {
            "client_id": app.client_id,
            "response_type": "code",
            "redirect_uri": REDIRECT,
            "scope": SCOPES,
            "state": "s1",
            "nonce": "n1",
            **changes,
        }
        parameters = {name: value for name, value in query.items() if value is not None}
        return self.http.get(f"/{tenant or self.tenant.tenant_id}/oauth2/v2.0/authorize", params=parameters)

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Fills in the page's form, sends it, and follows the way back to the request."""
        assert page.status_code == 200, page.text
        action = re.search(r'<form method="post" action="([^"]*)"', page.text)
        assert action, page.text
        hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
        answer = self.http.post(html.unescape(action[1]), data={**hidden, **fields})
        return self.http.get(answer.headers["location"]) if answer.status_code == 303 else answer

    def sign_in(self, page: httpx.Response, alias: str = "ada", password: str | None = None) -> httpx.Response:
        secret = password or self.tenant.users[self.upn(alias)]
        return self.submit(page, loginfmt=self.upn(alias), passwd=secret)

    def code(self, app: App, alias: str = "ada", **changes: str | None) -> str:
        """A code for a user, everything agreed."""
        page = self.sign_in(self.authorize(app, **changes), alias)
        return answered(page)["code"]

    def tokens(self, app: App, alias: str = "ada") -> dict[str, Any]:
        """What a user's sign-in gives the application."""
        answer: dict[str, Any] = self.redeem(app, self.code(app, alias)).json()
        return answer

    def refresh(self, app: App, token: str, *, secret: str | None = None) -> httpx.Response:
        """A redemption of a refresh token, with the first secret unless another is named."""
        form = {"grant_type": "refresh_token", "client_id": app.client_id, "client_secret": secret or app.secret}
        return self.token(**form, refresh_token=token)

    def redeem(
        self, app: App, code: str, *, headers: dict[str, str] | None = None, **changes: str | None
    ) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": app.client_id,
            "client_secret": app.secret,
            "code": code,
            "redirect_uri": REDIRECT,
            **changes,
        }
        return self.token(headers=headers, **{name: value for name, value in form.items() if value is not None})


def answered(response: httpx.Response) -> dict[str, str]:
    """What the client gets at its redirect URI, by query or fragment."""
    assert response.status_code == 302, response.text
    location = urlsplit(response.headers["location"])
    return {name: values[0] for name, values in parse_qs(location.query or location.fragment).items()}


def aadsts(response: httpx.Response) -> int:
    """The AADSTS code of an answer: token endpoint, redirect or page."""
    text = response.text
    if response.status_code == 302:
        text = answered(response)["error_description"]
    found = re.search(r"AADSTS(\d+)", text)
    assert found, text
    return int(found[1])
