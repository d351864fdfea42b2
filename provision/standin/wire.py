"""Pulumi property values on the wire, as plain Python.

Owns: unknown values and secrets, which travel inside ``google.protobuf.Struct`` under well-known signatures.
Does not own: what the values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]

Value = Any
"""None, bool, int, float, str, list, dict, ``UNKNOWN`` or ``Secret``."""


_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the mark of a secret, not one
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
"""The protocol's marks (``pulumi.runtime.rpc`` has them too, at the price of a second of loading)."""


@final
class _Unknown:
    """A value that is only known after something else was created."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __copy__(self) -> _Unknown:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> _Unknown:
        return self


UNKNOWN: Final = _Unknown()


@final
class Secret:
    """A value that the engine must keep encrypted; its repr shows nothing."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(***)"


def decode(struct: struct_pb2.Struct) -> dict[str, Value]:
    """Reads a property map; secrets are unwrapped, for the engine already knows which inputs are secret."""
    return {name: _from_wire(value) for name, value in json_format.MessageToDict(struct).items()}


def encode(values: Mapping[str, Value]) -> struct_pb2.Struct:
    """Writes a property map, keeping ``UNKNOWN`` and ``Secret``."""
    struct = struct_pb2.Struct()
    json_format.ParseDict({name: _to_wire(value) for name, value in values.items()}, struct)
    return struct


def contains_unknown(value: Value) -> bool:
    """Whether the value is, or holds anywhere, something that is not known yet."""
    if isinstance(value, dict):
        return any(contains_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(contains_unknown(item) for item in value)
    return value is UNKNOWN


def _from_wire(value: Value) -> Value:
    if value == _UNKNOWN:
        return UNKNOWN
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_from_wire(item) for item in value]
    if not isinstance(value, dict):
        return value
    signature = value.get(_SIGNATURE)
    if signature is None:
        return {name: _from_wire(item) for name, item in value.items()}
    if signature in {_SECRET, _OUTPUT}:
        return _from_wire(value["value"]) if "value" in value else UNKNOWN
    return value


def _to_wire(value: Value) -> Value:
    if value is UNKNOWN:
        return _UNKNOWN
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _to_wire(value.value)}
    if isinstance(value, dict):
        return {name: _to_wire(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_wire(item) for item in value]
    return value
