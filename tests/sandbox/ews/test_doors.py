"""Who is let in to Exchange Online's Web Services: tokens, both switches, both lists, and the calendar."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from entra_tenant import Entra
from ews_tenant import EXCHANGE, RESOURCE, Ews

from provision.sandbox import Sandbox

GET_INBOX = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
  xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types"
  xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages">
  <s:Header><t:RequestServerVersion Version="{version}"/>{header}</s:Header>
  <s:Body><m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>
  <m:FolderIds><t:DistinguishedFolderId Id="{folder}"/></m:FolderIds></m:GetFolder></s:Body>
</s:Envelope>"""
IMPERSONATE = (
    "<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>{}</t:PrimarySmtpAddress></t:ConnectingSID>"
    "</t:ExchangeImpersonation>"
)
DISABLED, BLOCKED = "EWS is disabled for this user or tenant", "EWS is blocked by policy for this user or tenant"


def ask(ews: Ews, token: str | None, body: str | bytes | None = None, **headers: str) -> httpx.Response:
    content = GET_INBOX.format(version="Exchange2016", header="", folder="inbox") if body is None else body
    sent = {"Content-Type": "text/xml; charset=utf-8", **headers}
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    return ews.entra.http.post("/EWS/Exchange.asmx", content=content, headers=sent)


@pytest.fixture
def token(ews: Ews) -> str:
    return str(ews.user_token("ada")["access_token"])


def test_who_brings_no_token_or_a_password_is_asked_for_a_token(ews: Ews) -> None:
    for answer in (ask(ews, None), ask(ews, None, Authorization="Basic YWRhOnB3")):
        assert answer.status_code == 401
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith(f'Bearer client_id="{EXCHANGE}"')
        assert "Basic" not in challenge


def test_a_token_for_microsoft_graph_is_the_classic_mistake(ews: Ews) -> None:
    ews.entra.allow(ews.app, "Mail.Send")
    token = ews.entra.app_only(ews.app).json()["access_token"]
    answer = ask(ews, token)
    assert answer.status_code == 401
    assert answer.headers["x-ms-diagnostics"] == (
        "2000003;reason=\"The audience claim value is invalid 'https://graph.microsoft.com'.\";"
        'error_category="invalid_resource"'
    )


def test_a_token_lives_for_its_time(ews: Ews, token: str) -> None:
    assert ask(ews, token).status_code == 200
    ews.sandbox.set_faults(clock_skew=7200)
    expired = ask(ews, token)
    assert (expired.status_code, "expired" in expired.headers["x-ms-diagnostics"]) == (401, True)


def test_a_token_without_the_permission_reaches_nothing(ews: Ews) -> None:
    app = ews.entra.register(displayName="Another application")
    token = ews.entra.app_only(app, scope=f"{RESOURCE}/.default").json()["access_token"]
    answer = ask(ews, token)
    assert answer.status_code == 403
    assert "not enough scope" in answer.headers["x-ms-diagnostics"]


@pytest.mark.parametrize(
    ("organisation", "mailbox", "reason"),
    [
        (True, None, None),
        (True, True, None),
        (True, False, DISABLED),
        (False, True, DISABLED),
        (False, None, DISABLED),
        (None, True, DISABLED),
    ],
)
def test_both_switches_must_allow_and_null_means_off_since_october_2026(
    ews: Ews, token: str, organisation: bool | None, mailbox: bool | None, reason: str | None
) -> None:
    ews.allow(organisation, mailboxes={ews.entra.upn("ada"): mailbox})
    answer = ask(ews, token)
    assert (answer.status_code, answer.headers.get("x-ews-policy-reason")) == (403 if reason else 200, reason)
    assert not reason or not answer.content


def test_only_listed_applications_are_let_in(ews: Ews, token: str) -> None:
    for apps in ([], ["11111111-2222-3333-4444-555555555555"]):
        ews.allow(apps=apps)
        answer = ask(ews, token)
        assert (answer.status_code, answer.headers["x-ews-policy-reason"]) == (403, BLOCKED)
    ews.allow(apps=[ews.app.client_id.upper()])
    assert ask(ews, token).status_code == 200


def test_the_list_of_user_agents_must_allow_too(ews: Ews, token: str) -> None:
    ews.allow(applicationAccessPolicy="EnforceAllowList", allowList=["OWA/*"])
    assert ask(ews, token, **{"User-Agent": "OWA/15"}).status_code == 200
    assert ask(ews, token, **{"User-Agent": "exchangelib/5"}).headers["x-ews-policy-reason"] == BLOCKED
    ews.allow(applicationAccessPolicy="EnforceBlockList", blockList=["exchangelib/*"])
    assert ask(ews, token, **{"User-Agent": "OWA/15"}).status_code == 200
    assert ask(ews, token, **{"User-Agent": "exchangelib/5"}).status_code == 403


def at(sandbox: Sandbox, year: int, month: int, day: int) -> None:
    """Moves the clock of the server to a day."""
    wanted = datetime(year, month, day, 12, tzinfo=UTC)
    sandbox.set_faults(clock_skew=(wanted - datetime.now(UTC)).total_seconds())


