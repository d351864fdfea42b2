"""Unmodified clients send by password and by token: aiosmtplib, curl, swaks, msmtp (smtplib elsewhere)."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from provision.sandbox.process import Person
from tests.sandbox.submission.conftest import Office

_LETTER = "From: {sender}\r\nTo: {recipient}\r\nSubject: by {client}\r\n\r\nHello.\r\n"


def _run(command: list[str], *, stdin: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Runs a client; fails the test when it is missing, and with what it said when it fails."""
    if shutil.which(command[0]) is None:
        pytest.fail(f"The tests of SMTP clients need {command[0]}: make clients", pytrace=False)
    done = subprocess.run(
        command,
        input=stdin.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
        timeout=60,
        check=False,
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said
    return said


def _arrived(office: Office, person: Person, client: str) -> None:
    assert [row["subject"] for row in office.folder(person)] == [f"by {client}"]


def _letter(sender: Person, recipient: Person, client: str) -> str:
    return _LETTER.format(sender=sender.user_principal_name, recipient=recipient.user_principal_name, client=client)


def test_aiosmtplib(office: Office) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        ada.user_principal_name,
        bob.user_principal_name,
        "by aiosmtplib",
    )
    host, _, port = office.sandbox.smtp_address.rpartition(":")
    sending = aiosmtplib.send(
        message,
        hostname=host,
        port=int(port),
        start_tls=True,
        tls_context=office.context,
        username=ada.user_principal_name,
        password=ada.password,
    )
    asyncio.run(sending)
    _arrived(office, bob, "aiosmtplib")


@pytest.mark.parametrize("way", ["LOGIN", "XOAUTH2"])
def test_curl(office: Office, tmp_path: Path, way: str) -> None:
    """The password and the token go by a configuration file, so that no argument list shows them."""
    ada, bob = office.person("ada2"), office.person("bob2")
    (tmp_path / "letter.eml").write_text(_letter(ada, bob, "curl"), newline="")
    lines = [
        f'user = "{ada.user_principal_name}:{ada.password if way == "LOGIN" else ""}"',
        f'login-options = "AUTH={way}"',
    ]
    if way == "XOAUTH2":
        lines += [f'oauth2-bearer = "{office.user_token(ada)}"', "sasl-ir"]
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--ssl-reqd",
        "--cacert",
        str(office.sandbox.ca_file),
        "--config",
        "-",
    ]
    command += ["--url", f"smtp://{office.sandbox.smtp_address}", "--upload-file", str(tmp_path / "letter.eml")]
    command += ["--mail-from", ada.user_principal_name, "--mail-rcpt", bob.user_principal_name]
    _run(command, stdin="\n".join(lines), environment={"CURL_CA_BUNDLE": str(office.sandbox.ca_file)})
    _arrived(office, bob, "curl")


def test_swaks(office: Office) -> None:
    ada, bob = office.person("ada2"), office.person("bob2")
    command = ["swaks", "--server", office.sandbox.smtp_address, "-tls", "--tls-verify", "--tls-ca-path"]
    command += [str(office.sandbox.ca_file), "-a", "LOGIN", "--protect-prompt", "-au", ada.user_principal_name]
    command += ["-ap", ada.password or "", "--from", ada.user_principal_name, "--to", bob.user_principal_name]
    said = _run([*command, "--header", "Subject: by swaks"])
    assert "235 2.7.0 Authentication successful" in said
    _arrived(office, bob, "swaks")


@pytest.mark.parametrize("way", ["login", "xoauth2"])
def test_msmtp(office: Office, tmp_path: Path, way: str) -> None:
    """Msmtp sends no initial response: the server asks with an empty 334."""
    ada, bob = office.person("ada2"), office.person("bob2")
    secret = tmp_path / "secret"
    secret.write_text((ada.password or "") if way == "login" else office.user_token(ada))
    host, _, port = office.sandbox.smtp_address.rpartition(":")
    command = ["msmtp", f"--host={host}", f"--port={port}", "--tls=on", "--tls-starttls=on", f"--auth={way}"]
    command += [f"--tls-trust-file={office.sandbox.ca_file}", f"--user={ada.user_principal_name}"]
    command += [f"--passwordeval=cat {secret}", f"--from={ada.user_principal_name}", bob.user_principal_name]
    _run(command, stdin=_letter(ada, bob, "msmtp"))
    _arrived(office, bob, "msmtp")
