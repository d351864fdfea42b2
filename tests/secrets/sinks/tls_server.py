"""A TLS server on loopback for tests: each request goes to one function, and is kept for the test to look at."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provision.sandbox.tls import Certificates


@dataclass(frozen=True)
class Request:
    """What arrived."""

    method: str
    target: str
    """Path and query, as sent."""
    headers: Message
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What goes back; a body of None is none at all."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class TlsServer:
    """A server of the name ``localhost``.

    Args:
        answer: gives the reply to a request.
        directory: for its authority and certificate.
    """

    def __init__(self, answer: Callable[[Request], Reply], directory: Path) -> None:
        self.requests: list[Request] = []
        directory.mkdir(parents=True, exist_ok=True)
        certificates = Certificates(directory)
        certificates.ensure("127.0.0.1")
        self.ca_file = certificates.ca_file
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server_file, certificates.server_key_file)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, answer))
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] - an ended handshake is no news
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"https://localhost:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(server: TlsServer, answer: Callable[[Request], Reply]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing goes to standard error."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, self.headers, body)
            server.requests.append(request)
            reply = answer(request)
            content = b"" if reply.body is None else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            if content:
                self.send_header("Content-Type", "application/json; charset=utf-8")
            if reply.status != 204:
                self.send_header("Content-Length", str(len(content)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = do_POST = do_PATCH = _serve

    return Handler
