"""``Get-TransportConfig`` and ``Set-TransportConfig``: SMTP AUTH for the whole organisation, old TLS.

Sources: "Get-TransportConfig", "Set-TransportConfig". ``AllowLegacyTLSClients`` permits TLS 1.0 and 1.1 on the
endpoint smtp-legacy.office365.com alone.
"""

from __future__ import annotations

from provision.sandbox.directory import public
from provision.sandbox.exchange import organization, propagation, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows, one
from provision.sandbox.exchange.parameters import BOOLEAN, NULLABLE_BOOLEAN

_SETTABLE = {"AllowLegacyTLSClients": NULLABLE_BOOLEAN, "SmtpClientAuthenticationDisabled": BOOLEAN}
_NAME = "Transport Settings"


def get_transport_config(call: Call) -> Rows:
    """Get-TransportConfig."""
    stored = organization.transport_config(call.directory, call.tenant)
    shown = {name: value for name, value in public(stored).items() if name not in {"id", "Name"}}
    return one({**shown, **recipients.naming(call.organization, _NAME, stored["id"]), "AdminDisplayName": ""})


def set_transport_config(call: Call) -> Rows:
    """Set-TransportConfig."""
    stored = organization.transport_config(call.directory, call.tenant)
    changes = call.given(_SETTABLE)
    if all(stored[name] == value for name, value in changes.items()):
        call.nothing_changed(_NAME)
        return NOTHING
    call.directory.replace(call.tenant, "transportConfig", propagation.changed(stored, changes))
    return NOTHING


CMDLETS = (
    Cmdlet(
        "Get-TransportConfig",
        {},
        (roles.TRANSPORT_SETTINGS, roles.ORGANIZATION_CONFIGURATION, roles.VIEW_CONFIGURATION),
        get_transport_config,
    ),
    Cmdlet("Set-TransportConfig", _SETTABLE, (roles.TRANSPORT_SETTINGS,), set_transport_config),
)
