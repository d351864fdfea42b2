"""What Microsoft Entra accepts as values of an application.

Owns: redirect URIs, identifier URIs, audiences, permissions and roles of an application. Does not own: property names
and types (``schema``), storing (``applications``).

Sources: "Redirect URI (reply URL) best practices and limitations", "Validation differences by supported account types",
"application resource type"; "Permission (scope or role) cannot be deleted or updated unless disabled first" is the
sentence on which the azuread Terraform provider retries.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from provision.sandbox import published
from provision.sandbox.directory import Document
from provision.sandbox.graph import errors, schema
from provision.sandbox.graph.call import Call

AUDIENCES = ("AzureADMyOrg", "AzureADMultipleOrgs", "AzureADandPersonalMicrosoftAccount", "PersonalMicrosoftAccount")
_PERSONAL = frozenset(AUDIENCES[2:])
_MAX_REDIRECTS = {True: 100, False: 256}
_MAX_REDIRECT_LENGTH = 256
_MAX_REQUIRED_APIS = 50
_MAX_REQUIRED_PERMISSIONS = 400
_FORBIDDEN_IN_REDIRECT = frozenset("!$'(),;")

_RESOURCE = "Application"


def personal(application: Document) -> bool:
    """Whether the application is open to personal Microsoft accounts, which have narrower limits."""
    return application["signInAudience"] in _PERSONAL


def validate(call: Call, application: Document, *, before: Document | None) -> None:
    """Checks a whole application before it is stored.

    Args:
        call: the request.
        application: the application as it would be stored.
        before: the stored one, for an update.

    Raises:
        GraphError: the first value that Entra refuses.
    """
    if not (application["displayName"] or "").strip():
        raise errors.value_required("displayName", _RESOURCE)
    if application["signInAudience"] not in AUDIENCES:
        raise errors.invalid_value("signInAudience", _RESOURCE)
    _check_token_version(application)
    _check_redirects(application)
    _check_home_and_logout(application)
    _check_identifier_uris(call, application, before)
    _check_required_access(call, application)
    _check_exposed(application, before)
    _check_optional_claims(application)


def _check_token_version(application: Document) -> None:
    version = application["api"]["requestedAccessTokenVersion"]
    if version not in (None, 1, 2):
        raise errors.invalid_value("requestedAccessTokenVersion", _RESOURCE)
    if personal(application) and version != 2:
        raise errors.GraphError(
            "Property api.requestedAccessTokenVersion is invalid.", code="InvalidAccessTokenVersion"
        )


def _check_redirects(application: Document) -> None:
    seen: dict[str, str] = {}
    total = 0
    for platform, check in _REDIRECT_CHECKS.items():
        for uri in application[platform]["redirectUris"]:
            total += 1
            if uri in seen:
                raise _bad_redirect(platform, "UriDuplicated" if seen[uri] == platform else "UriUsedOnOtherPlatform")
            seen[uri] = platform
            if not check(uri) or not _well_formed(uri, allow_query=not personal(application)):
                raise _bad_redirect(platform, "InvalidRedirectUri")
    if total > _MAX_REDIRECTS[personal(application)]:
        raise _bad_redirect("web", "TooManyRedirectUris")


def _bad_redirect(platform: str, detail: str) -> errors.GraphError:
    message = f"Invalid value specified for property '{platform}.redirectUris' of resource 'Application'."
    return errors.GraphError(
        message, details=[{"code": detail, "message": message, "target": f"{platform}.redirectUris"}]
    )


def _well_formed(uri: str, *, allow_query: bool) -> bool:
    if len(uri) > _MAX_REDIRECT_LENGTH or "#" in uri or " " in uri or _FORBIDDEN_IN_REDIRECT & set(uri):
        return False
    parts = _split(uri)
    if "*" in parts.netloc or ("*" in uri and parts.scheme in {"http", "https"}):
        return False
    return allow_query or not parts.query


def _split(uri: str) -> SplitResult:
    """The parts of a URI; none at all when its authority is malformed, so that every check refuses it."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return SplitResult("", "", "", "", "")
    return parts


def _loopback(uri: str) -> bool:
    parts = _split(uri)
    host = (parts.hostname or "").lower()
    return parts.scheme == "http" and host in {"localhost", "127.0.0.1", "::1"}


def _https(uri: str) -> bool:
    parts = _split(uri)
    return parts.scheme == "https" and bool(parts.hostname)


def _web(uri: str) -> bool:
    return _https(uri) or _loopback(uri) or re.match(r"(urn:|ms-appx-web://)", uri) is not None


def _native(uri: str) -> bool:
    parts = _split(uri)
    return _https(uri) or _loopback(uri) or (bool(parts.scheme) and parts.scheme not in {"http", "javascript", "data"})


def _spa(uri: str) -> bool:
    return _https(uri) or _loopback(uri)


_REDIRECT_CHECKS: dict[str, Callable[[str], bool]] = {"web": _web, "spa": _spa, "publicClient": _native}


def _check_home_and_logout(application: Document) -> None:
    web = application["web"]
    for name in ("homePageUrl", "logoutUrl"):
        value = web[name]
        if value and (len(value) > 255 or not (_https(value) or value.startswith("http://"))):
            raise errors.invalid_value(f"web.{name}", _RESOURCE)
    if web["logoutUrl"] and not (_https(web["logoutUrl"]) or _loopback(web["logoutUrl"])):
        raise errors.invalid_value("web.logoutUrl", _RESOURCE)


