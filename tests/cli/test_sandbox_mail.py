"""The states of mail of a running local tenant, set from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provision.cli import run
from provision.sandbox import Sandbox


def test_a_google_customer_is_made_and_its_key_is_for_its_owner_only(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, where = tmp_path / "key.json", ["--dir", str(sandbox.directory)]
    wanted = json.dumps({"users": [{"alias": "anna"}]})
    assert run(["sandbox", "google", "create", wanted, "--key-file", str(key), *where]) == 0
    made = json.loads(capsys.readouterr().out)
    assert "serviceAccount" not in made
    assert key.stat().st_mode & 0o777 == 0o600
    assert json.loads(key.read_text())["type"] == "service_account"
    (anna,) = made["users"]
    assert run(["sandbox", "google", "change", anna["primaryEmail"], '{"suspended": true}', *where]) == 0
    assert run(["sandbox", "google", "messages", anna["primaryEmail"], *where]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert run(["sandbox", "google", "create", wanted, "--key-file", str(key), *where]) == 11


def test_ews_and_own_accounts_are_set_for_the_first_tenant_unless_another_is_named(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--dir", str(sandbox.directory)]
    other = sandbox.new_tenant()
    assert run(["sandbox", "ews", "set", '{"enabled": false}', "--tenant", other.domain, *where]) == 0
    assert json.loads(capsys.readouterr().out)["enabled"] is False
    assert run(["sandbox", "onpremises", "create", '[{"alias": "ada"}]', "--tenant", other.domain, *where]) == 0
    (ada,) = json.loads(capsys.readouterr().out)
    assert ada["mail"] == f"ada@{other.domain.partition('.')[0]}.example"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["ews", "set", "{"], "are not JSON"),
        (["ews", "set", "[]"], "are a JSON object"),
        (["ews", "set", '{"colour": 1}'], "unknown key 'colour'"),
        (["ews", "set", '{"enabled": "yes"}'], "is true, false or null"),
        (["ews", "set", '{"mailboxes": {"nobody@acme.example": true}}'], "there is no mailbox"),
        (["onpremises", "create", '[{"alias": "a", "mailbox": "moon"}]'], "no mailbox 'moon'"),
        (["onpremises", "create", '[{"colour": 1}]'], "an account has no 'colour'"),
        (["google", "change", "nobody@acme.example", "{}"], "there is no Google user"),
    ],
)
def test_what_is_not_understood_is_one_sentence(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], command: list[str], says: str
) -> None:
    assert run(["sandbox", *command, "--dir", str(sandbox.directory)]) == 3
    assert says.lower() in capsys.readouterr().err.lower()
