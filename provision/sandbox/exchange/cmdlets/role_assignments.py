"""Management scopes and role assignments, RBAC for Applications among them, and testing what they give.

Sources: "Role Based Access Control for Applications in Exchange Online", "New-ManagementScope",
"New-ManagementRoleAssignment", "Test-ServicePrincipalAuthorization" (the columns of its example). Administrative
units do not exist here, so ``-RecipientAdministrativeUnitScope`` does not either.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import applications, errors, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows, listed, one
from provision.sandbox.exchange.cmdlets import service_principals
from provision.sandbox.exchange.filters import Filter
from provision.sandbox.exchange.parameters import IDENTITY, MANDATORY_IDENTITY, TEXT, Parameter, text

SCOPE = "managementScope"
ASSIGNMENT = "managementRoleAssignment"


def _named(call: Call, kind: str, identity: str) -> Document:
    found = call.directory.find(call.tenant, kind, fresh=True, Name=identity)
    row = found[0] if found else call.directory.get(call.tenant, kind, identity, fresh=True)
    if row is None:
        raise errors.not_found(identity)
    return row


# Scopes


def _show_scope(call: Call, scope: Document) -> Document:
    return {
        "RecipientFilter": scope["RecipientFilter"],
        "RecipientRoot": None,
        "ScopeRestrictionType": "RecipientScope",
        "Exclusive": False,
        **recipients.naming(call.organization, scope["Name"], scope["id"]),
    }


def get_management_scope(call: Call) -> Rows:
    """Get-ManagementScope."""
    if "Identity" in call.parameters:
        return one(_show_scope(call, _named(call, SCOPE, call.get("Identity"))))
    return listed(_show_scope(call, row) for row in call.directory.all(call.tenant, SCOPE, fresh=True))


def new_management_scope(call: Call) -> Rows:
    """New-ManagementScope: it comes back; a filter that cannot be read is refused now."""
    name, restriction = call.get("Name"), call.get("RecipientRestrictionFilter")
    Filter(restriction, recipients.SCOPE_FILTERABLE)
    if call.directory.find(call.tenant, SCOPE, fresh=True, Name=name):
        raise errors.already_exists(name)
    document = {"Name": name, "RecipientFilter": restriction}
    return one(_show_scope(call, call.directory.insert(call.tenant, SCOPE, document, visible_at_once=True)))


def remove_management_scope(call: Call) -> Rows:
    """Remove-ManagementScope: refused while a role assignment uses it."""
    scope = _named(call, SCOPE, call.get("Identity"))
    used = [
        row["Name"]
        for row in call.directory.all(call.tenant, ASSIGNMENT, fresh=True)
        if row["CustomResourceScope"] == scope["Name"]
    ]
    if used:
        raise errors.refused(
            f"The management scope '{scope['Name']}' can't be removed because it's being used by the role assignment "
            f"'{used[0]}'."
        )
    call.directory.remove(call.tenant, SCOPE, scope["id"])
    return NOTHING


# Role assignments


def _show_assignment(call: Call, row: Document) -> Document:
    scope = row["CustomResourceScope"]
    return {
        "Role": row["Role"],
        "RoleAssignee": row["RoleAssignee"],
        "RoleAssigneeName": row["RoleAssignee"],
        "RoleAssigneeType": row["RoleAssigneeType"],
        "App": row["_assigneeId"],
        "AssignmentMethod": "Direct",
        "CustomResourceScope": scope,
        "CustomRecipientWriteScope": None,
        "RecipientWriteScope": "CustomRecipientScope" if scope else "Organization",
        "Enabled": True,
        **recipients.naming(call.organization, row["Name"], row["id"]),
    }


def get_management_role_assignment(call: Call) -> Rows:
    """Get-ManagementRoleAssignment, by name, role or assignee."""
    if "Identity" in call.parameters:
        if set(call.parameters) - {"Identity"}:
            raise errors.no_parameter_set()
        return one(_show_assignment(call, _named(call, ASSIGNMENT, call.get("Identity"))))
    rows = call.directory.all(call.tenant, ASSIGNMENT, fresh=True)
    if "Role" in call.parameters:
        rows = [row for row in rows if row["Role"].lower() == call.get("Role").lower()]
    if "RoleAssignee" in call.parameters:
        principal = service_principals.require(call, call.get("RoleAssignee"))
        rows = [row for row in rows if row["_assigneeId"] == principal["ObjectId"]]
    return listed(_show_assignment(call, row) for row in rows)


def new_management_role_assignment(call: Call) -> Rows:
    """New-ManagementRoleAssignment for an application: with a scope for an application role, or over everything."""
    principal = service_principals.require(call, call.get("App"))
    known = {name.lower(): name for name in (*roles.APPLICATION_ROLES, *roles.MANAGEMENT_ROLES)}
    role = known.get(call.get("Role").lower())
    if role is None:
        raise errors.not_found(call.get("Role"))
    scope = None
    if "CustomResourceScope" in call.parameters:
        if role not in roles.APPLICATION_ROLES:
            raise errors.no_parameter_set()
        scope = _named(call, SCOPE, call.get("CustomResourceScope"))["Name"]
    name = call.get("Name") or f"{role}-{principal['ObjectId']}"[:64]
    if call.directory.find(call.tenant, ASSIGNMENT, fresh=True, Name=name):
        raise errors.already_exists(name)
    document = {
        "Name": name,
        "Role": role,
        "RoleAssignee": principal["DisplayName"],
        "RoleAssigneeType": "ServicePrincipal",
        "CustomResourceScope": scope,
        "_assigneeId": principal["ObjectId"],
    }
    return one(_show_assignment(call, call.directory.insert(call.tenant, ASSIGNMENT, document, visible_at_once=True)))


def remove_management_role_assignment(call: Call) -> Rows:
    """Remove-ManagementRoleAssignment."""
    call.directory.remove(call.tenant, ASSIGNMENT, _named(call, ASSIGNMENT, call.get("Identity"))["id"])
    return NOTHING


def test_service_principal_authorization(call: Call) -> Rows:
    """Test-ServicePrincipalAuthorization: a row for each application role; permissions of Entra do not count."""
    principal = service_principals.require(call, call.get("Identity"))
    resource = recipients.mailbox(call, call.get("Resource")) if "Resource" in call.parameters else None
    rows = []
    for row in call.directory.find(call.tenant, ASSIGNMENT, fresh=True, _assigneeId=principal["ObjectId"]):
        if (role := roles.APPLICATION_ROLES.get(row["Role"])) is None:
            continue
        scope = row["CustomResourceScope"]
        inside = "Not Run"
        if resource is not None:
            inside = str(applications.in_scope(call.directory, call.tenant, row, resource))
        rows.append(
            {
                "RoleName": role.name,
                "GrantedPermissions": ", ".join(role.permissions),
                "AllowedResourceScope": scope or "Organization",
                "ScopeType": "CustomRecipientScope" if scope else "Organization",
                "InScope": inside,
            }
        )
    return listed(rows)


_READ = (roles.ROLE_MANAGEMENT, roles.VIEW_CONFIGURATION)
_WRITE = (roles.ROLE_MANAGEMENT,)

CMDLETS = (
    Cmdlet("Get-ManagementScope", {"Identity": IDENTITY}, _READ, get_management_scope),
    Cmdlet(
        "New-ManagementScope",
        {"Name": MANDATORY_IDENTITY, "RecipientRestrictionFilter": Parameter(text, mandatory=True)},
        _WRITE,
        new_management_scope,
    ),
    Cmdlet("Remove-ManagementScope", {"Identity": MANDATORY_IDENTITY}, _WRITE, remove_management_scope),
    Cmdlet(
        "Get-ManagementRoleAssignment",
        {"Identity": IDENTITY, "Role": TEXT, "RoleAssignee": IDENTITY},
        _READ,
        get_management_role_assignment,
    ),
    Cmdlet(
        "New-ManagementRoleAssignment",
        {"App": MANDATORY_IDENTITY, "Role": MANDATORY_IDENTITY, "CustomResourceScope": IDENTITY, "Name": TEXT},
        _WRITE,
        new_management_role_assignment,
    ),
    Cmdlet(
        "Remove-ManagementRoleAssignment", {"Identity": MANDATORY_IDENTITY}, _WRITE, remove_management_role_assignment
    ),
    Cmdlet(
        "Test-ServicePrincipalAuthorization",
        {"Identity": MANDATORY_IDENTITY, "Resource": IDENTITY},
        _READ,
        test_service_principal_authorization,
    ),
)
