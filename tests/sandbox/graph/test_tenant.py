"""The rest of a tenant: people, licences, groups, roles, policies, batches and paging."""

from __future__ import annotations

import pytest
from policies import LEGACY

from provision.sandbox import published


def test_users_are_paged_selected_and_counted(graph):
    eventual = {"ConsistencyLevel": "eventual"}
    first = graph.ok(
        "GET", "/users?$top=3&$count=true&$select=id,userPrincipalName&$orderby=displayName", headers=eventual
    )
    assert (first["@odata.count"], len(first["value"])) == (7, 3)
    assert set(first["value"][0]) == {"id", "userPrincipalName"}
    seen, link = first["value"], first["@odata.nextLink"]
    while link:
        page = graph.ok("GET", link.removeprefix("https://localhost:8443/v1.0"), headers=eventual)
        seen, link = seen + page["value"], page.get("@odata.nextLink")
    assert len({row["id"] for row in seen}) == 7
    assert graph.call("GET", "/users/$count", headers=eventual).text == "7"


def test_advanced_filters_need_the_header_and_work_with_it(graph):
    query = "/users?$filter=endsWith(userPrincipalName,'onmicrosoft.com')&$count=true"
    assert graph.call("GET", query).status_code == 400
    assert len(graph.ok("GET", query, headers={"ConsistencyLevel": "eventual"})["value"]) == 7
    found = graph.ok("GET", '/users?$search="displayName:ozola"', headers={"ConsistencyLevel": "eventual"})["value"]
    assert [row["displayName"] for row in found] == ["Ada Ozola"]


def test_a_user_is_made_licensed_and_gets_a_mailbox(graph):
    body = {
        "accountEnabled": True,
        "displayName": "Carl",
        "mailNickname": "carl",
        "userPrincipalName": "carl@contoso.example",
        "passwordProfile": {"password": "Str0ng-enough", "forceChangePasswordNextSignIn": False},
    }
    carl = graph.ok("POST", "/users", json=body)
    assert graph.call("POST", "/users", json=body).status_code == 400
    assert "Str0ng-enough" not in str(graph.directory.all(graph.tenant, "user"))
    sku = published.SKUS[1].id
    path, add = f"/users/{carl['id']}/assignLicense", {"addLicenses": [{"skuId": sku}], "removeLicenses": []}
    assert "usage location" in graph.call("POST", path, json=add).json()["error"]["message"]
    assert graph.call("PATCH", f"/users/{carl['id']}", json={"usageLocation": "LV"}).status_code == 204
    graph.ok("POST", path, json=add)
    details = graph.ok("GET", f"/users/{carl['id']}/licenseDetails")["value"]
    assert [row["skuPartNumber"] for row in details] == ["EXCHANGESTANDARD"]
    (mailbox,) = graph.directory.find(graph.tenant, "mailbox", _userId=carl["id"])
    assert mailbox["RecipientTypeDetails"] == "UserMailbox"
    used = {row["skuId"]: row["consumedUnits"] for row in graph.ok("GET", "/subscribedSkus")["value"]}
    assert used[sku] == 2
    graph.ok("POST", path, json={"addLicenses": [], "removeLicenses": [sku]})
    assert graph.call("POST", path, json={"addLicenses": [], "removeLicenses": [sku]}).status_code == 400
    assert graph.call("DELETE", f"/users/{carl['id']}").status_code == 204
    assert graph.call("GET", "/users/carl@contoso.example").status_code == 404
    graph.ok("POST", f"/directory/deletedItems/{carl['id']}/restore")
    assert graph.ok("GET", "/users/carl@contoso.example")["id"] == carl["id"]


def test_licences_run_out(graph):
    sku = graph.directory.get(graph.tenant, "subscribedSku", f"{graph.tenant}_{published.SKUS[1].id}")
    graph.directory.replace(graph.tenant, "subscribedSku", {**sku, "consumedUnits": sku["prepaidUnits"]["enabled"]})
    add = {"addLicenses": [{"skuId": published.SKUS[1].id}], "removeLicenses": []}
    answer = graph.call("POST", f"/users/{graph.user('reader')['id']}/assignLicense", json=add)
    assert "does not have any available licenses" in answer.json()["error"]["message"]


def test_revoking_sessions_moves_the_date_from_which_tokens_count(graph):
    ada = graph.user("ada")
    graph.directory.clock.skew = 60
    assert graph.ok("POST", f"/users/{ada['id']}/revokeSignInSessions")["value"] is True
    assert graph.user("ada")["signInSessionsValidFromDateTime"] > ada["signInSessionsValidFromDateTime"]