def _check_identifier_uris(call: Call, application: Document, before: Document | None) -> None:
    uris = application["identifierUris"]
    if len(set(uris)) != len(uris):
        raise errors.invalid_value("identifierUris", _RESOURCE)
    known = before["identifierUris"] if before else []
    domains = [domain["id"].lower() for domain in call.all("domain") if domain["isVerified"]]
    for uri in uris:
        if uri in known:
            continue
        if not re.fullmatch(r"(api|https|ms-appx|urn):.{1,255}", uri) or uri.endswith("/") or "#" in uri:
            raise errors.invalid_value("identifierUris", _RESOURCE)
        host = _split(uri).netloc.lower()
        ids = (application["appId"], call.tenant)
        owned = any(i in uri.lower() for i in ids) or any(host == d or host.endswith(f".{d}") for d in domains)
        if not owned and not uri.startswith("urn:"):
            message = (
                f"Failed to add identifier URI {uri}. All newly added URIs must contain a tenant verified domain, "
                "tenant ID, or app ID, as per the default tenant policy of your organization. See "
                "https://aka.ms/identifier-uri-addition-error for more information on this error."
            )
            raise errors.GraphError(
                message, details=[{"code": "InvalidValue", "message": message, "target": "identifierUris"}]
            )
        if any(uri in other["identifierUris"] for other in call.all("application") if other["id"] != application["id"]):
            raise errors.same_value_exists("identifierUris")


def _check_required_access(call: Call, application: Document) -> None:
    """Shape, limits, and that each id is published by its resource, when that resource is known to the tenant.

    Microsoft is laxer: it stores an id that the resource does not publish, and the portal shows it as unrecognized
    (hashicorp/terraform-provider-azuread#1461). Here such an id is refused on purpose, because it can only be a mistake
    that nobody would see before the consent fails.
    """
    rows = application["requiredResourceAccess"]
    for row in rows:
        for name in ("resourceAppId", "resourceAccess"):
            if row.get(name) is None:
                raise errors.value_required(name, "RequiredResourceAccess")
        if any(access.get("id") is None for access in row["resourceAccess"]):
            raise errors.value_required("id", "ResourceAccess")
    resources = [row["resourceAppId"] for row in rows]
    permissions = sum(len(row["resourceAccess"]) for row in rows)
    if len(set(resources)) != len(resources):
        raise errors.invalid_value("requiredResourceAccess", _RESOURCE)
    if len(rows) > _MAX_REQUIRED_APIS or permissions > _MAX_REQUIRED_PERMISSIONS:
        raise errors.GraphError("The size of the object has exceeded its limit.", code="Directory_ResourceSizeExceeded")
    for row in rows:
        if not schema.is_guid(row["resourceAppId"]):
            raise errors.invalid_value("resourceAppId", "RequiredResourceAccess")
        offered = _offered(call, row["resourceAppId"])
        for access in row["resourceAccess"]:
            if access.get("type") not in {"Scope", "Role"}:
                raise errors.invalid_value("type", "ResourceAccess")
            if offered is not None and access["id"].lower() not in offered[access["type"]]:
                raise errors.invalid_value("id", "ResourceAccess", detail="PermissionNotFound")


def _offered(call: Call, app_id: str) -> dict[str, set[str]] | None:
    """The ids that a resource publishes, by type; None for a resource that is not in this tenant."""
    if app_id not in (published.GRAPH_APP_ID, published.EXCHANGE_APP_ID):
        return None
    resource = call.directory.find(call.tenant, "servicePrincipal", fresh=True, appId=app_id)[0]
    return {
        "Scope": {scope["id"] for scope in resource["oauth2PermissionScopes"]},
        "Role": {role["id"] for role in resource["appRoles"]},
    }


def _check_exposed(application: Document, before: Document | None) -> None:
    """The application's own scopes and roles: ids and values unique, enabled ones neither removed nor changed."""
    scopes, roles = application["api"]["oauth2PermissionScopes"], application["appRoles"]
    ids = [row.get("id") for row in (*scopes, *roles)]
    if len(set(ids)) != len(ids) or not all(schema.is_guid(i) for i in ids):
        raise errors.invalid_value("id", "PermissionScope")
    for rows, resource in ((scopes, "PermissionScope"), (roles, "AppRole")):
        values = [row["value"] for row in rows if row.get("value")]
        if len(set(values)) != len(values) or any(re.search(r"\s", value) for value in values):
            raise errors.invalid_value("value", resource)
    for scope in scopes:
        if scope.get("type") not in {"User", "Admin"}:
            raise errors.invalid_value("type", "PermissionScope")
        if not scope.get("adminConsentDisplayName") or not scope.get("adminConsentDescription"):
            raise errors.value_required("adminConsentDisplayName", "PermissionScope")
    for role in roles:
        if not role.get("allowedMemberTypes") or set(role["allowedMemberTypes"]) - {"User", "Application"}:
            raise errors.invalid_value("allowedMemberTypes", "AppRole")
        if not role.get("displayName"):
            raise errors.value_required("displayName", "AppRole")
    if before is not None:
        _check_disabled_before_change(before["api"]["oauth2PermissionScopes"], scopes)
        _check_disabled_before_change(before["appRoles"], roles)


def _check_disabled_before_change(old: list[Document], new: list[Document]) -> None:
    current = {row["id"]: row for row in new}
    for row in old:
        if not row.get("isEnabled", True):
            continue
        after: Any = current.get(row["id"])
        if after is None or after.get("value") != row.get("value"):
            raise errors.GraphError(
                "Permission (scope or role) cannot be deleted or updated unless disabled first.",
                code="CannotDeleteOrUpdateEnabledEntitlement",
            )


def _check_optional_claims(application: Document) -> None:
    claims = application["optionalClaims"] or {}
    for kind, rows in claims.items():
        names = [row.get("name") for row in rows or []]
        if len(set(names)) != len(names) or None in names:
            raise errors.schema_mismatch(kind)
