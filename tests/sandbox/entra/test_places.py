"""Conditional Access by the place, the client and the risk of a sign-in: the page and the password grant alike."""

from __future__ import annotations

from typing import Any

import pytest
from entra_tenant import App, Entra, aadsts, answered

EVERYWHERE = {"includeLocations": ["All"]}


def block(entra: Entra, **conditions: Any) -> None:
    """A policy that blocks everybody, under these conditions."""
    entra.graph("PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": False})
    everybody = {"applications": {"includeApplications": ["All"]}, "users": {"includeUsers": ["All"]}}
    entra.graph(
        "POST",
        "/identity/conditionalAccess/policies",
        {
            "displayName": "Block",
            "state": "enabled",
            "conditions": {"clientAppTypes": ["all"], **everybody, **conditions},
            "grantControls": {"operator": "OR", "builtInControls": ["block"]},
        },
    )


def place(entra: Entra, network: str, *, trusted: bool = False) -> str:
    ranges = [{"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": network}]
    body = {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": network, "ipRanges": ranges}
    made = entra.graph("POST", "/identity/conditionalAccess/namedLocations", {**body, "isTrusted": trusted})
    return str(made["id"])


def refused(entra: Entra, app: App) -> bool:
    """Whether Ada is refused by a policy, on the page and where nobody can be asked."""
    form = {"grant_type": "password", "client_id": app.client_id, "client_secret": app.secret, "scope": "Mail.Send"}
    answer = entra.token(**form, username=entra.upn("ada"), password=entra.tenant.users[entra.upn("ada")])
    by_password = answer.status_code != 200 and aadsts(answer) == 53003
    on_the_page = "53003" in entra.sign_in(entra.authorize(app)).text
    assert by_password == on_the_page
    return by_password


HERE, ELSEWHERE = "127.0.0.0/16", "203.0.113.0/24"


@pytest.mark.parametrize(
    ("network", "trusted", "locations", "blocked"),
    [
        (HERE, False, {"includeLocations": ["{place}"]}, True),
        (ELSEWHERE, False, {"includeLocations": ["{place}"]}, False),
        (HERE, False, {**EVERYWHERE, "excludeLocations": ["{place}"]}, False),
        (ELSEWHERE, False, {**EVERYWHERE, "excludeLocations": ["{place}"]}, True),
        (HERE, True, {"includeLocations": ["AllTrusted"]}, True),
        (HERE, False, {"includeLocations": ["AllTrusted"]}, False),
        (HERE, True, {**EVERYWHERE, "excludeLocations": ["AllTrusted"]}, False),
        (ELSEWHERE, True, {**EVERYWHERE, "excludeLocations": ["AllTrusted"]}, True),
    ],
)
def test_a_place_is_told_by_the_caller_s_address(
    entra: Entra, app: App, network: str, trusted: bool, locations: dict[str, list[str]], blocked: bool
) -> None:
    made = place(entra, network, trusted=trusted)
    asked = {name: [one.replace("{place}", made) for one in names] for name, names in locations.items()}
    block(entra, locations=asked)
    assert refused(entra, app) == blocked


@pytest.mark.parametrize(("unknown", "blocked"), [(True, True), (False, False)])
def test_no_address_here_has_a_country(entra: Entra, app: App, unknown: bool, blocked: bool) -> None:
    body = {"@odata.type": "#microsoft.graph.countryNamedLocation", "displayName": "Latvia"}
    more = {"countriesAndRegions": ["LV"], "includeUnknownCountriesAndRegions": unknown}
    made = entra.graph("POST", "/identity/conditionalAccess/namedLocations", {**body, **more})
    block(entra, locations={"includeLocations": [made["id"]]})
    assert refused(entra, app) == blocked


@pytest.mark.parametrize(
    ("condition", "blocked"),
    [({"signInRiskLevels": ["high"]}, False), ({"userRiskLevels": ["low"]}, False), ({"signInRiskLevels": []}, True)],
)
def test_no_sign_in_here_is_risky(entra: Entra, app: App, condition: dict[str, list[str]], blocked: bool) -> None:
    block(entra, **condition)
    assert refused(entra, app) == blocked


def test_the_page_is_shown_where_no_policy_blocks(entra: Entra, app: App) -> None:
    block(entra, locations={"includeLocations": [place(entra, ELSEWHERE)]})
    assert "code" in answered(entra.sign_in(entra.authorize(app)))
