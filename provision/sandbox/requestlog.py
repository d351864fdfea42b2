"""One line per request in the store: what was asked and how it ended, never a body, a token, a code or a secret.

Owns: taking the line and hiding what must not be kept. Does not own: the table (``directory``).
"""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provision.sandbox.directory import Directory

_SILENT_PREFIXES = ("/_sandbox", "/_portal")
"""The server's own pages; they would drown what clients do."""
_SECRET_QUERY = re.compile(
    r"(?<![\w-])(code|client_secret|client_assertion|assertion|id_token_hint|id_token|access_token|refresh_token"
    r"|password|device_code)=[^&]*",
    re.IGNORECASE,
)
_TENANT_SEGMENT = re.compile(r"^/(?!v\d)([0-9a-fA-F-]{36}|[\w-]+(?:\.[\w-]+)+)/")
_KEPT_BODY = 8192
_CLIENT_LENGTH = 160
_DETAIL_LENGTH = 80

NOTE = "provision.note"
"""The scope's entry where handlers leave what the log cannot see: ``code``, ``fault``, ``tenant``, and ``detail``,
which is shown behind the path (the cmdlet, where all have one path)."""


def note(scope: Scope, **values: str | None) -> None:
    """Leaves a remark (``code``, ``fault``, ``tenant`` or ``detail``) for the request's line in the log."""
    scope.setdefault(NOTE, {}).update(values)


def redact(query: str) -> str:
    """The query string with the values of codes, tokens and secrets hidden."""
    return _SECRET_QUERY.sub(r"\1=[redacted]", query)


def header(scope: Scope, name: bytes) -> str:
    """A request header's value, or an empty string."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


class RequestLog:
    """ASGI middleware that records every request after its answer is known, before its last byte is sent."""

    def __init__(self, app: ASGIApp, directory: Directory) -> None:
        self._app = app
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request and records it."""
        if scope["type"] != "http" or scope["path"].startswith(_SILENT_PREFIXES):
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        scope[NOTE] = {}
        # The server's send is a method of its request cycle; the weather needs the transport to cut a connection.
        scope["provision.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        seen: dict[str, Any] = {"status": 0, "body": b"", "done": False}

        def record() -> None:
            if not seen["done"]:
                seen["done"] = True
                self._directory.record_request(self._line(scope, seen, started))

        async def watching_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            elif message["type"] == "http.response.body":
                if seen["status"] >= 400 and len(seen["body"]) < _KEPT_BODY:
                    seen["body"] += message.get("body", b"")
                if not message.get("more_body"):
                    record()
            await send(message)

        try:
            await self._app(scope, receive, watching_send)
        finally:
            record()

    def _line(self, scope: Scope, seen: dict[str, Any], started: float) -> dict[str, Any]:
        notes = scope[NOTE]
        query = scope["query_string"].decode("latin-1")
        detail = str(notes.get("detail") or "")[:_DETAIL_LENGTH]
        return {
            "at": self._directory.clock.now(),
            "tenant": notes.get("tenant") or named_tenant(scope),
            "method": scope["method"],
            "host": header(scope, b"host"),
            "path": scope["path"] + (f"?{redact(query)}" if query else "") + (f" {detail}" if detail else ""),
            "status": seen["status"],
            "ms": round((time.monotonic() - started) * 1000, 2),
            "client": header(scope, b"user-agent")[:_CLIENT_LENGTH],
            "code": notes.get("code") or _error_code(seen["body"]),
            "fault": notes.get("fault"),
        }


def named_tenant(scope: Scope) -> str | None:
    """The tenant that the path or the (unverified) token names: an id or a domain, in lower case."""
    if match := _TENANT_SEGMENT.match(scope["path"]):
        return match.group(1).lower()
    scheme, _, token = header(scope, b"authorization").partition(" ")
    return tenant_of_token(token) if scheme.lower() == "bearer" else None


def tenant_of_token(token: str) -> str | None:
    """The ``tid`` of a token that nobody has verified yet; None when it is no token."""
    parts = token.strip().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        tenant = claims.get("tid")
    except (ValueError, AttributeError):
        return None
    return tenant.lower() if isinstance(tenant, str) else None


def _error_code(body: bytes) -> str | None:
    """The error code of a Graph (``error.code``) or Entra (``error_codes``) answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        code = error.get("code")
        return code if isinstance(code, str) else None
    if isinstance(error, str):
        codes = answer.get("error_codes")
        return f"AADSTS{codes[0]}" if codes else error
    return None


def host_name(scope: Scope) -> str:
    """The ``Host`` header's name without the port, in lower case."""
    return (urlsplit(f"//{header(scope, b'host')}").hostname or "").lower()
