"""``/groups``: security groups and Microsoft 365 groups, as far as app assignment and Conditional Access need them.

Owns: the operations. Does not own: mail-enabled groups' mailboxes.
Sources: "Create group", "Add members".
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, owners, schema, shapes
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call

_TYPE = "group"
_REQUIRED = ("displayName", "mailEnabled", "mailNickname", "securityEnabled")


def find(call: Call) -> Document:
    """The group that the path names; 404 when there is none."""
    key = call.keys["group"]
    if not schema.is_guid(key):
        raise errors.resource_not_found(key)
    return call.get("group", key.lower())


def list_groups(call: Call) -> Answer:
    """GET /groups."""
    return collection.many(call, _TYPE, call.all("group"))


def get_group(call: Call) -> Answer:
    """GET /groups/{id}."""
    return collection.one(call, _TYPE, find(call))


def create_group(call: Call) -> Answer:
    """POST /groups."""
    payload = schema.check(_TYPE, call.body, create=True, binds=("owners", "members"))
    for name in _REQUIRED:
        if payload.get(name) in (None, ""):
            raise errors.value_required(name, "Group")
    unified = "Unified" in (payload.get("groupTypes") or [])
    if payload.get("mailEnabled") and not unified:
        raise errors.GraphError(
            "The service does not currently support writes of mail-enabled groups. "
            "Please ensure that the mail-enablement property is unset and the "
            "security-enablement property is set."
        )
    group = shapes.complete(shapes.GROUP, {**payload.values, "createdDateTime": call.now()})
    group["_owners"] = owners.bound(call, payload.binds.get("owners", []), owners.OWNER_KINDS)
    group["_members"] = owners.bound(call, payload.binds.get("members", []), owners.MEMBER_KINDS)
    return collection.one(call, _TYPE, call.directory.insert(call.tenant, "group", group), status=201)


def update_group(call: Call) -> Answer:
    """PATCH /groups/{id}; ``members@odata.bind`` adds members."""
    group = find(call)
    call.require_owner(group)
    payload = schema.check(_TYPE, call.body, create=False, binds=("members",))
    after = shapes.complete(group, payload.values)
    for identity in owners.bound(call, payload.binds.get("members", []), owners.MEMBER_KINDS):
        owners.add(after, "_members", "members", identity)
    if not (after["displayName"] or "").strip():
        raise errors.invalid_value("displayName", "Group")
    call.directory.replace(call.tenant, "group", after)
    return NO_CONTENT


def delete_group(call: Call) -> Answer:
    """DELETE /groups/{id}: to the deleted items."""
    group = find(call)
    call.require_owner(group)
    with call.directory.transaction():
        call.directory.replace(call.tenant, "group", {**group, "deletedDateTime": call.now()})
        call.directory.soft_delete(call.tenant, "group", group["id"])
    return NO_CONTENT


MEMBERS = owners.References(_TYPE, "members", owners.MEMBER_KINDS, find)
"""The operations under /groups/{id}/members."""

OWNERS = owners.References(
    _TYPE,
    "owners",
    owners.OWNER_KINDS,
    find,
    last_stays="The group must have at least one owner, hence this owner cannot be removed.",
)
"""The operations under /groups/{id}/owners."""
