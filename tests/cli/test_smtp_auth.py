"""``provision smtp-auth``: a plan before anything is done, every form, every exit code."""

from __future__ import annotations

import csv
import json
import os
import pty
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from provision.cli import run
from provision.sandbox import Sandbox, Tenant

ROOT = Path(__file__).parents[2]
TOMORROW = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"


class Terminal:
    """The command, and what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        code = run(["smtp-auth", *arguments])
        self.out, self.err = self._capsys.readouterr()
        assert "Traceback" not in self.err
        return code

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def environment(sandbox: Sandbox, tenant: Tenant, trusting: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "ARM_METADATA_HOSTNAME": sandbox.base_url.removeprefix("https://"),
        "ARM_TENANT_ID": tenant.tenant_id,
        "ARM_CLIENT_ID": tenant.admin_client_id,
        "ARM_CLIENT_SECRET": tenant.admin_client_secret,
        "PROVISION_JOURNAL": f"file://{tmp_path}/journal",
        "PROVISION_DATA": str(tmp_path / "data"),
    }


@pytest.fixture
def smtp_auth(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Terminal:
    for name in ("PROVISION_CREDENTIAL", "ARM_ENVIRONMENT", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123 - no terminal
    return Terminal(capsys)


@pytest.fixture
def person(sandbox: Sandbox, tenant: Tenant) -> Callable[..., str]:
    """Makes somebody and gives the address."""

    def make(alias: str, **state: Any) -> str:
        return sandbox.new_people(tenant, {"alias": alias, "mailbox": "user", **state})[0].user_principal_name

    return make


def state(smtp_auth: Terminal, address: str) -> tuple[str, str]:
    assert smtp_auth("status", address, "--json") == 0
    (row,) = smtp_auth.json["mailboxes"]
    return row["smtpAuth"], row["effective"]


def test_nothing_is_changed_without_a_yes(smtp_auth: Terminal, person: Callable[..., str]) -> None:
    anna = person("anna")
    assert smtp_auth("enable", anna) == 2
    assert anna in smtp_auth.out
    assert "--yes" in smtp_auth.err
    assert smtp_auth("enable", anna, "--dry-run", "--json") == 0
    assert smtp_auth.json["wouldChange"] == [{"address": anna, "before": "inherits", "after": "on"}]
    assert state(smtp_auth, anna) == ("inherits", "off")


def test_on_off_inherit_and_back(smtp_auth: Terminal, person: Callable[..., str]) -> None:
    anna = person("anna")
    assert smtp_auth("enable", anna, "--yes") == 0
    assert "changed 1 mailbox" in smtp_auth.out
    assert state(smtp_auth, anna) == ("on", "on")
    assert smtp_auth("disable", anna, "--yes", "--json") == 0
    assert smtp_auth.json["changed"] == [{"address": anna, "before": "on", "after": "off"}]
    assert smtp_auth("inherit", anna, "--yes") == 0
    assert state(smtp_auth, anna) == ("inherits", "off")
    for value in ("off", "on", "inherits"):
        assert smtp_auth("undo", "--yes") == 0
        assert state(smtp_auth, anna)[0] == value
    assert smtp_auth("undo", "--yes") == 0
    assert "nothing to put back" in smtp_auth.out


def test_an_answer_at_a_terminal_counts(environment: dict[str, str], person: Callable[..., str]) -> None:
    anna = person("anna")
    for answer, code, value in (("n", 2, "inherits"), ("y", 0, "on")):
        main, side = pty.openpty()
        arguments = [sys.executable, str(ROOT / "scripts/smtp_auth.py"), "enable", anna]
        process = subprocess.Popen(
            arguments, stdin=side, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        os.write(main, f"{answer}\n".encode())
        out, err = process.communicate(timeout=60)
        os.close(main)
        os.close(side)
        assert process.returncode == code, err
        assert "Change 1 mailbox?" in err
        assert ("changed 1 mailbox" in out) == (value == "on")


def test_who_cannot_have_it_is_told_and_the_others_are_done(
    smtp_auth: Terminal, person: Callable[..., str], tmp_path: Path
) -> None:
    anna, room = person("anna"), person("lobby", mailbox="room")
    table = tmp_path / "out.csv"
    assert smtp_auth("enable", anna, room, "--yes", "--csv-out", str(table)) == 3
    assert f"left as it is: {room} is a room's mailbox." in smtp_auth.out
    assert "1 mailbox left as they are" in smtp_auth.err
    assert state(smtp_auth, anna)[0] == "on"
    rows = list(csv.DictReader(table.open()))
    assert [(row["address"], row["result"]) for row in rows] == [(anna, "changed"), (room, "left")]


def test_a_file_with_bad_rows(smtp_auth: Terminal, person: Callable[..., str], tmp_path: Path) -> None:
    anna, ben = person("anna"), person("ben")
    file = tmp_path / "people.csv"
    file.write_text(f"Name;Mailbox\nAnna;{anna}\nOops;=HYPERLINK(1)\nBen;{ben}\n", encoding="utf-8-sig")
    assert smtp_auth("enable", "--csv", str(file), "--yes", "--json") == 3
    assert [change["address"] for change in smtp_auth.json["changed"]] == [anna, ben]
    assert smtp_auth.json["badRows"] == [{"line": 3, "text": "=HYPERLINK(1)"}]
    assert "line 3" in smtp_auth.err


def test_a_groups_members(
    smtp_auth: Terminal, person: Callable[..., str], api: httpx.Client, sandbox: Sandbox, tenant: Tenant
) -> None:
    anna, ben, carl = person("anna"), person("ben"), person("carl")
    group = {"groupTypes": [], "mailEnabled": False, "securityEnabled": True, "mailNickname": "senders"}
    ids = []
    for name in ("Senders", "Inner"):
        made = api.post("/v1.0/groups", json={**group, "displayName": name})
        made.raise_for_status()
        ids.append(made.json()["id"])

    def join(outer: str, member: str) -> None:
        reference = {"@odata.id": f"{sandbox.base_url}/v1.0/directoryObjects/{member}"}
        api.post(f"/v1.0/groups/{outer}/members/$ref", json=reference).raise_for_status()

    join(ids[0], api.get(f"/v1.0/users/{anna}").json()["id"])
    join(ids[0], ids[1])
    join(ids[1], api.get(f"/v1.0/users/{ben}").json()["id"])
    join(ids[1], ids[0])
    assert smtp_auth("enable", "--group", "Senders", "--yes", "--json") == 0
    assert sorted(change["address"] for change in smtp_auth.json["changed"]) == [anna, ben]
    assert state(smtp_auth, carl)[0] == "inherits"
    assert smtp_auth("enable", "--group", "None such") == 3
    assert "no group" in smtp_auth.err


def test_all_mailboxes_in_every_form(smtp_auth: Terminal, person: Callable[..., str], tmp_path: Path) -> None:
    anna = person("anna", smtpAuth="on")
    room = person("lobby", mailbox="room")
    file = tmp_path / "all.csv"
    assert smtp_auth("status", "--json", "--csv-out", str(file)) == 0
    document = smtp_auth.json
    by_address = {row["address"]: row for row in document["mailboxes"]}
    assert (by_address[anna]["effective"], by_address[room]["obstacle"]) == ("on", "room")
    counts = document["counts"]
    assert counts["on"] + counts["off"] + counts["inherits"] == len(document["mailboxes"])
    assert document["organization"] == {"smtpAuth": "off", "legacyTls": "off"}
    assert {row["address"] for row in csv.DictReader(file.open())} == set(by_address)
    assert smtp_auth("status") == 0
    assert anna in smtp_auth.out
    assert "needs no SMTP AUTH" in smtp_auth.err


def test_formulas_in_names_are_harmless(
    smtp_auth: Terminal, person: Callable[..., str], api: httpx.Client, tmp_path: Path
) -> None:
    anna = person("anna")
    api.patch(f"/v1.0/users/{anna}", json={"displayName": "=cmd|' /C calc'!A0"}).raise_for_status()
    file = tmp_path / "out.csv"
    assert smtp_auth("status", anna, "--csv-out", str(file)) == 0
    assert not [cell for row in csv.reader(file.open()) for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_an_exception_with_an_end(smtp_auth: Terminal, person: Callable[..., str]) -> None:
    anna = person("anna")
    assert smtp_auth("enable", anna, "--until", TOMORROW, "--yes") == 0
    assert smtp_auth("status", "--changes", "--json") == 0
    (noted,) = smtp_auth.json["changes"]
    assert (noted["address"], noted["before"], noted["after"]) == (anna, "inherits", "on")
    assert smtp_auth("sweep", "--yes") == 0
    assert "nothing to put back" in smtp_auth.out
    assert smtp_auth("enable", anna, "--yes") == 0
    assert f"the exception of {anna} no longer ends" in smtp_auth.out


def test_all_mailboxes_for_good_takes_exceptions_ends_away(smtp_auth: Terminal, person: Callable[..., str]) -> None:
    anna = person("anna")
    assert smtp_auth("enable", anna, "--until", TOMORROW, "--yes") == 0
    assert smtp_auth("enable", "--all", "--yes") == 0
    assert f"the exception of {anna} no longer ends" in smtp_auth.out


def test_looking_needs_no_place_for_a_record(
    smtp_auth: Terminal, person: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = person("anna")
    monkeypatch.setenv("PROVISION_JOURNAL", "https://api.pulumi.com")
    assert smtp_auth("status", anna) == 0
    assert "not shown" in smtp_auth.err
    assert smtp_auth("enable", anna, "--yes") == 3
    assert "--journal" in smtp_auth.err


@pytest.mark.parametrize("day", ["2020-01-01", "tomorrow", "2026-13-01"])
def test_an_end_is_a_day_to_come(day: str) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["smtp-auth", "enable", "anna@contoso.example", "--until", day])
    assert ended.value.code == 2


def test_the_organization_is_lowered_only_on_purpose(smtp_auth: Terminal) -> None:
    assert smtp_auth("org") == 0
    assert "SMTP AUTH off" in smtp_auth.out
    for flag in ("--smtp-auth", "--legacy-tls"):
        assert smtp_auth("org", flag, "on", "--yes") == 2
        assert "--lower-security" in smtp_auth.err
        assert "smtp-auth enable" in smtp_auth.err
    assert smtp_auth("org", "--smtp-auth", "on", "--lower-security", "--yes", "--json") == 0
    assert smtp_auth.json == {"smtpAuth": "on", "legacyTls": "off", "changed": True}
    assert smtp_auth("org", "--smtp-auth", "off", "--yes") == 0
    assert "inherit; those of them that send by SMTP AUTH stop" in smtp_auth.err
    assert smtp_auth("undo", "--yes") == 2  # it was on before
    assert smtp_auth("undo", "--yes", "--lower-security") == 0
    assert smtp_auth("org", "--json") == 0
    assert smtp_auth.json["smtpAuth"] == "on"


def test_what_cannot_be_meant(smtp_auth: Terminal, person: Callable[..., str], tmp_path: Path) -> None:
    anna = person("anna")
    assert smtp_auth("enable", "--yes") == 2
    assert smtp_auth("enable", anna, "--all") == 2
    assert smtp_auth("enable", "anna") == 3
    assert smtp_auth("enable", "--csv", str(tmp_path / "none.csv")) == 3
    assert smtp_auth("undo", anna) == 3
    assert smtp_auth("enable", anna, "--powershell", "--until", TOMORROW) == 2


@pytest.mark.parametrize("command", ["enable", "disable", "inherit"])
def test_a_script_is_made_without_signing_in(
    smtp_auth: Terminal, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "")
    monkeypatch.setenv("ARM_METADATA_HOSTNAME", "localhost:1")
    assert smtp_auth(command, "o'brien@contoso.example", "--powershell") == 0
    assert "'o''brien@contoso.example'" in smtp_auth.out
    assert "Connect-ExchangeOnline" in smtp_auth.out
    assert smtp_auth("org", "--smtp-auth", "off", "--powershell") == 0
    assert "Set-TransportConfig -SmtpClientAuthenticationDisabled $true" in smtp_auth.out


def test_a_killed_run_is_continued_and_undone_as_one(
    smtp_auth: Terminal, environment: dict[str, str], person: Callable[..., str], sandbox: Sandbox
) -> None:
    people = [person(f"p{number}", smtpAuth=("off", "inherit")[number % 2]) for number in range(4)]
    reads = 2 * len(people)  # each by name: its switch, then its kind
    rule = {"match": {"path": "/InvokeCommand"}, "action": "hold_before", "after_n": reads + 2}
    sandbox.set_faults([rule])
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/smtp_auth.py"), "enable", *people, "--yes"],
        env={**os.environ, **environment},
    )
    try:
        until = time.monotonic() + 60
        while not sandbox.status()["held"]:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
        sandbox.clear_faults()
    assert smtp_auth("enable", *people, "--yes", "--json") == 0
    assert (len(smtp_auth.json["changed"]), smtp_auth.json["asWanted"]) == (2, 2)
    assert smtp_auth("undo", "--yes", "--json") == 0
    assert [change["after"] for change in smtp_auth.json["changed"]] == ["off", "inherits"] * 2


def test_mail_goes_out_by_smtp_exactly_while_it_is_switched_on(
    smtp_auth: Terminal, sandbox: Sandbox, tenant: Tenant
) -> None:
    wanted = {"alias": "anna", "mailbox": "user", "password": "Long-enough-7-for-Entra", "mfa": "off"}
    anna = sandbox.new_people(tenant, wanted)[0].user_principal_name
    trusted = ssl.create_default_context(cafile=str(sandbox.ca_file))
    host, port = sandbox.smtp_address.rsplit(":", 1)

    def sends() -> str:
        with smtplib.SMTP(host, int(port), timeout=30) as session:
            session.starttls(context=trusted)
            try:
                session.login(anna, wanted["password"])
                session.sendmail(anna, [anna], f"From: {anna}\r\nTo: {anna}\r\nSubject: Hello\r\n\r\nHello.\r\n")
            except smtplib.SMTPAuthenticationError as refused:
                return f"{refused.smtp_code} {refused.smtp_error!r}"
        return "sent"

    assert "SmtpClientAuthentication is disabled for the Tenant" in sends()
    assert smtp_auth("enable", anna, "--yes") == 0
    assert sends() == "sent"
    assert smtp_auth("undo", "--yes") == 0
    assert "535" in sends()
