"""Plans are pure: what differs, what is counted, who is refused."""

from __future__ import annotations

import pytest

from provision.mailbox.obstacles import OBSTACLES
from provision.mailbox.planning import Plan, Wish, differing, sort_out
from provision.mailbox.values import Mailbox, Switch

PEOPLE = [Mailbox(switch.value, f"{switch}@contoso.example", "", switch) for switch in Switch]


@pytest.mark.parametrize("switch", list(Switch))
def test_only_what_differs_is_kept_and_the_others_are_counted(switch: Switch) -> None:
    plan = Plan(Wish(switch))
    assert [one.switch for one in differing(PEOPLE, plan, lambda _: False)] == [s for s in Switch if s is not switch]
    assert (plan.as_wanted, plan.settled) == (1, [])


def test_those_whose_end_is_to_be_another_are_remembered() -> None:
    plan = Plan(Wish(Switch.ON))
    differing(PEOPLE, plan, lambda identity: identity == "on")
    assert plan.settled == ["on"]


@pytest.mark.parametrize(("switch", "refused"), [(Switch.ON, 1), (Switch.OFF, 0), (Switch.INHERITS, 0)])
def test_only_switching_on_is_refused(switch: Switch, refused: int) -> None:
    plan = sort_out(PEOPLE, {"off": OBSTACLES["room"]}, Plan(Wish(switch)))
    assert len(plan.refused) == refused
    assert len(plan.changes) == len(PEOPLE) - refused
