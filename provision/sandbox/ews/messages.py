"""A mail message as XML of Exchange Web Services and as the store keeps it (Graph's property names).

Owns: both directions of the translation, and which properties can be asked for, sorted and filtered by.
Does not own: delivery. Source: "Message (EWS)", "FieldURI" (EWS reference).
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element

from provision.sandbox.directory import Document
from provision.sandbox.ews import soap
from provision.sandbox.ews.call import Call, Mailbox
from provision.sandbox.ews.errors import EwsError
from provision.sandbox.ews.folders import change_key, folder_id
from provision.sandbox.graph import mail_as_mime
from provision.sandbox.submission import mime
from provision.sandbox.submission.post import Post

_MAX_ATTACHMENT = 35 * 1024 * 1024
_RECIPIENTS = {"ToRecipients": "toRecipients", "CcRecipients": "ccRecipients", "BccRecipients": "bccRecipients"}
_ADDRESS = re.compile(r"[^@\s<>()\[\],;:\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_BODY_TYPES = {"HTML": "html", "Text": "text"}
KEYS: dict[str, tuple[str, ...]] = {
    "item:Subject": ("subject",),
    "item:Body": ("body", "bodyPreview"),
    "item:Categories": ("categories",),
    "item:Importance": ("importance",),
    "item:Attachments": ("_attachments", "hasAttachments"),
    "message:ToRecipients": ("toRecipients",),
    "message:CcRecipients": ("ccRecipients",),
    "message:BccRecipients": ("bccRecipients",),
    "message:ReplyTo": ("replyTo",),
    "message:From": ("from",),
    "message:IsReadReceiptRequested": ("isReadReceiptRequested",),
    "message:IsDeliveryReceiptRequested": ("isDeliveryReceiptRequested",),
    "message:InternetMessageId": ("internetMessageId",),
}
"""Which of the store's properties hold a property that clients can set; a further one is one entry."""
_BY_DEFAULT = {"importance": "normal", "isReadReceiptRequested": False, "isDeliveryReceiptRequested": False}
"""What exchangelib sends although nobody asked for it: beside MIME content it says nothing."""


def new_id() -> str:
    """An id in the form of Exchange's: base64url, long, letter case significant."""
    return "AAMkA" + base64.urlsafe_b64encode(uuid.uuid4().bytes * 4).rstrip(b"=").decode()


def item_change_key(message: Document) -> str:
    """The change key of a message: another one after each change."""
    moving = (message["lastModifiedDateTime"], message["isRead"], message["isDraft"], message.get("_revision", 0))
    return change_key(f"{message['id']}/{'/'.join(str(one) for one in moving)}")


# From XML


def read(call: Call, sender: Mailbox, item: Element) -> Document:
    """The message that ``CreateItem`` describes, complete but for its id, owner and folder.

    Properties that are given beside ``MimeContent`` win over what stands in it; the content is then written anew.

    Args:
        call: the request.
        sender: the mailbox it is made in.
        item: the ``Message`` element.

    Raises:
        EwsError: an attachment, a body or the MIME content cannot be read.
    """
    made = _described(call, sender, item)
    content = soap.text(item, soap.t("MimeContent"))
    if not content:
        return made
    try:
        raw = base64.b64decode("".join(content.split()), validate=True)
    except binascii.Error:
        raise EwsError("ErrorMimeContentInvalidBase64String") from None
    parsed = mime.parse(raw)
    whole = mime.document(parsed, identity=mime.message_id(parsed), sender=made["sender"], clock=call.directory.clock)
    given = {
        key: made[key]
        for uri, keys in KEYS.items()
        for key in keys
        if item.find(soap.t(uri.partition(":")[2])) is not None and _BY_DEFAULT.get(key, ...) != made[key]
    }
    kept = {} if given else {"_mime": Post(call.directory).keep(call.tenant, mime.without_blind_copies(raw))}
    return {**made, **whole, **given, **kept}


