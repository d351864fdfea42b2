"""Delivery of a message that was sent by Exchange Web Services, into the mailboxes of both Exchanges of a tenant.

Owns: which Exchange has the recipient's mailbox. Does not own: delivery outside of the tenant (a foreign recipient is
accepted and the copy dropped, as with Graph).
"""

from __future__ import annotations

from collections.abc import Sequence

from provision.sandbox.directory import Directory, Document
from provision.sandbox.ews.messages import new_id
from provision.sandbox.graph import mail
from provision.sandbox.onpremises import accounts


def deliver(directory: Directory, tenant: str, addresses: Sequence[str], message: Document) -> None:
    """Puts a copy into the inbox of each local mailbox with one of the addresses.

    Args:
        directory: the store.
        tenant: the tenant's id.
        addresses: recipients, lower case.
        message: without id, owner and folder.
    """
    sent = {**message, "isDraft": False}
    for address in addresses:
        local = accounts.mailbox_at(directory, tenant, address)
        if local is None:
            mail.deliver(directory, tenant, address, sent)
            continue
        copy = {**sent, "id": new_id(), "bccRecipients": [], "isRead": False}
        directory.insert(tenant, "message", {**copy, "_userId": local.owner, "_folder": "inbox"})
