"""Cloud metadata and the few Azure Resource Manager answers that sign-in needs.

Served as the azuread plugin (go-azure-sdk), azure-identity and ``az cloud register`` read them. Everything else of
Azure Resource Manager is deliberately absent: a mail tenant has no subscriptions.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from provision.sandbox.entra.tokens import TokenRefused, verify_access_token
from provision.sandbox.requestlog import host_name
from provision.sandbox.tls import PUBLIC_HOSTS
from provision.sandbox.world import World

ARM_RESOURCES: tuple[str, ...] = (
    "https://management.azure.com",
    "https://management.azure.com/",
    "https://management.core.windows.net",
    "https://management.core.windows.net/",
)
"""Audiences of Azure Resource Manager in the global cloud."""


def arm_audiences(world: World) -> frozenset[str]:
    """Every ``aud`` that Azure Resource Manager accepts here; az asks for the registered cloud's own address."""
    own = {world.base_url, f"{world.base_url}/", f"{world.base_url}//"}
    return frozenset({*ARM_RESOURCES, *own})


def routes() -> list[Route]:
    """The routes."""
    return [
        Route("/metadata/endpoints", _endpoints),
        Route("/subscriptions", _subscriptions),
        Route("/tenants", _tenants),
    ]


def login_base(request: Request) -> str:
    """The login address as the caller reached it: its public name where such names are answered, else the base URL."""
    world: World = request.app.state.world
    host = host_name(request.scope)
    if world.public_names and host in PUBLIC_HOSTS:
        return f"https://{host}"
    return world.base_url


async def _endpoints(request: Request) -> Response:
    """The shape of api-version 2022-09-01; older versions wrap it in a list."""
    world: World = request.app.state.world
    base = world.base_url
    login, graph, arm = base, f"{base}/", f"{base}/"
    if login_base(request) != base:
        login, graph, arm = (
            "https://login.microsoftonline.com",
            "https://graph.microsoft.com/",
            "https://management.azure.com/",
        )
    # loginEndpoint has no trailing slash: the Go SDK does not trim it and would ask for //{tenant}/oauth2/v2.0/token.
    cloud: dict[str, Any] = {
        "name": "AzureCloud" if login != base else "ProvisionSandbox",
        "portal": f"{base}/_portal/",
        "authentication": {
            "loginEndpoint": login,
            "audiences": [arm, "https://management.core.windows.net/", "https://management.azure.com/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": arm,
        "graph": graph,
        "graphAudience": graph,
        "microsoftGraphResourceId": graph,
        "activeDirectoryDataLake": f"{base}/",
        "batch": f"{base}/",
        "media": f"{base}/",
        "sqlManagement": f"{base}/",
        "vmImageAliasDoc": f"{base}/",
        "gallery": f"{base}/",
        "suffixes": {"keyVaultDns": "vault.azure.net", "storage": "core.windows.net"},
    }
    return JSONResponse(cloud if request.query_params.get("api-version", "") >= "2022" else [cloud])


def _refusal(code: str, message: str, status: int) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def _caller(request: Request) -> dict[str, Any] | Response:
    """The claims of a valid token for Azure Resource Manager, or its refusal."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return _refusal(
            "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing or invalid.", 401
        )
    world: World = request.app.state.world
    try:
        return verify_access_token(world, token, audiences=arm_audiences(world))
    except TokenRefused as refused:
        return _refusal("InvalidAuthenticationToken", refused.message, 401)


async def _subscriptions(request: Request) -> Response:
    caller = _caller(request)
    if isinstance(caller, Response):
        return caller
    return JSONResponse({"value": [], "count": {"type": "Total", "value": 0}})


async def _tenants(request: Request) -> Response:
    caller = _caller(request)
    if isinstance(caller, Response):
        return caller
    world: World = request.app.state.world
    tenant_id = caller["tid"]
    tenant = world.directory.tenant(tenant_id)
    if tenant is None:
        return JSONResponse({"value": []})
    entry = {
        "id": f"/tenants/{tenant_id}",
        "tenantId": tenant_id,
        "tenantCategory": "Home",
        "displayName": tenant.get("displayName", tenant["domain"]),
        "defaultDomain": tenant["domain"],
        "domains": [tenant["domain"]],
        "tenantType": "AAD",
    }
    return JSONResponse({"value": [entry]})
