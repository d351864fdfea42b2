"""``/oauth2/v2.0/authorize`` and ``/oauth2/authorize``: the browser half of signing in.

Owns: reading the request, and sending codes, tokens and refusals back to the client's redirect URI.
Source: "Microsoft identity platform and OAuth 2.0 authorization code flow", "… implicit grant flow", "OpenID Connect
on the Microsoft identity platform".
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from provision.sandbox.entra import consent
from provision.sandbox.entra.authority import resolve_authority
from provision.sandbox.entra.clients import Client, RedirectKind, find_client, service_principal
from provision.sandbox.entra.errors import EntraError, Incident, html_refusal, required
from provision.sandbox.entra.handles import issue_handle
from provision.sandbox.entra.interaction import Account, Interaction, Shown, require_consent_role
from provision.sandbox.entra.issuing import SignIn, access_token, client_info, id_token, scope_text
from provision.sandbox.entra.pages import render
from provision.sandbox.entra.scopes import ScopeRequest, parse_scopes
from provision.sandbox.entra.sign_in_log import SignInEvent, record
from provision.sandbox.metadata import login_base
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

_CODE_SECONDS = 600
_RESPONSE_TYPES = frozenset({"code", "id_token", "token"})
_RESPONSE_MODES = frozenset({"query", "fragment", "form_post"})
_SHOWN_ON_PAGE = frozenset({50020, 50034, 50105, 53000, 53003, 90094, 165000, 530035, 650056, 650057, 7000112})
"""Refusals after which Entra keeps the user on its own page, because going back to the client would help nobody."""
_REDIRECT_ERRORS = {65001: "consent_required", 50105: "access_denied", 53003: "interaction_required"}
"""OAuth errors that differ between the redirect and the token endpoint."""


@dataclass(frozen=True)
class Reply:
    """Where and how the answer goes back."""

    redirect_uri: str
    kind: RedirectKind
    mode: str
    state: str | None

    def send(self, fields: Mapping[str, str]) -> Response:
        """The answer in the client's response mode."""
        values = {**fields, **({"state": self.state} if self.state is not None else {})}
        if self.mode == "form_post":
            nonce = secrets.token_urlsafe(12)
            policy = f"default-src 'none'; script-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
            page = render("form_post.html", target=self.redirect_uri, fields=values, nonce=nonce)
            return HTMLResponse(page, headers={"Cache-Control": "no-store", "Content-Security-Policy": policy})
        target = self.redirect_uri
        if self.mode == "fragment":
            target += "#" + urlencode(values)
        else:
            target += ("&" if urlsplit(target).query else "?") + urlencode(values)
        return RedirectResponse(target, status_code=302, headers={"Cache-Control": "no-store"})


async def authorize_v2(request: Request) -> Response:
    """``GET`` and ``POST /{tenant}/oauth2/v2.0/authorize``."""
    return await _authorize(request, v1=False)


async def authorize_v1(request: Request) -> Response:
    """``GET`` and ``POST /{tenant}/oauth2/authorize``."""
    return await _authorize(request, v1=True)


async def _authorize(request: Request, *, v1: bool) -> Response:
    world: World = request.app.state.world
    form = {name: str(value) for name, value in (await request.form()).items()} if request.method == "POST" else {}
    if form and "canary" not in form:
        # OpenID Connect Core 3.1.2.1: a client may post its request; from here on it is in the query.
        return RedirectResponse(f"{request.url.path}?{urlencode(form)}", status_code=303)
    incident = Incident.new(world.directory.clock, request.query_params.get("client-request-id"))
    event = SignInEvent("interactiveUser", protocol="oAuth2", client_app_used="Browser")
    reply: Reply | None = None
    try:
        authority = resolve_authority(world.directory, request.path_params["tenant"])
        query = _Query(request)
        event.client = client = find_client(world.directory, authority, query.need("client_id"))
        redirect_uri, kind = client.match_redirect(query.get("redirect_uri"))
        reply = Reply(redirect_uri, kind, "query", query.get("state"))
        types, reply = _response(query, client, reply)
        wanted = _wanted(query, v1=v1)
        prompt = frozenset((query.get("prompt") or "").split())
        interaction = Interaction(
            request,
            form,
            authority=authority,
            client=client,
            prompt=prompt,
            login_hint=query.get("login_hint") or "",
        )
        if kind == "publicClient":
            event.client_app_used = "Mobile Apps and Desktop clients"
        account = interaction.account()
        event.of_user(account.tenant_id, account.user["id"])
        asked = consent.interpret(world, account.tenant_id, client, wanted)
        event.resource = asked.resource
        interaction.admit(account, asked.resource, client_app_type=_client_app_type(kind))
        if "admin_consent" in prompt:
            require_consent_role(world, account, client, consent.CONSENT_ROLES)
        interaction.agree(account, asked)
        response = _success(
            request, query, reply=reply, types=types, account=account, client=client, asked=asked, v1=v1
        )
    except Shown as shown:
        return shown.response
    except EntraError as error:
        note(request.scope, code=f"AADSTS{error.code}")
        record(request, event, incident, error)
        silent = "none" in (request.query_params.get("prompt") or "").split()
        if reply is None or (error.code in _SHOWN_ON_PAGE and not silent):
            return html_refusal(error, incident)
        return reply.send(
            {
                "error": _REDIRECT_ERRORS.get(error.code, error.refusal.oauth_error),
                "error_description": incident.describe(error),
                "error_uri": f"{login_base(request)}/error?code={error.code}",
            }
        )
    record(request, event, incident)
    return response