def _described(call: Call, sender: Mailbox, item: Element) -> Document:
    """The message by its properties alone."""
    now = call.now()
    me = {"emailAddress": {"name": sender.name, "address": sender.address}}
    content = item.find(soap.t("Body"))
    body = {
        "contentType": "text" if content is None else _BODY_TYPES.get(content.get("BodyType", ""), "html"),
        "content": "" if content is None else content.text or "",
    }
    plain = re.sub(r"<[^>]+>", " ", body["content"])
    attachments = [new_attachment(one) for one in soap.below(item, soap.t("Attachments"))]
    domain = sender.address.partition("@")[2]
    return {
        "createdDateTime": now,
        "lastModifiedDateTime": now,
        "categories": [one.text or "" for one in soap.below(item, soap.t("Categories"))],
        "receivedDateTime": now,
        "sentDateTime": now,
        "hasAttachments": bool(attachments),
        "internetMessageId": soap.text(item, soap.t("InternetMessageId")) or f"<{uuid.uuid4()}@{domain}>",
        "subject": soap.text(item, soap.t("Subject")),
        "bodyPreview": " ".join(plain.split())[:255],
        "importance": soap.text(item, soap.t("Importance"), "Normal").lower(),
        "conversationId": new_id(),
        "isDeliveryReceiptRequested": _flag(item, "IsDeliveryReceiptRequested"),
        "isReadReceiptRequested": _flag(item, "IsReadReceiptRequested"),
        "isRead": True,
        "isDraft": False,
        "inferenceClassification": "focused",
        "body": body,
        "sender": me,
        "from": _one(item, "From") or me,
        **{kept: _people(item, sent) for sent, kept in _RECIPIENTS.items()},
        "replyTo": _people(item, "ReplyTo"),
        "flag": {"flagStatus": "notFlagged"},
        "_attachments": attachments,
        "_via": "ews",
        "_appId": call.caller.app_id,
    }


def is_read(item: Element) -> bool:
    """``IsRead`` of a ``Message`` element: counts in a change, while a message that is made here has been read."""
    return _flag(item, "IsRead")


def _flag(item: Element, name: str) -> bool:
    return soap.text(item, soap.t(name)).lower() in {"true", "1"}


def _person(mailbox: Element) -> Document:
    address = soap.text(mailbox, soap.t("EmailAddress"))
    return {"emailAddress": {"name": soap.text(mailbox, soap.t("Name")) or address, "address": address}}


def _people(item: Element, name: str) -> list[Document]:
    return [_person(mailbox) for mailbox in soap.below(item, soap.t(name))]


def _one(item: Element, name: str) -> Document | None:
    return next(iter(_people(item, name)), None)


def new_attachment(element: Element) -> Document:
    """An attachment as a client sends it.

    Raises:
        EwsError: it is no file, no base64, or too large.
    """
    if soap.local(element.tag) != "FileAttachment":
        raise EwsError("ErrorInvalidOperation", "Only file attachments can be sent in the local tenant.")
    try:
        content = base64.b64decode(soap.text(element, soap.t("Content")), validate=False)
    except binascii.Error:
        raise EwsError("ErrorSchemaValidation") from None
    if len(content) > _MAX_ATTACHMENT:
        raise EwsError("ErrorAttachmentSizeLimitExceeded")
    return {
        "id": new_id(),
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": soap.text(element, soap.t("Name")),
        "contentType": soap.text(element, soap.t("ContentType")) or "application/octet-stream",
        "contentId": soap.text(element, soap.t("ContentId")) or None,
        "size": len(content),
        "isInline": _flag(element, "IsInline"),
        "contentBytes": base64.b64encode(content).decode(),
    }


def recipients(message: Document) -> list[str]:
    """The addresses a message goes to, lower case, each once.

    Raises:
        EwsError: none, or one that is no address.
    """
    found = [str(row["emailAddress"]["address"]) for kept in _RECIPIENTS.values() for row in message[kept]]
    if not found:
        raise EwsError("ErrorMissingRecipients")
    for address in found:
        if not _ADDRESS.fullmatch(address):
            raise EwsError("ErrorInvalidRecipients", f"At least one recipient isn't valid., Recipient '{address}'")
    return list(dict.fromkeys(address.lower() for address in found))


# To XML


