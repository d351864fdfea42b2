"""Service principals, delegated grants and application permissions."""

from __future__ import annotations

import pytest

from provision.sandbox import published, seed

NOBODY = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def mail_app(graph):
    made = graph.new_application()
    return made, graph.new_principal(made)


def _grant(graph, principal, **changes):
    return {
        "clientId": principal["id"],
        "consentType": "AllPrincipals",
        "principalId": None,
        "resourceId": graph.resource()["id"],
        "scope": "Mail.Send User.Read offline_access",
        **changes,
    }


def test_a_service_principal_is_one_per_application(graph, mail_app):
    application, principal = mail_app
    assert principal["appOwnerOrganizationId"] == graph.tenant
    assert principal["servicePrincipalNames"] == [application["appId"]]
    again = graph.call("POST", "/servicePrincipals", json={"appId": application["appId"]})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "Request_MultipleObjectsWithSameKeyValue")
    assert "already in use" in again.json()["error"]["message"]


def test_a_multitenant_application_of_another_tenant_can_come_in_a_single_tenant_one_cannot(graph):
    other = seed.create_tenant(graph.directory, domain="fabrikam.onmicrosoft.com", base_url="https://localhost:8443")
    for audience, status in (("AzureADMultipleOrgs", 201), ("AzureADMyOrg", 400)):
        made = graph.new_application(signInAudience=audience)
        document = graph.directory.get(graph.tenant, "application", made["id"])
        graph.directory.remove(graph.tenant, "application", made["id"])
        graph.directory.insert(other.tenant_id, "application", document)
        answer = graph.call("POST", "/servicePrincipals", json={"appId": made["appId"]})
        assert answer.status_code == status
        if status == 201:
            assert answer.json()["appOwnerOrganizationId"] == other.tenant_id


def test_a_grant_for_all_is_made_changed_and_removed(graph, mail_app):
    grant = graph.ok("POST", "/oauth2PermissionGrants", json=_grant(graph, mail_app[1]))
    again = graph.call("POST", "/oauth2PermissionGrants", json=_grant(graph, mail_app[1], scope="User.Read"))
    assert (again.status_code, again.json()["error"]["code"]) == (409, "Request_MultipleObjectsWithSameKeyValue")
    assert again.json()["error"]["message"] == "Permission entry already exists."
    path = f"/oAuth2PermissionGrants/{grant['id']}"
    assert graph.call("PATCH", path, json={"scope": "Mail.Send"}).status_code == 204
    assert graph.ok("GET", path)["scope"] == "Mail.Send"
    assert graph.call("PATCH", path, json={"resourceId": NOBODY}).status_code == 400
    assert graph.call("DELETE", path).status_code == 204
    assert graph.call("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"scope": "Mail.Fly"}, 400),
        ({"scope": ""}, 400),
        ({"consentType": "Everybody"}, 400),
        ({"consentType": "Principal"}, 400),
        ({"principalId": NOBODY}, 400),
        ({"consentType": "Principal", "principalId": NOBODY}, 404),
        ({"resourceId": NOBODY}, 404),
        ({"clientId": "x"}, 400),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(graph, mail_app, changes, status):
    answer = graph.call("POST", "/oauth2PermissionGrants", json=_grant(graph, mail_app[1], **changes))
    assert answer.status_code == status, answer.text
    assert graph.directory.all(graph.tenant, "oauth2PermissionGrant") == []


def test_a_grant_for_one_person_stands_beside_the_one_for_all(graph, mail_app):
    ada = graph.user("ada")["id"]
    graph.ok("POST", "/oauth2PermissionGrants", json=_grant(graph, mail_app[1]))
    own = graph.ok(
        "POST", "/oauth2PermissionGrants", json=_grant(graph, mail_app[1], consentType="Principal", principalId=ada)
    )
    assert own["principalId"] == ada
    listed = graph.ok("GET", f"/oauth2PermissionGrants?$filter=clientId+eq+'{mail_app[1]['id']}'")["value"]
    assert len(listed) == 2
    assert graph.ok("GET", f"/servicePrincipals/{mail_app[1]['id']}/oauth2PermissionGrants")["value"] == listed


def _assignment(graph, principal, role=None, **changes):
    return {
        "appRoleId": role or published.role_id(published.GRAPH_APP_ID, "Mail.Send"),
        "principalId": principal["id"],
        "resourceId": graph.resource()["id"],
        **changes,
    }


def test_an_application_permission_is_assigned_once_and_removed(graph, mail_app):
    path = f"/servicePrincipals/{graph.resource()['id']}/appRoleAssignedTo"
    made = graph.ok("POST", path, json=_assignment(graph, mail_app[1]))
    assert (made["principalType"], made["resourceDisplayName"]) == ("ServicePrincipal", "Microsoft Graph")
    again = graph.call("POST", path, json=_assignment(graph, mail_app[1]))
    assert "already exists on the object" in again.json()["error"]["message"]
    held = graph.ok("GET", f"/servicePrincipals/{mail_app[1]['id']}/appRoleAssignments")["value"]
    assert [row["id"] for row in held] == [made["id"]]
    assert graph.call("DELETE", f"{path}/{made['id']}").status_code == 204
    assert graph.call("GET", f"{path}/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"role": NOBODY}, "Permission being assigned was not found on application"),
        ({"principalId": NOBODY}, "Not a valid reference update"),
        ({"resourceId": NOBODY}, "resourceId"),
    ],
)
def test_an_unknown_role_or_party_is_refused(graph, mail_app, changes, sentence):
    path = f"/servicePrincipals/{graph.resource()['id']}/appRoleAssignedTo"
    answer = graph.call("POST", path, json=_assignment(graph, mail_app[1], **changes))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_BadRequest")
    assert sentence in answer.json()["error"]["message"]


def test_microsofts_own_principal_is_not_ours_to_change(graph):
    path = f"/servicePrincipals/{graph.resource()['id']}"
    assert graph.call("PATCH", path, json={"displayName": "Mine"}).status_code == 403
    assert graph.call("DELETE", path).status_code == 400


def test_an_application_administrator_consents_to_delegated_but_not_to_graphs_application_permissions(graph, mail_app):
    """As the list of built-in roles says of the Application Administrator."""
    token = graph.user_token("appadmin", "Directory.AccessAsUser.All", "AppRoleAssignment.ReadWrite.All")
    assert (
        graph.call("POST", "/oauth2PermissionGrants", json=_grant(graph, mail_app[1]), token=token).status_code == 201
    )
    path = f"/servicePrincipals/{graph.resource()['id']}/appRoleAssignedTo"
    assert graph.call("POST", path, json=_assignment(graph, mail_app[1]), token=token).status_code == 403
    admin = graph.user_token("admin", "Directory.AccessAsUser.All", "AppRoleAssignment.ReadWrite.All")
    assert graph.call("POST", path, json=_assignment(graph, mail_app[1]), token=admin).status_code == 201
