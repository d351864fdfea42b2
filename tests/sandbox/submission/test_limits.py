"""After the sign-in: in whose name, how much and how fast; and what app passwords pass."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable

import pytest

from provision.sandbox.process import Person
from tests.sandbox.submission.conftest import Connect, Office
from tests.sandbox.submission.test_layers import block_legacy, security_defaults
from tests.sandbox.submission.test_sending import letter


def _refusal(client: smtplib.SMTP, sender: str, recipient: str, *, envelope: str | None = None) -> tuple[int, str]:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.send_message(letter(sender, recipient), from_addr=envelope)
    text = refused.value.smtp_error
    return refused.value.smtp_code, (text if isinstance(text, bytes) else text.encode()).decode()


@pytest.mark.parametrize("where", ["header", "envelope"])
def test_the_name_of_another_mailbox_needs_its_permission(office: Office, connect: Connect, where: str) -> None:
    """Exchange Online takes the whole message first and then says whose name was whose."""
    ada, bob = office.person("ada2"), office.person("bob2")
    client = connect(ada)
    sender, envelope = (bob, ada) if where == "header" else (ada, bob)
    code, text = _refusal(
        client, sender.user_principal_name, bob.user_principal_name, envelope=envelope.user_principal_name
    )
    assert (code, text.partition("; STOREDRV.")[0]) == (
        554,
        f"5.2.252 SendAsDenied; {ada.user_principal_name} not allowed to send as {bob.user_principal_name}",
    )
    assert "SendAsDeniedException.MapiExceptionSendAsDenied" in text
    assert office.log("DATA") == [(554, "send-as")]
    assert office.folder(bob) == office.folder(ada, "sentitems") == []
    right = {"Identity": bob.user_principal_name, "Trustee": ada.user_principal_name, "AccessRights": "SendAs"}
    office.cmdlet("Add-RecipientPermission", **right)
    client.send_message(letter(bob.user_principal_name, bob.user_principal_name))
    assert len(office.folder(ada, "sentitems")) == 1


def test_letter_case_makes_no_other_sender(office: Office, connect: Connect) -> None:
    ada = office.person("ada2")
    connect(ada).send_message(letter(ada.user_principal_name.upper(), ada.user_principal_name))
    assert len(office.folder(ada)) == 1


def test_the_empty_sender_is_nobody_s(office: Office, connect: Connect) -> None:
    ada = office.person("ada2")
    client = connect(ada)
    client.mail("")
    client.rcpt(ada.user_principal_name)
    code, text = client.data(letter(ada.user_principal_name, ada.user_principal_name).as_bytes())
    assert (code, b"not allowed to send as <>" in text) == (554, True)


def test_a_restricted_sender_is_refused(office: Office, connect: Connect) -> None:
    ada = office.person("ada2", blockedOutbound=True)
    code, text = _refusal(connect(ada), ada.user_principal_name, "someone@elsewhere.example")
    assert (code, text.partition(" [")[0]) == (550, "5.1.8 Access denied, bad outbound sender.")
    assert office.log("DATA") == [(550, "restricted-sender")]


def test_foreign_recipients_are_taken_and_nothing_leaves(office: Office, connect: Connect) -> None:
    ada = office.person("ada2")
    connect(ada).send_message(letter(ada.user_principal_name, "someone@elsewhere.example"))
    assert office.folder(ada) == []
    (copy,) = office.folder(ada, "sentitems")
    assert copy["toRecipients"][0]["emailAddress"]["address"] == "someone@elsewhere.example"
    page = office.http("GET", f"/_portal/{office.tenant.tenant_id}/mailboxes/{ada.id}").text
    assert "someone@elsewhere.example" in page.partition("<h2>Outgoing</h2>")[2]


def test_ten_thousand_recipients_a_day(office: Office, connect: Connect) -> None:
    """Counted by recipients, over 24 hours of the tenant's clock; the message that is too many is refused whole."""
    ada = office.person("ada2")
    client = connect(ada)
    content = letter(ada.user_principal_name, "all@elsewhere.example").as_bytes()
    for number in range(20):
        client.putcmd(f"MAIL FROM:<{ada.user_principal_name}>")
        for place in range(500):
            client.putcmd(f"RCPT TO:<p{number}x{place}@elsewhere.example>")
        for _ in range(501):
            assert client.getreply()[0] == 250
        assert client.rcpt("one-more@elsewhere.example")[0] == 452
        assert client.data(content)[0] == 250
    code, text = _refusal(client, ada.user_principal_name, "one@elsewhere.example")
    assert (code, text.partition(" [")[0]) == (
        554,
        "5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
    )
    assert office.log("DATA")[-1] == (554, "recipient-quota")
    office.sandbox.set_faults(clock_skew=25 * 3600)
    client.send_message(letter(ada.user_principal_name, "one@elsewhere.example"))


