"""``Get-Mailbox``, ``Set-Mailbox`` and ``Get-Recipient``.

Sources: "Get-Mailbox", "Set-Mailbox", "Get-Recipient", "Filterable properties for the Filter parameter on Exchange
cmdlets"; the properties and their order of a real answer of 2024-05-22 (see ``rows``), as far as they mean something
here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, mailboxes, propagation, recipients, roles
from provision.sandbox.exchange.call import NOTHING, START, Call, Cmdlet, Place, Rows
from provision.sandbox.exchange.filters import Filter
from provision.sandbox.exchange.parameters import (
    IDENTITY,
    MANDATORY_IDENTITY,
    RESULT_SIZE,
    SWITCH,
    TEXT,
    TEXTS,
    Parameter,
    many_of,
    one_of,
)

_TYPES = (
    *mailboxes.TYPES,
    "DiscoveryMailbox",
    "LegacyMailbox",
    "LinkedMailbox",
    "LinkedRoomMailbox",
    "SchedulingMailbox",
    "TeamMailbox",
    "GroupMailbox",
)
"""Names that ``-RecipientTypeDetails`` of Get-Mailbox knows, also those of which there are none here."""
_RECIPIENT_TYPES = (
    *_TYPES,
    "MailUniversalDistributionGroup",
    "MailUniversalSecurityGroup",
    "MailUser",
    "MailContact",
    "GuestMailUser",
    "DynamicDistributionGroup",
    "User",
)
GROUP_MAILBOX, DISTRIBUTION_GROUP = "GroupMailbox", "MailUniversalDistributionGroup"
_CONVERSIONS = {
    "Regular": mailboxes.USER,
    "Shared": mailboxes.SHARED,
    "Room": mailboxes.ROOM,
    "Equipment": mailboxes.EQUIPMENT,
}


def show(call: Call, box: Document, *, deleted: bool = False) -> Document:
    """A mailbox as ``Get-Mailbox`` shows it."""
    user = recipients.owner(call, box, deleted=deleted) or {}
    kind = box["RecipientTypeDetails"]
    principal = user.get("userPrincipalName") or box["PrimarySmtpAddress"]
    return {
        "ExchangeGuid": box["id"],
        "DeliverToMailboxAndForward": False,
        "ForwardingAddress": None,
        "ForwardingSmtpAddress": None,
        "IsMailboxEnabled": True,
        "IsResource": kind in {mailboxes.ROOM, mailboxes.EQUIPMENT},
        "IsShared": kind == mailboxes.SHARED,
        "ResourceType": {mailboxes.ROOM: "Room", mailboxes.EQUIPMENT: "Equipment"}.get(kind),
        "UserPrincipalName": principal,
        "WindowsLiveID": principal,
        "MicrosoftOnlineServicesID": principal,
        "SKUAssigned": mailboxes.licensed(user or None),
        "WhenMailboxCreated": box["WhenCreated"],
        "IsSoftDeletedByRemove": deleted and user.get("deletedDateTime") is not None,
        "IsSoftDeletedByDisable": deleted and user.get("deletedDateTime") is None,
        "IsInactiveMailbox": False,
        "WhenSoftDeleted": box["_softDeleted"],
        "AccountDisabled": not user.get("accountEnabled", True),
        "Alias": box["Alias"],
        **recipients.attributes(box),
        "DisplayName": box["DisplayName"],
        "EmailAddresses": box["EmailAddresses"],
        "ExternalDirectoryObjectId": box["_userId"],
        "HiddenFromAddressListsEnabled": False,
        "PrimarySmtpAddress": box["PrimarySmtpAddress"],
        "RecipientType": "UserMailbox",
        "RecipientTypeDetails": kind,
        "WindowsEmailAddress": box["PrimarySmtpAddress"],
        **recipients.naming(call.organization, recipients.name_of(box), box["id"]),
        "WhenCreated": box["WhenCreated"],
        "WhenCreatedUTC": box["WhenCreated"],
    }


def _wanted(call: Call, row: Document) -> bool:
    """Whether ``-Anr`` (the start of a name or address) and ``-RecipientTypeDetails`` let a row through."""
    text = (call.get("Anr") or "").lower()
    names = (row["DisplayName"], row["Alias"], row["PrimarySmtpAddress"])
    kinds = call.get("RecipientTypeDetails")
    return (not text or any(str(name).lower().startswith(text) for name in names)) and (
        not kinds or row["RecipientTypeDetails"] in kinds
    )


def _filter(call: Call) -> Filter | None:
    text = call.get("Filter")
    return Filter(text, recipients.FILTERABLE) if text else None


def _check_sets(call: Call) -> None:
    """``-Identity``, ``-Anr`` and ``-Filter`` belong to different parameter sets."""
    if "Identity" in call.parameters and ("Anr" in call.parameters or "Filter" in call.parameters):
        raise errors.no_parameter_set()


def listing(call: Call, shown: Callable[[Document], Document], *, deleted: bool = False) -> Rows:
    """The mailboxes that ``-Identity``, ``-Anr``, ``-Filter`` and ``-RecipientTypeDetails`` ask for, as ``shown``."""
    _check_sets(call)
    chosen = _filter(call)
    if "Identity" in call.parameters:
        box = recipients.mailbox(call, call.get("Identity"), deleted=deleted)
        if not _wanted(call, show(call, box, deleted=deleted)):
            raise errors.not_found(call.get("Identity"))
        return [(START, shown(box))]
    simple = chosen is None and not call.get("Anr")
    kinds = call.get("RecipientTypeDetails")

    def read() -> Iterator[tuple[Place, Document]]:
        for place, box in call.pages(mailboxes.KIND, deleted=deleted):
            if simple:
                passes = not kinds or box["RecipientTypeDetails"] in kinds
            else:
                row = show(call, box, deleted=deleted)
                passes = _wanted(call, row) and (chosen is None or chosen.matches(row))
            if passes:
                yield place, shown(box)

    return read()


def get_mailbox(call: Call) -> Rows:
    """Get-Mailbox; with ``-SoftDeletedMailbox`` those that were taken away."""
    deleted = call.get("SoftDeletedMailbox", False)
    return listing(call, lambda box: show(call, box, deleted=deleted), deleted=deleted)


def set_mailbox(call: Call) -> Rows:
    """Set-Mailbox: type and custom attributes."""
    box = recipients.mailbox(call, call.get("Identity"))
    changes = call.given(recipients.CUSTOM_ATTRIBUTES)
    if "Type" in call.parameters:
        changes["RecipientTypeDetails"] = _CONVERSIONS[call.get("Type")]
    if all(box.get(name, "") == value for name, value in changes.items()):
        call.nothing_changed(recipients.name_of(box))
        return NOTHING
    call.directory.replace(call.tenant, mailboxes.KIND, propagation.changed(box, changes))
    return NOTHING


def show_recipient(call: Call, box: Document) -> Document:
    """A mailbox as ``Get-Recipient`` shows it."""
    row = show(call, box)
    names = (
        "Alias",
        *recipients.CUSTOM_ATTRIBUTES,
        "DisplayName",
        "EmailAddresses",
        "ExchangeGuid",
        "ExternalDirectoryObjectId",
        "HiddenFromAddressListsEnabled",
        "PrimarySmtpAddress",
        "RecipientType",
        "RecipientTypeDetails",
        "SKUAssigned",
        "WindowsLiveID",
    )
    named = recipients.naming(call.organization, recipients.name_of(box), box["id"])
    return {**{name: row[name] for name in names}, **named, "WhenCreated": box["WhenCreated"]}


def show_group(call: Call, group: Document) -> Document:
    """A mail-enabled group as ``Get-Recipient`` shows it."""
    unified = "Unified" in group["groupTypes"]
    return {
        "Alias": group["mailNickname"],
        **dict.fromkeys(recipients.CUSTOM_ATTRIBUTES, ""),
        "DisplayName": group["displayName"],
        "EmailAddresses": group["proxyAddresses"],
        "ExchangeGuid": group["id"],
        "ExternalDirectoryObjectId": group["id"],
        "HiddenFromAddressListsEnabled": False,
        "PrimarySmtpAddress": group["mail"],
        "RecipientType": "MailUniversalDistributionGroup",
        "RecipientTypeDetails": GROUP_MAILBOX if unified else DISTRIBUTION_GROUP,
        "SKUAssigned": None,
        "WindowsLiveID": "",
        **recipients.naming(call.organization, recipients.name_of_group(group), group["id"]),
        "WhenCreated": group["createdDateTime"],
    }


def get_recipient(call: Call) -> Rows:
    """Get-Recipient: mailboxes, then mail-enabled groups."""
    _check_sets(call)
    chosen = _filter(call)
    if "Identity" in call.parameters:
        return [(START, _one_recipient(call))]

    def read() -> Iterator[tuple[Place, Document]]:
        for place, box in call.pages(mailboxes.KIND):
            yield place, show_recipient(call, box)
        for place, group in call.pages("group", 1):
            if group["mailEnabled"]:
                yield place, show_group(call, group)

    return ((place, row) for place, row in read() if _wanted(call, row) and (chosen is None or chosen.matches(row)))


def _one_recipient(call: Call) -> Document:
    identity = call.get("Identity")
    found = [show_group(call, group) for group in recipients.groups(call, identity)]
    try:
        found.append(show_recipient(call, recipients.mailbox(call, identity)))
    except errors.ExchangeError as error:
        if error.status != 404:
            raise
    if len(found) > 1:
        raise errors.ambiguous(identity)
    if not found or not _wanted(call, found[0]):
        raise errors.not_found(identity)
    return found[0]


_READ_ROLES = (roles.MAIL_RECIPIENTS, roles.VIEW_RECIPIENTS)
_READ = {"Identity": IDENTITY, "Anr": TEXT, "Filter": TEXT, "ResultSize": RESULT_SIZE}

CMDLETS = (
    Cmdlet(
        "Get-Mailbox",
        {**_READ, "RecipientTypeDetails": Parameter(many_of(*_TYPES)), "SoftDeletedMailbox": SWITCH},
        _READ_ROLES,
        get_mailbox,
    ),
    Cmdlet(
        "Set-Mailbox",
        {
            "Identity": MANDATORY_IDENTITY,
            "Type": Parameter(one_of(*_CONVERSIONS)),
            **dict.fromkeys(recipients.CUSTOM_ATTRIBUTES, TEXT),
        },
        (roles.MAIL_RECIPIENTS,),
        set_mailbox,
    ),
    Cmdlet(
        "Get-Recipient",
        {**_READ, "RecipientTypeDetails": Parameter(many_of(*_RECIPIENT_TYPES)), "Properties": TEXTS},
        _READ_ROLES,
        get_recipient,
    ),
)
