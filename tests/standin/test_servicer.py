"""The seven types and four lookups, end to end against a real local tenant: every property, and every way out."""

from __future__ import annotations

import uuid

import grpc
import pytest

from provision.sandbox import Sandbox, Tenant
from provision.standin.fields import Field, Kind, inputs
from provision.standin.resources import RESOURCES
from provision.standin.wire import UNKNOWN

from .conftest import HalfMade, Made, Plugin, Values

APPLICATION = "azuread:index/application:Application"
PRINCIPAL = "azuread:index/servicePrincipal:ServicePrincipal"
PASSWORD = "azuread:index/applicationPassword:ApplicationPassword"
GRANT = "azuread:index/servicePrincipalDelegatedPermissionGrant:ServicePrincipalDelegatedPermissionGrant"
FEDERATED = "azuread:index/applicationFederatedIdentityCredential:ApplicationFederatedIdentityCredential"
OWNER = "azuread:index/applicationOwner:ApplicationOwner"
ASSIGNMENT = "azuread:index/appRoleAssignment:AppRoleAssignment"

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
ROLE_ID, SCOPE_ID = str(uuid.uuid4()), str(uuid.uuid4())
FEATURES = {"customSingleSignOn": False, "enterprise": True, "gallery": False, "hide": True}


def everything(graph: Values, caller: str, domain: str) -> Values:
    """A value for every property of an application that the stand-in honours."""
    mail_send = graph["oauth2PermissionScopeIds"]["Mail.Send"]
    return {
        "displayName": "Everything",
        "api": {
            "knownClientApplications": [str(uuid.uuid4())],
            "mappedClaimsEnabled": True,
            "oauth2PermissionScopes": [
                {
                    "id": SCOPE_ID,
                    "adminConsentDescription": "Reads",
                    "adminConsentDisplayName": "Read",
                    "enabled": True,
                    "type": "User",
                    "userConsentDescription": "Reads for you",
                    "userConsentDisplayName": "Read for you",
                    "value": "Things.Read",
                }
            ],
            "requestedAccessTokenVersion": 2,
        },
        "appRoles": [
            {
                "id": ROLE_ID,
                "allowedMemberTypes": ["Application", "User"],
                "description": "Administers",
                "displayName": "Administrator",
                "enabled": True,
                "value": "Things.Administer",
            }
        ],
        "description": "What can be said",
        "deviceOnlyAuthEnabled": False,
        "fallbackPublicClientEnabled": True,
        "featureTags": [FEATURES],
        "groupMembershipClaims": ["ApplicationGroup", "SecurityGroup"],
        "identifierUris": [f"api://{domain}/things"],
        "marketingUrl": "https://example.com/marketing",
        "notes": "Made by a test",
        "oauth2PostResponseRequired": True,
        "optionalClaims": {
            "accessTokens": [
                {"name": "email", "essential": True, "additionalProperties": ["use_guid"]},
            ],
            "idTokens": [{"name": "upn", "source": "user", "additionalProperties": ["emit_as_roles"]}],
        },
        "owners": [caller],
        "preventDuplicateNames": True,
        "privacyStatementUrl": "https://example.com/privacy",
        "publicClient": {"redirectUris": ["http://localhost", "myapp://auth"]},
        "requiredResourceAccesses": [
            {"resourceAppId": GRAPH_APP_ID, "resourceAccesses": [{"id": mail_send, "type": "Scope"}]}
        ],
        "serviceManagementReference": "SMR-1",
        "signInAudience": "AzureADMultipleOrgs",
        "singlePageApplication": {"redirectUris": ["https://spa.example.com/"]},
        "supportUrl": "https://example.com/support",
        "termsOfServiceUrl": "https://example.com/terms",
        "web": {
            "homepageUrl": "https://example.com/",
            "logoutUrl": "https://example.com/logout",
            "redirectUris": ["https://a.example.com/Callback.aspx", "https://b.example.com/x"],
            "implicitGrant": {"accessTokenIssuanceEnabled": True, "idTokenIssuanceEnabled": True},
        },
    }


@pytest.fixture
def graph(plugin: Plugin) -> Values:
    return plugin.ask("getServicePrincipal", clientId=GRAPH_APP_ID)


