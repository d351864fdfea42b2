"""Entries in a mailbox's lists of who may do something with it: given and taken, each once.

The sentences of the two warnings are Exchange's resource strings as quoted in public for the recipient permissions;
they were not seen in an answer of this interface.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes, recipients
from provision.sandbox.exchange.call import Call


def give(call: Call, box: Document, held: str, identity: str, name: str) -> None:
    """Adds an entry; one that is there is a warning.

    Args:
        call: the call, which is warned.
        box: the mailbox.
        held: the property with the object ids, for example ``_sendAs``.
        identity: the object id.
        name: as Exchange shows it.
    """
    if identity in box[held]:
        call.warn(
            "The appropriate access control entry is already present on the object "
            f'"{recipients.name_of(box)}" for account "{name}".'
        )
    else:
        call.directory.replace(call.tenant, mailboxes.KIND, {**box, held: [*box[held], identity]})


def take(call: Call, box: Document, held: str, identity: str, name: str) -> None:
    """Removes an entry; one that is not there is a warning. The arguments are those of ``give``."""
    if identity not in box[held]:
        call.warn(
            f'Can\'t remove the access control entry on the object "{recipients.name_of(box)}" for account '
            f'"{name}" because the ACE doesn\'t exist on the object.'
        )
    else:
        kept = [row for row in box[held] if row != identity]
        call.directory.replace(call.tenant, mailboxes.KIND, {**box, held: kept})
