"""The ASGI application of ``/adminapi``: authentication, cmdlets by ``InvokeCommand``, pages, the body around rows.

Owns: the wire. Does not own: cmdlets; they get a ``Call`` and give rows in places.

The interface is not documented by Microsoft. Sources: ExoHelper 2.0.0, CIPP-API (New-ExoRequest), michev.info ("All
you need to know about Exchange Online Admin API"), a public capture of a real exchange of 2024-05-22, and a public
client that measured in 2026-09: headers ``X-CmdletName`` and ``X-ResponseFormat`` may be absent; the same body is
posted again to ``@odata.nextLink``; ``InvokeCommand`` under ``v1.0`` is 405. What ``ResultSize`` does on the wire
was not read at a source: here it bounds the rows of all pages together. Whose tenant the path names is the token's,
or the call is refused (403).
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
import uuid
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from provision.sandbox.directory import Document
from provision.sandbox.entra.tokens import EXCHANGE_APP_ID, TokenRefused, verify_access_token
from provision.sandbox.exchange import errors, roles
from provision.sandbox.exchange.call import Call, Caller, Place, Rows
from provision.sandbox.exchange.cmdlets import CMDLETS
from provision.sandbox.exchange.parameters import bind
from provision.sandbox.exchange.rows import annotated
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

PREFIX = "/adminapi/"
_PATH = re.compile(r"/adminapi/(?P<version>[^/]+)/(?P<tenant>[^/]+)/InvokeCommand/?", re.IGNORECASE)
_MAX_PAGE = 1000
_PREFER = re.compile(r"odata\.maxpagesize\s*=\s*(\d+)", re.IGNORECASE)
_HOSTS = ("https://outlook.office365.com", "https://outlook.office.com")
AUDIENCES = frozenset({EXCHANGE_APP_ID, *_HOSTS, *(f"{host}/" for host in _HOSTS)})
"""Every ``aud`` that Exchange Online accepts."""
_APPLICATION_PERMISSION, _DELEGATED_PERMISSION = "exchange.manageasapp", "exchange.manage"
_MORE = (
    "There are more results available than are currently displayed. To view them, increase the value for the "
    "ResultSize parameter."
)
_MEDIA_TYPE = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"


def exchange_app(world: World) -> ASGIApp:
    """Exchange Online's administration interface for the tenants of a server.

    Args:
        world: the running server.
    """
    administration = _Administration(world)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = administration.respond(request, await request.body())
        await response(scope, receive, send)

    return app


class _Unauthenticated(Exception):
    """401; the reason stands in a header alone, as Exchange does it."""

    def __init__(self, reason: str, category: str) -> None:
        super().__init__(reason)
        self.reason, self.category = reason, category


class _Administration:
    """Answers requests; holds no state of its own."""

    def __init__(self, world: World) -> None:
        self._world = world

    def respond(self, request: Request, body: bytes) -> Response:
        """One HTTP request to one HTTP response."""
        match = _PATH.fullmatch(request.url.path)
        if match is None:
            return Response(status_code=404)
        if match["version"].lower() != "beta" or request.method != "POST":
            return Response(status_code=405, headers={"Allow": "POST"})
        try:
            caller = self._caller(request, match["tenant"])
            return self._invoke(request, caller, match["tenant"], body)
        except _Unauthenticated as refused:
            return self._unauthenticated(refused)
        except errors.Denied:
            return Response(status_code=403, headers=self._headers())
        except errors.ExchangeError as error:
            return JSONResponse(error.body(), error.status, self._headers(), media_type=_MEDIA_TYPE)

    # The caller

    def _caller(self, request: Request, tenant: str) -> Caller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _Unauthenticated("", "")
        try:
            claims = verify_access_token(self._world, token.strip(), audiences=AUDIENCES)
        except TokenRefused as refused:
            raise _Unauthenticated(refused.message, "invalid_token") from None
        home = str(claims.get("tid", "")).lower()
        known = self._world.directory.tenant(tenant)
        if self._world.directory.tenant(home) is None:
            raise _Unauthenticated("The tenant of the token is not known.", "invalid_tenant")
        delegated = "scp" in claims
        held = str(claims["scp"]).split() if delegated else list(claims.get("roles") or [])
        wanted = _DELEGATED_PERMISSION if delegated else _APPLICATION_PERMISSION
        if wanted not in {name.lower() for name in held}:
            raise _Unauthenticated(
                "The token contains no permissions, or permissions can not be understood.", "invalid_grant"
            )
        if known is None or known["id"] != home:
            raise errors.Denied
        identity = str(claims["oid"])
        if not self._is_alive(home, identity, delegated=delegated):
            raise _Unauthenticated("The user or application of the token is not known.", "invalid_user")
        found = roles.held(self._world.directory, home, identity)
        return Caller(home, str(claims.get("appid") or ""), identity, delegated, found)

    def _is_alive(self, tenant: str, identity: str, *, delegated: bool) -> bool:
        kind = "user" if delegated else "servicePrincipal"
        document = self._world.directory.get(tenant, kind, identity, fresh=True)
        return document is not None and document.get("accountEnabled", True) is not False

    def _unauthenticated(self, refused: _Unauthenticated) -> Response:
        """401 with an empty body.

        The challenge is the one that outlook.office365.com sends; the wording of ``x-ms-diagnostics`` was not read at a
        source for each reason.
        """
        challenge = (
            f'Bearer client_id="{EXCHANGE_APP_ID}", trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
            f'token_types="app_asserted_user_v1 service_asserted_app_v1", '
            f'authorization_uri="{self._world.base_url}/common/oauth2/authorize"'
        )
        headers = self._headers()
        if refused.reason:
            challenge += ', error="invalid_token"'
            headers["x-ms-diagnostics"] = f'2000003;reason="{refused.reason}";error_category="{refused.category}"'
        return Response(status_code=401, headers={**headers, "WWW-Authenticate": challenge})

    def _headers(self) -> dict[str, str]:
        reset = datetime.fromtimestamp(self._world.directory.clock.now(), UTC) + timedelta(seconds=15)
        return {
            "Cache-Control": "no-cache",
            "request-id": str(uuid.uuid4()),
            "Rate-Limit-Limit": "30000",
            "Rate-Limit-Remaining": "29999",
            "Rate-Limit-Reset": reset.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
        }

    # The cmdlet

    def _invoke(self, request: Request, caller: Caller, tenant: str, body: bytes) -> Response:
        name, sent = _cmdlet_input(body)
        note(request.scope, tenant=caller.tenant, detail=name)
        cmdlet = CMDLETS.get(name.lower())
        if cmdlet is None or not caller.roles & set(cmdlet.roles):
            raise errors.Denied
        if request.headers.get("x-responseformat", "json").lower() != "json":
            raise errors.bad_body("The local tenant answers in JSON only: send X-ResponseFormat: json.")
        after, given = _token(request.query_params.get("$skiptoken"))
        call = Call(self._world, caller, cmdlet, bind(cmdlet.parameters, sent), after)
        with self._world.directory.transaction():
            rows, last = _page(cmdlet.run(call), call, given, _page_size(request))
        select = {row.strip().lower() for row in request.query_params.get("$select", "").split(",") if row.strip()}
        root = f"{_root(request)}/adminapi/beta/{tenant}"
        answer: Document = {
            "@odata.context": f"{root}/$metadata#Collection(Exchange.GenericHashTable)",
            "adminapi.warnings@odata.type": "#Collection(String)",
            "@adminapi.warnings": call.warnings,
        }
        if last is not None:
            token = base64.urlsafe_b64encode(json.dumps([*last, given + len(rows)]).encode()).decode()
            more = f"&$select={request.query_params['$select']}" if select else ""
            answer["@odata.nextLink"] = f"{root}/InvokeCommand?$skiptoken={token}{more}"
        answer["value"] = [annotated(row, select) for row in rows]
        headers = {**self._headers(), "OData-Version": "4.0"}
        content = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        return Response(content, 200, headers, media_type=_MEDIA_TYPE)


def _root(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


def _cmdlet_input(body: bytes) -> tuple[str, Document]:
    """The cmdlet's name and parameters.

    Raises:
        ExchangeError: the body is no such request.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise errors.bad_body("The request body isn't valid JSON.") from None
    sent = parsed.get("CmdletInput") if isinstance(parsed, dict) else None
    name = sent.get("CmdletName") if isinstance(sent, dict) else None
    parameters = sent.get("Parameters") if isinstance(sent, dict) else None
    if not isinstance(name, str) or not name or not isinstance(parameters, dict | None):
        raise errors.bad_body("The request body needs CmdletInput with CmdletName and Parameters.")
    return name, parameters or {}


