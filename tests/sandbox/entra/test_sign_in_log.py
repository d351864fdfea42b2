"""What the token endpoint and the pages write into the sign-in log, as an administrator's program reads it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from entra_tenant import GRAPH, App, Entra

from provision.sandbox import Sandbox
from provision.sandbox.graph import schema

SERVICE_PRINCIPALS = "signInEventTypes/any(t: t eq 'servicePrincipal')"
NOT_INTERACTIVE = "signInEventTypes/any(t: t eq 'nonInteractiveUser')"


def read(
    entra: Entra, *, version: str = "beta", headers: dict[str, str] | None = None, **options: str
) -> httpx.Response:
    parameters = {f"${name}": value for name, value in options.items()}
    return entra.http.get(f"/{version}/auditLogs/signIns", params=parameters, headers=headers or entra.admin)


def entries(entra: Entra, *, version: str = "beta", **options: str) -> list[dict[str, Any]]:
    answer = read(entra, version=version, **options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["value"]
    return found


def of_app(entra: Entra, app: App, events: str = SERVICE_PRINCIPALS) -> list[dict[str, Any]]:
    """The entries of one application, newest first, as an emergency rotation asks for them."""
    since = (datetime.now(UTC) - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return entries(entra, filter=f"appId eq '{app.client_id}' and createdDateTime ge {since} and {events}")


def test_an_applications_sign_in_names_the_secret_it_used(entra: Entra, app: App) -> None:
    """Who still uses which secret, from where: what decides whether the old one can go."""
    other = entra.graph("POST", f"/applications/{app.object_id}/addPassword", {})
    entra.app_only(app)
    entra.app_only(app, client_secret=other["secretText"])
    second, first = of_app(entra, app)
    keys = [first["servicePrincipalCredentialKeyId"], second["servicePrincipalCredentialKeyId"]]
    assert keys == [app.key_id, other["keyId"]]
    assert first["status"] == {"errorCode": 0, "failureReason": "Other.", "additionalDetails": None}
    assert (first["ipAddress"], first["isInteractive"], first["userId"]) == ("127.0.0.1", False, "")
    assert (first["servicePrincipalId"], first["servicePrincipalName"]) == (app.principal_id, "CLOUDEX TMS")
    assert (first["resourceDisplayName"], first["resourceId"]) == ("Microsoft Graph", GRAPH)
    assert (first["clientCredentialType"], first["signInEventTypes"]) == ("clientSecret", ["servicePrincipal"])


def test_refused_sign_ins_say_why(entra: Entra, app: App) -> None:
    """An unknown secret has no key id, an expired one has."""
    soon = (datetime.now(UTC) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = {"passwordCredential": {"endDateTime": soon}}
    short = entra.graph("POST", f"/applications/{app.object_id}/addPassword", wanted)
    entra.app_only(app, client_secret="unknown")
    entra.sandbox.set_faults(clock_skew=1200)
    entra.app_only(app, client_secret=short["secretText"])
    entra.graph("PATCH", f"/servicePrincipals/{app.principal_id}", {"accountEnabled": False})
    entra.app_only(app)
    disabled, expired, unknown = of_app(entra, app)
    assert [entry["status"]["errorCode"] for entry in (unknown, expired, disabled)] == [7000215, 7000222, 7000112]
    assert unknown["status"]["failureReason"].startswith("Invalid client secret provided.")
    assert (unknown["servicePrincipalCredentialKeyId"], expired["servicePrincipalCredentialKeyId"]) == (
        "",
        short["keyId"],
    )
    assert unknown["resourceDisplayName"] == "Microsoft Graph"
    assert of_app(entra, app, f"{SERVICE_PRINCIPALS} and status/errorCode eq 7000222") == [expired]


def test_a_federated_credential_is_named_instead_of_a_secret(entra: Entra, app: App, sandbox: Sandbox) -> None:
    subject = "repo:contoso/mail:ref:refs/heads/main"
    trust = {
        "name": "ci-main",
        "issuer": f"{sandbox.base_url}/_oidc/github",
        "subject": subject,
        "audiences": ["api://AzureADTokenExchange"],
    }
    made = entra.graph("POST", f"/applications/{app.object_id}/federatedIdentityCredentials", trust)
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    token = sandbox.ci_token("github", subject)
    assert entra.app_only(app, client_secret="", client_assertion=token, client_assertion_type=kind).status_code == 200
    (entry,) = of_app(entra, app)
    assert (entry["federatedCredentialId"], entry["servicePrincipalCredentialKeyId"]) == (made["id"], "")
    assert entry["clientCredentialType"] == "federatedIdentityCredential"


def test_v1_shows_the_interactive_sign_ins_of_users(entra: Entra, app: App) -> None:
    """The page is interactive; what the application then does with code and refresh token is not."""
    entra.app_only(app)
    tokens = entra.tokens(app)
    entra.refresh(app, tokens["refresh_token"])
    wanted = f"appId eq '{app.client_id}'"
    (entry,) = entries(entra, version="v1.0", filter=wanted)
    assert (entry["userPrincipalName"], entry["isInteractive"]) == (entra.upn("ada"), True)
    assert (entry["clientAppUsed"], entry["resourceDisplayName"]) == ("Browser", "Microsoft Graph")
    assert entries(entra, filter=wanted)[0]["id"] == entry["id"]
    refreshed, redeemed = of_app(entra, app, NOT_INTERACTIVE)
    assert [row["userPrincipalName"] for row in (refreshed, redeemed)] == [entra.upn("ada")] * 2
    assert {row["servicePrincipalCredentialKeyId"] for row in (refreshed, redeemed)} == {""}


def test_wrong_passwords_and_policies_are_logged(entra: Entra, app: App) -> None:
    """On the page and through the password grant alike."""
    entra.sign_in(entra.authorize(app), password="wrong")
    form = {"grant_type": "password", "client_id": app.client_id, "client_secret": app.secret, "scope": "Mail.Send"}
    entra.token(**form, username=entra.upn("ada"), password="wrong")
    entra.token(**form, username=entra.upn("ada"), password=entra.tenant.users[entra.upn("ada")])
    entra.graph("PATCH", f"/servicePrincipals/{app.principal_id}", {"appRoleAssignmentRequired": True})
    entra.sign_in(entra.authorize(app))
    rows = entries(entra, filter=f"appId eq '{app.client_id}'")
    logged = [(row["authenticationProtocol"], row["status"]["errorCode"]) for row in reversed(rows)]
    assert logged == [("oAuth2", 50126), ("ropc", 50126), ("ropc", 0), ("oAuth2", 50105)]


def test_what_cannot_be_laid_to_anybody_is_not_logged(entra: Entra, app: App) -> None:
    entra.app_only(app, client_id=str(uuid.uuid4()))
    entra.redeem(app, "rubbish")
    entra.token(
        grant_type="client_credentials", client_id=app.client_id, client_secret=app.secret, tenant="organizations"
    )
    assert of_app(entra, app) == of_app(entra, app, NOT_INTERACTIVE) == []


def test_the_correlation_id_is_the_clients(entra: Entra, app: App) -> None:
    correlation = str(uuid.uuid4())
    form = {"grant_type": "client_credentials", "client_id": app.client_id, "client_secret": app.secret}
    scope = "https://graph.microsoft.com/.default"
    answer = entra.token(**form, scope=scope, headers={"client-request-id": correlation, "User-Agent": "tms/1"})
    (entry,) = of_app(entra, app)
    assert (entry["correlationId"], entry["userAgent"]) == (correlation, "tms/1")
    assert entry["id"] == answer.headers["x-ms-request-id"]


def test_pages_of_the_log_are_followed_to_the_end(entra: Entra, app: App) -> None:
    for _ in range(5):
        entra.app_only(app)
    answer = read(entra, filter=f"appId eq '{app.client_id}' and {SERVICE_PRINCIPALS}", top="2")
    sizes, found = [], []
    while True:
        body = answer.json()
        sizes.append(len(body["value"]))
        found += [row["id"] for row in body["value"]]
        if "@odata.nextLink" not in body:
            break
        answer = entra.http.get(body["@odata.nextLink"], headers=entra.admin)
    assert (sizes, len(set(found))) == ([2, 2, 1], 5)
    assert read(entra, top="1000").status_code == 200
    assert read(entra, top="1001").json()["error"]["message"].startswith("Invalid page size specified: '1001'.")


def test_entries_are_kept_thirty_days(entra: Entra, app: App) -> None:
    entra.app_only(app)
    wanted = f"appId eq '{app.client_id}' and {SERVICE_PRINCIPALS}"
    entra.sandbox.set_faults(clock_skew=-31 * 86400)
    entra.app_only(app)
    entra.sandbox.clear_faults()
    assert len(entries(entra, filter=wanted)) == 1


def test_v1_knows_no_event_types_and_shows_only_its_own_properties(entra: Entra, app: App) -> None:
    refused = read(entra, version="v1.0", filter=SERVICE_PRINCIPALS)
    assert refused.status_code == 400
    assert "'signInEventTypes' on type 'microsoft.graph.signIn'" in refused.json()["error"]["message"]
    entra.code(app)
    (entry,) = entries(entra, version="v1.0", filter=f"appId eq '{app.client_id}'")
    assert set(entry) == set(schema.graph_type("signIn").properties)
    one = entra.graph("GET", f"/auditLogs/signIns/{entry['id']}?$select=appId,status")
    assert one["status"] == entry["status"]
    (shown,) = entries(entra, filter=f"appId eq '{app.client_id}'", select="id,signInEventTypes")
    assert set(shown) == {"id", "signInEventTypes"}


def test_a_comparison_of_the_wrong_type_is_refused(entra: Entra) -> None:
    refused = read(entra, filter="signInEventTypes eq 'servicePrincipal'")
    assert "is not a single value" in refused.json()["error"]["message"]


def reader(entra: Entra, *permissions: str) -> dict[str, str]:
    app = entra.register()
    entra.allow(app, *permissions)
    return {"Authorization": f"Bearer {entra.app_only(app).json()['access_token']}"}


@pytest.mark.parametrize(
    ("permissions", "code"),
    [
        (("AuditLog.Read.All", "Directory.Read.All"), None),
        (("Directory.Read.All",), "Authentication_MSGraphPermissionMissing"),
        (("AuditLog.Read.All",), "Authentication_RequestFromNonPremiumTenantOrB2CTenant"),
    ],
)
def test_an_application_needs_both_permissions(entra: Entra, permissions: tuple[str, ...], code: str | None) -> None:
    """With AuditLog.Read.All alone the check of the licence fails, which "List signIns" calls a known issue."""
    answer = read(entra, headers=reader(entra, *permissions))
    assert (answer.status_code, answer.json().get("error", {}).get("code")) == (403 if code else 200, code)


def test_a_user_needs_a_reporting_role(entra: Entra) -> None:
    app = entra.register()
    entra.consent(app, "AuditLog.Read.All Directory.Read.All Mail.Send User.Read")
    answers = {}
    for alias in ("admin", "ada"):
        entra.http.cookies.clear()
        answers[alias] = read(entra, headers={"Authorization": f"Bearer {entra.tokens(app, alias)['access_token']}"})
    assert answers["admin"].status_code == 200
    assert answers["ada"].status_code == 403
    assert answers["ada"].json()["error"]["code"] == "Authentication_RequestFromUnsupportedUserRole"


def test_a_tenant_without_entra_id_p1_has_no_log_to_read(http: httpx.Client, sandbox: Sandbox) -> None:
    free = Entra(http, sandbox.new_tenant(edition="free"), sandbox)
    refused = read(free, version="v1.0")
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "Authentication_RequestFromNonPremiumTenantOrB2CTenant"
    owned = free.graph("GET", "/subscribedSkus")["value"]
    assert "AAD_PREMIUM" not in {sku["skuPartNumber"] for sku in owned}
