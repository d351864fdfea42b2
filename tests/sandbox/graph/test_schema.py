"""The local tenant's property table against an oracle of its own: the models Microsoft generates for msgraph-sdk."""

from __future__ import annotations

import re
from pathlib import Path

import msgraph.generated.models as models
import pytest

from provision.sandbox.graph import navigation, policies, schema, shapes
from provision.sandbox.graph.odata import support
from provision.sandbox.graph.schema import CREATE_ONLY, MAX_LENGTH, READ_ONLY

_MODELS = Path(models.__path__[0])


def _sdk_names(type_name: str) -> set[str]:
    """The property names of the SDK's model of a type (its own, not the inherited ones)."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type_name)
    source = (_MODELS / f"{snake.lower()}.py").read_text()
    body = source.split("def get_field_deserializers")[1].split("def serialize")[0]
    return set(re.findall(r'"([\w.]+)": lambda n', body))


@pytest.mark.parametrize("type_name", schema.type_names())
def test_a_type_has_exactly_the_properties_of_the_sdk_model(type_name):
    row = schema._data()["types"][type_name]
    assert set(row["properties"]) | set(row.get("navigation", ())) == _sdk_names(type_name)


@pytest.mark.parametrize(
    "table",
    [READ_ONLY, CREATE_ONLY, support.FILTERS, support.ORDERABLE],
    ids=["read-only", "create", "filter", "order"],
)
def test_the_tables_name_only_properties_that_exist(table):
    for type_name, names in table.items():
        for name in names:
            assert schema.graph_type(type_name).canonical(name.split("/")[0]) == name.split("/")[0], (type_name, name)


def test_lengths_are_of_existing_properties():
    for type_name, name in MAX_LENGTH:
        assert schema.graph_type(type_name).properties[name] in ("String", "String!")


def test_the_enumerations_agree_with_the_sdk():
    for name, members in schema._data()["enums"].items():
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        source = (_MODELS / f"{snake}.py").read_text()
        known = set(re.findall(r'= "([^"]+)"', source)) - {"unknownFutureValue"}
        assert set(members) <= known, name


@pytest.mark.parametrize(
    ("type_name", "shape"),
    [
        ("application", shapes.APPLICATION),
        ("servicePrincipal", shapes.SERVICE_PRINCIPAL),
        ("user", shapes.USER),
        ("group", shapes.GROUP),
    ],
)
def test_a_new_object_shows_only_properties_of_its_type(type_name, shape):
    beyond = {name for name in shape if not name.startswith("_")} - set(schema.graph_type(type_name).properties)
    # Graph v1.0 returns createdDateTime of service principals and creationOptions of groups, outside of its metadata.
    assert beyond <= {"createdDateTime", "creationOptions"}


def test_navigation_leads_only_where_the_types_say():
    for type_name, steps in navigation.FOLLOW.items():
        assert set(steps) <= set(schema.graph_type(type_name).navigation)


def test_every_entity_set_is_of_a_known_type():
    for type_name in navigation.COLLECTION:
        assert schema.graph_type(type_name).name == type_name
    assert policies.list_applies_to
