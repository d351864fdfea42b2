"""The OAuth grants of the token endpoint, one function each, in one table.

Source: "Microsoft identity platform and OAuth 2.0 …" (client credentials, authorization code, refresh, device
authorization grant, resource owner password credentials, on-behalf-of flow).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.entra import access, consent
from provision.sandbox.entra.accounts import check_password, find_account, sessions_valid_from
from provision.sandbox.entra.authority import Authority, tenant_name
from provision.sandbox.entra.clients import Client, RedirectKind, service_principal
from provision.sandbox.entra.credentials import ClientProof, instant
from provision.sandbox.entra.errors import EntraError, required
from provision.sandbox.entra.handles import read_handle
from provision.sandbox.entra.issuing import SignIn, in_v1_shape, token_answer, token_version
from provision.sandbox.entra.scopes import ScopeRequest, find_resource, parse_scopes
from provision.sandbox.entra.sign_in_log import SignInEvent
from provision.sandbox.entra.tokens import TokenRefused, issue_access_token, verify_access_token
from provision.sandbox.world import World

_APPLICATION_WID = "0997a1d0-0d1d-4acb-b408-d5ca73121e90"
"""The role template that every application's token carries in ``wids``."""


@dataclass(frozen=True)
class TokenRequest:
    """A request at the token endpoint, its client found but not yet proved."""

    world: World
    authority: Authority
    client: Client
    form: dict[str, str]
    basic_secret: str | None
    origin: str | None
    login_base: str
    proof: ClientProof
    v1: bool
    event: SignInEvent
    """For the sign-in log: each grant says here whose sign-in it is, and to what, as soon as it knows."""
    address: str = ""
    """The caller's IP address."""

    @property
    def with_client_info(self) -> bool:
        """Whether MSAL's ``client_info`` was asked for."""
        return self.form.get("client_info") == "1"

    def need(self, name: str) -> str:
        """A form field; raises 900144 when it is missing."""
        return required(self.form, name)

    @property
    def presents_secret(self) -> bool:
        """Whether the client tries to prove itself."""
        return bool(self.form.get("client_secret") or self.form.get("client_assertion") or self.basic_secret)

    def check_cross_origin(self, kind: RedirectKind | None) -> None:
        """Tokens of a single-page application are redeemed by a browser from another origin, and only those are.

        Raises:
            EntraError: 9002327 or 9002326.
        """
        if kind == "spa" and not self.origin:
            raise EntraError(9002327)
        if kind != "spa" and self.origin:
            raise EntraError(9002326, origin=self.origin)

    def check_client(self, principal: Document | None, kind: RedirectKind | None) -> None:
        """Web clients prove themselves; public ones must not, except that a single-page application may not at all.

        Raises:
            EntraError: 700025, 7000218 or a refusal of the proof.
        """
        if kind in {"spa", "publicClient"}:
            if self.presents_secret:
                raise EntraError(700025)
            return
        self.proof.check(self.client, principal, self.form, self.basic_secret)

    def check_client_without_redirect(self, principal: Document | None) -> None:
        """Where no redirect URI tells the kind of client, its registration does (``isFallbackPublicClient``).

        A client that proves itself all the same is confidential (pnp/cli-microsoft365#895).

        Raises:
            EntraError: 7000218 or a refusal of the proof.
        """
        if self.presents_secret or not self.client.fallback_public:
            self.proof.check(self.client, principal, self.form, self.basic_secret)


