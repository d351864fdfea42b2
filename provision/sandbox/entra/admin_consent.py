"""``/adminconsent`` and ``/v2.0/adminconsent``: an administrator agrees for the whole organisation.

Source: "Admin consent on the Microsoft identity platform".
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from provision.sandbox import seed
from provision.sandbox.directory import Document
from provision.sandbox.entra import consent
from provision.sandbox.entra.authority import resolve_authority
from provision.sandbox.entra.clients import Client, find_client
from provision.sandbox.entra.errors import EntraError, Incident, html_refusal, required
from provision.sandbox.entra.interaction import Interaction, Shown, permission_texts, require_consent_role
from provision.sandbox.entra.scopes import find_resource, parse_scopes
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

_ROLE_CONSENT_TEMPLATES = frozenset({"62e90394-69f5-4237-9190-012177145e10", "e8611ab8-c189-46e8-94e1-60213ab1f814"})
"""Only Global and Privileged Role Administrators may agree to application permissions of Microsoft Graph."""


async def admin_consent(request: Request) -> Response:
    """Signs an administrator in, asks, keeps the consent and goes back to the client."""
    world: World = request.app.state.world
    directory = world.directory
    form = {name: str(value) for name, value in (await request.form()).items()} if request.method == "POST" else {}
    query = request.query_params
    redirect_uri: str | None = None
    incident = Incident.new(directory.clock, query.get("client-request-id"))
    try:
        authority = resolve_authority(directory, request.path_params["tenant"])
        client = find_client(directory, authority, required(query, "client_id"))
        redirect_uri = client.match_redirect(query.get("redirect_uri"))[0]
        interaction = Interaction(request, form, authority=authority, client=client)
        account = interaction.account()
        wanted = _wanted(world, account.tenant_id, client, query.get("scope"))
        interaction.admit(account, find_resource(world, account.tenant_id, None))
        allowed = _ROLE_CONSENT_TEMPLATES if any(roles for _, _, roles in wanted) else consent.CONSENT_ROLES
        require_consent_role(world, account, client, allowed)
        if not interaction.step("consent"):
            texts = [
                text
                for resource, scopes, roles in wanted
                for text in [
                    *permission_texts(resource, scopes),
                    *(f"{role['displayName']} ({role['value']})" for role in roles),
                ]
            ]
            return interaction.consent_page(account, texts, for_organization=True)
        interaction.require_accepted()
        with directory.transaction():
            for resource, scopes, roles in wanted:
                if scopes:
                    consent.grant(directory, account.tenant_id, client, resource, names=scopes, user=None)
                _assign(world, account.tenant_id, client, resource, roles)
    except Shown as shown:
        return shown.response
    except EntraError as error:
        note(request.scope, code=f"AADSTS{error.code}")
        if redirect_uri is None or error.code != 65004:
            return html_refusal(error, incident)
        fields = {"error": "access_denied", "error_description": incident.describe(error)}
        return _back(redirect_uri, {**fields, "admin_consent": "True"}, query.get("state"))
    answer = {"admin_consent": "True", "tenant": account.tenant_id}
    if query.get("scope"):
        answer["scope"] = query["scope"]
    return _back(redirect_uri, answer, query.get("state"))


def _back(redirect_uri: str, fields: dict[str, str], state: str | None) -> Response:
    values = {**fields, **({"state": state} if state is not None else {})}
    joint = "&" if urlsplit(redirect_uri).query else "?"
    return RedirectResponse(f"{redirect_uri}{joint}{urlencode(values)}", status_code=302)


def _wanted(
    world: World, tenant_id: str, client: Client, scope: str | None
) -> list[tuple[Document, list[str], list[Document]]]:
    """Per resource: delegated permissions and application roles; everything registered unless scopes are named."""
    request = parse_scopes(scope) if scope else None
    if request is not None and not request.default:
        asked = consent.interpret(world, tenant_id, client, request)
        return [(asked.resource, [*asked.scopes, *asked.oidc], [])]
    wanted = []
    for access in (client.application or {}).get("requiredResourceAccess") or []:
        resource = find_resource(world, tenant_id, access["resourceAppId"])
        ids = {entry["id"]: entry["type"] for entry in access["resourceAccess"]}
        scopes = [s["value"] for s in resource.get("oauth2PermissionScopes") or [] if ids.get(s["id"]) == "Scope"]
        roles = [role for role in resource.get("appRoles") or [] if ids.get(role["id"]) == "Role"]
        wanted.append((resource, scopes, roles))
    if not wanted:
        raise EntraError(650056, resource="Microsoft Graph", app=client.app_id)
    return wanted


def _assign(world: World, tenant_id: str, client: Client, resource: Document, roles: list[Document]) -> None:
    directory = world.directory
    principal = consent.ensure_principal(directory, tenant_id, client)
    held = {
        assignment["appRoleId"]
        for assignment in directory.find(tenant_id, "appRoleAssignment", fresh=True, principalId=principal["id"])
        if assignment["resourceId"] == resource["id"]
    }
    for role in roles:
        if role["id"] not in held:
            directory.insert(
                tenant_id,
                "appRoleAssignment",
                seed.role_assignment(principal, resource, role["id"], directory.clock.iso()),
                visible_at_once=True,
            )
