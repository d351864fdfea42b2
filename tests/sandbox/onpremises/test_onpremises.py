"""The customer's own Exchange as unmodified exchangelib meets it: Basic, NTLM, hybrid OAuth, autodiscover."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from ews_tenant import Ews
from exchangelib import (
    BASIC,
    DELEGATE,
    IMPERSONATION,
    NTLM,
    OAUTH2,
    Account,
    Configuration,
    Credentials,
    FailFast,
    Mailbox,
    Message,
)
from exchangelib.autodiscover.protocol import AutodiscoverProtocol
from exchangelib.credentials import OAuth2AuthorizationCodeCredentials
from exchangelib.errors import ErrorImpersonateUserDenied, ErrorNonExistentMailbox, UnauthorizedError
from requests_ntlm import HttpNtlmAuth

from provision.sandbox import Sandbox

People = dict[str, dict[str, str]]
Open = Callable[..., Account]


@pytest.fixture
def people(ews: Ews) -> People:
    made = ews.sandbox.new_accounts(
        ews.entra.tenant,
        {"alias": "ada"},
        {"alias": "olga", "displayName": "Olga Ozola"},
        {"alias": "bob", "mailbox": "remote"},
        {"alias": "gone", "enabled": False},
        {"alias": "robot", "mailbox": "none", "impersonates": True},
    )
    return {one["alias"]: one for one in made}


@pytest.fixture
def url(ews: Ews) -> str:
    return f"{ews.sandbox.base_url}/_onpremises/EWS/Exchange.asmx"


@pytest.fixture
def opened(url: str, people: People) -> Open:
    def open_mailbox(alias: str, auth: str | None = BASIC, *, name: str = "domainUser", **more: Any) -> Account:
        person = people[more.get("by", alias)]
        credentials = Credentials(person[name], more.get("password", person["password"]))
        config = Configuration(service_endpoint=url, credentials=credentials, auth_type=auth, retry_policy=FailFast())
        access = IMPERSONATION if "by" in more else DELEGATE
        return Account(people[alias]["mail"], config=config, autodiscover=False, access_type=access)

    return open_mailbox


@pytest.mark.parametrize("auth", [BASIC, NTLM, None])
def test_a_message_goes_from_one_local_mailbox_to_another(opened: Open, people: People, auth: str | None) -> None:
    ada, olga = opened("ada", auth), opened("olga", auth, name="userPrincipalName")
    to = [Mailbox(email_address=people["olga"]["mail"])]
    Message(account=ada, subject="From the own server", body="At 8", to_recipients=to).send_and_save()
    got = [str(one.sender.email_address) for one in olga.inbox.filter(subject="From the own server")]
    assert got == [people["ada"]["mail"]]
    assert ada.sent.filter(subject="From the own server").count() == 1
    assert str(ada.version.build).startswith("15.2.")


@pytest.mark.parametrize("auth", [BASIC, NTLM])
@pytest.mark.parametrize(("alias", "password"), [("ada", "wrong"), ("gone", None)])
def test_a_wrong_password_or_a_disabled_account_opens_nothing(
    opened: Open, people: People, auth: str, alias: str, password: str | None
) -> None:
    with pytest.raises(UnauthorizedError):
        opened(alias, auth, password=password or people[alias]["password"]).inbox.all().count()


def test_mail_crosses_between_the_two_exchanges(ews: Ews, opened: Open, people: People) -> None:
    ews.allow()
    cloud = ews.as_app("bob")
    to = [Mailbox(email_address=ews.entra.upn("bob"))]
    Message(account=opened("ada"), subject="Up", to_recipients=to).send()
    assert cloud.inbox.filter(subject="Up").count() == 1
    to = [Mailbox(email_address=people["olga"]["mail"])]
    Message(account=cloud, subject="Down", to_recipients=to).send()
    assert opened("olga").inbox.filter(subject="Down").count() == 1


def test_only_who_may_impersonate_does(opened: Open) -> None:
    assert opened("olga", by="robot").inbox.all().count() == 0
    with pytest.raises(ErrorImpersonateUserDenied):
        opened("olga", by="ada").inbox.all().count()
    with pytest.raises(ErrorNonExistentMailbox):
        opened("bob", by="robot").inbox.all().count()


def test_the_retirement_of_exchange_online_does_not_reach_the_own_servers(ews: Ews, opened: Open) -> None:
    ews.allow(False, [])
    assert opened("ada").inbox.all().count() == 0


def test_ntlm_signs_a_connection_in_and_no_other(url: str, people: People, trusting: Path) -> None:
    person = people["ada"]
    with requests.Session() as session:
        session.auth = HttpNtlmAuth(person["domainUser"], person["password"])
        first = session.post(url, data="<a/>", headers={"Content-Type": "text/xml"})
        assert first.status_code == 500, "signed in, and then a fault: the body is no envelope"
        session.auth = None
        assert session.post(url, data="<a/>", headers={"Content-Type": "text/xml"}).status_code == 500
    other = requests.post(url, data="<a/>", headers={"Content-Type": "text/xml"}, timeout=30)
    assert other.status_code == 401
    assert [one.partition(" ")[0] for one in other.raw.headers.getlist("WWW-Authenticate")] == [
        "NTLM",
        "Basic",
        "Bearer",
    ]


def test_hybrid_oauth_takes_a_token_for_the_servers_own_address(ews: Ews, url: str, people: People) -> None:
    domain = people["ada"]["mail"].partition("@")[2]

    def open_as(resource: str) -> Account:
        credentials = OAuth2AuthorizationCodeCredentials(access_token=ews.user_token("ada", resource))
        config = Configuration(service_endpoint=url, credentials=credentials, auth_type=OAUTH2, retry_policy=FailFast())
        return Account(people["ada"]["mail"], config=config, autodiscover=False, access_type=DELEGATE)

    assert open_as(f"https://mail.{domain}").inbox.all().count() == 0
    with pytest.raises(UnauthorizedError):
        open_as("https://outlook.office365.com").inbox.all().count()


def test_autodiscover_by_soap_knows_where_each_mailbox_is(ews: Ews, url: str, people: People) -> None:
    person = people["ada"]
    where = f"{ews.sandbox.base_url}/_onpremises/autodiscover/autodiscover.svc"
    for auth in (BASIC, NTLM, None):
        credentials = Credentials(person["domainUser"], person["password"])
        protocol = AutodiscoverProtocol(
            config=Configuration(service_endpoint=where, credentials=credentials, auth_type=auth)
        )
        here = protocol.get_user_settings(person["mail"])
        assert (here.ews_url, here.autodiscover_smtp_address) == (url, person["mail"])
        assert here.version.api_version == "Exchange2016"
        moved = protocol.get_user_settings(people["bob"]["mail"])
        assert moved.redirect_address == f"bob@{ews.entra.tenant.domain}"
        with pytest.raises(ErrorNonExistentMailbox):
            protocol.get_user_settings(f"nobody@{person['mail'].partition('@')[2]}").raise_errors()


POX = """<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>
<EMailAddress>{}</EMailAddress><AcceptableResponseSchema>{}</AcceptableResponseSchema></Request></Autodiscover>"""
SCHEMA = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


def test_autodiscover_by_plain_xml_and_by_json_say_the_same(http: httpx.Client, url: str, people: People) -> None:
    person = people["ada"]
    auth = (person["userPrincipalName"], person["password"])

    def ask(email: str, schema: str = SCHEMA) -> str:
        return http.post(
            "/_onpremises/autodiscover/autodiscover.xml", content=POX.format(email, schema), auth=auth
        ).text

    assert f"EwsUrl>{url}</" in ask(person["mail"])
    assert "redirectAddr" in ask(people["bob"]["mail"])
    assert "ErrorCode>500<" in ask("nobody@else.example")
    assert "ErrorCode>601<" in ask(person["mail"], "http://other.example/schema")
    answer = http.get(f"/_onpremises/autodiscover/autodiscover.json/v1.0/{person['mail']}", params={"Protocol": "EWS"})
    assert answer.json() == {"Protocol": "EWS", "Url": url}
    assert http.post("/_onpremises/autodiscover/autodiscover.xml", content=b"<a/>").status_code == 401


def test_accounts_outlive_the_server_in_a_file_for_its_owner_only(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as server:
        (person,) = server.new_accounts(server.first, {"alias": "ada"})
    file = tmp_path / "onpremises-accounts"
    assert file.stat().st_mode & 0o777 == 0o600
    assert person["password"] not in file.read_text()
    with Sandbox(tmp_path) as server:
        answer = requests.post(
            f"{server.base_url}/_onpremises/EWS/Exchange.asmx",
            data="<a/>",
            headers={"Content-Type": "text/xml"},
            auth=HttpNtlmAuth(person["domainUser"], person["password"]),
            verify=str(server.ca_file),
            timeout=30,
        )
        assert answer.status_code == 500, "signed in, and then a fault: the body is no envelope"
