"""Who a token says we are.

A client may not rely on an access token's inside ("Access tokens in the Microsoft identity platform": it is the
resource's), so what is read here is only told to people and compared with what they intended; Graph decides.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Literal

from provision.errors import SignInFailed


@dataclass(frozen=True)
class Caller:
    """Who is signed in, and with which rights."""

    tenant_id: str
    object_id: str
    app_id: str
    """The client that the token was given to."""
    kind: Literal["user", "app"]
    name: str
    scopes: tuple[str, ...] = ()
    """Delegated permissions (``scp``); empty for an app."""
    roles: tuple[str, ...] = ()
    """Application permissions (``roles``); empty for a user."""
    directory_role_template_ids: tuple[str, ...] = ()
    """The directory roles that the user holds (``wids``)."""


def caller_of(token: str) -> Caller:
    """Reads an access token for Microsoft Graph.

    Raises:
        SignInFailed: it is not a token of Microsoft Entra.
    """
    claims = claims_of(token)
    try:
        tenant, subject = str(claims["tid"]), str(claims["oid"])
    except KeyError:
        raise SignInFailed("The token does not say which tenant it is for.", remedy="Sign in again.") from None
    is_app = claims.get("idtyp") == "app" or ("scp" not in claims and "upn" not in claims)
    names = ("app_displayname", "appid") if is_app else ("upn", "preferred_username", "unique_name", "name")
    return Caller(
        tenant_id=tenant.lower(),
        object_id=subject.lower(),
        app_id=str(claims.get("appid") or claims.get("azp") or ""),
        kind="app" if is_app else "user",
        name=next((str(claims[name]) for name in names if claims.get(name)), subject),
        scopes=tuple(str(claims.get("scp", "")).split()),
        roles=tuple(claims.get("roles", ())),
        directory_role_template_ids=tuple(claims.get("wids", ())),
    )


def claims_of(token: str) -> dict[str, Any]:
    """What a token says; whether it is true is for whoever it is for.

    Raises:
        SignInFailed: it is no token.
    """
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError, binascii.Error):
        claims = None
    if not isinstance(claims, dict):
        raise SignInFailed("What was given as a token is none.", remedy="Sign in again.")
    return claims
