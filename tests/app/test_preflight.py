"""The pre-flight against the local tenant: what must stop a run stops it before anything is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from provision.app import ownership, rights
from provision.app.adopt import import_plan
from provision.app.preflight import Held, Preflight, SeveralRegistrations, finish_interrupted_create, preflight
from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, SignInFailed
from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.microsoft.objects import GRAPH_APP_ID, Grant
from provision.microsoft.tokens import Caller
from provision.sandbox import Sandbox, Tenant
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints
from provision.settings.stack import StackSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROJECT, STACK = "office365-mail", "acme"
OWNED_BY_ID = "18a4783c-866b-4cc7-a460-3d5e5662c884"
SCOPES = ("Mail.Send", "User.Read", "offline_access")


def settings(**own: str) -> StackSettings:
    config = {f"office365-mail:{key}": value for key, value in {"companyCode": "Acme", **own}.items()}
    return StackSettings.from_config(config)


@pytest.fixture
def caller(tenant: Tenant) -> Caller:
    roles = ("Application.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All")
    return Caller(tenant.tenant_id, "11111111-1111-1111-1111-111111111111", "a", "app", "CI", roles=roles)


@pytest.fixture
def run(endpoints: Endpoints, graph: Graph, caller: Caller) -> Any:
    def check(asked: StackSettings | None = None, who: Caller | None = None) -> Preflight:
        return preflight(asked or settings(), endpoints, who or caller, graph, project=PROJECT, stack=STACK, now=NOW)

    return check


def make(api: httpx.Client, **more: Any) -> dict[str, Any]:
    tags = list(ownership.tags(PROJECT, STACK))
    answer = api.post(
        "/v1.0/applications", json={"displayName": "Mail", "signInAudience": "AzureADMyOrg", "tags": tags, **more}
    )
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    return made


def restrict(api: httpx.Client, kind: str, **more: str) -> None:
    rule = {"restrictionType": kind, "state": "enabled", "restrictForAppsCreatedAfterDateTime": "2020-01-01T00:00:00Z"}
    body = {"isEnabled": True, "applicationRestrictions": {"passwordCredentials": [{**rule, **more}]}}
    api.patch("/v1.0/policies/defaultAppManagementPolicy", json=body).raise_for_status()


def test_a_fresh_tenant(run: Any, caller: Caller) -> None:
    got = run()
    assert got.redirect_uri == "https://my.cloudex.app/Acme/Services/Office365Callback.aspx"
    assert tuple(got.scope_ids) == SCOPES
    assert got.scope_ids["Mail.Send"] == "e383f46e-2787-4529-855e-0e479a3ffac0"
    assert got.secret_end == datetime(2028, 11, 23, tzinfo=UTC)
    assert (got.can_consent, got.must_own, got.existing, got.notes) == (True, False, (), ())
    assert got.granted_scopes(settings()) == SCOPES
    assert (got.tenant_id, got.caller) == (caller.tenant_id, "CI")


def test_what_was_found_travels_to_the_program_whole(run: Any, api: httpx.Client) -> None:
    make(api)
    got = run()
    assert got.existing
    assert Preflight.from_json(got.to_json()) == got


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"endpoints": {"login": "https://x"}}'])
def test_a_foreign_variable_is_no_preflight(text: str) -> None:
    with pytest.raises(InvalidInput, match="PROVISION_PREFLIGHT"):
        Preflight.from_json(text)


def test_nothing_is_changed_by_looking(run: Any, sandbox: Sandbox) -> None:
    before = len(sandbox.log())
    run()
    changing = [line for line in sandbox.log()[before:] if line["method"] != "GET"]
    assert [line["path"] for line in changing if "/oauth2/v2.0/token" not in line["path"]] == []


def test_another_tenant_than_the_intended_one(run: Any, sandbox: Sandbox, caller: Caller) -> None:
    other = sandbox.new_tenant()
    with pytest.raises(SignInFailed) as refused:
        run(replace(settings(), tenant_id=other.tenant_id))
    assert caller.tenant_id in refused.value.message
    assert other.tenant_id in refused.value.message


def test_an_unknown_or_mixed_up_permission(run: Any) -> None:
    with pytest.raises(InvalidInput, match=r"spelled Mail\.Send"):
        run(settings(extraScopes="mail.send"))
    with pytest.raises(InvalidInput, match="application permission"):
        run(settings(extraScopes="Application.ReadWrite.OwnedBy"))


def test_who_may_not_register(run: Any, caller: Caller) -> None:
    with pytest.raises(NotPermitted, match="without the application permission"):
        run(who=replace(caller, roles=("Mail.Send",)))


def test_a_user_without_a_role_depends_on_the_tenant(run: Any, caller: Caller, api: httpx.Client) -> None:
    ada = replace(caller, kind="user", name="ada", roles=(), scopes=("Directory.AccessAsUser.All",))
    got = run(who=ada)
    assert (got.must_own, got.can_consent) == (True, False)
    body = {"defaultUserRolePermissions": {"allowedToCreateApps": False}}
    api.patch("/v1.0/policies/authorizationPolicy", json=body).raise_for_status()
    with pytest.raises(NotPermitted, match="no role"):
        run(who=ada)
    admin = replace(ada, directory_role_template_ids=(rights.APPLICATION_ADMINISTRATOR,))
    assert run(who=admin).must_own is False


def test_no_right_to_consent_is_no_error(run: Any, caller: Caller) -> None:
    got = run(who=replace(caller, roles=("Application.ReadWrite.OwnedBy",)))
    assert (got.can_consent, got.must_own) == (False, True)
    assert got.consent_pending(settings()) == SCOPES
    assert any("consent" in note for note in got.notes)


def test_the_policys_longest_lifetime_is_taken_and_said(run: Any, api: httpx.Client) -> None:
    restrict(api, "passwordLifetime", maxLifetime="P180D")
    got = run()
    assert NOW + timedelta(days=179) < got.secret_end <= NOW + timedelta(days=180)
    assert any("180 days" in note for note in got.notes)


def test_forbidden_secrets_stop_the_run(run: Any, api: httpx.Client) -> None:
    restrict(api, "passwordAddition")
    with pytest.raises(PolicyRefuses, match="default app management policy"):
        run()


def test_a_killed_runs_registration_is_recognised(run: Any, api: httpx.Client, graph: Graph) -> None:
    made = make(api, displayName="TERRAFORM_UPDATE_0f0f")
    got = run()
    assert [app.object_id for app in got.existing] == [made["id"]]
    finish_interrupted_create(got, settings(), graph)
    found = graph.application(made["id"])
    assert found is not None
    assert found.display_name == "CLOUDEX TMS Email Integration"


def test_a_consent_given_on_the_consent_page_is_taken_over(run: Any, api: httpx.Client, graph: Graph) -> None:
    made = make(api)
    client, resource = graph.create_service_principal(made["appId"]), graph.service_principal(GRAPH_APP_ID)
    assert resource is not None
    body = {"clientId": client.object_id, "resourceId": resource.object_id, "consentType": "AllPrincipals"}
    scope = "Mail.Send User.Read offline_access Calendars.Read"
    api.post("/v1.0/oauth2PermissionGrants", json={**body, "scope": scope}).raise_for_status()
    got = run()
    assert got.grant_id == graph.grants(client.object_id)[0].id
    assert set(got.granted_scopes(settings())) == {*SCOPES, "Calendars.Read"}
    assert any("Calendars.Read" in note for note in got.notes)
    application = graph.application(made["id"])
    assert application is not None
    plan = import_plan(application, graph)
    assert [(entry.name, entry.id) for entry in plan] == [
        ("mail", ""),
        ("mail-application", f"/applications/{made['id']}"),
        ("mail-service-principal", f"/servicePrincipals/{client.object_id}"),
        ("mail-consent", f"/oauth2PermissionGrants/{got.grant_id}"),
    ]


def test_told_not_to_consent_a_consent_is_left_as_it_is(run: Any, api: httpx.Client, graph: Graph) -> None:
    """Another administrator's consent taken away would stop the product's mail at once."""
    silent = settings(grantConsent="false")
    assert run(silent).granted_scopes(silent) == ()
    made = make(api)
    client, resource = graph.create_service_principal(made["appId"]), graph.service_principal(GRAPH_APP_ID)
    assert resource is not None
    body = {"clientId": client.object_id, "resourceId": resource.object_id, "consentType": "AllPrincipals"}
    api.post("/v1.0/oauth2PermissionGrants", json={**body, "scope": "Mail.Send"}).raise_for_status()
    got = run(silent)
    assert got.granted_scopes(silent) == ("Mail.Send",)
    assert got.consent_pending(silent) == ("User.Read", "offline_access")
    assert any("grantConsent is false" in note and "Revoke it" in note for note in got.notes)


def test_a_caller_that_may_not_list_grants_leaves_the_last_runs_consent_alone(
    api: httpx.Client, admin: CredentialSetting, endpoints: Endpoints, caller: Caller
) -> None:
    """A pipeline with Application.ReadWrite.OwnedBy alone; without the state's record there is nothing to go by."""
    graph_id = api.get(f"/v1.0/servicePrincipals?$filter=appId eq '{GRAPH_APP_ID}'").json()["value"][0]["id"]
    made, pipeline = make(api), make(api, tags=[])
    api.post("/v1.0/servicePrincipals", json={"appId": made["appId"]}).raise_for_status()
    principal = api.post("/v1.0/servicePrincipals", json={"appId": pipeline["appId"]}).raise_for_status().json()
    role = {"principalId": principal["id"], "resourceId": graph_id, "appRoleId": OWNED_BY_ID}
    api.post(f"/v1.0/servicePrincipals/{principal['id']}/appRoleAssignments", json=role).raise_for_status()
    secret = api.post(f"/v1.0/applications/{pipeline['id']}/addPassword", json={}).raise_for_status().json()
    narrow = replace(admin, client_id=pipeline["appId"], client_secret=secret["secretText"])
    signed_in, who = sign_in(narrow, endpoints)
    known = Held(made["id"], Grant("g", "client", graph_id, "AllPrincipals", (*SCOPES, "Calendars.Read")))
    with Graph(signed_in, endpoints, retry_delay=0.0) as graph:

        def look(held: Callable[[], Held] | None) -> Preflight:
            return preflight(settings(), endpoints, who, graph, project=PROJECT, stack=STACK, held=held, now=NOW)

        got = look(lambda: known)
        assert (got.grant_id, got.granted_scopes(settings())) == ("g", (*SCOPES, "Calendars.Read"))
        assert got.consent_pending(settings()) == ()
        assert any("may not read the tenant's consents" in note for note in got.notes)
        with pytest.raises(NotPermitted, match="list the grants"):
            look(None)


def test_a_registration_that_lost_its_tag_is_known_from_the_state(
    api: httpx.Client, graph: Graph, endpoints: Endpoints, caller: Caller
) -> None:
    made = make(api, tags=[])
    for known, seen in ((Held(made["id"]), [made["id"]]), (Held(), [])):
        got = preflight(
            settings(), endpoints, caller, graph, project=PROJECT, stack=STACK, held=lambda known=known: known, now=NOW
        )
        assert [app.object_id for app in got.existing] == seen


def test_two_registrations_of_one_stack_stop_the_run(run: Any, api: httpx.Client) -> None:
    first, second = make(api), make(api)
    with pytest.raises(SeveralRegistrations) as refused:
        run()
    assert first["appId"] in refused.value.message
    assert second["appId"] in refused.value.message


def test_a_namesake_stack_kept_elsewhere_is_not_ours(run: Any, api: httpx.Client) -> None:
    make(api)
    assert run(settings(instanceId="22222222-2222-2222-2222-222222222222")).existing == ()
