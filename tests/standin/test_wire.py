"""Property values on the wire: what the engine marks as unknown or secret must survive, and nothing must show."""

from __future__ import annotations

from pulumi.runtime import rpc

from provision.standin import wire


def test_the_marks_are_the_protocols() -> None:
    """They are copied to spare a second of loading; a copy that differs would write secrets in clear."""
    assert (rpc.UNKNOWN, rpc._special_sig_key) == (wire._UNKNOWN, wire._SIGNATURE)
    assert (rpc._special_secret_sig, rpc._special_output_value_sig) == (wire._SECRET, wire._OUTPUT)


def test_a_round_trip_keeps_values_and_unknowns() -> None:
    values = {"a": None, "b": [True, "x", {"c": wire.UNKNOWN}], "n": 1.0}
    back = wire.decode(wire.encode(values))
    assert back == values
    assert isinstance(back["n"], int), "Graph refuses 1.0 where it wants 1"


def test_a_secret_is_marked_on_the_wire_and_silent_in_a_log() -> None:
    secret = wire.Secret("hunter2")
    assert rpc.is_rpc_secret(rpc.deserialize_properties(wire.encode({"value": secret}))["value"])
    assert "hunter2" not in repr(secret)
    assert wire.decode(wire.encode({"value": secret})) == {"value": "hunter2"}


def test_an_output_without_a_value_is_unknown() -> None:
    struct = wire.encode({"a": {rpc._special_sig_key: rpc._special_output_value_sig}})
    assert wire.decode(struct) == {"a": wire.UNKNOWN}
    assert wire.contains_unknown([{"a": wire.UNKNOWN}])
