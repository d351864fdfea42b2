"""One watcher for each fleet, on both databases."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from provision.errors import StateUnavailable
from provision.fleet.store import FleetStore, LeaseLost, open_fleet_store

ANOTHER = """
import sys
from provision.errors import StateUnavailable
from provision.fleet.store import open_fleet_store
store = open_fleet_store(environ={"PROVISION_FLEET_STORE": sys.argv[1]})
try:
    watch = store.watching.take("north")
except StateUnavailable as refused:
    print(refused)
else:
    store.watching.keep(watch, {"from": "another"})
    print("taken", watch.token)
"""


def another(address: str) -> str:
    """What another process is told; it ends without giving anything back."""
    done = subprocess.run([sys.executable, "-c", ANOTHER, address], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_one_process_watches_a_fleet_and_hands_over_what_it_knows(store: FleetStore, address: str) -> None:
    watch = store.watching.take("north")
    assert (watch.token, watch.document) == (1, {})
    store.watching.keep(watch, {"wrong": {"a|audit": {"kind": "drift"}}})
    assert "is watched already: by process" in another(address)
    assert store.watching.take("south").token == 1
    store.watching.leave(watch)
    assert store.watching.take("north").document == {"wrong": {"a|audit": {"kind": "drift"}}}


def test_a_watcher_that_died_on_this_machine_is_followed_at_once(store: FleetStore, address: str) -> None:
    assert another(address) == "taken 1"
    watch = store.watching.take("north")
    assert (watch.token, watch.document) == (2, {"from": "another"})


def test_a_watcher_whose_lease_ran_out_can_write_no_more(store: FleetStore, address: str) -> None:
    old = store.watching.take("north", seconds=0.2)
    time.sleep(0.4)
    assert another(address) == "taken 2"
    for late in (lambda: store.watching.keep(old, {"from": "the old one"}), lambda: store.watching.beat(old)):
        with pytest.raises(LeaseLost):
            late()
    store.watching.leave(old)
    assert store.watching.take("north").document == {"from": "another"}


def test_a_beat_keeps_the_watch(store: FleetStore, address: str) -> None:
    watch = store.watching.take("north", seconds=0.5)
    store.watching.beat(watch, seconds=60)
    time.sleep(0.7)
    assert "is watched already" in another(address)


def test_a_store_of_before_there_were_watchers_is_brought_up_to_date(store: FleetStore, address: str) -> None:
    from sqlalchemy import text

    def older(connection, _again) -> None:
        connection.execute(text("drop table provision_fleet_watches"))
        connection.execute(text("update provision_fleet_schema set version = 1"))

    store._database.write(older)
    newer = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    watch = newer.watching.take("north")
    newer.watching.keep(watch, {"a": "\N{SNOWMAN}"})
    newer.watching.leave(watch)
    assert newer.watching.take("north").document == {"a": "\N{SNOWMAN}"}
    with pytest.raises(StateUnavailable):
        newer.watching.take("north")
    newer.close()
