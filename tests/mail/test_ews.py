"""Exchange Web Services by exchangelib: the company's own server in every way, and Exchange Online while it lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from provision.mail.ews import Server, calendar
from provision.mail.proving import Wish
from provision.mail.timeline import Outcome, Stage
from provision.microsoft.product_sign_in import GivenToken
from provision.sandbox.process import Person

EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"


def refused(stages: list[Stage]) -> Stage:
    (one,) = [stage for stage in stages if stage.outcome is Outcome.REFUSED]
    return one


def names(stages: list[Stage]) -> list[str]:
    return [stage.name for stage in stages if stage.way == "ews"]


# The company's own


@pytest.fixture
def own(office):
    """Accounts at the company's own Exchange: ada there, bob moved to Exchange Online."""
    made = office.entra.sandbox.new_accounts(
        office.entra.tenant,
        {"alias": "ada"},
        {"alias": "bob", "mailbox": "remote"},
        {"alias": "gone", "enabled": False},
    )
    return {one["alias"]: one for one in made}


@pytest.fixture
def url(office):
    return f"{office.entra.sandbox.base_url}/_onpremises/EWS/Exchange.asmx"


def wish_of(office, account, server, **more):
    made = Wish(
        ways=("ews",),
        user=account["mail"],
        password=account["password"],
        server=server,
        server_user=account["domainUser"],
        wait=5.0,
    )
    return replace(made, **more)


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
def test_the_own_server_takes_a_password_and_the_mail_is_found(office, proven, own, url, auth):
    stages = proven(wish_of(office, own["ada"], Server(auth, url=url)))
    assert names(stages) == [
        "mailbox opened",
        "sent",
        "found in Sent Items",
        f"found in inbox of {own['ada']['mail']}",
    ]
    assert {stage.outcome for stage in stages} == {Outcome.DONE}
    assert stages[-1].said == stages[-2].said
    assert own["ada"]["password"] not in repr(stages)


@pytest.mark.parametrize("auth", ["ntlm", "basic"])
@pytest.mark.parametrize("who", ["ada", "gone"])
def test_a_wrong_password_or_a_disabled_account_is_one_sentence(office, proven, own, url, auth, who):
    password = "wrong" if who == "ada" else own[who]["password"]
    one = refused(proven(wish_of(office, own[who], Server(auth, url=url), password=password)))
    assert (one.name, one.said) == (
        "mailbox opened",
        "Exchange does not accept the sign-in to open the mailbox (HTTP 401).",
    )
    assert "DOMAIN\\user" in one.remedy


def test_autodiscover_finds_the_server_and_says_where_a_mailbox_has_moved(office, proven, own, url):
    where = f"{office.entra.sandbox.base_url}/_onpremises/autodiscover/autodiscover.svc"
    server = Server("ntlm", autodiscover=where)
    stages = proven(wish_of(office, own["ada"], server))
    assert (stages[0].name, stages[0].said) == ("autodiscover", url)
    assert {stage.outcome for stage in stages} == {Outcome.DONE}
    moved = refused(proven(wish_of(office, own["bob"], server)))
    assert f"bob@{office.entra.tenant.domain}" in moved.said
    assert "Microsoft Graph" in moved.remedy


def test_a_domain_without_autodiscover_is_said(office, proven, own):
    account = {**own["ada"], "mail": "ada@localhost"}
    one = refused(proven(wish_of(office, account, Server("ntlm"))))
    assert one.name == "autodiscover"
    assert "--ews-url" in one.remedy


def test_a_hybrid_server_takes_a_token_for_its_own_address(office, proven, own, url):
    office.grant("EWS.AccessAsUser.All")
    ada = Person(office.entra.upn("ada"), "", None, office.entra.tenant.users[office.entra.upn("ada")], None)
    domain = own["ada"]["mail"].partition("@")[2]
    wish = office.wish(ada, "ews", server=Server("oauth", url=url), server_resource=f"https://mail.{domain}")
    stages = proven(replace(wish, user=own["ada"]["mail"]))
    assert {stage.outcome for stage in stages} == {Outcome.DONE}


def test_a_server_that_is_not_there_is_said(office, proven, own):
    one = refused(proven(wish_of(office, own["ada"], Server("basic", url="https://localhost:9/EWS/Exchange.asmx"))))
    assert "cannot be reached" in one.said


