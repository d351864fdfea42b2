"""Which address of the login host answers what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from provision.sandbox.entra import openid
from provision.sandbox.entra.admin_consent import admin_consent
from provision.sandbox.entra.app_passwords import security_info
from provision.sandbox.entra.authorize import authorize_v1, authorize_v2
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.device import device_authorization, device_page
from provision.sandbox.entra.errors import TABLE, EntraError, Incident, json_refusal
from provision.sandbox.entra.handles import read_handle
from provision.sandbox.entra.interaction import SESSION_COOKIE
from provision.sandbox.entra.pages import render
from provision.sandbox.entra.token_endpoint import TokenEndpoint
from provision.sandbox.entra.tokens import TokenRefused, graph_audiences, verify_access_token
from provision.sandbox.metadata import login_base
from provision.sandbox.oidc_issuer import OidcIssuer
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

_BROWSER = ["GET", "POST"]
_NOT_POST = ["GET", "PUT", "PATCH", "DELETE"]


def entra_routes(issuer: OidcIssuer) -> list[Route]:
    """The routes of the login host.

    Args:
        issuer: the stand-in for a CI's OIDC issuer, whose tokens clients present as assertions.
    """
    token = TokenEndpoint(issuer)
    return [
        Route("/common/discovery/instance", openid.instance),
        Route("/common/userrealm/{user}", openid.user_realm),
        Route("/devicelogin", device_page, methods=_BROWSER),
        Route("/common/oauth2/deviceauth", device_page, methods=_BROWSER),
        Route("/security-info", security_info, methods=_BROWSER),
        Route("/error", _explain),
        Route("/{tenant}/v2.0/.well-known/openid-configuration", openid.discovery_v2),
        Route("/{tenant}/.well-known/openid-configuration", openid.discovery_v1),
        Route("/{tenant}/discovery/v2.0/keys", openid.keys),
        Route("/{tenant}/discovery/keys", openid.keys),
        Route("/{tenant}/oauth2/v2.0/token", token.v2, methods=["POST"]),
        Route("/{tenant}/oauth2/token", token.v1, methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/token", token.preflight, methods=["OPTIONS"]),
        Route("/{tenant}/oauth2/v2.0/authorize", authorize_v2, methods=_BROWSER),
        Route("/{tenant}/oauth2/authorize", authorize_v1, methods=_BROWSER),
        Route("/{tenant}/oauth2/v2.0/devicecode", device_authorization, methods=["POST"]),
        Route("/{tenant}/oauth2/devicecode", device_authorization, methods=["POST"]),
        Route("/{tenant}/oauth2/v2.0/logout", _logout, methods=_BROWSER),
        Route("/{tenant}/oauth2/logout", _logout, methods=_BROWSER),
        Route("/{tenant}/v2.0/adminconsent", admin_consent, methods=_BROWSER),
        Route("/{tenant}/adminconsent", admin_consent, methods=_BROWSER),
        Route("/{tenant}/oauth2/v2.0/token", _only("POST, OPTIONS"), methods=_NOT_POST),
        Route("/{tenant}/oauth2/token", _only("POST"), methods=_NOT_POST),
        Route("/{tenant}/oauth2/v2.0/devicecode", _only("POST"), methods=_NOT_POST),
        Route("/{tenant}/oauth2/devicecode", _only("POST"), methods=_NOT_POST),
    ]


def _only(allowed: str) -> Callable[[Request], Awaitable[Response]]:
    """Refuses another method with 900561, before the tenant or anything else of the request is looked at.

    The sentence is quoted with "POST, OPTIONS" for the v2.0 token endpoint and with "POST" for others. Its status was
    not found quoted; 400 is that of every other invalid_request.
    """

    async def refuse(request: Request) -> Response:
        world: World = request.app.state.world
        error = EntraError(900561, allowed=allowed, method=request.method)
        note(request.scope, code=f"AADSTS{error.code}")
        incident = Incident.new(world.directory.clock, request.headers.get("client-request-id"))
        return json_refusal(error, incident, login_base(request))

    return refuse


def userinfo_routes() -> list[Route]:
    """UserInfo, which lives on Graph's host."""
    return [Route("/oidc/userinfo", _userinfo, methods=_BROWSER)]


async def _userinfo(request: Request) -> Response:
    """``/oidc/userinfo`` ("UserInfo endpoint"): the claims of a token with the openid scope."""
    world: World = request.app.state.world
    token = request.headers.get("authorization", "").partition(" ")[2]
    try:
        claims = verify_access_token(world, token, audiences=graph_audiences(world))
    except TokenRefused as refused:
        return JSONResponse({"error": {"code": refused.code, "message": refused.message}}, status_code=refused.status)
    user = world.directory.get(claims["tid"], "user", claims["oid"], fresh=True)
    if user is None or "openid" not in str(claims.get("scp", "")).split():
        message = "Insufficient privileges to complete the operation."
        return JSONResponse({"error": {"code": "Authorization_RequestDenied", "message": message}}, status_code=403)
    answer = {
        "sub": claims["sub"],
        "name": user.get("displayName"),
        "given_name": user.get("givenName"),
        "family_name": user.get("surname"),
        "email": user.get("mail"),
        "picture": "https://graph.microsoft.com/v1.0/me/photo/$value",
    }
    return JSONResponse({name: value for name, value in answer.items() if value is not None})


async def _logout(request: Request) -> Response:
    """Ends the session; goes back only to a redirect URI that some application of the store registered."""
    world: World = request.app.state.world
    found = read_handle(world.directory, "session", request.cookies.get(SESSION_COOKIE, ""))
    if found is not None:
        world.directory.remove(found[0], "session", found[1]["id"])
    target = request.query_params.get("post_logout_redirect_uri")
    response: Response
    if target and _registered(world, target):
        response = RedirectResponse(target, status_code=302)
    else:
        response = HTMLResponse(render("signed_out.html", title="Sign out"))
    response.delete_cookie(SESSION_COOKIE, path="/")
    return response


def _registered(world: World, target: str) -> bool:
    for tenant_id, application in world.directory.everywhere("application"):
        client = Client(application["appId"], application["displayName"], application, tenant_id)
        if any(uri == target for uri, _ in client.redirect_uris()):
            return True
    return False


async def _explain(request: Request) -> Response:
    """``/error?code=``: what an AADSTS code means."""
    code = request.query_params.get("code", "")
    row = TABLE.get(int(code)) if code.isdecimal() else None
    text = row.text if row else "There is no such error code here."
    return HTMLResponse(render("explain.html", title="Error lookup", code=code, text=text))
