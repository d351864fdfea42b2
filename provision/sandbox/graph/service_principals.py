"""``/servicePrincipals``: the enterprise applications of a tenant.

Owns: the operations, named as in the Microsoft Graph reference. Does not own: app role assignments (``app_roles``),
grants (``grants``), credentials (``credentials``).
"""

from __future__ import annotations

import copy

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, credentials, errors, navigation, owners, schema, shapes
from provision.sandbox.graph.applications import soft_delete_principal
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call, alternate_key
from provision.sandbox.published import MICROSOFT_SERVICES_TENANT

_TYPE = "servicePrincipal"
_SSO_MODES = frozenset({"", "password", "saml", "notSupported", "oidc"})


def find(call: Call, key: str | None = None) -> Document:
    """The service principal that the path names, by id or ``appId``; 404 when there is none."""
    key = call.keys["principal"] if key is None else key
    alternate = alternate_key(key)
    if alternate is None:
        if not schema.is_guid(key):
            raise errors.resource_not_found(key)
        return call.get("servicePrincipal", key.lower())
    if alternate[0].lower() != "appid":
        raise errors.BadRequest(
            f"The key property '{alternate[0]}' is not an alternate key of 'microsoft.graph.servicePrincipal'."
        )
    found = call.directory.find(call.tenant, "servicePrincipal", appId=alternate[1])
    if not found:
        raise errors.resource_not_found(alternate[1])
    return found[0]


def list_service_principals(call: Call) -> Answer:
    """GET /servicePrincipals."""
    return collection.many(call, _TYPE, call.all("servicePrincipal"))


def count_service_principals(call: Call) -> Answer:
    """GET /servicePrincipals/$count."""
    return collection.count(call, _TYPE, call.all("servicePrincipal"))


def get_service_principal(call: Call) -> Answer:
    """GET /servicePrincipals/{id}."""
    return collection.one(call, _TYPE, credentials.without_unreplicated(call, find(call)))


def create_service_principal(call: Call) -> Answer:
    """POST /servicePrincipals: the application must exist, here or as a multitenant one in another tenant."""
    payload = schema.check(_TYPE, call.body, create=True, binds=("owners",))
    app_id = payload.get("appId")
    if not app_id:
        raise errors.value_required("appId", "ServicePrincipal")
    home, application = _application(call, app_id)
    local = home == call.tenant
    if call.owned_only and not local:
        raise errors.Denied(
            "When using this permission, the backing application of the service principal being created must in the "
            "local tenant"
        )
    if call.owned_only and call.caller.object_id not in application["_owners"]:
        raise errors.insufficient_privileges()
    if call.directory.find(call.tenant, "servicePrincipal", fresh=True, appId=app_id):
        message = (
            "The service principal cannot be created, updated, or restored because the service principal name "
            f"{app_id} is already in use."
        )
        raise errors.Conflict(
            message,
            details=[{"code": "ObjectConflict", "message": message, "target": "servicePrincipalNames"}],
        )
    _may_create(call, application, local=local)
    values = {k: v for k, v in payload.values.items() if k not in {"passwordCredentials", "keyCredentials"}}
    principal = shapes.service_principal_of(application, owner_tenant=home, values=values)
    principal |= {"appId": application["appId"], "createdByAppId": call.caller.app_id, "createdDateTime": call.now()}
    principal["_owners"] = owners.of_new(call, payload.binds.get("owners", []))
    _validate(principal)
    return collection.one(call, _TYPE, call.directory.insert(call.tenant, "servicePrincipal", principal), status=201)


def _application(call: Call, app_id: str) -> tuple[str, Document]:
    """The application and its home tenant: this one, or another one of this server where it is multitenant."""
    for tenant, application in call.directory.find_everywhere("application", appId=app_id):
        if tenant == call.tenant or application["signInAudience"] != "AzureADMyOrg":
            return tenant, application
    message = f"The appId '{app_id}' of the service principal does not reference a valid application object."
    raise errors.GraphError(
        message,
        code="NoBackingApplicationObject",
        details=[{"code": "NoBackingApplicationObject", "message": message, "target": "appId"}],
    )


