"""From Graph's JSON to the toolkit's own frozen values; absent collections become empty, absent switches off."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from provision.microsoft.objects import (
    Application,
    Certificate,
    FederatedCredential,
    Grant,
    Password,
    Permission,
    RequiredAccess,
    ServicePrincipal,
    SignIn,
)

Document = dict[str, Any]


def moment(text: str | None) -> datetime | None:
    """A time as Graph writes it (``2026-11-23T10:00:00.1234567Z``); parts of a microsecond are cut off."""
    return datetime.fromisoformat(text) if text else None


def application_of(raw: Document) -> Application:
    """An ``application``."""
    web = raw.get("web") or {}
    implicit = web.get("implicitGrantSettings") or {}
    return Application(
        object_id=raw["id"],
        app_id=raw["appId"],
        display_name=raw.get("displayName") or "",
        sign_in_audience=raw.get("signInAudience") or "",
        tags=tuple(raw.get("tags") or ()),
        web_redirect_uris=tuple(web.get("redirectUris") or ()),
        spa_redirect_uris=tuple((raw.get("spa") or {}).get("redirectUris") or ()),
        public_redirect_uris=tuple((raw.get("publicClient") or {}).get("redirectUris") or ()),
        issue_access_tokens=bool(implicit.get("enableAccessTokenIssuance")),
        issue_id_tokens=bool(implicit.get("enableIdTokenIssuance")),
        is_fallback_public_client=bool(raw.get("isFallbackPublicClient")),
        required_access=tuple(
            RequiredAccess(resource["resourceAppId"], access["id"], access["type"])
            for resource in raw.get("requiredResourceAccess") or ()
            for access in resource.get("resourceAccess") or ()
        ),
        passwords=tuple(
            Password(
                item["keyId"],
                item.get("displayName"),
                moment(item.get("startDateTime")),
                moment(item.get("endDateTime")),
                item.get("hint"),
            )
            for item in raw.get("passwordCredentials") or ()
        ),
        certificates=tuple(
            Certificate(
                item["keyId"],
                item.get("displayName"),
                moment(item.get("startDateTime")),
                moment(item.get("endDateTime")),
            )
            for item in raw.get("keyCredentials") or ()
        ),
        created=moment(raw.get("createdDateTime")),
        verified_publisher=(raw.get("verifiedPublisher") or {}).get("displayName"),
    )


def service_principal_of(raw: Document) -> ServicePrincipal:
    """A ``servicePrincipal``."""
    published = [(scope, "Scope") for scope in raw.get("oauth2PermissionScopes") or ()]
    published += [(role, "Role") for role in raw.get("appRoles") or ()]
    return ServicePrincipal(
        object_id=raw["id"],
        app_id=raw["appId"],
        display_name=raw.get("displayName") or "",
        account_enabled=raw.get("accountEnabled") is not False,
        tags=tuple(raw.get("tags") or ()),
        permissions=tuple(
            Permission(item["id"], item["value"], kind, item.get("isEnabled") is not False)
            for item, kind in published
            if item.get("value")
        ),
    )


def grant_of(raw: Document) -> Grant:
    """An ``oAuth2PermissionGrant``."""
    return Grant(
        raw["id"],
        raw["clientId"],
        raw["resourceId"],
        raw["consentType"],
        tuple((raw.get("scope") or "").split()),
        raw.get("principalId"),
    )


def federated_credential_of(raw: Document) -> FederatedCredential:
    """A ``federatedIdentityCredential``."""
    return FederatedCredential(raw["id"], raw["name"], raw["issuer"], raw["subject"], tuple(raw.get("audiences") or ()))


def sign_in_of(raw: Document) -> SignIn:
    """A ``signIn``."""
    return SignIn(
        moment(raw.get("createdDateTime")),
        raw.get("userPrincipalName") or "",
        raw.get("ipAddress") or "",
        int((raw.get("status") or {}).get("errorCode") or 0),
        raw.get("clientAppUsed") or "",
    )
