"""Access and ID tokens: what they say, and how a resource checks one.

Owns: claims and signatures. Does not own: who may get a token (the grants) or what a token permits (the resource).
Claims follow "Access token claims reference" and "ID token claims reference" of the Microsoft identity platform docs.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import Any

import jwt

from provision.sandbox.directory import Document
from provision.sandbox.world import World

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
EXCHANGE_APP_ID = "00000002-0000-0ff1-ce00-000000000000"

_LIFETIME_TEXT = "Lifetime validation failed, the token is expired."
_AUDIENCE_TEXT = "Access token validation failure. Invalid audience."
_SIGNATURE_TEXT = "Access token validation failure. Signature verification failed."
_MALFORMED_TEXT = "CompactToken parsing failed with error code: 80049217"


class TokenRefused(Exception):
    """A resource does not accept the token.

    ``code`` and ``message`` are Graph's own words ("InvalidAuthenticationToken"), ``status`` is the HTTP status.
    """

    def __init__(self, message: str, *, code: str = "InvalidAuthenticationToken", status: int = 401) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def graph_audiences(world: World) -> frozenset[str]:
    """Every ``aud`` that Microsoft Graph accepts; the local tenant's own address stands for Graph too."""
    return frozenset(
        {
            GRAPH_APP_ID,
            "https://graph.microsoft.com",
            "https://graph.microsoft.com/",
            world.base_url,
            f"{world.base_url}/",
            f"{world.base_url}//",
        }
    )


def sts_issuer(tenant_id: str) -> str:
    """The issuer of v1.0 tokens, which Graph and Exchange ask for."""
    return f"https://sts.windows.net/{tenant_id}/"


def issue_access_token(
    world: World,
    tenant_id: str,
    *,
    audience: str,
    app: Document,
    user: Document | None,
    scopes: Sequence[str] = (),
    roles: Sequence[str] = (),
    wids: Sequence[str] = (),
    service_principal_id: str | None = None,
    version: str = "1.0",
    extra: dict[str, Any] | None = None,
) -> str:
    """A signed access token.

    Args:
        world: the running server.
        tenant_id: the tenant that issues it.
        audience: the resource as ``aud`` shows it.
        app: the client's application document (``appId``, ``displayName``).
        user: the signed-in user, or None for an app-only token.
        scopes: delegated permissions (``scp``).
        roles: application permissions (``roles``).
        wids: role template ids of the directory roles that the user holds.
        service_principal_id: the client's service principal; looked up by ``appId`` when not given.
        version: "1.0" (Graph, Exchange and most others) or "2.0" (APIs that ask for it).
        extra: further claims.
    """
    directory = world.directory
    now = int(directory.clock.now())
    if service_principal_id is None:
        found = directory.find(tenant_id, "servicePrincipal", fresh=True, appId=app["appId"])
        service_principal_id = found[0]["id"] if found else world.keys.pairwise(tenant_id, app["appId"])
    claims: dict[str, Any] = {
        "aud": audience,
        "iss": sts_issuer(tenant_id) if version == "1.0" else f"{world.base_url}/{tenant_id}/v2.0",
        "iat": now,
        "nbf": now,
        "exp": now + world.weather.token_lifetime,
        "aio": world.keys.pairwise("aio", str(uuid.uuid4()))[:32],
        "tid": tenant_id,
        "uti": world.keys.pairwise("uti", str(uuid.uuid4()))[:22],
        "ver": version,
        "rh": "0." + world.keys.pairwise("rh", tenant_id),
    }
    if version == "1.0":
        claims |= {
            "appid": app["appId"],
            "appidacr": "1" if user is None else "0",
            "app_displayname": app["displayName"],
        }
        claims["idp"] = claims["iss"]
    else:
        claims |= {"azp": app["appId"], "azpacr": "1" if user is None else "0"}
    if user is None:
        claims |= {"idtyp": "app", "oid": service_principal_id, "sub": service_principal_id}
        if roles:
            claims["roles"] = list(roles)
    else:
        claims |= {
            "idtyp": "user",
            "oid": user["id"],
            "sub": world.keys.pairwise("sub", user["id"], audience),
            "scp": " ".join(scopes),
            "name": user.get("displayName"),
            "wids": list(wids),
        }
        claims |= (
            {"upn": user["userPrincipalName"], "unique_name": user["userPrincipalName"]}
            if version == "1.0"
            else {"preferred_username": user["userPrincipalName"]}
        )
    if extra:
        claims |= extra
    return sign(world, claims)


def sign(world: World, claims: dict[str, Any]) -> str:
    """Signs claims with the tenant's key (RS256, with ``x5t`` and ``kid`` as Entra does)."""
    headers = {"x5t": world.keys.thumbprint, "kid": world.keys.key_id}
    return jwt.encode(claims, world.keys.private_key, algorithm="RS256", headers=headers)


def verify_access_token(world: World, token: str, *, audiences: Collection[str]) -> dict[str, Any]:
    """The claims of a token that this server issued for one of the audiences.

    Raises:
        TokenRefused: malformed, forged, expired, not yet valid or for another audience, in Graph's words.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            world.keys.private_key.public_key(),
            algorithms=["RS256"],
            options={"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.InvalidSignatureError:
        raise TokenRefused(_SIGNATURE_TEXT) from None
    except jwt.InvalidTokenError:
        raise TokenRefused(_MALFORMED_TEXT) from None
    now = world.directory.clock.now()
    if not claims.get("nbf", now) - 300 <= now < claims.get("exp", 0):
        raise TokenRefused(_LIFETIME_TEXT)
    if claims.get("aud") not in audiences:
        raise TokenRefused(_AUDIENCE_TEXT)
    return claims
