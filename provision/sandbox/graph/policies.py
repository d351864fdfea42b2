"""``/policies`` and Conditional Access: what a tenant forbids.

Owns: the operations. Does not own: what follows from a policy (``credentials`` and ``entra`` ask for it).
Sources: "identitySecurityDefaultsEnforcementPolicy", "tenantAppManagementPolicy", "appManagementPolicy",
"authorizationPolicy", "conditionalAccessPolicy" and their operations. That Conditional Access and security defaults
exclude each other, and the sentence about it: "Security defaults in Microsoft Entra ID" and public answers of Graph.
"""

from __future__ import annotations

import uuid
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.graph import collection, errors, navigation, owners, schema
from provision.sandbox.graph.applications import find as find_application
from provision.sandbox.graph.call import NO_CONTENT, Answer, Call
from provision.sandbox.graph.service_principals import find as find_principal

_SECURITY_DEFAULTS = "identitySecurityDefaultsEnforcementPolicy"


def get_security_defaults(call: Call) -> Answer:
    """GET /policies/identitySecurityDefaultsEnforcementPolicy."""
    return _singleton(call, _SECURITY_DEFAULTS, _SECURITY_DEFAULTS)


def update_security_defaults(call: Call) -> Answer:
    """PATCH /policies/identitySecurityDefaultsEnforcementPolicy: not beside an enabled Conditional Access policy."""
    payload = schema.check(_SECURITY_DEFAULTS, call.body, create=False)
    enabled = any(policy["state"] == "enabled" for policy in call.all("conditionalAccessPolicy"))
    if payload.get("isEnabled") and enabled:
        raise errors.BadRequest(
            "Security Defaults cannot be enabled because Conditional Access policies are enabled in the tenant."
        )
    return _change(call, _SECURITY_DEFAULTS, payload.values)


def get_default_app_management_policy(call: Call) -> Answer:
    """GET /policies/defaultAppManagementPolicy."""
    return _singleton(call, "defaultAppManagementPolicy", "tenantAppManagementPolicy")


def update_default_app_management_policy(call: Call) -> Answer:
    """PATCH /policies/defaultAppManagementPolicy."""
    payload = schema.check("tenantAppManagementPolicy", call.body, create=False)
    for name in ("applicationRestrictions", "servicePrincipalRestrictions"):
        if payload.get(name) is not None:
            payload.values[name] = _restrictions(payload.values[name])
    return _change(call, "defaultAppManagementPolicy", payload.values)


def get_authorization_policy(call: Call) -> Answer:
    """GET /policies/authorizationPolicy."""
    return _singleton(call, "authorizationPolicy", "authorizationPolicy")


def update_authorization_policy(call: Call) -> Answer:
    """PATCH /policies/authorizationPolicy."""
    payload = schema.check("authorizationPolicy", call.body, create=False)
    before = call.all("authorizationPolicy")[0]["defaultUserRolePermissions"]
    if payload.get("defaultUserRolePermissions"):
        payload.values["defaultUserRolePermissions"] = {**before, **payload.values["defaultUserRolePermissions"]}
    return _change(call, "authorizationPolicy", payload.values)


def _singleton(call: Call, kind: str, type_name: str) -> Answer:
    return collection.one(call, type_name, call.all(kind)[0], context=f"policies/{kind}")


def _change(call: Call, kind: str, values: Document) -> Answer:
    call.directory.replace(call.tenant, kind, {**call.all(kind)[0], **values})
    return NO_CONTENT


def _restrictions(value: Document) -> Document:
    """Restrictions with ``state`` filled in and each checked: a type, and a lifetime where it needs one."""
    result: Document = {"passwordCredentials": [], "keyCredentials": [], **value}
    for name in ("passwordCredentials", "keyCredentials"):
        rows: list[Any] = result[name] or []
        for row in rows:
            if not row.get("restrictionType"):
                raise errors.value_required("restrictionType", "AppManagementConfiguration")
            if row["restrictionType"].endswith("Lifetime") and not row.get("maxLifetime"):
                raise errors.value_required("maxLifetime", "AppManagementConfiguration")
            row.setdefault("maxLifetime", None)
            row.setdefault("restrictForAppsCreatedAfterDateTime", None)
            row.setdefault("state", "enabled")
        types = [row["restrictionType"] for row in rows]
        if len(set(types)) != len(types):
            raise errors.invalid_value("restrictionType", "AppManagementConfiguration")
        result[name] = rows
    return result


