"""The doors of the customer's own Exchange: ``/_onpremises/EWS/Exchange.asmx`` and ``/_onpremises/autodiscover/…``.

Owns: Basic, NTLM and hybrid OAuth as IIS takes them. Does not own: SOAP and the operations (``ews.service``).

NTLM authenticates a connection, not a request, so the handshake and its result live as long as the connection does;
pyspnego is the acceptor. Negotiate (Kerberos) is not offered: there is no domain controller here. Hybrid OAuth is
"hybrid modern authentication": a token of Entra for the server's own address (``https://mail.<the tenant's own
domain>``), which is a service principal name of Office 365 Exchange Online; whose token it is tells an address that
the person has in both directories. Sources: [MS-NTHT] (NTLM over HTTP), "Hybrid Modern Authentication overview", "How
to configure Exchange Server on-premises to use Hybrid Modern Authentication" (challenges in the answer's headers).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.tokens import EXCHANGE_APP_ID, TokenRefused, verify_access_token
from provision.sandbox.ews import autodiscover, service
from provision.sandbox.ews.call import Caller, Mailbox
from provision.sandbox.ews.errors import HttpRefusal
from provision.sandbox.onpremises import accounts
from provision.sandbox.requestlog import tenant_of_token
from provision.sandbox.world import World

if TYPE_CHECKING:
    from spnego import ContextProxy

PREFIX = "/_onpremises"


class ExchangeServer:
    """The customer's own Exchange.

    Args:
        directory: the store.
    """

    build = (15, 2, 2562, 17)

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def mailbox_at(self, tenant: str, address: str) -> Mailbox | None:
        """The mailbox with this SMTP address."""
        return accounts.mailbox_at(self._directory, tenant, address)

    def mailbox_of(self, tenant: str, identity: str) -> Mailbox | None:
        """An account's own mailbox."""
        account = self._directory.get(tenant, accounts.KIND, identity, fresh=True)
        return None if account is None else accounts.seen(account)

    def address_list(self, tenant: str) -> Sequence[Mailbox]:
        """Everybody in the global address list."""
        rows = self._directory.all(tenant, accounts.KIND, fresh=True)
        return [mailbox for row in rows if (mailbox := accounts.seen(row)) is not None]

    def admit(self, caller: Caller, mailbox: Mailbox, user_agent: str) -> None:
        """Lets everybody in: the retirement of Exchange Web Services does not concern the customer's own servers."""


