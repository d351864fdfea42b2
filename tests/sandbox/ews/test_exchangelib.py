"""Mail by Exchange Web Services as unmodified exchangelib sends it and finds it again."""

from __future__ import annotations

from typing import Any

import pytest
from ews_tenant import Ews
from exchangelib import Account, FileAttachment, HTMLBody, ItemId, Mailbox, Message
from exchangelib.errors import (
    ErrorAccessDenied,
    ErrorFolderNotFound,
    ErrorImpersonateUserDenied,
    ErrorInvalidIdMalformed,
    ErrorInvalidRecipients,
    ErrorItemNotFound,
    ErrorNameResolutionNoResults,
    ErrorNonExistentMailbox,
    ErrorSendAsDenied,
)
from exchangelib.folders import Calendar


def message(account: Account, *to: str, **more: Any) -> Message:
    people = [Mailbox(email_address=address) for address in to]
    return Message(account=account, to_recipients=people, **{"subject": "Order 1", **more})


def test_a_user_sends_and_the_message_is_found_in_both_mailboxes(ews: Ews) -> None:
    ada, bob = ews.as_user("ada"), ews.as_user("bob")
    message(ada, ews.entra.upn("bob"), body=HTMLBody("<p>Load at <b>8</b></p>")).send_and_save()
    found = list(bob.inbox.filter(subject="Order 1"))
    assert [(one.sender.email_address, one.is_read, one.body) for one in found] == [
        (ews.entra.upn("ada"), False, "<p>Load at <b>8</b></p>")
    ]
    assert [one.message_id for one in ada.sent.all()] == [found[0].message_id]


def test_send_only_keeps_no_copy_and_blind_copies_stay_blind(ews: Ews) -> None:
    ada = ews.as_user("ada")
    hidden = [Mailbox(email_address=ews.entra.upn("admin"))]
    message(ada, ews.entra.upn("bob"), bcc_recipients=hidden).send(save_copy=False)
    assert ada.sent.all().count() == 0
    got = ews.as_user("admin").inbox.get(subject="Order 1")
    assert not got.bcc_recipients
    assert [one.email_address for one in got.to_recipients] == [ews.entra.upn("bob")]


def test_mail_for_the_outside_is_kept_for_the_portal_and_an_unknown_colleague_comes_back(ews: Ews) -> None:
    """As with SMTP and Graph; nothing leaves this machine."""
    ada = ews.as_user("ada")
    message(ada, "someone@elsewhere.example", ews.entra.upn("nobody")).send_and_save()
    user = ews.entra.graph("GET", f"/users/{ews.entra.upn('ada')}")["id"]
    page = ews.entra.http.get(f"/_portal/{ews.entra.tenant.tenant_id}/mailboxes/{user}").text
    assert "someone@elsewhere.example" in page.partition("<h2>Outgoing</h2>")[2]
    assert [one.subject for one in ada.inbox.all()] == ["Undeliverable: Order 1"]


def test_a_draft_with_an_attachment_is_saved_then_sent_and_moves_to_the_sent_items(ews: Ews) -> None:
    ada = ews.as_user("ada")
    draft = message(ada, ews.entra.upn("bob"), folder=ada.drafts)
    draft.attach(FileAttachment(name="cmr.txt", content=b"weight 24 t"))
    draft.save()
    assert [one.is_draft for one in ada.drafts.all()] == [True]
    draft.send(save_copy=True, copy_to_folder=ada.sent)
    assert (ada.drafts.all().count(), ada.sent.all().count()) == (0, 1)
    got = ews.as_user("bob").inbox.get(subject="Order 1")
    assert [(one.name, one.content) for one in got.attachments] == [("cmr.txt", b"weight 24 t")]


def test_an_application_acts_for_the_mailbox_that_it_names(ews: Ews) -> None:
    shared = ews.as_app("dispatch")
    message(shared, ews.entra.upn("ada")).send_and_save()
    got = ews.as_app("ada").inbox.get(subject="Order 1")
    assert got.author.email_address == ews.entra.upn("dispatch")


def test_the_same_message_is_there_for_microsoft_graph(ews: Ews) -> None:
    message(ews.as_user("ada"), ews.entra.upn("bob"), body="At 8").send_and_save()
    rows = ews.entra.graph("GET", f"/users/{ews.entra.upn('bob')}/mailFolders/inbox/messages")["value"]
    assert [(row["subject"], row["body"]["content"]) for row in rows] == [("Order 1", "At 8")]


