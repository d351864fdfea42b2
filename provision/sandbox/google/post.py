"""Mail that a Google user sends: limits, the sender's name, delivery to whoever is here.

Owns: the daily limit, putting ``From`` right, inboxes and sent mail of Google users. Does not own: MIME
(``submission.mime``), mailboxes of Microsoft 365 (``submission.post``); a recipient who is nowhere here is dropped.
Gmail does not refuse a foreign ``From``: it writes the account's own address there unless the address is one of its
aliases ("Send emails from a different address or alias", Gmail Help).
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.authority import domain_owner
from provision.sandbox.google import customers
from provision.sandbox.submission import mime
from provision.sandbox.submission.post import Post

BUSY = "google.busy"
"""The store's setting by which the control API makes Gmail say 421 4.7.0."""
_DAY = 86400.0


def over_the_limit(directory: Directory, user: Document) -> bool:
    """Whether a user has sent as many messages in 24 hours as he may."""
    return len(_sent(directory, user)) >= int(user["dailyMessages"])


def _sent(directory: Directory, user: Document) -> list[float]:
    return [at for at in user["_sentAt"] if at > directory.clock.now() - _DAY]


def send(directory: Directory, user: Document, recipients: Sequence[str], content: bytes) -> str:
    """Delivers a message and returns its ``Message-ID``.

    Args:
        directory: the store.
        user: the sender.
        recipients: of the envelope.
        content: MIME.
    """
    message = mime.parse(content)
    identity = mime.message_id(message)
    own = {user["primaryEmail"], *user["aliases"]}
    me = mime.recipient(user["primaryEmail"], user["fullName"])
    document = mime.document(message, identity=identity, sender=me, clock=directory.clock)
    if document["from"]["emailAddress"]["address"].lower() not in own:
        document["from"] = me
    document |= {"_via": "google", "_appId": ""}
    with directory.transaction():
        _keep(directory, user, document, "sentitems")
        for address in dict.fromkeys(one.lower() for one in recipients):
            _deliver(directory, address, document)
        directory.replace(
            customers.REALM, customers.USER, {**user, "_sentAt": [*_sent(directory, user), directory.clock.now()]}
        )
    return identity


def _keep(directory: Directory, user: Document, document: Document, folder: str) -> None:
    row = {**document, "id": mime.new_id(), "_userId": user["id"], "_folder": folder}
    directory.insert(customers.REALM, "message", row, visible_at_once=True)


def _deliver(directory: Directory, address: str, document: Document) -> None:
    user = customers.find_user(directory, address)
    if user is not None:
        _keep(directory, user, {**document, "bccRecipients": [], "isRead": False}, "inbox")
        return
    tenant = domain_owner(directory, address.rpartition("@")[2])
    if tenant is not None:
        Post(directory).receive(tenant, address, document)


def messages(directory: Directory, user: Document) -> list[Document]:
    """A user's messages, oldest first, as the control API shows them."""
    rows = directory.find(customers.REALM, "message", fresh=True, _userId=user["id"])
    shown = ("subject", "internetMessageId", "receivedDateTime")
    return [
        {
            "folder": row["_folder"],
            "from": row["from"]["emailAddress"]["address"],
            "to": [one["emailAddress"]["address"] for one in row["toRecipients"]],
            "body": row["body"]["content"],
            **{name: row[name] for name in shown},
        }
        for row in rows
    ]
