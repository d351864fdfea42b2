"""``/tenantRelationships/delegatedAdminCustomers``: the customers whose tenants a partner may administer (GDAP).

Owns: the two reads, and which tenants are a partner's. Does not own: the relationships themselves (their request and
the customer's approval are not in the local tenant; ``put`` stands for them), or what a partner may do in a customer's
tenant.
Sources: "List delegatedAdminCustomers", "Get delegatedAdminCustomer", "delegatedAdminCustomer resource type" (v1.0):
made by the system while there is an active relationship; ``$top`` up to 300. That ``id`` is the tenant's id is what the
page's sample answer shows; which sentence an unknown id gets was not read at a source.
"""

from __future__ import annotations

from provision.sandbox.directory import Directory, Document
from provision.sandbox.graph import collection
from provision.sandbox.graph.call import Answer, Call

_TYPE = "delegatedAdminCustomer"
_PAGE = 300


def list_customers(call: Call) -> Answer:
    """GET /tenantRelationships/delegatedAdminCustomers."""
    return collection.many(call, _TYPE, call.all(_TYPE), page=_PAGE)


def get_customer(call: Call) -> Answer:
    """GET /tenantRelationships/delegatedAdminCustomers/{id}."""
    return collection.one(call, _TYPE, call.get(_TYPE, call.keys["customer"]))


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
    found = []
    for name in customers:
        known = directory.tenant(name)
        tenant = str(known["id"]) if known else partner
        if tenant == partner:
            raise ValueError(f"{name!r} is no other tenant of this server")
        (organization,) = directory.all(tenant, "organization")
        found.append({"id": tenant, "tenantId": tenant, "displayName": organization["displayName"]})
    with directory.transaction():
        for before in directory.all(partner, _TYPE):
            directory.remove(partner, _TYPE, before["id"])
        for document in found:
            directory.insert(partner, _TYPE, document, visible_at_once=True)
    return found
