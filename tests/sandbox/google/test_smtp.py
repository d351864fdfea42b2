"""Gmail's SMTP as the standard library and curl meet it: who gets in, in which words everybody else is refused."""

from __future__ import annotations

import smtplib
import socket
import ssl
import subprocess
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from provision.sandbox import Sandbox, Tenant

Make = Callable[..., dict[str, Any]]


def letter(sender: str, to: str, **headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in {"From": sender, "To": to, "Subject": "Order 1", **headers}.items():
        message[name] = value
    message.set_content("Load at 8")
    return message


def test_an_app_password_sends_but_not_with_the_blanks_of_googles_page(
    customer: Make, smtp: smtplib.SMTP, sandbox: Sandbox
) -> None:
    made = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True}, {"alias": "berta"}])
    anna, berta = made["users"]
    spaced = " ".join(anna["appPassword"][at : at + 4] for at in range(0, 16, 4))
    with pytest.raises(smtplib.SMTPAuthenticationError):
        smtp.login(anna["primaryEmail"], spaced)
    smtp.login(anna["primaryEmail"], anna["appPassword"])
    smtp.send_message(letter(anna["primaryEmail"], berta["primaryEmail"]))
    (got,) = sandbox.google_messages(berta["primaryEmail"])
    assert (got["folder"], got["from"], got["subject"]) == ("inbox", anna["primaryEmail"], "Order 1")
    assert [row["folder"] for row in sandbox.google_messages(anna["primaryEmail"])] == ["sentitems"]


def test_tls_from_the_first_byte_on_the_other_port(customer: Make, sandbox: Sandbox) -> None:
    (anna,) = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True}])["users"]
    host, _, port = sandbox.google_smtps_address.rpartition(":")
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    with smtplib.SMTP_SSL(host, int(port), context=context, timeout=30) as client:
        client.login(anna["primaryEmail"], anna["appPassword"])
        client.send_message(letter(anna["primaryEmail"], anna["primaryEmail"]))
    assert len(sandbox.google_messages(anna["primaryEmail"])) == 2


STATES: list[tuple[str, dict[str, Any], str, bytes]] = [
    ("own password, 2-Step on", {"enrolled": True}, "password", b"5.7.9 Application-specific password required"),
    ("own password, 2-Step off", {}, "password", b"5.7.8 Username and Password not accepted"),
    ("wrong password", {"enrolled": True}, "wrong", b"5.7.8 Username and Password not accepted"),
    (
        "suspended",
        {"enrolled": True, "appPassword": True, "suspended": True},
        "appPassword",
        b"5.7.8 Username and Password not accepted",
    ),
]


@pytest.mark.parametrize(("state", "credential", "says"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
def test_refusals_name_their_page_and_end_in_gsmtp(
    customer: Make, smtp: smtplib.SMTP, state: dict[str, Any], credential: str, says: bytes
) -> None:
    (user,) = customer(users=[{"alias": "anna", **state}])["users"]
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        smtp.login(user["primaryEmail"], user.get(credential) or "nothing at all")
    assert refused.value.smtp_error.startswith(says)
    assert b"https://support.google.com/mail/?p=" in refused.value.smtp_error
    assert refused.value.smtp_error.endswith(b" - gsmtp")


@pytest.mark.parametrize(
    "change",
    [{"advancedProtection": True}, {"securityKeysOnly": True}, {"enrolled": False}, {"password": "another one"}],
)
def test_what_ends_app_passwords_ends_them(
    customer: Make, smtp: smtplib.SMTP, sandbox: Sandbox, change: dict[str, Any]
) -> None:
    (user,) = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True}])["users"]
    smtp.login(user["primaryEmail"], user["appPassword"])
    smtp.rset()
    sandbox.change_google_user(user["primaryEmail"], **change)
    host, _, port = sandbox.google_smtp_address.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as again:
        again.starttls(context=ssl.create_default_context(cafile=str(sandbox.ca_file)))
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            again.login(user["primaryEmail"], user["appPassword"])
    assert refused.value.smtp_code == 535


def test_ten_wrong_passwords_and_gmail_wants_a_pause(customer: Make, sandbox: Sandbox) -> None:
    (user,) = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True}])["users"]
    host, _, port = sandbox.google_smtp_address.rpartition(":")
    codes = []
    for attempt in range(11):
        with smtplib.SMTP(host, int(port), timeout=30) as client:
            client.starttls(context=ssl.create_default_context(cafile=str(sandbox.ca_file)))
            client.ehlo()
            client.user, client.password = user["primaryEmail"], "wrong" if attempt < 10 else user["appPassword"]
            try:
                client.auth("PLAIN", client.auth_plain)
            except smtplib.SMTPAuthenticationError as refused:
                codes.append(refused.smtp_code)
    assert codes == [535] * 10 + [454]


