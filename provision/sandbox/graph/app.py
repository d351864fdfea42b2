"""The ASGI application of Microsoft Graph: authentication, routing, bodies, the error envelope, ``$batch``.

Owns: the wire. Does not own: state or rules; handlers get a ``Call`` and give an ``Answer``.
Sources: "Microsoft Graph error responses and resource types" (envelope and headers), "Combine multiple HTTP requests
using JSON batching" (``batch``), "Use query parameters".
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from provision.sandbox import limits
from provision.sandbox.directory import Document
from provision.sandbox.entra.tokens import TokenRefused, graph_audiences, verify_access_token
from provision.sandbox.graph import batch, csdl, errors, routes
from provision.sandbox.graph.call import Answer, Call, Caller
from provision.sandbox.graph.odata.query import parse_options
from provision.sandbox.graph.permissions import RULES, authorize
from provision.sandbox.world import World

_DIAGNOSTIC = json.dumps(
    {
        "ServerInfo": {
            "DataCenter": "Local",
            "Slice": "E",
            "Ring": "0",
            "ScaleUnit": "000",
            "RoleInstance": "LOCALTENANT",
        }
    },
    separators=(",", ":"),
)
_MAX_BODY = 4 * 1024 * 1024
_NEARLY = 0.8
"""From this share of a limit on, answers say how much of it is used."""


def graph_app(world: World) -> ASGIApp:
    """Microsoft Graph (``/v1.0`` and ``/beta``) for the tenants of a server.

    Args:
        world: the running server.
    """
    graph = _Graph(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        response = graph.respond(request, body)
        await response(scope, receive, send)

    return app


@dataclass(frozen=True)
class _Asked:
    """One request, alone or out of a batch."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes | Document
    """Bytes from the wire, or a batch item's JSON."""


@dataclass(frozen=True)
class _Session:
    """What all requests of one HTTP exchange share."""

    caller: Caller
    version: str
    root: str


class _Graph:
    """Answers requests; holds no state of its own."""

    def __init__(self, world: World) -> None:
        self._world = world

    def respond(self, request: Request, body: bytes) -> Response:
        """One HTTP request to one HTTP response; a ``$batch`` is unpacked here."""
        raw_path = request.scope.get("raw_path") or request.url.path.encode()
        version, _, rest = raw_path.decode("latin-1").partition("?")[0].lstrip("/").partition("/")
        headers = request.headers
        ids = _Ids(headers.get("client-request-id"))
        root = f"{request.url.scheme}://{headers.get('host', request.url.netloc)}/{version.lower()}"
        if rest.strip("/").lower() == "$metadata" and request.method in {"GET", "HEAD"}:
            return _wire(_metadata(), ids)  # the one path that asks for no token
        try:
            session = _Session(self._authenticate(headers.get("authorization")), version.lower(), root)
            if rest.strip("/").lower() == "$batch":
                if request.method != "POST":
                    raise errors.method_not_allowed()
                parsed = _json_body(body, headers)
                answer = batch.run(parsed, lambda item: self._batched(item, session))
            else:
                query = request.scope.get("query_string", b"").decode("latin-1")
                answer = self._one(_Asked(request.method, "/" + rest, query, headers, body), session)
        except errors.GraphError as error:
            return _wire(_error_answer(error, ids), ids)
        return _wire(answer, ids)

    def _one(self, asked: _Asked, session: _Session) -> Answer:
        method, headers, body = asked.method, asked.headers, asked.body
        route, keys = routes.match("GET" if method == "HEAD" else method, asked.path, session.version)
        options = parse_options(asked.query, consistency_level=headers.get("consistencylevel"))
        call = Call(self._world, session.caller, session.version, session.root, asked.path, keys, options, headers)
        charged = self._charge(call, method, route)
        if route.rule is not None:
            authorize(call, RULES[route.rule])
        if route.needs_body:
            call.body = _json_body(body, headers) if isinstance(body, bytes) else body
        with self._world.directory.transaction():
            answer = route.operation(call)
        return replace(answer, headers={**answer.headers, **charged}) if charged else answer

    def _charge(self, call: Call, method: str, route: routes.Route) -> dict[str, str]:
        """Takes the request's cost, where limits are switched on, and says it as headers.

        Raises:
            GraphError: 429, with the headers of "Throttled responses requests".
        """
        options = limits.Options(bool(call.options.select), bool(call.options.expand), call.options.top)
        try:
            charged = self._world.weather.limits.charge(
                method, route.template, application=call.caller.app_id, tenant=call.tenant, options=options
            )
        except limits.Throttled as throttled:
            raise errors.throttled(throttled.scope, throttled.reason, throttled.retry_after) from None
        if charged is None:
            return {}
        headers = {"x-ms-resource-unit": str(charged.units)}
        if charged.used > _NEARLY:
            headers["x-ms-throttle-limit-percentage"] = f"{charged.used:.1f}"
        return headers

    def _batched(self, item: batch.Item, session: _Session) -> Document:
        """One request of a batch, with its own status and error."""
        ids = _Ids(item.headers.get("client-request-id"))
        path, _, query = item.url.partition("?")
        if item.body is not None and "content-type" not in item.headers:
            raise errors.BadRequest(
                "Write requests (excluding DELETE) must contain the Content-Type header declaration."
            )
        body: bytes | Document = item.body if item.body is not None else b""
        try:
            answer = self._one(_Asked(item.method, "/" + path.lstrip("/"), query, item.headers, body), session)
        except errors.GraphError as error:
            answer = _error_answer(error, ids)
        headers = {**answer.headers, **({"Content-Type": "application/json"} if answer.body is not None else {})}
        result: Document = {"id": item.id, "status": answer.status, "headers": headers}
        if answer.body is not None:
            result["body"] = answer.body
        return result

    def _authenticate(self, header: str | None) -> Caller:
        """The caller behind the ``Authorization`` header.

        Raises:
            GraphError: 401 with Microsoft's sentence.
        """
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise errors.unauthenticated(errors.TOKEN_EMPTY, self._world.base_url)
        try:
            claims = verify_access_token(self._world, token.strip(), audiences=graph_audiences(self._world))
        except TokenRefused as refused:
            raise errors.unauthenticated(refused.message, self._world.base_url, code=refused.code) from None
        return self._caller(claims)

    def _caller(self, claims: dict[str, Any]) -> Caller:
        tenant = str(claims.get("tid", "")).lower()
        if self._world.directory.tenant(tenant) is None:
            raise errors.unauthenticated(
                "The identity of the calling application could not be established.",
                self._world.base_url,
                code="Authorization_IdentityNotFound",
            )
        delegated = "scp" in claims
        permissions = str(claims["scp"]).split() if delegated else list(claims.get("roles") or [])
        identity = str(claims["oid"])
        held = self._world.directory.find(tenant, "roleMembership", fresh=True, memberId=identity)
        roles = [self._world.directory.get(tenant, "directoryRole", row["roleId"]) for row in held]
        return Caller(
            tenant,
            str(claims.get("appid") or claims.get("azp") or ""),
            identity,
            delegated,
            frozenset(name.lower() for name in permissions),
            frozenset(role["roleTemplateId"] for role in roles if role is not None),
        )


