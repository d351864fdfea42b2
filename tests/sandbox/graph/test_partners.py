"""A partner's customers: who may list them, and what is shown."""

from __future__ import annotations

import pytest

from provision.sandbox.graph import partners
from provision.sandbox.tenancy import seed

PATH = "/tenantRelationships/delegatedAdminCustomers"
READ = "DelegatedAdminRelationship.Read.All"


@pytest.fixture
def customers(graph):
    made = seed.create_tenants(
        graph.directory,
        [seed.Wanted(f"customer-{n}.onmicrosoft.com") for n in range(3)],
        base_url="https://localhost:8443",
    )
    return partners.put(graph.directory, graph.tenant, [one.domain for one in made])


def test_whoever_has_the_permission_sees_every_customer(graph, customers):
    token = graph.app_token(READ)
    found = graph.ok("GET", PATH, token=token)
    assert found["@odata.context"].endswith("#tenantRelationships/delegatedAdminCustomers")
    assert sorted(found["value"], key=lambda one: one["id"]) == sorted(customers, key=lambda one: one["id"])
    assert all(one["id"] == one["tenantId"] for one in found["value"])
    one = graph.ok("GET", f"{PATH}/{customers[0]['id']}", token=token)
    assert one["displayName"] == customers[0]["displayName"]
    narrowed = graph.ok("GET", f"{PATH}?$filter=tenantId eq '{customers[1]['id']}'&$select=tenantId", token=token)
    assert [one["tenantId"] for one in narrowed["value"]] == [customers[1]["id"]]


@pytest.mark.parametrize("roles", [[], ["Directory.ReadWrite.All"], ["User.Read.All"]])
def test_nobody_else_does(graph, customers, roles):
    answer = graph.call("GET", PATH, token=graph.app_token(*roles))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "Authorization_RequestDenied"


def test_pages_have_at_most_three_hundred(graph, customers):
    token = graph.app_token(READ)
    first = graph.ok("GET", f"{PATH}?$top=2", token=token)
    assert len(first["value"]) == 2
    assert graph.call("GET", f"{PATH}?$top=301", token=token).status_code == 400


def test_a_tenant_without_customers_has_an_empty_list_and_one_that_is_nobody_s_is_not_found(graph):
    token = graph.app_token(READ)
    assert graph.ok("GET", PATH, token=token)["value"] == []
    assert graph.call("GET", f"{PATH}/{graph.tenant}", token=token).status_code == 404


def test_only_other_tenants_of_the_server_can_be_customers(graph, customers):
    for name in ("nowhere.example", graph.tenant):
        with pytest.raises(ValueError, match="no other tenant"):
            partners.put(graph.directory, graph.tenant, [name])
    assert len(graph.ok("GET", PATH, token=graph.app_token(READ))["value"]) == 3
