"""What goes over the wire: bodies, annotations, pages, warnings, refusals, as real answers have them."""

from __future__ import annotations

import pytest

from provision.sandbox.exchange.cmdlets import CMDLETS

from .conftest import BASE


def test_an_answer_has_the_form_of_a_real_one(exchange):
    response = exchange.call("get-mailbox", {"identity": "ada"}, url=exchange.url(exchange.seeded.domain))
    body = response.json()
    assert list(body) == ["@odata.context", "adminapi.warnings@odata.type", "@adminapi.warnings", "value"]
    root = f"{BASE}/adminapi/beta/{exchange.seeded.domain}"
    assert body["@odata.context"] == f"{root}/$metadata#Collection(Exchange.GenericHashTable)"
    (row,) = body["value"]
    assert row["ExchangeGuid"] == exchange.mailbox("ada")["id"]
    assert (row["ExchangeGuid@data.type"], row["ExchangeGuid@odata.type"]) == ("System.Guid", "#Guid")
    assert row["EmailAddresses@odata.type"] == "#Collection(String)"
    assert row["WhenCreated@data.type"] == "System.DateTime"
    assert row["WhenCreated"].endswith(".0000000+00:00")
    assert "PrimarySmtpAddress@odata.type" not in row
    assert not [name for name in row if name.startswith("_")]
    assert response.headers["content-type"].startswith("application/json;odata.metadata=minimal")
    assert response.headers["rate-limit-limit"] == "30000"


def test_optional_headers_may_be_absent(exchange):
    body = {"CmdletInput": {"CmdletName": "Get-TransportConfig"}}
    headers = {"Authorization": f"Bearer {exchange.app_token('Exchange.ManageAsApp')}"}
    assert exchange.send("POST", exchange.url(), json=body, headers=headers).status_code == 200


