"""Every refusal of Microsoft Graph that the local tenant can give: status, code and Microsoft's own sentence.

Owns: the words. Does not own: when they are said (the resource modules) or the envelope around them (``app``).

Sources of the sentences: "Microsoft Graph error responses and resource types", the Microsoft Graph reference page of
the operation, and answers quoted in public issue threads, which are named where a sentence has only such a source.
Clients branch on ``code``; some match the sentence too (the azuread Terraform provider, CIPP), so both are exact.
"""

from __future__ import annotations

from typing import Any


class GraphError(Exception):
    """A refusal on its way to the client.

    Args:
        message: Microsoft's sentence.
        code: ``error.code``.
        status: the HTTP status.
        details: rows of ``error.details``, where Graph gives them.
        headers: further response headers.
    """

    status = 400
    code = "Request_BadRequest"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        details: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.status = status or type(self).status
        self.details = details
        self.headers = headers or {}


class BadRequest(GraphError):
    """The gateway refuses the request before a workload sees it."""

    code = "BadRequest"


class NotFound(GraphError):
    """There is no such object (or it has not replicated yet)."""

    status = 404
    code = "Request_ResourceNotFound"


class Denied(GraphError):
    """The caller's permissions, or the signed-in user's roles, are not enough."""

    status = 403
    code = "Authorization_RequestDenied"


class Conflict(GraphError):
    """Another object already has this key."""

    status = 409
    code = "Request_MultipleObjectsWithSameKeyValue"


class UnsupportedQuery(GraphError):
    """A query option that this property or collection does not support."""

    code = "Request_UnsupportedQuery"


def unauthenticated(message: str, base_url: str, *, code: str = "InvalidAuthenticationToken") -> GraphError:
    """401 with the challenge that Graph sends ("Microsoft Graph error responses", status 401)."""
    challenge = (
        f'Bearer realm="", authorization_uri="{base_url}/common/oauth2/authorize", '
        f'client_id="00000003-0000-0000-c000-000000000000"'
    )
    return GraphError(message, code=code, status=401, headers={"WWW-Authenticate": challenge})


TOKEN_EMPTY = "Access token is empty."  # noqa: S105 - a sentence, not a token
TOKEN_MALFORMED = "CompactToken parsing failed with error code: 80049217"  # noqa: S105


def resource_not_found(identity: str) -> NotFound:
    """The sentence on which clients wait for replication."""
    return NotFound(
        f"Resource '{identity}' does not exist or one of its queried reference-property objects are not present."
    )


def insufficient_privileges() -> Denied:
    """Missing permission, scope, role or ownership."""
    return Denied("Insufficient privileges to complete the operation.")


def report_permission_missing(name: str) -> Denied:
    """An activity report without the permission for it; the sentence is quoted in public field notes."""
    return Denied(
        f"The principal does not have required Microsoft Graph permission(s): {name} to call this API. For more "
        "information about Microsoft Graph permissions, please visit "
        "https://learn.microsoft.com/graph/permissions-overview",
        code="Authentication_MSGraphPermissionMissing",
    )


def report_role_missing() -> Denied:
    """An activity report for a user without a role that may read it ("How to analyze activity logs", Common errors)."""
    return Denied("User is not in the allowed roles", code="Authentication_RequestFromUnsupportedUserRole")


def not_premium() -> Denied:
    """An activity report of a tenant without Entra ID P1, or whose licence the caller may not see.

    Older answers say "Neither tenant is B2C or tenant doesn't have premium license"
    (turbot/steampipe-plugin-azuread#98).
    """
    return Denied(
        "Tenant is not a B2C tenant and doesn't have premium license",
        code="Authentication_RequestFromNonPremiumTenantOrB2CTenant",
    )


def segment_not_found(segment: str) -> BadRequest:
    """No such path."""
    return BadRequest(f"Resource not found for the segment '{segment}'.")


def method_not_allowed() -> GraphError:
    """The path exists, the method does not."""
    return GraphError("Specified HTTP method is not allowed for the request target.", status=405)


def invalid_object_id(identity: str) -> GraphError:
    """A key that is not a GUID."""
    return GraphError(f"Invalid object identifier '{identity}'.")


def unreadable_json() -> BadRequest:
    """A body that is not JSON, or not declared as JSON."""
    return BadRequest(
        "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON "
        "format."
    )


