"""What a new local tenant holds: organisation, licences, roles, policies, people, mailboxes and an admin application.

Owns: the first contents of a tenant. Does not own: the ids that Microsoft publishes (``published``) or the shapes of
objects (``graph.shapes``). Passwords and the admin application's secret are random; only their hashes are stored.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from provision.sandbox import hashing, people, published
from provision.sandbox.directory import Clock, Directory, Document
from provision.sandbox.exchange import mailboxes, organization
from provision.sandbox.graph import shapes

ADMIN_APP_NAME = "Sandbox automation"
ADMIN_APP_ROLES = (
    "Application.ReadWrite.All",
    "AppRoleAssignment.ReadWrite.All",
    "AuditLog.Read.All",
    "DelegatedPermissionGrant.ReadWrite.All",
    "Directory.Read.All",
    "Domain.Read.All",
    "Group.ReadWrite.All",
    "Mail.Read",
    "Mail.Send",
    "Organization.Read.All",
    "Policy.Read.All",
    "Policy.ReadWrite.ApplicationConfiguration",
    "Policy.ReadWrite.Authorization",
    "Policy.ReadWrite.ConditionalAccess",
    "Policy.ReadWrite.SecurityDefaults",
    "RoleManagement.ReadWrite.Directory",
    "User.ReadWrite.All",
)
"""Application permissions of Microsoft Graph that the admin application holds, with consent."""
ADMIN_PERMISSIONS = {
    published.GRAPH_APP_ID: ADMIN_APP_ROLES,
    published.EXCHANGE_APP_ID: ("Exchange.ManageAsApp",),
}
"""All of them, by the resource that publishes them."""
ADMIN_APP_DIRECTORY_ROLE = "Exchange Administrator"
"""What makes ``Exchange.ManageAsApp``, which it holds too, worth something ("App-only authentication", step 5)."""


EDITIONS = ("p1", "free")
"""Editions of Microsoft Entra ID, the usual one first."""


@dataclass(frozen=True)
class SeededTenant:
    """A tenant just made, and the only copy of its secrets."""

    tenant_id: str
    domain: str
    """The initial domain, ``<name>.onmicrosoft.com``."""
    admin_client_id: str
    admin_client_secret: str = field(repr=False)
    users: dict[str, str] = field(repr=False)
    """User principal name -> password."""


@dataclass(frozen=True)
class _Person:
    alias: str
    given: str
    surname: str
    roles: tuple[str, ...] = ()
    mailbox: str | None = None
    sku: str | None = "O365_BUSINESS_PREMIUM"
    enabled: bool = True

    @property
    def name(self) -> str:
        return f"{self.given} {self.surname}".strip()


_PEOPLE = (
    _Person("admin", "Ines", "Administrator", ("Global Administrator",), mailboxes.USER),
    _Person("appadmin", "Arturs", "Kalnins", ("Application Administrator",), mailboxes.USER),
    _Person("ada", "Ada", "Ozola", mailbox=mailboxes.USER),
    _Person("bob", "Bob", "Berzins", mailbox=mailboxes.USER, sku="EXCHANGESTANDARD"),
    _Person("reader", "Rita", "Reader", sku=None),
    _Person("dispatch", "Dispatch", "", mailbox=mailboxes.SHARED, sku=None, enabled=False),
    _Person("boardroom", "Board", "Room", mailbox=mailboxes.ROOM, sku=None, enabled=False),
)
_UNITS = {"O365_BUSINESS_PREMIUM": 25, "EXCHANGESTANDARD": 10, "AAD_PREMIUM": 25}


@dataclass(frozen=True)
class Wanted:
    """A tenant to make."""

    domain: str
    """The initial domain; the custom one is ``<first label>.example``."""
    tenant_id: str | None = None
    """A GUID; made when not given."""
    edition: str = EDITIONS[0]
    """One of ``EDITIONS``."""


def create_tenant(
    directory: Directory,
    *,
    tenant_id: str | None = None,
    domain: str = "contoso.onmicrosoft.com",
    edition: str = EDITIONS[0],
    base_url: str,
) -> SeededTenant:
    """Makes one tenant (see ``create_tenants``)."""
    return create_tenants(directory, [Wanted(domain, tenant_id, edition)], base_url=base_url)[0]


def create_tenants(directory: Directory, wanted: Sequence[Wanted], *, base_url: str) -> list[SeededTenant]:
    """Makes tenants with their people, licences, roles, policies and the admin application, all visible at once.

    Args:
        directory: the store.
        wanted: which.
        base_url: the server's address, kept as the admin applications' home page.

    Raises:
        ValueError: the store already has a tenant with one of the ids or domains, or there is no such edition; none
            is made then.
    """
    with directory.transaction():
        parts = {app_id: directory.share(_permissions(app_id)) for app_id in _RESOURCE_NAMES}
        return [_create(directory, one, base_url, parts) for one in wanted]


def _create(directory: Directory, wanted: Wanted, base_url: str, parts: Mapping[str, str]) -> SeededTenant:
    if wanted.edition not in EDITIONS:
        raise ValueError(
            f"there is no edition {wanted.edition!r} of Microsoft Entra ID here; choose from: {', '.join(EDITIONS)}"
        )
    tenant, domain = (wanted.tenant_id or str(uuid.uuid4())).lower(), wanted.domain
    if directory.tenant(tenant) or directory.tenant(domain):
        raise ValueError(f"there is already a tenant {domain} ({tenant})")
    custom = domain.split(".", 1)[0] + ".example"
    directory.add_tenant(tenant, domain, {"displayName": domain.split(".", 1)[0].title(), "domains": [custom]})
    growing = _Growing(tenant, directory.clock)
    _organization(growing, domain, custom)
    _policies(growing)
    roles = _directory_roles(growing)
    users = _people(growing, domain, custom, roles)
    _licences(growing, domain, wanted.edition)
    resources = {app_id: _resource(growing, app_id, part) for app_id, part in parts.items()}
    _first_party_clients(growing, resources[published.GRAPH_APP_ID])
    application, principal, secret = _admin_application(growing, custom, base_url, resources)
    growing.add("roleMembership", {"roleId": roles[ADMIN_APP_DIRECTORY_ROLE], "memberId": principal["id"]})
    for kind, document in organization.seed(domain).items():
        growing.add(kind, document)
    for kind, documents in growing.documents.items():
        directory.insert_many(tenant, kind, documents)
    return SeededTenant(tenant, domain, application["appId"], secret, users)


class _Growing:
    """A tenant on its way into the store: its objects by kind."""

    def __init__(self, tenant: str, clock: Clock) -> None:
        self.tenant = tenant
        self.clock = clock
        self.documents: dict[str, list[Document]] = {}

    def add(self, kind: str, document: Document) -> Document:
        """Adds an object and returns it; ``id`` is made when absent."""
        document.setdefault("id", str(uuid.uuid4()))
        self.documents.setdefault(kind, []).append(document)
        return document


def _organization(growing: _Growing, domain: str, custom: str) -> None:
    now = growing.clock.iso()
    services = ["Email", "OfficeCommunicationsOnline"]
    rows = ((domain, True, False), (custom, False, True))
    for name, initial, default in rows:
        growing.add(
            "domain",
            {
                "id": name,
                "authenticationType": "Managed",
                "availabilityStatus": None,
                "isAdminManaged": True,
                "isDefault": default,
                "isInitial": initial,
                "isRoot": True,
                "isVerified": True,
                "manufacturer": None,
                "model": None,
                "passwordNotificationWindowInDays": 14,
                "passwordValidityPeriodInDays": 2147483647,
                "state": None,
                "supportedServices": services,
            },
        )
    growing.add(
        "organization",
        {
            "id": growing.tenant,
            "deletedDateTime": None,
            "displayName": domain.split(".", 1)[0].title(),
            "businessPhones": [],
            "city": "Riga",
            "country": None,
            "countryLetterCode": "LV",
            "createdDateTime": now,
            "defaultUsageLocation": None,
            "marketingNotificationEmails": [],
            "onPremisesLastSyncDateTime": None,
            "onPremisesSyncEnabled": None,
            "partnerTenantType": None,
            "postalCode": None,
            "preferredLanguage": "en",
            "privacyProfile": None,
            "provisionedPlans": [],
            "assignedPlans": [
                {
                    "assignedDateTime": now,
                    "capabilityStatus": "Enabled",
                    "service": "exchange",
                    "servicePlanId": published.EXCHANGE_PLAN[0],
                }
            ],
            "securityComplianceNotificationMails": [],
            "securityComplianceNotificationPhones": [],
            "state": None,
            "street": None,
            "technicalNotificationMails": [f"admin@{domain}"],
            "tenantType": "AAD",
            "verifiedDomains": [
                {
                    "capabilities": ", ".join(services),
                    "isDefault": default,
                    "isInitial": initial,
                    "name": name,
                    "type": "Managed",
                }
                for name, initial, default in rows
            ],
        },
    )


def _policies(growing: _Growing) -> None:
    growing.add(
        "identitySecurityDefaultsEnforcementPolicy",
        {
            "id": "00000000-0000-0000-0000-000000000005",
            "displayName": "Security Defaults",
            "description": "Security defaults is a set of basic identity security mechanisms recommended by Microsoft.",
            "isEnabled": False,
        },
    )
    restrictions: Document = {"passwordCredentials": [], "keyCredentials": []}
    growing.add(
        "defaultAppManagementPolicy",
        {
            "id": "00000000-0000-0000-0000-000000000000",
            "displayName": "Default app management tenant policy",
            "description": "Default tenant policy that enforces app management restrictions on applications and "
            "service principals. To apply policy to targeted resources, create a new policy under "
            "appManagementPolicies collection.",
            "isEnabled": False,
            "applicationRestrictions": restrictions,
            "servicePrincipalRestrictions": restrictions,
        },
    )
    growing.add(
        "authorizationPolicy",
        {
            "id": "authorizationPolicy",
            "displayName": "Authorization Policy",
            "description": "Used to manage authorization related settings across the company.",
            "allowInvitesFrom": "everyone",
            "allowedToSignUpEmailBasedSubscriptions": True,
            "allowedToUseSSPR": True,
            "allowEmailVerifiedUsersToJoinOrganization": False,
            "allowUserConsentForRiskyApps": None,
            "blockMsolPowerShell": False,
            "guestUserRoleId": "10dae51f-b6af-4016-8d66-8c2a99b929b3",
            "defaultUserRolePermissions": {
                "allowedToCreateApps": True,
                "allowedToCreateSecurityGroups": True,
                "allowedToCreateTenants": True,
                "allowedToReadBitlockerKeysForOwnedDevice": True,
                "allowedToReadOtherUsers": True,
                "permissionGrantPoliciesAssigned": ["ManagePermissionGrantsForSelf.microsoft-user-default-low"],
            },
        },
    )


def _directory_roles(growing: _Growing) -> dict[str, str]:
    """Activates every known role and returns its object id by name."""
    return {
        name: growing.add(
            "directoryRole",
            {"deletedDateTime": None, "description": description, "displayName": name, "roleTemplateId": template},
        )["id"]
        for template, (name, description) in published.DIRECTORY_ROLES.items()
    }


def _people(growing: _Growing, domain: str, custom: str, roles: dict[str, str]) -> dict[str, str]:
    passwords = {}
    now = growing.clock.iso()
    skus = {sku.part_number: sku for sku in published.SKUS}
    for person in _PEOPLE:
        address = f"{person.alias}@{domain}"
        password = people.new_password()
        licences = [skus[person.sku]] if person.sku else []
        user = shapes.complete(
            shapes.USER,
            {
                "accountEnabled": person.enabled,
                "assignedLicenses": [{"disabledPlans": [], "skuId": sku.id} for sku in licences],
                "assignedPlans": [
                    {
                        "assignedDateTime": now,
                        "capabilityStatus": "Enabled",
                        "service": "exchange",
                        "servicePlanId": plan_id,
                    }
                    for sku in licences
                    for plan_id, _ in sku.plans
                ],
                "createdDateTime": now,
                "displayName": person.name,
                "givenName": person.given,
                "surname": person.surname or None,
                "mail": address if person.mailbox else None,
                "mailNickname": person.alias,
                "proxyAddresses": [f"SMTP:{address}", f"smtp:{person.alias}@{custom}"] if person.mailbox else [],
                "signInSessionsValidFromDateTime": now,
                "usageLocation": "LV",
                "userPrincipalName": address,
                "_passwordHash": hashing.hash_secret(password),
            },
        )
        stored = growing.add("user", user)
        if person.mailbox:
            growing.add(mailboxes.KIND, mailboxes.new(growing.clock, stored, person.mailbox))
        identity = stored["id"]
        for role in person.roles:
            growing.add("roleMembership", {"roleId": roles[role], "memberId": identity})
        if person.enabled:
            passwords[address] = password
    return passwords


def _licences(growing: _Growing, domain: str, edition: str) -> None:
    for sku in published.SKUS:
        if sku.part_number == "AAD_PREMIUM" and edition == "free":
            continue
        used = sum(sku.part_number == person.sku for person in _PEOPLE)
        growing.add(
            "subscribedSku",
            {
                "id": f"{growing.tenant}_{sku.id}",
                "accountId": growing.tenant,
                "accountName": domain.split(".", 1)[0],
                "appliesTo": "User",
                "capabilityStatus": "Enabled",
                "consumedUnits": used,
                "prepaidUnits": {
                    "enabled": _UNITS[sku.part_number],
                    "lockedOut": 0,
                    "suspended": 0,
                    "warning": 0,
                },
                "servicePlans": [
                    {
                        "appliesTo": "User",
                        "provisioningStatus": "Success",
                        "servicePlanId": plan_id,
                        "servicePlanName": plan_name,
                    }
                    for plan_id, plan_name in sku.plans
                ],
                "skuId": sku.id,
                "skuPartNumber": sku.part_number,
                "subscriptionIds": [str(uuid.uuid4())],
            },
        )


def _scope(permission: published.Permission) -> Document:
    return {
        "adminConsentDescription": f"Allows the app to: {permission.admin_text}.",
        "adminConsentDisplayName": permission.admin_text,
        "id": permission.scope_id,
        "isEnabled": True,
        "type": "Admin" if permission.admin_only else "User",
        "userConsentDescription": f"Allows the app to: {permission.user_text}.",
        "userConsentDisplayName": permission.user_text,
        "value": permission.value,
    }


def _role(permission: published.Permission) -> Document:
    return {
        "allowedMemberTypes": ["Application"],
        "description": f"Allows the app, without a signed-in user, to: {permission.role_text}.",
        "displayName": permission.role_text,
        "id": permission.role_id,
        "isEnabled": True,
        "origin": "Application",
        "value": permission.value,
    }


_RESOURCE_NAMES: dict[str, tuple[str, Sequence[str]]] = {
    published.GRAPH_APP_ID: (
        "Microsoft Graph",
        (
            "00000003-0000-0000-c000-000000000000",
            "https://graph.microsoft.com",
            "https://graph.microsoft.com/",
            "https://canary.graph.microsoft.com",
            "00000003-0000-0000-c000-000000000000/ags.windows.net",
        ),
    ),
    published.EXCHANGE_APP_ID: (
        "Office 365 Exchange Online",
        (
            "00000002-0000-0ff1-ce00-000000000000",
            "https://outlook.office.com",
            "https://outlook.office.com/",
            "https://outlook.office365.com",
            "https://outlook.office365.com/",
            "https://outlook.office365.com:443/",
        ),
    ),
}


def _resource(growing: _Growing, app_id: str, part: str) -> Document:
    """The service principal of one of Microsoft's APIs; its permissions are what all tenants have in common."""
    name, names = _RESOURCE_NAMES[app_id]
    return growing.add(
        "servicePrincipal",
        {
            name: value
            for name, value in shapes.complete(shapes.SERVICE_PRINCIPAL, {}).items()
            if name not in _PERMISSIONS
        }
        | {
            "appId": app_id,
            "appDisplayName": name,
            "displayName": name,
            "appOwnerOrganizationId": published.MICROSOFT_SERVICES_TENANT,
            "createdDateTime": growing.clock.iso(),
            "servicePrincipalNames": list(names),
            "signInAudience": "AzureADMultipleOrgs",
            "_shared": part,
        },
    )


