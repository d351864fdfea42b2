"""Where the navigation properties lead, and the names of the collections.

Owns: following ``owners``, ``memberOf``, ``appRoleAssignments`` and the like from a stored document.
Does not own: showing what is found (``collection``).
"""

from __future__ import annotations

from collections.abc import Callable

from provision.sandbox.directory import Document
from provision.sandbox.graph.call import Call

COLLECTION: dict[str, str] = {
    "application": "applications",
    "servicePrincipal": "servicePrincipals",
    "user": "users",
    "group": "groups",
    "directoryRole": "directoryRoles",
    "directoryObject": "directoryObjects",
    "oAuth2PermissionGrant": "oauth2PermissionGrants",
    "appRoleAssignment": "appRoleAssignments",
    "subscribedSku": "subscribedSkus",
    "organization": "organization",
    "domain": "domains",
    "conditionalAccessPolicy": "identity/conditionalAccess/policies",
    "namedLocation": "identity/conditionalAccess/namedLocations",
    "appManagementPolicy": "policies/appManagementPolicies",
    "unifiedRoleAssignment": "roleManagement/directory/roleAssignments",
    "unifiedRoleDefinition": "roleManagement/directory/roleDefinitions",
    "signIn": "auditLogs/signIns",
    "delegatedAdminRelationship": "tenantRelationships/delegatedAdminRelationships",
    "delegatedAdminCustomer": "tenantRelationships/delegatedAdminCustomers",
    "userRegistrationDetails": "reports/authenticationMethods/userRegistrationDetails",
}
"""Entity type -> its entity set, as ``@odata.context`` names it."""

OBJECT_KINDS = ("user", "servicePrincipal", "application", "group", "directoryRole")
"""The kinds that are directory objects, in the order in which an id is looked for."""

Row = tuple[str, Document]


def directory_object(call: Call, identity: str, *, kinds: tuple[str, ...] = OBJECT_KINDS) -> Row | None:
    """The kind and document of a directory object by id, or None."""
    for kind in kinds:
        document = call.directory.get(call.tenant, kind, identity)
        if document is not None:
            return kind, document
    return None


def objects(call: Call, identities: list[str]) -> list[Row]:
    """Those of the ids that exist, in their order."""
    return [row for identity in identities if (row := directory_object(call, identity)) is not None]


def _owners(call: Call, document: Document) -> list[Row]:
    return objects(call, document.get("_owners", []))


def _members(call: Call, document: Document) -> list[Row]:
    if "roleTemplateId" in document:
        found = call.directory.find(call.tenant, "roleMembership", roleId=document["id"])
        return objects(call, [row["memberId"] for row in found])
    return objects(call, document.get("_members", []))


def _member_of(call: Call, document: Document) -> list[Row]:
    identity = document["id"]
    held = call.directory.find(call.tenant, "roleMembership", memberId=identity)
    roles = objects(call, [row["roleId"] for row in held])
    return [*(("group", g) for g in call.all("group") if identity in g["_members"]), *roles]


def _transitive_member_of(call: Call, document: Document) -> list[Row]:
    seen: dict[str, Row] = {}
    waiting = [document]
    while waiting:
        for row in _member_of(call, waiting.pop()):
            if row[1]["id"] not in seen:
                seen[row[1]["id"]] = row
                waiting.append(row[1])
    return list(seen.values())


def _owned(call: Call, document: Document) -> list[Row]:
    identity = document["id"]
    return [
        (kind, row)
        for kind in ("application", "servicePrincipal", "group")
        for row in call.all(kind)
        if identity in row.get("_owners", ())
    ]


def _found(kind: str, type_name: str, name: str) -> Callable[[Call, Document], list[Row]]:
    def follow_key(call: Call, document: Document) -> list[Row]:
        found = call.directory.find(call.tenant, kind, **{name: document["id"]})
        return [(type_name, row) for row in found]

    return follow_key


def _policies(call: Call, document: Document) -> list[Row]:
    return [
        ("appManagementPolicy", policy)
        for policy in call.all("appManagementPolicy")
        if document["id"] in policy.get("_appliesTo", ())
    ]


_assignments = _found("appRoleAssignment", "appRoleAssignment", "principalId")
_assigned_to = _found("appRoleAssignment", "appRoleAssignment", "resourceId")
_grants = _found("oauth2PermissionGrant", "oAuth2PermissionGrant", "clientId")
_user_grants = _found("oauth2PermissionGrant", "oAuth2PermissionGrant", "principalId")
_federated = _found("federatedIdentityCredential", "federatedIdentityCredential", "_applicationId")


def _attachments(call: Call, document: Document) -> list[Row]:  # noqa: ARG001 - one signature for all
    return [("fileAttachment", row) for row in document.get("_attachments", ())]


FOLLOW: dict[str, dict[str, Callable[[Call, Document], list[Row]]]] = {
    "application": {
        "owners": _owners,
        "federatedIdentityCredentials": _federated,
        "appManagementPolicies": _policies,
    },
    "servicePrincipal": {
        "owners": _owners,
        "appRoleAssignments": _assignments,
        "appRoleAssignedTo": _assigned_to,
        "oauth2PermissionGrants": _grants,
        "memberOf": _member_of,
        "transitiveMemberOf": _transitive_member_of,
        "ownedObjects": _owned,
        "appManagementPolicies": _policies,
    },
    "user": {
        "appRoleAssignments": _assignments,
        "oauth2PermissionGrants": _user_grants,
        "memberOf": _member_of,
        "transitiveMemberOf": _transitive_member_of,
        "ownedObjects": _owned,
    },
    "group": {
        "owners": _owners,
        "members": _members,
        "memberOf": _member_of,
        "transitiveMemberOf": _transitive_member_of,
        "appRoleAssignments": _assignments,
    },
    "directoryRole": {"members": _members},
    "message": {"attachments": _attachments},
}


def follow(call: Call, type_name: str, name: str, document: Document) -> list[Row]:
    """What a navigation property leads to; empty for one that the local tenant never fills."""
    step = FOLLOW.get(type_name, {}).get(name)
    return [] if step is None else step(call, document)
