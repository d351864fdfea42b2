"""A customer's tenant on a local tenant server, set up through Graph as a customer's IT would."""

from __future__ import annotations

import ssl
from datetime import datetime
from typing import Any

import httpx

from provision.sandbox import Sandbox

PRODUCT = "https://my.cloudex.app"
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
SCOPES = {
    "Mail.Send": "e383f46e-2787-4529-855e-0e479a3ffac0",
    "User.Read": "e1fe6dd8-ba31-4d61-89e7-88639da4683d",
    "offline_access": "7427e0e9-2fba-42fe-b0c0-848c9e6a8182",
}


class Customer:
    """A tenant with an administrator's application, and a company code at the product.

    Args:
        sandbox: where the tenant is made.
        company: the company code in the redirect.
    """

    def __init__(self, sandbox: Sandbox, company: str) -> None:
        self.company = company
        made = sandbox.new_tenant()
        self.tenant_id = made.tenant_id
        self._users = made.users
        context = ssl.create_default_context(cafile=sandbox.ca_file)
        self._http = httpx.Client(base_url=sandbox.base_url, verify=context, trust_env=False, timeout=30)
        token = self._token(made.admin_client_id, made.admin_client_secret)
        self._graph = httpx.Client(
            base_url=sandbox.base_url,
            verify=context,
            trust_env=False,
            timeout=30,
            headers={"Authorization": f"Bearer {token}"},
        )
        self.redirect_uri = f"{PRODUCT}/{company}/Services/Office365Callback.aspx"
        self.client_id = self.client_secret = self.secret_key_id = ""
        self._application_id = self._principal_id = ""

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()
        self._graph.close()

    def _token(self, client_id: str, client_secret: str) -> str:
        answer = self._http.post(
            f"/{self.tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": client_secret,
                "scope": "https://graph.microsoft.com/.default",
            },
        )
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._graph.request(method, f"/v1.0/{path}", json=body)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json() if response.content else None

    def user(self, alias: str) -> tuple[str, str]:
        """User principal name and password of a seeded user."""
        return next((name, password) for name, password in self._users.items() if name.split("@")[0] == alias)

    def register(
        self,
        *,
        name: str = "CLOUDEX TMS Email Integration",
        redirect_uri: str | None = None,
        platform: str = "web",
        consent: bool = False,
        secret_ends: datetime | None = None,
    ) -> None:
        """Registers the product's app as its manual says, with what a story changes about it."""
        application = self._call(
            "POST",
            "applications",
            {
                "displayName": name,
                "signInAudience": "AzureADMyOrg",
                platform: {"redirectUris": [redirect_uri or self.redirect_uri]},
                "requiredResourceAccess": [
                    {
                        "resourceAppId": GRAPH_APP_ID,
                        "resourceAccess": [{"id": scope, "type": "Scope"} for scope in SCOPES.values()],
                    }
                ],
            },
        )
        self._application_id, self.client_id = application["id"], application["appId"]
        self._principal_id = self._call("POST", "servicePrincipals", {"appId": self.client_id})["id"]
        self.new_secret(secret_ends)
        if consent:
            found = self._call("GET", f"servicePrincipals?$filter=appId eq '{GRAPH_APP_ID}'")
            self._call(
                "POST",
                "oauth2PermissionGrants",
                {
                    "clientId": self._principal_id,
                    "consentType": "AllPrincipals",
                    "resourceId": found["value"][0]["id"],
                    "scope": " ".join(SCOPES),
                },
            )

    def new_secret(self, ends: datetime | None = None) -> None:
        """Adds a client secret, which becomes the known one."""
        wanted = {"displayName": "CLOUDEX Secret"}
        if ends is not None:
            wanted["endDateTime"] = ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        made = self._call("POST", f"applications/{self._application_id}/addPassword", {"passwordCredential": wanted})
        self.client_secret, self.secret_key_id = made["secretText"], made["keyId"]

    def remove_secret(self, key_id: str) -> None:
        """Removes a client secret."""
        self._call("POST", f"applications/{self._application_id}/removePassword", {"keyId": key_id})

    def require_second_factor(self) -> None:
        """Turns the tenant's security defaults on."""
        self._call("PATCH", "policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": True})

    def revoke_consent(self) -> None:
        """Takes every delegated grant of the app back."""
        grants = self._call("GET", f"oauth2PermissionGrants?$filter=clientId eq '{self._principal_id}'")
        for grant in grants["value"]:
            self._call("DELETE", f"oauth2PermissionGrants/{grant['id']}")

    def configure_product(self, origin: str = "", **changes: str) -> None:
        """Types the three values into the product (at another address), with changes; an empty one is left out."""
        values = {"tenantId": self.tenant_id, "clientId": self.client_id, "clientSecret": self.client_secret, **changes}
        response = self._http.post(
            f"{origin}/_product/{self.company}/settings", json={name: value for name, value in values.items() if value}
        )
        assert response.status_code == 200, response.text

    def send_headless(self, *, to: str, subject: str) -> httpx.Response:
        """Has the product send a mail, without a browser."""
        return self._http.post(f"/_product/{self.company}/send", json={"to": to, "subject": subject, "body": "Hello."})

    def deliver(self, alias: str, *, subject: str, html: str) -> None:
        """Sends an HTML mail to a user, from that very user, with the administrator's application."""
        address = self.user(alias)[0]
        self._call(
            "POST",
            f"users/{address}/sendMail",
            {
                "message": {
                    "subject": subject,
                    "body": {"contentType": "HTML", "content": html},
                    "toRecipients": [{"emailAddress": {"address": address}}],
                }
            },
        )

    def inbox(self, alias: str, subject: str) -> list[dict[str, Any]]:
        """Messages of this subject in a user's inbox."""
        found = self._call("GET", f"users/{self.user(alias)[0]}/mailFolders/inbox/messages?$top=50")
        return [message for message in found["value"] if message["subject"] == subject]
