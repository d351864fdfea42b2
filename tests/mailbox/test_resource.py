"""The Pulumi resource's rules that need no engine; the rest is in ``tests/journeys/test_smtp_auth.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pulumi.dynamic import ConfigureRequest, dynamic
from pulumi.dynamic.config import Config
from pulumi.runtime import rpc

from provision.errors import InvalidInput
from provision.mailbox.resource import SmtpAuthProvider, checked_mailboxes
from provision.mailbox.tenant import Where
from provision.settings.stack import StackSettings

ANNA = {"mailbox": "anna@contoso.example", "smtpAuth": "on"}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> SmtpAuthProvider:
    monkeypatch.setattr("sys.tracebacklimit", 1000, raising=False)
    monkeypatch.setattr(SmtpAuthProvider, "_where", Where())
    return SmtpAuthProvider()


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({}, []),
        ({"mailbox": rpc.UNKNOWN}, []),
        ({"mailbox": "anna"}, ["mailbox"]),
        ({"mailbox": None}, ["mailbox"]),
        ({"smtpAuth": "enabled"}, ["smtpAuth"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    provider: SmtpAuthProvider, changed: dict[str, object], failing: list[str]
) -> None:
    assert [failure.property for failure in provider.check({}, {**ANNA, **changed}).failures] == failing


@pytest.mark.parametrize(
    ("changed", "changes", "replaces"),
    [
        ({}, False, []),
        ({"mailbox": "ANNA@contoso.example"}, False, []),
        ({"smtpAuth": "off"}, True, []),
        ({"mailbox": "ben@contoso.example"}, True, ["mailbox"]),
    ],
)
def test_another_mailbox_is_another_resource(
    provider: SmtpAuthProvider, changed: dict[str, object], changes: bool, replaces: list[str]
) -> None:
    found = provider.diff("id", {**ANNA, "before": "inherits"}, {**ANNA, **changed})
    assert (found.changes, found.replaces) == (changes, replaces)


def test_where_comes_from_the_configuration_and_is_in_no_state(provider: SmtpAuthProvider) -> None:
    before = dynamic.serialize_provider(provider)
    config = {"azuread:tenantId": "t", "azuread:metadataHost": "localhost:1", "office365-mail:credential": "azure-cli"}
    provider.configure(ConfigureRequest(Config(config, "office365-mail")))
    assert provider._where == Where("t", "localhost:1", None, "azure-cli", None)
    assert dynamic.serialize_provider(SmtpAuthProvider()) == before


def test_a_stack_does_not_wait_for_a_person(tmp_path: Path) -> None:
    config = {"companyCode": "ACME", "credential": "device-code", "smtpAuthMailboxes": "anna@contoso.example"}
    settings = StackSettings.from_config({f"office365-mail:{key}": value for key, value in config.items()})
    with pytest.raises(InvalidInput, match="device-code"):
        checked_mailboxes(settings, {})


def test_a_stack_without_mailboxes_asks_nobody() -> None:
    assert checked_mailboxes(StackSettings.from_config({"office365-mail:companyCode": "ACME"}), {}) == []
