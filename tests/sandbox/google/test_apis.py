"""Google's token endpoint and APIs as unmodified google-auth and google-api-python-client meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.oauth2 import service_account
from google_auth_httplib2 import AuthorizedHttp
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from httplib2 import Http

from provision.sandbox import Sandbox

Make = Callable[..., dict[str, Any]]
AUTH = "https://www.googleapis.com/auth"
USERS, SECURITY = f"{AUTH}/admin.directory.user.readonly", f"{AUTH}/admin.directory.user.security"
UNITS, POLICIES = f"{AUTH}/admin.directory.orgunit.readonly", f"{AUTH}/cloud-identity.policies.readonly"
ALL = (USERS, SECURITY, UNITS, POLICIES)
BOSS = {"alias": "boss", "admin": True}


@pytest.fixture
def client(sandbox: Sandbox, trusting: Path) -> Callable[..., Any]:
    """The API client of a customer's service account, acting as one of his users."""

    def make(made: dict[str, Any], subject: str | None, scopes: tuple[str, ...] = ALL, api: str = "admin") -> Any:
        credentials = service_account.Credentials.from_service_account_info(made["serviceAccount"], scopes=scopes)
        if subject is not None:
            credentials = credentials.with_subject(subject)
        name, version = ("admin", "directory_v1") if api == "admin" else ("cloudidentity", "v1")
        options = {"api_endpoint": f"{sandbox.base_url}/_google/"}
        http = AuthorizedHttp(credentials, http=Http(ca_certs=str(trusting)))
        return build(name, version, http=http, client_options=options, cache_discovery=False)

    return make


def boss(made: dict[str, Any]) -> str:
    return f"boss@{made['domain']}"


def test_a_user_tells_his_two_steps_and_his_app_passwords(customer: Make, client: Callable[..., Any]) -> None:
    made = customer(
        scopes=ALL,
        orgUnits={"/Drivers": {"enforce2sv": "any"}},
        users=[BOSS, {"alias": "anna", "enrolled": True, "appPassword": True, "orgUnit": "/Drivers"}],
    )
    directory = client(made, boss(made))
    anna = directory.users().get(userKey=f"anna@{made['domain']}").execute()
    assert (anna["isEnrolledIn2Sv"], anna["isEnforcedIn2Sv"], anna["suspended"]) == (True, True, False)
    assert anna["orgUnitPath"] == "/Drivers"
    asps = directory.asps().list(userKey=anna["id"]).execute()
    assert [(one["name"], one["codeId"], one["userKey"]) for one in asps["items"]] == [("Mail", 1, anna["id"])]
    assert "items" not in directory.asps().list(userKey=boss(made)).execute()


def test_the_policy_api_tells_what_a_unit_allows(customer: Make, client: Callable[..., Any]) -> None:
    made = customer(
        scopes=ALL, orgUnits={"/": {"allow2sv": False}, "/Keys": {"enforce2sv": "securityKeys"}}, users=[BOSS]
    )
    unit = client(made, boss(made)).orgunits().get(customerId="my_customer", orgUnitPath="Keys").execute()
    asked = "setting.type.matches('security.two_step_verification.*')"
    rows = client(made, boss(made), api="cloudidentity").policies().list(filter=asked).execute()["policies"]
    told = {(row["policyQuery"]["orgUnit"], row["setting"]["type"]): row["setting"]["value"] for row in rows}
    key = f"orgUnits/{unit['orgUnitId'].removeprefix('id:')}"
    factor = "settings/security.two_step_verification_enforcement_factor"
    assert told[(key, factor)] == {"allowedSignInFactorSet": "PASSKEY_ONLY"}
    enrollment = "settings/security.two_step_verification_enrollment"
    assert {value["allowEnrollment"] for (_, name), value in told.items() if name == enrollment} == {True, False}


