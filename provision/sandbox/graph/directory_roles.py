"""Directory roles: ``/directoryRoles``, ``/directoryRoleTemplates`` and ``/roleManagement/directory``.

Owns: who is a member of which Entra role. Does not own: what a role allows (``permissions``).
Sources: "directoryRole resource type", "Create unifiedRoleAssignment".
"""

from __future__ import annotations

import base64
import uuid

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, navigation, owners, schema
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call, alternate_key
from provision.sandbox.published import DIRECTORY_ROLES, ROLE

_HOLDERS = ("user", "servicePrincipal")


def find(call: Call) -> Document:
    """The role that the path names, by id or ``roleTemplateId``; 404 when there is none."""
    key = call.keys["role"]
    alternate = alternate_key(key)
    if alternate is None:
        return call.get("directoryRole", key.lower())
    found = call.directory.find(call.tenant, "directoryRole", roleTemplateId=alternate[1])
    if alternate[0].lower() != "roletemplateid" or not found:
        raise errors.resource_not_found(alternate[1])
    return found[0]


def list_directory_roles(call: Call) -> Answer:
    """GET /directoryRoles."""
    return collection.many(call, "directoryRole", call.all("directoryRole"))


def get_directory_role(call: Call) -> Answer:
    """GET /directoryRoles/{id}."""
    return collection.one(call, "directoryRole", find(call))


def activate_directory_role(call: Call) -> Answer:
    """POST /directoryRoles: every known role is active from the start, so this is always a conflict."""
    payload = schema.check("directoryRole", call.body, create=True)
    if payload.get("roleTemplateId") not in DIRECTORY_ROLES:
        raise errors.invalid_value("roleTemplateId", "DirectoryRole")
    raise errors.Conflict(
        "A conflicting object with one or more of the specified property values is present in the directory."
    )


def list_members(call: Call) -> Answer:
    """GET /directoryRoles/{id}/members."""
    rows = navigation.follow(call, "directoryRole", "members", find(call))
    return collection.directory_objects(call, rows)


def add_member(call: Call) -> Answer:
    """POST /directoryRoles/{id}/members/$ref."""
    role = find(call)
    identity = owners.body_reference(call.body)
    owners.check_target(call, identity, _HOLDERS)
    if _membership(call, role["id"], identity):
        raise errors.reference_exists("members")
    call.directory.insert(call.tenant, "roleMembership", {"roleId": role["id"], "memberId": identity})
    return NO_CONTENT


def remove_member(call: Call) -> Answer:
    """DELETE /directoryRoles/{id}/members/{id}/$ref: never the last Global Administrator."""
    role, member = find(call), call.keys["member"].lower()
    row = _membership(call, role["id"], member)
    if row is None:
        raise errors.resource_not_found(member)
    _remove(call, role, row)
    return NO_CONTENT


def _remove(call: Call, role: Document, row: Document) -> None:
    holders = call.directory.find(call.tenant, "roleMembership", fresh=True, roleId=role["id"])
    if role["roleTemplateId"] == ROLE["Global Administrator"] and len(holders) == 1:
        raise errors.GraphError("Removing the last Global Administrator is not allowed.")
    call.directory.remove(call.tenant, "roleMembership", row["id"])


def _membership(call: Call, role: str, member: str) -> Document | None:
    found = call.directory.find(call.tenant, "roleMembership", fresh=True, roleId=role, memberId=member)
    return found[0] if found else None


def list_role_templates(call: Call) -> Answer:
    """GET /directoryRoleTemplates."""
    rows = [
        {"id": template, "deletedDateTime": None, "displayName": name, "description": description}
        for template, (name, description) in DIRECTORY_ROLES.items()
    ]
    return collection.many(call, "directoryRoleTemplate", rows, context="directoryRoleTemplates")


def _definition(template: str) -> Document:
    name, description = DIRECTORY_ROLES[template]
    return {
        "id": template,
        "description": description,
        "displayName": name,
        "isBuiltIn": True,
        "isEnabled": True,
        "resourceScopes": ["/"],
        "templateId": template,
        "version": "1",
        "rolePermissions": [],
    }


def list_role_definitions(call: Call) -> Answer:
    """GET /roleManagement/directory/roleDefinitions."""
    return collection.many(call, "unifiedRoleDefinition", [_definition(template) for template in DIRECTORY_ROLES])


def get_role_definition(call: Call) -> Answer:
    """GET /roleManagement/directory/roleDefinitions/{id}."""
    template = call.keys["definition"].lower()
    if template not in DIRECTORY_ROLES:
        raise errors.resource_not_found(template)
    return collection.one(call, "unifiedRoleDefinition", _definition(template))


def _assignment(row: Document, role: Document) -> Document:
    raw = uuid.UUID(role["roleTemplateId"]).bytes_le + uuid.UUID(row["memberId"]).bytes_le
    return {
        "id": base64.urlsafe_b64encode(raw).rstrip(b"=").decode() + "-1",
        "principalId": row["memberId"],
        "directoryScopeId": "/",
        "roleDefinitionId": role["roleTemplateId"],
        "_membership": row["id"],
    }


def _assignments(call: Call) -> list[Document]:
    roles = {role["id"]: role for role in call.all("directoryRole")}
    return [_assignment(row, roles[row["roleId"]]) for row in call.all("roleMembership")]


def list_role_assignments(call: Call) -> Answer:
    """GET /roleManagement/directory/roleAssignments."""
    return collection.many(call, "unifiedRoleAssignment", _assignments(call))


def _find_assignment(call: Call) -> Document:
    for row in _assignments(call):
        if row["id"] == call.keys["assignment"]:
            return row
    raise errors.resource_not_found(call.keys["assignment"])


def get_role_assignment(call: Call) -> Answer:
    """GET /roleManagement/directory/roleAssignments/{id}."""
    return collection.one(call, "unifiedRoleAssignment", _find_assignment(call))


def create_role_assignment(call: Call) -> Answer:
    """POST /roleManagement/directory/roleAssignments; the tenant is the only scope."""
    payload = schema.check("unifiedRoleAssignment", call.body, create=True)
    for name in ("principalId", "roleDefinitionId", "directoryScopeId"):
        if not payload.get(name):
            raise errors.value_required(name, "UnifiedRoleAssignment")
    if payload.values["directoryScopeId"] != "/":
        raise errors.invalid_value("directoryScopeId", "UnifiedRoleAssignment")
    found = call.directory.find(call.tenant, "directoryRole", roleTemplateId=payload.values["roleDefinitionId"])
    if not found:
        raise errors.resource_not_found(payload.values["roleDefinitionId"])
    owners.check_target(call, payload.values["principalId"], _HOLDERS)
    member = payload.values["principalId"].lower()
    if _membership(call, found[0]["id"], member):
        raise errors.Conflict(
            "A conflicting object with one or more of the specified property values is present in the directory."
        )
    row = call.directory.insert(call.tenant, "roleMembership", {"roleId": found[0]["id"], "memberId": member})
    return collection.one(call, "unifiedRoleAssignment", _assignment(row, found[0]), status=201)


def delete_role_assignment(call: Call) -> Answer:
    """DELETE /roleManagement/directory/roleAssignments/{id}."""
    assignment = _find_assignment(call)
    row = call.get("roleMembership", assignment["_membership"])
    _remove(call, call.get("directoryRole", row["roleId"]), row)
    return NO_CONTENT
