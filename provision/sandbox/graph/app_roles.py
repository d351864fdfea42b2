"""App role assignments: application permissions, and which people and groups may use an application.

Owns: the operations under ``appRoleAssignments`` and ``appRoleAssignedTo``. Does not own: delegated grants.
Sources: "Grant an appRoleAssignment for a service principal"; "Not a valid reference update" is the sentence on which
the azuread Terraform provider waits for replication; "Microsoft Entra built-in roles": an Application Administrator
cannot consent to application permissions of Microsoft Graph.
"""

from __future__ import annotations

import base64
import uuid

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, navigation, schema
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call
from provision.sandbox.graph.service_principals import find as find_principal
from provision.sandbox.graph.users import find as find_user
from provision.sandbox.published import GRAPH_APP_ID, ROLE

_TYPE = "appRoleAssignment"
_DEFAULT_ROLE = "00000000-0000-0000-0000-000000000000"
_ANY_CONSENT = frozenset({ROLE["Global Administrator"], ROLE["Privileged Role Administrator"]})
_PRINCIPAL_TYPES = {"user": "User", "group": "Group", "servicePrincipal": "ServicePrincipal"}


def list_assignments(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/appRoleAssignments: what it holds."""
    rows = navigation.follow(call, "servicePrincipal", "appRoleAssignments", find_principal(call))
    return collection.many(call, _TYPE, [row for _, row in rows])


def list_assigned_to(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/appRoleAssignedTo: who holds its roles."""
    rows = navigation.follow(call, "servicePrincipal", "appRoleAssignedTo", find_principal(call))
    return collection.many(call, _TYPE, [row for _, row in rows])


def list_user_assignments(call: Call) -> Answer:
    """GET /users/{id}/appRoleAssignments."""
    rows = navigation.follow(call, "user", "appRoleAssignments", find_user(call))
    return collection.many(call, _TYPE, [row for _, row in rows])


def create_assignment(call: Call) -> Answer:
    """POST /servicePrincipals/{id}/appRoleAssignments: the path names the principal."""
    return _create(call, principal=find_principal(call))


def create_user_assignment(call: Call) -> Answer:
    """POST /users/{id}/appRoleAssignments."""
    return _create(call, principal=find_user(call))


def create_assigned_to(call: Call) -> Answer:
    """POST /servicePrincipals/{id}/appRoleAssignedTo: the path names the resource."""
    return _create(call, resource=find_principal(call))


def _create(call: Call, *, principal: Document | None = None, resource: Document | None = None) -> Answer:
    payload = schema.check(_TYPE, call.body, create=True)
    for name in ("principalId", "resourceId", "appRoleId"):
        if payload.get(name) is None:
            raise errors.value_required(name, "AppRoleAssignment")
    wanted_principal, wanted_resource = payload.values["principalId"].lower(), payload.values["resourceId"].lower()
    if principal is not None and principal["id"] != wanted_principal:
        raise errors.invalid_value("principalId", "AppRoleAssignment")
    if resource is not None and resource["id"] != wanted_resource:
        raise errors.invalid_value("resourceId", "AppRoleAssignment")
    row = navigation.directory_object(call, wanted_principal, kinds=("user", "group", "servicePrincipal"))
    target = call.directory.get(call.tenant, "servicePrincipal", wanted_resource)
    if row is None or target is None:
        raise errors.GraphError("Not a valid reference update.")
    kind, holder = row
    _may_consent(call, target, kind)
    role_id = payload.values["appRoleId"].lower()
    _check_role(target, role_id, kind)
    existing = call.directory.find(call.tenant, "appRoleAssignment", fresh=True, principalId=holder["id"])
    if any(e["resourceId"] == target["id"] and e["appRoleId"] == role_id for e in existing):
        raise errors.GraphError(
            "Permission being assigned already exists on the object",
            details=[
                {
                    "code": "InvalidUpdate",
                    "message": "Permission being assigned already exists on the object",
                    "target": "appRoleId",
                }
            ],
        )
    raw = uuid.UUID(holder["id"]).bytes_le + uuid.uuid4().bytes
    stored = call.directory.insert(
        call.tenant,
        "appRoleAssignment",
        {
            "id": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
            "deletedDateTime": None,
            "appRoleId": role_id,
            "createdDateTime": call.now(),
            "principalDisplayName": holder["displayName"],
            "principalId": holder["id"],
            "principalType": _PRINCIPAL_TYPES[kind],
            "resourceDisplayName": target["displayName"],
            "resourceId": target["id"],
        },
    )
    return collection.one(call, _TYPE, stored, status=201)


def _may_consent(call: Call, resource: Document, kind: str) -> None:
    """Application permissions of Microsoft Graph need a Global or Privileged Role Administrator."""
    if not call.caller.delegated or kind != "servicePrincipal" or resource["appId"] != GRAPH_APP_ID:
        return
    if not call.caller.directory_roles & _ANY_CONSENT:
        raise errors.insufficient_privileges()


def _check_role(resource: Document, role_id: str, kind: str) -> None:
    if role_id == _DEFAULT_ROLE and not resource["appRoles"]:
        return
    role = next((r for r in resource["appRoles"] if r["id"].lower() == role_id and r["isEnabled"]), None)
    member = "Application" if kind == "servicePrincipal" else "User"
    if role is None or member not in role["allowedMemberTypes"]:
        message = f"Permission being assigned was not found on application '{resource['appId']}'."
        raise errors.GraphError(message, details=[{"code": "NotFound", "message": message, "target": "appRoleId"}])


def get_assigned_to(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/appRoleAssignedTo/{id}."""
    return collection.one(call, _TYPE, _assignment(call, "resourceId", find_principal(call)["id"]))


def get_assignment(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/appRoleAssignments/{id}."""
    return collection.one(call, _TYPE, _assignment(call, "principalId", find_principal(call)["id"]))


def delete_assigned_to(call: Call) -> Answer:
    """DELETE /servicePrincipals/{id}/appRoleAssignedTo/{id}."""
    return _delete(call, _assignment(call, "resourceId", find_principal(call)["id"]))


def delete_assignment(call: Call) -> Answer:
    """DELETE /servicePrincipals/{id}/appRoleAssignments/{id}."""
    return _delete(call, _assignment(call, "principalId", find_principal(call)["id"]))


def delete_user_assignment(call: Call) -> Answer:
    """DELETE /users/{id}/appRoleAssignments/{id}."""
    return _delete(call, _assignment(call, "principalId", find_user(call)["id"]))


def _assignment(call: Call, side: str, identity: str) -> Document:
    assignment = call.get("appRoleAssignment", call.keys["assignment"])
    if assignment[side] != identity:
        raise errors.resource_not_found(call.keys["assignment"])
    return assignment


def _delete(call: Call, assignment: Document) -> Answer:
    call.directory.remove(call.tenant, "appRoleAssignment", assignment["id"])
    return NO_CONTENT
