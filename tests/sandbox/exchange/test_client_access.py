"""``Get-CASMailbox`` and ``Set-CASMailbox``: three states, by every identity, known to SMTP after a while."""

from __future__ import annotations

import pytest

from provision.sandbox.exchange import mailboxes, organization, propagation

SWITCH = "SmtpClientAuthenticationDisabled"


@pytest.mark.parametrize("value", [True, False, None])
def test_the_three_states_are_kept_and_shown(exchange, value):
    exchange.run("Set-CASMailbox", Identity="ada", **{SWITCH: not value})
    exchange.run("Set-CASMailbox", Identity="ada", **{SWITCH: value})
    (row,) = exchange.run("Get-CASMailbox", Identity="ada")
    assert row[SWITCH] is value
    assert exchange.mailbox("bob")[SWITCH] is None


@pytest.mark.parametrize(
    "identity",
    [
        lambda e: "ADA",
        lambda e: "Ada Ozola",
        lambda e: f"Ada@{e.seeded.domain}",
        lambda e: "ada@contoso.example",
        lambda e: e.mailbox("ada")["id"].upper(),
        lambda e: e.user("ada")["id"],
        lambda e: e.run("Get-Mailbox", Identity="ada")[0]["DistinguishedName"],
        lambda e: e.run("Get-Mailbox", Identity="ada")[0]["Identity"],
    ],
)
def test_every_form_of_an_identity_names_the_same_mailbox(exchange, identity):
    name = identity(exchange)
    exchange.run("Set-CASMailbox", Identity=name, **{SWITCH: False})
    assert exchange.mailbox("ada")[SWITCH] is False
    assert exchange.run("Get-CASMailbox", Identity=name)[0]["Guid"] == exchange.mailbox("ada")["id"]


def test_setting_what_is_set_warns_and_gives_nothing_back(exchange):
    parameters = {"Identity": "ada", SWITCH: False, "PopEnabled": True}
    first = exchange.call("Set-CASMailbox", parameters).json()
    again = exchange.call("Set-CASMailbox", parameters).json()
    assert (first["value"], first["@adminapi.warnings"], again["value"]) == ([], [], [])
    identity = exchange.user("ada")["id"]
    assert again["@adminapi.warnings"] == [
        f"The command completed successfully but no settings of '{identity}' have been modified."
    ]
    other = exchange.call("Set-CASMailbox", {"Identity": "ada", SWITCH: None}).json()
    assert other["@adminapi.warnings"] == []


def test_numbers_are_booleans_as_in_powershell(exchange):
    exchange.run("Set-CASMailbox", Identity="ada", **{SWITCH: 0})
    assert exchange.mailbox("ada")[SWITCH] is False


def test_a_change_is_read_back_at_once_and_known_to_smtp_after_the_delay(exchange):
    exchange.world.weather.set_conditions({"exchange_delay": 3600})
    exchange.run("Set-CASMailbox", Identity="ada", **{SWITCH: False})
    exchange.run("Set-TransportConfig", **{SWITCH: False})
    assert exchange.run("Get-CASMailbox", Identity="ada")[0][SWITCH] is False
    assert exchange.run("Get-TransportConfig")[0][SWITCH] is False
    known = propagation.in_effect(exchange.directory, exchange.mailbox("ada"))
    assert known[SWITCH] is None
    whole = organization.transport_config(exchange.directory, exchange.tenant)
    assert propagation.in_effect(exchange.directory, whole)[SWITCH] is True
    exchange.world.weather.set_conditions({"exchange_delay": 0})
    assert propagation.in_effect(exchange.directory, exchange.mailbox("ada"))[SWITCH] is False


def test_lists_are_replaced_or_changed(exchange):
    exchange.run("Set-CASMailbox", Identity="ada", EwsAllowList=["One/*", "Two/*"])
    change = {"@odata.type": "#Exchange.GenericHashTable", "Add": ["Three/*", "two/*"], "Remove": "one/*"}
    exchange.run("Set-CASMailbox", Identity="ada", EwsAllowList=change)
    assert exchange.run("Get-CASMailbox", Identity="ada")[0]["EwsAllowList"] == ["Two/*", "Three/*"]
    assert exchange.refusal("Set-CASMailbox", Identity="ada", EwsAllowList={"Replace": "x"})[0] == 400


def test_rooms_and_shared_mailboxes_are_switched_like_others_and_groups_are_not_found(exchange):
    """Exchange keeps the switch of any mailbox; whether it helps is decided when somebody signs in."""
    exchange.people({"alias": "team", "mailbox": "group"}, {"alias": "gone", "mailbox": "softdeleted"})
    for alias in ("dispatch", "boardroom"):
        exchange.run("Set-CASMailbox", Identity=alias, **{SWITCH: False})
        assert exchange.mailbox(alias)[SWITCH] is False
    for name in ("team", f"team@{exchange.seeded.domain}", "gone", "reader"):
        assert (
            exchange.refusal("Set-CASMailbox", Identity=name, **{SWITCH: False})[1]
            == "ManagementObjectNotFoundException"
        )


def test_smtp_auth_cannot_be_filtered_by_on_the_server(exchange):
    """It is none of the filterable properties; whoever wants it reads all pages."""
    _, _, sentence = exchange.refusal("Get-CASMailbox", Filter=f"{SWITCH} -eq $false")
    assert f'"{SWITCH}" is not a recognized filterable property.' in sentence


def test_ten_thousand_mailboxes_are_read_in_ten_pages(exchange):
    exchange.people({"alias": "m", "count": 10_000, "smtpAuth": "off"})
    pages = 0
    url, seen = None, 0
    while True:
        body = exchange.call("Get-CASMailbox", {"ResultSize": "Unlimited"}, url=url).json()
        pages += 1
        seen += sum(row[SWITCH] is True for row in body["value"])
        url = body.get("@odata.nextLink")
        if url is None:
            break
    assert (pages, seen) == (11, 10_000)
    assert mailboxes.by_address(exchange.directory, exchange.tenant, f"m9999@{exchange.seeded.domain}")
