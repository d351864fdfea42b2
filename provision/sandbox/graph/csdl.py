"""``$metadata``: what the local tenant serves, as the XML from which OData clients are generated.

Owns: the document. Does not own: the types and operations (``schema``, which checks bodies by the same table) or which
paths there are (``routes``): a navigation property, an operation or an entity set is declared when a route or an
``$expand`` reaches it, and only then.
Sources: OData CSDL XML 4.01; the layout, the facets and the entity container are those of Microsoft Graph's own
document (microsoftgraph/msgraph-metadata, ``schemas/v1.0-Prod.csdl``, snapshot 2026-08-20).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from xml.sax.saxutils import quoteattr

from provision.sandbox.graph import navigation, routes, schema

_SETS = {
    "applications": "application",
    "directoryObjects": "directoryObject",
    "directoryRoles": "directoryRole",
    "directoryRoleTemplates": "directoryRoleTemplate",
    "domains": "domain",
    "groups": "group",
    "oauth2PermissionGrants": "oAuth2PermissionGrant",
    "organization": "organization",
    "servicePrincipals": "servicePrincipal",
    "subscribedSkus": "subscribedSku",
    "users": "user",
}
_SINGLETONS = {
    "auditLogs": "auditLogRoot",
    "directory": "directory",
    "identity": "identityContainer",
    "me": "user",
    "policies": "policyRoot",
    "reports": "reportRoot",
    "roleManagement": "roleManagement",
    "tenantRelationships": "tenantRelationship",
}


@dataclass
class _Served:
    """What the routes reach."""

    roots: set[str] = field(default_factory=set)
    navigation: set[tuple[str, str]] = field(default_factory=set)
    """Declaring type and navigation property."""
    operations: set[tuple[str, str]] = field(default_factory=set)
    """Type text that an operation is bound to, and its name."""


@cache
def document() -> str:
    """The metadata document; the same for v1.0 and beta, whose few properties more are not declared."""
    served = _served()
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">',
        "<edmx:DataServices>",
        '<Schema Namespace="microsoft.graph" Alias="graph" xmlns="http://docs.oasis-open.org/odata/ns/edm">',
        *_enumerations(),
        *(line for name in schema.type_names() for line in _type(name, served)),
        *_operations(served),
        *_container(served),
        "</Schema>",
        "</edmx:DataServices>",
        "</edmx:Edmx>",
    ]
    return "\n".join(lines) + "\n"


def _served() -> _Served:
    served = _Served()
    for route in (route for route in routes.ROUTES if not route.beta):
        _walk(route.segments, served)
    for type_name, steps in navigation.FOLLOW.items():
        served.navigation |= {(_declaring(type_name, name), name) for name in steps}
    return served


def _walk(segments: tuple[str, ...], served: _Served) -> None:
    """Follows a route from its entity set or singleton; KeyError for a segment that the schema does not explain."""
    root, *rest = segments
    served.roots.add(root)
    current = f"[{_SETS[root]}]" if root in _SETS else _SINGLETONS[root]
    for segment in rest:
        name, is_collection, _ = schema.element(current)
        if segment in {"$ref", "$count", "$value"}:
            continue
        if segment.startswith("{"):
            current = name
        elif segment.startswith("microsoft.graph."):
            cast = schema.graph_type(segment.removeprefix("microsoft.graph.")).name
            current = f"[{cast}]" if is_collection else cast
        elif segment in schema.operations():
            served.operations.add((_bound(segment, current), segment))
        else:
            served.navigation.add((_declaring(name, segment), segment))
            current = schema.graph_type(name).navigation[segment]


def _bound(operation: str, current: str) -> str:
    """The type text of an operation's binding that fits what it is called on."""
    name, is_collection, _ = schema.element(current)
    for text in schema.operations()[operation].on:
        wanted, on_collection, _ = schema.element(text)
        if on_collection == is_collection and wanted in (name, *schema.graph_type(name).ancestors):
            return text
    raise KeyError(f"{operation} is not bound to {current}")


def _declaring(type_name: str, prop: str) -> str:
    """The type in a chain of bases that declares a navigation property."""
    while prop not in schema.declaration(type_name).get("navigation", {}):
        type_name = schema.declaration(type_name)["base"]
    return type_name