class _Query:
    """The request's parameters; each may come once only (RFC 6749 section 3.1)."""

    def __init__(self, request: Request) -> None:
        names = [name for name, _ in request.query_params.multi_items()]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise EntraError(90023, reason=f"the parameter '{repeated[0]}' is repeated")
        self._values = dict(request.query_params)

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def need(self, name: str) -> str:
        return required(self._values, name)


def _response(query: _Query, client: Client, reply: Reply) -> tuple[frozenset[str], Reply]:
    """The response types and the reply in its mode.

    Raises:
        EntraError: unknown types, types that the registration does not allow, or a mode that would leak tokens.
    """
    types = frozenset((query.get("response_type") or "").split())
    if not types:
        raise EntraError(900144, name="response_type")
    if not types <= _RESPONSE_TYPES:
        raise EntraError(90023, reason="the response_type is not supported")
    implicit = ((client.application or {}).get("web") or {}).get("implicitGrantSettings") or {}
    mode = query.get("response_mode") or ("query" if types == {"code"} else "fragment")
    reply = Reply(reply.redirect_uri, reply.kind, mode if mode in _RESPONSE_MODES else "query", reply.state)
    if mode not in _RESPONSE_MODES or (mode == "query" and types != {"code"}):
        reply = Reply(reply.redirect_uri, reply.kind, "fragment", reply.state)
        raise EntraError(70007, mode=mode)
    if "token" in types and not implicit.get("enableAccessTokenIssuance"):
        raise EntraError(700051)
    if "id_token" in types:
        if not implicit.get("enableIdTokenIssuance"):
            raise EntraError(700054)
        query.need("nonce")
    method = query.get("code_challenge_method") or "plain"
    if query.get("code_challenge") and method not in {"plain", "S256"}:
        raise EntraError(90023, reason="the code_challenge_method is not supported")
    return types, reply


def _wanted(query: _Query, *, v1: bool) -> ScopeRequest:
    if not v1:
        return parse_scopes(query.need("scope"))
    resource = query.get("resource")
    oidc = ("openid", "profile", "offline_access")
    return ScopeRequest(resource, (".default",), oidc) if resource else ScopeRequest(None, (), oidc)


def _client_app_type(kind: RedirectKind) -> str:
    return "mobileAppsAndDesktopClients" if kind == "publicClient" else "browser"


def _success(
    request: Request,
    query: _Query,
    *,
    reply: Reply,
    types: frozenset[str],
    account: Account,
    client: Client,
    asked: consent.Asked,
    v1: bool,
) -> Response:
    world: World = request.app.state.world
    directory, session = world.directory, account.session
    principal = service_principal(directory, account.tenant_id, client)
    if principal is None:
        raise EntraError(65001, app=client.app_id, name=client.name)
    granted = consent.granted_scopes(directory, account.tenant_id, principal, asked.resource, account.user)
    sign_in = SignIn(
        account.tenant_id,
        account.user,
        client,
        principal,
        asked.audience,
        asked.resource,
        tuple(name for name in granted if name not in asked.oidc),
        asked.oidc,
        redirect_kind=reply.kind,
        nonce=query.get("nonce"),
        second_factor=bool(session["_secondFactor"]),
        authenticated_at=session["_authenticatedAt"],
        v1=v1,
    )
    fields: dict[str, str] = {}
    if "code" in types:
        fields["code"] = _code(world, query, reply, sign_in)
    if "token" in types:
        fields |= {
            "access_token": access_token(world, sign_in),
            "token_type": "Bearer",
            "expires_in": str(world.weather.token_lifetime),
            "scope": scope_text(sign_in, sign_in.scopes),
        }
    if "id_token" in types:
        fields["id_token"] = id_token(
            world, sign_in, login_base(request), code=fields.get("code"), access=fields.get("access_token")
        )
    if query.get("client_info") == "1":
        fields["client_info"] = client_info(sign_in)
    fields["session_state"] = str(session["id"])
    return reply.send(fields)


def _code(world: World, query: _Query, reply: Reply, sign_in: SignIn) -> str:
    now = world.directory.clock.now()
    return issue_handle(
        world.directory,
        sign_in.tenant_id,
        "authorizationCode",
        {
            "_userId": sign_in.user["id"],
            "_appId": sign_in.client.app_id,
            "_redirectUri": reply.redirect_uri,
            "_redirectKind": reply.kind,
            "_resource": sign_in.audience,
            "_scopes": list(sign_in.scopes),
            "_oidc": list(sign_in.oidc),
            "_nonce": sign_in.nonce,
            "_challenge": query.get("code_challenge"),
            "_challengeMethod": query.get("code_challenge_method") or "plain",
            "_secondFactor": sign_in.second_factor,
            "_authenticatedAt": sign_in.authenticated_at,
            "_issued": now,
            "_expires": now + _CODE_SECONDS,
        },
    )
