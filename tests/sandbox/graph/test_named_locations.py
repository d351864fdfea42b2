"""Places for Conditional Access: what is taken and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

PATH = "/identity/conditionalAccess/namedLocations"
V4, V6 = "#microsoft.graph.iPv4CidrRange", "#microsoft.graph.iPv6CidrRange"


def office(kind: str, network: str, **more: Any) -> dict[str, Any]:
    ranges = [{"@odata.type": kind, "cidrAddress": network}]
    return {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "Office", "ipRanges": ranges, **more}


@pytest.mark.parametrize(("kind", "network"), [(V4, "203.0.113.0/24"), (V4, "127.0.0.1/32"), (V6, "2001:db8::/32")])
def test_a_place_of_addresses_is_kept_with_the_types_of_its_ranges(graph, kind, network):
    made = graph.ok("POST", PATH, json=office(kind, network))
    assert (made["@odata.type"], made["isTrusted"]) == ("#microsoft.graph.ipNamedLocation", False)
    assert made["ipRanges"] == [{"@odata.type": kind, "cidrAddress": network}]
    (listed,) = graph.ok("GET", PATH)["value"]
    assert listed["@odata.type"] == made["@odata.type"]
    assert graph.ok("GET", f"{PATH}/{made['id']}")["ipRanges"] == listed["ipRanges"] == made["ipRanges"]


@pytest.mark.parametrize(
    "body",
    [
        office(V4, "10.1.0.0/16"),
        office(V4, "203.0.0.0/8"),
        office(V6, "203.0.113.0/24"),
        office(V4, "not a network"),
        office("", "203.0.113.0/24"),
        office(V4, "203.0.113.0/24", displayName=""),
        office(V4, "203.0.113.0/24", ipRanges=[]),
        office(V4, "203.0.113.0/24", countriesAndRegions=["LV"]),
        {**office(V4, "203.0.113.0/24"), "@odata.type": "#microsoft.graph.namedLocation"},
        {"@odata.type": "#microsoft.graph.countryNamedLocation", "displayName": "Nowhere"},
    ],
)
def test_what_is_no_place_is_refused(graph, body):
    assert graph.call("POST", PATH, json=body).status_code == 400
    assert graph.ok("GET", PATH)["value"] == []


def test_a_policy_names_only_places_that_are_there(graph):
    country = {"@odata.type": "#microsoft.graph.countryNamedLocation", "displayName": "Baltics"}
    made = graph.ok("POST", PATH, json={**country, "countriesAndRegions": ["LV", "LT", "EE"]})
    policy = {
        "displayName": "Block abroad",
        "state": "disabled",
        "conditions": {
            "clientAppTypes": ["all"],
            "applications": {"includeApplications": ["All"]},
            "users": {"includeUsers": ["All"]},
            "locations": {"includeLocations": ["All"], "excludeLocations": ["AllTrusted", made["id"]]},
        },
        "grantControls": {"operator": "OR", "builtInControls": ["block"]},
    }
    graph.ok("POST", "/identity/conditionalAccess/policies", json=policy)
    policy["conditions"]["locations"]["excludeLocations"] = ["11111111-2222-3333-4444-555555555555"]
    assert graph.call("POST", "/identity/conditionalAccess/policies", json=policy).status_code == 400
