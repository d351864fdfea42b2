"""Mailboxes, users and groups as Exchange's cmdlets find and show them.

Owns: what an ``-Identity`` may be, the properties that recipients share. Does not own: which a cmdlet shows.
Source of the identities: "Get-Mailbox", parameter Identity (name, alias, distinguished name, e-mail address, GUID,
user principal name and others). ``Name`` is the object id of Entra, as for users made since 2021.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provision.sandbox.directory import Directory, Document
from provision.sandbox.exchange import errors, mailboxes
from provision.sandbox.exchange.call import Call

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_COMMON_NAME = re.compile(r"CN=([^,]+),", re.IGNORECASE)
CUSTOM_ATTRIBUTES = tuple(f"CustomAttribute{number}" for number in range(1, 16))
FILTERABLE = (
    "Alias",
    *CUSTOM_ATTRIBUTES,
    "DisplayName",
    "DistinguishedName",
    "EmailAddresses",
    "ExchangeGuid",
    "ExternalDirectoryObjectId",
    "Guid",
    "HiddenFromAddressListsEnabled",
    "Id",
    "Name",
    "PrimarySmtpAddress",
    "RecipientType",
    "RecipientTypeDetails",
    "UserPrincipalName",
    "WhenCreated",
    "WindowsLiveID",
)
"""What a mailbox can be filtered by."""
SCOPE_FILTERABLE = (*FILTERABLE, "MemberOfGroup")
"""What a management scope's recipient filter can name."""


def mailbox(call: Call, identity: str, *, deleted: bool = False) -> Document:
    """The mailbox that an identity names.

    Args:
        call: the cmdlet.
        identity: any form of it.
        deleted: among the soft-deleted ones instead of the live ones.

    Raises:
        ExchangeError: there is none, or more than one.
    """
    found = list(_mailboxes(call.directory, call.tenant, _plain(identity), deleted=deleted))
    return _only(identity, found)


def _plain(identity: str) -> str:
    """The name in a distinguished name, else the identity itself."""
    match = _COMMON_NAME.match(identity)
    return match.group(1) if match else identity


def _only(identity: str, found: list[Document]) -> Document:
    distinct = {row["id"]: row for row in found}
    if not distinct:
        raise errors.not_found(identity)
    if len(distinct) > 1:
        raise errors.ambiguous(identity)
    return next(iter(distinct.values()))


def _mailboxes(directory: Directory, tenant: str, identity: str, *, deleted: bool) -> Iterator[Document]:
    kind = mailboxes.KIND
    if _GUID.fullmatch(identity):
        if (row := directory.get(tenant, kind, identity.lower(), fresh=True, deleted=deleted)) is not None:
            yield row
        yield from directory.find(tenant, kind, fresh=True, deleted=deleted, _userId=identity.lower())
        return
    if "@" in identity:
        yield from directory.find(tenant, kind, fresh=True, deleted=deleted, EmailAddresses=f"smtp:{identity}")
        for user in directory.find(tenant, "user", fresh=True, userPrincipalName=identity):
            yield from directory.find(tenant, kind, fresh=True, deleted=deleted, _userId=user["id"])
        return
    yield from directory.find(tenant, kind, fresh=True, deleted=deleted, Alias=identity)
    yield from directory.find(tenant, kind, fresh=True, deleted=deleted, DisplayName=identity)


def user(call: Call, identity: str) -> Document:
    """The user that an identity names, with or without a mailbox.

    Raises:
        ExchangeError: there is none, or more than one.
    """
    plain = _plain(identity)
    found = []
    if _GUID.fullmatch(plain) and (row := call.directory.get(call.tenant, "user", plain.lower(), fresh=True)):
        found.append(row)
    if "@" in plain:
        found += call.directory.find(call.tenant, "user", fresh=True, userPrincipalName=plain)
    for row in _mailboxes(call.directory, call.tenant, plain, deleted=False):
        owner = call.directory.get(call.tenant, "user", row["_userId"], fresh=True)
        found += [owner] if owner else []
    return _only(identity, found)


