"""Tokens of service accounts: the JWT bearer grant with domain-wide delegation.

Owns: ``POST …/token`` and what a token permits. Does not own: the APIs that take it.
Source: "Using OAuth 2.0 for Server to Server Applications": the assertion's claims, and "JWT error codes" for
``unauthorized_client``, ``access_denied``, ``invalid_scope`` and ``invalid_grant`` with their sentences; the sentences
for a malformed JWT and for an unknown account are as clients' logs show them. That a wholly undelegated client is told
``unauthorized_client`` and one that lacks some scopes ``access_denied`` is how that page tells the two apart.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from provision.sandbox.directory import Directory, Document
from provision.sandbox.google import customers
from provision.sandbox.requestlog import note
from provision.sandbox.world import World

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN = "googleToken"  # noqa: S105 - a kind of document
PUBLIC_TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_LIFETIME = 3599
_LONGEST = 3600
_SCOPE_PREFIX = "https://www.googleapis.com/auth/"
_UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the "
    "scopes requested."
)


@dataclass
class _Refused(Exception):
    """An OAuth error."""

    error: str
    description: str
    status: int = 400


@dataclass(frozen=True)
class Principal:
    """Whoever a token speaks for."""

    account: Document
    user: Document | None
    """The user by delegation; None for the service account itself."""
    scopes: frozenset[str]


def token_uri(world: World) -> str:
    """The local token endpoint, as key files of the local tenant name it."""
    return f"{world.base_url}/_google/token"


async def token(request: Request) -> Response:
    """POST …/token."""
    world: World = request.app.state.world
    form = await request.form()
    try:
        answer = _issue(world, str(form.get("grant_type") or ""), str(form.get("assertion") or ""))
    except _Refused as refused:
        note(request.scope, code=refused.error)
        return JSONResponse(
            {"error": refused.error, "error_description": refused.description}, status_code=refused.status
        )
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


def _issue(world: World, grant: str, assertion: str) -> Document:
    if grant != GRANT:
        raise _Refused("unsupported_grant_type", f"Invalid grant_type: {grant}")
    directory = world.directory
    claims, account = _checked(world, assertion)
    scopes = str(claims.get("scope") or "").split()
    if not scopes or not all(scope.startswith(_SCOPE_PREFIX) for scope in scopes):
        raise _Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
    user = _delegated(directory, account, str(claims["sub"]), scopes) if claims.get("sub") else None
    value = "ya29.c." + secrets.token_urlsafe(48)
    document = {
        "_hash": hashlib.sha256(value.encode()).hexdigest(),
        "accountId": account["id"],
        "userId": None if user is None else user["id"],
        "scopes": scopes,
        "expires": directory.clock.now() + _LIFETIME,
    }
    directory.insert(customers.REALM, TOKEN, document, visible_at_once=True)
    return {"access_token": value, "expires_in": _LIFETIME, "token_type": "Bearer"}


def _checked(world: World, assertion: str) -> tuple[dict[str, Any], Document]:
    """The claims of an assertion that the account's key signed."""
    try:
        unverified: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False, "verify_exp": False})
    except jwt.InvalidTokenError:
        raise _Refused("invalid_grant", "Invalid JWT: Failed to parse.") from None
    found = world.directory.find(
        customers.REALM, customers.ACCOUNT, fresh=True, client_email=str(unverified.get("iss") or "")
    )
    if not found:
        raise _Refused("invalid_grant", "Invalid grant: account not found")
    try:
        claims: dict[str, Any] = jwt.decode(
            assertion,
            found[0]["publicKey"],
            algorithms=["RS256"],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
    except jwt.InvalidTokenError:
        raise _Refused("invalid_grant", "Invalid JWT Signature.") from None
    if claims.get("aud") not in {token_uri(world), PUBLIC_TOKEN_URI, "https://accounts.google.com/o/oauth2/token"}:
        raise _Refused("invalid_grant", "Invalid JWT: Failed audience check.")
    now, issued, expires = world.directory.clock.now(), _number(claims, "iat"), _number(claims, "exp")
    if not issued - 300 <= now < expires + 300 or expires - issued > _LONGEST:
        raise _Refused(
            "invalid_grant",
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat "
            "and exp values in the JWT claim.",
        )
    return claims, found[0]


def _number(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _delegated(directory: Directory, account: Document, subject: str, scopes: list[str]) -> Document:
    """The user on whose behalf the account may act."""
    user = customers.find_user(directory, subject)
    if user is None or user["suspended"]:
        raise _Refused("invalid_grant", "Invalid email or User ID")
    allowed = set(account["delegatedScopes"]) if user["customerId"] == account["customerId"] else set()
    if not allowed & set(scopes):
        raise _Refused("unauthorized_client", _UNAUTHORIZED, 401)
    if not set(scopes) <= allowed:
        raise _Refused("access_denied", "Requested client not authorized.", 403)
    return user


def principal(directory: Directory, authorization: str | None) -> Principal | None:
    """Whom a bearer token speaks for; None when it is missing, unknown or expired."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        return None
    digest = hashlib.sha256(value.strip().encode()).hexdigest()
    found = directory.find(customers.REALM, TOKEN, fresh=True, _hash=digest)
    if not found or found[0]["expires"] <= directory.clock.now():
        return None
    account = directory.get(customers.REALM, customers.ACCOUNT, found[0]["accountId"], fresh=True)
    if account is None:
        return None
    user_id = found[0]["userId"]
    user = directory.get(customers.REALM, customers.USER, user_id, fresh=True) if user_id else None
    return Principal(account, user, frozenset(found[0]["scopes"]))
