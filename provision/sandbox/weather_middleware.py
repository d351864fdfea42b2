"""Acts out the weather on the wire: refuses, delays, drops and parks requests as the rules of ``faults`` say.

Refusals have the shape of the surface they hit: Graph's error JSON, Entra's, or plain text.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provision.sandbox.directory import Clock
from provision.sandbox.faults import Rule, Weather
from provision.sandbox.requestlog import header, named_tenant, note

_EXEMPT_PREFIXES = ("/_sandbox", "/_portal")

_GRAPH_ERRORS: dict[int, tuple[str, str]] = {
    429: ("TooManyRequests", "Too many requests. Please try again later."),
    500: ("InternalServerError", "An internal server error occurred. The operation failed."),
    502: ("BadGateway", "Bad gateway."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable. Please try again later."),
    504: ("GatewayTimeout", "The request timed out."),
}
"""Codes of "Microsoft Graph error responses and resource types" (learn.microsoft.com/graph/errors)."""

_ENTRA_ERRORS: dict[int, tuple[str, int, str]] = {
    429: (
        "temporarily_unavailable",
        90055,
        "AADSTS90055: The server has terminated the request because there are too many incoming requests.",
    ),
    503: ("temporarily_unavailable", 90033, "AADSTS90033: A transient error has occurred. Please try again."),
}
"""From "Microsoft Entra authentication and authorization error codes" (90055 TenantThrottlingError, 90033)."""


class WeatherMiddleware:
    """ASGI middleware; the request log must be outside of it (it lends the transport)."""

    def __init__(self, app: ASGIApp, weather: Weather, clock: Clock) -> None:
        self._app = app
        self._weather = weather
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the request under the first rule that hits it; every answer is dated by the tenant's clock."""
        send = self._dated(send)
        if scope["type"] != "http" or scope["path"].startswith(_EXEMPT_PREFIXES):
            await self._app(scope, receive, send)
            return
        rule = self._weather.hit(
            method=scope["method"],
            path=scope["path"],
            host=header(scope, b"host"),
            client=header(scope, b"user-agent"),
            tenant=lambda: named_tenant(scope),
        )
        if rule is None:
            await self._app(scope, receive, send)
            return
        note(scope, fault=rule.name)
        await getattr(self, f"_{rule.action}")(rule, scope, receive, send)

    def _dated(self, send: Send) -> Send:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = format_datetime(datetime.fromtimestamp(self._clock.now(), UTC), usegmt=True)
                message = {**message, "headers": [*message.get("headers", ()), (b"date", date.encode())]}
            await send(message)

        return dated

    async def _status(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        body, media = refusal(scope["path"], rule.status, self._clock)
        headers = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode())]
        retry_after = rule.retry_after
        if retry_after is None and rule.status in {429, 503}:
            retry_after = 1
        if retry_after is not None:
            headers.append((b"retry-after", str(retry_after).encode()))
        await send({"type": "http.response.start", "status": rule.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _delay(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(rule.seconds)
        await self._app(scope, receive, send)

    async def _drop_before(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await _cut(scope, receive)

    async def _drop_after(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await self._answer(scope, receive)
        await _cut(scope, receive)

    async def _hold_before(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        await self._weather.park(rule, phase="before", method=scope["method"], path=scope["path"])
        await self._app(scope, receive, send)

    async def _hold_after(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._answer(scope, receive)
        await self._weather.park(rule, phase="after", method=scope["method"], path=scope["path"])
        for message in answer:
            await send(message)

    async def _hang(self, rule: Rule, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _answer(self, scope: Scope, receive: Receive) -> list[Message]:
        """Does the work and keeps the answer back."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        return messages


async def _cut(scope: Scope, receive: Receive) -> None:
    """Closes the connection without an answer and waits until the server has noticed."""
    transport: Any = scope["provision.transport"]
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def refusal(path: str, status: int, clock: Clock) -> tuple[bytes, str]:
    """The body and media type of a refusal in the words of the surface that the path belongs to."""
    now = clock.iso()
    if path.lower().startswith(("/v1.0", "/beta")):
        code, message = _GRAPH_ERRORS.get(status, ("UnknownError", ""))
        inner = {"date": now.rstrip("Z"), "request-id": str(uuid.uuid4()), "client-request-id": str(uuid.uuid4())}
        answer: dict[str, Any] = {"error": {"code": code, "message": message, "innerError": inner}}
        return json.dumps(answer).encode(), "application/json"
    if path.lower().startswith("/adminapi/"):
        code, message = _GRAPH_ERRORS.get(status, ("UnknownError", ""))
        return json.dumps({"error": {"code": code, "message": message}}).encode(), "application/json"
    if "/oauth2/" in path.lower() and status in _ENTRA_ERRORS:
        error, number, text = _ENTRA_ERRORS[status]
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = now.replace("T", " ")
        answer = {
            "error": error,
            "error_description": f"{text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
            "error_codes": [number],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
        }
        return json.dumps(answer).encode(), "application/json; charset=utf-8"
    return b"Service unavailable.\n", "text/plain; charset=utf-8"
