"""Mailboxes: the only place that says who has one, of which type, and what it allows.

Owns: the shape of a mailbox (kind ``mailbox``), making, finding, soft-deleting and restoring one, its addresses.
Does not own: messages (``graph.mail``), the cmdlets (``cmdlets``), whether a protocol lets somebody in.
Property names are those of ``Get-Mailbox``, ``Get-CASMailbox`` and ``Get-User``; ``_sendAs`` and ``_fullAccess`` are
ids of users and of Exchange's service principals. A soft-deleted mailbox is a deleted object of the store.
Source: "Delete or restore user mailboxes in Exchange Online" (its 30 days are not counted).
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from provision.sandbox import published
from provision.sandbox.directory import Clock, Directory, Document

KIND: Final = "mailbox"
USER, SHARED, ROOM, EQUIPMENT = "UserMailbox", "SharedMailbox", "RoomMailbox", "EquipmentMailbox"
TYPES = (USER, SHARED, ROOM, EQUIPMENT)
"""``RecipientTypeDetails`` of the mailboxes that exist here."""

_EXCHANGE_PLANS = frozenset(
    plan_id for sku in published.SKUS for plan_id, name in sku.plans if name.startswith("EXCHANGE_S")
)


def new(clock: Clock, user: Document, kind: str = USER) -> Document:
    """A mailbox for a user, not yet stored.

    Args:
        clock: dates the mailbox.
        user: the user's document, with ``mail`` and ``proxyAddresses``.
        kind: one of ``TYPES``.
    """
    return {
        "id": str(uuid.uuid4()),
        "_userId": user["id"],
        "Alias": user["mailNickname"] or user["userPrincipalName"].partition("@")[0],
        "DisplayName": user["displayName"],
        "PrimarySmtpAddress": user["mail"] or user["userPrincipalName"],
        "EmailAddresses": list(user["proxyAddresses"]) or [f"SMTP:{user['mail'] or user['userPrincipalName']}"],
        "RecipientTypeDetails": kind,
        "WhenCreated": clock.iso(),
        "SmtpClientAuthenticationDisabled": None,
        "EwsEnabled": None,
        "AuthenticationPolicy": user.get("_authenticationPolicy"),
        "_sendAs": [],
        "_fullAccess": [],
        "_softDeleted": None,
        "_restoredAt": None,
        "_blockedOutbound": False,
    }


def make(directory: Directory, tenant: str, user: Document, kind: str = USER) -> Document:
    """Stores a mailbox for a user, or brings his soft-deleted one back; the user gets its addresses in Graph."""
    address = user["mail"] or user["userPrincipalName"]
    addressed = {**user, "mail": address, "proxyAddresses": user["proxyAddresses"] or [f"SMTP:{address}"]}
    if addressed != user:
        directory.replace(tenant, "user", addressed)
    if (restored := restore(directory, tenant, user["id"])) is not None:
        return restored
    return directory.insert(tenant, KIND, new(directory.clock, addressed, kind), visible_at_once=True)


def of_user(directory: Directory, tenant: str, user_id: str) -> Document | None:
    """The mailbox of a user, or None; a soft-deleted one does not count."""
    found = directory.find(tenant, KIND, fresh=True, _userId=user_id)
    return found[0] if found else None


def by_address(directory: Directory, tenant: str, address: str) -> Document | None:
    """The mailbox with this SMTP address (primary or proxy, letter case ignored), or None."""
    found = directory.find(tenant, KIND, fresh=True, EmailAddresses=f"smtp:{address}")
    return found[0] if found else None


def addresses(mailbox: Document) -> frozenset[str]:
    """All SMTP addresses of a mailbox, in lower case, without their prefix."""
    listed = (address.partition(":") for address in mailbox["EmailAddresses"])
    return frozenset({value.lower() for prefix, _, value in listed if prefix.lower() == "smtp"})


def licensed(user: Document | None) -> bool:
    """Whether a user holds a licence with an Exchange Online plan."""
    return user is not None and any(
        plan["servicePlanId"] in _EXCHANGE_PLANS and plan["capabilityStatus"] == "Enabled"
        for plan in user["assignedPlans"]
    )


def soft_delete(directory: Directory, tenant: str, user_id: str) -> bool:
    """Takes a user's mailbox away, as deleting the user or taking his licence does; False when there is none."""
    mailbox = of_user(directory, tenant, user_id)
    if mailbox is None:
        return False
    with directory.transaction():
        directory.replace(tenant, KIND, {**mailbox, "_softDeleted": directory.clock.iso()})
        directory.soft_delete(tenant, KIND, mailbox["id"])
    return True


def restore(directory: Directory, tenant: str, user_id: str) -> Document | None:
    """Brings a user's soft-deleted mailbox back, as restoring or licensing him does; None when there is none."""
    found = directory.find(tenant, KIND, fresh=True, deleted=True, _userId=user_id)
    if not found:
        return None
    restored = {**found[-1], "_softDeleted": None, "_restoredAt": directory.clock.iso()}
    with directory.transaction():
        directory.restore(tenant, KIND, restored["id"])
        return directory.replace(tenant, KIND, restored)


def purge(directory: Directory, tenant: str, user_id: str) -> None:
    """Removes the mailboxes of a user for good, soft-deleted or not."""
    for deleted in (False, True):
        for row in directory.find(tenant, KIND, fresh=True, deleted=deleted, _userId=user_id):
            directory.remove(tenant, KIND, row["id"])


def follow(directory: Directory, tenant: str, user: Document) -> None:
    """Carries a user's new display name to his mailbox, as Entra's synchronisation does."""
    mailbox = of_user(directory, tenant, user["id"])
    if mailbox is not None and mailbox["DisplayName"] != user["displayName"]:
        directory.replace(tenant, KIND, {**mailbox, "DisplayName": user["displayName"]})


def is_address(text: str) -> bool:
    """Whether a text looks like an SMTP address."""
    return re.fullmatch(r"[^@\s<>()\[\],;:\\\"]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", text) is not None
