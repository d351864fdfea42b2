"""What a resource's state will be once its inputs are applied, and how that differs from the state it has.

Owns: planned state (unknown where only Microsoft knows), the difference property by property, and the small print of
how the bridged plugin writes empty values into state.
Does not own: reading the tenant (``resources``).

Source of the behaviour: the real plugin's answers over gRPC for the same inputs (``tests/standin`` holds them).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from provision.standin.fields import Field, Kind
from provision.standin.wire import UNKNOWN, Value, contains_unknown

State = dict[str, Value]


class Change(Enum):
    """What happens to one property."""

    ADD = "ADD"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Difference:
    """A changed place in the state.

    ``path``: as Pulumi writes it, ``web.redirectUris[1]``. ``top``: the property it belongs to. ``replaces``: needs a
    new resource.
    """

    path: str
    change: Change
    top: str
    replaces: bool


def plan(fields: tuple[Field, ...], inputs: Mapping[str, Value], prior: State | None) -> State:
    """Works out the state after a create or an update.

    Args:
        fields: the resource's table.
        inputs: checked inputs, without lists of defaults.
        prior: the state now; None for a create.
    """
    planned = {
        item.name: _plan_one(item, inputs.get(item.name), None if prior is None else {"was": prior.get(item.name)})
        for item in fields
    }
    if prior is not None:
        for item in fields:
            if item.recomputed_with and _differs(
                _dig(prior, item.recomputed_with), _dig(planned, item.recomputed_with)
            ):
                planned[item.name] = UNKNOWN
    return planned


def differences(
    fields: tuple[Field, ...], inputs: Mapping[str, Value], prior: State, planned: State
) -> list[Difference]:
    """Compares two states; empty values are equal to missing ones, sets have no order."""
    return [
        Difference(path, change, item.name, item.replaces)
        for item in fields
        for path, change in _compare(item, item.name, prior.get(item.name), planned[item.name], inputs.get(item.name))
    ]


def settled(fields: tuple[Field, ...], planned: Mapping[str, Value], fresh: State) -> State:
    """State after a create or update: an empty collection that nobody asked for stays missing."""
    return {
        name: _settle(item, planned.get(name), fresh[name])
        for name, item in ((item.name, item) for item in fields)
        if name in fresh
    }


def tidy(fields: tuple[Field, ...], state: Mapping[str, Value]) -> State:
    """Puts the elements of sets into their one order."""
    return {item.name: _tidy_one(item, state[item.name]) for item in fields if item.name in state}


def insignificant(item: Field, value: Value) -> bool:
    """Whether a value says nothing beyond what is there anyway."""
    if item.kind is Kind.BLOCK and isinstance(value, dict):
        return all(
            insignificant(nested, value.get(nested.name)) or value.get(nested.name) == nested.default
            for nested in item.fields
        )
    return value is not UNKNOWN and not value


def _plan_one(item: Field, value: Value, prior: dict[str, Value] | None) -> Value:
    if value is not None and not (item.computed and value == []):
        return _canonical(item, value, prior)
    if item.output or item.computed:
        return UNKNOWN if prior is None else prior["was"]
    if item.default is not None:
        return item.default
    if prior is not None and insignificant(item, prior["was"]):
        return prior["was"]
    return [] if item.holds_blocks or (prior is not None and item.kind.is_collection) else None


def _canonical(item: Field, value: Value, prior: dict[str, Value] | None) -> Value:
    if value is UNKNOWN:
        return value
    if item.kind is Kind.BLOCK:
        return _block(item, value, prior["was"] if prior else None)
    if item.kind is Kind.LIST and item.fields:
        before = (prior["was"] if prior else None) or []
        return [
            element
            if element is UNKNOWN
            else _listed(item, element, before[index])
            if index < len(before)
            else _block(item, element, None)
            for index, element in enumerate(value)
        ]
    if item.kind is Kind.SET:
        return _ordered([_element(item, element) for element in value])
    return int(value) if item.kind is Kind.INT else value


def _block(item: Field, value: Mapping[str, Value], before: Mapping[str, Value] | None) -> State:
    return {
        nested.name: _plan_one(
            nested, value.get(nested.name), None if before is None else {"was": before.get(nested.name)}
        )
        for nested in item.fields
    }


def _listed(item: Field, value: Mapping[str, Value], before: Mapping[str, Value]) -> State:
    """An element that was there before; its collections are empty then, not missing."""
    planned = _block(item, value, before)
    empty: State = {
        nested.name: [] for nested in item.fields if nested.kind.is_collection and planned[nested.name] is None
    }
    return planned | empty


def _element(item: Field, value: Value) -> Value:
    if not item.fields or value is UNKNOWN:
        return value
    return {nested.name: _element_part(nested, value.get(nested.name)) for nested in item.fields}


def _element_part(nested: Field, value: Value) -> Value:
    if value is not None:
        return _canonical(nested, value, None)
    if nested.output or nested.computed:
        return UNKNOWN
    return nested.zero if nested.default is None else nested.default


def _ordered(elements: list[Value]) -> list[Value]:
    if contains_unknown(elements):
        return elements
    unique = {json.dumps(element, sort_keys=True): element for element in elements}
    return [unique[key] for key in sorted(unique)]


def _tidy_one(item: Field, value: Value) -> Value:
    if item.kind is Kind.BLOCK and isinstance(value, dict):
        return tidy(item.fields, value)
    if isinstance(value, list) and item.fields:
        value = [tidy(item.fields, element) for element in value]
    return _ordered(value) if item.kind is Kind.SET and isinstance(value, list) else value


def _settle(item: Field, planned: Value, fresh: Value) -> Value:
    if item.kind is Kind.BLOCK and isinstance(planned, dict) and isinstance(fresh, dict):
        return settled(item.fields, planned, fresh)
    if item.kind is Kind.LIST and item.fields and isinstance(planned, list):
        return [
            settled(item.fields, planned[index], element) if index < len(planned) else element
            for index, element in enumerate(fresh)
        ]
    return None if item.kind.is_collection and planned is None and fresh == [] else fresh


def _dig(state: Mapping[str, Value], path: str) -> Value:
    value: Value = state
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else value if value is UNKNOWN else None
    return value


def _differs(old: Value, new: Value) -> bool:
    return old is not new and (old or None) != (new or None)


def _compare(item: Field, path: str, old: Value, new: Value, given: Value) -> list[tuple[str, Change]]:
    if new is UNKNOWN:
        return [(path, Change.ADD if old is None else Change.UPDATE)]
    if insignificant(item, old) and insignificant(item, new):
        return []
    if item.kind is Kind.MAP:
        return _compare_maps(path, old or {}, new or {})
    if new is None or (item.kind.is_collection and not new):
        return [(path, Change.DELETE)]
    if item.kind is Kind.BLOCK:
        return [
            found
            for nested in item.fields
            for found in _compare(
                nested,
                f"{path}.{nested.name}",
                (old or {}).get(nested.name),
                new.get(nested.name),
                given.get(nested.name) if isinstance(given, dict) else None,
            )
        ]
    if item.kind.is_collection and not old:
        return [(path, Change.ADD)]
    if item.kind is Kind.SET:
        return _compare_sets(item, path, old, new, given)
    if item.kind is Kind.LIST:
        return _compare_lists(item, path, old, new)
    if old == new:
        return []
    return [(path, Change.ADD if old is None else Change.UPDATE)]


def _compare_maps(path: str, old: Mapping[str, Value], new: Mapping[str, Value]) -> list[tuple[str, Change]]:
    added = [(f"{path}.{name}", Change.ADD) for name in new if name not in old]
    changed = [(f"{path}.{name}", Change.UPDATE) for name in new if name in old and old[name] != new[name]]
    return added + changed + [(f"{path}.{name}", Change.DELETE) for name in old if name not in new]


def _compare_sets(item: Field, path: str, old: list[Value], new: list[Value], given: Value) -> list[tuple[str, Change]]:
    as_written = given if isinstance(given, list) and len(given) == len(new) else new
    places = {_key(element): index for index, element in enumerate(as_written)}
    before = {_key(element) for element in old}
    after = {_key(element) for element in new}
    added = {
        places.get(_key(element), index): element for index, element in enumerate(new) if _key(element) not in before
    }
    gone = {index: element for index, element in enumerate(old) if _key(element) not in after}
    found: list[tuple[str, Change]] = []
    for index in sorted({*added, *gone}):
        place = f"{path}[{index}]"
        if index in added and index in gone:
            found += _compare(_element_of(item), place, gone[index], added[index], None)
        else:
            found.append((place, Change.ADD if index in added else Change.DELETE))
    return found


def _compare_lists(item: Field, path: str, old: list[Value], new: list[Value]) -> list[tuple[str, Change]]:
    found: list[tuple[str, Change]] = []
    for index, value in enumerate(new):
        if index < len(old):
            found += _compare(_element_of(item), f"{path}[{index}]", old[index], value, None)
        else:
            found.append((f"{path}[{index}]", Change.ADD))
    return found + [(f"{path}[{index}]", Change.DELETE) for index in range(len(new), len(old))]


def _element_of(item: Field) -> Field:
    return Field(name=item.name, kind=Kind.BLOCK, fields=item.fields) if item.fields else Field(name=item.name)


def _key(element: Value) -> str:
    return "?" if contains_unknown(element) else json.dumps(element, sort_keys=True)
