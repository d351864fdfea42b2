"""``/oauth2PermissionGrants``: which delegated permissions an application holds, and for whom.

Owns: the operations. Does not own: consent pages (``entra``), application permissions (``app_roles``).
Sources: "oAuth2PermissionGrant resource type" and its operations; hashicorp/terraform-provider-azuread#690 quotes the
409. The id is base64url of the client's, the resource's and (for one person) the principal's GUID bytes, as the ids
quoted in Azure/azure-cli#20974 show.
"""

from __future__ import annotations

import base64
import uuid

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, schema
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call
from provision.sandbox.graph.service_principals import find as find_principal

_TYPE = "oAuth2PermissionGrant"
_ALWAYS_KNOWN = frozenset({"openid", "profile", "email", "offline_access", ".default"})


def list_grants(call: Call) -> Answer:
    """GET /oauth2PermissionGrants."""
    return collection.many(call, _TYPE, call.all("oauth2PermissionGrant"))


def list_grants_of_principal(call: Call) -> Answer:
    """GET /servicePrincipals/{id}/oauth2PermissionGrants."""
    principal = find_principal(call)
    return collection.many(
        call, _TYPE, call.directory.find(call.tenant, "oauth2PermissionGrant", clientId=principal["id"])
    )


def get_grant(call: Call) -> Answer:
    """GET /oauth2PermissionGrants/{id}."""
    return collection.one(call, _TYPE, call.get("oauth2PermissionGrant", call.keys["grant"]))


def create_grant(call: Call) -> Answer:
    """POST /oauth2PermissionGrants."""
    payload = schema.check(_TYPE, call.body, create=True)
    for name in ("clientId", "consentType", "resourceId"):
        if not payload.get(name):
            raise errors.value_required(name, "OAuth2PermissionGrant")
    if not payload.get("scope"):
        raise errors.value_required("scope", "OAuth2PermissionGrant")
    client = _referenced(call, "servicePrincipal", payload.values["clientId"])
    resource = _referenced(call, "servicePrincipal", payload.values["resourceId"])
    principal = _principal(call, payload.get("consentType"), payload.get("principalId"))
    _check_scopes(resource, payload.values["scope"])
    grant: Document = {
        "clientId": client["id"],
        "consentType": payload.values["consentType"],
        "id": grant_id(client["id"], resource["id"], principal),
        "principalId": principal,
        "resourceId": resource["id"],
        "scope": payload.values["scope"],
    }
    if call.directory.get(call.tenant, "oauth2PermissionGrant", grant["id"], fresh=True):
        raise errors.Conflict("Permission entry already exists.")
    stored = call.directory.insert(call.tenant, "oauth2PermissionGrant", grant)
    return collection.one(call, _TYPE, stored, status=201)


def grant_id(client: str, resource: str, principal: str | None) -> str:
    """The id of a grant: it follows from whose, on what and for whom it is."""
    raw = b"".join(uuid.UUID(part).bytes_le for part in (client, resource, principal) if part)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _referenced(call: Call, kind: str, identity: str) -> Document:
    if not schema.is_guid(identity):
        raise errors.invalid_object_id(identity)
    return call.get(kind, identity.lower())


def _principal(call: Call, consent_type: str, principal: str | None) -> str | None:
    """The user of a grant for one person; none for one that holds for all."""
    if consent_type not in {"AllPrincipals", "Principal"}:
        raise errors.invalid_value("consentType", "OAuth2PermissionGrant")
    if consent_type == "AllPrincipals":
        if principal:
            raise errors.invalid_value("principalId", "OAuth2PermissionGrant")
        return None
    if not principal:
        raise errors.value_required("principalId", "OAuth2PermissionGrant")
    user: str = _referenced(call, "user", principal)["id"]
    return user


def _check_scopes(resource: Document, text: str) -> None:
    """Refuses a scope that the resource does not publish, on purpose: no source says what Microsoft does with one."""
    known = {scope["value"].lower() for scope in resource["oauth2PermissionScopes"] if scope["isEnabled"]}
    for name in text.split():
        if name.lower() not in known | _ALWAYS_KNOWN:
            message = f"The scope '{name}' is not published by the resource '{resource['displayName']}'."
            raise errors.GraphError(
                "Invalid value specified for property 'scope' of resource 'OAuth2PermissionGrant'.",
                details=[{"code": "InvalidValue", "message": message, "target": "scope"}],
            )


def update_grant(call: Call) -> Answer:
    """PATCH /oauth2PermissionGrants/{id}: only ``scope`` can change."""
    grant = call.get("oauth2PermissionGrant", call.keys["grant"])
    payload = schema.check(_TYPE, call.body, create=False)
    for name, value in payload.values.items():
        if name != "scope" and value != grant[name]:
            raise errors.read_only(name)
    if "scope" in payload:
        scope = payload.get("scope")
        if scope is None:
            raise errors.invalid_value("scope", "OAuth2PermissionGrant")
        _check_scopes(call.get("servicePrincipal", grant["resourceId"]), scope)
        call.directory.replace(call.tenant, "oauth2PermissionGrant", {**grant, "scope": scope})
    return NO_CONTENT


def delete_grant(call: Call) -> Answer:
    """DELETE /oauth2PermissionGrants/{id}: gone for good."""
    grant = call.get("oauth2PermissionGrant", call.keys["grant"])
    call.directory.remove(call.tenant, "oauth2PermissionGrant", grant["id"])
    return NO_CONTENT
