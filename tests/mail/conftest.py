"""A fresh tenant with the product's registration, and people who send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from entra_tenant import REDIRECT, App, Entra

from provision.mail.proving import Wish, prove
from provision.mail.timeline import Stage, Timeline
from provision.microsoft.credentials import credential_for
from provision.microsoft.product_sign_in import RefreshToken, Registration
from provision.sandbox import Sandbox, Tenant
from provision.sandbox.process import Person
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, read_metadata

EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
TODAY = date(2026, 11, 25)


@dataclass
class Office:
    """A tenant as a product and its administrator know it."""

    entra: Entra
    app: App
    endpoints: Endpoints
    admin: CredentialSetting

    @property
    def registration(self) -> Registration:
        return Registration(self.entra.tenant.tenant_id, self.app.client_id, self.app.secret, REDIRECT)

    def person(self, alias: str = "olga", **wanted: Any) -> Person:
        return self.entra.sandbox.new_people(self.entra.tenant, {"alias": alias, "smtpAuth": "on", **wanted})[0]

    def grant(self, scope: str) -> None:
        """Consent for delegated permissions of Office 365 Exchange Online."""
        exchange = self.entra.graph("GET", f"/servicePrincipals?$filter=appId eq '{EXCHANGE}'")["value"][0]
        grant = {"clientId": self.app.principal_id, "consentType": "AllPrincipals", "resourceId": exchange["id"]}
        self.entra.graph("POST", "/oauth2PermissionGrants", {**grant, "principalId": None, "scope": scope})

    def withdraw(self) -> None:
        """Takes all consent away."""
        grants = self.entra.graph("GET", f"/oauth2PermissionGrants?$filter=clientId eq '{self.app.principal_id}'")
        for grant in grants["value"]:
            self.entra.graph("DELETE", f"/oauth2PermissionGrants/{grant['id']}")

    def refresh_token(self, person: Person) -> str:
        """What the product holds after "Connect to Microsoft"."""
        self.entra.http.cookies.clear()
        page = self.entra.sign_in(
            self.entra.authorize(self.app), person.user_principal_name.partition("@")[0], person.password
        )
        code = dict(httpx.URL(page.headers["location"]).params)["code"]
        return str(self.entra.redeem(self.app, code).json()["refresh_token"])

    def wish(self, person: Person, *ways: str, **more: Any) -> Wish:
        """What is to be proven, with the product's own sign-in and a caller who reads the mailboxes."""
        made = Wish(
            ways=ways,
            user=person.user_principal_name,
            registration=self.registration,
            reader=credential_for(self.admin, self.endpoints),
            wait=5.0,
        )
        if not {"session", "sign_in", "password"} & set(more):
            more["session"] = RefreshToken(self.registration, self.endpoints, self.refresh_token(person))
        return replace(made, **more)


@pytest.fixture
def office(
    http: httpx.Client, tenant: Tenant, sandbox: Sandbox, trusting: Path, admin: CredentialSetting
) -> Iterator[Office]:
    """A tenant in which the product is registered, with consent for Graph's Mail.Send."""
    entra = Entra(http, tenant, sandbox)
    app = entra.register()
    entra.consent(app)
    environ = {"PROVISION_SMTP_ADDRESS": sandbox.smtp_address}
    host = sandbox.base_url.removeprefix("https://")
    yield Office(entra, app, read_metadata(host, ca_file=str(sandbox.ca_file), environ=environ), admin)
    sandbox.clear_faults()


Proven = Callable[..., list[Stage]]


@pytest.fixture
def proven(office: Office) -> Proven:
    """Runs a proof and gives its steps."""

    def run(wish: Wish, today: date = TODAY) -> list[Stage]:
        timeline = Timeline()
        prove(wish, office.endpoints, timeline, today=today)
        return timeline.stages

    return run
