"""Who may do what: for each operation the Graph permissions, and in delegated calls the directory roles, that allow it.

Owns: the table and the decision. Does not own: who the caller is (``call``), or ownership of one object (the handlers
ask ``Call.require_owner`` when the decision says "owned objects only").

Sources: ``permissions/new/permissions.json`` of microsoftgraph/microsoft-graph-devx-content (snapshot 2026-08-07), the
file behind the permission tables of the reference; "Microsoft Entra built-in roles" for the roles; the page of
Application.ReadWrite.OwnedBy for its meaning. ``Directory.AccessAsUser.All`` acts with all rights of the user.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from provision.sandbox.exchange import applications
from provision.sandbox.graph import errors
from provision.sandbox.graph.call import Call
from provision.sandbox.published import ROLE

OWNED_BY = "application.readwrite.ownedby"
_ACT_AS_USER = "Directory.AccessAsUser.All"
_MEMBER = "member"
"""Every user of the tenant, as reading the directory is by default."""
_OWNER = "owner"
"""The owner of the object, besides the roles."""
_APP_ADMINS = ("Global Administrator", "Application Administrator", "Cloud Application Administrator")
_READERS = ("Global Reader", "Security Reader", "Security Administrator")


@dataclass(frozen=True)
class Rule:
    """What one operation needs."""

    delegated: frozenset[str]
    """Scopes, one of which a delegated token must carry; empty: the operation has no delegated form."""
    application: frozenset[str]
    """Roles, one of which an app-only token must carry; empty: the operation has no app-only form."""
    also: frozenset[str] = frozenset()
    """Permissions, one of which is needed besides."""
    roles: frozenset[str] = frozenset()
    """Template ids of directory roles, one of which the user must hold; with ``member`` any user will do."""
    owner: bool = False
    """Whether an owner of the object may do it without a role."""


def _rule(
    both: str = "",
    *,
    delegated: str = "",
    application: str = "",
    also: str = "",
    roles: Iterable[str] = (_MEMBER,),
    directory: bool = True,
) -> Rule:
    names = [*both.split(), *delegated.split()]
    if directory and names:
        names.append(_ACT_AS_USER)
    return Rule(
        frozenset(n.lower() for n in names),
        frozenset(n.lower() for n in (*both.split(), *application.split())),
        frozenset(n.lower() for n in also.split()),
        frozenset(ROLE.get(r, r) for r in roles if r != _OWNER),
        _OWNER in roles,
    )


_DIRECTORY_READ = "Directory.Read.All Directory.ReadWrite.All"
_APP_READ = f"Application.Read.All Application.ReadWrite.All {_DIRECTORY_READ}"
_ROLE_READ = f"RoleManagement.Read.Directory RoleManagement.ReadWrite.Directory {_DIRECTORY_READ}"
_OWNED = "Application.ReadWrite.OwnedBy"
_GROUP_READ = f"GroupMember.Read.All GroupMember.ReadWrite.All Group.Read.All Group.ReadWrite.All {_DIRECTORY_READ}"
_USER_READ = f"User.ReadBasic.All User.Read.All User.ReadWrite.All {_DIRECTORY_READ}"
_CONSENT_ADMINS = (*_APP_ADMINS, "Privileged Role Administrator")
_USER_ADMINS = ("Global Administrator", "User Administrator")
_CA_ADMINS = ("Global Administrator", "Security Administrator", "Conditional Access Administrator")

RULES: dict[str, Rule] = {
    "application.read": _rule(_APP_READ, application=_OWNED),
    "application.create": _rule("Application.ReadWrite.All Directory.ReadWrite.All", application=_OWNED),
    "application.write": _rule("Application.ReadWrite.All", application=_OWNED, roles=(*_APP_ADMINS, _OWNER)),
    "application.credentials": _rule(
        "Application.ReadWrite.All Directory.ReadWrite.All", application=_OWNED, roles=(*_APP_ADMINS, _OWNER)
    ),
    "application.verify": _rule(delegated="Application.ReadWrite.All", roles=_APP_ADMINS),
    "federated.read": _rule("Application.Read.All Application.ReadWrite.All", application=_OWNED),
    "servicePrincipal.read": _rule(_APP_READ, application=_OWNED),
    "servicePrincipal.write": _rule(
        "Application.ReadWrite.All Directory.ReadWrite.All", application=_OWNED, roles=(*_APP_ADMINS, _OWNER)
    ),
    "servicePrincipal.create": _rule("Application.ReadWrite.All Directory.ReadWrite.All", application=_OWNED),
    "grant.read": _rule(f"DelegatedPermissionGrant.Read.All DelegatedPermissionGrant.ReadWrite.All {_DIRECTORY_READ}"),
    "grant.write": _rule("DelegatedPermissionGrant.ReadWrite.All Directory.ReadWrite.All", roles=_CONSENT_ADMINS),
    "appRole.read": _rule(f"{_APP_READ} AppRoleAssignment.ReadWrite.All", application=_OWNED),
    "appRole.create": _rule(
        "AppRoleAssignment.ReadWrite.All",
        also=f"Application.Read.All Application.ReadWrite.All {_DIRECTORY_READ} {_ACT_AS_USER}",
        roles=_CONSENT_ADMINS,
    ),
    "appRole.delete": _rule("AppRoleAssignment.ReadWrite.All", roles=_CONSENT_ADMINS),
    "role.read": _rule(_ROLE_READ),
    "role.write": _rule(
        "RoleManagement.ReadWrite.Directory", roles=("Global Administrator", "Privileged Role Administrator")
    ),
    "user.read": _rule(_USER_READ, delegated="User.Read User.ReadWrite"),
    "user.list": _rule(_USER_READ),
    "me.read": _rule(delegated=f"User.Read User.ReadWrite {_USER_READ}"),
    "me.write": _rule(delegated="User.ReadWrite User.ReadWrite.All Directory.ReadWrite.All"),
    "user.create": _rule("User.ReadWrite.All Directory.ReadWrite.All", roles=_USER_ADMINS),
    "user.write": _rule(
        "User.ReadWrite.All Directory.ReadWrite.All User.EnableDisableAccount.All",
        delegated="User.ReadWrite",
        roles=(*_USER_ADMINS, "Helpdesk Administrator", _OWNER),
    ),
    "user.delete": _rule("User.ReadWrite.All User.DeleteRestore.All", roles=_USER_ADMINS),
    "user.memberOf": _rule(f"{_GROUP_READ} User.Read.All User.ReadWrite.All", delegated="User.Read"),
    "user.revoke": _rule(
        "User.RevokeSessions.All User.ReadWrite.All Directory.ReadWrite.All",
        roles=(*_USER_ADMINS, "Helpdesk Administrator", _OWNER),
    ),
    "me.revoke": _rule(delegated="User.RevokeSessions.All User.ReadWrite.All Directory.ReadWrite.All User.ReadWrite"),
    "license.read": _rule(
        "LicenseAssignment.Read.All LicenseAssignment.ReadWrite.All User.Read.All User.ReadWrite.All "
        f"{_DIRECTORY_READ}",
        delegated="User.Read",
    ),
    "license.assign": _rule(
        "LicenseAssignment.ReadWrite.All User.ReadWrite.All Directory.ReadWrite.All",
        roles=(*_USER_ADMINS, "License Administrator"),
    ),
    "group.read": _rule(_GROUP_READ),
    "group.create": _rule("Group.ReadWrite.All Directory.ReadWrite.All", application="Group.Create", roles=(_MEMBER,)),
    "group.write": _rule(
        "Group.ReadWrite.All Directory.ReadWrite.All", roles=(*_USER_ADMINS, "Groups Administrator", _OWNER)
    ),
    "group.members": _rule(
        "GroupMember.ReadWrite.All Group.ReadWrite.All Directory.ReadWrite.All",
        roles=(*_USER_ADMINS, "Groups Administrator", _OWNER),
    ),
    "sku.read": _rule(
        f"LicenseAssignment.Read.All Organization.Read.All Organization.ReadWrite.All {_DIRECTORY_READ}",
    ),
    "organization.read": _rule(
        f"Organization.Read.All Organization.ReadWrite.All User.Read.All {_DIRECTORY_READ}", delegated="User.Read"
    ),
    "domain.read": _rule(f"Domain.Read.All Domain.ReadWrite.All {_DIRECTORY_READ}"),
    "securityDefaults.read": _rule(
        "Policy.Read.All Policy.ReadWrite.SecurityDefaults",
        roles=(*_READERS, *_CA_ADMINS, *_APP_ADMINS),
        directory=False,
    ),
    "securityDefaults.write": _rule(
        "Policy.ReadWrite.SecurityDefaults", also="Policy.Read.All", roles=_CA_ADMINS, directory=False
    ),
    "conditionalAccess.read": _rule(
        "Policy.Read.All Policy.Read.ConditionalAccess",
        roles=(*_READERS, *_CA_ADMINS),
        directory=False,
    ),
    "conditionalAccess.write": _rule(
        "Policy.ReadWrite.ConditionalAccess", also="Policy.Read.All", roles=_CA_ADMINS, directory=False
    ),
    "appManagement.read": _rule(
        "Policy.Read.All Policy.ReadWrite.ApplicationConfiguration",
        roles=(*_READERS, *_APP_ADMINS),
        directory=False,
    ),
    "appManagement.write": _rule("Policy.ReadWrite.ApplicationConfiguration", roles=_APP_ADMINS, directory=False),
    "authorizationPolicy.read": _rule("Policy.Read.All Policy.ReadWrite.Authorization", directory=False),
    "authorizationPolicy.write": _rule(
        "Policy.ReadWrite.Authorization",
        roles=("Global Administrator", "Privileged Role Administrator"),
        directory=False,
    ),
    "deleted.application": _rule(_APP_READ, application=_OWNED),
    "deleted.applicationWrite": _rule("Application.ReadWrite.All", application=_OWNED, roles=(*_APP_ADMINS, _OWNER)),
    "deleted.user": _rule("User.Read.All User.ReadWrite.All User.DeleteRestore.All Directory.Read.All"),
    "deleted.userWrite": _rule("User.ReadWrite.All User.DeleteRestore.All", roles=_USER_ADMINS),
    "deleted.group": _rule(_GROUP_READ),
    "deleted.groupWrite": _rule("Group.ReadWrite.All", roles=(*_USER_ADMINS, "Groups Administrator", _OWNER)),
    "object.read": _rule(
        f"{_DIRECTORY_READ} Application.Read.All Application.ReadWrite.All User.Read.All User.ReadWrite.All "
        "Group.Read.All Group.ReadWrite.All",
        application=_OWNED,
    ),
    "signIn.read": _rule(
        "AuditLog.Read.All",
        roles=(*_READERS, "Global Administrator", "Reports Reader", "Security Operator"),
        directory=False,
    ),
    "userMfa.read": _rule(
        "Policy.Read.All Policy.ReadWrite.AuthenticationMethod",
        roles=("Global Reader", "Global Administrator", "Authentication Policy Administrator"),
        directory=False,
    ),
    "me.mfa": _rule(delegated="Policy.Read.All Policy.ReadWrite.AuthenticationMethod", directory=False),
    "delegatedAdmin.read": _rule(
        "DelegatedAdminRelationship.Read.All DelegatedAdminRelationship.ReadWrite.All", directory=False
    ),
    "mail.send": _rule("Mail.Send", delegated="Mail.Send.Shared", directory=False),
    "me.send": _rule(delegated="Mail.Send Mail.Send.Shared", directory=False),
    "mail.read": _rule(
        "Mail.Read Mail.ReadWrite",
        delegated="Mail.ReadBasic Mail.Read.Shared Mail.ReadWrite.Shared",
        application="Mail.ReadBasic.All",
        directory=False,
    ),
    "me.mail": _rule(delegated="Mail.ReadBasic Mail.Read Mail.ReadWrite", directory=False),
}
"""Operation group -> what it needs; a new operation names one of these or adds a row."""


def authorize(call: Call, rule: Rule) -> None:
    """Lets the call pass, perhaps for owned objects or the mailboxes of role assignments only, or refuses it.

    Raises:
        Denied: no permission of the token, or no role of the user, allows the operation (403).
        BadRequest: a ``/me`` operation with an app-only token.
    """
    caller = call.caller
    allowed = rule.delegated if caller.delegated else rule.application
    if not allowed and not caller.delegated and rule.delegated and call.path.lower().startswith("/me"):
        raise errors.BadRequest("/me request is only valid with delegated authentication flow.")
    held = caller.permissions & allowed
    if not held and not caller.delegated:
        call.role_assignments = applications.granted(call.directory, call.tenant, caller.object_id, allowed) or None
        if call.role_assignments is not None:
            return
    if not held or (rule.also and not caller.permissions & rule.also):
        raise errors.insufficient_privileges()
    if not caller.delegated:
        call.owned_only = held == {OWNED_BY}
        return
    if _MEMBER in rule.roles or caller.directory_roles & rule.roles:
        return
    if not rule.owner:
        raise errors.insufficient_privileges()
    call.owned_only = True
