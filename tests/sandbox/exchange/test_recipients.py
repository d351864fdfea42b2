"""``Get-Mailbox``, ``Get-Recipient``, ``Get-User`` and the members of groups: who is shown, and how filters choose."""

from __future__ import annotations

import pytest


def names(rows) -> set[str]:
    return {row["Alias"] for row in rows}


def test_types_are_told_apart(exchange):
    assert names(exchange.run("Get-Mailbox", RecipientTypeDetails="SharedMailbox")) == {"dispatch"}
    assert names(exchange.run("Get-Mailbox", RecipientTypeDetails=["RoomMailbox", "SharedMailbox"])) == {
        "boardroom",
        "dispatch",
    }
    assert names(exchange.run("Get-Mailbox", RecipientTypeDetails="userMailbox,RoomMailbox")) == {
        "admin",
        "appadmin",
        "ada",
        "bob",
        "boardroom",
    }
    assert exchange.run("Get-Mailbox", RecipientTypeDetails="TeamMailbox") == []
    assert exchange.refusal("Get-Mailbox", Identity="ada", RecipientTypeDetails="SharedMailbox")[0] == 404


def test_licence_and_sign_in_are_shown(exchange):
    rows = {row["Alias"]: row for row in exchange.run("Get-Mailbox")}
    assert rows["ada"]["SKUAssigned"] is True
    assert rows["dispatch"]["SKUAssigned"] is False
    assert (rows["ada"]["AccountDisabled"], rows["boardroom"]["AccountDisabled"]) == (False, True)
    assert rows["boardroom"]["ResourceType"] == "Room"
    assert rows["dispatch"]["IsShared"] is True


def test_soft_deleted_mailboxes_are_a_list_of_their_own(exchange):
    exchange.people({"alias": "gone", "mailbox": "softdeleted"})
    assert "gone" not in names(exchange.run("Get-Mailbox"))
    (row,) = exchange.run("Get-Mailbox", SoftDeletedMailbox=True)
    assert row["Alias"] == "gone"
    assert row["WhenSoftDeleted"]
    assert row["IsSoftDeletedByDisable"] is True
    assert exchange.run("Get-Mailbox", Identity="gone", SoftDeletedMailbox=True) == [row]
    assert exchange.refusal("Get-Mailbox", Identity="gone")[0] == 404
    assert exchange.refusal("Get-Mailbox", Identity="ada", SoftDeletedMailbox=True)[0] == 404


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Alias -eq 'ada'", {"ada"}),
        ("alias -EQ 'ADA'", {"ada"}),
        ('{Alias -eq "ada"}', {"ada"}),
        ("(Alias -eq 'ada') -or (Alias -eq 'bob')", {"ada", "bob"}),
        ("RecipientTypeDetails -eq 'UserMailbox' -and -not (Alias -like 'a*')", {"bob"}),
        ("Alias -like '*min'", {"admin", "appadmin"}),
        ("Alias -notlike '*a*'", {"bob"}),
        ("EmailAddresses -like 'smtp:bob@*'", {"bob"}),
        ("RecipientTypeDetails -ne 'UserMailbox'", {"dispatch", "boardroom"}),
        ("CustomAttribute1 -eq $null", {"admin", "appadmin", "ada", "bob", "dispatch", "boardroom"}),
        ("CustomAttribute1 -ne $null", set()),
        ("HiddenFromAddressListsEnabled -eq $true", set()),
        ("HiddenFromAddressListsEnabled -eq 'False' -and Alias -eq 'bob'", {"bob"}),
        ("DisplayName -eq 'Ada Ozola' -or Alias -eq 'bob' -and Alias -eq 'ada'", {"ada"}),
    ],
)
def test_filters_choose(exchange, text, expected):
    assert names(exchange.run("Get-Mailbox", Filter=text)) == expected
    chosen = names(exchange.run("Get-Recipient", Filter=text))
    assert chosen == expected


@pytest.mark.parametrize(
    "text",
    [
        "Alias -eq",
        "Alias",
        "Alias -equals 'ada'",
        "(Alias -eq 'ada'",
        "Alias -eq 'ada' Alias -eq 'bob'",
        "-and Alias -eq 'ada'",
        "Alias -eq 'ada",
        "'ada' -eq Alias",
        "Alias -like 'a*b'",
        "Alias -like $null",
        "Password -eq 'x'",
        "_userId -eq 'x'",
        ";",
        "{}",
        "(" * 500,
    ],
)
def test_filters_that_cannot_be_read_are_refused(exchange, text):
    status, _, sentence = exchange.refusal("Get-Mailbox", Filter=text)
    assert status == 400
    assert "Filter" in sentence


