"""What is known from before the fleet is kept once, and gives way to what the fleet did itself."""

from __future__ import annotations

from provision.fleet.store import FleetStore
from provision.fleet.tenant import Tenant


def test_what_the_fleet_keeps_itself_is_newer(store: FleetStore) -> None:
    run = store.begin("f", "up", [Tenant("a", "a.com"), Tenant("b", "b.com")], {})
    claim = store.claim(run.id, "a")
    assert claim is not None
    assert store.take_over("f", {"a": {"from": "before"}, "b": {"from": "before"}}) == ["b"], "somebody works on a"
    store.release(claim)
    assert store.take_over("f", {"a": {"from": "before"}}) == ["a"]
    claim = store.claim(run.id, "a")
    assert claim is not None
    store.keep("f", "a", {"from": "the fleet"}, claim)
    store.release(claim)
    assert store.take_over("f", {"a": {"from": "before"}, "b": {"from": "later"}}) == []
    assert (store.kept("f", "a"), store.kept("f", "b")) == ({"from": "the fleet"}, {"from": "before"})


def test_a_lease_and_its_fencing_token_stay(store: FleetStore) -> None:
    run = store.begin("f", "up", [Tenant("a", "a.com")], {})
    store.take_over("f", {"a": {"from": "before"}})
    claim = store.claim(run.id, "a")
    assert claim is not None
    store.beat(claim)
    assert store.kept("f", "a") == {"from": "before"}