@pytest.fixture
def caller(plugin: Plugin) -> str:
    return str(plugin.ask("getClientConfig")["objectId"])


@pytest.fixture
def application(plugin: Plugin) -> Made:
    return plugin.create(APPLICATION, {"displayName": "Mail"})


@pytest.fixture
def principal(plugin: Plugin, application: Made) -> Made:
    return plugin.create(PRINCIPAL, {"clientId": application.state["clientId"]})


def assert_honoured(fields: tuple[Field, ...], wanted: Values, state: Values) -> None:
    for field in fields:
        if field.name not in wanted:
            continue
        value, found = wanted[field.name], state[field.name]
        if field.kind is Kind.BLOCK:
            assert_honoured(field.fields, value, found)
        elif field.fields:
            assert len(found) == len(value), field.name
            for wanted_element, found_element in zip(value, found, strict=True):
                assert_honoured(field.fields, wanted_element, found_element)
        else:
            assert found == value, field.name


def settable(token: str) -> set[str]:
    return {field.name for field in inputs(RESOURCES[token].fields) if not field.cannot}


def test_every_property_of_an_application_is_honoured(
    plugin: Plugin, graph: Values, caller: str, tenant: Tenant
) -> None:
    """Each property set by a program is in the tenant afterwards, and gone from it when the program drops it."""
    wanted = everything(graph, caller, tenant.domain)
    assert set(wanted) | {"tags"} == settable(APPLICATION), "a property has no sample"
    made = plugin.create(APPLICATION, wanted)
    assert_honoured(RESOURCES[APPLICATION].fields, wanted, made.state)
    assert made.state["tags"] == ["HideApp", "WindowsAzureActiveDirectoryIntegratedApp"]
    assert made.state["appRoleIds"] == {"Things.Administer": ROLE_ID}
    assert made.state["oauth2PermissionScopeIds"] == {"Things.Read": SCOPE_ID}
    refreshed = plugin.refresh(made)
    assert refreshed is not None
    assert_honoured(RESOURCES[APPLICATION].fields, wanted, refreshed.state)
    assert not plugin.diff(refreshed, wanted).diffs

    bare = plugin.update(refreshed, {"displayName": "Bare"})
    assert bare.state["web"] == {
        "homepageUrl": "",
        "logoutUrl": "",
        "redirectUris": [],
        "implicitGrant": {"accessTokenIssuanceEnabled": False, "idTokenIssuanceEnabled": False},
    }
    empty = ("appRoles", "requiredResourceAccesses", "identifierUris", "description", "notes", "groupMembershipClaims")
    assert not [name for name in empty if bare.state[name]]
    assert bare.state["signInAudience"] == "AzureADMyOrg"
    assert not plugin.diff(bare, {"displayName": "Bare"}).diffs
    plugin.delete(bare)
    assert plugin.refresh(bare) is None


def test_every_property_of_a_service_principal_is_honoured(plugin: Plugin, application: Made, caller: str) -> None:
    wanted = {
        "clientId": application.state["clientId"],
        "accountEnabled": False,
        "alternativeNames": ["isExplicit=True"],
        "appRoleAssignmentRequired": True,
        "description": "What it is",
        "featureTags": [FEATURES],
        "loginUrl": "https://example.com/login",
        "notes": "Made by a test",
        "notificationEmailAddresses": ["it@example.com"],
        "owners": [caller],
        "preferredSingleSignOnMode": "saml",
        "samlSingleSignOn": {"relayState": "/home"},
        "useExisting": False,
    }
    assert set(wanted) | {"tags", "features"} == settable(PRINCIPAL), "a property has no sample"
    made = plugin.create(PRINCIPAL, wanted)
    assert_honoured(RESOURCES[PRINCIPAL].fields, wanted, made.state)
    assert made.state["features"] == [
        {
            "customSingleSignOnApp": False,
            "enterpriseApplication": True,
            "galleryApplication": False,
            "visibleToUsers": False,
        }
    ]
    assert not plugin.diff(made, wanted).diffs
    made = plugin.update(made, {**wanted, "notes": "Changed by a test"})
    assert made.state["samlSingleSignOn"] == {"relayState": "/home"}
    tagged = {"clientId": wanted["clientId"], "tags": ["a", "b"]}
    made = plugin.update(made, tagged)
    assert made.state["tags"] == ["a", "b"]
    assert made.state["samlSingleSignOn"] == {"relayState": ""}
    assert list(plugin.diff(made, {"clientId": str(uuid.uuid4())}).replaces) == ["clientId"]


