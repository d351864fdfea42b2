"""Graph's calls against the local tenant: what is asked, what is repeated, and what must never be made twice."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, Unreachable
from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.microsoft.objects import GRAPH_APP_ID
from provision.sandbox import Sandbox, Tenant
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints

END = datetime(2027, 11, 23, tzinfo=UTC)


@pytest.fixture
def application(api: httpx.Client) -> dict[str, Any]:
    body = {
        "displayName": "Mail",
        "signInAudience": "AzureADMyOrg",
        "tags": ["provision", "provision:stack:o'brien/mail"],
        "web": {
            "redirectUris": ["https://my.cloudex.app/Acme/Services/Office365Callback.aspx"],
            "implicitGrantSettings": {"enableIdTokenIssuance": True, "enableAccessTokenIssuance": False},
        },
    }
    answer = api.post("/v1.0/applications", json=body)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def test_an_application_is_found_by_id_client_id_and_tag(graph: Graph, application: dict[str, Any]) -> None:
    by_id = graph.application(application["id"])
    assert by_id is not None
    assert by_id.web_redirect_uris == ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx",)
    assert (by_id.issue_id_tokens, by_id.issue_access_tokens, by_id.sign_in_audience) == (True, False, "AzureADMyOrg")
    assert graph.application_by_app_id(application["appId"]) == by_id
    assert graph.applications_by_tag("provision:stack:o'brien/mail") == [by_id]
    assert graph.applications_by_tag("provision:stack:other") == []


def test_what_is_not_there_is_none(graph: Graph) -> None:
    nobody = "00000000-1111-2222-3333-444444444444"
    assert graph.application(nobody) is None
    assert graph.application_by_app_id(nobody) is None
    assert graph.service_principal(nobody) is None


def test_a_long_list_comes_page_by_page(graph: Graph, api: httpx.Client) -> None:
    for number in range(105):
        api.post("/v1.0/applications", json={"displayName": f"Many {number}"}).raise_for_status()
    assert len(graph.applications("startswith(displayName,'Many')")) == 105


def test_graphs_own_permissions_are_readable(graph: Graph) -> None:
    found = graph.service_principal(GRAPH_APP_ID, with_permissions=True)
    assert found is not None
    kinds = {(permission.value, permission.type) for permission in found.permissions}
    assert {("Mail.Send", "Scope"), ("Mail.Send", "Role"), ("offline_access", "Scope")} <= kinds


def test_a_secret_is_made_once_and_removed_twice(graph: Graph, application: dict[str, Any]) -> None:
    made = graph.add_password(application["id"], "CLOUDEX Secret A", END)
    assert made.value not in repr(made)
    listed = graph.wait_until_readable(lambda: graph.application(application["id"]), "the application")
    assert [(password.key_id, password.end) for password in listed.passwords] == [(made.key_id, END)]
    graph.remove_password(application["id"], made.key_id)
    graph.remove_password(application["id"], made.key_id)


@pytest.mark.parametrize("fault", [{"action": "drop_after"}, {"action": "status", "status": 503, "retry_after": 0}])
def test_a_lost_answer_leaves_no_secret_behind(
    graph: Graph, sandbox: Sandbox, application: dict[str, Any], fault: dict[str, Any]
) -> None:
    """A repeated addPassword would make a second secret whose value somebody has and a first that nobody has."""
    rule = {"name": "lost", "match": {"method": "POST", "path": "addPassword"}, "count": 1, **fault}
    sandbox.set_faults([rule])
    with pytest.raises(Unreachable):
        graph.add_password(application["id"], "CLOUDEX Secret A", END)
    found = graph.application(application["id"])
    assert found is not None
    assert found.passwords == ()
    posts = [
        line for line in sandbox.log() if application["id"] in line["path"] and line["path"].endswith("addPassword")
    ]
    assert len(posts) == 1


def test_throttling_is_waited_out_even_for_a_post(graph: Graph, sandbox: Sandbox, application: dict[str, Any]) -> None:
    match = {"method": "POST", "path": "addPassword"}
    sandbox.set_faults(
        [{"name": "busy", "match": match, "action": "status", "status": 429, "retry_after": 1, "count": 1}]
    )
    assert graph.add_password(application["id"], "CLOUDEX Secret A", END).value


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 500},
        {"action": "status", "status": 502},
        {"action": "drop_before"},
        {"action": "drop_after"},
    ],
)
def test_reading_is_repeated(
    graph: Graph, sandbox: Sandbox, application: dict[str, Any], fault: dict[str, Any]
) -> None:
    sandbox.set_faults([{"name": "bump", "match": {"method": "GET", "path": "/applications/"}, "count": 1, **fault}])
    assert graph.application(application["id"]) is not None


def test_a_line_that_stays_cut_is_unreachable(graph: Graph, sandbox: Sandbox) -> None:
    sandbox.set_faults([{"name": "cut", "match": {"path": "/applications"}, "action": "drop_before"}])
    with pytest.raises(Unreachable, match="localhost"):
        graph.applications_by_tag("x")


def test_replication_is_waited_for(graph: Graph, sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.set_faults(replication_delay=0.3)
    made = api.post("/v1.0/applications", json={"displayName": "Late"}).json()
    found = graph.wait_until_readable(lambda: graph.application(made["id"]), "the application", first_delay=0.1)
    assert found.display_name == "Late"


def test_what_never_appears_is_given_up(graph: Graph) -> None:
    with pytest.raises(Unreachable, match="the application"):
        graph.wait_until_readable(lambda: None, "the application", seconds=0.05, first_delay=0.02)


def test_a_grant_is_extended_not_repeated(graph: Graph, api: httpx.Client, application: dict[str, Any]) -> None:
    client = graph.create_service_principal(application["appId"])
    resource = graph.service_principal(GRAPH_APP_ID)
    assert resource is not None
    body = {"clientId": client.object_id, "consentType": "AllPrincipals", "resourceId": resource.object_id}
    api.post("/v1.0/oauth2PermissionGrants", json={**body, "scope": "User.Read"}).raise_for_status()
    (grant,) = graph.grants(client.object_id)
    merged = graph.add_grant_scopes(grant, ["Mail.Send", "User.Read"])
    assert graph.grants(client.object_id) == [merged]
    assert set(merged.scopes) == {"Mail.Send", "User.Read"}


def test_a_tenant_policy_is_read_and_obeyed(graph: Graph, api: httpx.Client, application: dict[str, Any]) -> None:
    limit = {"restrictionType": "passwordLifetime", "state": "enabled", "maxLifetime": "P90D"}
    limit["restrictForAppsCreatedAfterDateTime"] = "2020-01-01T00:00:00Z"
    body = {"isEnabled": True, "applicationRestrictions": {"passwordCredentials": [limit]}}
    api.patch("/v1.0/policies/defaultAppManagementPolicy", json=body).raise_for_status()
    rules = graph.password_rules(application["id"])
    assert (rules.allowed, rules.max_lifetime) == (True, timedelta(days=90))
    with pytest.raises(PolicyRefuses):
        graph.add_password(application["id"], "CLOUDEX Secret A", END)


def test_an_application_may_not_verify_a_publisher(graph: Graph, application: dict[str, Any]) -> None:
    with pytest.raises((NotPermitted, InvalidInput)) as refused:
        graph.set_verified_publisher(application["id"], "7086574")
    assert refused.value.remedy


def test_a_token_that_expired_is_renewed(admin: CredentialSetting, endpoints: Endpoints, sandbox: Sandbox) -> None:
    sandbox.set_faults(token_lifetime=301)
    try:
        signed_in, _ = sign_in(admin, endpoints)
        sandbox.set_faults(token_lifetime=301, clock_skew=400)
        with Graph(signed_in, endpoints) as client:
            signed_in.forget()
            assert client.applications_by_tag("x") == []
    finally:
        sandbox.set_faults(token_lifetime=3599, clock_skew=0)
        sandbox.clear_faults()


def test_a_users_sessions_are_revoked(graph: Graph, api: httpx.Client, tenant: Tenant) -> None:
    user = next(iter(tenant.users))
    address = f"/v1.0/users/{user}?$select=signInSessionsValidFromDateTime"
    before = api.get(address).json()["signInSessionsValidFromDateTime"]
    time.sleep(1.1)  # Graph's moments are whole seconds
    graph.revoke_sessions(user)
    assert api.get(address).json()["signInSessionsValidFromDateTime"] > before
    with pytest.raises(InvalidInput, match="revoke the sessions of nobody@nowhere"):
        graph.revoke_sessions("nobody@nowhere")