def duplicate_property(name: str) -> BadRequest:
    """A name twice in one JSON object.

    The sentences are those of Microsoft's OData library (OData/odata.net, ``SRResources.resx``), with which the gateway
    reads bodies: its other sentences arrive from Graph word for word. No answer of Graph with these two was found.
    """
    if "@" in name:
        return BadRequest(
            f"Multiple annotations with the name '{name}' were detected. "
            "In OData, duplicate annotations are not allowed."
        )
    return BadRequest(
        f"Multiple properties with the name '{name}' were detected in a resource or a complex value. "
        "In OData, duplicate property names are not allowed."
    )


def malformed_token() -> BadRequest:
    """A ``$deltatoken`` or ``$skiptoken`` of a delta query that is none (public field notes from a live tenant)."""
    return BadRequest("Badly formed token.")


def expired_delta() -> GraphError:
    """A delta token after seven days ("Duration of change tracking tokens for identity and education resources")."""
    return GraphError(
        "The sync state generation is not found. The delta token is expired and data must be synchronized again.",
        code="syncStateNotFound",
    )


def empty_body() -> BadRequest:
    """A write without a body."""
    return BadRequest("Empty Payload. JSON content expected.")


def unknown_property(name: str, type_name: str) -> GraphError:
    """A property that the type does not have (quoted in microsoft-graph-docs-contrib#7960)."""
    if name.startswith("extension_"):
        return GraphError(f"The following extension properties are not available: {name}.")
    shown = type_name[0].upper() + type_name[1:]
    return GraphError(
        f"The property '{name}' does not exist on type 'Microsoft.DirectoryServices.{shown}'. "
        "Make sure to only use property names that are defined by the type."
    )


def schema_mismatch(name: str) -> GraphError:
    """A value of the wrong JSON type."""
    return GraphError(f"Property {name} in payload has a value that does not match schema.")


def read_only(name: str) -> GraphError:
    """A property that only the service sets."""
    return GraphError(f"Property '{name}' is read-only and cannot be set.")


def invalid_value(name: str, resource: str, *, detail: str = "InvalidValue") -> GraphError:
    """A value of the right type that the directory does not accept."""
    message = f"Invalid value specified for property '{name}' of resource '{resource}'."
    return GraphError(message, details=[{"code": detail, "message": message, "target": name}])


def value_required(name: str, resource: str) -> GraphError:
    """A missing mandatory property."""
    message = f"A value is required for property '{name}' of resource '{resource}'."
    return GraphError(message, details=[{"code": "InvalidValue", "message": message, "target": name}])


def same_value_exists(name: str) -> GraphError:
    """A unique property whose value another object has."""
    message = f"Another object with the same value for property {name} already exists."
    return GraphError(message, details=[{"code": "ObjectConflict", "message": message, "target": name}])


def unsupported_filter(name: str, resource: str) -> UnsupportedQuery:
    """A property that cannot be filtered on (so)."""
    shown = resource[0].upper() + resource[1:]
    return UnsupportedQuery(
        f"Unsupported or invalid query filter clause specified for property '{name}' of resource '{shown}'."
    )


def unknown_query_property(name: str, type_name: str, *, option: str) -> BadRequest:
    """A property in ``$filter``, ``$select``, ``$expand`` or ``$orderby`` that the type does not have."""
    sentence = f"Could not find a property named '{name}' on type 'microsoft.graph.{type_name}'."
    prefix = {
        "$filter": "Invalid filter clause: ",
        "$select": "Parsing OData Select and Expand failed: ",
        "$expand": "Parsing OData Select and Expand failed: ",
    }
    return BadRequest(prefix.get(option, "") + sentence)


def reference_exists(name: str) -> GraphError:
    """The object is already in the navigation property."""
    return GraphError(
        f"One or more added object references already exist for the following modified properties: '{name}'."
    )


def throttled(scope: str, reason: str, retry_after: int | None) -> GraphError:
    """429 of "Identity and access service limits"; its code and sentence are those of Graph's gateway."""
    headers = {"x-ms-throttle-scope": scope, "x-ms-throttle-information": reason}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return GraphError("Too many requests. Please try again later.", code="TooManyRequests", status=429, headers=headers)
