"""A secret's whole way, on the local tenant: real tokens, a real journal on disk, real files as places.

Stories marked ``of_both_kinds`` are told of certificates too. A run that stops in the middle is a place that refuses,
or a journal whose writes end; real kills are in ``tests/journeys/test_rotate.py`` and ``make sweep``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from desk import Desk, Stopped, Stopping, losing_its_answer, value_in

from provision.errors import InvalidInput, NotDelivered, StateUnavailable
from provision.journal.lease import Lease
from provision.sandbox import Sandbox
from provision.secrets.due import Pace
from provision.secrets.graph_slots import GraphSlots
from provision.secrets.rotation import in_seconds
from provision.secrets.sinks import Delivery, Stored, open_sink

of_both_kinds = pytest.mark.parametrize("kind", ["secret", "certificate"])


@of_both_kinds
def test_the_first_run_makes_a_secret_and_every_place_has_it(desk: Desk) -> None:
    assert desk.reason() == f"no {desk.words} of this toolkit is in use"
    report = desk.run()
    assert report.made is not None
    (listed,) = desk.slots().listed()
    assert (listed.display_name, listed.key_id) == (desk.names["a"], report.made.key_id)
    values = {value_in(sink) for sink in desk.sinks}
    assert len(values) == 1
    assert desk.works(values.pop())
    assert desk.reason() == ""


@of_both_kinds
def test_the_old_secret_works_until_the_overlap_is_over_and_not_after(desk: Desk) -> None:
    desk.run()
    old = value_in(desk.sinks[0])
    report = desk.run(now=True)
    new = value_in(desk.sinks[0])
    assert desk.listed() == sorted(desk.names.values())
    assert desk.works(old) and desk.works(new) and old != new
    assert [secret.slot for secret in report.retiring] == ["a"]
    assert desk.reason() == ""
    desk.ahead = timedelta(days=7, minutes=1)
    assert desk.reason() == f"an old {desk.words}'s overlap is over"
    assert desk.run().made is None
    assert desk.listed() == [desk.names["b"]]
    assert desk.works(new) and not desk.works(old)


def test_times_are_told_in_whole_seconds_of_utc_and_never_too_early() -> None:
    for exact, told in (
        ("2028-01-01T10:00:00.000001Z", "2028-01-01T10:00:01Z"),
        ("2028-01-01T10:00:00Z", "2028-01-01T10:00:00Z"),
        ("2028-01-01T10:00:00+02:00", "2028-01-01T08:00:00Z"),
    ):
        assert in_seconds(exact) == told
    assert in_seconds(None) == ""


def test_it_is_due_when_overlap_and_margin_are_left(desk: Desk) -> None:
    desk.run()
    desk.ahead = timedelta(days=365 - 38)
    assert desk.reason() == ""
    desk.ahead = timedelta(days=365 - 36)
    assert "ends" in desk.reason()
    assert desk.run().made is not None


def test_a_third_secret_is_not_made_while_the_second_is_young(desk: Desk) -> None:
    desk.run()
    desk.run(now=True)
    with pytest.raises(InvalidInput, match=r"in its overlap until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ; a third one"):
        desk.run(now=True)
    assert desk.listed() == ["Mail Secret A", "Mail Secret B"]


@of_both_kinds
def test_foreign_secrets_are_listed_and_never_touched_unless_named(desk: Desk) -> None:
    foreign = desk.add_foreign("typed in by hand")
    report = desk.run()
    assert [password.key_id for password in report.foreign] == [foreign]
    desk.run(compromised=True)
    assert "typed in by hand" in desk.listed()
    with pytest.raises(InvalidInput, match=f"no {desk.words} with the key id"):
        desk.run(retire=("00000000-0000-0000-0000-000000000000",))
    report = desk.run(retire=(foreign,))
    assert "typed in by hand" in desk.listed()
    assert "will be retired after" in report.notes[0]
    desk.ahead += timedelta(days=8)
    assert desk.run().retired == [foreign]
    assert desk.listed() == [desk.names["b"]]


@of_both_kinds
def test_our_own_secret_cannot_be_named_as_foreign(desk: Desk) -> None:
    report = desk.run()
    assert report.active is not None
    with pytest.raises(InvalidInput, match="retires by itself"):
        desk.run(retire=(report.active.key_id,))


def test_a_compromised_secret_is_dead_at_once(desk: Desk) -> None:
    desk.run()
    desk.run(now=True)
    before = value_in(desk.sinks[0])
    report = desk.run(compromised=True)
    assert len(report.retired) == 2
    assert not desk.works(before)
    assert desk.works(value_in(desk.sinks[0]))
    assert len(desk.listed()) == 1


class Refusing:
    """A place that does not take the secret, or takes and forgets it."""

    address = "test:refusing"

    def __init__(self, *, forgets: bool = False) -> None:
        self.forgets = forgets
        self.seen: list[str] = []

    def check(self) -> None: ...

    def stored(self) -> Stored | None:
        return None

    def write(self, delivery: Delivery) -> None:
        self.seen.append(delivery.key_id)
        if not self.forgets:
            raise StateUnavailable("it is closed today.", remedy="Come back tomorrow.")

    def remove(self) -> None: ...


def test_one_place_that_refuses_keeps_the_old_secret_alive_and_the_next_run_goes_on(desk: Desk) -> None:
    desk.run()
    old = value_in(desk.sinks[0])
    desk.sinks.append(Refusing())
    with pytest.raises(NotDelivered, match=r"stays valid and in use\. test:refusing: it is closed today"):
        desk.run(now=True)
    new = value_in(desk.sinks[0])
    assert new != old
    assert desk.works(old) and desk.works(new)
    desk.ahead = timedelta(days=30)
    with pytest.raises(NotDelivered):
        desk.run()
    assert desk.works(old)
    del desk.sinks[2]
    report = desk.run()
    assert report.made is None
    assert value_in(desk.sinks[0]) == new
    assert desk.listed() == ["Mail Secret A", "Mail Secret B"]


def test_a_place_that_accepts_but_does_not_keep_is_found_out(desk: Desk) -> None:
    desk.sinks.append(Refusing(forgets=True))
    with pytest.raises(NotDelivered, match="accepted the new client secret but does not hold it"):
        desk.run()


def test_a_place_that_lost_the_secret_stops_the_retirement(desk: Desk) -> None:
    desk.run()
    desk.run(now=True)
    desk.sinks[1].remove()
    desk.ahead = timedelta(days=8)
    with pytest.raises(NotDelivered, match="no longer holds the client secret in use"):
        desk.run()
    assert len(desk.listed()) == 2


def test_a_place_added_later_gets_the_secret_in_use(desk: Desk, tmp_path: Path) -> None:
    desk.run()
    desk.sinks.append(open_sink(f"envfile:{tmp_path}/second.env"))
    assert desk.reason() == "a sink does not have the client secret in use yet"
    assert desk.run().made is None
    assert value_in(desk.sinks[2]) == value_in(desk.sinks[0])
    assert desk.listed() == ["Mail Secret A"]


@of_both_kinds
@pytest.mark.usefixtures("never_alive")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_stopped_at_any_write_of_the_journal_the_next_run_ends_it(desk: Desk, after: bool) -> None:
    theirs = desk.add_foreign("their own")
    desk.run()
    points = 0
    for at in range(40):
        try:
            desk.run(store=Stopping(desk.store, at, after=after), pace=Pace(timedelta(0)), now=True)
        except Stopped:
            points += 1
        else:
            break
        assert all(desk.works(value_in(sink)) for sink in desk.sinks)
        desk.run(pace=Pace(timedelta(0)))
        (ours,) = [one for one in desk.slots().listed() if one.key_id != theirs]
        assert ours.display_name in desk.names.values()
        assert "their own" in desk.listed()
        assert len({value_in(sink) for sink in desk.sinks}) == 1
        assert desk.works(value_in(desk.sinks[0]))
        assert desk.reason() == ""
    assert points >= 10


def test_two_runners_at_once_make_one_secret(desk: Desk) -> None:
    with Lease(desk.store, desk.key), pytest.raises(StateUnavailable, match="Another run is at work"):
        desk.run()
    assert desk.listed() == []


@pytest.mark.usefixtures("never_alive")
def test_a_secret_whose_answer_was_lost_is_removed_once_it_is_listed(
    desk: Desk, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graph makes it, the answer never comes, and for a while Graph does not list it either."""
    desk.run()
    sandbox.set_faults(replication_delay=1.5)
    try:
        _lose_the_answer(desk, monkeypatch)
        desk.run(now=True)
    finally:
        sandbox.clear_faults()
    assert desk.listed() == ["Mail Secret A", "Mail Secret B"]