def test_filters_orders_and_pages_are_exchanges(ews: Ews) -> None:
    ada = ews.as_app("ada")
    for number in range(5):
        message(
            ada, ews.entra.upn("ada"), subject=f"Order {number}", importance="High" if number == 3 else "Normal"
        ).send(save_copy=False)
    inbox = ada.inbox
    inbox_pages = inbox.all().order_by("-subject")
    inbox_pages.page_size = 2
    assert [one.subject for one in inbox_pages] == [f"Order {number}" for number in (4, 3, 2, 1, 0)]
    assert [one.subject for one in inbox.filter(subject__icontains="order 2")] == ["Order 2"]
    assert [one.subject for one in inbox.filter(subject__contains="order 2")] == []
    assert [one.subject for one in inbox.filter(importance="High", is_read=False)] == ["Order 3"]
    assert inbox.exclude(subject__startswith="Order 0").count() == 4
    assert {one.subject for one in inbox.filter(subject__in=["Order 0", "Order 1"])} == {"Order 0", "Order 1"}
    assert inbox.total_count == 5
    assert inbox.unread_count == 5


def test_a_deleted_message_goes_to_the_deleted_items_and_then_away(ews: Ews) -> None:
    ada = ews.as_app("ada")
    message(ada, ews.entra.upn("ada")).send(save_copy=False)
    ada.inbox.get(subject="Order 1").move_to_trash()
    ada.trash.get(subject="Order 1").delete()
    assert (ada.inbox.all().count(), ada.trash.all().count()) == (0, 0)


def test_names_are_resolved_and_the_version_is_found(ews: Ews) -> None:
    ada = ews.as_user("ada")
    ada.protocol.config.version = None
    assert str(ada.protocol.version.build).startswith("15.20.")
    assert [one.email_address for one in ada.protocol.resolve_names(["ozola"])] == [ews.entra.upn("ada")]
    assert [type(one) for one in ada.protocol.resolve_names(["nobody"])] == [ErrorNameResolutionNoResults]


def test_another_mailbox_opens_only_with_permission(ews: Ews) -> None:
    with pytest.raises(ErrorAccessDenied):
        ews.as_user("ada", ews.entra.upn("bob")).inbox.all().count()
    with pytest.raises(ErrorNonExistentMailbox):
        ews.as_user("ada", "nobody@contoso.example").inbox.all().count()
    bobs = ews.as_app("bob")
    message(bobs, ews.entra.upn("bob")).send(save_copy=False)
    identity = bobs.inbox.get(subject="Order 1")
    with pytest.raises(ErrorAccessDenied):
        list(ews.as_user("ada").fetch(ids=[(identity.id, identity.changekey)]))


def test_a_shared_mailbox_opens_for_whom_it_was_opened_and_sends_by_its_own_permission(ews: Ews) -> None:
    shared, ada = ews.entra.upn("dispatch"), ews.entra.upn("ada")
    ews.allow(fullAccess={shared: [ada]})
    account = ews.as_user("ada", shared)
    draft = message(account, ews.entra.upn("bob"), folder=account.drafts)
    draft.save()
    assert [one.subject for one in account.drafts.all()] == ["Order 1"]
    assert ews.as_user("ada").drafts.all().count() == 0
    with pytest.raises(ErrorSendAsDenied):
        message(account, ews.entra.upn("bob"), author=Mailbox(email_address=shared)).send()


def test_only_an_applications_own_token_impersonates(ews: Ews) -> None:
    account = ews.as_user("ada", ews.entra.upn("bob"))
    account.access_type = "impersonation"
    account.identity.primary_smtp_address = ews.entra.upn("bob")
    with pytest.raises(ErrorImpersonateUserDenied, match="does not have permission to impersonate the requested user"):
        account.inbox.all().count()
    with pytest.raises(ErrorNonExistentMailbox, match="The SMTP address has no mailbox associated with it"):
        ews.as_app("reader").inbox.all().count()


def test_send_as_somebody_else_needs_his_permission(ews: Ews) -> None:
    ada = ews.as_user("ada")
    with pytest.raises(ErrorSendAsDenied):
        message(ada, ews.entra.upn("bob"), author=Mailbox(email_address=ews.entra.upn("dispatch"))).send()
    assert ews.as_app("bob").inbox.all().count() == 0
    (lent,) = ews.sandbox.new_people(
        ews.entra.tenant, {"alias": "office", "mailbox": "shared", "sendAs": [ews.entra.upn("ada")]}
    )
    message(ada, ews.entra.upn("bob"), author=Mailbox(email_address=lent.user_principal_name)).send()
    assert ews.as_app("bob").inbox.get(subject="Order 1").author.email_address == lent.user_principal_name


def test_what_is_not_there_is_refused_by_name(ews: Ews) -> None:
    ada = ews.as_user("ada")
    with pytest.raises(ErrorInvalidRecipients):
        message(ada, "not an address").send()
    answers = list(ada.fetch(ids=[ItemId(id="AAMkAAbsent", changekey="x"), ItemId(id="nonsense", changekey="x")]))
    assert [type(one) for one in answers] == [ErrorItemNotFound, ErrorInvalidIdMalformed]
    with pytest.raises(ErrorFolderNotFound):
        ada.root.get_default_folder(Calendar)