@pytest.mark.parametrize(
    ("change", "status", "reason", "says"),
    [
        ({"apiEnabled": False}, 403, "accessNotConfigured", "Admin SDK API has not been used in project"),
        ({"scopes": (SECURITY,)}, 403, "insufficientPermissions", "Request had insufficient authentication scopes."),
        ({"users": [{"alias": "boss"}]}, 403, "forbidden", "Not Authorized to access this resource/api"),
        ({}, 404, "notFound", "Resource Not Found: userKey"),
    ],
)
def test_an_api_refuses_by_reason(
    customer: Make, client: Callable[..., Any], change: dict[str, Any], status: int, reason: str, says: str
) -> None:
    made = customer(**{"scopes": ALL, "users": [BOSS], **change})
    scopes = tuple(change.get("scopes", ALL))
    with pytest.raises(HttpError) as refused:
        client(made, boss(made), scopes).users().get(userKey=f"nobody@{made['domain']}").execute()
    body = json.loads(refused.value.content)["error"]
    assert (refused.value.status_code, body["errors"][0]["reason"]) == (status, reason)
    assert says in body["message"]


def test_another_customers_user_and_an_account_without_a_subject_reach_nothing(
    customer: Make, client: Callable[..., Any]
) -> None:
    mine, other = customer(scopes=ALL, users=[BOSS]), customer(users=[{"alias": "anna"}])
    for subject, key in ((boss(mine), f"anna@{other['domain']}"), (None, boss(mine))):
        with pytest.raises(HttpError) as refused:
            client(mine, subject).users().get(userKey=key).execute()
        assert refused.value.status_code == 403


def refreshed(info: dict[str, Any], subject: str | None, scopes: tuple[str, ...] = ALL) -> str:
    """The error of a token request."""
    credentials = service_account.Credentials.from_service_account_info(info, scopes=scopes, subject=subject)
    with pytest.raises(RefreshError) as refused:
        credentials.refresh(Request())
    return str(refused.value.args[0])


def test_each_way_to_miss_a_token_has_its_error(customer: Make, sandbox: Sandbox, trusting: Path) -> None:
    made, none = customer(scopes=[USERS], users=[BOSS]), customer(users=[BOSS])
    info = made["serviceAccount"]
    assert refreshed(none["serviceAccount"], boss(none)).startswith("unauthorized_client: Client is unauthorized to")
    assert refreshed(info, boss(made)) == "access_denied: Requested client not authorized."
    assert refreshed(info, boss(none), (USERS,)).startswith("unauthorized_client:")
    assert refreshed(info, f"nobody@{made['domain']}") == "invalid_grant: Invalid email or User ID"
    assert refreshed(info, boss(made), ("https://example.com/scope",)).startswith("invalid_scope:")
    stranger = {**info, "client_email": "who@else.iam.gserviceaccount.com"}
    assert refreshed(stranger, boss(made)) == "invalid_grant: Invalid grant: account not found"
    forged = {**info, "private_key": none["serviceAccount"]["private_key"]}
    assert refreshed(forged, boss(made)) == "invalid_grant: Invalid JWT Signature."
    sandbox.set_faults(clock_skew=9000)
    assert refreshed(info, boss(made), (USERS,)).startswith("invalid_grant: Invalid JWT: Token must be a short-lived")


def test_a_token_ends(customer: Make, client: Callable[..., Any], sandbox: Sandbox) -> None:
    made = customer(scopes=ALL, users=[BOSS])
    directory = client(made, boss(made))
    assert directory.users().get(userKey=boss(made)).execute()["isAdmin"]
    token = directory._http.credentials.token
    sandbox.set_faults(clock_skew=4000)
    url = f"{sandbox.base_url}/_google/admin/directory/v1/users/{boss(made)}"
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_a_customer_is_made_only_of_what_exists(customer: Make) -> None:
    for wanted, says in (
        ({"colour": "red"}, "a customer has no 'colour'"),
        ({"users": [{"alias": "a", "colour": 1}]}, "a Google user has no 'colour'"),
        ({"users": [{"alias": "a", "orgUnit": "/X"}]}, "there is no organisational unit /X"),
        ({"orgUnits": {"/": {"enforce2sv": "maybe"}}}, "enforce2sv of / is one of"),
        ({"users": [{"alias": "a", "appPassword": True}]}, "app passwords do not exist for this user"),
    ):
        with pytest.raises(Exception, match=says):
            customer(**wanted)