def _may_create(call: Call, application: Document, *, local: bool) -> None:
    if not call.caller.delegated or call.caller.directory_roles & owners.UNOWNING_CREATORS:
        return
    if not local or call.caller.object_id not in application["_owners"]:
        raise errors.insufficient_privileges()


def _validate(principal: Document) -> None:
    if not (principal["displayName"] or "").strip():
        raise errors.value_required("displayName", "ServicePrincipal")
    if (principal["preferredSingleSignOnMode"] or "") not in _SSO_MODES:
        raise errors.invalid_value("preferredSingleSignOnMode", "ServicePrincipal")
    if principal["appId"] not in principal["servicePrincipalNames"]:
        raise errors.invalid_value("servicePrincipalNames", "ServicePrincipal")


def update_service_principal(call: Call) -> Answer:
    """PATCH /servicePrincipals/{id}."""
    principal = find(call)
    call.require_owner(principal)
    payload = schema.check(_TYPE, call.body, create=False)
    _refuse_microsofts(principal, set(payload.values))
    changes = copy.deepcopy(payload.values)
    if changes.pop("appId", principal["appId"]) != principal["appId"]:
        raise errors.read_only("appId")
    if "passwordCredentials" in changes:
        changes["passwordCredentials"] = credentials.replaced_passwords(
            principal["passwordCredentials"], changes["passwordCredentials"]
        )
    if "keyCredentials" in changes:
        changes["keyCredentials"] = credentials.replaced_keys(
            call, principal, changes["keyCredentials"], kind="servicePrincipal"
        )
    for name in {"passwordCredentials", "keyCredentials"} & changes.keys():
        changes |= credentials.removed(call, principal, changes[name], name)
    after = shapes.updated(shapes.SERVICE_PRINCIPAL, principal, changes)
    _validate(after)
    call.directory.replace(call.tenant, "servicePrincipal", after)
    return NO_CONTENT


def _refuse_microsofts(principal: Document, names: set[str]) -> None:
    """Of Microsoft's own service principals a tenant may change only who can use them, and its own notes."""
    if principal["appOwnerOrganizationId"] != MICROSOFT_SERVICES_TENANT:
        return
    if names - {"accountEnabled", "appRoleAssignmentRequired", "description", "notes", "tags", "appId"}:
        raise errors.insufficient_privileges()


def delete_service_principal(call: Call) -> Answer:
    """DELETE /servicePrincipals/{id}: to the deleted items; its grants and assignments are gone."""
    principal = find(call)
    call.require_owner(principal)
    if principal["appOwnerOrganizationId"] == MICROSOFT_SERVICES_TENANT:
        raise errors.GraphError(
            "Specified App Principal ID is a Microsoft internal app principal and cannot be deleted."
        )
    with call.directory.transaction():
        soft_delete_principal(call, principal)
    return NO_CONTENT


def add_password(call: Call) -> Answer:
    """POST /servicePrincipals/{id}/addPassword."""
    principal = find(call)
    call.require_owner(principal)
    asked = schema.check_parameters(call.body, "addPassword")
    made = credentials.new_password(call, principal, asked.get("passwordCredential") or {}, kind=_TYPE)
    principal["passwordCredentials"].append(credentials.stored(made))
    call.directory.replace(call.tenant, "servicePrincipal", principal)
    return collection.one(call, "passwordCredential", made, context="microsoft.graph.passwordCredential")


def remove_password(call: Call) -> Answer:
    """POST /servicePrincipals/{id}/removePassword."""
    principal = find(call)
    call.require_owner(principal)
    asked = schema.check_parameters(call.body, "removePassword")
    credentials.remove(call, principal, "passwordCredentials", asked.get("keyId"))
    call.directory.replace(call.tenant, "servicePrincipal", principal)
    return NO_CONTENT


OWNERS = owners.References(_TYPE, "owners", owners.OWNER_KINDS, find)
"""The operations under /servicePrincipals/{id}/owners."""


def list_member_of(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/memberOf."""
    return _objects(call, "memberOf")


def list_transitive_member_of(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/transitiveMemberOf."""
    return _objects(call, "transitiveMemberOf")


def list_owned_objects(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/ownedObjects."""
    return _objects(call, "ownedObjects")


def _objects(call: Call, name: str) -> Answer:
    rows = navigation.follow(call, _TYPE, name, find(call))
    return collection.directory_objects(call, rows)
