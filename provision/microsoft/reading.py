"""From the SDK's objects to the toolkit's own frozen values."""

from __future__ import annotations

from typing import Any

from provision.microsoft.objects import (
    Application,
    FederatedCredential,
    Grant,
    Password,
    Permission,
    RequiredAccess,
    ServicePrincipal,
)


def application_of(raw: Any) -> Application:
    """An ``application`` of the SDK; absent collections become empty, absent switches off."""
    implicit = getattr(raw.web, "implicit_grant_settings", None)
    return Application(
        object_id=raw.id,
        app_id=raw.app_id,
        display_name=raw.display_name or "",
        sign_in_audience=raw.sign_in_audience or "",
        tags=tuple(raw.tags or ()),
        web_redirect_uris=tuple(getattr(raw.web, "redirect_uris", None) or ()),
        spa_redirect_uris=tuple(getattr(raw.spa, "redirect_uris", None) or ()),
        public_redirect_uris=tuple(getattr(raw.public_client, "redirect_uris", None) or ()),
        issue_access_tokens=bool(getattr(implicit, "enable_access_token_issuance", False)),
        issue_id_tokens=bool(getattr(implicit, "enable_id_token_issuance", False)),
        is_fallback_public_client=bool(raw.is_fallback_public_client),
        required_access=tuple(
            RequiredAccess(resource.resource_app_id, str(access.id), access.type)
            for resource in raw.required_resource_access or ()
            for access in resource.resource_access or ()
        ),
        passwords=tuple(
            Password(str(p.key_id), p.display_name, p.start_date_time, p.end_date_time, p.hint)
            for p in raw.password_credentials or ()
        ),
        created=raw.created_date_time,
        verified_publisher=getattr(raw.verified_publisher, "display_name", None),
    )


def service_principal_of(raw: Any) -> ServicePrincipal:
    """A ``servicePrincipal`` of the SDK."""
    published = [(scope, "Scope") for scope in raw.oauth2_permission_scopes or ()]
    published += [(role, "Role") for role in raw.app_roles or ()]
    return ServicePrincipal(
        object_id=raw.id,
        app_id=raw.app_id,
        display_name=raw.display_name or "",
        account_enabled=raw.account_enabled is not False,
        tags=tuple(raw.tags or ()),
        permissions=tuple(
            Permission(str(item.id), item.value, kind, item.is_enabled is not False)
            for item, kind in published
            if item.value
        ),
    )


def grant_of(raw: Any) -> Grant:
    """An ``oAuth2PermissionGrant`` of the SDK."""
    return Grant(
        raw.id, raw.client_id, raw.resource_id, raw.consent_type, tuple((raw.scope or "").split()), raw.principal_id
    )


def federated_credential_of(raw: Any) -> FederatedCredential:
    """A ``federatedIdentityCredential`` of the SDK."""
    return FederatedCredential(raw.id, raw.name, raw.issuer, raw.subject, tuple(raw.audiences or ()))