@dataclass(frozen=True)
class Field:
    """A property of a message that clients can ask for."""

    uri: str
    """``FieldURI``."""
    value: Callable[[Document], Any]
    """For filters and sorting: a text, a flag, a number or a list of texts."""
    write: Callable[[Document], Element | None] | None = None
    """How it is written when it is more than the value as text."""
    default: bool = True
    """Whether the shape ``Default`` has it."""

    @property
    def name(self) -> str:
        """The element's name."""
        return self.uri.partition(":")[2]

    def element(self, message: Document) -> Element | None:
        """The property as XML; None when the message has none."""
        if self.write is not None:
            return self.write(message)
        value = self.value(message)
        if value is None or value == "":
            return None
        return soap.element(soap.t(self.name), str(value).lower() if isinstance(value, bool) else str(value))


def _mailboxes(name: str, key: str) -> Callable[[Document], Element | None]:
    def write(message: Document) -> Element | None:
        rows = message[key] if isinstance(message[key], list) else [message[key]]
        return soap.element(soap.t(name), children=[_mailbox(row["emailAddress"]) for row in rows]) if rows else None

    return write


def _mailbox(person: Document) -> Element:
    made = soap.element(soap.t("Mailbox"))
    values = (("Name", person.get("name")), ("EmailAddress", person["address"]), ("RoutingType", "SMTP"))
    made.extend(soap.element(soap.t(name), value) for name, value in values if value)
    return made


def _addresses(key: str) -> Callable[[Document], list[str]]:
    def value(message: Document) -> list[str]:
        rows = message[key] if isinstance(message[key], list) else [message[key]]
        return [str(row["emailAddress"]["address"]) for row in rows]

    return value


def _display(key: str) -> Callable[[Document], str]:
    def value(message: Document) -> str:
        return "; ".join(str(row["emailAddress"].get("name") or row["emailAddress"]["address"]) for row in message[key])

    return value


def _kept(key: str) -> Callable[[Document], Any]:
    def value(message: Document) -> Any:
        return message.get(key)

    return value


def _body(message: Document) -> Element | None:
    kind = next(sent for sent, kept in _BODY_TYPES.items() if kept == message["body"]["contentType"])
    return soap.element(soap.t("Body"), message["body"]["content"], BodyType=kind)


def _categories(message: Document) -> Element | None:
    rows = [soap.element(soap.t("String"), one) for one in message["categories"]]
    return soap.element(soap.t("Categories"), children=rows) if rows else None


def _attachments(message: Document) -> Element | None:
    rows = [attachment(one) for one in message["_attachments"]]
    return soap.element(soap.t("Attachments"), children=rows) if rows else None


def attachment(one: Document, *, content: bool = False) -> Element:
    """An attachment; with its content only where a client asked for it."""
    made = soap.element(soap.t("FileAttachment"), children=[soap.element(soap.t("AttachmentId"), Id=one["id"])])
    values = (
        ("Name", one["name"]),
        ("ContentType", one["contentType"]),
        ("ContentId", one.get("contentId")),
        ("Size", str(one["size"])),
        ("IsInline", str(bool(one["isInline"])).lower()),
        ("Content", one["contentBytes"] if content else None),
    )
    made.extend(soap.element(soap.t(name), value) for name, value in values if value)
    return made


def _always(constant: str | bool) -> Callable[[Document], Any]:
    def value(message: Document) -> Any:  # noqa: ARG001
        return constant

    return value


def _size(message: Document) -> int:
    return len(message["body"]["content"]) + sum(int(one["size"]) for one in message["_attachments"])


