"""Transport and organisation settings, authentication policies, SendAs, blocked senders, domains."""

from __future__ import annotations

import pytest

from provision.sandbox.exchange import organization

OFF = "SmtpClientAuthenticationDisabled"


def test_a_new_organisation_has_smtp_auth_off(exchange):
    """The default of organisations made after January 2020."""
    (row,) = exchange.run("Get-TransportConfig")
    assert row[OFF] is True
    assert row["Identity"] == "Transport Settings"
    exchange.run("Set-TransportConfig", **{OFF: False}, AllowLegacyTLSClients=True)
    (row,) = exchange.run("Get-TransportConfig")
    assert (row[OFF], row["AllowLegacyTLSClients"]) == (False, True)
    again = exchange.call("Set-TransportConfig", {OFF: False}).json()
    assert "no settings of 'Transport Settings'" in again["@adminapi.warnings"][0]


def test_the_organisations_switch_has_two_states(exchange):
    assert exchange.refusal("Set-TransportConfig", **{OFF: None})[1] == "ParameterTransformationException"


def test_a_new_policy_blocks_what_it_does_not_name(exchange):
    (made,) = exchange.run("New-AuthenticationPolicy", Name="Block Basic", AllowBasicAuthImap=True)
    allowed = {name for name, value in made.items() if name.startswith("AllowBasicAuth") and value is True}
    assert allowed == {"AllowBasicAuthImap"}
    assert made["AllowBasicAuthSmtp"] is False
    exchange.run("Set-AuthenticationPolicy", Identity="block basic", AllowBasicAuthSmtp=True)
    assert exchange.run("Get-AuthenticationPolicy", Identity=made["Guid"])[0]["AllowBasicAuthSmtp"] is True
    again = exchange.call("Set-AuthenticationPolicy", {"Identity": "Block Basic", "AllowBasicAuthSmtp": True}).json()
    assert again["@adminapi.warnings"]
    assert exchange.refusal("New-AuthenticationPolicy", Name="BLOCK BASIC")[0] == 409
    assert exchange.refusal("Set-AuthenticationPolicy", Identity="Other")[0] == 404


@pytest.mark.parametrize("alias", ["ada", "reader"])
def test_a_policy_is_given_to_a_person_and_goes_when_it_is_removed(exchange, alias):
    """Reader has no mailbox: his policy is kept all the same."""
    name = f"{alias}@{exchange.seeded.domain}"
    assert exchange.refusal("Set-User", Identity=name, AuthenticationPolicy="Block")[0] == 404
    exchange.run("New-AuthenticationPolicy", Name="Block")
    exchange.run("Set-User", Identity=name, AuthenticationPolicy="block")
    assert exchange.run("Get-User", Identity=name)[0]["AuthenticationPolicy"] == "Block"
    assert "no settings of" in str(
        exchange.call("Set-User", {"Identity": name, "AuthenticationPolicy": "Block"}).json()
    )
    exchange.run("Remove-AuthenticationPolicy", Identity="Block")
    assert exchange.run("Get-User", Identity=name)[0]["AuthenticationPolicy"] is None
    assert exchange.run("Get-AuthenticationPolicy") == []


def _applied(exchange, alias: str) -> str | None:
    found = exchange.directory.find(exchange.tenant, "mailbox", Alias=alias)
    policy = organization.authentication_policy(
        exchange.directory, exchange.tenant, exchange.user(alias), found[0] if found else None
    )
    return policy["Name"] if policy else None


def test_the_organisations_policy_applies_to_whoever_has_none(exchange):
    for name in ("Strict", "Loose"):
        exchange.run("New-AuthenticationPolicy", Name=name)
    assert exchange.refusal("Set-OrganizationConfig", DefaultAuthenticationPolicy="Nothing")[0] == 404
    exchange.run("Set-OrganizationConfig", DefaultAuthenticationPolicy="strict")
    exchange.run("Set-User", Identity="ada", AuthenticationPolicy="Loose")
    assert [_applied(exchange, alias) for alias in ("ada", "bob", "reader")] == ["Loose", "Strict", "Strict"]
    exchange.run("Set-User", Identity="ada", AuthenticationPolicy=None)
    exchange.run("Set-OrganizationConfig", DefaultAuthenticationPolicy=None)
    assert [_applied(exchange, alias) for alias in ("ada", "bob")] == [None, None]


