"""A message goes in over SMTP by an unmodified client and is found in the mailboxes of the tenant by Graph."""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pytest

from provision.sandbox import Sandbox
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


def test_the_message_can_be_read_whole(office: Office, connect: Connect) -> None:
    """Headers on ``$select``, attachments, and the very bytes that were sent."""
    ada, bob = office.person("ada2"), office.person("bob2")
    message = letter(ada.user_principal_name, bob.user_principal_name)
    message["X-Invoice"] = "7"
    message.add_alternative("<p>Hello.</p>", subtype="html")
    message.add_attachment(b"\x00\xff", maintype="image", subtype="png", filename="i.png", cid="<logo@x>")
    content = message.as_bytes(policy=SMTP)
    connect(ada).sendmail(ada.user_principal_name, [bob.user_principal_name], content)
    place = f"/users/{bob.id}/messages/{office.folder(bob)[0]['id']}"
    assert "internetMessageHeaders" not in office.graph("GET", place)
    headers = office.graph("GET", f"{place}?$select=internetMessageHeaders")["internetMessageHeaders"]
    assert {"name": "X-Invoice", "value": "7"} in headers
    assert office.graph("GET", place)["body"]["contentType"] == "html"
    (attachment,) = office.graph("GET", f"{place}/attachments")["value"]
    assert (attachment["name"], attachment["contentId"], attachment["contentBytes"]) == ("i.png", "logo@x", "AP8=")
    token = {"Authorization": f"Bearer {office.token()}"}
    assert office.http("GET", f"/v1.0{place}/$value", headers=token).content == content


def test_a_message_that_graph_sent_can_be_read_as_mime(office: Office) -> None:
    """``$value`` is for every message; what never was MIME is written as such."""
    ada, bob = office.person("ada2"), office.person("bob2")
    wanted = {
        "subject": "Sveiki",
        "body": {"contentType": "HTML", "content": "<p>ē</p>"},
        "toRecipients": [{"emailAddress": {"address": bob.user_principal_name}}],
    }
    office.graph("POST", f"/users/{ada.id}/sendMail", json={"message": wanted})
    found = office.folder(bob)[0]
    token = {"Authorization": f"Bearer {office.token()}"}
    raw = office.http("GET", f"/v1.0/users/{bob.id}/messages/{found['id']}/$value", headers=token).content
    mime = message_from_bytes(raw, policy=SMTP)
    assert (mime["Subject"], mime["Message-ID"]) == ("Sveiki", found["internetMessageId"])
    assert mime.get_content().strip() == "<p>ē</p>"


def test_an_unknown_colleague_comes_back_as_a_report(office: Office, connect: Connect) -> None:
    """Exchange Online takes every recipient and answers later, by mail."""
    ada = office.person("ada2")
    nobody = office.address("nobody")
    assert connect(ada).send_message(letter(ada.user_principal_name, nobody)) == {}
    (report,) = office.folder(ada)
    assert report["subject"] == "Undeliverable: Invoice"
    assert (
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
        in (report["body"]["content"])
    )
    token = {"Authorization": f"Bearer {office.token()}"}
    raw = office.http("GET", f"/v1.0/users/{ada.id}/messages/{report['id']}/$value", headers=token).content
    mime = message_from_bytes(raw, policy=SMTP)
    status = next(part for part in mime.walk() if part.get_content_type() == "message/delivery-status")
    about = status.get_payload()[1]
    assert (about["Final-Recipient"], about["Action"], about["Status"]) == (f"rfc822; {nobody}", "failed", "5.1.10")


