"""What Microsoft publishes and every tenant shares: permission ids, role template ids, licences, first-party clients.

Owns: these tables. Does not own: any tenant's objects (``seed`` makes those from the tables).

Sources, so that no id comes from memory:

- ``permissions.json``, Microsoft Graph: every scope and role of ``permissions/permissions-descriptions.json`` in
  microsoftgraph/microsoft-graph-devx-content (snapshot 2026-08-07), and those that ``provisioningInfo.json`` there has
  as enabled and not hidden in the public cloud; permissions for one team or chat ("RSC") are not scopes or roles.
- ``permissions.json``, Office 365 Exchange Online: two public dumps of that service principal's scopes and roles, which
  agree; ``SMTP.SendAsApp`` from two public manifests that agree. The dumps do not say which scopes need an
  administrator: those whose namesake in Microsoft Graph does (and ``Exchange.Manage``).
  A row: name, delegated id, whether the delegated one needs an administrator, application id, and the three display
  names (administrator's consent page, user's consent page, application permission).
- Role template ids: "Microsoft Entra built-in roles" (MicrosoftDocs/entra-docs, permissions-reference, 2026-01-20).
- Licence and service plan ids: "Product names and service plan identifiers for licensing".
- First-party clients: "Application IDs of commonly used Microsoft applications".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
EXCHANGE_APP_ID = "00000002-0000-0ff1-ce00-000000000000"
MICROSOFT_SERVICES_TENANT = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"
"""``appOwnerOrganizationId`` of Microsoft's own applications."""

_RESOURCES = {GRAPH_APP_ID: "Microsoft Graph", EXCHANGE_APP_ID: "Office 365 Exchange Online"}


@dataclass(frozen=True)
class Permission:
    """One permission of a Microsoft resource, in its delegated form, its application form or both."""

    value: str
    """The name as tokens and grants carry it: ``Mail.Send``."""
    scope_id: str | None
    """Id of the delegated permission."""
    admin_only: bool
    """Whether only an administrator can consent to the delegated permission."""
    role_id: str | None
    """Id of the application permission."""
    admin_text: str
    user_text: str
    role_text: str


@cache
def permissions(resource_app_id: str) -> tuple[Permission, ...]:
    """The permissions that a Microsoft resource publishes.

    Args:
        resource_app_id: ``GRAPH_APP_ID`` or ``EXCHANGE_APP_ID``; any other id has none.
    """
    name = _RESOURCES.get(resource_app_id)
    if name is None:
        return ()
    rows = json.loads(resources.files(__package__).joinpath("permissions.json").read_text("utf-8"))[name]
    return tuple(
        Permission(value, scope or None, admin, role or None, admin_text, user_text, role_text)
        for value, scope, admin, role, admin_text, user_text, role_text in rows
    )


@cache
def role_id(resource_app_id: str, value: str) -> str:
    """The id of an application permission by its name; KeyError when the resource does not publish it."""
    for permission in permissions(resource_app_id):
        if permission.value == value and permission.role_id:
            return permission.role_id
    raise KeyError(value)


@cache
def scope_id(resource_app_id: str, value: str) -> str:
    """The id of a delegated permission by its name; KeyError when the resource does not publish it."""
    for permission in permissions(resource_app_id):
        if permission.value == value and permission.scope_id:
            return permission.scope_id
    raise KeyError(value)


