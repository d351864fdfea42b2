"""A partner's multitenant application and its service principal in each customer's tenant.

Owns: both as they are after everybody has clicked: the application registered in the partner's tenant, and consent by
each customer's administrator. Does not own: signing in with it (``entra``), delegated administration by people
(``graph.partners``). The same states can be reached through Graph; this is only quicker.

Source: "Single and multitenant apps in Microsoft Entra ID": the registration is in one tenant, the service principal in
each that consented.
"""

from __future__ import annotations

import uuid

from provision.sandbox import hashing, published, seed
from provision.sandbox.directory import Directory, Document
from provision.sandbox.graph import shapes

APP_NAME = "Partner automation"
_KEPT = "partner"
_READ = "DelegatedAdminRelationship.Read.All"
_YEARS_2 = 2 * 365 * 86400


class BadPartner(ValueError):
    """A request about a partner that cannot be; the sentence says why."""


def application(directory: Directory, tenant: str, base_url: str) -> Document:
    """The partner's application; made when the tenant has none yet.

    Args:
        directory: the store.
        tenant: the partner's tenant, an id.
        base_url: the server's address, kept as its home page.

    Returns:
        ``tenantId``, ``clientId`` and ``clientSecret``, the same each time.
    """
    kept: Document | None = directory.of_tenant(tenant, _KEPT)
    if kept is not None:
        return kept
    secret, now = hashing.new_secret(), directory.clock.now()
    wanted = {
        resource: [{"id": published.role_id(resource, value), "type": "Role"} for value in values]
        for resource, values in seed.ADMIN_PERMISSIONS.items()
    }
    stored = shapes.complete(
        shapes.APPLICATION,
        {
            "id": str(uuid.uuid4()),
            "appId": str(uuid.uuid4()),
            "displayName": APP_NAME,
            "createdDateTime": directory.clock.iso(),
            "publisherDomain": (directory.tenant(tenant) or {})["domain"],
            "signInAudience": "AzureADMultipleOrgs",
            "web": {"homePageUrl": base_url},
            "requiredResourceAccess": [
                {"resourceAppId": resource, "resourceAccess": access} for resource, access in wanted.items()
            ],
            "passwordCredentials": [seed.password_credential(directory.clock, secret, now + _YEARS_2)],
        },
    )
    made = {"tenantId": tenant, "clientId": stored["appId"], "clientSecret": secret}
    with directory.transaction():
        directory.insert_many(tenant, "application", [stored])
        consent(directory, tenant, stored["appId"], own=True)
        directory.keep_of_tenant(tenant, _KEPT, made)
    return made


def consent(directory: Directory, tenant: str, app_id: str, *, own: bool = False) -> None:
    """Makes the application's service principal in a tenant, with every permission that it asks for and a role.

    The role is Exchange Administrator, as for the tenant's own automation. Nothing happens when it is there already.

    Args:
        directory: the store.
        tenant: the customer's tenant, an id.
        app_id: the application's client id.
        own: for the partner's own tenant, where it reads the relationships too.

    Raises:
        BadPartner: there is no multitenant application of that id.
    """
    found = directory.find_everywhere("application", fresh=True, appId=app_id)
    if not found or found[0][1]["signInAudience"] != "AzureADMultipleOrgs":
        raise BadPartner(f"there is no multitenant application {app_id}")
    home, registration = found[0]
    if directory.find(tenant, "servicePrincipal", fresh=True, appId=app_id):
        return
    now = directory.clock.iso()
    principal = shapes.service_principal_of(registration, owner_tenant=home, values={"createdDateTime": now})
    principal["id"] = str(uuid.uuid4())
    assignments = []
    for resource in registration["requiredResourceAccess"]:
        (target,) = directory.find(tenant, "servicePrincipal", fresh=True, appId=resource["resourceAppId"])
        roles = [access["id"] for access in resource["resourceAccess"] if access["type"] == "Role"]
        if own and resource["resourceAppId"] == published.GRAPH_APP_ID:
            roles.append(published.role_id(published.GRAPH_APP_ID, _READ))
        assignments += [seed.role_assignment(principal, target, role, now) for role in roles]
    template = published.ROLE[seed.ADMIN_APP_DIRECTORY_ROLE]
    (role,) = directory.find(tenant, "directoryRole", fresh=True, roleTemplateId=template)
    membership = {"id": str(uuid.uuid4()), "roleId": role["id"], "memberId": principal["id"]}
    with directory.transaction():
        directory.insert_many(tenant, "servicePrincipal", [principal])
        directory.insert_many(tenant, "appRoleAssignment", assignments)
        directory.insert_many(tenant, "roleMembership", [membership])


def withdraw(directory: Directory, tenant: str, app_id: str) -> None:
    """Deletes the service principal with what it was granted, as a customer does who ends the cooperation."""
    for principal in directory.find(tenant, "servicePrincipal", fresh=True, appId=app_id):
        with directory.transaction():
            for row in directory.find(tenant, "appRoleAssignment", fresh=True, principalId=principal["id"]):
                directory.remove(tenant, "appRoleAssignment", row["id"])
            for row in directory.find(tenant, "roleMembership", fresh=True, memberId=principal["id"]):
                directory.remove(tenant, "roleMembership", row["id"])
            directory.remove(tenant, "servicePrincipal", principal["id"])
