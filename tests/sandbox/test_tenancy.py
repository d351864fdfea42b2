"""Thousands of tenants in one server: made together, each apart, and none of them slows the others down."""

from __future__ import annotations

import json
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from provision.sandbox import Sandbox, SandboxError, Tenant


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A server of its own, which tests fill and empty."""
    with Sandbox(tmp_path_factory.mktemp("many")) as server:
        yield server


def client(server: Sandbox) -> httpx.Client:
    """A client that trusts this server, which is not the session's."""
    trusted = ssl.create_default_context(cafile=str(server.ca_file))
    return httpx.Client(base_url=server.base_url, verify=trusted, trust_env=False)


def token(server: Sandbox, tenant: Tenant, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.admin_client_id,
        "client_secret": tenant.admin_client_secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    return client(server).post(f"/{tenant.tenant_id}/oauth2/v2.0/token", data=form | changes)


def test_tenants_made_together_are_numbered_and_each_signs_in_to_itself_alone(
    many: Sandbox, http: httpx.Client
) -> None:
    made = many.new_tenants(30, "customer")
    assert [tenant.domain for tenant in made[:2]] == ["customer-0001.onmicrosoft.com", "customer-0002.onmicrosoft.com"]
    assert len({tenant.admin_client_secret for tenant in made} | {tenant.admin_client_id for tenant in made}) == 60
    assert all(len(tenant.users) >= 5 for tenant in made)
    access = token(many, made[7]).json()["access_token"]
    people = client(many).get("/v1.0/users", headers={"Authorization": f"Bearer {access}"}).json()["value"]
    assert {person["userPrincipalName"] for person in people} > set(made[7].users)
    refused = token(many, made[7], client_secret=made[8].admin_client_secret).json()
    assert refused["error_codes"] == [7000215]
    refused = token(many, made[7], client_id=made[8].admin_client_id).json()
    assert refused["error_codes"] == [700016]


def test_numbers_go_on_after_those_that_are_there(many: Sandbox) -> None:
    many.new_tenants(2, "later")
    many.new_tenants(1, "later-on")
    assert [tenant.domain for tenant in many.new_tenants(1, "later")] == ["later-0003.onmicrosoft.com"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"count": 0}, "count is a number from 1 to 1000, not 0"),
        ({"count": 1001}, "count is a number from 1 to 1000"),
        ({"count": True}, "count is a number from 1 to 1000"),
        ({"count": 1, "prefix": "../x"}, "a prefix is up to 40 letters, digits and hyphens"),
        ({"count": 1, "edition": "p3"}, "there is no edition 'p3'"),
        ({"number": 1}, "unknown key 'number'"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is(many: Sandbox, body: dict[str, object], sentence: str) -> None:
    before = many.status()["tenants"]
    with pytest.raises(SandboxError, match=sentence):
        many.control.ask("POST", "tenants", body)
    assert many.status()["tenants"] == before


def test_a_deleted_tenant_is_gone_for_everybody(many: Sandbox) -> None:
    tenant, other = many.new_tenants(2, "gone")
    access = token(many, tenant).json()["access_token"]
    many.delete_tenant(tenant)
    refused = token(many, tenant).json()
    assert refused["error_codes"] == [90002]
    read = client(many).get("/v1.0/organization", headers={"Authorization": f"Bearer {access}"})
    assert read.status_code == 401
    assert token(many, other).status_code == 200
    with pytest.raises(SandboxError, match="there is no tenant"):
        many.delete_tenant(tenant)
    with pytest.raises(SandboxError, match="is the server's first tenant"):
        many.delete_tenant(many.first)


def test_a_server_starts_again_with_all_of_them(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "again") as server:
        made = server.new_tenants(20, "kept")
    with Sandbox(tmp_path / "again") as server:
        assert server.status()["tenants"] == 21
        assert token(server, made[-1]).status_code == 200
        assert [row["domain"] for row in server.control.ask("GET", "tenants")][1:] == [one.domain for one in made]


def test_what_is_the_same_in_every_tenant_is_stored_once(many: Sandbox) -> None:
    """The permissions of Microsoft Graph alone weigh more than everything else of a tenant together."""
    many.new_tenants(5, "light")
    store = sqlite3.connect(many.directory / "tenants.sqlite")
    query = "SELECT tenant, SUM(LENGTH(doc)) FROM object GROUP BY tenant"
    weights = dict(store.execute(query))
    store.close()
    assert len(weights) > 5
    assert max(weights.values()) < 64_000


def test_looking_for_an_application_anywhere_reads_no_other_tenants(many: Sandbox) -> None:
    """The plan of the one query behind every sign-in: by index, however many tenants there are."""
    store = sqlite3.connect(many.directory / "tenants.sqlite")
    kinds = "'application', 'deviceCode', 'domain', 'onPremisesAccount', 'waitingMessage'"
    plan = store.execute(
        "EXPLAIN QUERY PLAN SELECT tenant FROM object_key WHERE kind IN (" + kinds + ") AND kind = 'application'"
        " AND name = 'appId' AND value = 'x'"
    ).fetchall()
    store.close()
    assert "SEARCH object_key USING" in json.dumps(plan)
    assert "object_key_everywhere" in json.dumps(plan)
