"""Microsoft Graph of the local tenant without a server: the ASGI application, driven in this process."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from provision.sandbox import seed
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.tokens import issue_access_token
from provision.sandbox.faults import Weather
from provision.sandbox.graph import graph_app
from provision.sandbox.keys import SigningKeys
from provision.sandbox.published import GRAPH_APP_ID
from provision.sandbox.world import World

BASE = "https://localhost:8443"


@dataclass
class Graph:
    """One tenant and ways to call it."""

    world: World
    seeded: seed.SeededTenant
    token: str = field(repr=False)

    @property
    def directory(self) -> Directory:
        return self.world.directory

    @property
    def tenant(self) -> str:
        return self.seeded.tenant_id

    def application(self) -> Document:
        return self.directory.find(self.tenant, "application", appId=self.seeded.admin_client_id)[0]

    def user(self, alias: str) -> Document:
        return self.directory.find(self.tenant, "user", userPrincipalName=f"{alias}@{self.seeded.domain}")[0]

    def app_token(self, *roles: str, **claims: Any) -> str:
        """An app-only token of the admin application with exactly these roles."""
        return self._issue(None, roles=roles, **claims)

    def user_token(self, alias: str, *scopes: str) -> str:
        """A delegated token of a seeded person."""
        return self._issue(self.user(alias), scopes=scopes)

    def _issue(self, user: Document | None, scopes: Sequence[str] = (), roles: Sequence[str] = (), **more: Any) -> str:
        more.setdefault("audience", "https://graph.microsoft.com")
        more.setdefault("app", self.application())
        return issue_access_token(self.world, self.tenant, user=user, scopes=scopes, roles=roles, **more)

    def call(self, method: str, path: str, *, token: str | None = None, version: str = "v1.0", **kwargs: Any):
        """One request; ``token`` defaults to the admin application's."""
        headers = dict(kwargs.pop("headers", {}))
        bearer = self.token if token is None else token
        if bearer:
            headers.setdefault("Authorization", f"Bearer {bearer}")

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(graph_app(self.world))
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
                return await client.request(method, f"{BASE}/{version}{path}", headers=headers, **kwargs)

        return asyncio.run(send())

    def ok(self, method: str, path: str, **kwargs: Any) -> Any:
        """The JSON of a call that must succeed."""
        response = self.call(method, path, **kwargs)
        assert response.is_success, response.text
        return response.json() if response.content else None

    def new_application(self, **values: Any) -> Document:
        body = {"displayName": "CLOUDEX TMS", "signInAudience": "AzureADMyOrg", **values}
        return self.ok("POST", "/applications", json=body)

    def new_principal(self, application: Document) -> Document:
        return self.ok("POST", "/servicePrincipals", json={"appId": application["appId"]})

    def resource(self, app_id: str = GRAPH_APP_ID) -> Document:
        return self.directory.find(self.tenant, "servicePrincipal", appId=app_id)[0]


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    return SigningKeys.load(tmp_path_factory.mktemp("keys") / "signing.pem")


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, seed.SeededTenant]:
    """A tenant's file, made once and copied for each test."""
    path = tmp_path_factory.mktemp("seeded") / "tenant.sqlite"
    directory = Directory(path)
    made = seed.create_tenant(directory, base_url=BASE)
    directory.close()
    return path, made


@pytest.fixture
def graph(tmp_path: Path, signing_keys: SigningKeys, seeded: tuple[Path, seed.SeededTenant]) -> Iterator[Graph]:
    path = Path(shutil.copy(seeded[0], tmp_path))
    directory = Directory(path)
    made = Graph(World(directory, BASE, signing_keys, Weather(directory)), seeded[1], "")
    made.token = made.app_token(*seed.ADMIN_APP_ROLES)
    yield made
    directory.close()