def test_the_calendar_of_the_retirement(sandbox: Sandbox, http: httpx.Client) -> None:
    at(sandbox, 2026, 9, 30)
    entra = Entra(http, sandbox.new_tenant(), sandbox)
    ews = Ews(entra, entra.register(), sandbox)
    ews.grant(scope=False)
    header = IMPERSONATE.format(entra.upn("ada"))
    body = GET_INBOX.format(version="Exchange2016", header=header, folder="inbox")

    def answer() -> httpx.Response:
        token = entra.app_only(ews.app, scope=f"{RESOURCE}/.default").json()["access_token"]
        return ask(ews, token, body)

    assert answer().status_code == 200
    at(sandbox, 2026, 10, 2)
    assert answer().headers["x-ews-policy-reason"] == DISABLED
    ews.allow(True)
    assert answer().status_code == 200
    at(sandbox, 2027, 3, 31)
    assert answer().status_code == 200
    at(sandbox, 2027, 4, 2)
    assert answer().headers["x-ews-policy-reason"] == DISABLED
    assert [row["code"] for row in sandbox.log() if row["path"].startswith("/EWS/")][-1] == "ews-retired"
    sandbox.clear_faults()


def faulted(answer: httpx.Response) -> str:
    assert answer.status_code == 500, answer.text
    return answer.text.partition("ResponseCode>")[2].partition("<")[0]


def test_an_application_must_say_for_whom_it_asks(ews: Ews) -> None:
    token = ews.entra.app_only(ews.app, scope=f"{RESOURCE}/.default").json()["access_token"]
    answer = ask(ews, token)
    assert faulted(answer) == "ErrorInvalidExchangeImpersonationHeaderData"
    assert "ExchangeImpersonation SOAP header must be present for this type of OAuth token." in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("<", "ErrorSchemaValidation"),
        ("<a/>", "ErrorSchemaValidation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "ErrorSchemaValidation"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "ErrorSchemaValidation"),
        ("<a>" * 80 + "</a>" * 80, "ErrorSchemaValidation"),
        (
            GET_INBOX.format(version="Exchange2016", header="", folder="&b;").replace(
                "<s:Envelope", '<!DOCTYPE s [<!ENTITY b "inbox">]><s:Envelope', 1
            ),
            "ErrorSchemaValidation",
        ),
        (GET_INBOX.format(version="Exchange3000", header="", folder="inbox"), "ErrorInvalidServerVersion"),
        (GET_INBOX.format(version="Exchange2016", header="", folder="inbox1"), "ErrorSchemaValidation"),
        (
            GET_INBOX.format(version="Exchange2016", header="", folder="inbox").replace("GetFolder", "GetStreams"),
            "ErrorInvalidOperation",
        ),
    ],
)
def test_what_is_no_request_of_this_service_is_a_fault(ews: Ews, token: str, body: str, code: str) -> None:
    assert faulted(ask(ews, token, body)) == code


@pytest.mark.parametrize(
    ("change", "status"),
    [({"content": b"x" * (37 * 1024 * 1024)}, 413), ({"headers": {"Content-Type": "application/json"}}, 415)],
)
def test_what_is_no_soap_is_refused_before_it_is_read(
    ews: Ews, token: str, change: dict[str, Any], status: int
) -> None:
    sent = {"content": b"<a/>", **change}
    sent["headers"] = {"Content-Type": "text/xml", "Authorization": f"Bearer {token}", **sent.get("headers", {})}
    assert ews.entra.http.post("/EWS/Exchange.asmx", **sent).status_code == status
    get = ews.entra.http.get("/EWS/Exchange.asmx", headers=sent["headers"])
    assert (get.status_code, get.headers["allow"]) == (405, "POST")


def test_a_user_without_a_mailbox_must_name_one(ews: Ews) -> None:
    answer = ask(ews, str(ews.user_token("reader")["access_token"]))
    assert "ErrorMissingEmailAddress" in answer.text


def test_autodiscover_wants_a_token_and_tells_the_address(ews: Ews, token: str) -> None:
    where = "/autodiscover/autodiscover.json/v1.0/"
    told = ews.entra.http.get(f"{where}{ews.entra.upn('ada')}", params={"Protocol": "EWS"})
    assert told.json() == {"Protocol": "EWS", "Url": ews.url}
    missing = ews.entra.http.get(f"{where}nobody@{ews.entra.tenant.domain}", params={"Protocol": "EWS"})
    assert (missing.status_code, missing.json()["ErrorCode"]) == (404, "UserNotFound")
    wrong = ews.entra.http.get(f"{where}{ews.entra.upn('ada')}", params={"Protocol": "Gopher"})
    assert (wrong.status_code, wrong.json()["ErrorCode"]) == (400, "InvalidProtocol")
    assert ews.entra.http.post("/autodiscover/autodiscover.svc", content="<a/>").status_code == 401