def list_app_management_policies(call: Call) -> Answer:
    """GET /policies/appManagementPolicies."""
    return collection.many(call, "appManagementPolicy", call.all("appManagementPolicy"))


def get_app_management_policy(call: Call) -> Answer:
    """GET /policies/appManagementPolicies/{id}."""
    return collection.one(call, "appManagementPolicy", call.get("appManagementPolicy", call.keys["policy"]))


def create_app_management_policy(call: Call) -> Answer:
    """POST /policies/appManagementPolicies."""
    payload = schema.check("appManagementPolicy", call.body, create=True)
    for name in ("displayName", "restrictions"):
        if not payload.get(name):
            raise errors.value_required(name, "AppManagementPolicy")
    policy = call.directory.insert(
        call.tenant,
        "appManagementPolicy",
        {
            "deletedDateTime": None,
            "description": payload.get("description"),
            "displayName": payload.values["displayName"],
            "isEnabled": bool(payload.get("isEnabled")),
            "restrictions": _restrictions(payload.values["restrictions"]),
            "_appliesTo": [],
        },
    )
    return collection.one(call, "appManagementPolicy", policy, status=201)


def update_app_management_policy(call: Call) -> Answer:
    """PATCH /policies/appManagementPolicies/{id}."""
    policy = call.get("appManagementPolicy", call.keys["policy"])
    payload = schema.check("appManagementPolicy", call.body, create=False)
    if payload.get("restrictions"):
        payload.values["restrictions"] = _restrictions(payload.values["restrictions"])
    call.directory.replace(call.tenant, "appManagementPolicy", {**policy, **payload.values})
    return NO_CONTENT


def delete_app_management_policy(call: Call) -> Answer:
    """DELETE /policies/appManagementPolicies/{id}."""
    policy = call.get("appManagementPolicy", call.keys["policy"])
    call.directory.remove(call.tenant, "appManagementPolicy", policy["id"])
    return NO_CONTENT


def list_applies_to(call: Call) -> Answer:
    """GET /policies/appManagementPolicies/{id}/appliesTo."""
    policy = call.get("appManagementPolicy", call.keys["policy"])
    rows = navigation.objects(call, policy["_appliesTo"])
    return collection.directory_objects(call, rows)


def list_application_policies(call: Call) -> Answer:
    """GET /applications/{id}/appManagementPolicies."""
    rows = navigation.follow(call, "application", "appManagementPolicies", find_application(call))
    return collection.many(call, "appManagementPolicy", [row for _, row in rows])


def assign_to_application(call: Call) -> Answer:
    """POST /applications/{id}/appManagementPolicies/$ref."""
    return _assign(call, find_application(call))


def assign_to_service_principal(call: Call) -> Answer:
    """POST /servicePrincipals/{id}/appManagementPolicies/$ref."""
    return _assign(call, find_principal(call))


def _assign(call: Call, target: Document) -> Answer:
    reference = str(call.body.get("@odata.id", "")) if isinstance(call.body, dict) else ""
    identity = reference.rstrip("/').").rsplit("/", 1)[-1].rsplit("'", 1)[-1]
    policy = call.get("appManagementPolicy", identity) if schema.is_guid(identity) else None
    if policy is None:
        raise errors.GraphError("Unrecognized @odata.id annotation. The value is not a valid entity reference.")
    for other in call.all("appManagementPolicy"):
        if target["id"] in other["_appliesTo"]:
            raise errors.reference_exists("appManagementPolicies")
    owners.add(policy, "_appliesTo", "appliesTo", target["id"])
    call.directory.replace(call.tenant, "appManagementPolicy", policy)
    return NO_CONTENT


def unassign_from_application(call: Call) -> Answer:
    """DELETE /applications/{id}/appManagementPolicies/{id}/$ref."""
    return _unassign(call, find_application(call))


def unassign_from_service_principal(call: Call) -> Answer:
    """DELETE /servicePrincipals/{id}/appManagementPolicies/{id}/$ref."""
    return _unassign(call, find_principal(call))


