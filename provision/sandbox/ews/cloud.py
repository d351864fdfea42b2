"""Exchange Online's ``/EWS/Exchange.asmx``: OAuth only, both switches, the allow lists, and the end of it all.

Owns: who is let in there. Does not own: SOAP and the operations (``service``).

Sources: "Authenticate an EWS application by using OAuth" (permissions), "Control access to EWS in Exchange" (switches,
lists, 403 with its header), MC1015893 (both switches must allow), "Exchange Online EWS, Your Time is Almost Up" and
MC1227454 (the dates). The challenge and ``x-ms-diagnostics`` as public clients logged them. Microsoft blocks tenant
after tenant from 2026-10-01; the local tenant is one of the first. What Exchange Online answers after 2027-04-01 is
not read at a source; the header's value for EWS that is off is taken. That an allow list without entries lets nobody
in from 2026-10-01 on follows from "only allow-listed apps can use EWS"; before, no list means no restriction.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.authority import domain_owner
from provision.sandbox.entra.tokens import EXCHANGE_APP_ID, TokenRefused, verify_access_token
from provision.sandbox.ews import autodiscover, service
from provision.sandbox.ews.call import Caller, Mailbox
from provision.sandbox.ews.errors import BLOCKED, DISABLED, HttpRefusal, forbidden
from provision.sandbox.exchange import mailboxes, organization
from provision.sandbox.exchange.propagation import in_effect
from provision.sandbox.metadata import login_base
from provision.sandbox.world import World

_BLOCKED_BY_DEFAULT_SINCE = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
_GONE_SINCE = datetime(2027, 4, 1, tzinfo=UTC).timestamp()

_DELEGATED, _APP_ONLY = "ews.accessasuser.all", "full_access_as_app"
_CHALLENGE = (
    f'Bearer client_id="{EXCHANGE_APP_ID}", trusted_issuers="00000001-0000-0000-c000-000000000000@*", '
    'token_types="app_asserted_user_v1 service_asserted_app_v1", '
    'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
)


def audiences() -> frozenset[str]:
    """Every ``aud`` that Exchange Online accepts."""
    hosts = ("https://outlook.office365.com", "https://outlook.office.com")
    return frozenset({EXCHANGE_APP_ID, *hosts, *(f"{host}/" for host in hosts), f"{hosts[0]}:443/"})


class ExchangeOnline:
    """Exchange Online's part of every tenant.

    Args:
        directory: the store.
    """

    build = (15, 20, 9000, 8)

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def mailbox_at(self, tenant: str, address: str) -> Mailbox | None:
        """The mailbox with this SMTP address."""
        return self._seen(mailboxes.by_address(self._directory, tenant, address))

    def mailbox_of(self, tenant: str, identity: str) -> Mailbox | None:
        """A user's own mailbox."""
        return self._seen(mailboxes.of_user(self._directory, tenant, identity))

    def address_list(self, tenant: str) -> Sequence[Mailbox]:
        """Everybody in the global address list."""
        rows = self._directory.all(tenant, mailboxes.KIND, fresh=True)
        return [mailbox for row in rows if (mailbox := self._seen(row)) is not None]

    def _seen(self, row: Document | None) -> Mailbox | None:
        if row is None:
            return None
        return Mailbox(
            row["_userId"],
            row["DisplayName"],
            row["PrimarySmtpAddress"],
            mailboxes.addresses(row),
            frozenset(row.get("_sendAs", ())),
            frozenset(row.get("_fullAccess", ())),
        )

    def admit(self, caller: Caller, mailbox: Mailbox, user_agent: str) -> None:
        """Asks the calendar, both switches and both lists; raises HttpRefusal 403."""
        now = self._directory.clock.now()
        config = in_effect(self._directory, organization.organization_config(self._directory, caller.tenant))
        row = mailboxes.of_user(self._directory, caller.tenant, mailbox.owner)
        own = None if row is None else in_effect(self._directory, row)["EwsEnabled"]
        if now >= _GONE_SINCE:
            raise forbidden("ews-retired", DISABLED)
        allowed = config["EwsEnabled"]
        if allowed is False or (allowed is None and now >= _BLOCKED_BY_DEFAULT_SINCE):
            raise forbidden("ews-organisation-off", DISABLED)
        if own is False:
            raise forbidden("ews-mailbox-off", DISABLED)
        listed = [str(app).lower() for app in config["EwsAllowedAppIDs"]]
        if caller.app_id.lower() not in listed and (listed or now >= _BLOCKED_BY_DEFAULT_SINCE):
            raise forbidden("ews-application-list", BLOCKED)
        for settings in (config, {} if row is None else in_effect(self._directory, row)):
            if not _agent_allowed(settings, user_agent):
                raise forbidden("ews-user-agent-list", BLOCKED)


def _agent_allowed(settings: Document, user_agent: str) -> bool:
    policy = settings.get("EwsApplicationAccessPolicy")
    name = {"EnforceAllowList": "EwsAllowList", "EnforceBlockList": "EwsBlockList"}.get(policy or "")
    if name is None:
        return True
    listed = any(fnmatch.fnmatchcase(user_agent.lower(), str(one).lower()) for one in settings.get(name) or ())
    return listed if policy == "EnforceAllowList" else not listed


