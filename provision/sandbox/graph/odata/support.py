"""Which properties of which resource support which filters: Graph refuses the rest, so the local tenant does too.

Owns: the table and the check of a parsed filter, an ordering and a search against it.
Does not own: parsing and evaluating (``filter``).
Sources: the "Properties" tables of the resource pages ("Supports $filter (eq, ne, …)") and "Advanced query
capabilities on Microsoft Entra ID objects" (``ne``, ``not``, ``endsWith``, ``$count``, ordering a filtered list need
``ConsistencyLevel: eventual`` and ``$count=true``).
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.sandbox.graph import errors, schema
from provision.sandbox.graph.odata import operands
from provision.sandbox.graph.odata.filter import Call, Compare, Count, Lambda, Literal, Logic, Node, Not, Property
from provision.sandbox.graph.odata.query import QueryOptions

_EQ = frozenset({"eq", "in"})
_NE = _EQ | {"ne", "not"}
_ORDERED = _NE | {"ge", "le"}
_TEXT = _ORDERED | {"startswith"}
_TIME = _ORDERED | {"gt", "lt"}
_ENDS = _TEXT | {"endswith"}

FILTERS: dict[str, dict[str, frozenset[str]]] = {
    "directoryObject": {
        "id": _NE,
    },
    "application": {
        "id": _NE,
        "appId": _NE,
        "applicationTemplateId": _NE,
        "createdDateTime": _TIME,
        "deletedDateTime": _TIME,
        "description": _TEXT,
        "displayName": _TEXT,
        "identifierUris": _TEXT,
        "publisherDomain": _TEXT,
        "requiredResourceAccess": _NE,
        "signInAudience": _NE,
        "tags": _TEXT,
        "uniqueName": _EQ,
        "verifiedPublisher": _ORDERED | {"startswith"},
        "federatedIdentityCredentials": _TEXT,
        "owners": _NE,
    },
    "servicePrincipal": {
        "id": _NE,
        "accountEnabled": _NE,
        "alternativeNames": _TEXT,
        "appId": _TEXT,
        "applicationTemplateId": _NE,
        "appOwnerOrganizationId": _ORDERED,
        "appRoleAssignmentRequired": _NE,
        "deletedDateTime": _TIME,
        "description": _TEXT,
        "displayName": _TEXT,
        "homepage": _TEXT,
        "preferredSingleSignOnMode": _TEXT,
        "servicePrincipalNames": _TEXT,
        "servicePrincipalType": _NE,
        "tags": _TEXT,
        "owners": _NE,
    },
    "user": {
        "id": _NE,
        "accountEnabled": _NE,
        "assignedLicenses": _NE,
        "assignedPlans": _NE,
        "city": _TEXT,
        "companyName": _TEXT,
        "country": _TEXT,
        "createdDateTime": _TIME,
        "deletedDateTime": _TIME,
        "department": _TEXT,
        "displayName": _TEXT,
        "employeeId": _TEXT,
        "givenName": _TEXT,
        "identities": _EQ,
        "jobTitle": _TEXT,
        "mail": _ENDS,
        "mailNickname": _TEXT,
        "mobilePhone": _TEXT,
        "officeLocation": _TEXT,
        "onPremisesImmutableId": _NE,
        "onPremisesSyncEnabled": _NE,
        "otherMails": _ENDS,
        "postalCode": _TEXT,
        "preferredLanguage": _TEXT,
        "provisionedPlans": _NE,
        "proxyAddresses": _ENDS,
        "state": _TEXT,
        "streetAddress": _TEXT,
        "surname": _TEXT,
        "usageLocation": _TEXT,
        "userPrincipalName": _ENDS,
        "userType": _NE,
    },
    "group": {
        "id": _NE,
        "createdDateTime": _TIME,
        "description": _TEXT,
        "displayName": _TEXT,
        "groupTypes": _NE,
        "mail": _ENDS,
        "mailEnabled": _NE,
        "mailNickname": _TEXT,
        "proxyAddresses": _ENDS,
        "securityEnabled": _NE,
    },
    "oAuth2PermissionGrant": {
        "clientId": _EQ,
        "consentType": _EQ,
        "principalId": _EQ,
        "resourceId": _EQ,
        "scope": frozenset({"startswith", "eq"}),
    },
    "appRoleAssignment": {
        "principalDisplayName": frozenset({"eq", "startswith"}),
        "principalId": _EQ,
        "resourceId": _EQ,
        "appRoleId": _EQ,
    },
    "directoryRole": {"roleTemplateId": _EQ, "displayName": _EQ},
    "unifiedRoleAssignment": {"principalId": _EQ, "roleDefinitionId": _EQ, "directoryScopeId": _EQ},
    "unifiedRoleDefinition": {"id": _EQ, "displayName": _TEXT, "isBuiltIn": _EQ, "templateId": _EQ},
    "conditionalAccessPolicy": {
        "id": _EQ,
        "displayName": _TEXT,
        "state": _NE,
        "createdDateTime": _TIME,
        "modifiedDateTime": _TIME,
    },
    "namedLocation": {"id": _EQ, "displayName": _TEXT, "createdDateTime": _TIME, "modifiedDateTime": _TIME},
    "appManagementPolicy": {"id": _EQ, "displayName": _TEXT, "isEnabled": _EQ},
    "federatedIdentityCredential": {"name": _EQ, "issuer": _EQ, "subject": _EQ},
    "signIn": {
        "id": _EQ,
        "appDisplayName": _TEXT,
        "appId": _EQ,
        "clientAppUsed": _EQ,
        "conditionalAccessStatus": _EQ,
        "correlationId": _EQ,
        "createdDateTime": _TIME,
        "ipAddress": _TEXT,
        "resourceDisplayName": _EQ,
        "resourceId": _EQ,
        "status/errorCode": _EQ,
        "userDisplayName": _TEXT,
        "userId": _EQ,
        "userPrincipalName": _TEXT,
    },
    "delegatedAdminCustomer": {"displayName": _TEXT, "tenantId": _EQ},
    # The page says that it takes $filter and not by which property: these are what partners' scripts filter by.
    "delegatedAdminRelationship": {"status": _EQ, "customer/tenantId": _EQ, "displayName": _TEXT},
    "userRegistrationDetails": {
        "isMfaCapable": _EQ,
        "isMfaRegistered": _EQ,
        "isPasswordlessCapable": _EQ,
        "isSsprCapable": _EQ,
        "isSsprEnabled": _EQ,
        "isSsprRegistered": _EQ,
        "isSystemPreferredAuthenticationMethodEnabled": _EQ,
        "userDisplayName": _TEXT,
        "userPrincipalName": _TEXT,
    },
    "message": {
        "from/emailAddress/address": _ENDS,
        "hasAttachments": _NE,
        "importance": _NE,
        "internetMessageId": _NE,
        "isRead": _NE,
        "receivedDateTime": _TIME,
        "sentDateTime": _TIME,
        "createdDateTime": _TIME,
        "subject": _ENDS | {"contains"},
    },
}
FILTERS[schema.in_beta("signIn")] = {
    **FILTERS["signIn"],
    "originalRequestId": _EQ,
    "servicePrincipalId": _TEXT,
    "servicePrincipalName": _TEXT,
    "signInEventTypes": frozenset({"eq", "ne"}),
    "tokenIssuerName": _EQ,
    "userAgent": _TEXT,
}
ORDERABLE: dict[str, frozenset[str]] = {
    "application": frozenset({"createdDateTime", "displayName"}),
    "servicePrincipal": frozenset({"displayName"}),
    "user": frozenset({"createdDateTime", "displayName", "userPrincipalName"}),
    "group": frozenset({"createdDateTime", "displayName"}),
    "signIn": frozenset({"createdDateTime"}),
    schema.in_beta("signIn"): frozenset({"createdDateTime"}),
    "delegatedAdminCustomer": frozenset({"displayName"}),
    "delegatedAdminRelationship": frozenset({"status"}),
    "userRegistrationDetails": frozenset({"userDisplayName", "userPrincipalName"}),
    "message": frozenset({"receivedDateTime", "sentDateTime", "subject", "isRead"}),
}
SEARCHABLE = frozenset({"displayName", "description", "mail", "mailNickname", "userPrincipalName"})
_EXCHANGE_TYPES = frozenset(
    {
        "message",
        "signIn",
        schema.in_beta("signIn"),
        "conditionalAccessPolicy",
        "userRegistrationDetails",
        "delegatedAdminCustomer",
        "delegatedAdminRelationship",
        "namedLocation",
    }
)
"""Not in the directory: every operator works without ``ConsistencyLevel``."""


def check_filter(node: Node, type_name: str, options: QueryOptions) -> None:
    """Refuses a filter that Microsoft Graph would refuse for this type.

    Raises:
        GraphError: unknown property (BadRequest), or one without support for the operator (Request_UnsupportedQuery).
    """
    operands.check(node, type_name)
    advanced = options.advanced or type_name in _EXCHANGE_TYPES
    for operator, path in _uses(node):
        _check_exists(path, type_name)
        name = _supported_name(path, type_name)
        if name is None or operator not in FILTERS[type_name][name] | {"any", "all", "$count"}:
            raise errors.unsupported_filter(path[0], schema.graph_type(type_name).name)
        if operator in {"ne", "not", "endswith", "$count", "all"} and not advanced:
            raise errors.UnsupportedQuery("Unsupported Query.")


def _check_exists(path: tuple[str, ...], type_name: str) -> None:
    current = type_name
    for name in path:
        known = schema.graph_type(current)
        canonical = known.canonical(name)
        if canonical is None:
            raise errors.unknown_query_property(name, known.name, option="$filter")
        text = known.properties.get(canonical) or known.navigation[canonical]
        current, _, _ = schema.element(text)
        if not schema.is_structured(current):
            return


def _supported_name(path: tuple[str, ...], type_name: str) -> str | None:
    table = {name.lower(): name for name in FILTERS.get(type_name, {})}
    return table.get("/".join(path).lower()) or table.get(path[0].lower())


def _uses(node: Node, negated: bool = False) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every (operator, property path) of a tree; a lambda's body counts for its collection."""
    if isinstance(node, Logic):
        yield from _uses(node.left, negated)
        yield from _uses(node.right, negated)
    elif isinstance(node, Not):
        yield from _uses(node.operand, True)
    elif isinstance(node, Call):
        yield ("not" if negated else node.function), node.target.path
        yield node.function, node.target.path
    elif isinstance(node, Lambda):
        yield node.quantifier, node.collection.path
        for operator, path in _uses(node.body, negated) if node.body is not None else ():
            inner = path[1:] if path and path[0] == node.variable else path
            yield operator, (*node.collection.path, *inner)
    elif isinstance(node, Compare):
        yield from _compared(node, negated)
    elif isinstance(node, Property | Count | Literal):
        return


