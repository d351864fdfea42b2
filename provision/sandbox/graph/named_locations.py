"""``/identity/conditionalAccess/namedLocations``: places that Conditional Access policies look at.

Owns: the operations. Does not own: whether a sign-in comes from one (``entra.places``).
Sources: "Create namedLocation", the ipNamedLocation and countryNamedLocation resource types; that masks are greater
than /8 and private ranges are refused: "Conditional Access: Network assignment". Ranges of the loopback network are
taken here all the same, for every caller of the local tenant comes from there. The sentences were not read at a source.
"""

from __future__ import annotations

import ipaddress
import uuid

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, schema
from provision.sandbox.graph.call import Answer, Call

_KIND = "namedLocation"
_TYPES = {"ipNamedLocation": "ipRanges", "countryNamedLocation": "countriesAndRegions"}
"""What can be made, and what each must have."""
_VERSIONS = {"iPv4CidrRange": 4, "iPv6CidrRange": 6}
_WIDEST = 8
_PRIVATE = [ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]


def list_named_locations(call: Call) -> Answer:
    """GET /identity/conditionalAccess/namedLocations."""
    found = call.all(_KIND)
    return collection.many(call, _KIND, found, kinds=[row["_type"] for row in found])


def get_named_location(call: Call) -> Answer:
    """GET /identity/conditionalAccess/namedLocations/{id}."""
    return _shown(call, call.get(_KIND, call.keys["location"]))


def create_named_location(call: Call) -> Answer:
    """POST /identity/conditionalAccess/namedLocations."""
    declared = str(call.body.get("@odata.type", "")) if isinstance(call.body, dict) else ""
    kind = declared.removeprefix("#").removeprefix("microsoft.graph.")
    if kind not in _TYPES:
        raise errors.BadRequest("A named location needs '@odata.type': an ipNamedLocation or a countryNamedLocation.")
    payload = schema.check(kind, call.body, create=True)
    for name in ("displayName", _TYPES[kind]):
        if not payload.get(name):
            raise errors.value_required(name, "NamedLocation")
    values = payload.values
    if kind == "ipNamedLocation":
        values = {"isTrusted": False, **values, "ipRanges": [_range(row) for row in call.body["ipRanges"]]}
    else:
        values = {"countryLookupMethod": "clientIpAddress", "includeUnknownCountriesAndRegions": False, **values}
    now = call.now()
    place: Document = {
        "id": str(uuid.uuid4()),
        "createdDateTime": now,
        "modifiedDateTime": now,
        "_type": kind,
        **values,
    }
    return _shown(call, call.directory.insert(call.tenant, _KIND, place), status=201)


def _shown(call: Call, place: Document, status: int = 200) -> Answer:
    kind = place["_type"]
    answer = collection.one(call, kind, place, status=status, context="identity/conditionalAccess/namedLocations")
    return Answer({**(answer.body or {}), "@odata.type": f"#microsoft.graph.{kind}"}, status)


def _range(row: Document) -> Document:
    """A range as it is kept, with its type, without which nobody can tell what it is.

    Raises:
        GraphError: no type, no network, a private one, or one that is too wide.
    """
    kind = str(row.get("@odata.type", "")).removeprefix("#").removeprefix("microsoft.graph.")
    try:
        network = ipaddress.ip_network(str(row.get("cidrAddress", "")), strict=False)
    except ValueError:
        raise errors.invalid_value("cidrAddress", "IpNamedLocation") from None
    private = any(network.version == other.version and network.overlaps(other) for other in _PRIVATE)
    if network.version != _VERSIONS.get(kind) or private or network.prefixlen <= _WIDEST:
        raise errors.invalid_value("cidrAddress", "IpNamedLocation")
    return {"@odata.type": f"#microsoft.graph.{kind}", "cidrAddress": str(row["cidrAddress"])}
