"""Custom role groups: the way to let an application run a few cmdlets without a directory role.

Source: "App-only authentication for unattended scripts in Exchange Online PowerShell", step 5, custom role groups.
The built-in groups are listed, and their members are those of the directory roles, which Entra manages.
"""

from __future__ import annotations

import uuid

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows, listed, one
from provision.sandbox.exchange.cmdlets import service_principals
from provision.sandbox.exchange.parameters import IDENTITY, MANDATORY_IDENTITY, Parameter, texts

KIND = "roleGroup"
_NAMESPACE = uuid.UUID("6f3e1b52-52b2-4b8c-9d2e-6c1a3a0f7b11")


def _show(call: Call, name: str, guid: str, held: list[str]) -> Document:
    return {"Roles": held, "RoleGroupType": "Standard", **recipients.naming(call.organization, name, guid)}


def _built_in(call: Call) -> list[Document]:
    return [
        _show(call, name, str(uuid.uuid5(_NAMESPACE, call.tenant + name)), list(held))
        for name, held in roles.BUILT_IN_GROUPS.items()
    ]


def _require(call: Call, identity: str) -> Document:
    found = call.directory.find(call.tenant, KIND, fresh=True, Name=identity)
    if not found:
        raise errors.not_found(identity)
    return found[0]


def _member(call: Call, identity: str) -> str:
    """The object id of a service principal known to Exchange, or of a user."""
    try:
        return str(service_principals.require(call, identity)["ObjectId"])
    except errors.ExchangeError as error:
        if error.status != 404:
            raise
        return str(recipients.user(call, identity)["id"])


def get_role_group(call: Call) -> Rows:
    """Get-RoleGroup: the built-in ones, then the custom ones."""
    rows = _built_in(call) + [
        _show(call, row["Name"], row["id"], row["Roles"]) for row in call.directory.all(call.tenant, KIND, fresh=True)
    ]
    if "Identity" not in call.parameters:
        return listed(rows)
    wanted = call.get("Identity").lower()
    for row in rows:
        if wanted in {str(row["Name"]).lower(), row["Guid"]}:
            return one(row)
    raise errors.not_found(call.get("Identity"))


def new_role_group(call: Call) -> Rows:
    """New-RoleGroup: it comes back."""
    name = call.get("Name")
    taken = {group.lower() for group in roles.BUILT_IN_GROUPS}
    if name.lower() in taken or call.directory.find(call.tenant, KIND, fresh=True, Name=name):
        raise errors.already_exists(name)
    known = {role.lower(): role for role in roles.MANAGEMENT_ROLES}
    held = []
    for role in call.get("Roles", []):
        if role.lower() not in known:
            raise errors.not_found(role)
        held.append(known[role.lower()])
    members = [_member(call, identity) for identity in call.get("Members", [])]
    document = {"Name": name, "Roles": held, "_members": members}
    stored = call.directory.insert(call.tenant, KIND, document, visible_at_once=True)
    return one(_show(call, name, stored["id"], held))


def remove_role_group(call: Call) -> Rows:
    """Remove-RoleGroup: custom ones only."""
    call.directory.remove(call.tenant, KIND, _require(call, call.get("Identity"))["id"])
    return NOTHING


def add_role_group_member(call: Call) -> Rows:
    """Add-RoleGroupMember."""
    group, member = _require(call, call.get("Identity")), _member(call, call.get("Member"))
    if member in group["_members"]:
        raise errors.refused(f'The recipient "{member}" is already a member of the group "{group["Name"]}".')
    call.directory.replace(call.tenant, KIND, {**group, "_members": [*group["_members"], member]})
    return NOTHING


def get_role_group_member(call: Call) -> Rows:
    """Get-RoleGroupMember."""
    rows = []
    for member in _require(call, call.get("Identity"))["_members"]:
        user = call.directory.get(call.tenant, "user", member, fresh=True)
        kind = "User" if user else "ServicePrincipal"
        rows.append({"RecipientType": kind, **recipients.naming(call.organization, member, member)})
    return listed(rows)


def remove_role_group_member(call: Call) -> Rows:
    """Remove-RoleGroupMember."""
    group, member = _require(call, call.get("Identity")), _member(call, call.get("Member"))
    if member not in group["_members"]:
        raise errors.refused(f'The recipient "{member}" isn\'t a member of the group "{group["Name"]}".')
    kept = [row for row in group["_members"] if row != member]
    call.directory.replace(call.tenant, KIND, {**group, "_members": kept})
    return NOTHING


_READ = (roles.ROLE_MANAGEMENT, roles.VIEW_CONFIGURATION)
_WRITE = (roles.ROLE_MANAGEMENT,)
_MEMBER = {"Identity": MANDATORY_IDENTITY, "Member": MANDATORY_IDENTITY}

CMDLETS = (
    Cmdlet("Get-RoleGroup", {"Identity": IDENTITY}, _READ, get_role_group),
    Cmdlet(
        "New-RoleGroup",
        {"Name": MANDATORY_IDENTITY, "Roles": Parameter(texts), "Members": Parameter(texts)},
        _WRITE,
        new_role_group,
    ),
    Cmdlet("Remove-RoleGroup", {"Identity": MANDATORY_IDENTITY}, _WRITE, remove_role_group),
    Cmdlet("Add-RoleGroupMember", _MEMBER, _WRITE, add_role_group_member),
    Cmdlet("Get-RoleGroupMember", {"Identity": MANDATORY_IDENTITY}, _READ, get_role_group_member),
    Cmdlet("Remove-RoleGroupMember", _MEMBER, _WRITE, remove_role_group_member),
)