def _caller(world: World, authorization: str) -> Caller:
    """Who a token speaks for.

    Raises:
        HttpRefusal: 401 with the challenge, 403 when the token's permissions are not enough.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "basic":
        raise _unauthorized("basic-authentication")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthorized("no-token")
    try:
        claims = verify_access_token(world, token.strip(), audiences=audiences())
    except TokenRefused as refused:
        raise _unauthorized("token", _diagnosis(token, refused)) from None
    tenant = str(claims["tid"]).lower()
    roles = {str(role).lower() for role in claims.get("roles") or ()}
    scopes = {scope.lower() for scope in str(claims.get("scp", "")).split()}
    app_only = "scp" not in claims
    if world.directory.tenant(tenant) is None:
        raise _unauthorized("token", _diagnostics(2000004, f"The tenant '{tenant}' does not exist.", "invalid_tenant"))
    if not (_APP_ONLY in roles if app_only else _DELEGATED in scopes):
        reason = "The token contains not enough scope to make this call."
        raise HttpRefusal(403, "scope", _diagnostics(2000008, reason, "invalid_grant"))
    return Caller(tenant, str(claims["oid"]), str(claims.get("appid", "")), app_only=app_only, may_impersonate=app_only)


def _unauthorized(layer: str, more: dict[str, str] | None = None) -> HttpRefusal:
    return HttpRefusal(401, layer, {"WWW-Authenticate": _CHALLENGE, **(more or {})})


def _diagnostics(number: int, reason: str, category: str) -> dict[str, str]:
    return {"x-ms-diagnostics": f'{number};reason="{reason}";error_category="{category}"'}


def _diagnosis(token: str, refused: TokenRefused) -> dict[str, str]:
    """2000003 for a wrong audience was read in clients' logs; the other two reasons are not read at a source."""
    if "audience" in refused.message.lower():
        audience = _claim(token.strip(), "aud")
        return _diagnostics(2000003, f"The audience claim value is invalid '{audience}'.", "invalid_resource")
    if "expired" in refused.message.lower():
        return _diagnostics(2000001, "The token has expired.", "invalid_lifetime")
    return _diagnostics(2000000, "The token has an invalid signature.", "invalid_signature")


def _claim(token: str, name: str) -> str:
    """A claim of a token whose signature was found to be good."""
    import jwt

    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False, "verify_aud": False})
    return str(claims.get(name, "")).replace('"', "'")


def routes() -> list[Route]:
    """The routes of Exchange Online's EWS and autodiscover."""
    return [
        Route("/EWS/Exchange.asmx", exchange_online, methods=["GET", "POST", "HEAD"]),
        Route("/autodiscover/autodiscover.svc", _autodiscover_soap, methods=["GET", "POST", "HEAD"]),
        Route("/autodiscover/autodiscover.xml", _autodiscover_pox, methods=["GET", "POST", "HEAD"]),
        Route("/autodiscover/autodiscover.json", _autodiscover_json),
        Route("/autodiscover/autodiscover.json/v1.0/{email}", _autodiscover_json),
    ]


def _finder(request: Request, tenant: str | None) -> autodiscover.Finder:
    world: World = request.app.state.world
    base = login_base(request)
    url = f"{world.base_url if base == world.base_url else 'https://outlook.office365.com'}/EWS/Exchange.asmx"

    def find(email: str) -> autodiscover.Found:
        owner = tenant or domain_owner(world.directory, email.rpartition("@")[2].lower())
        row = mailboxes.by_address(world.directory, owner, email) if owner else None
        if row is None:
            return autodiscover.NotFound()
        return autodiscover.Here(row["DisplayName"], row["PrimarySmtpAddress"], url)

    return find


async def _autodiscover_soap(request: Request) -> Response:
    try:
        caller = _caller(request.app.state.world, request.headers.get("authorization", ""))
        return await autodiscover.soap(request, _finder(request, caller.tenant), ExchangeOnline.build)
    except HttpRefusal as refusal:
        return service.refuse(request, refusal)


async def _autodiscover_pox(request: Request) -> Response:
    try:
        caller = _caller(request.app.state.world, request.headers.get("authorization", ""))
        return await autodiscover.pox(request, _finder(request, caller.tenant))
    except HttpRefusal as refusal:
        return service.refuse(request, refusal)


async def _autodiscover_json(request: Request) -> Response:
    email = str(request.path_params.get("email") or request.query_params.get("Email") or "")
    return autodiscover.json(request, _finder(request, None)(email))


async def exchange_online(request: Request) -> Response:
    """POST /EWS/Exchange.asmx."""
    world: World = request.app.state.world
    try:
        caller = _caller(world, request.headers.get("authorization", ""))
        return await service.respond(request, ExchangeOnline(world.directory), caller)
    except HttpRefusal as refusal:
        return service.refuse(request, refusal)
