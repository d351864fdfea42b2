"""An application between Graph and state.

Owns: which Graph property each of ours is, and how empty values are written on either side.
Does not own: requests (``application``).

Source: "application resource type" (Microsoft Graph v1.0); the empty values are the real plugin's, seen on the wire.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from provision.standin.planning import State
from provision.standin.resources import directory_shapes as shapes
from provision.standin.session import Json
from provision.standin.wire import Value

_TEXTS = {
    "description": "description",
    "notes": "notes",
    "serviceManagementReference": "serviceManagementReference",
}
_FLAGS = {"deviceOnlyAuthEnabled": "isDeviceOnlyAuthSupported", "fallbackPublicClientEnabled": "isFallbackPublicClient"}
_INFO = {
    "marketingUrl": "marketingUrl",
    "privacyStatementUrl": "privacyStatementUrl",
    "supportUrl": "supportUrl",
    "termsOfServiceUrl": "termsOfServiceUrl",
}
_CLAIMS = {"accessTokens": "accessToken", "idTokens": "idToken", "saml2Tokens": "saml2Token"}
_REDIRECTS = {"publicClient": "publicClient", "singlePageApplication": "spa"}
ONLY_WHEN_CHANGED = {
    "appRoles": "appRoles",
    "identifierUris": "identifierUris",
    "optionalClaims": "optionalClaims",
    "requiredResourceAccesses": "requiredResourceAccess",
}
"""Properties that an update sends only when they differ."""


def to_graph(planned: State) -> Json:
    """The whole application as Graph wants it; what is empty in state is null or an empty list there."""
    return {
        "displayName": planned["displayName"],
        "signInAudience": planned["signInAudience"],
        **{graph: planned.get(name) or None for name, graph in _TEXTS.items()},
        **{graph: bool(planned.get(name)) for name, graph in _FLAGS.items()},
        "groupMembershipClaims": ",".join(planned.get("groupMembershipClaims") or []) or None,
        "identifierUris": planned.get("identifierUris") or [],
        "info": {graph: planned.get(name) or None for name, graph in _INFO.items()},
        "api": _api_to_graph(planned.get("api") or {}),
        "appRoles": shapes.to_graph(shapes.ROLE_TO_GRAPH, planned.get("appRoles")),
        "optionalClaims": _claims_to_graph(planned["optionalClaims"]) if planned.get("optionalClaims") else {},
        "requiredResourceAccess": [
            {"resourceAppId": item["resourceAppId"], "resourceAccess": item["resourceAccesses"]}
            for item in planned.get("requiredResourceAccesses") or []
        ],
        **{
            graph: {"redirectUris": (planned.get(name) or {}).get("redirectUris") or []}
            for name, graph in _REDIRECTS.items()
        },
        "web": _web_to_graph(planned.get("web") or {}),
    }


def changes_to_graph(planned: State, changed: Collection[str]) -> Json:
    """What an update sends: all that is safe to repeat, and the rest only when it differs."""
    body = to_graph(planned)
    for name, graph in ONLY_WHEN_CHANGED.items():
        if name not in changed:
            del body[graph]
    if "optionalClaims" in changed:
        body["optionalClaims"] = _claims_to_graph(planned.get("optionalClaims") or {})
    if "oauth2PermissionScopeIds" not in changed:
        del body["api"]["oauth2PermissionScopes"]
    return body


def from_graph(document: Json) -> State:
    """State as the plugin writes it."""
    info = document.get("info") or {}
    api = document.get("api") or {}
    claims = document.get("groupMembershipClaims")
    return {
        **{name: shapes.text_of(document, graph) for name, graph in _TEXTS.items()},
        **{name: bool(document.get(graph)) for name, graph in _FLAGS.items()},
        **{name: info.get(graph) or "" for name, graph in _INFO.items()},
        "api": _api_from_graph(api),
        "appRoles": shapes.from_graph(shapes.ROLE_TO_GRAPH, document.get("appRoles")),
        "appRoleIds": shapes.ids_by_value(document.get("appRoles")),
        "clientId": document["appId"],
        "disabledByMicrosoft": shapes.text_of(document, "disabledByMicrosoftStatus"),
        "displayName": shapes.text_of(document, "displayName"),
        "featureTags": shapes.features_of(document.get("tags")),
        "groupMembershipClaims": [claim.strip() for claim in claims.split(",")] if claims else [],
        "identifierUris": document.get("identifierUris") or [],
        "logoUrl": info.get("logoUrl") or "",
        "oauth2PermissionScopeIds": shapes.ids_by_value(api.get("oauth2PermissionScopes")),
        "objectId": document["id"],
        "optionalClaims": _claims_from_graph(document.get("optionalClaims")),
        "publisherDomain": shapes.text_of(document, "publisherDomain"),
        "requiredResourceAccesses": _accesses_from_graph(document.get("requiredResourceAccess")),
        "signInAudience": shapes.text_of(document, "signInAudience"),
        "tags": document.get("tags") or [],
        "templateId": shapes.text_of(document, "applicationTemplateId"),
        **{
            name: {"redirectUris": (document.get(graph) or {}).get("redirectUris") or []}
            for name, graph in _REDIRECTS.items()
        },
        "web": _web_from_graph(document.get("web") or {}),
    }


def _api_to_graph(api: Mapping[str, Value]) -> Json:
    return {
        "acceptMappedClaims": bool(api.get("mappedClaimsEnabled")),
        "knownClientApplications": api.get("knownClientApplications") or [],
        "oauth2PermissionScopes": shapes.to_graph(shapes.SCOPE_TO_GRAPH, api.get("oauth2PermissionScopes")),
        "requestedAccessTokenVersion": api.get("requestedAccessTokenVersion") or 1,
    }


def _api_from_graph(api: Json) -> State:
    return {
        "knownClientApplications": api.get("knownClientApplications") or [],
        "mappedClaimsEnabled": bool(api.get("acceptMappedClaims")),
        "oauth2PermissionScopes": shapes.from_graph(shapes.SCOPE_TO_GRAPH, api.get("oauth2PermissionScopes")),
        "requestedAccessTokenVersion": api.get("requestedAccessTokenVersion") or 1,
    }


def _claims_to_graph(claims: Mapping[str, Value]) -> Json:
    return {
        graph: [
            {
                "name": claim["name"],
                "essential": bool(claim.get("essential")),
                "source": claim.get("source") or None,
                "additionalProperties": claim.get("additionalProperties") or [],
            }
            for claim in claims.get(name) or []
        ]
        for name, graph in _CLAIMS.items()
    }


def _claims_from_graph(claims: Json | None) -> State | None:
    if claims is None:
        return None
    return {
        name: [
            {
                "name": claim.get("name") or "",
                "essential": bool(claim.get("essential")),
                "source": claim.get("source") or "",
                "additionalProperties": claim.get("additionalProperties") or [],
            }
            for claim in claims.get(graph) or []
        ]
        for name, graph in _CLAIMS.items()
    }


def _accesses_from_graph(accesses: Sequence[Json] | None) -> list[State]:
    return [
        {
            "resourceAppId": item.get("resourceAppId") or "",
            "resourceAccesses": [
                {"id": access.get("id") or "", "type": access.get("type") or ""}
                for access in item.get("resourceAccess") or []
            ],
        }
        for item in accesses or []
    ]


def _web_to_graph(web: Mapping[str, Value]) -> Json:
    grant = web.get("implicitGrant") or {}
    return {
        "homePageUrl": web.get("homepageUrl") or None,
        "logoutUrl": web.get("logoutUrl") or None,
        "redirectUris": web.get("redirectUris") or [],
        "implicitGrantSettings": {
            "enableAccessTokenIssuance": bool(grant.get("accessTokenIssuanceEnabled")),
            "enableIdTokenIssuance": bool(grant.get("idTokenIssuanceEnabled")),
        },
    }


def _web_from_graph(web: Json) -> State:
    grant = web.get("implicitGrantSettings") or {}
    return {
        "homepageUrl": web.get("homePageUrl") or "",
        "logoutUrl": web.get("logoutUrl") or "",
        "redirectUris": web.get("redirectUris") or [],
        "implicitGrant": {
            "accessTokenIssuanceEnabled": bool(grant.get("enableAccessTokenIssuance")),
            "idTokenIssuanceEnabled": bool(grant.get("enableIdTokenIssuance")),
        },
    }
