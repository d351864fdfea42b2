"""Where Microsoft is: one setting; a host that is wrong, dead or not trusted is one sentence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from provision.errors import InvalidInput, Unreachable
from provision.sandbox import Sandbox
from provision.settings import endpoints


@pytest.mark.parametrize(
    ("name", "graph"),
    [
        ("public", "https://graph.microsoft.com"),
        ("global", "https://graph.microsoft.com"),
        ("usgovernmentl4", "https://graph.microsoft.us"),
        ("dod", "https://dod-graph.microsoft.us"),
        ("china", "https://microsoftgraph.chinacloudapi.cn"),
    ],
)
def test_clouds_by_name(name: str, graph: str) -> None:
    got = endpoints.resolve(environment=name, environ={})
    assert got.graph == graph
    assert not got.is_local
    assert not got.is_custom


def test_an_unknown_cloud_brings_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="usgovernment"):
        endpoints.of_cloud("mars")


@pytest.mark.parametrize("host", ["https://localhost:1", "localhost:1/x", "a b", "", "host:port", "x@localhost"])
def test_a_metadata_host_is_host_and_port_only(host: str) -> None:
    with pytest.raises(InvalidInput):
        endpoints.read_metadata(host, environ={})


def test_a_dead_host_is_one_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match="refused"):
        endpoints.read_metadata(f"127.0.0.1:{port}", environ={})


def test_a_host_without_tls_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 400 no\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="127"):
            endpoints.read_metadata(f"127.0.0.1:{server.getsockname()[1]}", environ={})
        thread.join()


@pytest.fixture
def weather(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.clear_faults()


def metadata(sandbox: Sandbox, pause: Callable[[float], None]) -> endpoints.Endpoints:
    host = sandbox.base_url.removeprefix("https://")
    return endpoints.read_metadata(host, ca_file=str(sandbox.ca_file), environ={}, pause=pause)


BUSY = {"action": "status", "match": {"path": "^/metadata/"}}


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_host_is_asked_again_when_it_said(weather: Sandbox, status: int) -> None:
    weather.set_faults([{**BUSY, "status": status, "retry_after": 7, "count": 3}])
    paused: list[float] = []
    assert metadata(weather, paused.append).is_local
    assert paused == [7.0, 7.0, 7.0]


def test_a_host_that_stays_busy_is_given_up_after_three_more_tries(weather: Sandbox) -> None:
    weather.set_faults([{**BUSY, "status": 503, "retry_after": 1}])
    paused: list[float] = []
    with pytest.raises(Unreachable, match=r"answers HTTP 503 .* run again in some minutes"):
        metadata(weather, paused.append)
    assert paused == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("rule", [{"status": 429, "retry_after": 31}, {"status": 500}])
def test_a_host_that_asks_for_too_long_or_is_broken_is_not_asked_again(weather: Sandbox, rule: dict[str, int]) -> None:
    weather.set_faults([{**BUSY, **rule}])
    paused: list[float] = []
    with pytest.raises(Unreachable, match=f"answers HTTP {rule['status']}"):
        metadata(weather, paused.append)
    assert paused == []


def test_a_silent_host_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(Unreachable, match="in time"),
    ):
        endpoints.read_metadata(f"127.0.0.1:{server.getsockname()[1]}", environ={}, timeout=0.2)


def test_a_ca_file_that_is_none_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"/none\.pem"):
        endpoints.read_metadata("localhost:1", ca_file="/none.pem", environ={})


def test_the_consent_page_is_the_tenants() -> None:
    cloud = endpoints.of_cloud("public")
    assert cloud.admin_consent_url("t", "c") == "https://login.microsoftonline.com/t/adminconsent?client_id=c"


@pytest.mark.parametrize(
    ("name", "exchange", "smtp"),
    [
        ("public", "https://outlook.office365.com", "smtp.office365.com:587"),
        ("usgovernment", "https://outlook.office365.us", "smtp.office365.us:587"),
        ("dod", "https://webmail.apps.mil", "outlook-dod.office365.us:587"),
        ("china", "https://partner.outlook.cn", "smtp.partner.outlook.cn:587"),
    ],
)
def test_exchange_is_the_clouds_own(name: str, exchange: str, smtp: str) -> None:
    cloud = endpoints.of_cloud(name)
    assert (cloud.exchange, cloud.exchange_scope) == (exchange, f"{exchange}/.default")
    assert (cloud.ews, cloud.smtp_address) == (f"{exchange}/EWS/Exchange.asmx", smtp)


def test_smtp_wants_a_permission_of_outlook_and_not_of_graph() -> None:
    assert endpoints.of_cloud("public").smtp_scope == "https://outlook.office.com/SMTP.Send"


def test_a_cloud_known_by_name_never_sends_elsewhere() -> None:
    got = endpoints.resolve(environ={"PROVISION_SMTP_ADDRESS": "127.0.0.1:2525"})
    assert got.smtp_address == "smtp.office365.com:587"


def test_the_local_tenant_answers_for_exchange_under_its_own_address(sandbox: Sandbox) -> None:
    host = sandbox.base_url.removeprefix("https://")
    got = endpoints.read_metadata(
        host, ca_file=str(sandbox.ca_file), environ={"PROVISION_SMTP_ADDRESS": "localhost:2525"}
    )
    assert (got.exchange, got.exchange_scope) == (sandbox.base_url, "https://outlook.office365.com/.default")
    assert (got.smtp_host, got.smtp_port) == ("localhost", 2525)


@pytest.mark.parametrize("address", ["localhost", "localhost:0", "localhost:x", "smtp://localhost:25", "a b:25"])
def test_an_smtp_address_is_host_and_port(sandbox: Sandbox, address: str) -> None:
    host = sandbox.base_url.removeprefix("https://")
    with pytest.raises(InvalidInput, match="PROVISION_SMTP_ADDRESS"):
        endpoints.read_metadata(host, ca_file=str(sandbox.ca_file), environ={"PROVISION_SMTP_ADDRESS": address})
