"""Which operation answers which method and path, and which permission rule guards it.

Owns: the table and matching a path against it. Does not own: anything an operation does.
Path segments are matched without letter case, as Graph does (the Azure CLI sends
``oAuth2PermissionGrants``); keys may be written as a segment, as ``('key')`` or as ``(alternateKey='key')``,
a function without parameters with or without its parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from provision.sandbox.graph import (
    app_roles,
    applications,
    deleted_items,
    delta,
    directory_roles,
    errors,
    federated_credentials,
    grants,
    groups,
    mail,
    named_locations,
    organization,
    partners,
    policies,
    second_factors,
    service_principals,
    sign_ins,
    users,
)
from provision.sandbox.graph.call import Answer, Call
from provision.sandbox.graph.owners import References

Handler = Callable[[Call], Answer]
_KEY = re.compile(r"(?P<set>[^()]+)\((?P<key>[^()]*)\)")
_CASTS = ("microsoft.graph.", "graph.")
"""How clients write the namespace: generated ones leave out ``microsoft``."""
_BODYLESS = frozenset({"revoke_sign_in_sessions", "restore_deleted_item", "unset_verified_publisher"})
"""POST operations without a body."""


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    template: str
    operation: Handler
    rule: str | None
    """A name in ``permissions.RULES``; None when the operation authorizes itself."""
    beta: bool = False
    """Whether only ``/beta`` has it."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The template's parts; ``{name}`` is a key."""
        return tuple(self.template.strip("/").split("/"))

    @property
    def needs_body(self) -> bool:
        """Whether a request without a body is refused."""
        return self.method in {"POST", "PATCH", "PUT"} and self.operation.__name__ not in _BODYLESS


_APP = "/applications/{application}"
_SP = "/servicePrincipals/{principal}"
_FIC = f"{_APP}/federatedIdentityCredentials"
_RBAC = "/roleManagement/directory"
_DEFAULTS = "/policies/identitySecurityDefaultsEnforcementPolicy"
_TENANT_POLICY = "/policies/defaultAppManagementPolicy"
_APP_POLICIES = "/policies/appManagementPolicies"
_ACCESS = "/identity/conditionalAccess/policies"
_CUSTOMERS = "/tenantRelationships/delegatedAdminCustomers"
_RELATIONSHIPS = "/tenantRelationships/delegatedAdminRelationships"
_PLACES = "/identity/conditionalAccess/namedLocations"
_DELETED = "/directory/deletedItems"
_REGISTRATION = "/reports/authenticationMethods/userRegistrationDetails"

_Row = tuple[str, str, Handler, str | None]


def _person(base: str, *, own: bool) -> tuple[_Row, ...]:
    """The operations on one person, under ``/users/{user}`` and under ``/me``."""
    return (
        ("GET", f"{base}/memberOf", users.list_member_of, "me.read" if own else "user.memberOf"),
        (
            "GET",
            f"{base}/transitiveMemberOf",
            users.list_transitive_member_of,
            "me.read" if own else "user.memberOf",
        ),
        ("GET", f"{base}/ownedObjects", users.list_owned_objects, "me.read" if own else "user.memberOf"),
        ("GET", f"{base}/licenseDetails", organization.list_license_details, "me.read" if own else "license.read"),
        ("POST", f"{base}/assignLicense", organization.assign_license, "license.assign"),
        (
            "POST",
            f"{base}/revokeSignInSessions",
            users.revoke_sign_in_sessions,
            "me.revoke" if own else "user.revoke",
        ),
        ("POST", f"{base}/sendMail", mail.send_mail, "me.send" if own else "mail.send"),
        ("GET", f"{base}/messages", mail.list_messages, "me.mail" if own else "mail.read"),
        ("GET", f"{base}/messages/{{message}}", mail.get_message, "me.mail" if own else "mail.read"),
        ("GET", f"{base}/messages/{{message}}/$value", mail.get_mime, "me.mail" if own else "mail.read"),
        ("GET", f"{base}/messages/{{message}}/attachments", mail.list_attachments, "me.mail" if own else "mail.read"),
        (
            "GET",
            f"{base}/mailFolders/{{folder}}/messages",
            mail.list_folder_messages,
            "me.mail" if own else "mail.read",
        ),
        ("GET", f"{base}/oauth2PermissionGrants", users.list_grants, "grant.read"),
    )