def _metadata() -> Answer:
    return Answer(text=csdl.document(), media_type="application/xml", headers={"OData-Version": "4.0"})


class _Ids:
    """The ids of one request, as headers and error bodies show them."""

    def __init__(self, client_request_id: str | None) -> None:
        self.request_id = str(uuid.uuid4())
        self.client_request_id = client_request_id or self.request_id


def _json_body(body: bytes, headers: Mapping[str, str]) -> Any:
    """The decoded body of a write.

    Raises:
        GraphError: no content type, another one than JSON, no body, not JSON, a name given twice, or too large.
    """
    if not body:
        raise errors.empty_body()
    content_type = headers.get("content-type")
    if content_type is None:
        raise errors.BadRequest("Write requests (excluding DELETE) must contain the Content-Type header declaration.")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise errors.unreadable_json()
    if len(body) > _MAX_BODY:
        raise errors.GraphError("The request is too large.", code="RequestEntityTooLarge", status=413)
    try:
        parsed = json.loads(body, parse_constant=_no_constant, object_pairs_hook=_object)
        json.dumps(parsed, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError):
        raise errors.unreadable_json() from None
    return parsed


def _no_constant(name: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


def _object(pairs: list[tuple[str, Any]]) -> Document:
    """A JSON object; Python would keep the last of two values under one name, OData refuses them."""
    result: Document = {}
    for name, value in pairs:
        if name in result:
            raise errors.duplicate_property(name)
        result[name] = value
    return result


def _error_answer(error: errors.GraphError, ids: _Ids) -> Answer:
    body: Document = {"code": error.code, "message": error.message}
    if error.details:
        body["details"] = error.details
    body["innerError"] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
    }
    return Answer({"error": body}, error.status, error.headers, media_type="application/json")


def _wire(answer: Answer, ids: _Ids) -> Response:
    headers = {
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
        "x-ms-ags-diagnostic": _DIAGNOSTIC,
        "Cache-Control": "no-cache",
        "Strict-Transport-Security": "max-age=31536000",
        **answer.headers,
    }
    if answer.text is not None:
        return Response(answer.text, answer.status, headers, media_type=answer.media_type)
    if answer.body is None:
        return Response(b"", answer.status, headers)
    headers["OData-Version"] = "4.0"
    content = json.dumps(answer.body, separators=(",", ":"), ensure_ascii=False)
    return Response(content, answer.status, headers, media_type=answer.media_type)
