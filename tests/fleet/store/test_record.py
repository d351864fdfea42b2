import pytest

from provision.fleet.outcome import Outcome
from provision.fleet.store import LeaseLost, open_fleet_store
from provision.fleet.tenant import Tenant


def test_all(tmp_path):
    store = open_fleet_store(f"sqlite://{tmp_path}/x/fleet.db", environ={})
    rows = [Tenant(f"t{n}", f"t{n}.example") for n in range(1200)]
    run = store.begin("f", "up", rows, {"a": 1})
    assert store.unfinished("f", "up") == run
    assert sorted(store.tenants_of(run), key=lambda t: t.key) == sorted(rows, key=lambda t: t.key)
    assert len(store.left(run)) == 1200
    c = store.claim(run.id, "t1")
    assert c and c.token == 1 and c.attempt == 1
    assert store.claim(run.id, "t1") is None
    store.beat(c)
    store.keep("f", "t1", {"x": 1}, c)
    store.release(c)
    d = store.claim(run.id, "t1", seconds=0.0)
    assert d.token == 2 and d.attempt == 2
    import time

    time.sleep(0.01)
    e = store.claim(run.id, "t1")
    with pytest.raises(LeaseLost):
        store.finish(d, Outcome("t1", "up", "changed"))
    store.finish(e, Outcome("t1", "up", "changed"))
    store.finish(e, Outcome("t1", "up", "changed"))
    assert store.claim(run.id, "t1") is None
    assert store.kept("f", "t1") == {"x": 1}
    store.record(run.id, [Outcome(f"t{n}", "up", "not-tried") for n in range(1200)])
    assert [o.status for o in store.outcomes(run)].count("changed") == 1
    assert len(store.left(run)) == 1199
    assert [r.outcome.key for r in store.latest("f", "up")] == ["t1"]
    assert len(store.history("f", "t1")) == 1
    store.end(run)
    assert store.unfinished("f", "up") is None
    assert store.runs("f")[0].ended