def _references(base: str, references: References, read: str, write: str) -> tuple[_Row, ...]:
    """The operations on a navigation property whose references clients change."""
    return (
        ("GET", base, references.list, read),
        ("POST", f"{base}/$ref", references.add, write),
        ("DELETE", f"{base}/{{member}}/$ref", references.remove, write),
    )


_TABLE: tuple[_Row, ...] = (
    ("GET", "/applications", applications.list_applications, "application.read"),
    ("POST", "/applications", applications.create_application, "application.create"),
    ("GET", "/applications/$count", applications.count_applications, "application.read"),
    ("GET", "/applications/delta", delta.list_changed_applications, "application.read"),
    ("GET", _APP, applications.get_application, "application.read"),
    ("PATCH", _APP, applications.update_application, "application.write"),
    ("DELETE", _APP, applications.delete_application, "application.write"),
    ("POST", f"{_APP}/addPassword", applications.add_password, "application.credentials"),
    ("POST", f"{_APP}/removePassword", applications.remove_password, "application.credentials"),
    ("POST", f"{_APP}/addKey", applications.add_key, "application.credentials"),
    ("POST", f"{_APP}/removeKey", applications.remove_key, "application.credentials"),
    *_references(f"{_APP}/owners", applications.OWNERS, "application.read", "application.write"),
    ("POST", f"{_APP}/setVerifiedPublisher", applications.set_verified_publisher, "application.verify"),
    ("POST", f"{_APP}/unsetVerifiedPublisher", applications.unset_verified_publisher, "application.verify"),
    ("GET", _FIC, federated_credentials.list_federated_credentials, "federated.read"),
    ("POST", _FIC, federated_credentials.create_federated_credential, "application.write"),
    ("GET", f"{_FIC}/{{credential}}", federated_credentials.get_federated_credential, "federated.read"),
    ("PATCH", f"{_FIC}/{{credential}}", federated_credentials.update_federated_credential, "application.write"),
    ("DELETE", f"{_FIC}/{{credential}}", federated_credentials.delete_federated_credential, "application.write"),
    ("GET", f"{_APP}/appManagementPolicies", policies.list_application_policies, "appManagement.read"),
    ("POST", f"{_APP}/appManagementPolicies/$ref", policies.assign_to_application, "appManagement.write"),
    (
        "DELETE",
        f"{_APP}/appManagementPolicies/{{policy}}/$ref",
        policies.unassign_from_application,
        "appManagement.write",
    ),
    ("GET", "/servicePrincipals", service_principals.list_service_principals, "servicePrincipal.read"),
    ("POST", "/servicePrincipals", service_principals.create_service_principal, "servicePrincipal.create"),
    ("GET", "/servicePrincipals/$count", service_principals.count_service_principals, "servicePrincipal.read"),
    ("GET", "/servicePrincipals/delta", delta.list_changed_service_principals, "servicePrincipal.read"),
    ("GET", _SP, service_principals.get_service_principal, "servicePrincipal.read"),
    ("PATCH", _SP, service_principals.update_service_principal, "servicePrincipal.write"),
    ("DELETE", _SP, service_principals.delete_service_principal, "servicePrincipal.write"),
    ("POST", f"{_SP}/addPassword", service_principals.add_password, "servicePrincipal.write"),
    ("POST", f"{_SP}/removePassword", service_principals.remove_password, "servicePrincipal.write"),
    *_references(f"{_SP}/owners", service_principals.OWNERS, "servicePrincipal.read", "servicePrincipal.write"),
    ("GET", f"{_SP}/memberOf", service_principals.list_member_of, "servicePrincipal.read"),
    ("GET", f"{_SP}/transitiveMemberOf", service_principals.list_transitive_member_of, "servicePrincipal.read"),
    ("GET", f"{_SP}/ownedObjects", service_principals.list_owned_objects, "servicePrincipal.read"),
    ("GET", f"{_SP}/oauth2PermissionGrants", grants.list_grants_of_principal, "grant.read"),
    ("POST", f"{_SP}/appManagementPolicies/$ref", policies.assign_to_service_principal, "appManagement.write"),
    (
        "DELETE",
        f"{_SP}/appManagementPolicies/{{policy}}/$ref",
        policies.unassign_from_service_principal,
        "appManagement.write",
    ),
    ("GET", f"{_SP}/appRoleAssignments", app_roles.list_assignments, "appRole.read"),
    ("POST", f"{_SP}/appRoleAssignments", app_roles.create_assignment, "appRole.create"),
    ("GET", f"{_SP}/appRoleAssignments/{{assignment}}", app_roles.get_assignment, "appRole.read"),
    ("DELETE", f"{_SP}/appRoleAssignments/{{assignment}}", app_roles.delete_assignment, "appRole.delete"),
    ("GET", f"{_SP}/appRoleAssignedTo", app_roles.list_assigned_to, "appRole.read"),
    ("POST", f"{_SP}/appRoleAssignedTo", app_roles.create_assigned_to, "appRole.create"),
    ("GET", f"{_SP}/appRoleAssignedTo/{{assignment}}", app_roles.get_assigned_to, "appRole.read"),
    ("DELETE", f"{_SP}/appRoleAssignedTo/{{assignment}}", app_roles.delete_assigned_to, "appRole.delete"),
    ("GET", "/oauth2PermissionGrants", grants.list_grants, "grant.read"),
    ("POST", "/oauth2PermissionGrants", grants.create_grant, "grant.write"),
    ("GET", "/oauth2PermissionGrants/{grant}", grants.get_grant, "grant.read"),
    ("PATCH", "/oauth2PermissionGrants/{grant}", grants.update_grant, "grant.write"),
    ("DELETE", "/oauth2PermissionGrants/{grant}", grants.delete_grant, "grant.write"),
    ("GET", "/directoryRoles", directory_roles.list_directory_roles, "role.read"),
    ("POST", "/directoryRoles", directory_roles.activate_directory_role, "role.write"),
    ("GET", "/directoryRoles/{role}", directory_roles.get_directory_role, "role.read"),
    ("GET", "/directoryRoles/{role}/members", directory_roles.list_members, "role.read"),
    ("POST", "/directoryRoles/{role}/members/$ref", directory_roles.add_member, "role.write"),
    ("DELETE", "/directoryRoles/{role}/members/{member}/$ref", directory_roles.remove_member, "role.write"),
    ("GET", "/directoryRoleTemplates", directory_roles.list_role_templates, "role.read"),
    ("GET", f"{_RBAC}/roleDefinitions", directory_roles.list_role_definitions, "role.read"),
    ("GET", f"{_RBAC}/roleDefinitions/{{definition}}", directory_roles.get_role_definition, "role.read"),
    ("GET", f"{_RBAC}/roleAssignments", directory_roles.list_role_assignments, "role.read"),
    ("POST", f"{_RBAC}/roleAssignments", directory_roles.create_role_assignment, "role.write"),
    ("GET", f"{_RBAC}/roleAssignments/{{assignment}}", directory_roles.get_role_assignment, "role.read"),
    ("DELETE", f"{_RBAC}/roleAssignments/{{assignment}}", directory_roles.delete_role_assignment, "role.write"),
    ("GET", "/users", users.list_users, "user.list"),
    ("POST", "/users", users.create_user, "user.create"),
    ("GET", "/users/$count", users.count_users, "user.list"),
    ("GET", "/users/{user}", users.get_user, "user.read"),
    ("PATCH", "/users/{user}", users.update_user, "user.write"),
    ("DELETE", "/users/{user}", users.delete_user, "user.delete"),
    *_person("/users/{user}", own=False),
    *_person("/me", own=True),
    ("GET", "/me", users.get_user, "me.read"),
    ("PATCH", "/me", users.update_user, "me.write"),
    ("GET", "/users/{user}/appRoleAssignments", app_roles.list_user_assignments, "appRole.read"),
    ("POST", "/users/{user}/appRoleAssignments", app_roles.create_user_assignment, "appRole.create"),
    ("DELETE", "/users/{user}/appRoleAssignments/{assignment}", app_roles.delete_user_assignment, "appRole.delete"),
    ("GET", "/groups", groups.list_groups, "group.read"),
    ("POST", "/groups", groups.create_group, "group.create"),
    ("GET", "/groups/{group}", groups.get_group, "group.read"),
    ("PATCH", "/groups/{group}", groups.update_group, "group.write"),
    ("DELETE", "/groups/{group}", groups.delete_group, "group.write"),
    *_references("/groups/{group}/members", groups.MEMBERS, "group.read", "group.members"),
    *_references("/groups/{group}/owners", groups.OWNERS, "group.read", "group.write"),
    ("GET", "/subscribedSkus", organization.list_subscribed_skus, "sku.read"),
    ("GET", "/subscribedSkus/{sku}", organization.get_subscribed_sku, "sku.read"),
    ("GET", "/organization", organization.list_organization, "organization.read"),
    ("GET", "/organization/{organization}", organization.get_organization, "organization.read"),
    ("GET", "/domains", organization.list_domains, "domain.read"),
    ("GET", "/domains/{domain}", organization.get_domain, "domain.read"),
    ("GET", _DEFAULTS, policies.get_security_defaults, "securityDefaults.read"),
    ("PATCH", _DEFAULTS, policies.update_security_defaults, "securityDefaults.write"),
    ("GET", _TENANT_POLICY, policies.get_default_app_management_policy, "appManagement.read"),
    ("PATCH", _TENANT_POLICY, policies.update_default_app_management_policy, "appManagement.write"),
    ("GET", _APP_POLICIES, policies.list_app_management_policies, "appManagement.read"),
    ("POST", _APP_POLICIES, policies.create_app_management_policy, "appManagement.write"),
    ("GET", f"{_APP_POLICIES}/{{policy}}", policies.get_app_management_policy, "appManagement.read"),
    ("PATCH", f"{_APP_POLICIES}/{{policy}}", policies.update_app_management_policy, "appManagement.write"),
    ("DELETE", f"{_APP_POLICIES}/{{policy}}", policies.delete_app_management_policy, "appManagement.write"),
    ("GET", f"{_APP_POLICIES}/{{policy}}/appliesTo", policies.list_applies_to, "appManagement.read"),
    ("GET", "/policies/authorizationPolicy", policies.get_authorization_policy, "authorizationPolicy.read"),
    ("PATCH", "/policies/authorizationPolicy", policies.update_authorization_policy, "authorizationPolicy.write"),
    ("GET", _ACCESS, policies.list_conditional_access_policies, "conditionalAccess.read"),
    ("POST", _ACCESS, policies.create_conditional_access_policy, "conditionalAccess.write"),
    ("GET", f"{_ACCESS}/{{policy}}", policies.get_conditional_access_policy, "conditionalAccess.read"),
    ("PATCH", f"{_ACCESS}/{{policy}}", policies.update_conditional_access_policy, "conditionalAccess.write"),
    ("DELETE", f"{_ACCESS}/{{policy}}", policies.delete_conditional_access_policy, "conditionalAccess.write"),
    ("GET", _PLACES, named_locations.list_named_locations, "conditionalAccess.read"),
    ("POST", _PLACES, named_locations.create_named_location, "conditionalAccess.write"),
    ("GET", f"{_PLACES}/{{location}}", named_locations.get_named_location, "conditionalAccess.read"),
    ("GET", f"{_DELETED}/microsoft.graph.application", deleted_items.list_deleted_applications, None),
    ("GET", f"{_DELETED}/microsoft.graph.servicePrincipal", deleted_items.list_deleted_service_principals, None),
    ("GET", f"{_DELETED}/microsoft.graph.user", deleted_items.list_deleted_users, None),
    ("GET", f"{_DELETED}/microsoft.graph.group", deleted_items.list_deleted_groups, None),
    ("GET", f"{_DELETED}/{{object}}", deleted_items.get_deleted_item, None),
    ("DELETE", f"{_DELETED}/{{object}}", deleted_items.delete_for_good, None),
    ("POST", f"{_DELETED}/{{object}}/restore", deleted_items.restore_deleted_item, None),
    ("POST", "/directoryObjects/getByIds", deleted_items.get_by_ids, "object.read"),
    ("GET", "/directoryObjects/{object}", deleted_items.get_directory_object, "object.read"),
    ("GET", _RELATIONSHIPS, partners.list_relationships, "delegatedAdmin.read"),
    ("GET", f"{_RELATIONSHIPS}/{{relationship}}", partners.get_relationship, "delegatedAdmin.read"),
    ("GET", _CUSTOMERS, partners.list_customers, "delegatedAdmin.read"),
    ("GET", f"{_CUSTOMERS}/{{customer}}", partners.get_customer, "delegatedAdmin.read"),
    ("GET", "/auditLogs/signIns", sign_ins.list_sign_ins, None),
    ("GET", "/auditLogs/signIns/{signIn}", sign_ins.get_sign_in, None),
    ("GET", _REGISTRATION, second_factors.list_registration_details, None),
    ("GET", f"{_REGISTRATION}/{{user}}", second_factors.get_registration_details, None),
)
_BETA_TABLE: tuple[_Row, ...] = (
    ("GET", "/users/{user}/authentication/requirements", second_factors.get_requirements, "userMfa.read"),
    ("GET", "/me/authentication/requirements", second_factors.get_requirements, "me.mfa"),
)

