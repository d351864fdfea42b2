"""``Get-BlockedSenderAddress`` and ``Remove-BlockedSenderAddress``: mailboxes that may not send for a while.

Source: "Remove blocked users from the Restricted entities page" and the cmdlets' pages. The columns of a row were
not read at a source.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, mailboxes, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Place, Rows
from provision.sandbox.exchange.parameters import IDENTITY, MANDATORY_IDENTITY, TEXT


def _row(box: Document) -> Document:
    return {
        "SenderAddress": box["PrimarySmtpAddress"],
        "Reason": "OutboundSpamLast24Hours=1;OutboundMailLast24Hours=1",
        "CreatedDatetime": box["WhenCreated"],
        "ChangedDatetime": box["WhenCreated"],
        "TemporaryBlock": False,
    }


def get_blocked_sender_address(call: Call) -> Rows:
    """Get-BlockedSenderAddress."""
    wanted = (call.get("SenderAddress") or "").lower()

    def read() -> Iterator[tuple[Place, Document]]:
        for place, box in call.pages(mailboxes.KIND):
            if box["_blockedOutbound"] and wanted in {"", *mailboxes.addresses(box)}:
                yield place, _row(box)

    return read()


def remove_blocked_sender_address(call: Call) -> Rows:
    """Remove-BlockedSenderAddress: it may send again."""
    box = mailboxes.by_address(call.directory, call.tenant, call.get("SenderAddress"))
    if box is None or not box["_blockedOutbound"]:
        raise errors.not_found(call.get("SenderAddress"))
    call.directory.replace(call.tenant, mailboxes.KIND, {**box, "_blockedOutbound": False})
    return NOTHING


CMDLETS = (
    Cmdlet(
        "Get-BlockedSenderAddress",
        {"SenderAddress": IDENTITY},
        (roles.TRANSPORT_HYGIENE, roles.VIEW_CONFIGURATION),
        get_blocked_sender_address,
    ),
    Cmdlet(
        "Remove-BlockedSenderAddress",
        {"SenderAddress": MANDATORY_IDENTITY, "Reason": TEXT},
        (roles.TRANSPORT_HYGIENE,),
        remove_blocked_sender_address,
    ),
)
