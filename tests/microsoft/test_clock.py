"""The present by Microsoft's clock, as each answer is dated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provision.microsoft.graph import Graph
from provision.sandbox import Sandbox


@pytest.mark.parametrize("seconds", [-200, -90, 90, 200])
def test_a_clock_that_is_wrong_by_more_than_a_minute_does_not_count(
    graph: Graph, sandbox: Sandbox, seconds: int
) -> None:
    """As far as a token of the tenant is still accepted: five minutes."""
    sandbox.set_faults(clock_skew=seconds)
    graph.applications_by_tag("x")
    assert abs(graph.ahead - timedelta(seconds=seconds)) <= timedelta(seconds=2)
    assert abs(graph.now() - datetime.now(UTC) - timedelta(seconds=seconds)) < timedelta(seconds=3)


@pytest.mark.parametrize("seconds", [-40, 0, 40])
def test_clocks_that_agree_within_a_minute_are_left_alone(graph: Graph, sandbox: Sandbox, seconds: int) -> None:
    sandbox.set_faults(clock_skew=seconds)
    graph.applications_by_tag("x")
    assert abs(graph.now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_a_refusal_is_dated_too(graph: Graph, sandbox: Sandbox) -> None:
    sandbox.set_faults(clock_skew=200)
    assert graph.application("00000000-1111-2222-3333-444444444444") is None
    assert graph.ahead > timedelta(minutes=3)
