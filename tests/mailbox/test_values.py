"""A mailbox's switch has three values, Exchange stores the opposite, and the mailbox beats the organization."""

from __future__ import annotations

import pytest

from provision.errors import ProvisionError
from provision.mailbox.obstacles import BY_TYPE, OBSTACLES, by_type
from provision.mailbox.reading import mailbox_of
from provision.mailbox.values import Organization, Switch

ROW = {"Guid": "g", "PrimarySmtpAddress": "Anna@contoso.example", "SmtpClientAuthenticationDisabled": None}


@pytest.mark.parametrize(("disabled", "switch"), [(None, "inherits"), (True, "off"), (False, "on")])
def test_exchange_stores_the_opposite(disabled: bool | None, switch: str) -> None:
    assert Switch.from_exchange(disabled) == switch
    assert Switch(switch).for_exchange is disabled


@pytest.mark.parametrize(
    ("switch", "organization", "allowed"),
    [
        ("on", False, True),
        ("on", True, True),
        ("off", True, False),
        ("off", False, False),
        ("inherits", True, True),
        ("inherits", False, False),
    ],
)
def test_the_mailbox_beats_the_organization(switch: str, organization: bool, allowed: bool) -> None:
    assert Switch(switch).allows(Organization(smtp_auth=organization, legacy_tls=False)) is allowed


def test_a_property_that_is_not_shown_is_not_inherits() -> None:
    row = {name: value for name, value in ROW.items() if name != "SmtpClientAuthenticationDisabled"}
    with pytest.raises(
        ProvisionError, match=r"does not show SmtpClientAuthenticationDisabled of Anna@contoso\.example"
    ):
        mailbox_of(row)


def test_a_mailbox_is_found_by_each_of_its_addresses() -> None:
    row = {**ROW, "EmailAddresses": ["SMTP:Anna@contoso.example", "smtp:a.berg@contoso.example", "X500:/o=x"]}
    assert mailbox_of(row).addresses == ("anna@contoso.example", "a.berg@contoso.example")


def test_only_users_and_shared_mailboxes_can_have_it() -> None:
    assert [kind for kind in BY_TYPE if by_type(kind) is None] == ["UserMailbox", "LinkedMailbox", "SharedMailbox"]
    assert by_type("DiscoveryMailbox") is OBSTACLES["other-type"]


def test_each_type_leads_to_a_reason_that_is_there() -> None:
    assert {name for name in BY_TYPE.values() if name} <= set(OBSTACLES)
