"""``provision google check`` as a person or a pipeline runs it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from provision.google.directory import SCOPES
from provision.sandbox import Sandbox

READY = {"alias": "anna", "enrolled": True, "appPassword": True}


@pytest.fixture
def made(sandbox: Sandbox) -> dict[str, Any]:
    return sandbox.new_google_customer(scopes=SCOPES, users=[READY, {"alias": "boss", "admin": True}])


@pytest.fixture
def environment(sandbox: Sandbox) -> dict[str, str]:
    return {
        **os.environ,
        "PROVISION_GOOGLE_SMTP_ADDRESS": sandbox.google_smtp_address,
        "PROVISION_GOOGLE_SMTPS_ADDRESS": sandbox.google_smtps_address,
        "PROVISION_GOOGLE_API_URL": f"{sandbox.base_url}/_google",
        "SSL_CERT_FILE": str(sandbox.ca_file),
    }


def provision(*arguments: str, environment: dict[str, str], said: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "provision", "google", "check", *arguments]
    return subprocess.run(
        command, env=environment, input=said, capture_output=True, text=True, timeout=120, check=False
    )


def user(made: dict[str, Any]) -> str:
    return f"anna@{made['domain']}"


def test_everything_in_order_ends_with_0_and_the_password_stays_hidden(
    made: dict[str, Any], environment: dict[str, str], tmp_path: Path, sandbox: Sandbox
) -> None:
    key, secret = tmp_path / "key.json", made["users"][0]["appPassword"]
    key.write_text(json.dumps(made["serviceAccount"]))
    arguments = (user(made), "--service-account-file", str(key), "--admin", f"boss@{made['domain']}")
    done = provision(
        *arguments, "--password-file", "-", "--send-to", user(made), environment=environment, said=f"{secret}\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 7
    assert secret not in done.stdout + done.stderr
    assert any(row["folder"] == "inbox" for row in sandbox.google_messages(user(made)))


def test_a_problem_ends_with_15_and_json_holds_the_findings(
    made: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(made["users"][0]["password"])
    done = provision(user(made), "--password-file", str(file), "--json", environment=environment)
    assert done.returncode == 15, done.stderr
    told = json.loads(done.stdout)
    login = next(one for one in told["findings"] if one["id"] == "google-smtp-login")
    assert (told["user"], login["status"]) == (user(made), "problem")
    assert login["links"][0] == "https://myaccount.google.com/apppasswords"
    assert made["users"][0]["password"] not in done.stdout + done.stderr


def test_port_465_sends_with_tls_from_the_first_byte(
    made: dict[str, Any], environment: dict[str, str], sandbox: Sandbox
) -> None:
    arguments = (user(made), "--port", "465", "--password-file", "-", "--send-to", user(made))
    done = provision(*arguments, environment=environment, said=made["users"][0]["appPassword"])
    assert done.returncode == 0, done.stdout
    assert f"{sandbox.google_smtps_address} took a mail" in done.stdout


def test_with_nothing_to_check_the_guide_is_printed(environment: dict[str, str]) -> None:
    done = provision("anna@acme.example", environment=environment)
    assert done.returncode == 0, done.stderr
    assert "https://myaccount.google.com/apppasswords" in done.stdout
    assert "Drošība" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("anna@acme.example", "--admin", "boss@acme.example"), 2, "belong together"),
        (("anna",), 3, "is no e-mail address"),
        (("anna@acme.example", "--password-file", "/nowhere/password"), 3, "/nowhere/password cannot be read"),
        (
            ("anna@acme.example", "--service-account-file", "/nowhere/key.json", "--admin", "b@acme.example"),
            3,
            "cannot be read",
        ),
    ],
)
def test_a_wrong_command_line_is_one_sentence(
    environment: dict[str, str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = provision(*arguments, environment=environment)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_person_is_asked_without_echo(made: dict[str, Any], environment: dict[str, str]) -> None:
    secret = made["users"][0]["appPassword"]
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "provision", "google", "check", user(made)]
    process = subprocess.Popen(
        command, env=environment, stdin=inner, stdout=inner, stderr=inner, start_new_session=True
    )
    os.close(inner)
    heard = b""
    deadline = time.monotonic() + 60
    while b"App password of" not in heard and time.monotonic() < deadline:
        heard += os.read(outer, 4096)
    time.sleep(0.5)  # getpass turns the echo off right after the prompt
    os.write(outer, f"{secret}\n".encode())
    try:
        while chunk := os.read(outer, 4096):
            heard += chunk
    except OSError:
        pass  # the other side has closed the terminal
    assert process.wait(60) == 0, heard
    os.close(outer)
    assert secret.encode() not in heard
    assert b"accepts the password" in heard