FIELDS: dict[str, Field] = {
    field.uri: field
    for field in (
        Field("item:ItemClass", _always("IPM.Note")),
        Field("item:Subject", _kept("subject")),
        Field("item:Sensitivity", _always("Normal")),
        Field("item:Body", lambda message: message["body"]["content"], _body),
        Field("item:Attachments", lambda message: [one["name"] for one in message["_attachments"]], _attachments),
        Field("item:DateTimeReceived", _kept("receivedDateTime")),
        Field("item:Size", _size),
        Field("item:Categories", _kept("categories"), _categories),
        Field("item:Importance", lambda message: str(message["importance"]).title()),
        Field("item:IsSubmitted", _always(False), default=False),
        Field("item:IsDraft", _kept("isDraft"), default=False),
        Field("item:IsFromMe", lambda message: message["_folder"] == "sentitems", default=False),
        Field("item:DateTimeSent", _kept("sentDateTime")),
        Field("item:DateTimeCreated", _kept("createdDateTime")),
        Field("item:DisplayCc", _display("ccRecipients"), default=False),
        Field("item:DisplayTo", _display("toRecipients"), default=False),
        Field("item:HasAttachments", _kept("hasAttachments")),
        Field("item:LastModifiedTime", _kept("lastModifiedDateTime"), default=False),
        Field("message:Sender", _addresses("sender"), _mailboxes("Sender", "sender")),
        Field("message:ToRecipients", _addresses("toRecipients"), _mailboxes("ToRecipients", "toRecipients")),
        Field("message:CcRecipients", _addresses("ccRecipients"), _mailboxes("CcRecipients", "ccRecipients")),
        Field("message:BccRecipients", _addresses("bccRecipients"), _mailboxes("BccRecipients", "bccRecipients")),
        Field("message:IsReadReceiptRequested", _kept("isReadReceiptRequested")),
        Field("message:IsDeliveryReceiptRequested", _kept("isDeliveryReceiptRequested")),
        Field("message:From", _addresses("from"), _mailboxes("From", "from")),
        Field("message:InternetMessageId", _kept("internetMessageId")),
        Field("message:IsRead", _kept("isRead")),
        Field("message:ReplyTo", _addresses("replyTo"), _mailboxes("ReplyTo", "replyTo"), default=False),
    )
}
"""In the order of the schema; a further property is one entry. What is not here no message has."""
_NOT_IN_A_LIST = frozenset(
    {"item:Body", "item:Attachments", "message:ToRecipients", "message:CcRecipients", "message:BccRecipients"}
)
"""What ``FindItem`` never returns ("FindItem operation": Remarks)."""


MIME_CONTENT = "item:MimeContent"
"""Comes only where it is asked for by name or by ``IncludeMimeContent``, and from ``GetItem`` alone."""


def asked(shape: Element | None) -> frozenset[str]:
    """The properties that an ``ItemShape`` asks for, as FieldURIs; ids always come."""
    if shape is None:
        return frozenset()
    wanted = {
        path.get("FieldURI", "") for path in soap.below(shape, soap.t("AdditionalProperties")) if path.get("FieldURI")
    }
    if soap.text(shape, soap.t("IncludeMimeContent")).lower() in {"true", "1"}:
        wanted.add(MIME_CONTENT)
    base = soap.text(shape, soap.t("BaseShape"))
    if base in {"Default", "AllProperties"}:
        wanted |= {uri for uri, field in FIELDS.items() if field.default or base == "AllProperties"}
    return frozenset(wanted)


def with_mime(call: Call, message: Document, wanted: Collection[str]) -> Element:
    """What ``written`` gives, with the MIME content where it was asked for: the first of all elements."""
    made = written(message, wanted)
    if MIME_CONTENT in wanted:
        content = base64.b64encode(mail_as_mime.of(call.directory, message)).decode()
        made.insert(0, soap.element(soap.t("MimeContent"), content, CharacterSet="UTF-8"))
    return made


def written(message: Document, wanted: Collection[str], *, in_list: bool = False) -> Element:
    """A message with the properties that were asked for, but its MIME content.

    Args:
        message: as stored.
        wanted: FieldURIs.
        in_list: whether ``FindItem`` asks, which leaves the large ones out.
    """
    made = soap.element(soap.t("Message"))
    made.append(soap.element(soap.t("ItemId"), Id=message["id"], ChangeKey=item_change_key(message)))
    if "item:ParentFolderId" in wanted:
        parent = folder_id(message["_userId"], message["_folder"])
        made.append(soap.element(soap.t("ParentFolderId"), Id=parent, ChangeKey=change_key(parent)))
    for uri, field in FIELDS.items():
        if uri in wanted and not (in_list and uri in _NOT_IN_A_LIST):
            found = field.element(message)
            if found is not None:
                made.append(found)
    return made
