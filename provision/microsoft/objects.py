"""What other rooms see of Microsoft Graph: small frozen values in Graph's own terms.

Only what the toolkit uses is here; names are Graph's, in Python's spelling.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""Microsoft Graph's own appId, the same everywhere ("Verify first-party Microsoft applications in sign-in reports")."""


@dataclass(frozen=True)
class Listed:
    """A client secret or a certificate as Graph lists it: never its value."""

    key_id: str
    display_name: str | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True)
class Password(Listed):
    """A client secret ("passwordCredential resource type")."""

    hint: str | None = None
    """Its first three characters."""


@dataclass(frozen=True)
class Certificate(Listed):
    """A certificate by which an application signs in ("keyCredential resource type")."""


@dataclass(frozen=True)
class NewCredential:
    """A client secret or a certificate just made, with the value that is had this once."""

    key_id: str
    end: datetime
    value: str = field(repr=False)
    """The secret; of a certificate its private key and itself, PEM."""


@dataclass(frozen=True)
class RequiredAccess:
    """One entry of ``requiredResourceAccess``, flat."""

    resource_app_id: str
    permission_id: str
    type: str
    """``Scope`` (delegated) or ``Role`` (application)."""


@dataclass(frozen=True)
class Application:
    """An app registration."""

    object_id: str
    app_id: str
    display_name: str
    sign_in_audience: str
    tags: tuple[str, ...] = ()
    web_redirect_uris: tuple[str, ...] = ()
    spa_redirect_uris: tuple[str, ...] = ()
    public_redirect_uris: tuple[str, ...] = ()
    issue_access_tokens: bool = False
    issue_id_tokens: bool = False
    is_fallback_public_client: bool = False
    required_access: tuple[RequiredAccess, ...] = ()
    passwords: tuple[Password, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    """Empty unless they were asked for."""
    created: datetime | None = None
    verified_publisher: str | None = None


@dataclass(frozen=True)
class Permission:
    """A permission that a resource publishes: a delegated scope or an application role."""

    id: str
    value: str
    """Its name, for example ``Mail.Send``."""
    type: str
    """``Scope`` or ``Role``."""
    is_enabled: bool = True


@dataclass(frozen=True)
class ServicePrincipal:
    """An enterprise application."""

    object_id: str
    app_id: str
    display_name: str
    account_enabled: bool = True
    tags: tuple[str, ...] = ()
    permissions: tuple[Permission, ...] = ()
    """What it publishes (Microsoft Graph's are its scopes and roles)."""


@dataclass(frozen=True)
class Grant:
    """A delegated permission grant (``oauth2PermissionGrant``)."""

    id: str
    client_id: str
    """Object id of the client's service principal."""
    resource_id: str
    """Object id of the resource's service principal."""
    consent_type: str
    """``AllPrincipals`` (the whole tenant) or ``Principal`` (one user)."""
    scopes: tuple[str, ...]
    principal_id: str | None = None


@dataclass(frozen=True)
class FederatedCredential:
    """Whose tokens an application accepts in place of a secret."""

    id: str
    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]


@dataclass(frozen=True)
class CredentialRules:
    """What the tenant's app management policies allow for one application's client secrets, or its certificates."""

    allowed: bool
    max_lifetime: timedelta | None
    source: str
    """Which policy says so, for messages; empty when none does."""
    known: bool = True
    """False when the caller may not read the policies: the rules are then a guess, and Graph has the last word."""


@dataclass(frozen=True)
class SignIn:
    """An entry of the sign-in log."""

    at: datetime | None
    user: str
    """User principal name."""
    address: str
    """IP address."""
    error: int
    """0 for a sign-in that succeeded, else the AADSTS number."""
    client_app: str = ""
    """``clientAppUsed``: ``Browser``, ``Mobile Apps and Desktop clients``, ``Authenticated SMTP``, …"""
