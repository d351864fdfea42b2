"""Who may run which cmdlet: management roles, role groups, and the directory roles that stand for them.

Owns: the tables and who holds what. Does not own: which roles a cmdlet needs (the cmdlets name them).
Sources: "App-only authentication for unattended scripts in Exchange Online PowerShell" (the directory roles, and
custom role groups for service principals), "Permissions in Exchange Online", "Feature permissions in Exchange
Online". What "Exchange Recipient Administrator" leaves out follows the published description of that role; the exact
list of its management roles was not read at a source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from provision.sandbox.directory import Directory
from provision.sandbox.published import ROLE

MAIL_RECIPIENTS: Final = "Mail Recipients"
VIEW_RECIPIENTS: Final = "View-Only Recipients"
VIEW_CONFIGURATION: Final = "View-Only Configuration"
TRANSPORT_SETTINGS: Final = "Organization Transport Settings"
TRANSPORT_HYGIENE: Final = "Transport Hygiene"
ORGANIZATION_CONFIGURATION: Final = "Organization Configuration"
CLIENT_ACCESS: Final = "Organization Client Access"
ROLE_MANAGEMENT: Final = "Role Management"
DISTRIBUTION_GROUPS: Final = "Distribution Groups"

MANAGEMENT_ROLES: Final = (
    MAIL_RECIPIENTS,
    VIEW_RECIPIENTS,
    VIEW_CONFIGURATION,
    TRANSPORT_SETTINGS,
    TRANSPORT_HYGIENE,
    ORGANIZATION_CONFIGURATION,
    CLIENT_ACCESS,
    ROLE_MANAGEMENT,
    DISTRIBUTION_GROUPS,
)
"""The management roles whose cmdlets exist here."""


@dataclass(frozen=True)
class ApplicationRole:
    """A role of RBAC for Applications: what it lets an application do through Microsoft Graph or EWS."""

    name: str
    permissions: tuple[str, ...]
    """Graph's application permissions that it stands for."""


APPLICATION_ROLES: Final = {
    row.name: row
    for row in (
        ApplicationRole("Application Mail.Send", ("Mail.Send",)),
        ApplicationRole("Application Mail.Read", ("Mail.Read",)),
        ApplicationRole("Application Mail.ReadBasic", ("Mail.ReadBasic.All",)),
        ApplicationRole("Application Mail.ReadWrite", ("Mail.ReadWrite",)),
        ApplicationRole("Application Mail Full Access", ("Mail.ReadWrite", "Mail.Send")),
        ApplicationRole("Application EWS.AccessAsApp", ("EWS.AccessAsApp",)),
        ApplicationRole("Application Exchange Full Access", ("Mail.ReadWrite", "Mail.Send")),
    )
}
"""Source: "Role Based Access Control for Applications in Exchange Online", supported application roles, as far as
they have to do with mail. Whether SMTP.SendAsApp can be given this way was not found at a source, so it cannot here."""

BUILT_IN_GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Organization Management": MANAGEMENT_ROLES,
    "Recipient Management": (MAIL_RECIPIENTS, DISTRIBUTION_GROUPS),
    "View-Only Organization Management": (VIEW_RECIPIENTS, VIEW_CONFIGURATION),
    "Hygiene Management": (TRANSPORT_HYGIENE, VIEW_RECIPIENTS, VIEW_CONFIGURATION),
}
"""Role groups that every organisation has."""

_DIRECTORY_ROLES: Final = {
    ROLE["Global Administrator"]: "Organization Management",
    ROLE["Exchange Administrator"]: "Organization Management",
    ROLE["Exchange Recipient Administrator"]: "Recipient Management",
    ROLE["Global Reader"]: "View-Only Organization Management",
    ROLE["Security Reader"]: "View-Only Organization Management",
    ROLE["Security Administrator"]: "Hygiene Management",
}
"""Template id of a directory role -> the role group whose rights it gives."""


def held(directory: Directory, tenant: str, principal_id: str) -> frozenset[str]:
    """The management roles of a user or service principal, by directory role, role group or direct assignment.

    Args:
        directory: the store.
        tenant: the tenant's id.
        principal_id: the object id in Entra.
    """
    found: set[str] = set()
    for row in directory.find(tenant, "roleMembership", fresh=True, memberId=principal_id):
        role = directory.get(tenant, "directoryRole", row["roleId"], fresh=True)
        group = _DIRECTORY_ROLES.get(role["roleTemplateId"]) if role else None
        found |= set(BUILT_IN_GROUPS.get(group or "", ()))
    for group_document in directory.all(tenant, "roleGroup", fresh=True):
        if principal_id in group_document["_members"]:
            found |= set(group_document["Roles"])
    for row in directory.find(tenant, "managementRoleAssignment", fresh=True, _assigneeId=principal_id):
        if row["CustomResourceScope"] is None and row["Role"] in MANAGEMENT_ROLES:
            found.add(row["Role"])
    return frozenset(found)
