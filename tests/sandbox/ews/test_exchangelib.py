"""Mail by Exchange Web Services as unmodified exchangelib sends it and finds it again."""

from __future__ import annotations

from ews_tenant import Ews
from exchangelib import HTMLBody, Mailbox, Message


def message(account, *to, **more):
    return Message(
        account=account, to_recipients=[Mailbox(email_address=address) for address in to], subject="Order 1", **more
    )


def test_a_user_sends_and_the_message_is_found_in_both_mailboxes(ews: Ews) -> None:
    ada, bob = ews.as_user("ada"), ews.as_user("bob")
    message(ada, ews.entra.upn("bob"), body=HTMLBody("<p>Load at <b>8</b></p>")).send_and_save()
    found = list(bob.inbox.filter(subject="Order 1"))
    assert [(one.sender.email_address, one.is_read, one.body) for one in found] == [
        (ews.entra.upn("ada"), False, "<p>Load at <b>8</b></p>")
    ]
    assert [one.message_id for one in ada.sent.all()] == [found[0].message_id]