def test_a_password_is_secret_listed_and_removed(plugin: Plugin, application: Made) -> None:
    wanted = {
        "applicationId": application.id,
        "displayName": "CLOUDEX",
        "endDate": "2027-11-23T00:00:00Z",
        "startDate": "2026-11-01T00:00:00Z",
        "rotateWhenChanged": {"slot": "A"},
    }
    assert set(wanted) == settable(PASSWORD)
    made = plugin.create(PASSWORD, wanted)
    assert_honoured(RESOURCES[PASSWORD].fields, wanted, made.state)
    object_id = application.id.rpartition("/")[2]
    assert made.id == f"{object_id}/password/{made.state['keyId']}"
    assert made.state["value"]
    assert not plugin.diff(made, wanted).diffs
    assert list(plugin.diff(made, {**wanted, "rotateWhenChanged": {"slot": "B"}}).replaces) == ["rotateWhenChanged"]
    assert plugin.take_over(PASSWORD, made.id) is None, "its value is known to nobody, so it cannot be imported"
    plugin.delete(made)
    assert plugin.refresh(made) is None


def test_a_grant_is_made_changed_in_place_and_replaced(plugin: Plugin, principal: Made, graph: Values) -> None:
    wanted = {
        "servicePrincipalObjectId": principal.state["objectId"],
        "resourceServicePrincipalObjectId": graph["objectId"],
        "claimValues": ["Mail.Send", "User.Read", "offline_access"],
    }
    assert {*wanted, "userObjectId"} == settable(GRANT)
    made = plugin.create(GRANT, wanted)
    assert made.id.startswith("/oauth2PermissionGrants/")
    assert made.state["claimValues"] == wanted["claimValues"]
    assert plugin.update(made, {**wanted, "claimValues": ["Mail.Send"]}).state["claimValues"] == ["Mail.Send"]
    assert list(plugin.diff(made, {**wanted, "userObjectId": str(uuid.uuid4())}).replaces) == ["userObjectId"]
    plugin.delete(made)
    assert plugin.refresh(made) is None


def test_a_federated_credential_is_made_changed_and_imported(plugin: Plugin, application: Made) -> None:
    wanted = {
        "applicationId": application.id,
        "displayName": "github-main",
        "audiences": ["api://AzureADTokenExchange"],
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": "repo:example/mail:ref:refs/heads/main",
        "description": "The pipeline",
    }
    assert set(wanted) == settable(FEDERATED)
    made = plugin.create(FEDERATED, wanted)
    assert_honoured(RESOURCES[FEDERATED].fields, wanted, made.state)
    moved = plugin.update(made, {**wanted, "subject": "repo:example/mail:environment:prod"})
    assert moved.state["subject"].endswith("prod")
    taken = plugin.take_over(FEDERATED, made.id)
    assert taken is not None
    assert not plugin.diff(taken, {**wanted, "subject": moved.state["subject"]}).diffs
    plugin.delete(made)
    assert plugin.refresh(made) is None


def test_owners_and_roles_are_given_and_taken(plugin: Plugin, application: Made, principal: Made, caller: str) -> None:
    owner = plugin.create(OWNER, {"applicationId": application.id, "ownerObjectId": caller})
    assert owner.id == f"{application.id}/owners/{caller}"
    with pytest.raises(grpc.RpcError, match="already exists"):
        plugin.create(OWNER, {"applicationId": application.id, "ownerObjectId": caller})
    plugin.delete(owner)
    assert plugin.refresh(owner) is None

    graph = plugin.ask("getServicePrincipal", clientId=GRAPH_APP_ID)
    wanted = {
        "appRoleId": graph["appRoleIds"]["Mail.Send"],
        "principalObjectId": principal.state["objectId"],
        "resourceObjectId": graph["objectId"],
    }
    made = plugin.create(ASSIGNMENT, wanted)
    assert made.state["principalType"] == "ServicePrincipal"
    assert made.state["resourceDisplayName"] == "Microsoft Graph"
    taken = plugin.take_over(ASSIGNMENT, made.id)
    assert taken is not None
    assert not plugin.diff(taken, wanted).diffs
    plugin.delete(made)
    assert plugin.refresh(made) is None


