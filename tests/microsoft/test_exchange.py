"""The line to Exchange Online against a TLS server that answers as public clients saw it answer, and signs of harm.

What Exchange itself decides (roles, mailboxes) is tested against the local tenant, in ``tests/mailbox``.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from tls_server import Reply, Request, TlsServer

from provision.errors import InvalidInput, NotPermitted, SignInFailed, Unreachable
from provision.microsoft.channel import AnswerLost
from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Absent, Exchange
from provision.sandbox import Sandbox, Tenant
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints

DOING = "read the mailboxes"
SET = {"Identity": "anna@contoso.example", "SmtpClientAuthenticationDisabled": False}


class Line:
    """An ``Exchange`` whose other side is a list of replies, the last one for ever."""

    def __init__(self, exchange: Exchange, server: TlsServer, waits: list[float], warnings: list[str]) -> None:
        self.exchange = exchange
        self.server = server
        self.waits = waits
        self.warnings = warnings

    @property
    def requests(self) -> list[Request]:
        return self.server.requests


Connect = Callable[..., Line]


@pytest.fixture
def connect(admin: CredentialSetting, endpoints: Endpoints, sandbox: Sandbox) -> Iterator[Connect]:
    opened: list[Any] = []

    def make(*replies: Reply | Callable[[Request], Reply]) -> Line:
        script = list(replies)

        def answer(request: Request) -> Reply:
            reply = script.pop(0) if len(script) > 1 else script[0]
            return reply if isinstance(reply, Reply) else reply(request)

        server = TlsServer(answer, sandbox.ca_file.parent)
        server.__enter__()
        opened.append(server)
        credential, _ = sign_in(admin, endpoints)
        waits: list[float] = []
        warnings: list[str] = []
        exchange = Exchange(
            credential,
            replace(endpoints, exchange=server.url),
            warn=warnings.append,
            pause=waits.append,
        )
        opened.append(exchange)
        return Line(exchange, server, waits, warnings)

    yield make
    for one in reversed(opened):
        one.__exit__(None, None, None)


def page(*rows: dict[str, Any], following: str = "", warnings: tuple[str, ...] = ()) -> Reply:
    body: dict[str, Any] = {"value": list(rows)}
    if following:
        body["@odata.nextLink"] = following
    if warnings:
        body["@adminapi.warnings"] = list(warnings)
    return Reply(200, body)


def failing(status: int, message: str, **headers: str) -> Reply:
    error = {"code": "BadRequest", "message": "Error executing cmdlet", "details": [{"message": message}]}
    return Reply(status, {"error": error}, headers)


def test_a_cmdlet_is_one_request_as_public_clients_send_it(connect: Connect, tenant: Tenant) -> None:
    line = connect(page({"Alias": "anna"}))
    rows = list(
        line.exchange.rows("Get-CASMailbox", {"ResultSize": "Unlimited"}, doing=DOING, select=["Alias", "Guid"])
    )
    assert rows == [{"Alias": "anna"}]
    (sent,) = line.requests
    assert sent.method == "POST"
    assert sent.target == f"/adminapi/beta/{tenant.tenant_id}/InvokeCommand?$select=Alias,Guid"
    assert sent.document == {"CmdletInput": {"CmdletName": "Get-CASMailbox", "Parameters": {"ResultSize": "Unlimited"}}}
    assert sent.headers["X-CmdletName"] == "Get-CASMailbox"
    assert sent.headers["Prefer"] == "odata.maxpagesize=1000"
    anchor = f"APP:SystemMailbox{{bb558c35-97f1-4cb9-8ff7-d53741dc928c}}@{tenant.tenant_id}"
    assert sent.headers["X-AnchorMailbox"] == anchor


def test_a_change_goes_to_the_mailboxes_server_and_null_travels(connect: Connect) -> None:
    line = connect(page())
    line.exchange.run(
        "Set-CASMailbox", {**SET, "SmtpClientAuthenticationDisabled": None}, doing="switch", mailbox=SET["Identity"]
    )
    (sent,) = line.requests
    assert sent.headers["X-AnchorMailbox"] == "UPN:anna@contoso.example"
    assert sent.document["CmdletInput"]["Parameters"]["SmtpClientAuthenticationDisabled"] is None


def test_a_hash_table_carries_its_type(connect: Connect) -> None:
    line = connect(page())
    line.exchange.run("Set-CASMailbox", {"Identity": "a", "EwsAllowList": {"add": ["x"]}}, doing="switch")
    sent = line.requests[0].document["CmdletInput"]["Parameters"]["EwsAllowList"]
    assert sent == {"@odata.type": "#Exchange.GenericHashTable", "add": ["x"]}


def test_pages_are_asked_for_when_they_are_needed(connect: Connect) -> None:
    line = connect(
        lambda request: page({"Alias": "a"}, following=f"https://{request.headers['Host']}/adminapi/beta/next"),
        page({"Alias": "b"}),
    )
    rows = line.exchange.rows("Get-CASMailbox", {"ResultSize": "Unlimited"}, doing=DOING)
    assert next(rows) == {"Alias": "a"}
    assert len(line.requests) == 1
    assert list(rows) == [{"Alias": "b"}]
    first, second = line.requests
    assert (second.target, second.body) == ("/adminapi/beta/next", first.body)


def test_the_token_goes_to_no_other_host(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        line = connect(page({"Alias": "a"}, following=f"https://127.0.0.1:{elsewhere.getsockname()[1]}/next"))
        with pytest.raises(Unreachable, match="not its own"):
            list(line.exchange.rows("Get-CASMailbox", doing=DOING))


def test_warnings_are_kept_and_told_once(connect: Connect) -> None:
    line = connect(page(warnings=("The command completed successfully but no settings have been modified.",) * 2))
    line.exchange.run("Set-CASMailbox", SET, doing="switch")
    line.exchange.run("Set-CASMailbox", SET, doing="switch")
    assert line.warnings == ["The command completed successfully but no settings have been modified."]


@pytest.mark.parametrize("told", ["7", "7.0"])
def test_retry_after_is_obeyed(connect: Connect, told: str) -> None:
    line = connect(Reply(429, None, {"Retry-After": told}), page())
    line.exchange.run("New-ManagementScope", {"Name": "x"}, doing="scope")  # a 429 was not carried out
    assert line.waits == [7.0]


def test_pauses_grow_and_end(connect: Connect) -> None:
    line = connect(Reply(503))
    with pytest.raises(Unreachable, match="503"):
        list(line.exchange.rows("Get-CASMailbox", doing=DOING))
    assert len(line.requests) == 6
    assert all(later > 1.2 * earlier for earlier, later in zip(line.waits, line.waits[1:], strict=False))
    assert 1.5 <= line.waits[0] <= 2.5


def test_nobody_waits_for_an_hour(connect: Connect) -> None:
    line = connect(Reply(429, None, {"Retry-After": "3600"}))
    with pytest.raises(Unreachable, match="3600 seconds"):
        list(line.exchange.rows("Get-CASMailbox", doing=DOING))
    assert line.waits == []


def test_a_400_that_means_not_now_is_asked_again(connect: Connect) -> None:
    proxy = "Ex1|Microsoft.Exchange.Configuration.Tasks.CmdletProxyNotAvailableException|Cmdlet needs proxy. Retry."
    line = connect(failing(400, proxy), page())
    line.exchange.run("Set-CASMailbox", SET, doing="switch")
    assert len(line.requests) == 2


def test_any_other_400_is_the_cmdlets_own_sentence(connect: Connect) -> None:
    wrong = "Ex2|Microsoft.Exchange.Management.ParameterBindingException|A parameter cannot be found: 'Wrong'."
    line = connect(failing(400, wrong))
    with pytest.raises(InvalidInput, match=r"switch \(A parameter cannot be found: 'Wrong'\)"):
        line.exchange.run("Set-CASMailbox", SET, doing="switch")
    assert len(line.requests) == 1


def test_what_is_not_there_is_absent(connect: Connect) -> None:
    gone = "Ex6|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|No object 'nobody'."
    line = connect(failing(404, gone))
    assert line.exchange.first("Get-CASMailbox", {"Identity": "nobody"}, doing=DOING) is None
    with pytest.raises(Absent, match="No object 'nobody'"):
        line.exchange.run("Set-CASMailbox", SET, doing="switch")


@pytest.mark.parametrize(("recipients", "lesser"), [(True, True), (False, False)])
def test_a_bare_403_names_the_permission_and_the_roles(connect: Connect, recipients: bool, lesser: bool) -> None:
    line = connect(Reply(403))
    with pytest.raises(NotPermitted) as refused:
        line.exchange.run("Set-TransportConfig", {}, doing="switch", recipients=recipients)
    assert "Exchange.ManageAsApp" in refused.value.remedy
    assert "Exchange Administrator" in refused.value.remedy
    assert ("Exchange Recipient Administrator" in refused.value.remedy) is lesser
    assert len(line.requests) == 1


def test_a_401_is_signed_in_again_once(connect: Connect) -> None:
    line = connect(Reply(401), page({"Alias": "a"}))
    assert list(line.exchange.rows("Get-CASMailbox", doing=DOING)) == [{"Alias": "a"}]
    line = connect(Reply(401))
    with pytest.raises(SignInFailed, match="Exchange Online"):
        list(line.exchange.rows("Get-CASMailbox", doing=DOING))
    assert len(line.requests) == 2


@pytest.mark.parametrize("body", ["not JSON's object", ["a"]])
def test_a_page_that_is_none_is_one_sentence(connect: Connect, body: Any) -> None:
    with pytest.raises(Unreachable, match="not Exchange Online's"):
        list(connect(Reply(200, body)).exchange.rows("Get-CASMailbox", doing=DOING))


@contextmanager
def cutting(sandbox: Sandbox) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server that reads each request and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = sandbox.ca_file.parent
    context.load_cert_chain(*_server_pair(certificates))
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    plain, _ = listening.accept()
                except OSError:
                    return
                with context.wrap_socket(plain, server_side=True) as connection:
                    seen.append(connection.recv(65536))

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://localhost:{listening.getsockname()[1]}", seen
        listening.shutdown(socket.SHUT_RDWR)


def _server_pair(folder: Any) -> tuple[Any, Any]:
    from provision.sandbox.tls import Certificates

    certificates = Certificates(folder)
    certificates.ensure("127.0.0.1")
    return certificates.server_file, certificates.server_key_file


@pytest.mark.parametrize(("cmdlet", "arrivals"), [("Set-CASMailbox", 3), ("New-AuthenticationPolicy", 1)])
def test_a_lost_answer_is_repeated_only_where_it_is_harmless(
    admin: CredentialSetting, endpoints: Endpoints, sandbox: Sandbox, cmdlet: str, arrivals: int
) -> None:
    credential, _ = sign_in(admin, endpoints)
    with cutting(sandbox) as (url, seen):
        exchange = Exchange(credential, replace(endpoints, exchange=url), pause=lambda _: None)
        with exchange, pytest.raises(AnswerLost):
            exchange.run(cmdlet, SET, doing="switch")
    assert len(seen) == arrivals


@pytest.mark.parametrize(("cmdlet", "arrivals"), [("Set-CASMailbox", 6), ("New-AuthenticationPolicy", 1)])
def test_a_gateway_that_may_have_passed_it_on_counts_as_lost(connect: Connect, cmdlet: str, arrivals: int) -> None:
    line = connect(Reply(502))
    with pytest.raises(Unreachable):
        line.exchange.run(cmdlet, SET, doing="switch")
    assert len(line.requests) == arrivals


def test_the_token_is_in_no_message(connect: Connect) -> None:
    line = connect(Reply(403))
    with pytest.raises(NotPermitted) as refused:
        list(line.exchange.rows("Get-CASMailbox", doing=DOING))
    token = line.requests[0].headers["Authorization"].removeprefix("Bearer ")
    assert token
    assert token not in f"{refused.value}{refused.value!r}{json.dumps(refused.value.args)}"
