"""Where Microsoft is: one setting; a host that is wrong, dead or not trusted is one sentence."""

from __future__ import annotations

import socket
import threading

import pytest

from provision.errors import InvalidInput, Unreachable
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
