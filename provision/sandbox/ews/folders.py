"""Folders of a mailbox: the few that mail needs, under the names that Exchange distinguishes.

Owns: folder ids, ``GetFolder``, ``FindFolder``. Does not own: what is in a folder (``items``).
A folder's id says whose it is, so that an id from another mailbox is recognised as one.
Sources: "DistinguishedFolderId", "GetFolder operation", "FindFolder operation" (EWS reference).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from provision.sandbox.directory import Document
from provision.sandbox.ews import soap
from provision.sandbox.ews.call import Call, Mailbox
from provision.sandbox.ews.errors import EwsError


@dataclass(frozen=True)
class Kind:
    """One of the folders that every mailbox has."""

    name: str
    display: str
    parent: str | None = "msgfolderroot"
    item_class: str = "IPF.Note"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("root", "Root", parent=None, item_class=""),
        Kind("msgfolderroot", "Top of Information Store", parent="root"),
        Kind("inbox", "Inbox"),
        Kind("sentitems", "Sent Items"),
        Kind("drafts", "Drafts"),
        Kind("deleteditems", "Deleted Items"),
        Kind("outbox", "Outbox"),
        Kind("junkemail", "Junk Email"),
    )
}
"""By distinguished name; messages carry it as ``_folder``."""

_ELSEWHERE = frozenset({
    "adminauditlogs", "allcategorizeditems", "allcontacts", "allitems", "allpersonmetadata", "alltaggeditems",
    "archivedeleteditems", "archiveinbox", "archivemsgfolderroot", "archiverecoverableitemsdeletions",
    "archiverecoverableitemsdiscoveryholds", "archiverecoverableitemspurges", "archiverecoverableitemsroot",
    "archiverecoverableitemsversions", "archiveroot", "calendar", "companycontacts", "conflicts", "contacts",
    "conversationhistory", "directory", "dlppolicyevaluation", "externalcontacts", "favorites",
    "fromfavoritesenders", "imcontactlist", "inference", "journal", "localfailures", "mecontact", "mycontacts",
    "notes", "onenotepagepreviews", "orionnotes", "peoplecentricconversationbuddies", "peopleconnect",
    "personmetadata", "publicfoldersroot", "qedcdefaultretention", "qedclongretention", "qedcmediumretention",
    "qedcshortretention", "quarantinedemail", "quarantinedemaildefaultcategory", "quickcontacts",
    "recipientcache", "recoverableitemsdeletions", "recoverableitemsdiscoveryholds", "recoverableitemspurges",
    "recoverableitemsroot", "recoverableitemssubstrateholds", "recoverableitemsversions", "relevantcontacts",
    "scheduled", "searchfolders", "serverfailures", "sharepointnotifications", "shortnotes", "syncissues",
    "tagitems", "tasks", "teamchat", "teamspaceactivity", "teamspacemessaging", "teamspaceworkitems",
    "temporarysaves", "todosearch", "usercuratedcontacts", "voicemail", "yammerroot",
})  # fmt: skip
"""Further names of DistinguishedFolderIdNameType; mailboxes here have no such folder."""


@dataclass(frozen=True)
class Folder:
    """A folder of one mailbox."""

    mailbox: Mailbox
    kind: Kind

    @property
    def id(self) -> str:
        """The id, base64 as Exchange's ids are."""
        return folder_id(self.mailbox.owner, self.kind.name)


def folder_id(owner: str, name: str) -> str:
    """The id of a folder by the mailbox's owner and its distinguished name."""
    return "AAMkAF" + base64.b64encode(hashlib.sha256(f"{owner}/{name}".encode()).digest()).decode()[:42] + "="


def change_key(value: str) -> str:
    """A change key for what can be told apart by a text."""
    return "AQAAAB" + base64.b64encode(hashlib.sha256(value.encode()).digest()[:15]).decode()


