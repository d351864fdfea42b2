"""Who agreed to what: granted permissions, what is missing, who may consent, and keeping a consent.

Source: "Overview of permissions and consent in the Microsoft identity platform"; "Configure how users consent".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.errors import EntraError
from provision.sandbox.entra.scopes import OIDC_SCOPES, ScopeRequest, find_resource, known_scopes
from provision.sandbox.world import World

_LOW_IMPACT = frozenset({"User.Read", *OIDC_SCOPES})
"""What Microsoft recommends to classify as low impact, and what a tenant of this kind has classified."""
_CONSENT_POLICY_PREFIX = "managepermissiongrantsforself."
_LOW_POLICY = "microsoft-user-default-low"

CONSENT_ROLES = frozenset(
    {
        "62e90394-69f5-4237-9190-012177145e10",
        "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
        "158c047a-c907-4556-b7ef-446551a6b5f7",
        "e8611ab8-c189-46e8-94e1-60213ab1f814",
    }
)
"""Templates of the roles that may consent for the organisation to delegated permissions: Global, Application, Cloud
Application and Privileged Role Administrator ("Grant tenant-wide admin consent")."""


@dataclass(frozen=True)
class Asked:
    """What a client asks of one resource, seen from one tenant."""

    resource: Document
    audience: str
    scopes: tuple[str, ...]
    oidc: tuple[str, ...]
    default: bool


def registered_scopes(client: Client, resource: Document) -> list[str]:
    """The delegated permissions of a resource that the client's registration lists.

    Raises:
        EntraError: 650056 when the registration lists nothing at all, 650057 when it lists other resources only.
    """
    if client.application is None:
        return []
    required = client.application.get("requiredResourceAccess") or []
    if not required:
        raise EntraError(650056, resource=resource["displayName"], app=client.app_id)
    wanted = [access for access in required if access.get("resourceAppId") == resource["appId"]]
    if not wanted:
        raise EntraError(
            650057,
            app=client.app_id,
            name=client.name,
            value=resource["appId"],
            resource=resource["appId"],
            valid=", ".join(str(access.get("resourceAppId")) for access in required),
        )
    ids = {entry["id"] for access in wanted for entry in access["resourceAccess"] if entry["type"] == "Scope"}
    return [scope["value"] for scope in resource.get("oauth2PermissionScopes") or [] if scope["id"] in ids]


def interpret(world: World, tenant_id: str, client: Client, request: ScopeRequest) -> Asked:
    """Looks a scope request up in a tenant.

    Raises:
        EntraError: unknown resource or permission, or a registration that lists none.
    """
    resource = find_resource(world, tenant_id, request.resource)
    names = (
        registered_scopes(client, resource) if request.default else known_scopes(resource, request.names, client.name)
    )
    scopes = tuple(name for name in names if name not in OIDC_SCOPES)
    return Asked(resource, request.audience, scopes, request.oidc, request.default)


def _grants(directory: Directory, tenant_id: str, principal: Document, user: Document) -> list[Document]:
    return [
        grant
        for grant in directory.find(tenant_id, "oauth2PermissionGrant", clientId=principal["id"])
        if grant.get("consentType") == "AllPrincipals" or grant.get("principalId") == user["id"]
    ]


def granted_scopes(
    directory: Directory, tenant_id: str, principal: Document | None, resource: Document, user: Document
) -> list[str]:
    """The delegated permissions of a resource that the client holds for a user, consented or beforehand."""
    if principal is None:
        return []
    names = [
        name
        for grant in _grants(directory, tenant_id, principal, user)
        if grant.get("resourceId") == resource["id"]
        for name in str(grant.get("scope") or "").split()
    ]
    names += (principal.get("_preauthorized") or {}).get(resource["id"], [])
    return list(dict.fromkeys(names))


def missing_scopes(
    directory: Directory, tenant_id: str, client: Client, principal: Document | None, *, asked: Asked, user: Document
) -> list[str]:
    """What the user or an administrator still has to agree to.

    The OIDC scopes come along with any earlier consent, as they do in Entra.
    """
    if client.application is None and (principal or {}).get("_preauthorized"):
        return [] if asked.default else _not_in(asked.scopes, _held(directory, tenant_id, principal, asked, user))
    granted = _held(directory, tenant_id, principal, asked, user)
    if asked.default and granted:
        return []
    missing = _not_in(asked.scopes, granted)
    if principal is None or not _grants(directory, tenant_id, principal, user):
        missing += [name for name in asked.oidc if name not in granted]
        return missing or (["User.Read"] if principal is None else [])
    return missing


def _held(directory: Directory, tenant_id: str, principal: Document | None, asked: Asked, user: Document) -> list[str]:
    return granted_scopes(directory, tenant_id, principal, asked.resource, user)


def _not_in(names: Sequence[str], granted: Sequence[str]) -> list[str]:
    held = {name.lower() for name in granted}
    return [name for name in names if name.lower() not in held]


def may_consent(
    directory: Directory, tenant_id: str, resource: Document, names: Sequence[str], role_templates: Sequence[str]
) -> bool:
    """Whether the user may agree for himself to these permissions."""
    if CONSENT_ROLES & set(role_templates):
        return True
    admin_only = {
        scope["value"] for scope in resource.get("oauth2PermissionScopes") or [] if scope.get("type") == "Admin"
    }
    if admin_only & set(names):
        return False
    policies = [
        str(policy).lower().removeprefix(_CONSENT_POLICY_PREFIX)
        for document in directory.all(tenant_id, "authorizationPolicy", fresh=True)
        for policy in (document.get("defaultUserRolePermissions") or {}).get("permissionGrantPoliciesAssigned") or []
        if str(policy).lower().startswith(_CONSENT_POLICY_PREFIX)
    ]
    if not policies:
        return False
    return policies != [_LOW_POLICY] or set(names) <= _LOW_IMPACT


def ensure_principal(directory: Directory, tenant_id: str, client: Client) -> Document:
    """The client's service principal in the tenant; the first consent makes it."""
    found = directory.find(tenant_id, "servicePrincipal", fresh=True, appId=client.app_id)
    if found:
        return found[0]
    application = client.application or {}
    return directory.insert(
        tenant_id,
        "servicePrincipal",
        {
            "accountEnabled": True,
            "alternativeNames": [],
            "appDescription": None,
            "appDisplayName": client.name,
            "appId": client.app_id,
            "appOwnerOrganizationId": client.home_tenant,
            "appRoleAssignmentRequired": False,
            "appRoles": application.get("appRoles") or [],
            "createdDateTime": directory.clock.iso(),
            "deletedDateTime": None,
            "displayName": client.name,
            "homepage": (application.get("web") or {}).get("homePageUrl"),
            "keyCredentials": [],
            "notificationEmailAddresses": [],
            "oauth2PermissionScopes": (application.get("api") or {}).get("oauth2PermissionScopes") or [],
            "passwordCredentials": [],
            "replyUrls": [uri for uri, _ in client.redirect_uris()],
            "servicePrincipalNames": [client.app_id, *(application.get("identifierUris") or [])],
            "servicePrincipalType": "Application",
            "signInAudience": application.get("signInAudience"),
            "tags": ["WindowsAzureActiveDirectoryIntegratedApp"],
            "verifiedPublisher": application.get("verifiedPublisher"),
            "_owners": [],
        },
        visible_at_once=True,
    )


