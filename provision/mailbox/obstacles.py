"""Which mailboxes cannot have SMTP AUTH, why, and what to do: data, an entry each.

Source: the product's help page ("Confirm the mailbox type"): only licensed users' and shared mailboxes have the switch.
Of its reasons one cannot be seen: that a mailbox was restored a short while ago. No source was found for a property
that tells it: ``WhenSoftDeleted`` and ``IsInactiveMailbox`` are about mailboxes that are deleted still ("Delete or
restore user mailboxes in Exchange Online"), no page says what a restore does to ``WhenMailboxCreated``, and Entra's
audit log is about the user, not about whether the mailbox is whole. So nothing is guessed, and it is not refused.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Obstacle:
    """Why a mailbox cannot have SMTP AUTH."""

    id: str
    """A word for programs."""
    reason: str
    """Follows the mailbox's name in a sentence."""
    remedy: str


OBSTACLES: dict[str, Obstacle] = {
    each.id: each
    for each in (
        Obstacle(
            "unlicensed",
            "has no Exchange Online licence",
            "Add a licence: Users, Active users, the user, Licenses and apps, Exchange Online.",
        ),
        Obstacle(
            "group",
            "is a group and not a mailbox",
            "Use a licensed user's or a shared mailbox; a group may be its alias.",
        ),
        Obstacle(
            "soft-deleted",
            "is deleted and waits for its end",
            "Restore the user, and wait until the mailbox is whole again.",
        ),
        Obstacle("room", "is a room's mailbox", "Use a licensed user's or a shared mailbox."),
        Obstacle("equipment", "is an equipment's mailbox", "Use a licensed user's or a shared mailbox."),
        Obstacle(
            "other-type",
            "is a mailbox of the system or of another kind than a user's or a shared one",
            "Use a licensed user's or a shared mailbox.",
        ),
        Obstacle(
            "not-hosted",
            "has no mailbox in Exchange Online but is known as a contact or a mail user",
            "The switch counts only for mailboxes in Exchange Online; a server of one's own has its own settings.",
        ),
        Obstacle("no-mailbox", "is not known in this organization", "Correct the address."),
    )
}

BY_TYPE: dict[str, str | None] = {
    "UserMailbox": None,
    "LinkedMailbox": None,
    "SharedMailbox": None,
    "RoomMailbox": "room",
    "EquipmentMailbox": "equipment",
    "GroupMailbox": "group",
    "MailUniversalDistributionGroup": "group",
    "MailUniversalSecurityGroup": "group",
    "MailNonUniversalGroup": "group",
    "DynamicDistributionGroup": "group",
    "RoomList": "group",
    "MailUser": "not-hosted",
    "GuestMailUser": "not-hosted",
    "MailContact": "not-hosted",
    "RemoteUserMailbox": "not-hosted",
}
"""``RecipientTypeDetails`` (Get-Recipient, Exchange PowerShell reference) to the obstacle; None for none. Whatever is
not here is ``other-type``.
"""


def by_type(recipient_type_details: str) -> Obstacle | None:
    """The obstacle that a recipient's type is; None for a type that may have SMTP AUTH."""
    found = BY_TYPE.get(recipient_type_details, "other-type")
    return None if found is None else OBSTACLES[found]