def named(call: Call, identity: Element) -> Folder:
    """The folder behind a ``FolderId`` or ``DistinguishedFolderId``.

    Raises:
        EwsError: no such folder, or in a mailbox that the caller may not open.
    """
    wanted = identity.get("Id", "")
    if soap.local(identity.tag) == "DistinguishedFolderId":
        mailbox = call.mailbox(soap.text(identity, f"{soap.t('Mailbox')}/{soap.t('EmailAddress')}"))
        if wanted in _ELSEWHERE:
            raise EwsError("ErrorFolderNotFound")
        if wanted not in KINDS:
            reason = f"The 'Id' attribute is invalid - The value '{wanted}' is invalid according to its datatype"
            datatype = f"'{soap.TYPES}:DistinguishedFolderIdNameType' - The Enumeration constraint failed."
            raise EwsError(
                "ErrorSchemaValidation",
                f"The request failed schema validation: {reason} {datatype}",
                details=(("Violation", f"{reason} {datatype}"),),
            )
        return Folder(mailbox, KINDS[wanted])
    for mailbox in _openable(call):
        for kind in KINDS.values():
            if folder_id(mailbox.owner, kind.name) == wanted:
                return Folder(mailbox, kind)
    raise EwsError("ErrorItemNotFound" if wanted.startswith("AAMkAF") else "ErrorInvalidIdMalformed")


def _openable(call: Call) -> Iterator[Mailbox]:
    """The caller's own mailbox, then those that were opened to him."""
    if call.own is not None:
        yield call.own
    for mailbox in call.organization.address_list(call.tenant):
        if call.acting in mailbox.full_access:
            yield mailbox


def messages(call: Call, folder: Folder) -> list[Document]:
    """The messages in a folder, newest first."""
    rows = call.directory.find(call.tenant, "message", fresh=True, _userId=folder.mailbox.owner)
    rows = [row for row in rows if row["_folder"] == folder.kind.name]
    rows.reverse()
    return sorted(rows, key=lambda row: str(row["receivedDateTime"]), reverse=True)


def described(call: Call, folder: Folder) -> Element:
    """A folder as ``GetFolder`` and ``FindFolder`` show it."""
    kind = folder.kind
    inside = messages(call, folder)
    made = soap.element(soap.t("Folder"))
    made.append(soap.element(soap.t("FolderId"), Id=folder.id, ChangeKey=change_key(folder.id)))
    if kind.parent:
        parent = Folder(folder.mailbox, KINDS[kind.parent])
        made.append(soap.element(soap.t("ParentFolderId"), Id=parent.id, ChangeKey=change_key(parent.id)))
    values = (
        ("FolderClass", kind.item_class),
        ("DisplayName", kind.display),
        ("TotalCount", str(len(inside))),
        ("ChildFolderCount", str(sum(other.parent == kind.name for other in KINDS.values()))),
        ("UnreadCount", str(sum(not row["isRead"] for row in inside))),
        ("DistinguishedFolderId", kind.name),
    )
    made.extend(soap.element(soap.t(name), value) for name, value in values if value)
    return made


def get_folder(call: Call) -> Iterator[Element | EwsError]:
    """GetFolder: one response message for each id."""
    for identity in soap.below(call.operation, soap.m("FolderIds")):
        try:
            yield soap.element(soap.m("Folders"), children=[described(call, named(call, identity))])
        except EwsError as error:
            if error.code == "ErrorSchemaValidation":
                raise
            yield error


def find_folder(call: Call) -> Iterator[Element | EwsError]:
    """FindFolder: the folders below each parent."""
    deep = call.operation.get("Traversal") == "Deep"
    for identity in soap.below(call.operation, soap.m("ParentFolderIds")):
        try:
            parent = named(call, identity)
        except EwsError as error:
            yield error
            continue
        below = [Folder(parent.mailbox, kind) for kind in _below(parent.kind.name, deep=deep)]
        root = soap.element(
            soap.m("RootFolder"),
            IndexedPagingOffset=str(len(below)),
            TotalItemsInView=str(len(below)),
            IncludesLastItemInRange="true",
        )
        root.append(soap.element(soap.t("Folders"), children=[described(call, folder) for folder in below]))
        yield root


def _below(name: str, *, deep: bool) -> Iterator[Kind]:
    for kind in KINDS.values():
        if kind.parent == name:
            yield kind
            if deep:
                yield from _below(kind.name, deep=True)
