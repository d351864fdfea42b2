"""A tenant that still has Exchange Web Services, and unmodified exchangelib as its client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from entra_tenant import Entra
from exchangelib import DELEGATE, IMPERSONATION, OAUTH2, Account, Configuration, FailFast, Identity
from exchangelib.credentials import OAuth2AuthorizationCodeCredentials, OAuth2Credentials
from exchangelib.version import Build, Version

from provision.sandbox import Sandbox

EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
RESOURCE = "https://outlook.office365.com"


@dataclass
class Ews:
    """A tenant, an application with permissions of Exchange Online, and ways to open a mailbox."""

    entra: Entra
    app: Any
    sandbox: Sandbox

    @property
    def url(self) -> str:
        return f"{self.sandbox.base_url}/EWS/Exchange.asmx"

    def allow(self, enabled: bool | None = True, apps: list[str] | None = None, **more: Any) -> None:
        allowed = [self.app.client_id] if apps is None else apps
        self.sandbox.set_ews(self.entra.tenant, enabled=enabled, allowedAppIds=allowed, **more)

    def grant(self, *, role: bool = True, scope: bool = True) -> None:
        exchange = self.entra.graph("GET", f"/servicePrincipals?$filter=appId eq '{EXCHANGE}'")["value"][0]
        if role:
            ids = {one["value"]: one["id"] for one in exchange["appRoles"]}
            body = {
                "principalId": self.app.principal_id,
                "resourceId": exchange["id"],
                "appRoleId": ids["full_access_as_app"],
            }
            self.entra.graph("POST", f"/servicePrincipals/{exchange['id']}/appRoleAssignedTo", body)
        if scope:
            grant = {"clientId": self.app.principal_id, "consentType": "AllPrincipals", "resourceId": exchange["id"]}
            self.entra.graph(
                "POST", "/oauth2PermissionGrants", {**grant, "principalId": None, "scope": "EWS.AccessAsUser.All"}
            )

    def user_token(self, alias: str, resource: str = RESOURCE) -> dict[str, Any]:
        self.entra.http.cookies.clear()
        code = self.entra.code(self.app, alias, scope=f"openid {resource}/EWS.AccessAsUser.All")
        answer = self.entra.redeem(self.app, code)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def configuration(self, credentials: Any, url: str | None = None) -> Configuration:
        return Configuration(
            service_endpoint=url or self.url,
            credentials=credentials,
            auth_type=OAUTH2,
            version=Version(Build(15, 20)),
            retry_policy=FailFast(),
        )

    def as_app(self, alias: str, address: str | None = None) -> Account:
        """The application on its own, which names in each request for whom it acts."""
        sandbox, tenant = self.sandbox, self.entra.tenant

        class Credentials(OAuth2Credentials):
            token_url = property(lambda self: f"{sandbox.base_url}/{tenant.tenant_id}/oauth2/v2.0/token")

        address = address or self.entra.upn(alias)
        credentials = Credentials(
            client_id=self.app.client_id,
            client_secret=self.app.secret,
            tenant_id=tenant.tenant_id,
            identity=Identity(primary_smtp_address=address),
        )
        return Account(address, config=self.configuration(credentials), autodiscover=False, access_type=IMPERSONATION)

    def as_user(self, alias: str, address: str | None = None) -> Account:
        """A signed-in user, in his own mailbox unless another is named."""
        token = self.user_token(alias)
        credentials = OAuth2AuthorizationCodeCredentials(access_token=token)
        return Account(
            address or self.entra.upn(alias),
            config=self.configuration(credentials),
            autodiscover=False,
            access_type=DELEGATE,
        )
