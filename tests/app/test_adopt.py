"""What was clicked in the portal is compared with what should be, setting by setting."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from provision.app.adopt import ImportPlan, drift
from provision.app.preflight import Preflight
from provision.microsoft.objects import GRAPH_APP_ID, Application, Grant, RequiredAccess
from provision.settings.endpoints import of_cloud
from provision.settings.stack import StackSettings

SETTINGS = StackSettings.from_config({"office365-mail:companyCode": "Acme"})
URI = "https://my.cloudex.app/Acme/Services/Office365Callback.aspx"
IDS = {"Mail.Send": "1", "User.Read": "2", "offline_access": "3"}
END = datetime(2028, 11, 23, tzinfo=UTC)
FOUND = Preflight(of_cloud("public"), "t", "ada", "o", URI, "graph", IDS, END, can_consent=True, must_own=False)
GRANT = Grant("g", "client", "graph", "AllPrincipals", ("Mail.Send", "User.Read", "offline_access"))
RIGHT = Application(
    object_id="o",
    app_id="a",
    display_name="CLOUDEX TMS Email Integration",
    sign_in_audience="AzureADMyOrg",
    web_redirect_uris=(URI,),
    issue_access_tokens=True,
    issue_id_tokens=True,
    required_access=tuple(RequiredAccess(GRAPH_APP_ID, identity, "Scope") for identity in IDS.values()),
)


def rows(application: Application, grant: Grant | None = GRANT) -> dict[str, tuple[str, str]]:
    found = drift(application, grant, SETTINGS, redirect_uri=FOUND.redirect_uri, scope_ids=FOUND.scope_ids)
    return {setting: (has, should) for setting, has, should in (difference.row() for difference in found)}


def test_a_registration_made_by_the_book_shows_nothing() -> None:
    assert rows(RIGHT) == {}


def test_the_five_usual_mistakes() -> None:
    wrong = replace(
        RIGHT,
        sign_in_audience="AzureADMultipleOrgs",
        web_redirect_uris=(),
        spa_redirect_uris=(URI.replace("Services", "services"),),
        issue_id_tokens=False,
        is_fallback_public_client=True,
        required_access=(RequiredAccess(GRAPH_APP_ID, "1", "Scope"), RequiredAccess(GRAPH_APP_ID, "role", "Role")),
    )
    assert rows(wrong, grant=None) == {
        "Supported account types": ("AzureADMultipleOrgs", "AzureADMyOrg"),
        "Redirect URIs (Web)": ("none", URI),
        "Redirect URIs (single-page application)": (URI.replace("Services", "services"), "none"),
        "ID tokens (implicit)": ("off", "on"),
        "Allow public client flows": ("on", "off"),
        "API permissions": ("Mail.Send, role (application)", "Mail.Send, User.Read, offline_access"),
        "Admin consent": ("none", "Mail.Send, User.Read, offline_access"),
    }


def test_consent_that_goes_further_is_kept() -> None:
    wider = replace(GRANT, scopes=(*GRANT.scopes, "Calendars.Read"))
    assert rows(RIGHT, wider) == {}
    assert ImportPlan((), wider, ()).extra_scopes(SETTINGS.scopes) == ("Calendars.Read",)


def test_the_preflight_travels_as_json() -> None:
    assert Preflight.from_json(FOUND.to_json()) == FOUND


def test_a_caller_who_may_not_consent_leaves_the_consent_as_it_is() -> None:
    """Dropping the grant from the program would delete it, and stop the product's mail."""
    narrow = replace(FOUND, can_consent=False, grant_id="g", grant_scopes=("Mail.Send", "Calendars.Read"))
    assert narrow.granted_scopes(SETTINGS) == ("Mail.Send", "Calendars.Read")
    assert narrow.consent_pending(SETTINGS) == ("User.Read", "offline_access")
    nobody = replace(FOUND, can_consent=False)
    assert nobody.granted_scopes(SETTINGS) == ()
    assert FOUND.consent_pending(SETTINGS) == ()