def test_a_preview_asks_nothing_and_knows_what_it_cannot_know(plugin: Plugin) -> None:
    made = plugin.create(APPLICATION, {"displayName": "Later"}, preview=True)
    assert made.state["clientId"] is UNKNOWN
    with pytest.raises(grpc.RpcError, match="no applications found"):
        plugin.ask("getApplication", displayName="Later")


def test_an_app_clicked_in_the_portal_is_taken_over_without_a_change(plugin: Plugin, application: Made) -> None:
    """An import must describe what is there, or the next run would change somebody else's work."""
    taken = plugin.take_over(APPLICATION, application.id)
    assert taken is not None
    assert taken.inputs["displayName"] == "Mail"
    assert not plugin.diff(taken, {"displayName": "Mail"}).diffs
    assert plugin.take_over(APPLICATION, application.id.rpartition("/")[2]) is None, "ids have the real plugin's form"


def test_roles_are_disabled_before_they_are_changed_or_removed(plugin: Plugin) -> None:
    """Graph refuses to touch an enabled role or scope."""
    role = {"allowedMemberTypes": ["User"], "description": "d", "displayName": "n", "value": "v"}
    kept = [{"id": ROLE_ID, **role}, {"id": SCOPE_ID, **role, "value": "w"}]
    made = plugin.create(APPLICATION, {"displayName": "Roles", "appRoles": kept})
    changed = plugin.update(made, {"displayName": "Roles", "appRoles": [{**kept[0], "description": "other"}]})
    assert changed.state["appRoles"] == [{**kept[0], "enabled": True, "description": "other"}]


def test_a_second_app_of_the_same_name_is_refused_when_asked(plugin: Plugin, application: Made) -> None:
    with pytest.raises(grpc.RpcError, match="preventDuplicateNames"):
        plugin.create(APPLICATION, {"displayName": "Mail", "preventDuplicateNames": True}, preview=True)


def test_an_existing_service_principal_is_refused_or_taken(plugin: Plugin, principal: Made) -> None:
    client_id = principal.state["clientId"]
    with pytest.raises(grpc.RpcError, match="already exists"):
        plugin.create(PRINCIPAL, {"clientId": client_id})
    assert plugin.create(PRINCIPAL, {"clientId": client_id, "useExisting": True}).id == principal.id


def test_the_caller_does_not_stay_owner_of_what_it_made(plugin: Plugin, application: Made, caller: str) -> None:
    """As with the real plugin: it is an owner while it makes the object, and afterwards only when asked for."""
    assert plugin.ask("getApplication", displayName="Mail")["owners"] == []
    client_id = application.state["clientId"]
    made = plugin.create(PRINCIPAL, {"clientId": client_id, "useExisting": True})
    refreshed = plugin.refresh(made)
    assert refreshed is not None
    assert refreshed.state["owners"] == []
    assert plugin.create(PRINCIPAL, {"clientId": client_id, "useExisting": True, "owners": [caller]}).state[
        "owners"
    ] == [caller]


