"""Changes of messages that are there: ``UpdateItem``, ``CreateAttachment``, ``GetAttachment``, ``DeleteAttachment``.

Owns: which properties can be changed, conflicts, attachments. Does not own: the messages' XML (``messages``).
Sources: the operations' pages in the EWS reference, "EWS property-related errors" (which can be set, appended to and
deleted), "ResponseCode". Which properties Exchange leaves as they are on a message that was sent is taken from
exchangelib's fields (read only after send). With ``AutoResolve`` Exchange merges changes that do not touch the same
property; the local tenant keeps no versions and takes every one.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from provision.sandbox.directory import Document
from provision.sandbox.ews import items, messages, soap
from provision.sandbox.ews.call import Call, Mailbox
from provision.sandbox.ews.errors import EwsError

_CONFLICTS = ("NeverOverwrite", "AutoResolve", "AlwaysOverwrite")
_DISPOSITIONS = ("SaveOnly", "SendOnly", "SendAndSaveCopy")
_OPEN_AFTER_SENDING = frozenset({"item:Subject", "item:Body", "item:Categories", "item:Importance", "message:IsRead"})
"""What can be changed once a message is no draft any more."""
_APPENDABLE = frozenset(
    {"item:Body", "message:ToRecipients", "message:CcRecipients", "message:BccRecipients", "message:ReplyTo"}
)
_NOT_KEPT = frozenset({
    "item:Culture", "item:InReplyTo", "item:ReminderDueBy", "item:ReminderIsSet", "item:ReminderMinutesBeforeStart",
    "item:Sensitivity", "message:IsResponseRequested", "message:References",
})  # fmt: skip
"""Properties that Exchange keeps and the local tenant does not: a change is taken and forgotten."""
_READ_ONLY = frozenset({"item:Attachments", "message:InternetMessageId"})
"""Set when a message is made; attachments have operations of their own."""


def update_item(call: Call) -> items.Answer:
    """UpdateItem: changes messages, and sends them where ``MessageDisposition`` says so."""
    disposition, conflicts = call.operation.get("MessageDisposition"), call.operation.get("ConflictResolution")
    if disposition is None:
        raise EwsError("ErrorMessageDispositionRequired")
    if disposition not in _DISPOSITIONS or conflicts not in _CONFLICTS:
        raise EwsError("ErrorSchemaValidation")
    for change in soap.below(call.operation, soap.m("ItemChanges")):
        try:
            yield _updated(call, change, disposition, conflicts)
        except EwsError as error:
            yield error


def _updated(call: Call, change: Element, disposition: str, conflicts: str) -> tuple[Element, ...]:
    identity = change.find(soap.t("ItemId"))
    if identity is None:
        raise EwsError("ErrorSchemaValidation")
    row = items.found(call, identity)
    if conflicts != "AlwaysOverwrite":
        _require_key(identity, row, may_be_old=conflicts == "AutoResolve")
    mailbox = _mailbox(call, row)
    for update in soap.below(change, soap.t("Updates")):
        row = _applied(call, mailbox, row, update)
    row = _saved(call, row)
    if disposition != "SaveOnly":
        items.send_draft(call, mailbox, row, "sentitems" if disposition == "SendAndSaveCopy" else None)
    count = soap.element(soap.t("Count"), "0")
    # What was sent has left its folder, and with it its id.
    children = [messages.written(row, ())] if disposition == "SaveOnly" else []
    return soap.element(soap.m("Items"), children=children), soap.element(soap.m("ConflictResults"), children=[count])


def _require_key(identity: Element, row: Document, *, may_be_old: bool) -> None:
    if not identity.get("ChangeKey"):
        raise EwsError("ErrorChangeKeyRequiredForWriteOperations")
    if not may_be_old and identity.get("ChangeKey") != messages.item_change_key(row):
        raise EwsError("ErrorIrresolvableConflict")


def _mailbox(call: Call, row: Document) -> Mailbox:
    """The mailbox that a message is in."""
    if call.own is not None and call.own.owner == row["_userId"]:
        return call.own
    return next(box for box in call.organization.address_list(call.tenant) if box.owner == row["_userId"])


def _applied(call: Call, mailbox: Mailbox, row: Document, update: Element) -> Document:
    """The message with one ``SetItemField``, ``AppendToItemField`` or ``DeleteItemField``."""
    kind, path = soap.local(update.tag), update.find(soap.t("FieldURI"))
    uri = "" if path is None else path.get("FieldURI", "")
    if kind not in {"SetItemField", "AppendToItemField", "DeleteItemField"} or not uri:
        raise EwsError("ErrorSchemaValidation")
    if uri in _NOT_KEPT:
        return row
    sets_mime = uri == messages.MIME_CONTENT
    if uri in _READ_ONLY or not (uri in messages.KEYS or uri == "message:IsRead" or sets_mime):
        raise EwsError("ErrorInvalidPropertyDelete" if kind == "DeleteItemField" else "ErrorInvalidPropertySet")
    if not row["isDraft"] and uri not in _OPEN_AFTER_SENDING:
        raise EwsError("ErrorInvalidPropertyUpdateSentMessage")
    if kind == "DeleteItemField":
        empty = messages.read(call, mailbox, soap.element(soap.t("Message")))
        return {**row, **{key: empty[key] for key in messages.KEYS.get(uri, ())}}
    described = update.find(soap.t("Message"))
    if described is None:
        raise EwsError("ErrorInvalidPropertySet", "The local tenant changes messages only.")
    if [soap.local(child.tag) for child in described] != [uri.partition(":")[2]]:
        raise EwsError("ErrorUpdatePropertyMismatch")
    if uri == "message:IsRead":
        return {**row, "isRead": messages.is_read(described)}
    told = messages.read(call, mailbox, described)
    if sets_mime:
        kept = {"id", "createdDateTime", "conversationId", "isDraft", "isRead", "_userId", "_folder", "_revision"}
        return {**told, **{key: value for key, value in row.items() if key in kept}}
    if kind == "AppendToItemField":
        if uri not in _APPENDABLE:
            raise EwsError("ErrorInvalidPropertyAppend")
        return {**row, **{key: _appended(row[key], told[key]) for key in messages.KEYS[uri]}}
    return {**row, **{key: told[key] for key in messages.KEYS[uri]}}


def _appended(before: object, more: object) -> object:
    """People behind people, a text behind a text; of a body its content."""
    if isinstance(before, dict) and isinstance(more, dict):
        return {**before, "content": before["content"] + more["content"]}
    if isinstance(before, list) and isinstance(more, list):
        return [*before, *more]
    return f"{before}{more}"


def _saved(call: Call, row: Document) -> Document:
    """Stores a changed message under a new change key; what it was handed in as holds no longer.

    MIME content that the change itself set is another one than the stored message's, and stays.
    """
    before = call.directory.get(call.tenant, "message", row["id"], fresh=True) or {}
    moved = any(row.get(name) != before.get(name) for name in row if name not in {"isRead", "categories", "_mime"})
    if moved and row.get("_mime") == before.get("_mime"):
        row = {name: value for name, value in row.items() if name != "_mime"}
    changed = {**row, "lastModifiedDateTime": call.now(), "_revision": row.get("_revision", 0) + 1}
    return call.directory.replace(call.tenant, "message", changed)


def create_attachment(call: Call) -> items.Answer:
    """CreateAttachment: puts files into a message that is there, which gets a new change key."""
    parent = call.operation.find(soap.m("ParentItemId"))
    if parent is None:
        raise EwsError("ErrorSchemaValidation")
    for element in soap.below(call.operation, soap.m("Attachments")):
        try:
            yield _attached(call, parent, element)
        except EwsError as error:
            yield error


def _attached(call: Call, parent: Element, element: Element) -> Element:
    row = items.found(call, parent)
    if not row["isDraft"]:
        raise EwsError("ErrorInvalidPropertyUpdateSentMessage")
    one = messages.new_attachment(element)
    row = _saved(call, {**row, "_attachments": [*row["_attachments"], one], "hasAttachments": True})
    root = {"RootItemId": row["id"], "RootItemChangeKey": messages.item_change_key(row)}
    identity = soap.element(soap.t("AttachmentId"), None, (), Id=one["id"], **root)
    made = soap.element(soap.t("FileAttachment"), children=[identity])
    return soap.element(soap.m("Attachments"), children=[made])


def get_attachment(call: Call) -> items.Answer:
    """GetAttachment: attachments with their content."""
    for identity in soap.below(call.operation, soap.m("AttachmentIds")):
        try:
            _, one = _attachment(call, identity)
        except EwsError as error:
            yield error
        else:
            yield soap.element(soap.m("Attachments"), children=[messages.attachment(one, content=True)])


def delete_attachment(call: Call) -> items.Answer:
    """DeleteAttachment: takes files out of a message, which gets a new change key."""
    for identity in soap.below(call.operation, soap.m("AttachmentIds")):
        try:
            row, one = _attachment(call, identity)
        except EwsError as error:
            yield error
            continue
        left = [other for other in row["_attachments"] if other is not one]
        row = _saved(call, {**row, "_attachments": left, "hasAttachments": bool(left)})
        root = {"RootItemId": row["id"], "RootItemChangeKey": messages.item_change_key(row)}
        yield soap.element(soap.m("RootItemId"), None, (), **root)


def _attachment(call: Call, identity: Element) -> tuple[Document, Document]:
    """A message of the caller's mailbox and its attachment with this id.

    Raises:
        EwsError: there is none.
    """
    owned = call.directory.find(call.tenant, "message", fresh=True, _userId=call.own.owner) if call.own else []
    for row in owned:
        for one in row["_attachments"]:
            if one["id"] == identity.get("Id", ""):
                return row, one
    raise EwsError("ErrorItemNotFound")
