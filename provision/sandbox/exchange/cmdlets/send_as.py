"""``Get-``, ``Add-`` and ``Remove-RecipientPermission``: who may send as a mailbox.

Sources: "Add-RecipientPermission" and its neighbours; ``SendAs`` is the only right there is.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes, permissions, recipients, roles
from provision.sandbox.exchange.call import NOTHING, START, Call, Cmdlet, Place, Rows
from provision.sandbox.exchange.parameters import (
    IDENTITY,
    MANDATORY_IDENTITY,
    RESULT_SIZE,
    Parameter,
    many_of,
)

_SELF = "NT AUTHORITY\\SELF"
_RIGHTS = many_of("SendAs")


def _row(box: Document, trustee: str) -> Document:
    return {
        "Identity": recipients.name_of(box),
        "Trustee": trustee,
        "AccessControlType": "Allow",
        "AccessRights": ["SendAs"],
        "IsInherited": False,
        "InheritanceType": "None",
    }


def _rows(call: Call, box: Document) -> Iterator[Document]:
    """A mailbox's permissions; its own user's first."""
    yield _row(box, _SELF)
    for identity in box["_sendAs"]:
        user = call.directory.get(call.tenant, "user", identity, fresh=True)
        if user is not None:
            yield _row(box, user["userPrincipalName"])


def get_recipient_permission(call: Call) -> Rows:
    """Get-RecipientPermission, of one mailbox or of all, for one trustee or for all."""
    trustee = call.get("Trustee")
    wanted = recipients.user(call, trustee)["userPrincipalName"] if trustee else None

    def read() -> Iterator[tuple[Place, Document]]:
        boxes = (
            [(START, recipients.mailbox(call, call.get("Identity")))]
            if "Identity" in call.parameters
            else call.pages(mailboxes.KIND)
        )
        for place, box in boxes:
            for row in _rows(call, box):
                if wanted is None or row["Trustee"] == wanted:
                    yield place, row

    return read()


def add_recipient_permission(call: Call) -> Rows:
    """Add-RecipientPermission: the permission comes back."""
    box, user = recipients.mailbox(call, call.get("Identity")), recipients.user(call, call.get("Trustee"))
    permissions.give(call, box, "_sendAs", user["id"], user["userPrincipalName"])
    return [(START, _row(box, user["userPrincipalName"]))]


def remove_recipient_permission(call: Call) -> Rows:
    """Remove-RecipientPermission."""
    box, user = recipients.mailbox(call, call.get("Identity")), recipients.user(call, call.get("Trustee"))
    permissions.take(call, box, "_sendAs", user["id"], user["userPrincipalName"])
    return NOTHING


_CHANGE = {
    "Identity": MANDATORY_IDENTITY,
    "Trustee": MANDATORY_IDENTITY,
    "AccessRights": Parameter(_RIGHTS, mandatory=True),
}

CMDLETS = (
    Cmdlet(
        "Get-RecipientPermission",
        {"Identity": IDENTITY, "Trustee": IDENTITY, "AccessRights": Parameter(_RIGHTS), "ResultSize": RESULT_SIZE},
        (roles.MAIL_RECIPIENTS, roles.VIEW_RECIPIENTS),
        get_recipient_permission,
    ),
    Cmdlet("Add-RecipientPermission", _CHANGE, (roles.MAIL_RECIPIENTS,), add_recipient_permission),
    Cmdlet("Remove-RecipientPermission", _CHANGE, (roles.MAIL_RECIPIENTS,), remove_recipient_permission),
)