def test_three_messages_at_the_same_time(office: Office, connect: Connect) -> None:
    """The fourth connection that sends is told to wait; once another one has ended, there is room."""
    ada = office.person("ada2")
    clients = [connect(ada) for _ in range(4)]
    for client in clients[:3]:
        client.mail(ada.user_principal_name)
        client.rcpt(ada.user_principal_name)
        client.putcmd("DATA")
        assert client.getreply()[0] == 354
    code, text = _refusal(clients[3], ada.user_principal_name, ada.user_principal_name)
    assert (code, text.partition(" [")[0]) == (
        432,
        "4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information.",
    )
    assert office.log("DATA") == [(432, "connections")]
    clients[0].send(letter(ada.user_principal_name, ada.user_principal_name).as_bytes() + b"\r\n.\r\n")
    assert clients[0].getreply()[0] == 250
    clients[3].send_message(letter(ada.user_principal_name, ada.user_principal_name))
    assert len(office.folder(ada)) == 2


def test_the_thirty_first_message_of_a_minute_waits_for_the_next(office: Office, connect: Connect) -> None:
    """Accepted at once, delivered later; Sent Items has it already."""
    ada, bob = office.person("ada2"), office.person("bob2")
    client = connect(ada)
    for number in range(31):
        client.send_message(letter(ada.user_principal_name, bob.user_principal_name, subject=str(number)))

    def count(person: Person, folder: str) -> int:
        return len(office.graph("GET", f"/users/{person.id}/mailFolders/{folder}/messages?$top=50")["value"])

    assert (count(bob, "inbox"), count(ada, "sentitems")) == (30, 31)
    office.sandbox.set_faults(clock_skew=61)
    deadline = time.monotonic() + 10
    while count(bob, "inbox") < 31:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_message_beyond_the_mailbox_s_size_is_refused(office: Office, connect: Connect) -> None:
    """35 MB is what a new mailbox may send, whatever the server announces."""
    ada = office.person("ada2")
    client = connect(ada)
    content = letter(ada.user_principal_name, ada.user_principal_name).as_bytes()
    client.mail(ada.user_principal_name)
    client.rcpt(ada.user_principal_name)
    code, text = client.data(content + (b"y" * 998 + b"\r\n") * 36_800)
    assert (code, text.partition(b" [")[0]) == (552, b"5.3.4 Message size exceeds fixed maximum message size")
    assert client.noop()[0] == 250


def _with_app_password(office: Office) -> Person:
    return office.person("sender", mfa="registered", appPassword=True)


def test_an_app_password_stands_for_the_second_factor(office: Office, connect: Connect) -> None:
    person = _with_app_password(office)
    with pytest.raises(smtplib.SMTPAuthenticationError, match="credentials were incorrect"):
        connect(person)
    client = connect()
    assert person.app_password
    client.login(person.user_principal_name, person.app_password)
    spaced = connect()
    spaced.login(person.user_principal_name, " ".join(person.app_password[at : at + 4] for at in range(0, 16, 4)))
    assert office.log("AUTH") == [(535, "mfa"), (235, None), (235, None)]


def test_an_app_password_is_dead_when_mfa_is_off(office: Office, connect: Connect) -> None:
    person = office.person("sender", mfa="off", appPassword=True)
    with pytest.raises(smtplib.SMTPAuthenticationError, match="credentials were incorrect"):
        connect().login(person.user_principal_name, person.app_password or "")
    connect(person)


@pytest.mark.parametrize("block", [security_defaults, block_legacy], ids=["security defaults", "conditional access"])
def test_an_app_password_does_not_pass_a_block_of_legacy_sign_ins(
    office: Office, connect: Connect, block: Callable[[Office], None]
) -> None:
    person = _with_app_password(office)
    block(office)
    with pytest.raises(smtplib.SMTPAuthenticationError, match=r"security defaults|did not meet the criteria"):
        connect().login(person.user_principal_name, person.app_password or "")