_PERMISSIONS = ("oauth2PermissionScopes", "appRoles")


@cache
def _permissions(app_id: str) -> Document:
    """The scopes and roles that one of Microsoft's APIs publishes."""
    rows = published.permissions(app_id)
    return {
        "oauth2PermissionScopes": [_scope(row) for row in rows if row.scope_id],
        "appRoles": [_role(row) for row in rows if row.role_id],
    }


def _first_party_clients(growing: _Growing, graph: Document) -> None:
    """Microsoft's own public clients, with grants for the scopes that they hold beforehand."""
    for client in published.FIRST_PARTY_CLIENTS:
        growing.add(
            "servicePrincipal",
            shapes.complete(
                shapes.SERVICE_PRINCIPAL,
                {
                    "appId": client.app_id,
                    "appDisplayName": client.name,
                    "displayName": client.name,
                    "appOwnerOrganizationId": published.MICROSOFT_SERVICES_TENANT,
                    "createdDateTime": growing.clock.iso(),
                    "replyUrls": list(client.redirect_uris),
                    "servicePrincipalNames": [client.app_id],
                    "signInAudience": "AzureADandPersonalMicrosoftAccount",
                    "_publicClient": True,
                    "_preauthorized": {graph["id"]: list(client.preauthorized_scopes)},
                },
            ),
        )


