"""Who may do what: permissions of the token, roles of the user, ownership."""

from __future__ import annotations

import pytest

from provision.sandbox.graph.permissions import RULES
from provision.sandbox.graph.routes import ROUTES

ID = "11111111-2222-3333-4444-555555555555"


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.template}")
def test_every_operation_refuses_a_token_without_permissions(graph, route):
    """No path is left open by mistake: with no permission at all, nothing answers but a refusal."""
    path = route.template
    for name in ("application", "principal", "grant", "user", "group", "member", "role", "assignment", "credential"):
        path = path.replace(f"{{{name}}}", ID)
    for name in ("policy", "definition", "sku", "organization", "domain", "message", "signIn", "object", "location"):
        path = path.replace(f"{{{name}}}", ID)
    path = path.replace("{folder}", "inbox")
    body = {"json": {}} if route.needs_body else {}
    for token in (graph.app_token(), graph.user_token("ada", "openid")):
        version = "beta" if route.beta else "v1.0"
        answer = graph.call(route.method, path, token=token, version=version, **body)
        expected = {403, 404} if route.rule is None else {403}
        if "/me" in path and token == graph.app_token():
            expected = {400}
        assert answer.status_code in expected | ({400} if path.startswith("/me") else set()), (path, answer.text)
        assert "error" in answer.json()


def test_every_rule_is_used_and_every_route_has_one():
    """Deleted items and activity reports ask for theirs themselves."""
    used = {route.rule for route in ROUTES if route.rule}
    assert {name for name in RULES if not name.startswith(("deleted.", "signIn."))} == used


@pytest.mark.parametrize(
    ("role", "method", "path", "body", "status"),
    [
        ("Application.Read.All", "GET", "/applications", None, 200),
        ("Application.Read.All", "POST", "/applications", {"displayName": "x"}, 403),
        ("Application.ReadWrite.OwnedBy", "POST", "/applications", {"displayName": "x"}, 201),
        ("User.Read.All", "GET", "/applications", None, 403),
        ("User.Read.All", "GET", "/users", None, 200),
        ("Directory.Read.All", "GET", "/oauth2PermissionGrants", None, 200),
        ("Directory.Read.All", "GET", "/policies/identitySecurityDefaultsEnforcementPolicy", None, 403),
        ("Policy.Read.All", "GET", "/policies/identitySecurityDefaultsEnforcementPolicy", None, 200),
        ("Policy.Read.All", "PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": True}, 403),
        ("Policy.ReadWrite.SecurityDefaults", "PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", {}, 403),
        ("Mail.Read", "POST", "/users/ada@contoso.onmicrosoft.com/sendMail", {}, 403),
        ("Domain.Read.All", "GET", "/domains", None, 200),
        ("LicenseAssignment.Read.All", "GET", "/subscribedSkus", None, 200),
        ("RoleManagement.Read.Directory", "GET", "/roleManagement/directory/roleAssignments", None, 200),
    ],
)
def test_one_application_permission(graph, role, method, path, body, status):
    kwargs = {} if body is None else {"json": body}
    answer = graph.call(method, path, token=graph.app_token(role), **kwargs)
    assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["error"]["message"] == "Insufficient privileges to complete the operation."


def test_owned_by_manages_what_it_made_and_nothing_else(graph):
    """Application.ReadWrite.OwnedBy is what a pipeline's rotation runs with."""
    foreign = graph.new_application()
    token = graph.app_token("Application.ReadWrite.OwnedBy")
    own = graph.ok("POST", "/applications", json={"displayName": "own", "signInAudience": "AzureADMyOrg"}, token=token)
    owners = graph.ok("GET", f"/applications/{own['id']}/owners", token=token)["value"]
    assert len(owners) == 1
    graph.ok("POST", f"/applications/{own['id']}/addPassword", json={}, token=token)
    graph.ok("POST", "/servicePrincipals", json={"appId": own["appId"]}, token=token)
    for method, path, body in (
        ("POST", "addPassword", {}),
        ("POST", "removePassword", {"keyId": ID}),
        ("POST", "federatedIdentityCredentials", {}),
        ("POST", "owners/$ref", {"@odata.id": f"https://localhost:8443/v1.0/directoryObjects/{owners[0]['id']}"}),
        ("PATCH", "", {"displayName": "x"}),
        ("DELETE", "", None),
    ):
        kwargs = {} if body is None else {"json": body}
        refused = graph.call(method, f"/applications/{foreign['id']}/{path}".rstrip("/"), token=token, **kwargs)
        assert refused.status_code == 403, (method, path)
    refused = graph.call("POST", "/servicePrincipals", json={"appId": foreign["appId"]}, token=token)
    assert refused.status_code == 403
    link = {"@odata.id": f"https://localhost:8443/v1.0/directoryObjects/{owners[0]['id']}"}
    assert graph.call("POST", f"/applications/{foreign['id']}/owners/$ref", json=link).status_code == 204
    graph.ok("POST", f"/applications/{foreign['id']}/addPassword", json={}, token=token)