def client_credentials(request: TokenRequest) -> dict[str, Any]:
    """An application's own token: the roles that were assigned to its service principal."""
    request.check_cross_origin(None)
    tenant_id = request.authority.tenant_id
    if tenant_id is None:
        raise EntraError(50059)
    request.event.kind, request.event.tenant_id = "servicePrincipal", tenant_id
    directory = request.world.directory
    principal = service_principal(directory, tenant_id, request.client)
    request.proof.check(request.client, principal, request.form, request.basic_secret)
    if not request.form.get("scope"):
        raise EntraError(90014, name="scope")
    scope = request.form["scope"]
    try:
        asked = parse_scopes(scope)
    except EntraError:
        raise EntraError(1002012, scope=scope) from None
    if not asked.default:
        raise EntraError(1002012, scope=scope)
    if principal is None:
        raise EntraError(7000229, app=request.client.app_id, tenant=tenant_id)
    request.event.resource = resource = find_resource(request.world, tenant_id, asked.resource)
    access.judge_workload(directory, tenant_id, principal, resource)
    token = issue_access_token(
        request.world,
        tenant_id,
        audience=asked.audience,
        app=request.client.document,
        user=None,
        roles=consent.app_roles(directory, tenant_id, principal, resource),
        wids=(_APPLICATION_WID,),
        service_principal_id=principal["id"],
        version=token_version(resource),
        extra={"appidacr": "2" if request.form.get("client_assertion") else "1"},
    )
    lifetime = request.world.weather.token_lifetime
    answer = {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
    return in_v1_shape(request.world, answer, asked.audience) if request.v1 else answer


def authorization_code(request: TokenRequest) -> dict[str, Any]:
    """Redeems a code: once, within ten minutes, by the client and redirect URI that it was made for."""
    directory = request.world.directory
    found = read_handle(directory, "authorizationCode", request.need("code"))
    if found is None or request.authority.tenant_id not in {None, found[0]}:
        raise EntraError(70000, name="code")
    tenant_id, code = found
    request.event.of_user(tenant_id, code["_userId"], code["_resource"])
    kind: RedirectKind = code["_redirectKind"]
    request.check_cross_origin(kind)
    principal = service_principal(directory, tenant_id, request.client)
    request.check_client(principal, kind)
    if code["_appId"] != request.client.app_id:
        raise EntraError(70000, name="code")
    if code.get("_redeemed"):
        raise EntraError(54005)
    if code["_expires"] <= directory.clock.now():
        raise EntraError(70008)
    given = request.form.get("redirect_uri", "")
    if given != code["_redirectUri"]:
        raise EntraError(500112, redirect=given, expected=code["_redirectUri"])
    _check_pkce(code, request.form.get("code_verifier"), kind)
    directory.replace(tenant_id, "authorizationCode", {**code, "_redeemed": True})
    return _for_user(request, tenant_id, code, principal)


def _check_pkce(code: Document, verifier: str | None, kind: RedirectKind) -> None:
    challenge = code.get("_challenge")
    if challenge is None:
        if kind == "spa":
            raise EntraError(9002325)
        return
    if not verifier:
        raise EntraError(501481)
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    expected = verifier if code.get("_challengeMethod") == "plain" else digest
    if not hmac.compare_digest(expected.encode(), challenge.encode()):
        raise EntraError(501481)


def refresh_token(request: TokenRequest) -> dict[str, Any]:
    """A new access token and a new refresh token; the old one stays good until it expires, as Entra's does."""
    directory = request.world.directory
    found = read_handle(directory, "refreshToken", request.need("refresh_token"))
    if found is None or request.authority.tenant_id not in {None, found[0]}:
        raise EntraError(70000, name="refresh_token")
    tenant_id, token = found
    request.event.of_user(tenant_id, token["_userId"], token["_resource"])
    kind: RedirectKind | None = token["_redirectKind"]
    request.check_cross_origin(kind)
    principal = service_principal(directory, tenant_id, request.client)
    if kind is None:
        request.check_client_without_redirect(principal)
    else:
        request.check_client(principal, kind)
    if token["_appId"] != request.client.app_id:
        raise EntraError(70000, name="refresh_token")
    now = directory.clock.now()
    issued = instant(token["_issued"])
    if token["_expires"] <= now:
        if kind == "spa":
            raise EntraError(700084, issued=issued)
        raise EntraError(700082, issued=issued, inactive="90.00:00:00")
    end = token["_expires"] if kind == "spa" else None
    return _for_user(request, tenant_id, token, principal, refresh_expires=end)


def _for_user(
    request: TokenRequest,
    tenant_id: str,
    granted: Document,
    principal: Document | None,
    *,
    refresh_expires: float | None = None,
) -> dict[str, Any]:
    """Tokens for the user of a code, refresh token or device code, for the scopes asked for now or then."""
    directory = request.world.directory
    user = directory.get(tenant_id, "user", granted["_userId"], fresh=True)
    if user is None:
        raise EntraError(50034, user="{EUII Hidden}", tenant=tenant_name(directory, tenant_id))
    _check_still_valid(user, granted)
    scope = request.form.get("scope")
    if scope:
        wanted = parse_scopes(scope)
        if not wanted.names:
            wanted = ScopeRequest(granted["_resource"], tuple(granted["_scopes"]), wanted.oidc)
    else:
        wanted = ScopeRequest(granted["_resource"], tuple(granted["_scopes"]), tuple(granted["_oidc"]))
    oidc = tuple(dict.fromkeys([*wanted.oidc, *(s for s in granted["_oidc"] if s == "offline_access")]))
    sign_in = _sign_in(
        request,
        tenant_id,
        user,
        principal,
        ScopeRequest(wanted.resource, wanted.names, oidc),
        redirect_kind=granted["_redirectKind"],
        nonce=granted.get("_nonce"),
        second_factor=granted["_secondFactor"],
        authenticated_at=granted["_authenticatedAt"],
    )
    return token_answer(
        request.world,
        sign_in,
        request.login_base,
        with_client_info=request.with_client_info,
        refresh_expires=refresh_expires,
    )


def _check_still_valid(user: Document, granted: Document) -> None:
    if not user.get("accountEnabled", True):
        raise EntraError(50057)
    since = sessions_valid_from(user)
    if granted["_issued"] < since:
        raise EntraError(50173, issued=instant(granted["_issued"]), valid_from=instant(since))


def _sign_in(
    request: TokenRequest,
    tenant_id: str,
    user: Document,
    principal: Document | None,
    wanted: ScopeRequest,
    *,
    redirect_kind: RedirectKind | None = None,
    nonce: str | None = None,
    second_factor: bool = False,
    authenticated_at: float = 0.0,
) -> SignIn:
    """Judges a sign-in in which nobody can be asked, and says what its tokens may carry."""
    directory = request.world.directory
    asked = consent.interpret(request.world, tenant_id, request.client, wanted)
    request.event.resource = asked.resource
    missing = consent.missing_scopes(directory, tenant_id, request.client, principal, asked=asked, user=user)
    if principal is None or missing:
        raise EntraError(65001, app=request.client.app_id, name=request.client.name)
    attempt = access.Attempt(
        tenant_id,
        user,
        request.client,
        principal,
        asked.resource,
        "mobileAppsAndDesktopClients",
        address=request.address,
    )
    access.require_without_interaction(directory, attempt, second_factor_passed=second_factor)
    granted = consent.granted_scopes(directory, tenant_id, principal, asked.resource, user)
    return SignIn(
        tenant_id,
        user,
        request.client,
        principal,
        asked.audience,
        asked.resource,
        tuple(name for name in granted if name not in asked.oidc),
        asked.oidc,
        redirect_kind=redirect_kind,
        nonce=nonce,
        second_factor=second_factor,
        authenticated_at=authenticated_at or directory.clock.now(),
        v1=request.v1,
    )


def device_code(request: TokenRequest) -> dict[str, Any]:
    """Polled until the person has answered on the page."""
    directory = request.world.directory
    handle = request.form.get("device_code") or request.need("code")
    found = read_handle(directory, "deviceCode", handle)
    if found is None or found[1]["_appId"] != request.client.app_id:
        raise EntraError(70018)
    home, device = found
    request.check_client_without_redirect(None)
    if device.get("_redeemed"):
        raise EntraError(54005)
    if device["_expires"] <= directory.clock.now():
        raise EntraError(70020)
    if device.get("_declined"):
        raise EntraError(65004)
    if not device.get("_userId"):
        raise EntraError(70016)
    directory.replace(home, "deviceCode", {**device, "_redeemed": True})
    tenant_id = device["_tenantId"]
    request.event.of_user(tenant_id, device["_userId"], device["_resource"])
    return _for_user(request, tenant_id, device, service_principal(directory, tenant_id, request.client))


def password(request: TokenRequest) -> dict[str, Any]:
    """User name and password; refused where a second factor is needed."""
    directory = request.world.directory
    if request.authority.segment in {"common", "consumers"}:
        raise EntraError(9001023)
    for name in ("username", "password"):
        if not request.form.get(name):
            raise EntraError(90014, name=name)
    request.check_client_without_redirect(None)
    tenant_id, user = find_account(directory, request.form["username"])
    event = request.event
    event.kind, event.protocol, event.user_name = "interactiveUser", "ropc", request.form["username"]
    event.of_user(tenant_id, user["id"])
    if request.authority.tenant_id not in {None, tenant_id}:
        raise EntraError(50034, user="{EUII Hidden}", tenant=request.authority.segment)
    check_password(directory, tenant_id, user, request.form["password"])
    if not request.form.get("scope"):
        raise EntraError(90014, name="scope")
    principal = service_principal(directory, tenant_id, request.client)
    sign_in = _sign_in(request, tenant_id, user, principal, parse_scopes(request.form["scope"]))
    return token_answer(request.world, sign_in, request.login_base, with_client_info=request.with_client_info)


def on_behalf_of(request: TokenRequest) -> dict[str, Any]:
    """An API exchanges the token it was called with for one to another resource, for the same user."""
    directory = request.world.directory
    application = request.client.application or {}
    own = {request.client.app_id, f"api://{request.client.app_id}", *(application.get("identifierUris") or [])}
    try:
        claims = verify_access_token(request.world, request.need("assertion"), audiences=own)
    except TokenRefused as refused:
        raise EntraError(50013, reason=refused.message) from None
    tenant_id = str(claims["tid"])
    request.event.of_user(tenant_id, str(claims.get("oid")))
    principal = service_principal(directory, tenant_id, request.client)
    request.proof.check(request.client, principal, request.form, request.basic_secret)
    user = directory.get(tenant_id, "user", str(claims.get("oid")), fresh=True)
    if user is None:
        raise EntraError(50034, user="{EUII Hidden}", tenant=tenant_name(directory, tenant_id))
    sign_in = _sign_in(
        request,
        tenant_id,
        user,
        principal,
        parse_scopes(request.need("scope")),
        redirect_kind="web",
        second_factor="mfa" in (claims.get("amr") or []),
    )
    return token_answer(request.world, sign_in, request.login_base, with_client_info=request.with_client_info)


def named_resource(request: TokenRequest) -> Document | None:
    """The resource that a refused request is about, for the sign-in log; None when nothing names one."""
    event = request.event
    try:
        named = parse_scopes(request.form.get("scope") or "").resource or event.resource_name
        return find_resource(request.world, event.tenant_id, named) if event.tenant_id else None
    except EntraError:
        return None


GRANTS: dict[str, Callable[[TokenRequest], dict[str, Any]]] = {
    "client_credentials": client_credentials,
    "authorization_code": authorization_code,
    "refresh_token": refresh_token,
    "urn:ietf:params:oauth:grant-type:device_code": device_code,
    "device_code": device_code,
    "password": password,
    "urn:ietf:params:oauth:grant-type:jwt-bearer": on_behalf_of,
}
"""Every grant; a new one is one function and one row."""
