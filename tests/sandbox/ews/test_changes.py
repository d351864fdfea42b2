"""Messages that are there are changed, get files and are read and written as MIME, by unmodified exchangelib."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from ews_tenant import Ews
from exchangelib import Account, FileAttachment, HTMLBody, Mailbox, Message
from exchangelib.errors import (
    ErrorInvalidPropertyUpdateSentMessage,
    ErrorIrresolvableConflict,
    ErrorItemNotFound,
    ErrorMimeContentInvalidBase64String,
    ErrorStaleObject,
)
from exchangelib.util import create_element


def draft(account: Account, *to: str, **more: Any) -> Message:
    people = [Mailbox(email_address=address) for address in to]
    wanted = {"subject": "Order 1", "body": "At 8", "folder": account.drafts, **more}
    return Message(account=account, to_recipients=people, **wanted)


def parsed(item: Message) -> EmailMessage:
    return message_from_bytes(item.mime_content, policy=policy.default)


def test_files_of_a_new_draft_have_ids_at_once_and_go_with_it(ews: Ews) -> None:
    ada = ews.as_user("ada")
    one = draft(ada, ews.entra.upn("bob"))
    one.attach(FileAttachment(name="cmr.txt", content=b"weight 24 t"))
    one.save()
    assert one.attachments[0].attachment_id is not None
    one.attach(FileAttachment(name="plan.txt", content=b"dock 5"))
    one.send()
    got = ews.as_user("bob").inbox.get(subject="Order 1")
    assert [(file.name, file.content) for file in got.attachments] == [
        ("cmr.txt", b"weight 24 t"),
        ("plan.txt", b"dock 5"),
    ]
    assert got.has_attachments
    assert (ada.drafts.all().count(), ada.sent.all().count()) == (0, 1)


def test_a_file_is_taken_out_again(ews: Ews) -> None:
    ada = ews.as_user("ada")
    one = draft(ada, ews.entra.upn("bob"))
    one.save()
    one.attach(FileAttachment(name="cmr.txt", content=b"weight 24 t"))
    assert ada.drafts.get(subject="Order 1").has_attachments
    again = FileAttachment(name="cmr.txt", content=b"")
    again.attachment_id, again.parent_item = one.attachments[0].attachment_id, one
    one.detach(one.attachments[0])
    assert not ada.drafts.get(subject="Order 1").has_attachments
    with pytest.raises(ErrorItemNotFound):
        again.detach()


def test_a_draft_is_changed_property_by_property_and_as_a_whole(ews: Ews) -> None:
    ada = ews.as_user("ada")
    one = draft(ada, ews.entra.upn("bob"))
    one.save()
    before = one.changekey
    one.subject, one.importance = "Order 2", "High"
    one.to_recipients = [Mailbox(email_address=ews.entra.upn("admin"))]
    one.save(update_fields=["subject", "importance", "to_recipients"])
    assert one.changekey != before
    seen = ada.drafts.get(subject="Order 2")
    assert (seen.importance, seen.body) == ("High", "At 8")
    assert [person.email_address for person in seen.to_recipients] == [ews.entra.upn("admin")]
    seen.body, seen.categories, seen.mime_content = HTMLBody("<p>At <b>9</b></p>"), ["Urgent"], None
    seen.save()
    seen.refresh()
    assert (seen.body, seen.categories, seen.is_draft) == ("<p>At <b>9</b></p>", ["Urgent"], True)
    seen.categories = None
    seen.save(update_fields=["categories"])
    assert ada.drafts.get(subject="Order 2").categories is None
    seen.send()
    assert ews.as_user("admin").inbox.get(subject="Order 2").importance == "High"


def test_a_change_can_send(ews: Ews) -> None:
    ada = ews.as_user("ada")
    one = draft(ada, ews.entra.upn("bob"))
    one.save()
    one.subject = "Order 3"
    one.send_and_save(update_fields=["subject"])
    assert (ada.drafts.all().count(), ada.sent.get().subject) == (0, "Order 3")
    assert ews.as_user("bob").inbox.get().subject == "Order 3"


def test_a_received_message_is_marked_and_its_recipients_stay(ews: Ews) -> None:
    draft(ews.as_user("ada"), ews.entra.upn("bob"), folder=None).send(save_copy=False)
    got = ews.as_user("bob").inbox.get(subject="Order 1")
    assert got.is_read is False
    got.is_read = True
    got.save(update_fields=["is_read"])
    assert ews.as_user("bob").inbox.filter(is_read=False).count() == 0
    rows = ews.entra.graph("GET", f"/users/{ews.entra.upn('bob')}/messages")["value"]
    assert [row["isRead"] for row in rows] == [True], "the same message is there for Microsoft Graph"
    got.is_draft = True  # else exchangelib itself leaves the recipients out
    got.to_recipients = [Mailbox(email_address=ews.entra.upn("admin"))]
    with pytest.raises(ErrorInvalidPropertyUpdateSentMessage):
        got.save(update_fields=["to_recipients"])


def test_who_comes_late_is_told_so(ews: Ews) -> None:
    ada = ews.as_user("ada")
    one = draft(ada, ews.entra.upn("bob"))
    one.save()
    late = ada.drafts.get(subject="Order 1")
    one.subject = "Order 2"
    one.save(update_fields=["subject"])
    late.body = "At 9"
    with pytest.raises(ErrorIrresolvableConflict, match="does not match the current change key for the item"):
        late.save(update_fields=["body"], conflict_resolution="NeverOverwrite")
    with pytest.raises(ErrorStaleObject):
        Message(account=ada, id=late.id, changekey=late.changekey).send()
    late.save(update_fields=["body"], conflict_resolution="AlwaysOverwrite")
    seen = ada.drafts.get()
    assert (seen.subject, seen.body) == ("Order 2", "At 9")


def test_every_message_can_be_read_as_mime(ews: Ews) -> None:
    one = draft(ews.as_user("ada"), ews.entra.upn("bob"), folder=None)
    one.attach(FileAttachment(name="cmr.txt", content=b"weight 24 t"))
    one.send(save_copy=False)
    got = ews.as_user("bob").inbox.get(subject="Order 1")
    mime = parsed(got)
    assert (mime["Subject"], mime["Message-ID"]) == ("Order 1", got.message_id)
    assert [person.addr_spec for person in mime["To"].addresses] == [ews.entra.upn("bob")]
    assert [part.get_filename() for part in mime.iter_attachments()] == ["cmr.txt"]


def mime_letter(sender: str, recipient: str) -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = sender, recipient, "As MIME"
    letter["Message-ID"], letter["X-Loading-Dock"] = "<17@contoso.example>", "5"
    letter.set_content("At 8")
    letter.add_attachment(b"weight 24 t", maintype="text", subtype="plain", filename="cmr.txt")
    return letter


def test_a_message_that_is_made_of_mime_arrives_byte_for_byte(ews: Ews) -> None:
    letter = mime_letter(ews.entra.upn("ada"), ews.entra.upn("bob")).as_bytes(policy=policy.SMTP)
    Message(account=ews.as_user("ada"), mime_content=letter).send(save_copy=False)
    got = ews.as_user("bob").inbox.get(subject="As MIME")
    assert got.mime_content == letter
    assert (got.message_id, got.body.strip()) == ("<17@contoso.example>", "At 8")
    assert [file.content for file in got.attachments] == [b"weight 24 t"]


def test_a_property_beside_mime_wins_and_a_change_writes_it_anew(ews: Ews) -> None:
    ada = ews.as_user("ada")
    letter = mime_letter(ews.entra.upn("ada"), ews.entra.upn("bob")).as_bytes(policy=policy.SMTP)
    Message(account=ada, mime_content=letter, subject="Order 1", folder=ada.drafts).save()
    one = ada.drafts.get(subject="Order 1")
    assert (parsed(one)["Subject"], parsed(one)["Message-ID"]) == ("Order 1", "<17@contoso.example>")
    one.mime_content = letter
    one.save(update_fields=["mime_content"])
    again = ada.drafts.get(subject="As MIME")
    assert again.mime_content == letter
    again.subject = "Order 2"
    again.save(update_fields=["subject"])
    assert parsed(ada.drafts.get())["Subject"] == "Order 2"


def test_blind_copies_in_mime_are_sent_and_stay_blind(ews: Ews) -> None:
    letter = mime_letter(ews.entra.upn("ada"), ews.entra.upn("bob"))
    letter["Bcc"] = ews.entra.upn("admin")
    Message(account=ews.as_user("ada"), mime_content=letter.as_bytes(policy=policy.SMTP)).send(save_copy=False)
    for alias in ("bob", "admin"):
        got = ews.as_user(alias).inbox.get(subject="As MIME")
        assert got.mime_content
        assert ews.entra.upn("admin").encode() not in got.mime_content
        assert not got.bcc_recipients


def test_mime_that_is_no_base64_is_refused(ews: Ews, monkeypatch: pytest.MonkeyPatch) -> None:
    field = Message.get_field_by_fieldname("mime_content")

    def raw(self: Any, value: bytes, version: Any) -> Any:
        made = create_element(self.request_tag())
        made.text = value.decode()
        return made

    monkeypatch.setattr(type(field), "to_xml", raw)
    with pytest.raises(ErrorMimeContentInvalidBase64String):
        Message(account=ews.as_user("ada"), mime_content=b"%%%").send(save_copy=False)
