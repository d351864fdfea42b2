"""``/tenantRelationships``: the customers whose tenants a partner may administer, and by which relationships (GDAP).

Owns: the reads, and which tenants are a partner's. Does not own: requesting a relationship and the customer's approval
(not in the local tenant; ``put`` and ``relate`` stand for them), or what a partner may do in a customer's tenant. The
navigation properties below a relationship are not served.
Sources: "List delegatedAdminCustomers", "Get delegatedAdminCustomer", "delegatedAdminCustomer resource type" (v1.0):
made by the system while there is an active relationship; ``$top`` up to 300. That ``id`` is the tenant's id is what the
page's sample answer shows; "List delegatedAdminRelationships", "delegatedAdminRelationship resource type" (ids of two
GUIDs joined by a hyphen, PT0S where nothing is extended by itself). Which sentence an unknown id gets was not read at a
source.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from provision.sandbox import published
from provision.sandbox.directory import Directory, Document
from provision.sandbox.graph import collection
from provision.sandbox.graph.call import Answer, Call

_TYPE = "delegatedAdminCustomer"
_RELATIONSHIP = "delegatedAdminRelationship"
_TWO_YEARS = 2 * 365 * 86400
_ROLES = ("Application Administrator", "Exchange Administrator")
"""What a technician needs for a customer's registration and mailboxes."""
_PAGE = 300


def list_customers(call: Call) -> Answer:
    """GET /tenantRelationships/delegatedAdminCustomers."""
    return collection.many(call, _TYPE, call.all(_TYPE), page=_PAGE)


def get_customer(call: Call) -> Answer:
    """GET /tenantRelationships/delegatedAdminCustomers/{id}."""
    return collection.one(call, _TYPE, call.get(_TYPE, call.keys["customer"]))


def list_relationships(call: Call) -> Answer:
    """GET /tenantRelationships/delegatedAdminRelationships."""
    return collection.many(call, _RELATIONSHIP, call.all(_RELATIONSHIP), page=_PAGE)


def get_relationship(call: Call) -> Answer:
    """GET /tenantRelationships/delegatedAdminRelationships/{id}."""
    return collection.one(call, _RELATIONSHIP, call.get(_RELATIONSHIP, call.keys["relationship"]))


def relate(directory: Directory, partner: str, customers: Sequence[str]) -> None:
    """Makes an active relationship with each customer that has none yet, and with it the customer.

    Args:
        directory: the state.
        partner: the partner's tenant id.
        customers: the customers' tenant ids.
    """
    known = {row["customer"]["tenantId"] for row in directory.all(partner, _RELATIONSHIP, fresh=True)}
    now = directory.clock.now()
    start, end = directory.clock.iso(now), directory.clock.iso(now + _TWO_YEARS)
    relationships, found = [], []
    for tenant in (one for one in customers if one not in known):
        (organization,) = directory.all(tenant, "organization", fresh=True)
        customer = {"tenantId": tenant, "displayName": organization["displayName"]}
        found.append({"id": tenant, **customer})
        relationships.append(
            {
                "id": f"{uuid.uuid4()}-{uuid.uuid4()}",
                "displayName": f"{organization['displayName']} administration {tenant[:8]}",
                "duration": "P730D",
                "customer": customer,
                "accessDetails": {"unifiedRoles": [{"roleDefinitionId": published.ROLE[role]} for role in _ROLES]},
                "status": "active",
                "autoExtendDuration": "PT0S",
                "createdDateTime": start,
                "lastModifiedDateTime": start,
                "activatedDateTime": start,
                "endDateTime": end,
            }
        )
    with directory.transaction():
        directory.insert_many(partner, _RELATIONSHIP, relationships)
        directory.insert_many(partner, _TYPE, found)


def put(directory: Directory, partner: str, customers: list[str]) -> list[Document]:
    """Makes tenants the customers of a partner, in place of those it had.

    Args:
        directory: the state.
        partner: the partner's tenant id.
        customers: tenants by id or domain.

    Returns:
        The customers as Graph shows them.

    Raises:
        ValueError: there is no such tenant, or it is the partner itself.
    """
    tenants = []
    for name in customers:
        known = directory.tenant(name)
        tenant = str(known["id"]) if known else partner
        if tenant == partner:
            raise ValueError(f"{name!r} is no other tenant of this server")
        tenants.append(tenant)
    with directory.transaction():
        for kind in (_TYPE, _RELATIONSHIP):
            for before in directory.all(partner, kind, fresh=True):
                directory.remove(partner, kind, before["id"])
        relate(directory, partner, list(dict.fromkeys(tenants)))
    return directory.all(partner, _TYPE, fresh=True)
