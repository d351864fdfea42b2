"""Puts tokens together for somebody who may have them: access token, ID token, refresh token.

Owns: the answer of the token endpoint and the tokens of hybrid sign-in. Does not own: the decision (``grants``).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.entra.accounts import wids
from provision.sandbox.entra.clients import Client, RedirectKind
from provision.sandbox.entra.consent import Asked
from provision.sandbox.entra.handles import issue_handle
from provision.sandbox.entra.tokens import issue_access_token, sign, sts_issuer
from provision.sandbox.keys import base64url
from provision.sandbox.world import World

_REFRESH_SECONDS = 90 * 86400
_SPA_REFRESH_SECONDS = 86400
"""Lifetimes of "Refresh tokens in the Microsoft identity platform"."""


@dataclass(frozen=True)
class SignIn:
    """A finished sign-in of a user at a client."""

    tenant_id: str
    user: Document
    client: Client
    principal: Document
    audience: str
    resource: Document
    scopes: tuple[str, ...]
    """The delegated permissions that the access token carries."""
    oidc: tuple[str, ...]
    """The OIDC scopes asked for."""
    redirect_kind: RedirectKind | None = None
    nonce: str | None = None
    second_factor: bool = False
    authenticated_at: float = 0.0
    v1: bool = False
    """Whether the v1.0 endpoints were used; their ID token and answer look different."""


def access_token(world: World, sign_in: SignIn) -> str:
    """The access token of a user's sign-in."""
    methods = ["pwd", "mfa"] if sign_in.second_factor else ["pwd"]
    confidential = sign_in.redirect_kind == "web"
    return issue_access_token(
        world,
        sign_in.tenant_id,
        audience=sign_in.audience,
        app=sign_in.client.document,
        user=sign_in.user,
        scopes=[*sign_in.scopes, *(scope for scope in sign_in.oidc if scope != "offline_access")],
        wids=wids(world.directory, sign_in.tenant_id, sign_in.user),
        service_principal_id=sign_in.principal["id"],
        version=token_version(sign_in.resource),
        extra={"amr": methods, "appidacr": "1" if confidential else "0", "acr": "1"},
    )


def token_version(resource: Document) -> str:
    """Which access token version a resource wants; Microsoft's own and most others want 1.0."""
    return "2.0" if resource.get("_requestedAccessTokenVersion") == 2 else "1.0"


def id_token(
    world: World, sign_in: SignIn, login_base: str, *, code: str | None = None, access: str | None = None
) -> str:
    """The ID token; in a hybrid answer it carries the hashes of the code and access token beside it."""
    user, tenant = sign_in.user, sign_in.tenant_id
    now = int(world.directory.clock.now())
    claims: dict[str, Any] = {
        "aud": sign_in.client.app_id,
        "iss": sts_issuer(tenant) if sign_in.v1 else f"{login_base}/{tenant}/v2.0",
        "iat": now,
        "nbf": now,
        "exp": now + world.weather.token_lifetime,
        "auth_time": int(sign_in.authenticated_at or now),
        "oid": user["id"],
        "sub": world.keys.pairwise("sub", user["id"], sign_in.client.app_id),
        "tid": tenant,
        "name": user.get("displayName"),
        "uti": world.keys.pairwise("uti", str(uuid.uuid4()))[:22],
        "ver": "1.0" if sign_in.v1 else "2.0",
    }
    if sign_in.v1:
        claims |= {"upn": user["userPrincipalName"], "unique_name": user["userPrincipalName"]}
    else:
        claims["preferred_username"] = user["userPrincipalName"]
    if "email" in sign_in.oidc and user.get("mail"):
        claims["email"] = user["mail"]
    if sign_in.nonce:
        claims["nonce"] = sign_in.nonce
    if code:
        claims["c_hash"] = _half_hash(code)
    if access:
        claims["at_hash"] = _half_hash(access)
    return sign(world, claims)


def _half_hash(value: str) -> str:
    return base64url(hashlib.sha256(value.encode()).digest()[:16])


def client_info(sign_in: SignIn) -> str:
    """The ``client_info`` that MSAL asks for: who signed in, base64url."""
    return base64url(json.dumps({"uid": sign_in.user["id"], "utid": sign_in.tenant_id}).encode())


def refresh_token(world: World, sign_in: SignIn, *, expires: float | None = None) -> str:
    """A refresh token; a single-page application's keeps the end of its first one."""
    now = world.directory.clock.now()
    lifetime = _SPA_REFRESH_SECONDS if sign_in.redirect_kind == "spa" else _REFRESH_SECONDS
    return issue_handle(
        world.directory,
        sign_in.tenant_id,
        "refreshToken",
        {
            "_userId": sign_in.user["id"],
            "_appId": sign_in.client.app_id,
            "_resource": sign_in.audience,
            "_scopes": list(sign_in.scopes),
            "_oidc": list(sign_in.oidc),
            "_redirectKind": sign_in.redirect_kind,
            "_secondFactor": sign_in.second_factor,
            "_authenticatedAt": sign_in.authenticated_at,
            "_issued": now,
            "_expires": expires or now + lifetime,
        },
    )


def scope_text(asked: Asked | SignIn, names: Sequence[str]) -> str:
    """The ``scope`` of an answer: permissions with their resource unless it is Graph by its short names."""
    if asked.audience == asked.resource["appId"] and not asked.audience.startswith("http"):
        return " ".join([*names, *(scope for scope in asked.oidc if scope != "offline_access")])
    prefix = asked.audience.rstrip("/")
    return " ".join([*(f"{prefix}/{name}" for name in names), *asked.oidc])


def token_answer(
    world: World, sign_in: SignIn, login_base: str, *, with_client_info: bool, refresh_expires: float | None = None
) -> dict[str, Any]:
    """The token endpoint's answer for a user's sign-in."""
    lifetime = world.weather.token_lifetime
    answer: dict[str, Any] = {
        "token_type": "Bearer",
        "scope": scope_text(sign_in, sign_in.scopes),
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": access_token(world, sign_in),
    }
    if "offline_access" in sign_in.oidc or sign_in.v1:
        answer["refresh_token"] = refresh_token(world, sign_in, expires=refresh_expires)
    if "openid" in sign_in.oidc or sign_in.v1:
        answer["id_token"] = id_token(world, sign_in, login_base)
    if with_client_info:
        answer["client_info"] = client_info(sign_in)
    return in_v1_shape(world, answer, sign_in.audience) if sign_in.v1 else answer


def in_v1_shape(world: World, answer: dict[str, Any], resource: str) -> dict[str, Any]:
    """The v1.0 endpoint writes its numbers as strings and names the resource."""
    now = int(world.directory.clock.now())
    lifetime = int(answer["expires_in"])
    return {
        **answer,
        "expires_in": str(lifetime),
        "ext_expires_in": str(lifetime),
        "expires_on": str(now + lifetime),
        "not_before": str(now),
        "resource": resource,
    }