def _token(text: str | None) -> tuple[Place | None, int]:
    """Where a page goes on, and how many rows came before it."""
    if text is None:
        return None, 0
    try:
        part, seq, given = (int(number) for number in json.loads(base64.urlsafe_b64decode(text)))
    except (ValueError, TypeError, binascii.Error):
        raise errors.bad_body("The $skiptoken isn't valid.") from None
    return (part, seq), given


def _page_size(request: Request) -> int:
    match = _PREFER.search(request.headers.get("prefer", ""))
    return min(max(int(match.group(1)), 1), _MAX_PAGE) if match else _MAX_PAGE


def _page(found: Rows, call: Call, given: int, size: int) -> tuple[list[Document], Place | None]:
    """The rows of one page, and the place behind which the next goes on; objects in one place stay together."""
    bound: int | None = call.get("ResultSize")
    left = None if bound is None else bound - given
    rows: list[Document] = []
    last: Place | None = None
    for place, here in itertools.groupby(found, key=lambda pair: pair[0]):
        if call.after is not None and place <= call.after:
            continue
        if left is not None and len(rows) >= left:
            call.warn(_MORE)
            return rows[:left], None
        if len(rows) >= size:
            call.warn(_MORE)
            return rows, last
        rows += [row for _, row in here]
        last = place
    return rows[:left], None