def _element(name: str, attributes: dict[str, str | None], children: list[str] | None = None) -> list[str]:
    text = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if value is not None)
    return [f"<{name}{text}>", *children, f"</{name}>"] if children else [f"<{name}{text}/>"]


def _reference(text: str) -> str:
    """A type text as CSDL writes it."""
    name, is_collection, _ = schema.element(text)
    known = schema.is_structured(name) or name in schema.enumerations()
    full = f"graph.{name}" if known else f"Edm.{name}"
    return f"Collection({full})" if is_collection else full


def _nullable(text: str) -> str | None:
    return "false" if text.endswith("!") else None


def _enumerations() -> Iterator[str]:
    for name, members in sorted(schema.enumerations().items()):
        rows = [line for m, value in members.items() for line in _element("Member", {"Name": m, "Value": str(value)})]
        yield from _element("EnumType", {"Name": name, "IsFlags": "true" if schema.is_flags(name) else None}, rows)


def _type(name: str, served: _Served) -> list[str]:
    row = schema.declaration(name)
    known = schema.graph_type(name)
    entity = not row.get("complex") and any(schema.declaration(n).get("entity") for n in (name, *known.ancestors))
    base = None if row.get("complex") else row.get("base")
    own = row["properties"] if base else known.properties
    lines: list[str] = []
    if entity and "id" in own:
        lines += _element("Key", {}, _element("PropertyRef", {"Name": "id"}))
    for prop, text in own.items():
        lines += _element("Property", {"Name": prop, "Type": _reference(text), "Nullable": _nullable(text)})
    for prop, text in row.get("navigation", {}).items():
        if (name, prop) in served.navigation:
            contains = "true" if prop in row.get("contained", ()) else None
            attributes = {"Name": prop, "Type": _reference(text), "ContainsTarget": contains}
            lines += _element("NavigationProperty", attributes)
    facets = {"Abstract": "abstract", "OpenType": "open", "HasStream": "stream"}
    attributes = {
        "Name": name,
        "BaseType": f"graph.{base}" if base else None,
        **{facet: "true" if row.get(key) else None for facet, key in facets.items()},
    }
    return _element("EntityType" if entity else "ComplexType", attributes, lines)


def _operations(served: _Served) -> Iterator[str]:
    for bound, name in sorted(served.operations, key=lambda pair: (pair[1], pair[0])):
        operation = schema.operations()[name]
        binding = bound if operation.is_function else f"{bound}!"
        parameters = {"bindingParameter": binding, **operation.parameters}
        rows = [
            line
            for parameter, text in parameters.items()
            for line in _element(
                "Parameter", {"Name": parameter, "Type": _reference(text), "Nullable": _nullable(text)}
            )
        ]
        if operation.returns:
            text = bound if operation.returns == "same" else operation.returns
            rows += _element("ReturnType", {"Type": _reference(text), "Nullable": _nullable(text)})
        kind = "Function" if operation.is_function else "Action"
        yield from _element(kind, {"Name": name, "IsBound": "true"}, rows)


def _container(served: _Served) -> list[str]:
    rows: list[str] = []
    for name in sorted(served.roots):
        type_name = _SETS.get(name) or _SINGLETONS[name]
        bindings = [
            line
            for prop, target in _bindings(type_name, served)
            for line in _element("NavigationPropertyBinding", {"Path": prop, "Target": target})
        ]
        if name in _SETS:
            rows += _element("EntitySet", {"Name": name, "EntityType": f"microsoft.graph.{type_name}"}, bindings)
        else:
            rows += _element("Singleton", {"Name": name, "Type": f"microsoft.graph.{type_name}"}, bindings)
    return _element("EntityContainer", {"Name": "GraphService"}, rows)


def _bindings(type_name: str, served: _Served) -> Iterator[tuple[str, str]]:
    """The entity sets in which the objects are that a type's navigation properties lead to."""
    known = schema.graph_type(type_name)
    for prop, text in sorted(known.navigation.items()):
        declaring = _declaring(type_name, prop)
        if (declaring, prop) not in served.navigation or prop in schema.declaration(declaring).get("contained", ()):
            continue
        target = navigation.COLLECTION.get(schema.element(text)[0])
        if target is not None and target.partition("/")[0] in served.roots:
            yield prop, target