def grant(
    directory: Directory,
    tenant_id: str,
    client: Client,
    resource: Document,
    *,
    names: Sequence[str],
    user: Document | None,
) -> None:
    """Keeps a consent, merged into an existing grant.

    Args:
        directory: the store.
        tenant_id: the tenant that consents.
        client: the application.
        resource: the service principal of the API.
        names: delegated permissions.
        user: who consents for himself; None for the whole organisation.
    """
    with directory.transaction():
        principal = ensure_principal(directory, tenant_id, client)
        consent_type = "AllPrincipals" if user is None else "Principal"
        principal_id = None if user is None else user["id"]
        for existing in directory.find(tenant_id, "oauth2PermissionGrant", fresh=True, clientId=principal["id"]):
            same_principal = existing.get("principalId") == principal_id and existing["consentType"] == consent_type
            if existing["resourceId"] == resource["id"] and same_principal:
                merged = dict.fromkeys([*str(existing.get("scope") or "").split(), *names])
                directory.replace(tenant_id, "oauth2PermissionGrant", {**existing, "scope": " ".join(merged)})
                return
        directory.insert(
            tenant_id,
            "oauth2PermissionGrant",
            {
                "clientId": principal["id"],
                "consentType": consent_type,
                "principalId": principal_id,
                "resourceId": resource["id"],
                "scope": " ".join(dict.fromkeys(names)),
            },
            visible_at_once=True,
        )


def app_roles(directory: Directory, tenant_id: str, principal: Document, resource: Document) -> list[str]:
    """The application permissions of a resource that were assigned to a service principal."""
    values = {role["id"]: role.get("value") for role in resource.get("appRoles") or [] if role.get("isEnabled", True)}
    return [
        value
        for assignment in directory.find(tenant_id, "appRoleAssignment", principalId=principal["id"])
        if assignment.get("resourceId") == resource["id"] and (value := values.get(assignment.get("appRoleId")))
    ]