def test_a_policy_works_after_the_delay_or_when_the_tokens_are_ended(exchange):
    """``-STSRefreshTokensValidFrom`` is what makes a policy work sooner; it ends sessions, too."""
    exchange.run("New-AuthenticationPolicy", Name="Block")
    exchange.world.weather.set_conditions({"exchange_delay": 3600})
    exchange.run("Set-User", Identity="ada", AuthenticationPolicy="Block")
    assert exchange.run("Get-User", Identity="ada")[0]["AuthenticationPolicy"] == "Block"
    assert _applied(exchange, "ada") is None
    exchange.run("Set-User", Identity="ada", STSRefreshTokensValidFrom="2026-11-25T20:00:00Z")
    assert _applied(exchange, "ada") == "Block"
    assert exchange.user("ada")["signInSessionsValidFromDateTime"] == "2026-11-25T20:00:00Z"
    assert exchange.refusal("Set-User", Identity="ada", STSRefreshTokensValidFrom="now")[0] == 400


def test_ews_settings_of_the_organisation(exchange):
    (row,) = exchange.run("Get-OrganizationConfig")
    assert (row["EwsEnabled"], row["EwsApplicationAccessPolicy"], row["EwsAllowedAppIDs"]) == (None, None, None)
    exchange.run(
        "Set-OrganizationConfig",
        EwsEnabled=True,
        EwsApplicationAccessPolicy="enforceallowlist",
        EwsAllowedAppIDs=["a", "b"],
    )
    (row,) = exchange.run("Get-OrganizationConfig")
    assert (row["EwsEnabled"], row["EwsApplicationAccessPolicy"]) == (True, "EnforceAllowList")
    assert row["EwsAllowedAppIDs"] is None, "it is not shown unless it is asked for"
    (row,) = exchange.run("Get-OrganizationConfig", RetrieveEwsOperationAccessPolicy=True)
    assert row["EwsAllowedAppIDs"] == "a,b"
    exchange.run("Set-OrganizationConfig", EwsAllowedAppIDs="b, c")
    (row,) = exchange.run("Get-OrganizationConfig", RetrieveEwsOperationAccessPolicy=True)
    assert row["EwsAllowedAppIDs"] == "b,c", "it is set as a whole"
    added = {"@odata.type": "#Exchange.GenericHashTable", "Add": "d"}
    assert exchange.refusal("Set-OrganizationConfig", EwsAllowedAppIDs=added)[0] == 400
    exchange.run("Set-OrganizationConfig", EwsEnabled=None, EwsApplicationAccessPolicy=None)
    (row,) = exchange.run("Get-OrganizationConfig")
    assert (row["EwsEnabled"], row["EwsApplicationAccessPolicy"]) == (None, None)
    assert exchange.refusal("Set-OrganizationConfig", EwsApplicationAccessPolicy="Maybe")[0] == 400
    assert row["Name"] == exchange.seeded.domain


def test_send_as_is_given_shown_and_taken(exchange):
    parameters = {"Identity": "dispatch", "Trustee": "ada", "AccessRights": "SendAs"}
    exchange.run("Add-RecipientPermission", **parameters)
    trustees = [row["Trustee"] for row in exchange.run("Get-RecipientPermission", Identity="dispatch")]
    assert trustees == ["NT AUTHORITY\\SELF", f"ada@{exchange.seeded.domain}"]
    assert exchange.mailbox("dispatch")["_sendAs"] == [exchange.user("ada")["id"]]
    assert "already present" in str(exchange.call("Add-RecipientPermission", parameters).json()["@adminapi.warnings"])
    assert len(exchange.run("Get-RecipientPermission", Trustee="ada")) == 1
    exchange.run("Remove-RecipientPermission", **parameters)
    assert exchange.mailbox("dispatch")["_sendAs"] == []
    (warning,) = exchange.call("Remove-RecipientPermission", parameters).json()["@adminapi.warnings"]
    assert "the ACE doesn't exist on the object" in warning
    assert exchange.refusal("Add-RecipientPermission", **{**parameters, "AccessRights": "FullAccess"})[0] == 400
    assert exchange.refusal("Add-RecipientPermission", **{**parameters, "Trustee": "nobody"})[0] == 404