DIRECTORY_ROLES: dict[str, tuple[str, str]] = {
    "62e90394-69f5-4237-9190-012177145e10": (
        "Global Administrator",
        "Can manage all aspects of Microsoft Entra ID and Microsoft services that use Microsoft Entra identities.",
    ),
    "f2ef992c-3afb-46b9-b7cf-a126ee74c451": (
        "Global Reader",
        "Can read everything that a Global Administrator can, but not update anything.",
    ),
    "e8611ab8-c189-46e8-94e1-60213ab1f814": (
        "Privileged Role Administrator",
        "Can manage role assignments in Microsoft Entra ID, and all aspects of Privileged Identity Management.",
    ),
    "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3": (
        "Application Administrator",
        "Can create and manage all aspects of app registrations and enterprise apps.",
    ),
    "158c047a-c907-4556-b7ef-446551a6b5f7": (
        "Cloud Application Administrator",
        "Can create and manage all aspects of app registrations and enterprise apps except App Proxy.",
    ),
    "cf1c38e5-3621-4004-a7cb-879624dced7c": (
        "Application Developer",
        "Can create application registrations independent of the 'Users can register applications' setting.",
    ),
    "29232cdf-9323-42fd-ade2-1d097af3e4de": (
        "Exchange Administrator",
        "Can manage all aspects of the Exchange product.",
    ),
    "31392ffb-586c-42d1-9346-e59415a2cc4e": (
        "Exchange Recipient Administrator",
        "Can create or update Exchange Online recipients within the Exchange Online organization.",
    ),
    "194ae4cb-b126-40b2-bd5b-6091b380977d": (
        "Security Administrator",
        "Can read security information and reports, and manage configuration in Microsoft Entra ID and Office 365.",
    ),
    "5d6b6bb7-de71-4623-b4af-96380a352509": (
        "Security Reader",
        "Can read security information and reports in Microsoft Entra ID and Office 365.",
    ),
    "b1be1c3e-b65d-4f19-8427-f6fa0d97feb9": (
        "Conditional Access Administrator",
        "Can manage Conditional Access capabilities.",
    ),
    "fe930be7-5e62-47db-91af-98c3a49a38b1": (
        "User Administrator",
        "Can manage all aspects of users and groups, including resetting passwords for limited admins.",
    ),
    "4d6ac14f-3453-41d0-bef9-a3e0c569773a": (
        "License Administrator",
        "Can manage product licenses on users and groups.",
    ),
    "fdd7a751-b60b-444a-984c-02652fe8fa1c": (
        "Groups Administrator",
        "Members of this role can create/manage groups and group settings, and view groups activity reports.",
    ),
    "729827e3-9c14-49f7-bb1b-9608f156bbb8": (
        "Helpdesk Administrator",
        "Can reset passwords for non-administrators and Helpdesk Administrators.",
    ),
    "8329153b-31d0-4727-b945-745eb3bc5f31": (
        "Domain Name Administrator",
        "Can manage domain names in cloud and on-premises.",
    ),
    "4a5d8f65-41da-4de4-8968-e035b65339cf": ("Reports Reader", "Can read sign-in and audit reports."),
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b": (
        "Directory Readers",
        "Can read basic directory information. Commonly used to grant directory read access to apps and guests.",
    ),
    "9360feb5-f418-4baa-8175-e2a00bac4301": (
        "Directory Writers",
        "Can read and write basic directory information. For granting access to applications, not intended for users.",
    ),
}
"""Role template id -> name and description, for the roles that matter to app registration and mail."""

ROLE = {name: template for template, (name, _) in DIRECTORY_ROLES.items()}
"""Role name -> template id."""


@dataclass(frozen=True)
class Sku:
    """A product of which a tenant can own licences."""

    id: str
    part_number: str
    plans: tuple[tuple[str, str], ...]
    """Service plan ids and names."""


EXCHANGE_PLAN = ("9aaf7827-d63c-4b61-89c3-182f06f82e5c", "EXCHANGE_S_STANDARD")
SKUS = (
    Sku("f245ecc8-75af-4f8e-b61f-27d8114de5f3", "O365_BUSINESS_PREMIUM", (EXCHANGE_PLAN,)),
    Sku("4b9405b0-7788-4568-add1-99614e613b69", "EXCHANGESTANDARD", (EXCHANGE_PLAN,)),
    Sku(
        "078d2b04-f1bd-4111-bbd4-b4b1b354cef4",
        "AAD_PREMIUM",
        (("41781fb2-bc02-4b7c-bd55-b576c07bb09d", "AAD_PREMIUM"),),
    ),
)
"""The products that a new local tenant owns: Microsoft 365 Business Standard, Exchange Online Plan 1, Entra ID P1."""


@dataclass(frozen=True)
class FirstPartyClient:
    """A public client of Microsoft that every tenant knows; it has no secret and redirects to the loopback."""

    app_id: str
    name: str
    redirect_uris: tuple[str, ...]
    preauthorized_scopes: tuple[str, ...]
    """Microsoft Graph scopes that it holds without anybody's consent."""


_NATIVE = ("http://localhost", "https://login.microsoftonline.com/common/oauth2/nativeclient")
FIRST_PARTY_CLIENTS = (
    FirstPartyClient(
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "Microsoft Azure CLI",
        _NATIVE,
        (
            "Application.ReadWrite.All",
            "AppRoleAssignment.ReadWrite.All",
            "AuditLog.Read.All",
            "DelegatedPermissionGrant.ReadWrite.All",
            "Directory.AccessAsUser.All",
            "email",
            "Group.ReadWrite.All",
            "openid",
            "profile",
            "User.Read.All",
            "User.ReadWrite.All",
        ),
    ),
    FirstPartyClient(
        "1950a258-227b-4e31-a9cf-717495945fc2",
        "Microsoft Azure PowerShell",
        _NATIVE,
        ("Application.ReadWrite.All", "AuditLog.Read.All", "Directory.AccessAsUser.All", "email", "openid", "profile"),
    ),
    FirstPartyClient("14d82eec-204b-4c2f-b7e8-296a70dab67e", "Microsoft Graph Command Line Tools", _NATIVE, ()),
)
"""Azure CLI and Azure PowerShell hold their scopes beforehand; Graph Command Line Tools asks for consent each time."""
