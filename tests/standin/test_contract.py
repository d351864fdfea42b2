"""The pulumi-azuread package is the contract: every property it has, the stand-in has, with the same kind."""

from __future__ import annotations

import importlib
import json
import typing
from collections.abc import Mapping, Sequence

import pulumi._types as pulumi_types
import pytest

from provision.standin.fields import Field, Kind, inputs
from provision.standin.lookups import LOOKUPS
from provision.standin.resources import RESOURCES
from provision.standin.schema import package_schema

SCALARS = {str: Kind.STRING, bool: Kind.BOOL, int: Kind.INT}


def module_and_class(token: str) -> tuple[typing.Any, str]:
    name = token.rpartition(":")[2]
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    return importlib.import_module(f"pulumi_azuread.{snake}"), name


def assert_same_kind(path: str, field: Field, described: typing.Any) -> None:
    origin = typing.get_origin(described)
    if origin in {Sequence, list} or (isinstance(origin, type) and issubclass(origin, Sequence)):
        assert field.kind in {Kind.LIST, Kind.SET}, path
        element = pulumi_types.unwrap_type(typing.get_args(described)[0])
        assert bool(field.fields) == (element is not str), path
        if field.fields:
            assert_same_properties(path, field.fields, pulumi_types.input_type_types(element))
    elif origin is not None and issubclass(origin, Mapping):
        assert field.kind is Kind.MAP, path
    elif described in SCALARS:
        assert field.kind is SCALARS[described], path
    else:
        assert field.kind is Kind.BLOCK, path
        assert_same_properties(path, field.fields, pulumi_types.input_type_types(described))


def assert_same_properties(path: str, fields: Sequence[Field], described: Mapping[str, typing.Any]) -> None:
    by_name = {field.name: field for field in fields}
    assert set(by_name) == set(described), path
    for name, kind in described.items():
        assert_same_kind(f"{path}.{name}", by_name[name], kind)


@pytest.mark.parametrize("token", RESOURCES)
def test_every_property_of_the_class_is_in_the_table(token: str) -> None:
    module, name = module_and_class(token)
    fields = RESOURCES[token].fields
    settable = pulumi_types.input_type_types(getattr(module, f"{name}InitArgs", None) or getattr(module, f"{name}Args"))
    assert_same_properties(name, fields, pulumi_types.input_type_types(getattr(module, f"_{name}State")))
    assert {field.name for field in inputs(fields)} == set(settable)


@pytest.mark.parametrize("token", RESOURCES)
def test_the_token_is_the_class_s_own(token: str) -> None:
    module, name = module_and_class(token)
    assert getattr(module, name).pulumi_type == token


@pytest.mark.parametrize("token", [token for token in LOOKUPS if LOOKUPS[token].arguments])
def test_every_argument_of_a_lookup_is_in_the_table(token: str) -> None:
    module, name = module_and_class(token)
    snake = module.__name__.rpartition(".")[2]
    parameters = set(typing.get_type_hints(getattr(module, snake))) - {"opts", "return"}
    words = {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in item.name)
        for item in LOOKUPS[token].arguments
    }
    assert words == parameters, name


def test_every_refused_property_says_why() -> None:
    """A property is honoured or refused in a sentence; there is nothing between the two."""

    def walk(fields: Sequence[Field]) -> typing.Iterator[Field]:
        for field in fields:
            yield field
            yield from walk(field.fields)

    refused = {field.name: field.cannot for item in RESOURCES.values() for field in walk(item.fields) if field.cannot}
    assert set(refused) == {"logoImage", "password", "templateId", "endDateRelative"}
    assert all(len(words) > 20 for words in refused.values())


def test_the_published_schema_refers_to_nothing_that_is_missing() -> None:
    schema = json.loads(package_schema("6.0.0"))
    assert set(schema["resources"]) == set(RESOURCES)
    text = json.dumps(schema)
    for key in schema["types"]:
        assert f'"#/types/{key}"' in text
    assert all(
        f'"{part}"' in json.dumps(list(schema["types"]))
        for part in {piece.split('"')[0] for piece in text.split('"#/types/')[1:]}
    )
