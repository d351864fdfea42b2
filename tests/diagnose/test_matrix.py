"""A seeded choice of ``make matrix``: real sessions say which layer refuses, and the diagnosis and its remedies agree.

Every two states of two layers that can meet do meet in it. The second half shows that the matrix can be wrong.
"""

from __future__ import annotations

from dataclasses import replace

import combinations
import matrix
import pytest

from provision.diagnose import judge
from provision.diagnose.rules import RULES
from provision.sandbox import Sandbox

ALL, DROPPED = combinations.possible()
CHOSEN = combinations.sample(ALL, 60, matrix.SEED)


def test_nothing_is_left_out_but_what_cannot_exist() -> None:
    everything = 1
    for states in combinations.LAYERS.values():
        everything *= len(states)
    assert len(ALL) + DROPPED.total() == everything
    assert set(DROPPED) == {reason for reason, _ in combinations.IMPOSSIBLE}


def test_the_choice_holds_every_pair_of_states_and_is_the_same_each_time() -> None:
    def pairs(chosen: list[combinations.Combination]) -> set[tuple[str, str, str, str]]:
        return {pair for one in chosen for pair in combinations.pairs(one)}

    assert pairs(CHOSEN) == pairs(ALL)
    assert len(CHOSEN) == 60
    assert combinations.sample(ALL, 60, matrix.SEED) == CHOSEN
    assert combinations.sample(ALL, 60, matrix.SEED + 1) != CHOSEN


def test_the_diagnosis_names_the_layer_that_refused_and_what_is_mended_sends() -> None:
    outcomes = matrix.lane(list(matrix.tenants(CHOSEN).values()))
    assert [str(outcome) for outcome in outcomes if outcome.problems] == []
    assert {outcome.combination for outcome in outcomes} == set(CHOSEN)
    assert {outcome.truth for outcome in outcomes} > {None, "retired", "token", "no-mailbox", "mailbox-type"}
    assert "sent" in {outcome.after for outcome in outcomes}


@pytest.mark.parametrize("silent", ["mailbox-smtp-off", "organization-smtp-off"])
def test_a_rule_that_sees_nothing_is_noticed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    """The matrix compares with what really happened: a blind rule makes it wrong, twice."""
    switch = "off" if silent == "mailbox-smtp-off" else "inherit"
    one = combinations.Combination("off", "available", "off", "open", switch, "none", "user", "off", "password")
    blind = tuple(replace(rule, check=lambda **_: None) if rule.id == silent else rule for rule in RULES)
    monkeypatch.setattr(judge.judge, "__defaults__", (blind,))
    (outcome,) = matrix.examined(sandbox, [one])
    assert "the settings are misjudged" in outcome.problems
    assert "not mended" in outcome.problems
