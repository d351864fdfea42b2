"""The package schema, made from the resource tables: the engine asks for it on ``pulumi import`` and from YAML
programs.

Owns: the tables in Pulumi's schema format. Does not own: the tables; descriptions are the real plugin's business.

Source: "Pulumi package schema" (Pulumi documentation).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from provision.standin.configuration import VARIABLES
from provision.standin.fields import Field, Kind, inputs
from provision.standin.lookups import LOOKUPS
from provision.standin.resources import RESOURCES
from provision.standin.wire import Value

_SCALARS = {Kind.STRING, Kind.BOOL, Kind.INT}


def package_schema(version: str) -> str:
    """The schema as JSON.

    Args:
        version: the version that the stand-in goes by.
    """
    types: dict[str, Value] = {}
    return json.dumps(
        {
            "name": "azuread",
            "version": version,
            "description": "The offline stand-in of the azuread plugin: against the local tenant only.",
            "config": {"variables": {item.name: _variable(item.flag, item.secret) for item in VARIABLES}},
            "provider": {"inputProperties": {item.name: _variable(item.flag, item.secret) for item in VARIABLES}},
            "resources": {token: _resource(token, resource.fields, types) for token, resource in RESOURCES.items()},
            "functions": {
                token: {
                    "inputs": {"properties": _properties(token, lookup.arguments, types)},
                    "outputs": {"properties": {}, "additionalProperties": {"$ref": "pulumi.json#/Any"}},
                }
                for token, lookup in LOOKUPS.items()
            },
            "types": types,
        }
    )


def _variable(flag: bool, secret: bool) -> Mapping[str, Value]:
    return {"type": "boolean" if flag else "string", **({"secret": True} if secret else {})}


def _resource(token: str, fields: tuple[Field, ...], types: dict[str, Value]) -> Mapping[str, Value]:
    settable = tuple(inputs(fields))
    return {
        "properties": _properties(token, fields, types),
        "required": [item.name for item in fields if item.required or item.computed or item.output],
        "inputProperties": _properties(token, settable, types),
        "requiredInputs": [item.name for item in settable if item.required],
    }


def _properties(token: str, fields: tuple[Field, ...], types: dict[str, Value]) -> dict[str, Value]:
    return {item.name: _property(token, item, types) for item in fields}


def _property(token: str, item: Field, types: dict[str, Value]) -> Mapping[str, Value]:
    extra = {
        **({"secret": True} if item.secret else {}),
        **({"willReplaceOnChanges": True} if item.replaces else {}),
        **({"default": item.default} if item.default and item.kind in _SCALARS else {}),
    }
    if item.kind in _SCALARS:
        return {"type": item.kind.value, **extra}
    if item.kind is Kind.MAP:
        return {"type": "object", "additionalProperties": {"type": "string"}, **extra}
    element = _object(token, item, types) if item.fields else {"type": "string"}
    return {**element, **extra} if item.kind is Kind.BLOCK else {"type": "array", "items": element, **extra}


def _object(token: str, item: Field, types: dict[str, Value]) -> Mapping[str, Value]:
    owner = token.rpartition(":")[2]
    name = f"{owner}{item.name[0].upper()}{item.name[1:]}"
    key = f"azuread:index/{name}:{name}"
    types[key] = {
        "type": "object",
        "properties": _properties(f"{token.rpartition(':')[0]}:{name}", item.fields, types),
        "required": [nested.name for nested in item.fields if nested.required],
    }
    return {"$ref": f"#/types/{key}"}
