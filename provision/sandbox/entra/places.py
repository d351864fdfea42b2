"""Whether a sign-in comes from a place that a Conditional Access policy looks at.

Owns: the decision. Does not own: the places (``graph.named_locations``), the other conditions (``access``).
Sources: "Conditional Access: Network assignment" (any location, all trusted ones, selected ones, countries; "Some IP
addresses don't map to a specific country"), the conditionalAccessLocations resource type. The address is the caller's,
as the sign-in log shows it. No address here has a country, so that only "unknown countries" are met.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from provision.sandbox.directory import Directory, Document


def is_met(directory: Directory, tenant_id: str, locations: dict[str, Any] | None, address: str) -> bool:
    """Whether a policy's ``conditions.locations`` cover the caller's address; no condition covers all.

    Args:
        directory: the store.
        tenant_id: the tenant.
        locations: ``includeLocations`` and ``excludeLocations``, or None.
        address: the caller's IP address; empty when it is not known.
    """
    asked = locations or {}
    included = asked.get("includeLocations") or ["All"]
    excluded = asked.get("excludeLocations") or []
    places = {place["id"]: place for place in directory.all(tenant_id, "namedLocation", fresh=True)}

    def here(name: str) -> bool:
        if name == "All":
            return True
        if name == "AllTrusted":
            return any(place.get("isTrusted") and _contains(place, address) for place in places.values())
        return name in places and _contains(places[name], address)

    return any(map(here, included)) and not any(map(here, excluded))


def _contains(place: Document, address: str) -> bool:
    if place["_type"] == "countryNamedLocation":
        return bool(place["includeUnknownCountriesAndRegions"])
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(caller in ipaddress.ip_network(row["cidrAddress"], strict=False) for row in place["ipRanges"])