def _compared(node: Compare, negated: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The uses in a comparison, of which one side must be a property.

    OData accepts two constants, or the result of a comparison as an operand; the directory has no such query. Which
    sentence it says then was not found quoted: this is its general one.
    """
    operands = [node.left] if isinstance(node.right, tuple) else [node.left, node.right]
    known = [isinstance(operand, Property | Count) for operand in operands]
    if not any(known) or not all(isinstance(o, Property | Count | Literal) for o in operands):
        raise errors.UnsupportedQuery("Unsupported Query.")
    for operand in operands:
        if isinstance(operand, Count):
            yield "$count", operand.target.path
        elif isinstance(operand, Property):
            yield node.operator, operand.path
            if negated:
                yield "not", operand.path


def check_orderby(type_name: str, options: QueryOptions) -> None:
    """Refuses an ordering that Microsoft Graph would refuse for this type."""
    for name, _ in options.orderby:
        known = schema.graph_type(type_name)
        canonical = known.canonical(name.split("/")[0])
        if canonical is None:
            raise errors.unknown_query_property(name, known.name, option="$orderby")
        if canonical not in ORDERABLE.get(type_name, ()):
            raise errors.UnsupportedQuery("Sorting not supported for current query.")
    if options.orderby and options.filter and not options.advanced and type_name not in _EXCHANGE_TYPES:
        raise errors.UnsupportedQuery("Sorting not supported for current query.")


def search_terms(type_name: str, options: QueryOptions) -> list[tuple[str, str]]:
    """The (property, text) pairs of ``$search``, joined by AND.

    Raises:
        GraphError: no ``ConsistencyLevel``, not of the form ``"property:text"``, or a property without search.
    """
    if options.search is None:
        return []
    if not options.eventual:
        raise errors.UnsupportedQuery(
            "Request with $search query parameter only works through MSGraph with a special request header: "
            "'ConsistencyLevel: eventual'"
        )
    terms = []
    for part in options.search.split(" AND "):
        text = part.strip()
        if not (len(text) > 2 and text.startswith('"') and text.endswith('"') and ":" in text):
            raise errors.BadRequest('Syntax error: Search term must be of the form "property:value", in double quotes.')
        name, _, value = text[1:-1].partition(":")
        if name not in SEARCHABLE or schema.graph_type(type_name).canonical(name) is None:
            raise errors.UnsupportedQuery(f"Property '{name}' does not support $search.")
        terms.append((name, value.casefold()))
    return terms