def test_the_daily_limit_and_a_busy_server(customer: Make, smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    (anna,) = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True, "dailyMessages": 1}])["users"]
    smtp.login(anna["primaryEmail"], anna["appPassword"])
    smtp.send_message(letter(anna["primaryEmail"], anna["primaryEmail"]))
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        smtp.send_message(letter(anna["primaryEmail"], anna["primaryEmail"]))
    assert refused.value.smtp_code == 550
    assert refused.value.smtp_error.startswith(b"5.4.5 Daily user sending limit exceeded.")
    sandbox.set_google_busy(True)
    assert smtp.mail(anna["primaryEmail"])[0] == 421
    with pytest.raises(smtplib.SMTPServerDisconnected):
        smtp.noop()


def test_a_foreign_from_is_put_right_and_an_alias_stays(customer: Make, smtp: smtplib.SMTP, sandbox: Sandbox) -> None:
    made = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True, "aliases": ["info@more.example"]}])
    (anna,) = made["users"]
    smtp.login(anna["primaryEmail"], anna["appPassword"])
    for sender in ("boss@else.example", "info@more.example"):
        smtp.send_message(letter(sender, anna["primaryEmail"]), from_addr=sender)
    received = [row["from"] for row in sandbox.google_messages(anna["primaryEmail"]) if row["folder"] == "inbox"]
    assert received == [anna["primaryEmail"], "info@more.example"]


def test_mail_reaches_a_microsoft_mailbox(customer: Make, smtp: smtplib.SMTP, tenant: Tenant, api: Any) -> None:
    (anna,) = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True}])["users"]
    smtp.login(anna["primaryEmail"], anna["appPassword"])
    smtp.send_message(letter(anna["primaryEmail"], f"ada@{tenant.domain}"))
    rows = api.get(f"/v1.0/users/ada@{tenant.domain}/messages").json()["value"]
    assert [(row["from"]["emailAddress"]["address"], row["subject"]) for row in rows] == [
        (anna["primaryEmail"], "Order 1")
    ]


def test_curl_sends_too(customer: Make, sandbox: Sandbox, tmp_path: Path) -> None:
    (anna,) = customer(users=[{"alias": "anna", "enrolled": True, "appPassword": True}])["users"]
    file = tmp_path / "letter.eml"
    file.write_bytes(bytes(letter(anna["primaryEmail"], anna["primaryEmail"])))
    for address in (f"smtp://{sandbox.google_smtp_address}", f"smtps://{sandbox.google_smtps_address}"):
        command = ["curl", "-sS", "--ssl-reqd", "--cacert", str(sandbox.ca_file), "--url", address]
        command += [
            "--mail-from",
            anna["primaryEmail"],
            "--mail-rcpt",
            anna["primaryEmail"],
            "-T",
            str(file),
            "-K",
            "-",
        ]
        secret = f'user = "{anna["primaryEmail"]}:{anna["appPassword"]}"\n'
        done = subprocess.run(command, input=secret, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
    assert sum(row["folder"] == "inbox" for row in sandbox.google_messages(anna["primaryEmail"])) == 2


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"EHLO me\r\nAUTH LOGIN\r\n", b"530 5.7.0 Must issue a STARTTLS command first."),
        (b"EHLO me\r\nMAIL FROM:<a@b.example>\r\n", b"530 5.7.0 Must issue a STARTTLS command first."),
        (b"NONSENSE\r\n", b"5"),
    ],
)
def test_nothing_goes_without_tls(sandbox: Sandbox, said: bytes, answer: bytes) -> None:
    host, _, port = sandbox.google_smtp_address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as wire:
        lines = wire.makefile("rb")
        assert lines.readline().startswith(b"220 smtp.gmail.com ESMTP ")
        wire.sendall(said)
        heard = [lines.readline()]
        while not heard[-1].startswith(answer) and len(heard) < 12:
            heard.append(lines.readline())
    assert heard[-1].startswith(answer), heard
    assert heard[-1].rstrip().endswith(b"gsmtp")


def test_after_tls_a_message_wants_a_sign_in(smtp: smtplib.SMTP) -> None:
    smtp.ehlo()
    assert smtp.esmtp_features["auth"].split() == ["LOGIN", "PLAIN"]
    code, said = smtp.mail("a@b.example")
    assert code == 530
    first, second = said.split(b"\n")
    assert first == b"5.7.0 Authentication Required. For more information, go to"
    assert second.startswith(b"5.7.0  https://support.google.com/mail/?p=WantAuthError ")
    assert second.endswith(b" - gsmtp")
    assert smtp.docmd("AUTH", "CRAM-MD5")[0] == 504