def test_groups_hold_members_and_members_know_it(graph):
    ada = graph.user("ada")["id"]
    link = f"https://localhost:8443/v1.0/directoryObjects/{ada}"
    body = {"displayName": "Senders", "mailEnabled": False, "mailNickname": "senders", "securityEnabled": True}
    group = graph.ok("POST", "/groups", json={**body, "members@odata.bind": [link]})
    again = graph.call("POST", f"/groups/{group['id']}/members/$ref", json={"@odata.id": link})
    assert "already exist for the following modified properties: 'members'" in again.json()["error"]["message"]
    assert [row["id"] for row in graph.ok("GET", f"/users/{ada}/memberOf")["value"]] == [group["id"]]
    assert graph.call("DELETE", f"/groups/{group['id']}/members/{ada}/$ref").status_code == 204
    assert graph.ok("GET", f"/groups/{group['id']}/members")["value"] == []


def test_security_defaults_and_conditional_access_exclude_each_other(graph):
    path = "/policies/identitySecurityDefaultsEnforcementPolicy"
    assert graph.call("PATCH", path, json={"isEnabled": True}).status_code == 204
    refused = graph.call("POST", "/identity/conditionalAccess/policies", json=LEGACY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "BadRequest")
    assert "Security Defaults is enabled in the tenant" in refused.json()["error"]["message"]
    assert graph.call("PATCH", path, json={"isEnabled": False}).status_code == 204
    made = graph.ok("POST", "/identity/conditionalAccess/policies", json=LEGACY)
    assert graph.call("PATCH", path, json={"isEnabled": True}).status_code == 400
    off = f"/identity/conditionalAccess/policies/{made['id']}"
    assert graph.call("PATCH", off, json={"state": "disabled"}).status_code == 204
    assert graph.ok("GET", off)["state"] == "disabled"
    assert graph.call("PATCH", path, json={"isEnabled": True}).status_code == 204
    assert graph.call("DELETE", off).status_code == 204


def test_role_assignments_are_the_same_memberships(graph):
    reader, role = graph.user("reader")["id"], published.ROLE["Exchange Administrator"]
    body = {"principalId": reader, "roleDefinitionId": role, "directoryScopeId": "/"}
    made = graph.ok("POST", "/roleManagement/directory/roleAssignments", json=body)
    assert graph.call("POST", "/roleManagement/directory/roleAssignments", json=body).status_code == 409
    found = graph.ok("GET", f"/roleManagement/directory/roleAssignments?$filter=principalId eq '{reader}'")["value"]
    assert [row["id"] for row in found] == [made["id"]]
    assert [r["displayName"] for r in graph.ok("GET", f"/users/{reader}/memberOf")["value"]] == [
        "Exchange Administrator"
    ]
    assert graph.call("DELETE", f"/roleManagement/directory/roleAssignments/{made['id']}").status_code == 204


def test_the_tenant_itself(graph):
    (organization,) = graph.ok("GET", "/organization")["value"]
    assert organization["id"] == graph.tenant
    assert {d["name"] for d in organization["verifiedDomains"]} == {"contoso.onmicrosoft.com", "contoso.example"}
    assert graph.ok("GET", "/domains/contoso.example")["isDefault"] is True
    objects = graph.ok("POST", "/directoryObjects/getByIds", json={"ids": [graph.user("ada")["id"]], "types": ["user"]})
    assert objects["value"][0]["@odata.type"] == "#microsoft.graph.user"


def test_a_batch_answers_each_request_for_itself(graph):
    requests = [
        {
            "id": "a",
            "method": "POST",
            "url": "/applications",
            "body": {"displayName": "x"},
            "headers": {"Content-Type": "application/json"},
        },
        {
            "id": "b",
            "method": "GET",
            "url": "/applications?$select=displayName&$filter=displayName+eq+'x'",
            "dependsOn": ["a"],
        },
        {"id": "c", "method": "GET", "url": "/frobs"},
        {"id": "d", "method": "GET", "url": "/users", "dependsOn": ["c"]},
    ]
    answers = {row["id"]: row for row in graph.ok("POST", "/$batch", json={"requests": requests})["responses"]}
    assert [answers[i]["status"] for i in "abcd"] == [201, 200, 400, 424]
    assert answers["b"]["body"]["value"] == [{"displayName": "x"}]
    assert answers["c"]["body"]["error"]["code"] == "BadRequest"


@pytest.mark.parametrize(
    "requests",
    [
        [],
        [{"id": str(n), "method": "GET", "url": "/me"} for n in range(21)],
        [{"id": "1", "method": "GET", "url": "/me"}] * 2,
        [{"id": "1", "method": "GET", "url": "/me", "dependsOn": ["2"]}],
        [{"method": "GET", "url": "/me"}],
    ],
)
def test_a_malformed_batch_is_refused_whole(graph, requests):
    assert graph.call("POST", "/$batch", json={"requests": requests}).json()["error"]["code"] == "BadRequest"
