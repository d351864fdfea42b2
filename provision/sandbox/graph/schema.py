"""Which properties each Graph type has, and whether a request body is one of it.

Owns: the types, enumerations and operations (``schema.json``: property -> type, ``!`` = not nullable, ``[x]`` =
collection; navigation properties apart), who may write what, lengths, and the check of a body.
Does not own: rules between values (the resource modules), the types as ``$metadata`` shows them (``csdl``).

``schema.json`` follows Microsoft Graph's published v1.0 metadata (microsoftgraph/msgraph-metadata, snapshot 2026-08-20;
the mail types, which that snapshot lacks, follow "message resource type"). A test holds it against the models of
msgraph-sdk, which Microsoft generates from the same metadata, in both directions.
Property names are matched without letter case, as the service does.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache, cached_property
from importlib import resources
from typing import Any

from provision.sandbox.directory import Document
from provision.sandbox.graph import errors


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


READ_ONLY: dict[str, frozenset[str]] = {
    "application": _names(
        "id appId applicationTemplateId certification createdByAppId createdDateTime deletedDateTime"
        " disabledByMicrosoftStatus publisherDomain verifiedPublisher"
    ),
    "servicePrincipal": _names(
        "id appDescription appDisplayName appOwnerOrganizationId applicationTemplateId createdByAppId deletedDateTime"
        " disabledByMicrosoftStatus resourceSpecificApplicationPermissions signInAudience verifiedPublisher"
    ),
    "user": _names(
        "id assignedLicenses assignedPlans createdDateTime creationType deletedDateTime externalUserState"
        " externalUserStateChangeDateTime imAddresses isManagementRestricted lastPasswordChangeDateTime"
        " licenseAssignmentStates mailboxSettings onPremisesDistinguishedName onPremisesDomainName"
        " onPremisesLastSyncDateTime onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled"
        " onPremisesUserPrincipalName provisionedPlans proxyAddresses securityIdentifier serviceProvisioningErrors"
        " signInActivity signInSessionsValidFromDateTime"
    ),
    "group": _names(
        "id assignedLicenses createdDateTime deletedDateTime expirationDateTime licenseProcessingState mail"
        " onPremisesDomainName onPremisesLastSyncDateTime onPremisesSecurityIdentifier onPremisesSyncEnabled"
        " proxyAddresses renewedDateTime securityIdentifier serviceProvisioningErrors"
    ),
    "oAuth2PermissionGrant": frozenset({"id"}),
    "appRoleAssignment": _names(
        "id createdDateTime deletedDateTime principalDisplayName principalType resourceDisplayName"
    ),
    "directoryRole": frozenset({"id", "deletedDateTime", "description", "displayName"}),
    "unifiedRoleAssignment": frozenset({"id", "principalOrganizationId"}),
    "federatedIdentityCredential": frozenset({"id"}),
    "identitySecurityDefaultsEnforcementPolicy": frozenset({"id", "deletedDateTime", "description", "displayName"}),
    "tenantAppManagementPolicy": frozenset({"id", "deletedDateTime"}),
    "appManagementPolicy": frozenset({"id", "deletedDateTime"}),
    "authorizationPolicy": frozenset({"id", "deletedDateTime"}),
    "conditionalAccessPolicy": frozenset({"id", "createdDateTime", "deletedDateTime", "modifiedDateTime"}),
    "message": frozenset({"id", "bodyPreview", "hasAttachments", "uniqueBody", "webLink"}),
}
"""Set by the service alone; null is taken as "not given", which is what generated clients send."""

CREATE_ONLY: dict[str, frozenset[str]] = {
    "application": frozenset({"uniqueName"}),
    "servicePrincipal": frozenset({"appId"}),
    "oAuth2PermissionGrant": frozenset({"clientId", "consentType", "principalId", "resourceId"}),
    "directoryRole": frozenset({"roleTemplateId"}),
    "group": frozenset({"isAssignableToRole"}),
    "federatedIdentityCredential": frozenset({"name"}),
}
"""Set at creation and never changed; sending the same value again is accepted by the resource modules."""

MAX_LENGTH: dict[tuple[str, str], int] = {
    ("application", "displayName"): 120,
    ("application", "description"): 1024,
    ("application", "uniqueName"): 128,
    ("servicePrincipal", "displayName"): 256,
    ("servicePrincipal", "description"): 1024,
    ("servicePrincipal", "notes"): 1024,
    ("user", "displayName"): 256,
    ("user", "userPrincipalName"): 113,
    ("user", "mailNickname"): 64,
    ("user", "givenName"): 64,
    ("user", "surname"): 64,
    ("user", "jobTitle"): 128,
    ("user", "department"): 64,
    ("group", "displayName"): 256,
    ("group", "mailNickname"): 64,
    ("oAuth2PermissionGrant", "scope"): 8000,
    ("federatedIdentityCredential", "name"): 120,
    ("federatedIdentityCredential", "issuer"): 600,
    ("federatedIdentityCredential", "subject"): 600,
    ("federatedIdentityCredential", "description"): 600,
    ("passwordCredential", "displayName"): 256,
}
"""Characters; from the resource pages and "Supported accounts validation" (application display name)."""


BETA: dict[str, dict[str, str]] = {
    "signIn": {
        "authenticationProtocol": "String",
        "clientCredentialType": "String",
        "crossTenantAccessType": "String",
        "federatedCredentialId": "String",
        "flaggedForReview": "Boolean",
        "isTenantRestricted": "Boolean",
        "originalRequestId": "String",
        "processingTimeInMilliseconds": "Int32",
        "resourceServicePrincipalId": "String",
        "servicePrincipalCredentialKeyId": "String",
        "servicePrincipalCredentialThumbprint": "String",
        "signInEventTypes": "[String]",
        "signInIdentifier": "String",
        "tokenIssuerName": "String",
        "tokenIssuerType": "String",
        "userType": "String",
    },
}
"""What beta has besides, of the types that the local tenant shows there (their pages in the beta reference)."""
_BETA_MARK = "@beta"

_NUL = "\0"
"""Valid in JSON, in no string of the directory. Which sentence Microsoft has for it was not found; this one names the
property, as it does for every value of the right type that the directory does not accept."""


@dataclass(frozen=True)
class GraphType:
    """One entity or complex type with everything it inherits."""

    name: str
    properties: dict[str, str]
    navigation: dict[str, str]
    ancestors: tuple[str, ...]

    def canonical(self, name: str) -> str | None:
        """The property or navigation property with this name, letter case ignored."""
        return self._canonical_names.get(name.lower())

    @cached_property
    def _canonical_names(self) -> dict[str, str]:
        return {p.lower(): p for p in (*self.properties, *self.navigation)}


@cache
def _data() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("schema.json").read_text("utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


@cache
def graph_type(name: str) -> GraphType:
    """A type by name, or by ``in_beta`` of it; KeyError when the local tenant does not know it."""
    if name.endswith(_BETA_MARK):
        known = graph_type(name.removesuffix(_BETA_MARK))
        return replace(known, properties={**known.properties, **BETA[known.name]})
    row = _data()["types"][name]
    base = graph_type(row["base"]) if "base" in row else None
    return GraphType(
        name,
        {**(base.properties if base else {}), **row["properties"]},
        {**(base.navigation if base else {}), **row.get("navigation", {})},
        (*base.ancestors, base.name) if base else (),
    )


def in_beta(name: str) -> str:
    """What ``graph_type`` calls the form that beta has of a type."""
    return name + _BETA_MARK


def type_names() -> list[str]:
    """Every type the local tenant knows."""
    return sorted(_data()["types"])


def declaration(name: str) -> Document:
    """A type as ``schema.json`` declares it, without what it inherits."""
    row: Document = _data()["types"][name]
    return row


def enumerations() -> dict[str, dict[str, int]]:
    """The members of each enumeration with their values."""
    known: dict[str, dict[str, int]] = _data()["enums"]
    return known


def is_flags(name: str) -> bool:
    """Whether several members of an enumeration can be given at once."""
    return name in _data()["flags"]


@dataclass(frozen=True)
class Operation:
    """An action or function of the service."""

    name: str
    on: tuple[str, ...]
    """The type texts that it is bound to."""
    parameters: dict[str, str]
    """Name -> type text."""
    returns: str | None
    """A type text; ``same`` is what it is bound to."""
    is_function: bool


@cache
def operations() -> dict[str, Operation]:
    """Every action and function that the local tenant knows, by name."""
    return {
        name: Operation(name, tuple(row["on"]), row["parameters"], row.get("returns"), row.get("function", False))
        for name, row in _data()["operations"].items()
    }


def element(type_text: str) -> tuple[str, bool, bool]:
    """A type text's parts: the type's name, whether it is a collection, whether null is allowed."""
    nullable = not type_text.endswith("!")
    text = type_text.rstrip("!")
    return (text[1:-1], True, nullable) if text.startswith("[") else (text, False, nullable)


def is_structured(name: str) -> bool:
    """Whether a type name is an entity or complex type of the schema (not a primitive or an enumeration)."""
    return name.removesuffix(_BETA_MARK) in _data()["types"]


@dataclass
class Payload:
    """A checked body."""

    values: Document
    """Properties under their canonical names, annotations removed."""
    binds: dict[str, list[str]] = field(default_factory=dict)
    """``owners@odata.bind`` and the like: navigation property -> references."""

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def get(self, name: str) -> Any:
        """The value that was sent, or None."""
        return self.values.get(name)


def check(type_name: str, body: Any, *, create: bool, binds: tuple[str, ...] = ()) -> Payload:
    """The body as a payload of the type.

    Args:
        type_name: the entity type, for example ``application``.
        body: the decoded JSON.
        create: False for PATCH, where only-at-creation properties are refused unless null.
        binds: the navigation properties that the operation takes with ``@odata.bind``.

    Raises:
        GraphError: not an object, an unknown property, a wrong type, a read-only property, too long.
    """
    if not isinstance(body, dict):
        raise errors.unreadable_json()
    payload = Payload({})
    known = graph_type(type_name)
    _check_annotation(known, body)
    for sent, value in body.items():
        name, _, annotation = sent.partition("@odata.")
        if annotation:
            if annotation == "bind":
                payload.binds[_bindable(known, name, binds)] = _references(value, sent)
            continue
        canonical = known.canonical(sent)
        if canonical is None or canonical in known.navigation:
            raise errors.unknown_property(sent, type_name)
        if canonical in payload.values:
            raise errors.duplicate_property(canonical)
        if canonical in READ_ONLY.get(type_name, ()):
            if value in (None, [], {}):
                continue
            raise errors.read_only(canonical)
        if not create and canonical in CREATE_ONLY.get(type_name, ()) and value is None:
            continue
        payload.values[canonical] = _checked(value, known.properties[canonical], canonical, type_name)
    return payload


def _bindable(known: GraphType, name: str, binds: tuple[str, ...]) -> str:
    canonical = known.canonical(name)
    if canonical is None or canonical not in binds:
        raise errors.unknown_property(f"{name}@odata.bind", known.name)
    return canonical


def _references(value: Any, name: str) -> list[str]:
    rows = [value] if isinstance(value, str) else value
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows):
        raise errors.schema_mismatch(name)
    return rows


def check_parameters(body: Any, operation: str) -> Document:
    """An action's body against the action's parameters; absent ones are absent in the result.

    Raises:
        GraphError: unknown parameter or wrong type.
    """
    parameters = operations()[operation].parameters
    if not isinstance(body, dict):
        raise errors.unreadable_json()
    names = {name.lower(): name for name in parameters}
    result: Document = {}
    for sent, value in body.items():
        if "@odata." in sent:
            continue
        canonical = names.get(sent.lower())
        if canonical is None:
            raise errors.BadRequest(
                f"The parameter '{sent}' in the request payload is not a valid parameter for the operation."
            )
        result[canonical] = _checked(value, parameters[canonical], canonical, canonical)
    return result


def _check_annotation(known: GraphType, body: dict[str, Any]) -> None:
    declared = body.get("@odata.type")
    if declared is None:
        return
    name = str(declared).removeprefix("#").removeprefix("microsoft.graph.")
    if name.lower() == known.name.lower():
        return
    if is_structured(name) and known.name in graph_type(name).ancestors:
        return
    raise errors.BadRequest(
        f"A type named '{declared}' could not be resolved by the model. "
        "When a model is available, each type name must resolve to a valid type."
    )


def _checked(value: Any, type_text: str, name: str, owner: str) -> Any:
    element_type, collection, nullable = element(type_text)
    if value is None:
        if not nullable and not collection and not is_structured(element_type):
            raise errors.schema_mismatch(name)
        return [] if collection else None
    if collection:
        if not isinstance(value, list):
            raise errors.schema_mismatch(name)
        return [_one(item, element_type, name, owner) for item in value]
    return _one(value, element_type, name, owner)


def _one(value: Any, element_type: str, name: str, owner: str) -> Any:
    if is_structured(element_type):
        return _structured(value, element_type, name)
    if element_type in _PRIMITIVES:
        if not _PRIMITIVES[element_type](value):
            raise errors.schema_mismatch(name)
        limit = MAX_LENGTH.get((owner, name))
        if (limit is not None and len(value) > limit) or (isinstance(value, str) and _NUL in value):
            raise errors.invalid_value(name, owner[0].upper() + owner[1:])
        return value
    return _enumerated(value, element_type, name)


def _structured(value: Any, type_name: str, name: str) -> Document:
    if not isinstance(value, dict):
        raise errors.schema_mismatch(name)
    declared = str(value.get("@odata.type", "")).removeprefix("#").removeprefix("microsoft.graph.")
    if declared and is_structured(declared) and type_name in graph_type(declared).ancestors:
        type_name = declared
    known = graph_type(type_name)
    result: Document = {}
    for sent, inner in value.items():
        if "@odata." in sent:
            continue
        canonical = known.canonical(sent)
        if canonical is None:
            raise errors.unknown_property(sent, type_name)
        if canonical in result:
            raise errors.duplicate_property(canonical)
        text = known.properties.get(canonical) or known.navigation[canonical]
        result[canonical] = inner if canonical in known.navigation else _checked(inner, text, canonical, type_name)
    return result


def _enumerated(value: Any, name: str, property_name: str) -> str:
    """An enumeration member under its canonical spelling; flags may be joined with commas."""
    members = {member.lower(): member for member in enumerations().get(name, ())}
    if not isinstance(value, str):
        raise errors.schema_mismatch(property_name)
    given = value.split(",") if is_flags(name) else [value]
    parts = [members.get(part.strip().lower()) for part in given]
    if any(part is None for part in parts):
        raise errors.invalid_value(property_name, name[0].upper() + name[1:])
    return ",".join(str(part) for part in parts)


def is_guid(value: Any) -> bool:
    """Whether a value is a GUID in its 36-character form."""
    if not isinstance(value, str) or len(value) != 36:
        return False
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def parse_time(value: str) -> datetime:
    """A Graph date-time; ValueError when it is not one or lacks its offset."""
    parsed = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value).replace("Z", "+00:00"))
    if parsed.tzinfo is None:
        raise ValueError(value)
    return parsed


def _is_time(value: Any) -> bool:
    try:
        parse_time(value)
    except (ValueError, TypeError):
        return False
    return True


def _is_binary(value: Any) -> bool:
    """Base64 in either alphabet; white space does not count (the Azure CLI sends a PEM body with its line breaks)."""
    if not isinstance(value, str):
        return False
    try:
        plain = "".join(value.split()).replace("-", "+").replace("_", "/")
        base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_DURATION = re.compile(r"-?P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")

_PRIMITIVES: dict[str, Callable[[Any], bool]] = {
    "String": _is_text,
    "Boolean": lambda value: isinstance(value, bool),
    "Int32": _is_int,
    "Int64": _is_number,
    "Double": _is_number,
    "Guid": is_guid,
    "DateTimeOffset": _is_time,
    "Date": _is_text,
    "TimeOfDay": _is_text,
    "Duration": lambda value: isinstance(value, str) and _DURATION.fullmatch(value) is not None,
    "Binary": _is_binary,
    "Stream": _is_text,
}
