"""``/groups``: security groups and Microsoft 365 groups, as far as app assignment and Conditional Access need them.

Owns: the operations. Does not own: mail-enabled groups' mailboxes.
Sources: "Create group", "Add members".
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, navigation, owners, schema, shapes
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


def list_members(call: Call) -> Answer:
    """GET /groups/{id}/members."""
    return _objects(call, "members")


def list_owners(call: Call) -> Answer:
    """GET /groups/{id}/owners."""
    return _objects(call, "owners")


def _objects(call: Call, name: str) -> Answer:
    rows = navigation.follow(call, _TYPE, name, find(call))
    return collection.directory_objects(call, rows)


def add_member(call: Call) -> Answer:
    """POST /groups/{id}/members/$ref."""
    return _add(call, "_members", "members", owners.MEMBER_KINDS)


def add_owner(call: Call) -> Answer:
    """POST /groups/{id}/owners/$ref."""
    return _add(call, "_owners", "owners", owners.OWNER_KINDS)


def _add(call: Call, field: str, name: str, kinds: tuple[str, ...]) -> Answer:
    group = find(call)
    call.require_owner(group)
    identity = owners.body_reference(call.body)
    owners.check_target(call, identity, kinds)
    owners.add(group, field, name, identity)
    call.directory.replace(call.tenant, "group", group)
    return NO_CONTENT


def remove_member(call: Call) -> Answer:
    """DELETE /groups/{id}/members/{id}/$ref."""
    return _remove(call, "_members")


def remove_owner(call: Call) -> Answer:
    """DELETE /groups/{id}/owners/{id}/$ref: never the last one."""
    if len(find(call)["_owners"]) == 1:
        raise errors.GraphError("The group must have at least one owner, hence this owner cannot be removed.")
    return _remove(call, "_owners")


def _remove(call: Call, field: str) -> Answer:
    group = find(call)
    call.require_owner(group)
    owners.drop(group, field, call.keys["member"])
    call.directory.replace(call.tenant, "group", group)
    return NO_CONTENT