def groups(call: Call, identity: str) -> list[Document]:
    """The mail-enabled groups that an identity names: by id, address, alias or display name."""
    wanted = _plain(identity).lower()
    if _GUID.fullmatch(wanted):
        row = call.directory.get(call.tenant, "group", wanted, fresh=True)
        return [row] if row and row["mailEnabled"] else []
    return [
        row
        for row in call.directory.all(call.tenant, "group", fresh=True)
        if row["mailEnabled"]
        and wanted in {str(row[name]).lower() for name in ("mail", "mailNickname", "displayName", "id")}
    ]


def owner(call: Call, box: Document, *, deleted: bool = False) -> Document | None:
    """The user of a mailbox; of a soft-deleted mailbox also one in the deleted items."""
    if box["_userId"] is None:
        return None
    row = call.directory.get(call.tenant, "user", box["_userId"], fresh=True)
    if row is None and deleted:
        row = call.directory.get(call.tenant, "user", box["_userId"], fresh=True, deleted=True)
    return row


def distinguished_name(organization: str, name: str) -> str:
    """The distinguished name of an object in the organisation."""
    return f"CN={name},OU={organization},OU=Microsoft Exchange Hosted Organizations,DC=LOCAL,DC=PROD,DC=OUTLOOK,DC=COM"


def naming(organization: str, name: str, guid: str) -> Document:
    """The properties that name any object of Exchange."""
    return {
        "Identity": name,
        "Id": name,
        "IsValid": True,
        "ExchangeVersion": "0.20 (15.0.0.0)",
        "Name": name,
        "DistinguishedName": distinguished_name(organization, name),
        "Guid": guid,
        "ExchangeObjectId": guid,
        "OrganizationalUnitRoot": organization,
        "OrganizationId": f"LOCAL.PROD.OUTLOOK.COM/Microsoft Exchange Hosted Organizations/{organization} - "
        f"LOCAL.PROD.OUTLOOK.COM/ConfigurationUnits/{organization}/Configuration",
        "OriginatingServer": errors.SERVER,
    }


def attributes(box: Document) -> Document:
    """The custom attributes of a mailbox; empty unless set."""
    return {name: box.get(name, "") for name in CUSTOM_ATTRIBUTES}


def name_of(box: Document) -> str:
    """``Name`` of a mailbox."""
    return str(box["_userId"] or box["id"])


def name_of_group(group: Document) -> str:
    """``Name`` of a mail-enabled group."""
    return f"{group['mailNickname']}_{group['id'][:8]}"


def scoped(directory: Directory, tenant: str, box: Document) -> Document:
    """A mailbox as a management scope's filter sees it.

    Args:
        directory: the store.
        tenant: the tenant's id.
        box: the mailbox.
    """
    organization = str((directory.tenant(tenant) or {}).get("domain", ""))
    user = directory.get(tenant, "user", box["_userId"] or "", fresh=True) or {}
    principal = user.get("userPrincipalName") or box["PrimarySmtpAddress"]
    mine = [group for group in directory.all(tenant, "group", fresh=True) if box["_userId"] in group["_members"]]
    return {
        **attributes(box),
        **naming(organization, name_of(box), box["id"]),
        "Alias": box["Alias"],
        "DisplayName": box["DisplayName"],
        "EmailAddresses": box["EmailAddresses"],
        "ExchangeGuid": box["id"],
        "ExternalDirectoryObjectId": box["_userId"],
        "HiddenFromAddressListsEnabled": False,
        "MemberOfGroup": [distinguished_name(organization, name_of_group(group)) for group in mine],
        "PrimarySmtpAddress": box["PrimarySmtpAddress"],
        "RecipientType": "UserMailbox",
        "RecipientTypeDetails": box["RecipientTypeDetails"],
        "UserPrincipalName": principal,
        "WhenCreated": box["WhenCreated"],
        "WindowsLiveID": principal,
    }
