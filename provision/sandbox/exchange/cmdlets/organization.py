"""``Get-OrganizationConfig`` and ``Set-OrganizationConfig``: the default authentication policy and EWS.

Sources: "Set-OrganizationConfig", "Control access to EWS in Exchange". ``EwsAllowedAppIDs`` is one text of application
ids with commas between them, in both; it is shown only with ``-RetrieveEwsOperationAccessPolicy`` and is set as a
whole, without ``@{Add=…}`` (public administrators' notes; Microsoft's page says the former).
"""

from __future__ import annotations

from typing import Any

from provision.sandbox.directory import public
from provision.sandbox.exchange import organization, propagation, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows, one
from provision.sandbox.exchange.cmdlets.authentication_policies import require
from provision.sandbox.exchange.parameters import (
    BOOLEAN,
    NULLABLE_BOOLEAN,
    NULLABLE_TEXT,
    SWITCH,
    TEXTS,
    Parameter,
    changed_list,
    one_of,
    text,
)

_access_policy = one_of("EnforceAllowList", "EnforceBlockList")


def _nullable_access_policy(name: str, value: Any) -> str | None:
    return None if value in {None, ""} else _access_policy(name, value)


def _app_ids(name: str, value: Any) -> list[str]:
    """Application ids: a text with commas between them, or several texts."""
    given = value if isinstance(value, list) else [value]
    return [one.strip() for row in given for one in text(name, row).split(",") if one.strip()]


_SETTABLE = {
    "AuditDisabled": BOOLEAN,
    "CustomerLockboxEnabled": BOOLEAN,
    "DefaultAuthenticationPolicy": NULLABLE_TEXT,
    "EwsAllowList": TEXTS,
    "EwsAllowedAppIDs": Parameter(_app_ids),
    "EwsApplicationAccessPolicy": Parameter(_nullable_access_policy),
    "EwsBlockList": TEXTS,
    "EwsEnabled": NULLABLE_BOOLEAN,
    "OAuth2ClientProfileEnabled": BOOLEAN,
}
_LISTS = ("EwsAllowList", "EwsBlockList")


def get_organization_config(call: Call) -> Rows:
    """Get-OrganizationConfig."""
    stored = organization.organization_config(call.directory, call.tenant)
    tenant = call.directory.tenant(call.tenant) or {}
    shown = {name: value for name, value in public(stored).items() if name not in {"id", "Name"}}
    shown["EwsAllowedAppIDs"] = (
        ",".join(stored["EwsAllowedAppIDs"]) if call.get("RetrieveEwsOperationAccessPolicy") else None
    )
    return one(
        {
            "DisplayName": tenant.get("displayName"),
            "IsDehydrated": False,
            **shown,
            **recipients.naming(call.organization, stored["Name"], call.tenant),
        }
    )


def set_organization_config(call: Call) -> Rows:
    """Set-OrganizationConfig."""
    stored = organization.organization_config(call.directory, call.tenant)
    changes = call.given(_SETTABLE)
    if changes.get("DefaultAuthenticationPolicy"):
        changes["DefaultAuthenticationPolicy"] = require(call, changes["DefaultAuthenticationPolicy"])["Name"]
    for name in _LISTS:
        if name in changes:
            changes[name] = changed_list(stored[name], changes[name])
    if all(stored[name] == value for name, value in changes.items()):
        call.nothing_changed(stored["Name"])
        return NOTHING
    call.directory.replace(call.tenant, "organizationConfig", propagation.changed(stored, changes))
    return NOTHING


_WRITE = (roles.ORGANIZATION_CONFIGURATION, roles.CLIENT_ACCESS)

CMDLETS = (
    Cmdlet(
        "Get-OrganizationConfig",
        {"RetrieveEwsOperationAccessPolicy": SWITCH},
        (*_WRITE, roles.VIEW_CONFIGURATION),
        get_organization_config,
    ),
    Cmdlet("Set-OrganizationConfig", _SETTABLE, _WRITE, set_organization_config),
)
