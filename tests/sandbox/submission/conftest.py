"""SMTP submission of the local tenant: people who may send, connections to the port, and mail read back by Graph."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from provision.sandbox import Sandbox, Tenant
from provision.sandbox.process import Person

Connect = Callable[..., smtplib.SMTP]
EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"


@dataclass(frozen=True)
class App:
    """A registration, its service principal, and that of Office 365 Exchange Online."""

    id: str
    app_id: str
    principal_id: str
    exchange_id: str


@dataclass(frozen=True)
class Office:
    """A tenant with people in it."""

    sandbox: Sandbox
    tenant: Tenant
    context: ssl.SSLContext

    def person(self, alias: str, **wanted: Any) -> Person:
        """Somebody whose mailbox may send, unless asked otherwise (fields of the control API's ``people``)."""
        return self.sandbox.new_people(self.tenant, {"alias": alias, "smtpAuth": "on", **wanted})[0]

    def address(self, alias: str) -> str:
        """An address of the tenant."""
        return f"{alias}@{self.tenant.domain}"

    def token(self, scope: str = "https://graph.microsoft.com/.default") -> str:
        """A token of the admin application."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.tenant.admin_client_id,
            "client_secret": self.tenant.admin_client_secret,
            "scope": scope,
        }
        return str(self.http("POST", f"/{self.tenant.tenant_id}/oauth2/v2.0/token", data=form).json()["access_token"])

    def application(self, scopes: str = "SMTP.Send") -> App:
        """A public client with consent for scopes of Office 365 Exchange Online."""
        made = self.graph("POST", "/applications", json={"displayName": "Mailer", "isFallbackPublicClient": True})
        principal = self.graph("POST", "/servicePrincipals", json={"appId": made["appId"]})
        found = self.graph("GET", f"/servicePrincipals?$filter=appId eq '{EXCHANGE}'&$select=id")
        resource = str(found["value"][0]["id"])
        grant = {"clientId": principal["id"], "consentType": "AllPrincipals", "resourceId": resource, "scope": scopes}
        self.graph("POST", "/oauth2PermissionGrants", json=grant)
        return App(made["id"], made["appId"], principal["id"], resource)

    def user_token(
        self, person: Person, scope: str = "https://outlook.office.com/SMTP.Send", app: App | None = None
    ) -> str:
        """An access token of a person, by his password."""
        form = {
            "grant_type": "password",
            "client_id": (app or self.application()).app_id,
            "username": person.user_principal_name,
            "password": person.password,
            "scope": scope,
        }
        return str(self.http("POST", f"/{self.tenant.tenant_id}/oauth2/v2.0/token", data=form).json()["access_token"])

    def http(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request to the server."""
        return httpx.request(method, self.sandbox.base_url + path, verify=self.context, trust_env=False, **options)

    def graph(self, method: str, path: str, **options: Any) -> Any:
        """A call of Microsoft Graph by the admin application; fails the test unless it succeeds."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        answer = self.http(method, f"/v1.0{path}", headers=headers, **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def cmdlet(self, name: str, **parameters: Any) -> list[dict[str, Any]]:
        """A cmdlet of Exchange Online by the admin application, which gets the role for it on first use."""
        found = self.graph("GET", f"/servicePrincipals?$filter=appId eq '{self.tenant.admin_client_id}'&$select=id")
        roles = self.graph("GET", "/directoryRoles")["value"]
        (role,) = [row for row in roles if row["displayName"] == "Exchange Administrator"]
        member = {"@odata.id": f"{self.sandbox.base_url}/v1.0/directoryObjects/{found['value'][0]['id']}"}
        headers = {"Authorization": f"Bearer {self.token()}"}
        self.http("POST", f"/v1.0/directoryRoles/{role['id']}/members/$ref", headers=headers, json=member)
        headers = {"Authorization": f"Bearer {self.token('https://outlook.office365.com/.default')}"}
        answer = self.http(
            "POST",
            f"/adminapi/beta/{self.tenant.tenant_id}/InvokeCommand",
            headers=headers,
            json={"CmdletInput": {"CmdletName": name, "Parameters": parameters}},
        )
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return list(answer.json()["value"])

    def folder(self, person: Person, name: str = "inbox") -> list[dict[str, Any]]:
        """The messages of a folder, newest first, as Graph shows them."""
        found = self.graph("GET", f"/users/{person.id}/mailFolders/{name}/messages")
        return list(found["value"])

    def log(self, method: str) -> list[tuple[int, str | None]]:
        """Status and layer of the request log's lines about this tenant's people."""
        return [
            (row["status"], row["code"])
            for row in self.sandbox.log()
            if row["method"] == method and self.tenant.domain in row["path"]
        ]


@pytest.fixture
def office(sandbox: Sandbox) -> Iterator[Office]:
    """A fresh tenant without Security Defaults; fair weather afterwards."""
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    yield Office(sandbox, sandbox.new_tenant(), context)
    sandbox.clear_faults()


@pytest.fixture
def connect(office: Office) -> Iterator[Connect]:
    """Opens connections, encrypted unless asked otherwise; closes them at the end."""
    opened: list[smtplib.SMTP] = []

    def connect(person: Person | None = None, *, starttls: bool = True) -> smtplib.SMTP:
        host, _, port = office.sandbox.smtp_address.rpartition(":")
        client = smtplib.SMTP(host, int(port), timeout=20)
        opened.append(client)
        client.ehlo("client.example")
        if starttls:
            client.starttls(context=office.context)
            client.ehlo("client.example")
        if person is not None:
            client.login(person.user_principal_name, person.password or "")
        return client

    yield connect
    for client in opened:
        client.close()
