"""``Get-``, ``New-``, ``Set-`` and ``Remove-ServicePrincipal``: an application of Entra made known to Exchange.

Source: "New-ServicePrincipal": ``ObjectId`` is the enterprise application's, not the app registration's. That
Exchange looks into Entra at once, and its sentence when it finds nothing, were not read at a source.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows, listed, one
from provision.sandbox.exchange.parameters import IDENTITY, MANDATORY_IDENTITY, TEXT, Parameter, text

KIND = "exchangeServicePrincipal"


def require(call: Call, identity: str) -> Document:
    """The service principal with this object id, application id or display name.

    Raises:
        ExchangeError: there is none, or more than one.
    """
    found = {
        row["id"]: row
        for row in (
            *call.directory.find(call.tenant, KIND, fresh=True, ObjectId=identity),
            *call.directory.find(call.tenant, KIND, fresh=True, AppId=identity),
            *call.directory.find(call.tenant, KIND, fresh=True, DisplayName=identity),
        )
    }
    if not found:
        raise errors.not_found(identity)
    if len(found) > 1:
        raise errors.ambiguous(identity)
    return next(iter(found.values()))


def _show(call: Call, principal: Document) -> Document:
    return {
        "DisplayName": principal["DisplayName"],
        "AppId": principal["AppId"],
        "ObjectId": principal["ObjectId"],
        **recipients.naming(call.organization, principal["ObjectId"], principal["id"]),
    }


def get_service_principal(call: Call) -> Rows:
    """Get-ServicePrincipal."""
    if "Identity" in call.parameters:
        return one(_show(call, require(call, call.get("Identity"))))
    return listed(_show(call, row) for row in call.directory.all(call.tenant, KIND, fresh=True))


def new_service_principal(call: Call) -> Rows:
    """New-ServicePrincipal: it comes back."""
    object_id, app_id = call.get("ObjectId").lower(), call.get("AppId").lower()
    known = call.directory.get(call.tenant, "servicePrincipal", object_id, fresh=True)
    if known is None or known["appId"] != app_id:
        raise errors.refused(f"A service principal with AppId '{app_id}' and ObjectId '{object_id}' couldn't be found.")
    if call.directory.find(call.tenant, KIND, fresh=True, ObjectId=object_id):
        raise errors.already_exists(object_id)
    document = {
        "AppId": app_id,
        "ObjectId": object_id,
        "DisplayName": call.get("DisplayName") or known["displayName"],
    }
    return one(_show(call, call.directory.insert(call.tenant, KIND, document, visible_at_once=True)))


def set_service_principal(call: Call) -> Rows:
    """Set-ServicePrincipal."""
    principal = require(call, call.get("Identity"))
    name = call.get("DisplayName", principal["DisplayName"])
    if name == principal["DisplayName"]:
        call.nothing_changed(principal["ObjectId"])
    else:
        call.directory.replace(call.tenant, KIND, {**principal, "DisplayName": name})
    return NOTHING


def remove_service_principal(call: Call) -> Rows:
    """Remove-ServicePrincipal: its role assignments go with it."""
    principal = require(call, call.get("Identity"))
    for row in call.directory.find(
        call.tenant, "managementRoleAssignment", fresh=True, _assigneeId=principal["ObjectId"]
    ):
        call.directory.remove(call.tenant, "managementRoleAssignment", row["id"])
    call.directory.remove(call.tenant, KIND, principal["id"])
    return NOTHING


CMDLETS = (
    Cmdlet(
        "Get-ServicePrincipal",
        {"Identity": IDENTITY},
        (roles.ROLE_MANAGEMENT, roles.VIEW_CONFIGURATION),
        get_service_principal,
    ),
    Cmdlet(
        "New-ServicePrincipal",
        {"AppId": MANDATORY_IDENTITY, "ObjectId": MANDATORY_IDENTITY, "DisplayName": TEXT},
        (roles.ROLE_MANAGEMENT,),
        new_service_principal,
    ),
    Cmdlet(
        "Set-ServicePrincipal",
        {"Identity": MANDATORY_IDENTITY, "DisplayName": Parameter(text)},
        (roles.ROLE_MANAGEMENT,),
        set_service_principal,
    ),
    Cmdlet(
        "Remove-ServicePrincipal", {"Identity": MANDATORY_IDENTITY}, (roles.ROLE_MANAGEMENT,), remove_service_principal
    ),
)