def test_send_as_lets_graph_send_from_the_other_address(exchange):
    def send() -> int:
        token = exchange.user_token("ada", "Mail.Send", audience="https://graph.microsoft.com")
        message = {
            "subject": "x",
            "from": {"emailAddress": {"address": f"dispatch@{exchange.seeded.domain}"}},
            "toRecipients": [{"emailAddress": {"address": f"bob@{exchange.seeded.domain}"}}],
        }
        url, headers = "https://localhost:8443/v1.0/me/sendMail", {"Authorization": f"Bearer {token}"}
        return exchange.send("POST", url, graph=True, json={"message": message}, headers=headers).status_code

    assert send() == 403
    exchange.run("Add-RecipientPermission", Identity="dispatch", Trustee="ada", AccessRights="SendAs")
    assert send() == 202


def test_a_blocked_sender_is_listed_and_let_go(exchange):
    exchange.people({"alias": "spammed", "blockedOutbound": True})
    address = f"spammed@{exchange.seeded.domain}"
    assert [row["SenderAddress"] for row in exchange.run("Get-BlockedSenderAddress")] == [address]
    assert exchange.run("Get-BlockedSenderAddress", SenderAddress="other@contoso.example") == []
    exchange.run("Remove-BlockedSenderAddress", SenderAddress=address.upper(), Reason="It was us")
    assert exchange.run("Get-BlockedSenderAddress") == []
    assert exchange.refusal("Remove-BlockedSenderAddress", SenderAddress=address)[0] == 404


def test_domains_and_their_signatures(exchange):
    domains = {row["DomainName"]: row for row in exchange.run("Get-AcceptedDomain")}
    assert domains["contoso.example"]["Default"] is True
    assert domains[exchange.seeded.domain]["InitialDomain"] is True
    signing = {row["Domain"]: row for row in exchange.run("Get-DkimSigningConfig")}
    assert signing["contoso.example"]["Enabled"] is False
    assert signing["contoso.example"]["Selector1CNAME"] == (
        f"selector1-contoso-example._domainkey.{exchange.seeded.domain}"
    )
    assert exchange.refusal("Get-DkimSigningConfig", Identity="fabrikam.example")[0] == 404


# The calendar of Basic SMTP AUTH


@pytest.mark.parametrize(
    ("day", "stage"),
    [("2026-12-30T23:59:59+00:00", "available"), ("2026-12-31T00:00:00+00:00", "off_by_default"),
     ("2028-01-01T00:00:00+00:00", "off_by_default")],
)  # fmt: skip
def test_the_stage_follows_the_tenants_clock(exchange, day, stage):
    import time
    from datetime import datetime

    exchange.directory.clock.skew = datetime.fromisoformat(day).timestamp() - time.time() - 0.5 * (stage == "available")
    if stage != "available":
        exchange.directory.clock.skew += 1
    assert organization.basic_smtp_stage(exchange.directory, exchange.tenant) == stage


def test_the_stage_can_be_set_by_hand(exchange):
    set_by = organization.set_basic_smtp
    assert set_by(exchange.directory, exchange.tenant, {"basicSmtpStage": "removed"})["stage"] == "removed"
    kept = set_by(exchange.directory, exchange.tenant, {"basicSmtpReenabled": True})
    assert (kept["stage"], kept["basicSmtpReenabled"]) == ("removed", True)
    assert set_by(exchange.directory, exchange.tenant, {"basicSmtpStage": None})["basicSmtpStage"] is None
    for wrong in ({"basicSmtpStage": "gone"}, {"basicSmtpReenabled": "yes"}, {"stage": "removed"}):
        with pytest.raises(organization.BadSetting):
            set_by(exchange.directory, exchange.tenant, wrong)
