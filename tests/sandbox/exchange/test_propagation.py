"""A changed setting reads back at once; the servers that take mail know it after the weather's delay."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.sandbox.directory import Directory
from provision.sandbox.exchange import propagation


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    made = Directory(tmp_path / "tenant.sqlite")
    yield made
    made.close()


def test_without_a_delay_a_change_is_in_effect_at_once(directory):
    changed = propagation.changed({"id": "m", "On": None}, {"On": True})
    assert propagation.in_effect(directory, changed)["On"] is True


def test_with_a_delay_the_old_value_holds_and_the_first_of_two_changes_counts(directory):
    directory.exchange_delay = 3600
    once = propagation.changed({"id": "m", "On": None, "Other": 1}, {"On": True})
    twice = propagation.changed(once, {"On": False, "Other": 2})
    assert twice["On"] is False
    known = propagation.in_effect(directory, twice)
    assert (known["On"], known["Other"]) == (None, 1)
    assert propagation.in_effect(directory, propagation.hastened(twice, ["Other"]))["Other"] == 2
    directory.exchange_delay = 0
    assert propagation.in_effect(directory, twice)["On"] is False


def test_a_change_to_the_same_value_is_none(directory):
    directory.exchange_delay = 3600
    assert propagation.changed({"id": "m", "On": True}, {"On": True})["_history"] == []
