"""A message goes in over SMTP by an unmodified client and is found in the mailboxes of the tenant by Graph."""

from __future__ import annotations

import re
from email.message import EmailMessage

from tests.sandbox.submission.conftest import Connect, Office


def letter(sender: str, *recipients: str, subject: str = "Invoice", text: str = "Hello.") -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Message-ID"] = "<invoice-1@client.example>"
    message.set_content(text)
    return message


def test_the_greeting_is_that_of_exchange_online(connect: Connect) -> None:
    """Keywords and their order are those that public transcripts of smtp.office365.com show."""
    plain = connect(starttls=False)
    encrypted = connect()

    def keywords(answer: bytes | None) -> list[str]:
        return (answer or b"").decode().splitlines()

    first, *rest = keywords(plain.ehlo_resp)
    assert re.fullmatch(r"\w+\.outlook\.office365\.com Hello \[127\.0\.0\.1\]", first)
    common = ["8BITMIME", "BINARYMIME", "CHUNKING", "SMTPUTF8"]
    start = ["SIZE 157286400", "PIPELINING", "DSN", "ENHANCEDSTATUSCODES"]
    assert rest == [*start, "STARTTLS", *common]
    assert keywords(encrypted.ehlo_resp)[1:] == [*start, "AUTH LOGIN XOAUTH2", *common]


def test_a_message_arrives_and_is_kept_in_sent_items(office: Office, connect: Connect) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    message = letter(ada.user_principal_name, bob.user_principal_name, subject="Rēķins 7", text="Labdien, č!")
    message.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="rēķins.pdf")
    client = connect(ada)
    client.send_message(message, to_addrs=[bob.user_principal_name, ada.user_principal_name])
    arrived, copy = office.folder(bob)[0], office.folder(ada, "sentitems")[0]
    for found in (arrived, copy):
        assert found["subject"] == "Rēķins 7"
        assert found["body"]["content"].strip() == "Labdien, č!"
        assert found["from"]["emailAddress"]["address"] == ada.user_principal_name
        assert found["internetMessageId"] == "<invoice-1@client.example>"
        assert found["hasAttachments"] is True
    assert arrived["bccRecipients"] == []
    assert [row["emailAddress"]["address"] for row in copy["bccRecipients"]] == [ada.user_principal_name]
    assert (arrived["isRead"], copy["isRead"]) == (False, True)