class OnPremises:
    """The routes and the connections that NTLM has authenticated.

    Args:
        world: the running server.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._handshakes: WeakKeyDictionary[Any, ContextProxy] = WeakKeyDictionary()
        self._connections: WeakKeyDictionary[Any, Caller] = WeakKeyDictionary()
        accounts.publish(world.directory)

    def routes(self, prefix: str = PREFIX) -> list[Route]:
        """The routes; without a prefix where the host name tells whose they are."""
        directory = f"{prefix}/autodiscover"
        return [
            Route(f"{prefix}/EWS/Exchange.asmx", self._guarded(self._ews), methods=["GET", "POST", "HEAD"]),
            Route(f"{directory}/autodiscover.svc", self._guarded(self._soap), methods=["GET", "POST", "HEAD"]),
            Route(f"{directory}/autodiscover.xml", self._guarded(self._pox), methods=["GET", "POST", "HEAD"]),
            Route(f"{directory}/autodiscover.json", self._json),
            Route(f"{directory}/autodiscover.json/v1.0/{{email}}", self._json),
        ]

    def _guarded(self, handler: Callable[[Request, Caller], Awaitable[Response]]) -> Any:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request, self._authenticate(request))
            except _Challenged as challenge:
                return challenge.response
            except HttpRefusal as refusal:
                return service.refuse(request, refusal)

        return guarded

    async def _ews(self, request: Request, caller: Caller) -> Response:
        return await service.respond(request, ExchangeServer(self._world.directory), caller)

    async def _soap(self, request: Request, caller: Caller) -> Response:
        return await autodiscover.soap(request, self._finder(request, caller.tenant), ExchangeServer.build)

    async def _pox(self, request: Request, caller: Caller) -> Response:
        return await autodiscover.pox(request, self._finder(request, caller.tenant))

    async def _json(self, request: Request) -> Response:
        email = str(request.path_params.get("email") or request.query_params.get("Email") or "")
        domain = email.rpartition("@")[2].lower()
        tenant = (self._world.directory.tenant(domain) or {}).get("id")
        if tenant is None or accounts.custom_domain(self._world.directory, tenant) != domain:
            return autodiscover.json(request, autodiscover.NotFound())
        found = self._finder(request, tenant)(email)
        return autodiscover.json(request, found)

    def _finder(self, request: Request, tenant: str) -> autodiscover.Finder:
        def find(email: str) -> autodiscover.Found:
            account = accounts.by_address(self._world.directory, tenant, email)
            if account is None or account["mailbox"] == "none":
                return autodiscover.NotFound()
            if account["mailbox"] == "remote":
                return autodiscover.Elsewhere(account["targetAddress"])
            return autodiscover.Here(account["displayName"], account["mail"], self._url(request, tenant))

        return find

    def _url(self, request: Request, tenant: str) -> str:
        if request.url.path.startswith(PREFIX):
            return f"{self._world.base_url}{PREFIX}/EWS/Exchange.asmx"
        return f"{accounts.server_address(self._world.directory, tenant)}/EWS/Exchange.asmx"

    def _authenticate(self, request: Request) -> Caller:
        """Who calls, by the request's header or by what its connection proved before.

        Raises:
            _Challenged: 401 with what NTLM sends next.
            HttpRefusal: 401.
        """
        transport = request.scope.get("provision.transport")
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if not scheme and transport is not None and transport in self._connections:
            return self._connections[transport]
        caller = None
        if scheme.lower() == "basic":
            caller = self._basic(value)
        elif scheme.lower() == "bearer":
            caller = self._bearer(value)
        elif scheme.lower() == "ntlm" and transport is not None:
            caller = self._ntlm(transport, value)
        if caller is None:
            raise _Challenged(401, self._challenges())
        return caller

    def _challenges(self) -> list[str]:
        bearer = (
            f'Bearer client_id="{EXCHANGE_APP_ID}", authorization_uri="{self._world.base_url}/common/oauth2/authorize"'
        )
        return ["NTLM", 'Basic realm="onpremises"', bearer]

    def _basic(self, value: str) -> Caller | None:
        try:
            name, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        found = accounts.by_name(self._world.directory, name)
        if found is None or not found[1]["enabled"] or not hashing.matches(password, found[1]["_passwordHash"]):
            return None
        return _caller(*found)

    def _ntlm(self, transport: Any, value: str) -> Caller | None:
        import spnego  # loaded late: it would lengthen the server's start
        from spnego.exceptions import SpnegoError

        try:
            token = base64.b64decode(value, validate=True)
            context = self._handshakes.pop(transport, None)
            if context is None or token[8:12] == b"\x01\x00\x00\x00":  # the first message starts again
                context = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
                answer = context.step(token) or b""
                self._handshakes[transport] = context
                self._connections.pop(transport, None)
                raise _Challenged(401, [f"NTLM {base64.b64encode(answer).decode()}"])
            context.step(token)
        except (binascii.Error, SpnegoError, ValueError):
            return None
        found = accounts.by_name(self._world.directory, context.client_principal or "")
        if found is None or not found[1]["enabled"]:
            return None
        self._connections[transport] = _caller(*found)
        return self._connections[transport]

    def _bearer(self, value: str) -> Caller | None:
        directory = self._world.directory
        tenant = tenant_of_token(value)  # only says which address to check it for
        if tenant is None or directory.tenant(tenant) is None:
            return None
        address = accounts.server_address(directory, tenant)
        try:
            claims = verify_access_token(self._world, value.strip(), audiences={address, f"{address}/"})
        except TokenRefused:
            return None
        return self._hybrid_caller(tenant, claims)

    def _hybrid_caller(self, tenant: str, claims: dict[str, Any]) -> Caller | None:
        app = str(claims.get("appid", ""))
        if "scp" not in claims:
            allowed = "full_access_as_app" in (claims.get("roles") or ())
            return Caller(tenant, str(claims["oid"]), app, app_only=True, may_impersonate=True) if allowed else None
        user = self._world.directory.get(tenant, "user", str(claims["oid"]), fresh=True)
        if user is None or "EWS.AccessAsUser.All" not in str(claims["scp"]).split():
            return None
        for address in [user["userPrincipalName"], *(one.partition(":")[2] for one in user["proxyAddresses"])]:
            account = accounts.by_address(self._world.directory, tenant, address)
            if account is not None and account["enabled"]:
                return Caller(tenant, account["id"], app)
        return None


class _Challenged(Exception):
    """401 with one ``WWW-Authenticate`` header for each scheme."""

    def __init__(self, status: int, challenges: Sequence[str]) -> None:
        super().__init__(status)
        self.response = Response(b"", status)
        for challenge in challenges:
            self.response.headers.append("WWW-Authenticate", challenge)


def _caller(tenant: str, account: Document) -> Caller:
    return Caller(tenant, account["id"], may_impersonate=account["impersonates"])