def _admin_application(
    growing: _Growing, custom: str, base_url: str, resources: dict[str, Document]
) -> tuple[Document, Document, str]:
    """The application with which administrators automate this tenant, its service principal and its secret."""
    wanted = [(app_id, value) for app_id, values in ADMIN_PERMISSIONS.items() for value in values]
    secret, now = hashing.new_secret(), growing.clock.now()
    application = growing.add(
        "application",
        shapes.complete(
            shapes.APPLICATION,
            {
                "appId": str(uuid.uuid4()),
                "displayName": ADMIN_APP_NAME,
                "createdDateTime": growing.clock.iso(),
                "publisherDomain": custom,
                "signInAudience": "AzureADMyOrg",
                "web": {"homePageUrl": base_url},
                "requiredResourceAccess": [
                    {
                        "resourceAppId": resource,
                        "resourceAccess": [
                            {"id": published.role_id(app_id, value), "type": "Role"}
                            for app_id, value in wanted
                            if app_id == resource
                        ],
                    }
                    for resource in resources
                ],
                "passwordCredentials": [password_credential(growing.clock, secret, now + 2 * 365 * 86400)],
            },
        ),
    )
    principal = growing.add(
        "servicePrincipal",
        shapes.service_principal_of(
            application, owner_tenant=growing.tenant, values={"createdDateTime": growing.clock.iso()}
        ),
    )
    for app_id, value in wanted:
        role = published.role_id(app_id, value)
        growing.add("appRoleAssignment", role_assignment(principal, resources[app_id], role, growing.clock.iso()))
    return application, principal, secret


def password_credential(clock: Clock, secret: str, ends: float) -> Document:
    """A client secret as a registration keeps it: its hash, and what Graph shows; good from now on, replicated.

    Args:
        clock: the tenant's.
        secret: the value, which is kept nowhere.
        ends: seconds since 1970.
    """
    return {
        "customKeyIdentifier": None,
        "displayName": "Made with the tenant",
        "endDateTime": clock.iso(ends),
        "hint": secret[:3],
        "keyId": str(uuid.uuid4()),
        "secretText": None,
        "startDateTime": clock.iso(),
        "_hash": hashing.hash_secret(secret),
        "_createdAt": 0.0,
    }


def role_assignment(principal: Document, resource: Document, role_id: str, at: str) -> Document:
    """An application permission of a resource, granted to a service principal of the same tenant."""
    return {
        "id": str(uuid.uuid4()),
        "appRoleId": role_id,
        "createdDateTime": at,
        "deletedDateTime": None,
        "principalDisplayName": principal["displayName"],
        "principalId": principal["id"],
        "principalType": "ServicePrincipal",
        "resourceDisplayName": resource["displayName"],
        "resourceId": resource["id"],
    }
