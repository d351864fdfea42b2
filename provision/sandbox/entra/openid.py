"""What clients read before they sign in: discovery documents, keys, the instance list and the kind of an account."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provision.sandbox.entra.authority import resolve_authority
from provision.sandbox.entra.errors import EntraError, Incident, json_refusal
from provision.sandbox.entra.tokens import sts_issuer
from provision.sandbox.metadata import login_base
from provision.sandbox.requestlog import host_name, note
from provision.sandbox.tls import PUBLIC_HOSTS
from provision.sandbox.world import World

_PLACEHOLDER = "{tenantid}"
"""What the multi-tenant documents print where a tenant's id would stand."""


async def discovery_v2(request: Request) -> Response:
    """``/{tenant}/v2.0/.well-known/openid-configuration``."""
    return _discovery(request, v1=False)


async def discovery_v1(request: Request) -> Response:
    """``/{tenant}/.well-known/openid-configuration``."""
    return _discovery(request, v1=True)


def _discovery(request: Request, *, v1: bool) -> Response:
    world: World = request.app.state.world
    base = login_base(request)
    try:
        authority = resolve_authority(world.directory, request.path_params["tenant"])
    except EntraError as error:
        note(request.scope, code=f"AADSTS{error.code}")
        return json_refusal(error, Incident.new(world.directory.clock, None), base)
    here = f"{base}/{authority.tenant_id or authority.segment}"
    tenant = authority.tenant_id or _PLACEHOLDER
    oauth = f"{here}/oauth2" if v1 else f"{here}/oauth2/v2.0"
    document: dict[str, Any] = {
        "token_endpoint": f"{oauth}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{here}/discovery/keys" if v1 else f"{here}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": sts_issuer(tenant) if v1 else f"{base}/{tenant}/v2.0",
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{base}/oidc/userinfo" if base == world.base_url else _USERINFO,
        "authorization_endpoint": f"{oauth}/authorize",
        "device_authorization_endpoint": f"{oauth}/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{oauth}/logout",
        "claims_supported": [
            "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
            "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name",
            "tid", "ver", "at_hash", "c_hash", "email",
        ],
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com" if base != world.base_url else world.base_url.removeprefix("https://"),
        "rbac_url": "https://pas.windows.net",
    }  # fmt: skip
    return JSONResponse(document, headers={"Access-Control-Allow-Origin": "*"})


_USERINFO = "https://graph.microsoft.com/oidc/userinfo"


async def keys(request: Request) -> Response:
    """``/{tenant}/discovery/v2.0/keys``."""
    world: World = request.app.state.world
    issuer = f"{login_base(request)}/{_PLACEHOLDER}/v2.0"
    return JSONResponse({"keys": [world.keys.jwk(issuer=issuer)]}, headers={"Access-Control-Allow-Origin": "*"})


async def instance(request: Request) -> Response:
    """``/common/discovery/instance``: which authority hosts belong together."""
    wanted = request.query_params.get("authorization_endpoint", "")
    world: World = request.app.state.world
    host = host_name(request.scope)
    own = world.base_url.removeprefix("https://")
    known = [own] if host not in PUBLIC_HOSTS else ["login.microsoftonline.com", "login.windows.net", "sts.windows.net"]
    authority = wanted.split("/oauth2/")[0]
    if not wanted.startswith("https://"):
        return JSONResponse(
            {"error": "invalid_instance", "error_description": "AADSTS50049: Unknown or invalid instance."},
            status_code=400,
        )
    return JSONResponse(
        {
            "tenant_discovery_endpoint": f"{authority}/v2.0/.well-known/openid-configuration",
            "api-version": request.query_params.get("api-version", "1.0"),
            "metadata": [{"preferred_network": known[0], "preferred_cache": known[0], "aliases": known}],
        }
    )


async def user_realm(request: Request) -> Response:
    """``/common/userrealm/{user}``: every account of a local tenant is managed, none federated."""
    domain = request.path_params["user"].rpartition("@")[2].lower()
    world: World = request.app.state.world
    try:
        resolve_authority(world.directory, domain)
    except EntraError:
        return JSONResponse({"ver": "1.0", "account_type": "Unknown", "cloud_instance_name": "microsoftonline.com"})
    return JSONResponse(
        {
            "ver": "1.0",
            "account_type": "Managed",
            "domain_name": domain,
            "cloud_instance_name": "microsoftonline.com",
            "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        }
    )