def test_clixml_is_refused_and_not_pretended(exchange):
    response = exchange.call("Get-Mailbox", headers={"X-ResponseFormat": "clixml"})
    assert response.status_code == 400
    assert "JSON only" in response.json()["error"]["details"][0]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"CmdletInput": 1}', b'{"CmdletInput": {"Parameters": {}}}',
             b'{"CmdletInput": {"CmdletName": "Get-Mailbox", "Parameters": []}}', b"[" * 100_000]
)  # fmt: skip
def test_a_body_that_is_no_cmdlet_is_400(exchange, body):
    headers = {"Authorization": f"Bearer {exchange.app_token('Exchange.ManageAsApp')}"}
    response = exchange.send("POST", exchange.url(), content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Invalid Operation"


def test_an_unknown_parameter_is_named(exchange):
    """The seed's own mistake: there is no SmtpClientAuthenticationEnabled, only …Disabled."""
    status, kind, sentence = exchange.refusal("Set-CASMailbox", Identity="ada", SmtpClientAuthenticationEnabled=True)
    assert (status, kind) == (400, "AmbiguousParameterSetException")
    assert sentence == (
        "Parameter set cannot be resolved using the specified named parameters. Invalid cmdlet parameters specified. "
        "SmtpClientAuthenticationEnabled"
    )
    assert exchange.mailbox("ada")["SmtpClientAuthenticationDisabled"] is None


@pytest.mark.parametrize("value", ["true", "$false", "", [], {}])
def test_a_boolean_is_no_text(exchange, value):
    status, kind, sentence = exchange.refusal("Set-CASMailbox", Identity="ada", SmtpClientAuthenticationDisabled=value)
    assert (status, kind) == (400, "ParameterTransformationException")
    assert sentence.startswith(
        "Cannot process argument transformation on parameter 'SmtpClientAuthenticationDisabled'. Cannot convert value "
    )
    assert sentence.endswith(
        "Boolean parameters accept only Boolean values and numbers, such as $True, $False, 1 or 0."
    )


def test_a_wrong_name_of_a_set_lists_the_right_ones(exchange):
    _, kind, sentence = exchange.refusal("Get-Mailbox", RecipientTypeDetails="Nonsense")
    assert kind == "ParameterTransformationException"
    assert "Unable to match the identifier name Nonsense to a valid enumerator name." in sentence
    assert "UserMailbox, SharedMailbox, RoomMailbox, EquipmentMailbox" in sentence


def test_a_mandatory_parameter_is_missed(exchange):
    mandatory = {
        name: [row for row, parameter in cmdlet.parameters.items() if parameter.mandatory]
        for name, cmdlet in CMDLETS.items()
    }
    for name, names in mandatory.items():
        if names:
            status, _, sentence = exchange.refusal(name)
            expected = f"Cannot process command because of one or more missing mandatory parameters: {' '.join(names)}."
            assert (status, sentence) == (400, expected)
    assert mandatory["set-casmailbox"] == ["Identity"]


@pytest.mark.parametrize("value", [None, "", "  "])
def test_an_empty_identity_is_refused(exchange, value):
    assert exchange.refusal("Set-CASMailbox", Identity=value)[2] == (
        "Cannot bind argument to parameter 'Identity' because it is null."
    )


def test_an_object_that_is_not_there_is_404_with_exchanges_number(exchange):
    response = exchange.call("Get-CASMailbox", {"Identity": "nobody@contoso.onmicrosoft.com"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["message"]) == ("NotFound", "Error executing cmdlet")
    assert error["details"][0]["message"].startswith(
        "Ex6F9304|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|The operation couldn't be "
        "performed because object 'nobody@contoso.onmicrosoft.com' couldn't be found on '"
    )


def test_an_identity_that_fits_two_is_refused(exchange):
    exchange.people({"alias": "twin1"}, {"alias": "twin2"})
    for alias in ("twin1", "twin2"):
        exchange.directory.replace(exchange.tenant, "mailbox", {**exchange.mailbox(alias), "DisplayName": "The Twins"})
    status, kind, sentence = exchange.refusal("Set-CASMailbox", Identity="the twins", PopEnabled=False)
    assert (status, kind) == (400, "ManagementObjectAmbiguousException")
    assert sentence == "The operation couldn't be performed because 'the twins' matches multiple entries."
    assert "PopEnabled" not in exchange.mailbox("twin1")


def test_a_parameter_given_twice_in_another_letter_case_is_refused(exchange):
    assert exchange.refusal("Get-Mailbox", Identity="ada", identity="bob")[0] == 400


def test_identity_and_filter_belong_to_different_sets(exchange):
    assert exchange.refusal("Get-Mailbox", Identity="ada", Filter="Alias -eq 'ada'")[2] == (
        "Parameter set cannot be resolved using the specified named parameters."
    )


def test_common_parameters_are_no_parameters_of_the_cmdlet(exchange):
    parameters = {"Identity": "ada", "ErrorAction": "Stop", "Confirm": False, "WhatIf": False}
    assert exchange.call("Get-Mailbox", parameters).status_code == 200
    assert exchange.refusal("Set-CASMailbox", Identity="ada", WhatIf=True)[0] == 400


# Pages


def _pages(exchange, cmdlet: str, parameters: dict, size: int):
    url = None
    while True:
        response = exchange.call(cmdlet, parameters, url=url, headers={"Prefer": f"odata.maxpagesize={size}"})
        assert response.status_code == 200, response.text
        yield response.json()
        url = response.json().get("@odata.nextLink")
        if url is None:
            return


@pytest.mark.parametrize("cmdlet", ["Get-Mailbox", "Get-CASMailbox", "Get-User", "Get-Recipient"])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pages_together_hold_every_object_once(exchange, cmdlet, size):
    exchange.people({"alias": "m", "count": 30}, {"alias": "team", "mailbox": "group"})
    pages = list(_pages(exchange, cmdlet, {}, size))
    seen = [row["Guid"] for page in pages for row in page["value"]]
    assert len(seen) == len(set(seen)) >= 36
    assert all(len(page["value"]) == size for page in pages[:-1])
    assert len(pages) == -(-len(seen) // size)


def test_a_cut_page_warns_and_the_last_does_not(exchange):
    exchange.people({"alias": "m", "count": 5})
    first, *_, last = _pages(exchange, "Get-CASMailbox", {}, 4)
    assert first["@adminapi.warnings"] == [
        "There are more results available than are currently displayed. To view them, increase the value for the "
        "ResultSize parameter."
    ]
    assert last["@adminapi.warnings"] == []


def test_without_a_wish_a_page_has_a_thousand(exchange):
    exchange.people({"alias": "m", "count": 1001})
    headers = {"Prefer": ""}
    body = exchange.call("Get-CASMailbox", headers=headers).json()
    assert len(body["value"]) == 1000
    assert len(exchange.call("Get-CASMailbox", url=body["@odata.nextLink"], headers=headers).json()["value"]) == 7
    many = exchange.call("Get-CASMailbox", headers={"Prefer": "odata.maxpagesize=5000"}).json()
    assert len(many["value"]) == 1000


def test_result_size_bounds_all_pages_together(exchange):
    exchange.people({"alias": "m", "count": 20})
    sizes = [len(page["value"]) for page in _pages(exchange, "Get-Mailbox", {"ResultSize": 10}, 4)]
    assert sizes == [4, 4, 2]
    assert len(exchange.run("Get-Mailbox", ResultSize="Unlimited")) == 26
    for wrong in (0, -1, "many", True):
        assert exchange.refusal("Get-Mailbox", ResultSize=wrong)[1] == "ParameterTransformationException"


def test_a_forged_place_is_refused(exchange):
    for token in ("x", "AAAA", "W10="):
        assert exchange.call("Get-Mailbox", url=f"{exchange.url()}?$skiptoken={token}").status_code == 400


def test_a_mailbox_made_or_gone_between_pages_disturbs_no_other(exchange):
    exchange.people({"alias": "m", "count": 10})
    pages = _pages(exchange, "Get-CASMailbox", {}, 5)
    first = next(pages)
    gone = first["value"][2]["Guid"]
    exchange.directory.remove(exchange.tenant, "mailbox", gone)
    exchange.people({"alias": "late"})
    rest = [row["Guid"] for page in pages for row in page["value"]]
    seen = [row["Guid"] for row in first["value"]] + rest
    assert len(seen) == len(set(seen))
    assert {row["id"] for row in exchange.directory.all(exchange.tenant, "mailbox")} <= set(seen)


def test_selected_properties_come_alone(exchange):
    url = f"{exchange.url()}?$select=Alias,exchangeguid"
    (row,) = exchange.call("Get-Mailbox", {"Identity": "ada"}, url=url).json()["value"]
    assert set(row) == {"Alias", "ExchangeGuid", "ExchangeGuid@data.type", "ExchangeGuid@odata.type"}