def _unassign(call: Call, target: Document) -> Answer:
    policy = call.get("appManagementPolicy", call.keys["policy"])
    owners.drop(policy, "_appliesTo", target["id"])
    call.directory.replace(call.tenant, "appManagementPolicy", policy)
    return NO_CONTENT


_CA = "conditionalAccessPolicy"


def list_conditional_access_policies(call: Call) -> Answer:
    """GET /identity/conditionalAccess/policies."""
    return collection.many(call, _CA, call.all(_CA))


def get_conditional_access_policy(call: Call) -> Answer:
    """GET /identity/conditionalAccess/policies/{id}."""
    return collection.one(call, _CA, call.get(_CA, call.keys["policy"]))


def create_conditional_access_policy(call: Call) -> Answer:
    """POST /identity/conditionalAccess/policies."""
    payload = schema.check(_CA, call.body, create=True)
    policy: Document = {
        "id": str(uuid.uuid4()),
        "templateId": None,
        "displayName": None,
        "createdDateTime": call.now(),
        "modifiedDateTime": None,
        "state": None,
        "conditions": None,
        "grantControls": None,
        "sessionControls": None,
        **payload.values,
    }
    _check_conditional_access(call, policy)
    return collection.one(call, _CA, call.directory.insert(call.tenant, _CA, policy), status=201)


def update_conditional_access_policy(call: Call) -> Answer:
    """PATCH /identity/conditionalAccess/policies/{id}."""
    policy = call.get(_CA, call.keys["policy"])
    payload = schema.check(_CA, call.body, create=False)
    after = {**policy, **payload.values, "modifiedDateTime": call.now()}
    if payload.get("conditions"):
        after["conditions"] = {**policy["conditions"], **payload.values["conditions"]}
    _check_conditional_access(call, after)
    call.directory.replace(call.tenant, _CA, after)
    return NO_CONTENT


def delete_conditional_access_policy(call: Call) -> Answer:
    """DELETE /identity/conditionalAccess/policies/{id}."""
    call.directory.remove(call.tenant, _CA, call.get(_CA, call.keys["policy"])["id"])
    return NO_CONTENT


def _check_conditional_access(call: Call, policy: Document) -> None:
    """A name, a state, whom and what it covers, and at least one control."""
    if not policy["displayName"] or not policy["state"]:
        missing = "displayName" if not policy["displayName"] else "state"
        raise errors.BadRequest(f"1007: Invalid {missing} value: {missing} is required.")
    conditions = policy["conditions"] or {}
    applications, users = conditions.get("applications") or {}, conditions.get("users") or {}
    if not any(applications.get(n) for n in ("includeApplications", "includeUserActions")):
        raise errors.BadRequest("1014: Policy must have applications, user actions or authentication contexts.")
    if not any(users.get(n) for n in ("includeUsers", "includeGroups", "includeRoles", "includeGuestsOrExternalUsers")):
        raise errors.BadRequest("1015: Policy must have users, groups, roles or guests included.")
    controls = policy["grantControls"] or {}
    if controls and controls.get("operator") not in {"AND", "OR"}:
        raise errors.BadRequest("1016: Grant control operator must be 'AND' or 'OR'.")
    if not any(v for k, v in controls.items() if k != "operator") and not policy["sessionControls"]:
        raise errors.BadRequest("1011: Policy must have at least one grant or session control.")
    if "block" in controls.get("builtInControls", []) and len(controls["builtInControls"]) > 1:
        raise errors.BadRequest("1017: Block cannot be combined with other grant controls.")
    locations = conditions.get("locations") or {}
    known = {"All", "AllTrusted", *(place["id"] for place in call.all("namedLocation"))}
    if any(set(locations.get(name) or ()) - known for name in ("includeLocations", "excludeLocations")):
        raise errors.BadRequest("Policy contains a location that does not exist.")  # not read at a source
    defaults = call.all(_SECURITY_DEFAULTS)[0]
    if policy["state"] == "enabled" and defaults["isEnabled"]:
        raise errors.BadRequest(
            "1020: Security Defaults is enabled in the tenant. You must disable Security defaults before enabling a "
            "Conditional Access policy."
        )
