"""How users stand with multifactor authentication, as an administrator reads it."""

from __future__ import annotations

import pytest

DETAILS = "/reports/authenticationMethods/userRegistrationDetails"


def set_mfa(graph, alias: str, **private: object) -> str:
    """A seeded person with this private state; the user's id."""
    user = {**graph.user(alias), **private}
    graph.directory.replace(graph.tenant, "user", user)
    return str(user["id"])


def requirements(graph, who: str, token: str | None = None, version: str = "beta"):
    return graph.call("GET", f"{who}/authentication/requirements", token=token, version=version)


@pytest.mark.parametrize(
    ("private", "state", "registered"),
    [
        ({"_mfa": "off"}, "disabled", False),
        ({"_mfa": "required"}, "enforced", False),
        ({"_mfa": "registered"}, "enforced", True),
        ({"_mfa": "required", "_securityInfo": True}, "enforced", True),
        ({"_mfa": "off", "_securityInfo": True}, "disabled", True),
    ],
)
def test_the_state_and_what_is_registered_are_told(graph, private, state, registered):
    """Conditional Access makes a user register and leaves the per-user state alone."""
    identity = set_mfa(graph, "ada", **private)
    assert requirements(graph, f"/users/{identity}").json()["perUserMfaState"] == state
    name = graph.user("ada")["userPrincipalName"]
    assert requirements(graph, f"/users/{name}").json()["perUserMfaState"] == state
    one = graph.ok("GET", f"{DETAILS}/{identity}")
    assert (one["isMfaRegistered"], bool(one["methodsRegistered"])) == (registered, registered)
    (row,) = graph.ok("GET", f"{DETAILS}?$filter=userPrincipalName eq '{name}'")["value"]
    assert row["id"] == identity
    listed = graph.ok("GET", f"{DETAILS}?$filter=isMfaRegistered eq true")["value"]
    assert (identity in {each["id"] for each in listed}) == registered


def test_v1_does_not_know_the_state(graph):
    answer = requirements(graph, f"/users/{graph.user('ada')['id']}", version="v1.0")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "BadRequest")
    assert "'authentication'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        (("Policy.Read.All",), 200),
        (("Policy.ReadWrite.AuthenticationMethod",), 200),
        (("UserAuthenticationMethod.Read.All", "User.Read.All", "Directory.Read.All"), 403),
    ],
)
def test_the_state_takes_a_permission_for_policies(graph, permissions, status):
    token = graph.app_token(*permissions)
    assert requirements(graph, f"/users/{graph.user('ada')['id']}", token).status_code == status


def test_a_user_reads_the_own_state_and_others_only_with_a_role(graph):
    """Of those who read "acting on self" the page asks no role."""
    other = f"/users/{graph.user('ada')['id']}"
    scope = "Policy.Read.All"
    assert requirements(graph, "/me", graph.user_token("ada", scope)).status_code == 200
    assert requirements(graph, other, graph.user_token("ada", scope)).status_code == 403
    assert requirements(graph, other, graph.user_token("admin", scope)).status_code == 200
    assert requirements(graph, "/me", graph.app_token(scope)).status_code == 400


@pytest.mark.parametrize(
    ("permissions", "code"),
    [
        (("AuditLog.Read.All", "Directory.Read.All"), None),
        (("UserAuthenticationMethod.Read.All", "Directory.Read.All"), "Authentication_MSGraphPermissionMissing"),
        (("AuditLog.Read.All",), "Authentication_RequestFromNonPremiumTenantOrB2CTenant"),
    ],
)
def test_what_is_registered_is_read_like_the_sign_in_log(graph, permissions, code):
    identity = graph.user("ada")["id"]
    for path in (DETAILS, f"{DETAILS}/{identity}"):
        answer = graph.call("GET", path, token=graph.app_token(*permissions))
        assert answer.json().get("error", {}).get("code") == code, answer.text


def test_who_is_not_there_is_not_found(graph):
    for who in ("11111111-2222-3333-4444-555555555555", "nobody"):
        assert graph.call("GET", f"{DETAILS}/{who}").status_code == 404
        assert requirements(graph, f"/users/{who}").status_code == 404
