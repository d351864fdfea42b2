"""``/directory/deletedItems`` and ``/directoryObjects``: objects by id alone, alive or deleted.

Owns: listing, restoring and purging deleted objects; ``getByIds``. Does not own: deleting (the resource modules).
Sources: "deletedItems" operations, "directoryObject: getByIds". A deleted object stays 30 days, which the local tenant
does not count.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes
from provision.sandbox.graph import collection, errors, navigation, schema
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call
from provision.sandbox.graph.permissions import RULES, authorize

_KINDS = ("application", "servicePrincipal", "user", "group")
_RULE = {
    "application": "deleted.application",
    "servicePrincipal": "deleted.application",
    "user": "deleted.user",
    "group": "deleted.group",
}


def _list(call: Call, kind: str) -> Answer:
    authorize(call, RULES[_RULE[kind]])
    rows = call.directory.all(call.tenant, kind, deleted=True)
    return collection.many(call, kind, rows)


def list_deleted_applications(call: Call) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.application."""
    return _list(call, "application")


def list_deleted_service_principals(call: Call) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.servicePrincipal."""
    return _list(call, "servicePrincipal")


def list_deleted_users(call: Call) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.user."""
    return _list(call, "user")


def list_deleted_groups(call: Call) -> Answer:
    """GET /directory/deletedItems/microsoft.graph.group."""
    return _list(call, "group")


def _find(call: Call, *, write: bool) -> tuple[str, Document]:
    identity = call.keys["object"].lower()
    for kind in _KINDS:
        document = call.directory.get(call.tenant, kind, identity, deleted=True, fresh=True)
        if document is not None:
            authorize(call, RULES[_RULE[kind] + ("Write" if write else "")])
            if write:
                call.require_owner(document)
            return kind, document
    raise errors.resource_not_found(call.keys["object"])


def get_deleted_item(call: Call) -> Answer:
    """GET /directory/deletedItems/{id}."""
    kind, document = _find(call, write=False)
    answer = collection.one(call, kind, document, context="directoryObjects")
    return Answer({**(answer.body or {}), "@odata.type": f"#microsoft.graph.{kind}"})


def restore_deleted_item(call: Call) -> Answer:
    """POST /directory/deletedItems/{id}/restore; refused while another object has one of its unique names."""
    kind, document = _find(call, write=True)
    if kind == "servicePrincipal" and call.directory.find(
        call.tenant, "servicePrincipal", fresh=True, appId=document["appId"]
    ):
        raise errors.Conflict(
            "The service principal cannot be created, updated, or restored because the service principal name "
            f"{document['appId']} is already in use."
        )
    if kind == "user" and call.directory.find(
        call.tenant, "user", fresh=True, userPrincipalName=document["userPrincipalName"]
    ):
        raise errors.same_value_exists("userPrincipalName")
    restored = {**document, "deletedDateTime": None}
    with call.directory.transaction():
        call.directory.restore(call.tenant, kind, document["id"])
        call.directory.replace(call.tenant, kind, restored)
        if kind == "user":
            mailboxes.restore(call.directory, call.tenant, document["id"])
    answer = collection.one(call, kind, restored, context="directoryObjects")
    return Answer({**(answer.body or {}), "@odata.type": f"#microsoft.graph.{kind}"})


def delete_for_good(call: Call) -> Answer:
    """DELETE /directory/deletedItems/{id}: an application's federated credentials go with it, a user's mailbox too."""
    kind, document = _find(call, write=True)
    with call.directory.transaction():
        if kind == "application":
            for row in call.directory.find(
                call.tenant, "federatedIdentityCredential", fresh=True, _applicationId=document["id"]
            ):
                call.directory.remove(call.tenant, "federatedIdentityCredential", row["id"])
        if kind == "user":
            mailboxes.purge(call.directory, call.tenant, document["id"])
        call.directory.remove(call.tenant, kind, document["id"])
    return NO_CONTENT


def get_directory_object(call: Call) -> Answer:
    """GET /directoryObjects/{id}."""
    row = navigation.directory_object(call, call.keys["object"].lower())
    if row is None:
        raise errors.resource_not_found(call.keys["object"])
    answer = collection.one(call, row[0], row[1], context="directoryObjects")
    return Answer({**(answer.body or {}), "@odata.type": f"#microsoft.graph.{row[0]}"})


def get_by_ids(call: Call) -> Answer:
    """POST /directoryObjects/getByIds: those of up to 1000 ids that exist, of the wanted types."""
    asked = schema.check_parameters(call.body, "getByIds")
    identities = asked.get("ids")
    if not identities:
        raise errors.value_required("ids", "DirectoryObject")
    if len(identities) > 1000:
        raise errors.GraphError("The number of ids in the request exceeds the limit of 1000.")
    for identity in identities:
        if not schema.is_guid(identity):
            raise errors.invalid_object_id(identity)
    wanted = {name.lower() for name in asked.get("types") or ["directoryobject"]}
    rows = [
        row
        for row in navigation.objects(call, [identity.lower() for identity in identities])
        if "directoryobject" in wanted or row[0].lower() in wanted
    ]
    return collection.directory_objects(call, rows)
