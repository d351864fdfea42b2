"""The gate: nothing but this machine's local tenant, whoever claims to be it."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.sandbox.tls import Certificates
from provision.standin.local_tenant import TENANT_NAME, endpoints_of

Answering = Callable[[str, str], str]


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """A TLS server on loopback that calls itself by a name and gives a Graph address."""
    certificates = Certificates(tmp_path)
    certificates.ensure("127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    servers: list[HTTPServer] = []

    def start(name: str, graph: str) -> str:
        class Metadata(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                here = f"https://localhost:{self.server.server_port}"  # type: ignore[attr-defined]
                body = json.dumps(
                    {
                        "name": name,
                        "resourceManager": f"{here}/",
                        "microsoftGraphResourceId": graph or f"{here}/",
                        "authentication": {"loginEndpoint": here, "audiences": [], "tenant": "common"},
                        "suffixes": {},
                    }
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        server = HTTPServer(("127.0.0.1", 0), Metadata)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server_file, certificates.server_key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"localhost:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "host",
    [
        "",
        "login.microsoftonline.com",
        "management.azure.com:443",
        "localhost.example.com:8443",
        "127.0.0.1.example.com",
        "192.168.1.5:8443",
        "10.0.0.1",
        "localhost@example.com",
    ],
)
def test_a_host_that_is_not_this_machine_is_refused_before_it_is_asked(host: str) -> None:
    with pytest.raises(InvalidInput, match="offline stand-in"):
        endpoints_of(host)


def test_the_local_tenant_passes(answering: Answering) -> None:
    assert endpoints_of(answering(TENANT_NAME, "")).is_local


def test_another_server_on_loopback_is_refused(answering: Answering) -> None:
    """A tunnel or a proxy on localhost may well lead to Microsoft."""
    with pytest.raises(InvalidInput, match="not the local tenant"):
        endpoints_of(answering("AzureCloud", ""))


def test_a_server_that_points_away_from_this_machine_is_refused(answering: Answering) -> None:
    with pytest.raises(InvalidInput, match="not the local tenant"):
        endpoints_of(answering(TENANT_NAME, "https://graph.microsoft.com/"))