def test_a_quote_inside_a_text_is_doubled(exchange):
    user = {**exchange.user("bob"), "displayName": "Bob O'Neil"}
    exchange.directory.replace(exchange.tenant, "user", user)
    exchange.directory.replace(exchange.tenant, "mailbox", {**exchange.mailbox("bob"), "DisplayName": "Bob O'Neil"})
    assert names(exchange.run("Get-Mailbox", Filter="DisplayName -eq 'Bob O''Neil'")) == {"bob"}


def test_recipients_are_mailboxes_and_mail_enabled_groups(exchange):
    exchange.people({"alias": "team", "mailbox": "group"}, {"alias": "list", "mailbox": "distribution"})
    kinds = {row["Alias"]: row["RecipientTypeDetails"] for row in exchange.run("Get-Recipient")}
    assert kinds["team"] == "GroupMailbox"
    assert kinds["list"] == "MailUniversalDistributionGroup"
    assert kinds["ada"] == "UserMailbox"
    assert "reader" not in kinds
    assert names(exchange.run("Get-Recipient", RecipientTypeDetails="GroupMailbox")) == {"team"}
    assert exchange.run("Get-Recipient", Identity=f"team@{exchange.seeded.domain}")[0]["Alias"] == "team"
    assert names(exchange.run("Get-Recipient", Anr="da")) == set()
    assert names(exchange.run("Get-Recipient", Anr="ADA")) == {"ada"}
    assert exchange.refusal("Get-Recipient", Identity="reader")[0] == 404
    assert exchange.refusal("Get-Mailbox", Identity="team")[0] == 404


def test_a_name_of_a_mailbox_and_a_group_is_ambiguous(exchange):
    exchange.people({"alias": "finance"}, {"alias": "finance2", "mailbox": "group"})
    (group,) = exchange.directory.find(exchange.tenant, "group", displayName="finance2")
    exchange.directory.replace(exchange.tenant, "group", {**group, "displayName": "Finance"})
    assert exchange.refusal("Get-Recipient", Identity="finance")[1] == "ManagementObjectAmbiguousException"


def test_members_of_each_kind_of_group(exchange):
    domain = exchange.seeded.domain
    members = [f"ada@{domain}", f"dispatch@{domain}", f"reader@{domain}"]
    exchange.people(
        {"alias": "team", "mailbox": "group", "members": members},
        {"alias": "list", "mailbox": "distribution", "members": members},
    )
    rows = exchange.run("Get-UnifiedGroupLinks", Identity="team", LinkType="Members")
    assert [row["RecipientTypeDetails"] for row in rows] == ["UserMailbox", "SharedMailbox", "User"]
    assert exchange.run("Get-DistributionGroupMember", Identity=f"list@{domain}") == rows
    assert exchange.run("Get-UnifiedGroupLinks", Identity="team", LinkType="Owners") == []
    assert exchange.refusal("Get-DistributionGroupMember", Identity="team")[0] == 404
    assert exchange.refusal("Get-UnifiedGroupLinks", Identity="list", LinkType="Members")[0] == 404
    assert exchange.refusal("Get-UnifiedGroupLinks", Identity="team", LinkType="Friends")[0] == 400


def test_members_come_in_pages(exchange):
    made = exchange.people({"alias": "m", "count": 7})
    names_of = [row["userPrincipalName"] for row in made]
    exchange.people({"alias": "team", "mailbox": "group", "members": names_of})
    parameters = {"Identity": "team", "LinkType": "Members"}
    seen, url = [], None
    while True:
        headers = {"Prefer": "odata.maxpagesize=3"}
        body = exchange.call("Get-UnifiedGroupLinks", parameters, url=url, headers=headers).json()
        assert len(body["value"]) <= 3
        seen += [row["PrimarySmtpAddress"] for row in body["value"]]
        url = body.get("@odata.nextLink")
        if url is None:
            break
    assert seen == names_of


def test_users_are_everybody_with_or_without_a_mailbox(exchange):
    rows = {row["DisplayName"]: row for row in exchange.run("Get-User")}
    assert rows["Rita Reader"]["RecipientTypeDetails"] == "User"
    assert rows["Ada Ozola"]["RecipientTypeDetails"] == "UserMailbox"
    assert [row["DisplayName"] for row in exchange.run("Get-User", RecipientTypeDetails="User")] == ["Rita Reader"]
    assert [row["DisplayName"] for row in exchange.run("Get-User", Filter="DisplayName -like 'Ada*'")] == ["Ada Ozola"]
    assert exchange.refusal("Get-User", Identity="nobody")[0] == 404


