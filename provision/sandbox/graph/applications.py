"""``/applications``: the app registrations of a tenant.

Owns: the operations, named as in the Microsoft Graph reference. Does not own: the rules for values
(``application_rules``), credentials (``credentials``), federated credentials (``federated_credentials``).
"""

from __future__ import annotations

import copy
import uuid
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.graph import (
    application_rules,
    collection,
    credentials,
    errors,
    owners,
    schema,
    shapes,
)
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call, alternate_key
from provision.sandbox.published import ROLE

_TYPE = "application"
_ALTERNATE_KEYS = {"appid": "appId", "uniquename": "uniqueName"}
_CREATORS = owners.UNOWNING_CREATORS | {ROLE["Application Developer"]}


def find(call: Call, key: str | None = None) -> Document:
    """The application that the path names, by id or by an alternate key.

    Raises:
        GraphError: 404 when there is none, 400 for a key that is not a GUID or not an alternate key.
    """
    key = call.keys["application"] if key is None else key
    alternate = alternate_key(key)
    if alternate is None:
        if not schema.is_guid(key):
            raise errors.resource_not_found(key)
        return call.get("application", key.lower())
    name = _ALTERNATE_KEYS.get(alternate[0].lower())
    if name is None:
        raise errors.BadRequest(
            f"The key property '{alternate[0]}' is not an alternate key of 'microsoft.graph.application'."
        )
    if name == "appId" and not schema.is_guid(alternate[1]):
        raise errors.GraphError("Invalid value specified for property 'appId' of resource 'Application'.")
    found = _by_key(call, name, alternate[1])
    if not found:
        raise errors.resource_not_found(alternate[1])
    return found[0]


def _by_key(call: Call, name: str, value: str) -> list[Document]:
    if name == "appId":
        return call.directory.find(call.tenant, "application", appId=value)
    return call.directory.find(call.tenant, "application", uniqueName=value)


def list_applications(call: Call) -> Answer:
    """GET /applications."""
    rows = [credentials.without_unreplicated(call, row) for row in call.all("application")]
    return collection.many(call, _TYPE, rows)


def count_applications(call: Call) -> Answer:
    """GET /applications/$count."""
    return collection.count(call, _TYPE, call.all("application"))


def get_application(call: Call) -> Answer:
    """GET /applications/{id}."""
    return collection.one(call, _TYPE, _shown(call, find(call)))


def _shown(call: Call, application: Document) -> Document:
    shown = credentials.without_unreplicated(call, application)
    if "keyCredentials" in call.options.select:
        shown = {**shown, "keyCredentials": [{**k, "key": k["_key"]} for k in shown["keyCredentials"]]}
    return shown


def create_application(call: Call) -> Answer:
    """POST /applications."""
    _may_create(call)
    payload = schema.check(_TYPE, call.body, create=True, binds=("owners",))
    values = payload.values
    passwords, keys = values.pop("passwordCredentials", []), values.pop("keyCredentials", [])
    application = shapes.complete(shapes.APPLICATION, _defaults(call, values))
    application["id"], application["appId"] = str(uuid.uuid4()), str(uuid.uuid4())
    application["_owners"] = owners.of_new(call, payload.binds.get("owners", []))
    application_rules.validate(call, application, before=None)
    _check_unique_name(call, application)
    made = [credentials.new_password(call, application, row, kind=_TYPE) for row in passwords]
    application["passwordCredentials"] = [credentials.stored(row) for row in made]
    application["keyCredentials"] = [credentials.new_key(call, application, row, kind=_TYPE) for row in keys]
    stored = call.directory.insert(call.tenant, "application", application)
    return collection.one(call, _TYPE, {**stored, "passwordCredentials": made}, status=201)


def _may_create(call: Call) -> None:
    """Users without a role may register applications only when the tenant lets them ("Default user permissions")."""
    if not call.caller.delegated or call.caller.directory_roles & _CREATORS:
        return
    policy = call.all("authorizationPolicy")[0]
    if not policy["defaultUserRolePermissions"]["allowedToCreateApps"]:
        raise errors.insufficient_privileges()


def _defaults(call: Call, values: Document) -> Document:
    """What the service fills in at creation, besides the shape."""
    defaults: Document = {
        "createdByAppId": call.caller.app_id,
        "createdDateTime": call.now(),
        "publisherDomain": next(d["id"] for d in call.all("domain") if d["isDefault"]),
        **values,
    }
    defaults["_oauth2RequirePostResponse"] = bool(defaults.pop("oauth2RequirePostResponse", False))
    if defaults.get("signInAudience") is None:
        defaults["signInAudience"] = shapes.APPLICATION["signInAudience"]
    if defaults["signInAudience"] in application_rules.AUDIENCES[2:]:
        api = dict(defaults.get("api") or {})
        if api.get("requestedAccessTokenVersion") is None:
            defaults["api"] = {**api, "requestedAccessTokenVersion": 2}
    return defaults


