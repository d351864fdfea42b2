"""Checks a program's inputs before anything is sent: types, defaults, unknown keys, rules, conflicts.

Owns: what the engine's ``Check`` answers, in the shape the bridged plugin leaves in state (``__defaults`` beside each
object).
Does not own: the tables (``resources``) and the rules for single values (``rules``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from provision.standin.fields import Field, Kind
from provision.standin.wire import UNKNOWN, Value

DEFAULTS = "__defaults"
"""Lists, beside an object's values, which of them were filled in."""

_TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Checked:
    """Inputs with defaults, and every refusal found in them."""

    inputs: dict[str, Value]
    refusals: list[str]


def check(fields: tuple[Field, ...], news: Mapping[str, Value], resource: str) -> Checked:
    """Checks one resource's inputs.

    Args:
        fields: the resource's table.
        news: what the program set.
        resource: the resource's name in the program, for the refusals.

    Returns:
        The inputs with defaults filled in, and the refusals (empty when all is well).
    """
    checker = _Checker(resource)
    inputs = checker.read_object(fields, news, "")
    return Checked(inputs, checker.refusals)


def plain(values: Value) -> Value:
    """Checked inputs without the lists of defaults."""
    if isinstance(values, dict):
        return {name: plain(item) for name, item in values.items() if name != DEFAULTS}
    if isinstance(values, list):
        return [plain(item) for item in values]
    return values


class _Checker:
    """Walks one resource's inputs and collects refusals."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self.refusals: list[str] = []

    def read_object(self, fields: tuple[Field, ...], news: Mapping[str, Value], path: str) -> dict[str, Value]:
        by_name = {item.name: item for item in fields}
        given = {name: value for name, value in news.items() if value is not None and name != DEFAULTS}
        result: dict[str, Value] = {}
        for name, value in given.items():
            at = f"{path}.{name}" if path else name
            described = by_name.get(name)
            if described is None:
                self._refuse(at, "Invalid or unknown key.")
                result[name] = value
            elif described.output:
                self._refuse(at, f'Value for unconfigurable attribute: Microsoft sets "{at}" itself.')
            else:
                result[name] = self._value(described, value, at)
                self._refuse_conflicts(described, given, at)
        for item in fields:
            if item.required and item.name not in given:
                at = f"{path}.{item.name}" if path else item.name
                self._refuse(at, f'Missing required argument "{item.name}".')
        defaulted = sorted(item.name for item in fields if item.default and item.name not in given)
        result |= {name: by_name[name].default for name in defaulted}
        return {DEFAULTS: defaulted, **result}

    def _value(self, described: Field, value: Value, at: str) -> Value:
        if value is UNKNOWN:
            return value
        if described.cannot:
            self._refuse(at, f'The offline stand-in cannot honour "{at}": {described.cannot}.')
            return value
        if described.kind is Kind.BLOCK:
            value = value[0] if isinstance(value, list) and len(value) == 1 else value
            if isinstance(value, dict):
                return self.read_object(described.fields, value, at)
            self._refuse(at, f'"{at}" must be an object.')
            return value
        if described.kind is Kind.MAP:
            if isinstance(value, dict):
                return {name: item if item is UNKNOWN else _as_text(item) for name, item in value.items()}
            self._refuse(at, f'"{at}" must be a map.')
            return value
        if described.kind.is_collection:
            return self._elements(described, value, at)
        return self._scalar(described, value, at, at)

    def _elements(self, described: Field, value: Value, at: str) -> list[Value]:
        elements = value if isinstance(value, list) else [value]
        count = len(elements)
        if count < described.least:
            self._refuse(at, f"Not enough list items: {at} requires {described.least} at least, but has {count}.")
        if described.most is not None and count > described.most:
            self._refuse(at, f"Too many list items: {at} supports {described.most} at most, but has {count}.")
        result: list[Value] = []
        for index, element in enumerate(elements):
            if element is UNKNOWN:
                result.append(element)
            elif not described.fields:
                result.append(self._scalar(described, element, f"{at}[{index}]", at))
            elif isinstance(element, dict):
                result.append(self.read_object(described.fields, element, f"{at}[{index}]"))
            else:
                self._refuse(at, f'"{at}[{index}]" must be an object.')
        return result

    def _scalar(self, described: Field, value: Value, name: str, at: str) -> Value:
        kind = Kind.STRING if described.kind.is_collection else described.kind
        try:
            value = _CONVERSIONS[kind](value)
        except (TypeError, ValueError, KeyError):
            self._refuse(at, f'cannot read "{name}" as a {kind.value}: {value!r}.')
            return value
        for rule in described.rules:
            if words := rule(value, name):
                self._refuse(at, f"{words}.")
        return value

    def _refuse_conflicts(self, described: Field, given: Mapping[str, Value], at: str) -> None:
        for other in described.conflicts:
            if other in given:
                self._refuse(at, f'Conflicting configuration arguments. "{described.name}": conflicts with {other}.')

    def _refuse(self, at: str, words: str) -> None:
        self.refusals.append(f"{words} Examine values at '{self._resource}.{at}'.")


def _as_text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise TypeError(value)


def _as_flag(value: Value) -> bool:
    return value if isinstance(value, bool) else _TRUTH[str(value)]


def _as_number(value: Value) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise TypeError(value)
    return int(value)


_CONVERSIONS = {Kind.STRING: _as_text, Kind.BOOL: _as_flag, Kind.INT: _as_number}