def test_the_journal_never_holds_the_value(desk: Desk, tmp_path: Path) -> None:
    desk.run()
    value = value_in(desk.sinks[0])
    journal = b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
    assert value.encode() not in journal
    assert b"digest" in journal


def _lose_the_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is stopped when Graph has made the secret and nobody has the answer."""
    slots = type(desk.slots())
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(slots, "mint", losing_its_answer(slots.mint))
        desk.run(now=True)


@contextmanager
def _graph_behind(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graph lists the secrets of this moment, from a server that learns nothing new."""
    known = desk.slots().listed()
    with monkeypatch.context() as patched:
        patched.setattr(type(desk.slots()), "listed", lambda _: known)
        yield


@of_both_kinds
@pytest.mark.usefixtures("never_alive")
def test_a_lost_secret_is_removed_also_by_a_run_that_makes_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run()
    with _graph_behind(desk, monkeypatch):
        _lose_the_answer(desk, monkeypatch)
        assert desk.run().made is None
    assert desk.listed() == sorted(desk.names.values())
    assert desk.reason() == "an earlier run did not end"
    assert desk.run().made is None
    assert desk.listed() == [desk.names["a"]]
    assert desk.reason() == ""


@pytest.mark.usefixtures("never_alive")
def test_a_lost_secret_is_looked_for_until_graph_must_have_listed_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs are stopped, and Graph goes on not listing what was made, also when the next secret is in use."""
    desk.run()
    with _graph_behind(desk, monkeypatch):
        _lose_the_answer(desk, monkeypatch)
        desk.run(now=True, pace=Pace(timedelta(0)))
        _lose_the_answer(desk, monkeypatch)
        desk.run()
    assert desk.listed() == ["Mail Secret A", "Mail Secret B", "Mail Secret B"]
    assert desk.run().made is None
    assert desk.listed() == ["Mail Secret B"]
    assert desk.works(value_in(desk.sinks[0]))
    desk.ahead = timedelta(minutes=16)
    desk.run(compromised=True)
    record = desk.record()
    assert (record.pending, record.suspects) == (None, None)


def test_a_secret_made_a_moment_ago_is_not_taken_for_gone_where_graph_does_not_list_it_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _graph_behind(desk, monkeypatch):
        desk.run()
        assert desk.slots().listed() == ()
        assert desk.reason() == ""
        assert desk.run().made is None
    assert desk.listed() == ["Mail Secret A"]


def test_a_secret_that_somebody_removed_is_replaced(desk: Desk) -> None:
    first = desk.run().made
    assert first is not None
    desk.graph.remove_password(desk.object_id, first.key_id)
    desk.ahead = timedelta(hours=1)
    assert desk.reason() == "no client secret of this toolkit is in use"
    report = desk.run()
    assert report.made is not None
    assert report.retiring == []
    assert desk.works(value_in(desk.sinks[0])) and desk.works(value_in(desk.sinks[1]))
    assert desk.reason() == ""
    desk.run(now=True)
    assert len(desk.listed()) == 2


@pytest.mark.parametrize("roomy", [True, False], ids=["by key id", "one in a slot"])
def test_a_place_that_got_the_old_secret_back_has_one_that_works_at_every_moment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, roomy: bool
) -> None:
    """Somebody restores yesterday's backup; what the refusal advises must not remove the secret that is used there."""
    monkeypatch.setattr(GraphSlots, "roomy", roomy)
    desk.run()
    backup = value_in(desk.sinks[1])
    desk.run(now=True)
    desk.ahead = timedelta(days=8)
    desk.sinks[1].write(Delivery("", "", "", desk.now(), backup))
    with pytest.raises(NotDelivered, match=r"no longer holds the client secret in use.*--now"):
        desk.run()
    remove: Callable[..., None] = GraphSlots.remove

    def watched(self: GraphSlots, secret: Any) -> None:
        remove(self, secret)
        assert all(desk.works(value_in(sink)) for sink in desk.sinks)

    monkeypatch.setattr(GraphSlots, "remove", watched)
    assert len(desk.run(now=True).retired) == 1
    assert len({value_in(sink) for sink in desk.sinks}) == 1
    assert len(desk.listed()) == 2