def test_a_mailbox_is_converted_and_marked(exchange):
    exchange.run("Set-Mailbox", Identity="ada", Type="Shared", CustomAttribute1="Invoices")
    (row,) = exchange.run("Get-Mailbox", Identity="ada")
    assert (row["RecipientTypeDetails"], row["CustomAttribute1"]) == ("SharedMailbox", "Invoices")
    warning = exchange.call("Set-Mailbox", {"Identity": "ada", "Type": "shared"}).json()["@adminapi.warnings"]
    assert "no settings of" in warning[0]
    assert exchange.refusal("Set-Mailbox", Identity="ada", Type="Linked")[0] == 400


# What Graph does to mailboxes


def graph(exchange, method: str, path: str, body=None):
    token = exchange.app_token("User.ReadWrite.All", "Directory.ReadWrite.All", audience="https://graph.microsoft.com")
    headers = {"Authorization": f"Bearer {token}"}
    response = exchange.send(method, f"https://localhost:8443/v1.0{path}", graph=True, json=body, headers=headers)
    assert response.is_success, response.text
    return response.json() if response.content else None


def test_a_licence_taken_away_soft_deletes_the_mailbox_and_one_given_again_brings_it_back(exchange):
    ada = exchange.user("ada")
    before = exchange.mailbox("ada")["id"]
    exchange.run("Set-CASMailbox", Identity="ada", SmtpClientAuthenticationDisabled=False)
    sku = ada["assignedLicenses"][0]["skuId"]
    graph(exchange, "POST", f"/users/{ada['id']}/assignLicense", {"addLicenses": [], "removeLicenses": [sku]})
    assert exchange.refusal("Get-CASMailbox", Identity="ada")[0] == 404
    assert names(exchange.run("Get-Mailbox", SoftDeletedMailbox=True)) == {"ada"}
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    graph(exchange, "POST", f"/users/{ada['id']}/assignLicense", body)
    (row,) = exchange.run("Get-CASMailbox", Identity="ada")
    assert (row["Guid"], row["SmtpClientAuthenticationDisabled"]) == (before, False)
    assert exchange.mailbox("ada")["_restoredAt"]


def test_a_disabled_exchange_plan_is_no_mail_licence(exchange):
    ada = exchange.user("ada")
    licence = ada["assignedLicenses"][0]["skuId"]
    (sku,) = [row for row in exchange.directory.all(exchange.tenant, "subscribedSku") if row["skuId"] == licence]
    plans = [row["servicePlanId"] for row in sku["servicePlans"]]
    body = {"addLicenses": [{"skuId": licence, "disabledPlans": plans}], "removeLicenses": []}
    graph(exchange, "POST", f"/users/{ada['id']}/assignLicense", body)
    assert exchange.refusal("Get-Mailbox", Identity="ada")[0] == 404


def test_a_shared_mailbox_needs_no_licence(exchange):
    exchange.run("Set-Mailbox", Identity="ada", Type="Shared")
    ada = exchange.user("ada")
    sku = ada["assignedLicenses"][0]["skuId"]
    graph(exchange, "POST", f"/users/{ada['id']}/assignLicense", {"addLicenses": [], "removeLicenses": [sku]})
    assert exchange.run("Get-Mailbox", Identity="ada")[0]["SKUAssigned"] is False


def test_a_mailbox_goes_with_its_user_and_comes_back_with_him(exchange):
    ada = exchange.user("ada")
    graph(exchange, "DELETE", f"/users/{ada['id']}")
    assert exchange.refusal("Get-Mailbox", Identity="ada")[0] == 404
    (gone,) = exchange.run("Get-Mailbox", SoftDeletedMailbox=True)
    assert (gone["IsSoftDeletedByRemove"], gone["UserPrincipalName"]) == (True, ada["userPrincipalName"])
    graph(exchange, "POST", f"/directory/deletedItems/{ada['id']}/restore")
    assert exchange.run("Get-Mailbox", Identity="ada")[0]["ExchangeGuid"] == gone["ExchangeGuid"]
    graph(exchange, "DELETE", f"/users/{ada['id']}")
    graph(exchange, "DELETE", f"/directory/deletedItems/{ada['id']}")
    assert exchange.run("Get-Mailbox", SoftDeletedMailbox=True) == []


def test_a_new_display_name_reaches_the_mailbox(exchange):
    graph(exchange, "PATCH", f"/users/{exchange.user('ada')['id']}", {"displayName": "Ada Berzina"})
    assert exchange.run("Get-Mailbox", Identity="Ada Berzina")[0]["Alias"] == "ada"
