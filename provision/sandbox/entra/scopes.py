"""The ``scope`` parameter: which resource a client asks for and which of its permissions.

Source: "Scopes and permissions in the Microsoft identity platform".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from provision.sandbox.directory import Document
from provision.sandbox.entra.authority import tenant_name
from provision.sandbox.entra.errors import EntraError
from provision.sandbox.entra.tokens import GRAPH_APP_ID
from provision.sandbox.metadata import ARM_RESOURCES
from provision.sandbox.world import World

OIDC_SCOPES = ("openid", "profile", "email", "offline_access")
_DEFAULT = ".default"
_GUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", re.IGNORECASE)

AZURE_RESOURCE_MANAGER: Document = {
    "id": "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "appId": "797f4846-ba00-4fd7-ba43-dac1f8f63013",
    "displayName": "Windows Azure Service Management API",
    "servicePrincipalNames": list(ARM_RESOURCES),
    "oauth2PermissionScopes": [
        {
            "id": "41094075-9dad-400e-a0bd-54e686782033",
            "value": "user_impersonation",
            "type": "User",
            "isEnabled": True,
            "userConsentDisplayName": "Access Azure Service Management as you",
            "adminConsentDisplayName": "Access Azure Service Management as organization users",
        }
    ],
    "appRoles": [],
}
"""Azure Resource Manager, which az asks for on each sign-in; no tenant holds objects of it here."""
AZURE_KEY_VAULT: Document = {
    "id": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    "appId": "cfa8b339-82a2-471a-a3c9-0fc0be7a4093",
    "displayName": "Azure Key Vault",
    "servicePrincipalNames": ["https://vault.azure.net"],
    "oauth2PermissionScopes": [
        {
            "id": "f53da476-18e3-4152-8e01-aec403e6edc0",
            "value": "user_impersonation",
            "type": "User",
            "isEnabled": True,
            "userConsentDisplayName": "Have full access to the Azure Key Vault service",
            "adminConsentDisplayName": "Have full access to the Azure Key Vault service",
        }
    ],
    "appRoles": [],
}
"""Azure Key Vault; its id is in "Manage storage account keys with Key Vault and the Azure CLI"."""
AZURE_STORAGE: Document = {
    "id": "e406a681-f3d4-42a8-90b6-c2b029497af1",
    "appId": "e406a681-f3d4-42a8-90b6-c2b029497af1",
    "displayName": "Azure Storage",
    "servicePrincipalNames": ["https://storage.azure.com"],
    "oauth2PermissionScopes": [
        {
            "id": "03e0da56-190b-40ad-a80c-ea378c433f7f",
            "value": "user_impersonation",
            "type": "User",
            "isEnabled": True,
            "userConsentDisplayName": "Access Azure Storage",
            "adminConsentDisplayName": "Access Azure Storage",
        }
    ],
    "appRoles": [],
}
"""Azure Storage, whose tokens open blobs ("Authorize access to blobs using Microsoft Entra ID"); its id and its scope's
are those that public templates ask for, its consent's words were not read at a source."""
_WITHOUT_OBJECTS = (AZURE_RESOURCE_MANAGER, AZURE_KEY_VAULT, AZURE_STORAGE)


@dataclass(frozen=True)
class ScopeRequest:
    """A parsed ``scope`` parameter: at most one resource, the names asked of it, and the OIDC scopes."""

    resource: str | None
    """As the client wrote it; None when only OIDC scopes are asked for (Microsoft Graph stands behind those)."""
    names: tuple[str, ...]
    oidc: tuple[str, ...]

    @property
    def default(self) -> bool:
        """Whether ``.default`` is asked for: everything that was granted."""
        return self.names == (_DEFAULT,)

    @property
    def audience(self) -> str:
        """``aud`` of the token: the resource as the client wrote it, Graph's id for short names."""
        return self.resource or GRAPH_APP_ID


def parse_scopes(text: str) -> ScopeRequest:
    """Splits a ``scope`` parameter.

    Raises:
        EntraError: 28000 for two resources, 70011 for what is no scope.
    """
    oidc: list[str] = []
    names: dict[str, list[str]] = {}
    for scope in text.split():
        if scope.lower() in OIDC_SCOPES:
            oidc.append(scope.lower())
            continue
        resource, slash, name = scope.rpartition("/")
        if not name or (slash and "://" not in resource and not _GUID.match(resource)) or scope == _DEFAULT:
            raise EntraError(
                70011,
                scope=scope,
                reason=" Scope must be in a valid URI form <https://example/scope> or a valid Guid <guid/scope>.",
            )
        names.setdefault(resource if slash else "", []).append(name)
    if len(names) > 1:
        raise EntraError(28000, scope=text)
    for resource, wanted in names.items():
        if _DEFAULT in wanted and len(wanted) > 1:
            raise EntraError(
                70011, scope=text, reason=" .default scope can't be combined with resource-specific scopes."
            )
        return ScopeRequest(resource or None, tuple(dict.fromkeys(wanted)), tuple(oidc))
    return ScopeRequest(None, (), tuple(oidc))


def find_resource(world: World, tenant_id: str, resource: str | None) -> Document:
    """The service principal behind a resource.

    Args:
        world: the running server; its own address stands for Microsoft Graph.
        tenant_id: the tenant whose service principals count.
        resource: an application id or identifier URI, with or without a trailing slash; None for Microsoft Graph.

    Raises:
        EntraError: 500011 when the tenant has no such resource.
    """
    directory = world.directory
    wanted = GRAPH_APP_ID if resource is None or resource.rstrip("/") == world.base_url else resource.rstrip("/")
    if _GUID.match(wanted):
        if known := next((resource for resource in _WITHOUT_OBJECTS if resource["appId"] == wanted), None):
            return known
        if found := directory.find(tenant_id, "servicePrincipal", appId=wanted):
            return found[0]
    else:
        for principal in [*directory.all(tenant_id, "servicePrincipal"), *_WITHOUT_OBJECTS]:
            names = (str(name).rstrip("/") for name in principal.get("servicePrincipalNames") or [])
            if any(name.lower() == wanted.lower() for name in names):
                return principal
    raise EntraError(500011, resource=resource or "", tenant=tenant_name(directory, tenant_id))


def known_scopes(resource: Document, names: Sequence[str], client_name: str) -> list[str]:
    """The resource's own spelling of delegated permissions.

    Raises:
        EntraError: 650053 for a permission that the resource does not publish.
    """
    published = {
        str(scope["value"]).lower(): str(scope["value"])
        for scope in resource.get("oauth2PermissionScopes") or []
        if scope.get("isEnabled", True)
    }
    for name in names:
        if name.lower() not in published:
            raise EntraError(650053, name=client_name, scope=name, resource=resource["appId"])
    return [published[name.lower()] for name in names]
