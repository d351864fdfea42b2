"""Exchange's administration interface on a store of its own, called over HTTP as public clients call it."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from provision.sandbox import people, seed
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.tokens import issue_access_token
from provision.sandbox.exchange.app import exchange_app
from provision.sandbox.faults import Weather
from provision.sandbox.graph import graph_app
from provision.sandbox.keys import SigningKeys
from provision.sandbox.world import World

BASE = "https://localhost:8443"
MANAGE = "Exchange.ManageAsApp"
OUTLOOK = "https://outlook.office365.com"


@dataclass
class Exchange:
    """One tenant and ways to call it."""

    world: World
    seeded: seed.SeededTenant

    @property
    def directory(self) -> Directory:
        return self.world.directory

    @property
    def tenant(self) -> str:
        return self.seeded.tenant_id

    def application(self) -> Document:
        return self.directory.find(self.tenant, "application", appId=self.seeded.admin_client_id)[0]

    def principal(self, application: Document | None = None) -> Document:
        app_id = (application or self.application())["appId"]
        return self.directory.find(self.tenant, "servicePrincipal", appId=app_id)[0]

    def user(self, alias: str) -> Document:
        return self.directory.find(self.tenant, "user", userPrincipalName=f"{alias}@{self.seeded.domain}")[0]

    def mailbox(self, alias: str) -> Document:
        return self.directory.find(self.tenant, "mailbox", Alias=alias)[0]

    def new_application(self, name: str) -> Document:
        """An application with its service principal and no permission at all."""
        application = {**self.application(), "appId": str(uuid.uuid4()), "displayName": name}
        application.pop("id")
        stored = self.directory.insert(self.tenant, "application", application)
        principal = {**self.principal(), "appId": stored["appId"], "displayName": name}
        principal.pop("id")
        self.directory.insert(self.tenant, "servicePrincipal", principal)
        return stored

    def give_role(self, name: str, member_id: str) -> None:
        (role,) = [row for row in self.directory.all(self.tenant, "directoryRole") if row["displayName"] == name]
        self.directory.insert(self.tenant, "roleMembership", {"roleId": role["id"], "memberId": member_id})

    def take_roles(self, member_id: str) -> None:
        for row in self.directory.find(self.tenant, "roleMembership", memberId=member_id):
            self.directory.remove(self.tenant, "roleMembership", row["id"])

    def app_token(self, *roles: str, **claims: Any) -> str:
        """An app-only token with exactly these roles, of the admin application unless ``app`` names another."""
        return self._issue(None, roles=roles, **claims)

    def user_token(self, alias: str, *scopes: str, **claims: Any) -> str:
        return self._issue(self.user(alias), scopes=scopes, **claims)

    def _issue(self, user: Document | None, scopes: Sequence[str] = (), roles: Sequence[str] = (), **more: Any) -> str:
        more.setdefault("audience", OUTLOOK)
        more.setdefault("app", self.application())
        return issue_access_token(self.world, self.tenant, user=user, scopes=scopes, roles=roles, **more)

    def people(self, *rows: Document) -> list[Document]:
        return people.make(self.directory, self.tenant, [people.Wanted.parse(row, alias="person") for row in rows])

    def send(self, method: str, url: str, *, graph: bool = False, **kwargs: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            app = graph_app(self.world) if graph else exchange_app(self.world)
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), trust_env=False) as client:
                return await client.request(method, url, **kwargs)

        return asyncio.run(ask())

    def call(
        self,
        cmdlet: str,
        parameters: Document | None = None,
        *,
        token: str | None = None,
        url: str | None = None,
        headers: Document | None = None,
    ) -> httpx.Response:
        """One request as ExoHelper sends it; ``token`` defaults to the admin application's."""
        bearer = self.app_token(MANAGE) if token is None else token
        system = f"SystemMailbox{{bb558c35-97f1-4cb9-8ff7-d53741dc928c}}@{self.seeded.domain}"
        sent = {
            "X-CmdletName": cmdlet,
            "X-AnchorMailbox": f"UPN:{system}",
            "X-ResponseFormat": "json",
            "X-SerializationLevel": "Partial",
            "X-ClientApplication": "ExoManagementModule",
            "Prefer": "odata.maxpagesize=1000",
            **({"Authorization": f"Bearer {bearer}"} if bearer else {}),
            **(headers or {}),
        }
        body = {"CmdletInput": {"CmdletName": cmdlet, "Parameters": parameters or {}}}
        return self.send("POST", url or self.url(), json=body, headers=sent)

    def url(self, tenant: str | None = None) -> str:
        return f"{BASE}/adminapi/beta/{tenant or self.tenant}/InvokeCommand"

    def run(self, cmdlet: str, **parameters: Any) -> list[Document]:
        """The rows of a cmdlet that must succeed, all pages."""
        response = self.call(cmdlet, parameters)
        rows: list[Document] = []
        while True:
            assert response.status_code == 200, response.text
            rows += response.json()["value"]
            following = response.json().get("@odata.nextLink")
            if following is None:
                return rows
            response = self.call(cmdlet, parameters, url=following)

    def refusal(self, cmdlet: str, **parameters: Any) -> tuple[int, str, str]:
        """Status, exception type and sentence of a cmdlet that must fail."""
        response = self.call(cmdlet, parameters)
        assert response.status_code >= 400, response.text
        error = response.json()["error"]
        inner = error["innererror"]
        assert inner["message"] == error["message"]
        (detail,) = error["details"]
        _, kind, sentence = detail["message"].split("|", 2)
        assert inner["internalexception"]["message"] == sentence
        return response.status_code, kind.rpartition(".")[2], sentence


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    return SigningKeys.load(tmp_path_factory.mktemp("keys") / "signing.pem")


@pytest.fixture(scope="session")
def seeded_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, seed.SeededTenant]:
    path = tmp_path_factory.mktemp("seeded") / "tenant.sqlite"
    directory = Directory(path)
    made = seed.create_tenant(directory, base_url=BASE)
    directory.close()
    return path, made


@pytest.fixture
def exchange(
    tmp_path: Path, signing_keys: SigningKeys, seeded_file: tuple[Path, seed.SeededTenant]
) -> Iterator[Exchange]:
    directory = Directory(Path(shutil.copy(seeded_file[0], tmp_path)))
    yield Exchange(World(directory, BASE, signing_keys, Weather(directory)), seeded_file[1])
    directory.close()
