"""Less at once when Microsoft says so, slowly more when it goes well."""

from __future__ import annotations

from provision.fleet.pace import Pace, wait_before


def test_it_begins_with_all_workers() -> None:
    assert Pace(8).at_once == 8


def test_one_throttled_job_halves_it_and_its_companions_do_not_halve_it_again() -> None:
    """All eight were begun at the old pace, so all may be throttled: that is one piece of news, not eight."""
    pace = Pace(8)
    for running in range(7, -1, -1):
        pace.ended(throttled=True, running=running)
    assert pace.at_once == 4


def test_what_is_throttled_at_the_new_pace_halves_it_again() -> None:
    pace = Pace(8)
    for running in (7, 6, 5, 4, 3, 3, 3, 3):
        pace.ended(throttled=True, running=running)
    pace.ended(throttled=True, running=3)
    assert pace.at_once == 2


def test_it_never_stops_altogether() -> None:
    pace = Pace(2)
    for _ in range(50):
        pace.ended(throttled=True, running=0)
    assert pace.at_once == 1


def test_a_round_that_goes_well_adds_one() -> None:
    pace = Pace(16, width=4.0)
    for _ in range(4):
        pace.ended(throttled=False, running=3)
    assert pace.at_once == 5


def test_it_never_asks_for_more_than_there_are_workers() -> None:
    pace = Pace(4)
    for _ in range(100):
        pace.ended(throttled=False, running=3)
    assert pace.at_once == 4


def test_new_workers_are_used_at_once_unless_it_was_throttled() -> None:
    free, throttled = Pace(2), Pace(2)
    throttled.ended(throttled=True, running=1)
    free.widen(6)
    throttled.widen(6)
    assert (free.at_once, throttled.at_once) == (6, 1)


def test_workers_that_are_gone_are_not_counted_on() -> None:
    pace = Pace(6)
    pace.widen(2)
    assert pace.at_once == 2


def test_a_tenant_waits_twice_as_long_each_time_and_never_for_ever() -> None:
    waits = [wait_before(attempt, first=5.0, longest=60.0) for attempt in range(2, 9)]
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert wait_before(10_000) <= 120.0
