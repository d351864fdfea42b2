"""The one ASGI application: which room answers which host and path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from provision.sandbox import metadata
from provision.sandbox.control import Control
from provision.sandbox.entra.routes import entra_routes, userinfo_routes
from provision.sandbox.ews import cloud
from provision.sandbox.exchange.app import PREFIX as ADMIN_PREFIX
from provision.sandbox.exchange.app import exchange_app
from provision.sandbox.google import apis
from provision.sandbox.graph import graph_app
from provision.sandbox.keys import SigningKeys
from provision.sandbox.oidc_issuer import OidcIssuer
from provision.sandbox.onpremises.routes import OnPremises
from provision.sandbox.portal import routes as portal_routes
from provision.sandbox.requestlog import RequestLog, host_name
from provision.sandbox.tenancy import Tenancy
from provision.sandbox.weather_middleware import WeatherMiddleware
from provision.sandbox.world import World

_GRAPH_PREFIXES = ("/v1.0", "/beta")

_PUBLIC_SURFACES: dict[str, str] = {
    "login.microsoftonline.com": "login",
    "login.microsoft.com": "login",
    "login.windows.net": "login",
    "sts.windows.net": "login",
    "microsoft.com": "login",
    "www.microsoft.com": "login",
    "graph.microsoft.com": "graph",
    "management.azure.com": "arm",
    "management.core.windows.net": "arm",
    "outlook.office365.com": "exchange",
    "outlook.office.com": "exchange",
    "autodiscover-s.outlook.com": "exchange",
    "oauth2.googleapis.com": "google",
    "admin.googleapis.com": "google",
    "cloudidentity.googleapis.com": "google",
    "contoso.example": "onpremises",
    "mail.contoso.example": "onpremises",
    "autodiscover.contoso.example": "onpremises",
}
"""Which surface a public host name shows; on the local address all of them answer."""


class Dispatcher:
    """Sends Graph's and Exchange's paths to them, the rest to other rooms; a public host shows its own surface only."""

    def __init__(self, world: World, surfaces: Mapping[str, ASGIApp], local: ASGIApp) -> None:
        self._public_names = world.public_names
        self._graph = graph_app(world)
        self._exchange = exchange_app(world)
        self._surfaces = surfaces
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Chooses by host (public names only), then by path."""
        if scope["path"].startswith("//"):
            # az joins addresses that end with a slash to paths that begin with one; Microsoft's hosts accept it.
            scope["path"] = "/" + scope["path"].lstrip("/")
        surface = _PUBLIC_SURFACES.get(host_name(scope)) if self._public_names else None
        if surface in {None, "graph"} and scope["path"].lower().startswith(_GRAPH_PREFIXES):
            await self._graph(scope, receive, send)
        elif surface in {None, "exchange"} and scope["path"].lower().startswith(ADMIN_PREFIX):
            await self._exchange(scope, receive, send)
        else:
            await (self._local if surface is None else self._surfaces[surface])(scope, receive, send)


class _Product:
    """The sample product, loaded on its first request: its client libraries would double the server's start."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers what no other room answers."""
        if self._app is None:
            from provision.sandbox.product import routes

            self._app = Router(routes(self._world))
        await self._app(scope, receive, send)


def _application(world: World, routes: Sequence[BaseRoute]) -> Starlette:
    app = Starlette(routes=routes)
    app.state.world = world
    return app


async def _home(request: Request) -> Response:  # noqa: ARG001
    return RedirectResponse("/_portal/", status_code=302)


async def _robots(request: Request) -> Response:  # noqa: ARG001
    return PlainTextResponse("User-agent: *\nDisallow: /\n")


def build_app(world: World, tenancy: Tenancy, *, issuer_keys: SigningKeys) -> ASGIApp:
    """Assembles the rooms.

    Args:
        world: what handlers stand on.
        tenancy: the tenants.
        issuer_keys: the signing key of the stand-in for a CI's OIDC issuer.
    """
    issuer = OidcIssuer(world.base_url, issuer_keys, world.directory.clock)
    entra = entra_routes(issuer)
    servers = OnPremises(world)
    everything = [
        *Control(world, tenancy, issuer).routes(),
        *issuer.routes(),
        *metadata.routes(),
        *userinfo_routes(),
        *portal_routes(world),
        *cloud.routes(),
        *servers.routes(),
        *apis.routes(),
        Route("/", _home),
        Route("/robots.txt", _robots),
        *entra,
        Mount("/", _Product(world)),
    ]
    surfaces = {
        "graph": _application(world, userinfo_routes()),
        "login": _application(world, entra),
        "arm": _application(world, metadata.routes()),
        "exchange": _application(world, cloud.routes()),
        "google": _application(world, apis.routes(prefix="")),
        "onpremises": _application(world, servers.routes(prefix="")),
    }
    dispatcher = Dispatcher(world, surfaces, _application(world, everything))
    return RequestLog(WeatherMiddleware(dispatcher, world.weather, world.directory.clock), world.directory)
