"""Items: ``CreateItem``, ``SendItem``, ``FindItem``, ``GetItem``, ``DeleteItem``.

Owns: what becomes of messages. Does not own: their XML (``messages``), changes of what is there (``changes``), delivery
(``submission.post``).
Sources: the operations' pages in the EWS reference; "MessageDisposition" for the three ways of making a message.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from provision.sandbox.directory import Document
from provision.sandbox.ews import folders, messages, restriction, soap
from provision.sandbox.ews.call import Call, Mailbox
from provision.sandbox.ews.errors import EwsError
from provision.sandbox.submission.post import Post, Posting

_DISPOSITIONS = ("SaveOnly", "SendOnly", "SendAndSaveCopy")
_MAX_PAGE = 1000
"""Rows of one FindItem answer under the default throttling policy ("EWS throttling in Exchange")."""

Answer = Iterator[Element | tuple[Element, ...] | EwsError]
"""One answer for each item: what its response message holds, or the refusal."""


def create_item(call: Call) -> Answer:
    """CreateItem: saves, sends, or both."""
    disposition = call.operation.get("MessageDisposition")
    if disposition is None:
        raise EwsError("ErrorMessageDispositionRequired")
    if disposition not in _DISPOSITIONS:
        raise EwsError("ErrorSchemaValidation")
    target = next(iter(soap.below(call.operation, soap.m("SavedItemFolderId"))), None)
    for item in soap.below(call.operation, soap.m("Items")):
        try:
            yield _created(call, item, disposition, target)
        except EwsError as error:
            yield error


def _created(call: Call, item: Element, disposition: str, target: Element | None) -> Element:
    if soap.local(item.tag) != "Message":
        raise EwsError("ErrorInvalidOperation", "The local tenant makes messages only.")
    default = "drafts" if disposition == "SaveOnly" else "sentitems"
    folder = folders.named(call, target) if target is not None else None
    mailbox = folder.mailbox if folder is not None else call.mailbox(None)
    message = messages.read(call, mailbox, item)
    name = default if folder is None else folder.kind.name
    if disposition != "SaveOnly":
        send(call, mailbox, message)
    if disposition == "SendOnly":
        return soap.element(soap.m("Items"))
    stored = store(call, mailbox, {**message, "isDraft": disposition == "SaveOnly"}, name)
    # A sent message's copy has no id in the answer: it is made by the store, later than the answer.
    shown = [messages.written(stored, ("item:Attachments",))] if disposition == "SaveOnly" else []
    return soap.element(soap.m("Items"), children=shown)


def store(call: Call, mailbox: Mailbox, message: Document, folder: str) -> Document:
    """Puts a message into a folder; returns it with its id."""
    row = {**message, "id": messages.new_id(), "_userId": mailbox.owner, "_folder": folder}
    return call.directory.insert(call.tenant, "message", row)


def send(call: Call, mailbox: Mailbox, message: Document) -> None:
    """Delivers a message from a mailbox, if the caller may send in the name that it bears.

    Raises:
        EwsError: he may not, or a recipient is none.
    """
    recipients = messages.recipients(message)
    named = str(message["from"]["emailAddress"]["address"]).lower()
    author = mailbox if named in mailbox.addresses else call.organization.mailbox_at(call.tenant, named)
    own = author is not None and call.own is not None and author.owner == call.own.owner
    if author is None or not (own or call.acting in author.send_as):
        raise EwsError("ErrorSendAsDenied")
    Post(call.directory).deliver(Posting(call.tenant, mailbox.owner, mailbox.address, tuple(recipients), message))


def found(call: Call, identity: Element) -> Document:
    """The message behind an ``ItemId``, in a mailbox that the caller may open.

    Raises:
        EwsError: there is none, or he may not open it.
    """
    row = call.directory.get(call.tenant, "message", identity.get("Id", ""), fresh=True)
    if row is None:
        malformed = not identity.get("Id", "").startswith("AAMkA")
        raise EwsError("ErrorInvalidIdMalformed" if malformed else "ErrorItemNotFound")
    if call.own is None or row["_userId"] != call.own.owner:
        opened = {box.owner for box in call.organization.address_list(call.tenant) if call.acting in box.full_access}
        if row["_userId"] not in opened:
            raise EwsError("ErrorAccessDenied")
    return row


def send_item(call: Call) -> Answer:
    """SendItem: sends drafts; a copy is kept when ``SaveItemToFolder`` says so."""
    save = call.operation.get("SaveItemToFolder", "").lower() in {"true", "1"}
    target = next(iter(soap.below(call.operation, soap.m("SavedItemFolderId"))), None)
    if target is not None and not save:
        raise EwsError("ErrorInvalidSendItemSaveSettings")
    for identity in soap.below(call.operation, soap.m("ItemIds")):
        try:
            _sent(call, found(call, identity), identity, target, save=save)
        except EwsError as error:
            yield error
        else:
            yield soap.element(soap.m("Items"))


def _sent(call: Call, draft: Document, identity: Element, target: Element | None, *, save: bool) -> None:
    if not identity.get("ChangeKey"):
        raise EwsError("ErrorChangeKeyRequiredForWriteOperations")
    if identity.get("ChangeKey") != messages.item_change_key(draft):
        raise EwsError("ErrorStaleObject")
    folder = folders.named(call, target) if target is not None else None
    mailbox = call.mailbox(None)
    send_draft(call, mailbox, draft, ("sentitems" if folder is None else folder.kind.name) if save else None)


def send_draft(call: Call, mailbox: Mailbox, draft: Document, folder: str | None) -> None:
    """Sends a stored draft, which leaves its folder; a copy is kept in ``folder``.

    Raises:
        EwsError: see ``send``.
    """
    send(call, mailbox, {name: value for name, value in draft.items() if name not in {"id", "_userId", "_folder"}})
    call.directory.remove(call.tenant, "message", draft["id"])
    if folder is not None:
        now = call.now()
        store(call, mailbox, {**draft, "isDraft": False, "sentDateTime": now, "lastModifiedDateTime": now}, folder)


def get_item(call: Call) -> Answer:
    """GetItem: one response message for each id."""
    wanted = messages.asked(call.operation.find(soap.m("ItemShape")))
    for identity in soap.below(call.operation, soap.m("ItemIds")):
        try:
            yield soap.element(soap.m("Items"), children=[messages.with_mime(call, found(call, identity), wanted)])
        except EwsError as error:
            yield error


def find_item(call: Call) -> Answer:
    """FindItem: a page of the messages of each folder."""
    wanted = messages.asked(call.operation.find(soap.m("ItemShape")))
    view = call.operation.find(soap.m("IndexedPageItemView"))
    offset, limit = (0, _MAX_PAGE) if view is None else _page(view)
    if call.operation.find(soap.m("QueryString")) is not None:
        raise EwsError("ErrorInvalidOperation", "The local tenant searches by Restriction, not by QueryString.")
    test = restriction.matcher(call.operation.find(soap.m("Restriction")))
    for identity in soap.below(call.operation, soap.m("ParentFolderIds")):
        try:
            folder = folders.named(call, identity)
            rows = [row for row in folders.messages(call, folder) if test(row)]
            rows = restriction.sort(rows, call.operation.find(soap.m("SortOrder")))
        except EwsError as error:
            yield error
            continue
        page = rows[offset : offset + limit]
        root = soap.element(
            soap.m("RootFolder"),
            IndexedPagingOffset=str(offset + len(page)),
            TotalItemsInView=str(len(rows)),
            IncludesLastItemInRange=str(offset + len(page) >= len(rows)).lower(),
        )
        shown = [messages.written(row, wanted, in_list=True) for row in page]
        root.append(soap.element(soap.t("Items"), children=shown))
        yield root


def _page(view: Element) -> tuple[int, int]:
    try:
        offset, limit = int(view.get("Offset", "0")), int(view.get("MaxEntriesReturned", str(_MAX_PAGE)))
    except ValueError:
        raise EwsError("ErrorSchemaValidation") from None
    if limit < 1 or offset < 0:
        raise EwsError("ErrorInvalidPagingMaxRows")
    return offset, min(limit, _MAX_PAGE)


def delete_item(call: Call) -> Answer:
    """DeleteItem: to the deleted items, or for good."""
    for identity in soap.below(call.operation, soap.m("ItemIds")):
        try:
            row = found(call, identity)
        except EwsError as error:
            yield error
            continue
        if call.operation.get("DeleteType") == "MoveToDeletedItems" and row["_folder"] != "deleteditems":
            call.directory.replace(call.tenant, "message", {**row, "_folder": "deleteditems"})
        else:
            call.directory.remove(call.tenant, "message", row["id"])
        yield soap.element(soap.m("Items"))
