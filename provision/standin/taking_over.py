"""Inputs worked out from state: what a program would have had to set to get what the tenant holds.

Owns: the inputs that ``Read`` gives back on an import (all that says something) and on a refresh (those that were set).
Does not own: reading the tenant (``resources``).

Source of the behaviour: pulumi-terraform-bridge, ``extractInputsFromOutputs``, and its answers over gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping

from provision.standin.checking import DEFAULTS
from provision.standin.fields import Field, Kind, inputs
from provision.standin.planning import State
from provision.standin.wire import Value


def imported_inputs(fields: tuple[Field, ...], state: State) -> dict[str, Value]:
    """Inputs for a resource that no program has described yet; of conflicting ones the first by name."""
    result: dict[str, Value] = {DEFAULTS: []}
    for item in sorted(inputs(fields), key=lambda item: item.name):
        value = _said(item, state.get(item.name))
        if value is not None and not any(other in result for other in item.conflicts):
            result[item.name] = value
    return result


def refreshed_inputs(fields: tuple[Field, ...], old: Mapping[str, Value], state: State) -> dict[str, Value]:
    """The old inputs, each with the value that the tenant holds now."""
    by_name = {item.name: item for item in fields}
    result: dict[str, Value] = {}
    for name, value in old.items():
        if name == DEFAULTS:
            result[name] = value
        elif name in by_name and state.get(name) is not None:
            result[name] = _refreshed(by_name[name], value, state[name])
    return result


def _said(item: Field, value: Value) -> Value:
    if value is None or value == item.default or item.secret:
        return None
    if item.kind is Kind.BLOCK:
        inner = imported_inputs(item.fields, value)
        return inner if len(inner) > 1 else None
    if item.holds_blocks:
        return [imported_inputs(item.fields, element) for element in value] or None
    return value or None


def _refreshed(item: Field, old: Value, value: Value) -> Value:
    if item.kind is Kind.BLOCK and isinstance(old, dict):
        return refreshed_inputs(item.fields, old, value)
    if item.holds_blocks and isinstance(old, list):
        return [
            refreshed_inputs(item.fields, old[index], element)
            if index < len(old)
            else imported_inputs(item.fields, element)
            for index, element in enumerate(value)
        ]
    return value
