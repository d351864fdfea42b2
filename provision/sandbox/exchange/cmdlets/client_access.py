"""``Get-CASMailbox`` and ``Set-CASMailbox``: which protocols a mailbox may use, SMTP AUTH among them.

Sources: "Get-CASMailbox", "Set-CASMailbox". ``SmtpClientAuthenticationDisabled`` has three states: null inherits the
organisation's, true is off, false is on. A parameter ``SmtpClientAuthenticationEnabled`` does not exist.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes, propagation, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows
from provision.sandbox.exchange.cmdlets.mailbox import listing
from provision.sandbox.exchange.parameters import (
    BOOLEAN,
    IDENTITY,
    MANDATORY_IDENTITY,
    NULLABLE_BOOLEAN,
    RESULT_SIZE,
    SWITCH,
    TEXT,
    TEXTS,
    Parameter,
    changed_list,
    one_of,
)

_ON: tuple[str, ...] = (
    "ActiveSyncEnabled",
    "ECPEnabled",
    "ImapEnabled",
    "MAPIEnabled",
    "MacOutlookEnabled",
    "OneWinNativeOutlookEnabled",
    "OWAEnabled",
    "OWAforDevicesEnabled",
    "OutlookMobileEnabled",
    "PopEnabled",
    "UniversalOutlookEnabled",
)
"""Switches that are on for a new mailbox."""
_NULLABLE = ("EwsAllowEntourage", "EwsAllowMacOutlook", "EwsAllowOutlook", "EwsEnabled")
_LISTS = ("EwsAllowList", "EwsBlockList")
_SMTP_AUTH = "SmtpClientAuthenticationDisabled"


def show(call: Call, box: Document) -> Document:
    """A mailbox as ``Get-CASMailbox`` shows it."""
    name = recipients.name_of(box)
    group = "/o=ExchangeLabs/ou=Exchange Administrative Group (FYDIBOHF23SPDLT)"
    return {
        "EmailAddresses": box["EmailAddresses"],
        "PrimarySmtpAddress": box["PrimarySmtpAddress"],
        "DisplayName": box["DisplayName"],
        "LegacyExchangeDN": f"{group}/cn=Recipients/cn={name}",
        **{switch: box.get(switch, True) for switch in _ON},
        **{switch: box.get(switch) for switch in _NULLABLE},
        **{row: box.get(row, []) for row in _LISTS},
        "EwsApplicationAccessPolicy": box.get("EwsApplicationAccessPolicy"),
        _SMTP_AUTH: box[_SMTP_AUTH],
        "HasActiveSyncDevicePartnership": False,
        "ExternalDirectoryObjectId": box["_userId"],
        **recipients.naming(call.organization, name, box["id"]),
        "WhenCreated": box["WhenCreated"],
    }


def get_cas_mailbox(call: Call) -> Rows:
    """Get-CASMailbox."""
    return listing(call, lambda box: show(call, box))


def set_cas_mailbox(call: Call) -> Rows:
    """Set-CASMailbox: nothing comes back; a warning when nothing changed."""
    box = recipients.mailbox(call, call.get("Identity"))
    changes = call.given((*_ON, *_NULLABLE, _SMTP_AUTH, "EwsApplicationAccessPolicy"))
    for name in _LISTS:
        if name in call.parameters:
            changes[name] = changed_list(box.get(name, []), call.parameters[name])
    if changes.get(_SMTP_AUTH, box[_SMTP_AUTH]) == box[_SMTP_AUTH]:
        changes.pop(_SMTP_AUTH, None)
    if all(show(call, box)[name] == value for name, value in changes.items()):
        call.nothing_changed(recipients.name_of(box))
        return NOTHING
    call.directory.replace(call.tenant, mailboxes.KIND, propagation.changed(box, changes))
    return NOTHING


_READ = {
    "Identity": IDENTITY,
    "Anr": TEXT,
    "Filter": TEXT,
    "ProtocolSettings": SWITCH,
    "RecalculateHasActiveSyncDevicePartnership": SWITCH,
    "ResultSize": RESULT_SIZE,
}

CMDLETS = (
    Cmdlet("Get-CASMailbox", _READ, (roles.MAIL_RECIPIENTS, roles.VIEW_RECIPIENTS), get_cas_mailbox),
    Cmdlet(
        "Set-CASMailbox",
        {
            "Identity": MANDATORY_IDENTITY,
            **dict.fromkeys(_ON, BOOLEAN),
            **dict.fromkeys(_NULLABLE, NULLABLE_BOOLEAN),
            **dict.fromkeys(_LISTS, TEXTS),
            "EwsApplicationAccessPolicy": Parameter(one_of("EnforceAllowList", "EnforceBlockList")),
            _SMTP_AUTH: NULLABLE_BOOLEAN,
        },
        (roles.MAIL_RECIPIENTS,),
        set_cas_mailbox,
    ),
)