def test_a_user_without_a_role_manages_his_own_application_only(graph):
    scopes = ("Application.ReadWrite.All",)
    ada, bob = (graph.user_token(alias, *scopes) for alias in ("ada", "bob"))
    own = graph.ok("POST", "/applications", json={"displayName": "x", "signInAudience": "AzureADMyOrg"}, token=ada)
    graph.ok("POST", f"/applications/{own['id']}/addPassword", json={}, token=ada)
    graph.ok("POST", "/servicePrincipals", json={"appId": own["appId"]}, token=ada)
    assert graph.call("POST", f"/applications/{own['id']}/addPassword", json={}, token=bob).status_code == 403
    admin = graph.user_token("appadmin", *scopes)
    graph.ok("POST", f"/applications/{own['id']}/addPassword", json={}, token=admin)


DEVELOPER = "cf1c38e5-3621-4004-a7cb-879624dced7c"


@pytest.mark.parametrize(
    ("alias", "developer", "owns"),
    [("ada", False, True), ("ada", True, True), ("appadmin", False, False), ("appadmin", True, False)],
    ids=["no role", "Application Developer", "Application Administrator", "both roles"],
)
def test_who_registers_is_the_first_owner_unless_an_administrator(graph, alias, developer, owns):
    """`az ad app list --show-mine` of an administrator stays empty."""
    me = graph.user(alias)
    if developer:
        link = {"@odata.id": f"https://localhost:8443/v1.0/directoryObjects/{me['id']}"}
        members = f"/directoryRoles(roleTemplateId='{DEVELOPER}')/members"
        assert graph.call("POST", f"{members}/$ref", json=link).status_code == 204
    token = graph.user_token(alias, "Application.ReadWrite.All", "User.Read.All")
    own = graph.ok("POST", "/applications", json={"displayName": "x", "signInAudience": "AzureADMyOrg"}, token=token)
    principal = graph.ok("POST", "/servicePrincipals", json={"appId": own["appId"]}, token=token)
    expected = [me["id"]] if owns else []
    for path in (f"/applications/{own['id']}", f"/servicePrincipals/{principal['id']}"):
        assert [owner["id"] for owner in graph.ok("GET", f"{path}/owners", token=token)["value"]] == expected
    mine = graph.ok("GET", "/me/ownedObjects", token=token)["value"]
    assert {owned["id"] for owned in mine} == ({own["id"], principal["id"]} if owns else set())


def test_the_tenant_can_forbid_users_to_register_applications(graph):
    body = {"defaultUserRolePermissions": {"allowedToCreateApps": False}}
    assert graph.call("PATCH", "/policies/authorizationPolicy", json=body).status_code == 204
    new = {"displayName": "x", "signInAudience": "AzureADMyOrg"}
    ada = graph.user_token("ada", "Application.ReadWrite.All")
    assert graph.call("POST", "/applications", json=new, token=ada).status_code == 403
    admin = graph.user_token("appadmin", "Application.ReadWrite.All")
    assert graph.call("POST", "/applications", json=new, token=admin).status_code == 201


def test_a_role_given_to_a_user_counts_at_once(graph):
    token = graph.user_token("reader", "RoleManagement.ReadWrite.Directory", "DelegatedPermissionGrant.ReadWrite.All")
    made = graph.new_application()
    principal = graph.new_principal(made)
    grant = {
        "clientId": principal["id"],
        "consentType": "AllPrincipals",
        "resourceId": graph.resource()["id"],
        "scope": "User.Read",
    }
    assert graph.call("POST", "/oauth2PermissionGrants", json=grant, token=token).status_code == 403
    role = "/directoryRoles(roleTemplateId='158c047a-c907-4556-b7ef-446551a6b5f7')/members"
    link = {"@odata.id": f"https://localhost:8443/v1.0/directoryObjects/{graph.user('reader')['id']}"}
    assert graph.call("POST", f"{role}/$ref", json=link, token=token).status_code == 403
    assert graph.call("POST", f"{role}/$ref", json=link).status_code == 204
    assert graph.call("POST", f"{role}/$ref", json=link).status_code == 400
    assert graph.call("POST", "/oauth2PermissionGrants", json=grant, token=token).status_code == 201
    members = graph.ok("GET", role)["value"]
    assert [row["@odata.type"] for row in members] == ["#microsoft.graph.user"]
    assert graph.call("DELETE", f"{role}/{graph.user('reader')['id']}/$ref").status_code == 204


def test_the_last_global_administrator_stays(graph):
    path = "/directoryRoles(roleTemplateId='62e90394-69f5-4237-9190-012177145e10')/members"
    answer = graph.call("DELETE", f"{path}/{graph.user('admin')['id']}/$ref")
    assert answer.status_code == 400
    assert len(graph.ok("GET", path)["value"]) == 1


def test_user_read_shows_oneself_only(graph):
    ada = graph.user_token("ada", "User.Read")
    assert graph.ok("GET", "/me", token=ada)["userPrincipalName"] == graph.user("ada")["userPrincipalName"]
    assert graph.call("GET", f"/users/{graph.user('bob')['id']}", token=ada).status_code == 403
    basic = graph.user_token("ada", "User.ReadBasic.All")
    assert graph.call("GET", f"/users/{graph.user('bob')['id']}", token=basic).status_code == 200


def test_me_needs_somebody(graph):
    answer = graph.call("GET", "/me")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "/me request is only valid with delegated authentication flow."
