"""The device authorization grant's two halves outside the token endpoint: asking for a code, and typing it in.

Source: "Microsoft identity platform and the OAuth 2.0 device authorization grant flow".
"""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra import consent
from provision.sandbox.entra.authority import resolve_authority
from provision.sandbox.entra.clients import find_client
from provision.sandbox.entra.errors import EntraError, Incident, html_refusal, json_refusal, required
from provision.sandbox.entra.handles import issue_handle
from provision.sandbox.entra.interaction import Interaction, Shown
from provision.sandbox.entra.pages import render
from provision.sandbox.entra.scopes import ScopeRequest, parse_scopes
from provision.sandbox.entra.sign_in_log import SignInEvent, record
from provision.sandbox.metadata import login_base
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

_LIFETIME_SECONDS = 900
_INTERVAL_SECONDS = 5
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without letters that look like digits."""


async def device_authorization(request: Request) -> Response:
    """``POST /{tenant}/oauth2/v2.0/devicecode``."""
    world: World = request.app.state.world
    directory = world.directory
    form = {name: str(value) for name, value in (await request.form()).items()}
    try:
        authority = resolve_authority(directory, request.path_params["tenant"])
        client = find_client(directory, authority, required(form, "client_id"))
        if form.get("resource") and not form.get("scope"):
            form["scope"] = f"{form['resource']}/.default"
        wanted = parse_scopes(required(form, "scope"))
    except EntraError as error:
        note(request.scope, code=f"AADSTS{error.code}")
        incident = Incident.new(directory.clock, request.headers.get("client-request-id"))
        return json_refusal(error, incident, login_base(request))
    now = directory.clock.now()
    user_code = "".join(secrets.choice(_ALPHABET) for _ in range(9))
    handle = issue_handle(
        directory,
        authority.tenant_id or directory.first_tenant() or "",
        "deviceCode",
        {
            "userCode": user_code,
            "_authority": authority.segment,
            "_appId": client.app_id,
            "_resource": wanted.resource,
            "_scopes": list(wanted.names),
            "_oidc": list(wanted.oidc),
            "_redirectKind": None,
            "_issued": now,
            "_expires": now + _LIFETIME_SECONDS,
        },
    )
    page = f"{login_base(request)}/devicelogin"
    return JSONResponse(
        {
            "user_code": user_code,
            "device_code": handle,
            "verification_uri": page,
            "verification_url": page,
            "expires_in": _LIFETIME_SECONDS,
            "interval": _INTERVAL_SECONDS,
            "message": f"To sign in, use a web browser to open the page {page} and enter the code {user_code} to "
            "authenticate.",
        }
    )


def _find(directory: Directory, user_code: str) -> tuple[str, Document] | None:
    now = directory.clock.now()
    for tenant_id, device in directory.find_everywhere("deviceCode", fresh=True, userCode=user_code.strip()):
        answered = device.get("_userId") or device.get("_declined")
        if device["_expires"] > now and not answered:
            return tenant_id, device
    return None


async def device_page(request: Request) -> Response:
    """``/devicelogin`` (also ``/common/oauth2/deviceauth``): code, sign-in, confirmation."""
    world: World = request.app.state.world
    directory = world.directory
    user_code = request.query_params.get("otc", "")
    found = _find(directory, user_code) if user_code else None
    if found is None:
        error = "That code didn't work. Check the code and try again." if user_code else ""
        return _page("code", error=error)
    home, device = found
    form = {name: str(value) for name, value in (await request.form()).items()} if request.method == "POST" else {}
    incident, event = Incident.new(directory.clock, None), SignInEvent("interactiveUser", protocol="deviceCode")
    try:
        authority = resolve_authority(directory, device["_authority"])
        event.client = client = find_client(directory, authority, device["_appId"])
        interaction = Interaction(request, form, authority=authority, client=client)
        account = interaction.account()
        event.of_user(account.tenant_id, account.user["id"])
        wanted = ScopeRequest(device["_resource"], tuple(device["_scopes"]), tuple(device["_oidc"]))
        asked = consent.interpret(world, account.tenant_id, client, wanted)
        event.resource = asked.resource
        interaction.admit(
            account,
            asked.resource,
            client_app_type="mobileAppsAndDesktopClients",
            transfer_method="deviceCodeFlow",
        )
        interaction.agree(account, asked)
        if not interaction.step("confirm"):
            return interaction.page(
                "device.html", title="Sign in to your account", stage="confirm", user_name=account.name, error=""
            )
        if interaction.choice != "continue":
            directory.replace(home, "deviceCode", {**device, "_declined": True})
            return _page("declined", app_name=client.name)
        answer = {
            "_userId": account.user["id"],
            "_tenantId": account.tenant_id,
            "_secondFactor": bool(account.session["_secondFactor"]),
            "_authenticatedAt": account.session["_authenticatedAt"],
            "_issued": directory.clock.now(),
        }
        directory.replace(home, "deviceCode", {**device, **answer})
    except Shown as shown:
        return shown.response
    except EntraError as refused:
        note(request.scope, code=f"AADSTS{refused.code}")
        record(request, event, incident, refused)
        if refused.code == 65004:
            directory.replace(home, "deviceCode", {**device, "_declined": True})
            return _page("declined", app_name=client.name)
        return html_refusal(refused, incident)
    record(request, event, incident)
    return _page("done", app_name=client.name)


def _page(stage: str, *, error: str = "", app_name: str = "") -> Response:
    html = render(
        "device.html",
        title="Sign in to your account",
        stage=stage,
        error=error,
        app_name=app_name,
        resume="",
        canary="",
    )
    return HTMLResponse(html, headers={"Cache-Control": "no-store", "X-Frame-Options": "DENY"})
