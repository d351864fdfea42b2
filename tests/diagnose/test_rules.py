"""One story for each rule: the good tenant does not raise it, one change does, and each fact withheld only skips it."""

from __future__ import annotations

import pytest

from provision.diagnose.codes import BY_ID
from provision.diagnose.facts import Answer, NotKnown
from provision.diagnose.judge import judge
from provision.diagnose.layers import WAYS
from provision.diagnose.rules import RULES
from tests.diagnose.cases import ALWAYS, GOOD, STORIES
from tests.diagnose.test_judge import with_facts

BY_RULE = {rule.id: rule for rule in RULES}


def test_every_rule_has_a_story():
    assert set(STORIES) == set(BY_RULE) - set(BY_ID)


@pytest.mark.parametrize("name", STORIES)
def test_one_change_about_the_good_tenant_raises_it(name):
    rule = BY_RULE[name]
    assert (rule.look(GOOD) is not None) == (name in ALWAYS)
    seen = rule.look(with_facts(**STORIES[name]))
    assert seen
    assert all(line.endswith((".", '".')) for line in seen), seen


@pytest.mark.parametrize("name", STORIES)
def test_a_fact_that_it_needs_withheld_skips_it_and_says_why(name):
    rule = BY_RULE[name]
    for fact in rule.needs:
        if fact in {"now", "attempt_answers"}:  # these are always known
            continue
        because = NotKnown("nobody may read it")
        diagnosis = judge(with_facts(**{**STORIES[name], fact: because}), WAYS)
        (skipped,) = [one for one in diagnosis.skipped if one.rule is rule]
        assert skipped.missing == {fact: "nobody may read it"}


@pytest.mark.parametrize("name", BY_ID)
def test_an_answer_alone_raises_the_rule_of_its_code(name):
    rule = BY_RULE[name]
    answer = Answer("pasted text", "", "as pasted", (name,))
    diagnosis = judge(with_facts(attempt_answers=(answer,)), rule.ways)
    assert name in {one.rule.id for one in diagnosis.findings}
    assert any(verdict.state == "stopped" for verdict in diagnosis.verdicts)