def _check_unique_name(call: Call, application: Document) -> None:
    name = application["uniqueName"]
    if name is None:
        return
    deleted = call.directory.all(call.tenant, "application", deleted=True, fresh=True)
    taken = [*call.directory.find(call.tenant, "application", fresh=True, uniqueName=name)]
    taken += [row for row in deleted if (row["uniqueName"] or "").lower() == name.lower()]
    if any(row["id"] != application["id"] for row in taken):
        raise errors.same_value_exists("uniqueName")


def update_application(call: Call) -> Answer:
    """PATCH /applications/{id}; ``Prefer: create-if-missing`` on ``uniqueName`` creates ("Upsert application")."""
    alternate = alternate_key(call.keys["application"])
    if alternate and alternate[0].lower() == "uniquename" and "create-if-missing" in call.headers.get("prefer", ""):
        found = call.directory.find(call.tenant, "application", fresh=True, uniqueName=alternate[1])
        if not found:
            call.body = {**(call.body if isinstance(call.body, dict) else {}), "uniqueName": alternate[1]}
            return create_application(call)
    before = find(call)
    call.require_owner(before)
    payload = schema.check(_TYPE, call.body, create=False)
    store(call, before, _merged(call, before, payload.values))
    return NO_CONTENT


def _merged(call: Call, before: Document, values: Document) -> Document:
    changes = copy.deepcopy(values)
    if changes.get("uniqueName") not in (None, before["uniqueName"]) and before["uniqueName"] is not None:
        raise errors.read_only("uniqueName")
    if "passwordCredentials" in changes:
        changes["passwordCredentials"] = credentials.replaced_passwords(
            before["passwordCredentials"], changes["passwordCredentials"]
        )
    if "keyCredentials" in changes:
        changes["keyCredentials"] = credentials.replaced_keys(call, before, changes["keyCredentials"], kind=_TYPE)
    for name in {"passwordCredentials", "keyCredentials"} & changes.keys():
        changes |= credentials.removed(call, before, changes[name], name)
    if "oauth2RequirePostResponse" in changes:
        changes["_oauth2RequirePostResponse"] = bool(changes.pop("oauth2RequirePostResponse"))
    return shapes.updated(shapes.APPLICATION, before, changes)


def store(call: Call, before: Document, after: Document) -> None:
    """Checks and stores a changed application, and mirrors it in the tenant's service principal."""
    application_rules.validate(call, after, before=before)
    _check_unique_name(call, after)
    with call.directory.transaction():
        call.directory.replace(call.tenant, "application", after)
        for principal in call.directory.find(call.tenant, "servicePrincipal", fresh=True, appId=after["appId"]):
            mirror = shapes.service_principal_of(after, owner_tenant=call.tenant)
            renamed = principal["displayName"] == before["displayName"]
            for name in _MIRRORED:
                principal[name] = mirror[name]
            if renamed:
                principal["displayName"] = after["displayName"]
            call.directory.replace(call.tenant, "servicePrincipal", principal)


_MIRRORED = (
    "appDisplayName",
    "appDescription",
    "homepage",
    "logoutUrl",
    "replyUrls",
    "servicePrincipalNames",
    "signInAudience",
    "appRoles",
    "oauth2PermissionScopes",
    "info",
    "verifiedPublisher",
    "_requestedAccessTokenVersion",
)
"""What a service principal shows of its application."""


def delete_application(call: Call) -> Answer:
    """DELETE /applications/{id}: it and its service principal go to the deleted items, its grants are gone."""
    application = find(call)
    call.require_owner(application)
    with call.directory.transaction():
        for principal in call.directory.find(call.tenant, "servicePrincipal", fresh=True, appId=application["appId"]):
            soft_delete_principal(call, principal)
        application["deletedDateTime"] = call.now()
        call.directory.replace(call.tenant, "application", application)
        call.directory.soft_delete(call.tenant, "application", application["id"])
    return NO_CONTENT


