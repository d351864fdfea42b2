"""Pulumi property values on the wire, as plain Python.

Owns: unknown values and secrets, which travel inside ``google.protobuf.Struct`` under well-known signatures.
Does not own: what the values mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

from google.protobuf import json_format, struct_pb2  # type: ignore[import-untyped]
from pulumi.runtime import rpc

Value = Any
"""None, bool, int, float, str, list, dict, ``UNKNOWN`` or ``Secret``."""


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
    if value == rpc.UNKNOWN:
        return UNKNOWN
    if isinstance(value, list):
        return [_from_wire(item) for item in value]
    if not isinstance(value, dict):
        return value
    signature = value.get(rpc._special_sig_key)
    if signature is None:
        return {name: _from_wire(item) for name, item in value.items()}
    if signature in {rpc._special_secret_sig, rpc._special_output_value_sig}:
        return _from_wire(value["value"]) if "value" in value else UNKNOWN
    return value


def _to_wire(value: Value) -> Value:
    if value is UNKNOWN:
        return rpc.UNKNOWN
    if isinstance(value, Secret):
        return {rpc._special_sig_key: rpc._special_secret_sig, "value": _to_wire(value.value)}
    if isinstance(value, dict):
        return {name: _to_wire(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_wire(item) for item in value]
    return value
