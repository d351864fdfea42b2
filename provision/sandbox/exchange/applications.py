"""RBAC for Applications: what an application may do in which mailboxes, beside its grants in Entra.

Owns: the decision. Does not own: the assignments (``cmdlets.role_assignments``), who asks (Microsoft Graph, EWS).
Source: "Role Based Access Control for Applications in Exchange Online": assignments add to what Entra granted, so an
unscoped grant there defeats every scope. Microsoft caches them for 30 minutes to 2 hours; here they work at once.
"""

from __future__ import annotations

from collections.abc import Collection

from provision.sandbox.directory import Directory, Document
from provision.sandbox.exchange import recipients, roles
from provision.sandbox.exchange.filters import Filter


def granted(directory: Directory, tenant: str, principal_id: str, permissions: Collection[str]) -> list[Document]:
    """The role assignments that give a service principal one of the permissions.

    Args:
        directory: the store.
        tenant: the tenant's id.
        principal_id: the service principal's object id.
        permissions: application permissions, in lower case.
    """
    rows = directory.find(tenant, "managementRoleAssignment", fresh=True, _assigneeId=principal_id)
    return [
        row
        for row in rows
        if (role := roles.APPLICATION_ROLES.get(row["Role"]))
        and {name.lower() for name in role.permissions} & set(permissions)
    ]


def in_scope(directory: Directory, tenant: str, assignment: Document, mailbox: Document) -> bool:
    """Whether a role assignment reaches a mailbox."""
    name = assignment["CustomResourceScope"]
    if name is None:
        return True
    return any(
        Filter(scope["RecipientFilter"], recipients.SCOPE_FILTERABLE).matches(
            recipients.scoped(directory, tenant, mailbox)
        )
        for scope in directory.find(tenant, "managementScope", fresh=True, Name=name)
    )