def soft_delete_principal(call: Call, principal: Document) -> None:
    """Moves a service principal to the deleted items and removes its grants, assignments and role memberships."""
    identity = principal["id"]
    for kind, names in (
        ("oauth2PermissionGrant", ("clientId", "resourceId")),
        ("appRoleAssignment", ("principalId", "resourceId")),
        ("roleMembership", ("memberId",)),
    ):
        for name in names:
            for row in call.directory.find(call.tenant, kind, fresh=True, **{name: identity}):
                call.directory.remove(call.tenant, kind, row["id"])
    principal["deletedDateTime"] = call.now()
    call.directory.replace(call.tenant, "servicePrincipal", principal)
    call.directory.soft_delete(call.tenant, "servicePrincipal", identity)


def add_password(call: Call) -> Answer:
    """POST /applications/{id}/addPassword: the only answer that shows the secret."""
    application = find(call)
    call.require_owner(application)
    asked = schema.check_parameters(call.body, "addPassword")
    made = credentials.new_password(call, application, asked.get("passwordCredential") or {}, kind=_TYPE)
    application["passwordCredentials"].append(credentials.stored(made))
    call.directory.replace(call.tenant, "application", application)
    return collection.one(call, "passwordCredential", made, context="microsoft.graph.passwordCredential")


def remove_password(call: Call) -> Answer:
    """POST /applications/{id}/removePassword."""
    application = find(call)
    call.require_owner(application)
    asked = schema.check_parameters(call.body, "removePassword")
    credentials.remove(call, application, "passwordCredentials", asked.get("keyId"))
    call.directory.replace(call.tenant, "application", application)
    return NO_CONTENT


def add_key(call: Call) -> Answer:
    """POST /applications/{id}/addKey, with a proof signed by a present certificate."""
    application = find(call)
    call.require_owner(application)
    asked = schema.check_parameters(call.body, "addKey")
    credentials.check_proof(application, asked.get("proof"))
    made = credentials.new_key(call, application, asked.get("keyCredential") or {}, kind=_TYPE)
    application["keyCredentials"].append(made)
    call.directory.replace(call.tenant, "application", application)
    return collection.one(call, "keyCredential", made, context="microsoft.graph.keyCredential")


def remove_key(call: Call) -> Answer:
    """POST /applications/{id}/removeKey, with a proof signed by a present certificate."""
    application = find(call)
    call.require_owner(application)
    asked = schema.check_parameters(call.body, "removeKey")
    credentials.check_proof(application, asked.get("proof"))
    credentials.remove(call, application, "keyCredentials", asked.get("keyId"))
    call.directory.replace(call.tenant, "application", application)
    return NO_CONTENT


OWNERS = owners.References(_TYPE, "owners", owners.OWNER_KINDS, find)
"""The operations under /applications/{id}/owners."""


def set_verified_publisher(call: Call) -> Answer:
    """POST /applications/{id}/setVerifiedPublisher: delegated only, for a domain of one's own."""
    application = find(call)
    asked = schema.check_parameters(call.body, "setVerifiedPublisher")
    publisher: Any = asked.get("verifiedPublisherId")
    if not publisher:
        raise _verification("MPNIdWasNotProvided", "The MPN ID was not provided in the request body.")
    domain = application["publisherDomain"]
    if domain is None:
        raise _verification("NoPublisherDomainOnApplication", "The target application has no publisher domain set.")
    if domain.endswith(".onmicrosoft.com"):
        raise _verification(
            "PublisherDomainMismatch", "The target application's publisher domain is an onmicrosoft.com domain."
        )
    if not publisher.isdigit() or len(publisher) > 10:
        raise _verification(
            "MPNAccountNotFoundOrNoAccess", f"The MPN ID {publisher} does not exist or is not accessible."
        )
    partner = call.directory.setting(f"partner.{call.tenant}", {})
    if partner.get("id", publisher) != publisher:
        raise _verification(
            "MPNIdDoesNotMatchAssociatedMPNAccount",
            "The MPN ID does not match the tenant's associated partner account.",
        )
    after = {
        **application,
        "verifiedPublisher": {
            "displayName": partner.get("displayName", f"Partner {publisher}"),
            "verifiedPublisherId": publisher,
            "addedDateTime": call.now(),
        },
    }
    store(call, application, after)
    return NO_CONTENT


def _verification(code: str, message: str) -> errors.GraphError:
    return errors.GraphError(message, code=code)


def unset_verified_publisher(call: Call) -> Answer:
    """POST /applications/{id}/unsetVerifiedPublisher."""
    application = find(call)
    after = {**application, "verifiedPublisher": dict(shapes.APPLICATION["verifiedPublisher"])}
    store(call, application, after)
    return NO_CONTENT