def test_the_authority_that_was_named_is_trusted_whatever_the_environment_says(office, proven, own, url, monkeypatch):
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    stages = proven(wish_of(office, own["ada"], Server("ntlm", url=url)))
    assert {stage.outcome for stage in stages} == {Outcome.DONE}


def test_a_certificate_that_is_not_trusted_ends_it_before_any_password(office, proven, own, url, monkeypatch):
    monkeypatch.setattr(office, "endpoints", replace(office.endpoints, ca_file=None))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    one = refused(proven(wish_of(office, own["ada"], Server("basic", url=url))))
    assert "is not trusted" in one.said


# Exchange Online


def test_exchange_online_still_lets_a_listed_application_send(office, proven):
    olga = office.person()
    office.grant("EWS.AccessAsUser.All")
    office.entra.sandbox.set_ews(office.entra.tenant, enabled=True, allowedAppIds=[office.app.client_id])
    stages = proven(office.wish(olga, "ews"))
    assert names(stages)[:3] == ["token", "calendar", "mailbox opened"]
    assert {stage.outcome for stage in stages} == {Outcome.DONE}


def test_the_application_itself_sends_in_a_users_name_where_it_may(office, proven):
    olga = office.person()
    server = Server("oauth-app", url=office.endpoints.ews, is_online=True)
    office.entra.sandbox.set_ews(office.entra.tenant, enabled=True, allowedAppIds=[office.app.client_id])
    wish = office.wish(olga, "ews", server=server, password="")
    assert "not enough scope" in refused(proven(wish)).said
    exchange = office.entra.graph("GET", f"/servicePrincipals?$filter=appId eq '{EXCHANGE}'")["value"][0]
    roles = {role["value"]: role["id"] for role in exchange["appRoles"]}
    body = {"principalId": office.app.principal_id, "resourceId": exchange["id"]}
    body["appRoleId"] = roles["full_access_as_app"]
    office.entra.graph("POST", f"/servicePrincipals/{exchange['id']}/appRoleAssignedTo", body)
    stages = proven(wish)
    assert {stage.outcome for stage in stages} == {Outcome.DONE}, stages


def test_exchange_online_has_it_off_since_october_2026(office, proven):
    office.grant("EWS.AccessAsUser.All")
    stages = proven(office.wish(office.person(), "ews"))
    one = refused(stages)
    assert "EWS is disabled for this user or tenant" in one.said
    assert one.remedy == "Send through Microsoft Graph."
    assert "switched off since 2026-10-01" in next(stage.said for stage in stages if stage.name == "calendar")


def test_an_application_that_is_not_listed_is_blocked(office, proven):
    office.grant("EWS.AccessAsUser.All")
    office.entra.sandbox.set_ews(office.entra.tenant, enabled=True, allowedAppIds=[])
    assert "EWS is blocked by policy" in refused(proven(office.wish(office.person(), "ews"))).said


def test_after_its_end_the_calendar_says_so_and_the_server_agrees(office, proven):
    olga = office.person()
    office.grant("EWS.AccessAsUser.All")
    office.entra.sandbox.set_ews(office.entra.tenant, enabled=True, allowedAppIds=[office.app.client_id])
    office.entra.sandbox.set_faults(clock_skew=130 * 86400)
    stages = proven(office.wish(olga, "ews", reader=None), date(2027, 4, 4))
    assert "since 2027-04-01" in next(stage.said for stage in stages if stage.name == "calendar")
    assert "EWS is disabled" in refused(stages).said


def test_a_token_for_graph_is_told_by_its_audience(office, proven):
    wish = office.wish(office.person(), "graph")
    token = wish.session.token(f"{office.endpoints.graph}/Mail.Send")
    one = refused(proven(replace(wish, ways=("ews",), session=GivenToken(token))))
    assert "The audience claim value is invalid" in one.said
    assert "one for Microsoft Graph is not" in one.remedy


def test_without_consent_no_token_is_had(office, proven):
    one = refused(proven(office.wish(office.person(), "ews")))
    assert (one.name, "AADSTS65001" in one.said) == ("token", True)


@pytest.mark.parametrize(
    ("today", "words"),
    [
        (date(2026, 9, 30), "switches them off from 2026-10-01"),
        (date(2026, 10, 1), "switched off since 2026-10-01"),
        (date(2027, 3, 31), "switched off since 2026-10-01"),
        (date(2027, 4, 1), "since 2027-04-01"),
    ],
)
def test_the_calendar_by_todays_date(today, words):
    assert words in calendar(today)
    assert "Microsoft Graph" in calendar(today)