def test_the_lookups_agree_with_the_resources(plugin: Plugin, application: Made) -> None:
    by_name = plugin.ask("getApplication", displayName="Mail")
    assert by_name["id"] == application.id
    assert plugin.ask("getApplication", clientId=by_name["clientId"])["objectId"] == by_name["objectId"]
    assert plugin.ask("getApplicationPublishedAppIds")["result"]["MicrosoftGraph"] == GRAPH_APP_ID


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("getServicePrincipal", {}, "one of `clientId, displayName, objectId` must be specified"),
        ("getServicePrincipal", {"clientId": "x"}, "valid UUID"),
        ("getApplication", {"clientId": GRAPH_APP_ID, "displayName": "x"}, "only one of"),
    ],
)
def test_a_lookup_refuses_bad_arguments(plugin: Plugin, name: str, arguments: Values, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        plugin.ask(name, **arguments)


def test_what_is_not_served_is_refused_by_name(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError, match="does not serve azuread:index/group:Group"):
        plugin.check("azuread:index/group:Group", {"displayName": "x"})
    with pytest.raises(grpc.RpcError, match="does not serve azuread:index/getUser:getUser"):
        plugin.ask("getUser", userPrincipalName="x")


@pytest.mark.parametrize(
    ("token", "news", "words"),
    [
        (APPLICATION, {"displayName": "a", "logoImage": "aGk="}, "cannot honour"),
        (APPLICATION, {"displayName": "a", "password": {"displayName": "x"}}, "azuread.ApplicationPassword"),
        (APPLICATION, {"displayName": "a", "web": {"redirectUris": ["https://host"]}}, "trailing slash"),
        (APPLICATION, {"displayName": "a", "web": {"redirectUri": "x"}}, "Invalid or unknown key"),
        (APPLICATION, {"displayName": "a", "clientId": "x"}, "unconfigurable"),
        (APPLICATION, {"displayName": "a", "tags": ["x"], "featureTags": [{}]}, "conflicts with"),
        (APPLICATION, {"displayName": "a", "signInAudience": "PersonalMicrosoftAccount"}, "must be 2"),
        (PASSWORD, {"applicationId": "x", "endDateRelative": "240h"}, "two years"),
        (PASSWORD, {"applicationId": "/applications/x", "endDate": "2027-02-30T00:00:00Z"}, "RFC3339"),
        (GRANT, {"claimValues": []}, "Missing required argument"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(plugin: Plugin, token: str, news: Values, words: str) -> None:
    _, refusals = plugin.check(token, news)
    assert any(words in refusal for refusal in refusals), refusals


def test_slow_replication_is_waited_for(plugin: Plugin, weather: Sandbox) -> None:
    """Microsoft answers 404 for what was made a moment ago; a program must not see that."""
    weather.set_faults(replication_delay=0.7)
    made = plugin.create(APPLICATION, {"displayName": "Slow"})
    principal = plugin.create(PRINCIPAL, {"clientId": made.state["clientId"]})
    graph = plugin.ask("getServicePrincipal", clientId=GRAPH_APP_ID)
    plugin.create(
        GRANT,
        {
            "servicePrincipalObjectId": principal.state["objectId"],
            "resourceServicePrincipalObjectId": graph["objectId"],
            "claimValues": ["Mail.Send"],
        },
    )
    assert plugin.create(PASSWORD, {"applicationId": made.id}).state["value"]


def test_an_app_that_was_made_is_known_even_when_the_rest_fails(plugin: Plugin, weather: Sandbox) -> None:
    """Otherwise the next run makes a second one and nobody deletes the first."""
    match = {"method": "DELETE", "path": "/owners/"}
    weather.set_faults([{"name": "no owners", "action": "status", "status": 403, "match": match, "count": 1}])
    with pytest.raises(HalfMade) as half:
        plugin.create(APPLICATION, {"displayName": "Half"})
    assert plugin.take_over(APPLICATION, half.value.id) is not None
    assert half.value.state["clientId"]


def test_a_secret_that_was_made_is_kept_even_when_it_could_not_be_read_back(
    plugin: Plugin, application: Made, weather: Sandbox
) -> None:
    """The engine asks for an update next time; nothing differs, and the value, which nobody can read again, stays."""
    path = f"^/v1.0/applications/{application.id.rpartition('/')[2]}$"
    weather.set_faults([{"name": "cut", "action": "drop_before", "match": {"method": "GET", "path": path}}])
    news = {"applicationId": application.id, "displayName": "once", "endDate": "2028-01-01T00:00:00Z"}
    with pytest.raises(HalfMade) as half:
        plugin.create(PASSWORD, news)
    weather.clear_faults()
    inputs, _ = plugin.check(PASSWORD, news)
    whole = plugin.update(Made(PASSWORD, half.value.id, inputs, half.value.state), news)
    assert whole.id == half.value.id
    assert whole.state["value"] == half.value.state["value"]
    assert whole.state["startDate"]


def test_throttling_is_waited_out(plugin: Plugin, weather: Sandbox) -> None:
    match = {"path": "/applications"}
    busy = {"name": "busy", "action": "status", "status": 429, "retry_after": 1, "match": match, "count": 2}
    weather.set_faults([busy])
    assert plugin.create(APPLICATION, {"displayName": "Busy"}).id