def test_a_delivery_report_comes_when_it_was_asked_for(office: Office, connect: Connect) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    client = connect(ada)
    message = letter(ada.user_principal_name, bob.user_principal_name)
    client.send_message(message, rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
    client.send_message(message)
    assert [row["subject"] for row in office.folder(ada)] == ["Delivered: Invoice"]
    assert len(office.folder(bob)) == 2


def test_a_group_s_members_get_its_mail(office: Office, connect: Connect) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    group = office.person("team", mailbox="group", members=[ada.user_principal_name, bob.user_principal_name])
    connect(ada).send_message(letter(ada.user_principal_name, group.user_principal_name))
    assert [row["subject"] for person in (ada, bob) for row in office.folder(person)] == ["Invoice", "Invoice"]


def test_another_tenant_of_the_server_gets_its_mail(office: Office, connect: Connect) -> None:
    ada = office.person("ada2")
    other = Office(office.sandbox, office.sandbox.new_tenant(), office.context)
    carl = other.person("carl")
    connect(ada).send_message(letter(ada.user_principal_name, carl.user_principal_name))
    assert other.folder(carl)[0]["from"]["emailAddress"]["address"] == ada.user_principal_name


def test_mail_without_headers_is_given_what_it_needs(office: Office, connect: Connect) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    answer = connect(ada).sendmail(ada.user_principal_name, [bob.user_principal_name], "just text\r\n")
    assert answer == {}
    (found,) = office.folder(bob)
    assert re.fullmatch(r"<[0-9A-F]{32}@\S+\.PROD\.OUTLOOK\.COM>", found["internetMessageId"])
    assert found["from"]["emailAddress"]["address"] == ada.user_principal_name


@pytest.mark.parametrize(
    "headers",
    [
        "Subject: =?utf-8?b?broken\r\nTo: <<>>,\r\nDate: yesterday",
        "From: \r\nContent-Type: multipart/mixed; boundary=nowhere",
        "Content-Type: text/plain; charset=no-such-charset\r\nContent-Transfer-Encoding: base64",
        "Content-Type: ;;;\r\nTo: group: a@b.example, c@d.example;\r\nMessage-ID: none",
        "Message-ID: <[broken\r\nReply-To: \x01\r\nX-Priority: !",
    ],
)
def test_malformed_mail_is_taken_as_it_is(office: Office, connect: Connect, headers: str) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    content = f"{headers}\r\n\r\n\xff not base64 =\r\n".encode("latin-1")
    connect(ada).sendmail(ada.user_principal_name, [bob.user_principal_name], content)
    assert len(office.folder(bob)) == 1


def test_a_restarted_server_keeps_its_port_and_what_waits(tmp_path: Path) -> None:
    """Mail that waits for its minute is in the store: no end of the process loses it."""
    with Sandbox(tmp_path / "tenant") as first:
        context = ssl.create_default_context(cafile=str(first.ca_file))
        office = Office(first, first.first, context)
        ada, bob = office.person("ada2"), office.person("bob2")
        address = first.smtp_address
        host, _, port = address.rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=20) as client:
            client.starttls(context=context)
            client.login(ada.user_principal_name, ada.password or "")
            for _ in range(31):
                client.send_message(letter(ada.user_principal_name, bob.user_principal_name))
        first.set_faults(clock_skew=61)
    with Sandbox(tmp_path / "tenant", smtp_port=int(port)) as second:
        assert second.smtp_address == address
        office = Office(second, second.first, context)
        deadline = time.monotonic() + 10
        while len(office.graph("GET", f"/users/{bob.id}/messages?$top=50")["value"]) < 31:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_blind_copy_is_blind(office: Office, connect: Connect) -> None:
    """A ``Bcc`` field that a client left in the message reaches no recipient; Sent Items shows the envelope's."""
    ada, bob, eve = office.person("ada2"), office.person("bob2"), office.person("eve")
    lines = [
        f"From: {ada.user_principal_name}",
        f"Bcc: Eve\r\n <{eve.user_principal_name}>",
        "Subject: quiet",
        "",
        "x",
        "",
    ]
    people = [bob.user_principal_name, eve.user_principal_name]
    connect(ada).sendmail(ada.user_principal_name, people, "\r\n".join(lines))
    place = f"/users/{bob.id}/messages/{office.folder(bob)[0]['id']}"
    token = {"Authorization": f"Bearer {office.token()}"}
    raw = office.http("GET", f"/v1.0{place}/$value", headers=token).text
    headers = office.graph("GET", f"{place}?$select=internetMessageHeaders,bccRecipients,subject")
    assert "eve@" not in raw + str(headers)
    assert (headers["subject"], raw.endswith("\r\n\r\nx\r\n")) == ("quiet", True)
    (copy,) = office.folder(ada, "sentitems")
    assert {row["emailAddress"]["address"] for row in copy["bccRecipients"]} == set(people)
