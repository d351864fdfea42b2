"""What the real plugin answered, the stand-in answers: 6.11.1 was asked over gRPC and its answers were written down.

Guards the promise that state written by one can be used by the other: same inputs with defaults, same planned state,
same differences and replacements, same inputs on refresh and import. Sets have no order; they agree on all else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.standin import planning, taking_over
from provision.standin.checking import check, plain
from provision.standin.resources import RESOURCES
from provision.standin.wire import UNKNOWN, decode, encode

CASES = json.loads((Path(__file__).parent / "real_plugin_answers.json").read_text())
ONLY_IN_STATE = {"id", "__meta"}


def cases(call: str) -> Any:
    chosen = [case for case in CASES if case["call"] == call]
    names = [f"{case['token'].rpartition(':')[2]}-{number}" for number, case in enumerate(chosen)]
    return pytest.mark.parametrize("case", chosen, ids=names)


def read(values: Any) -> Any:
    """Recorded values with unknowns as the stand-in has them."""
    return None if values is None else {k: v for k, v in decode(encode(values)).items() if k not in ONLY_IN_STATE}


def unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: unordered(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted(
            (unordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True, default=str)
        )
    return value


@cases("check")
def test_inputs_get_the_same_defaults(case: dict[str, Any]) -> None:
    checked = check(RESOURCES[case["token"]].fields, read(case["news"]), "a")
    assert (unordered(checked.inputs), checked.refusals) == (unordered(read(case["inputs"])), [])


@cases("plan")
def test_the_planned_state_is_the_same(case: dict[str, Any]) -> None:
    fields = RESOURCES[case["token"]].fields
    planned = planning.plan(fields, plain(read(case["inputs"])), read(case["prior"]))
    assert unordered(planned) == unordered(read(case["planned"]))


@cases("diff")
def test_the_difference_is_the_same(case: dict[str, Any]) -> None:
    fields, prior, inputs = RESOURCES[case["token"]].fields, read(case["prior"]), plain(read(case["inputs"]))
    found = planning.differences(fields, inputs, prior, planning.plan(fields, inputs, prior))
    detailed = {item.path: item.change.value + ("_REPLACE" if item.replaces else "") for item in found}
    assert detailed == case["detailed"]
    assert sorted({item.top for item in found if item.replaces}) == sorted(case["replaces"])


@cases("refresh")
def test_a_refresh_gives_the_same_inputs(case: dict[str, Any]) -> None:
    inputs = taking_over.refreshed_inputs(RESOURCES[case["token"]].fields, read(case["old"]), read(case["state"]))
    assert unordered(inputs) == unordered(read(case["inputs"]))


@cases("import")
def test_an_import_gives_the_same_inputs(case: dict[str, Any]) -> None:
    inputs = taking_over.imported_inputs(RESOURCES[case["token"]].fields, read(case["state"]))
    assert unordered(inputs) == unordered(read(case["inputs"]))


def test_unknown_values_are_among_the_cases() -> None:
    """Without them the previews of a first run would not be covered."""
    assert any(UNKNOWN in read(case["planned"]).values() for case in CASES if case["call"] == "plan")