ROUTES = [*(Route(*row) for row in _TABLE), *(Route(*row, beta=True) for row in _BETA_TABLE)]


def split(path: str) -> list[str]:
    """A path's segments with keys as segments of their own: ``applications(appId='x')`` gives two."""
    result = []
    for raw in path.strip("/").split("/"):
        segment = unquote(raw)
        match = _KEY.fullmatch(segment)
        if match is None:
            result.append(segment)
            continue
        if not match["key"].strip():
            result.append(match["set"])
            continue
        name, separator, value = match["key"].partition("=")
        text = (value if separator else name).strip().removeprefix("'").removesuffix("'").replace("''", "'")
        result += [match["set"], f"({name.strip()}={text})" if separator else text]
    return result


def match(method: str, path: str, version: str = "v1.0") -> tuple[Route, dict[str, str]]:
    """The route of a request and the keys in its path.

    Args:
        method: of HTTP.
        path: below the version.
        version: ``v1.0`` or ``beta``.

    Raises:
        GraphError: no such path (400), or no such method on it (405).
    """
    segments = split(path)
    best: tuple[Route, dict[str, str]] | None = None
    other_method = False
    served = [route for route in ROUTES if version == "beta" or not route.beta]
    for route in served:
        keys = _keys(route.segments, segments)
        if keys is None:
            continue
        if route.method != method:
            other_method = True
        elif best is None or len(keys) < len(best[1]):
            best = (route, keys)
    if best is not None:
        return best
    if other_method:
        raise errors.method_not_allowed()
    raise errors.segment_not_found(_first_unknown(segments, served))


def _keys(template: tuple[str, ...], segments: list[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    keys = {}
    for wanted, got in zip(template, segments, strict=True):
        if wanted.startswith("{"):
            if got.startswith(("$", *_CASTS)):
                return None
            keys[wanted[1:-1]] = got
        elif wanted.lower() not in _spellings(got.lower()):
            return None
    return keys


def _spellings(segment: str) -> tuple[str, str]:
    """A segment as sent, and with the namespace of a cast or action as the table writes it."""
    for prefix in _CASTS:
        if segment.startswith(prefix):
            bare = segment.removeprefix(prefix)
            return bare, f"microsoft.graph.{bare}"
    return segment, segment


def _first_unknown(segments: list[str], served: list[Route]) -> str:
    """The first segment at which no route goes on, which Graph names in its refusal."""
    for length in range(1, len(segments) + 1):
        known = any(
            len(route.segments) >= length and _keys(route.segments[:length], segments[:length]) is not None
            for route in served
        )
        if not known:
            return segments[length - 1]
    return segments[-1]
