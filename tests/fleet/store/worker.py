"""A worker for the tests of leases: goes through the tenants of some runs until none is left, as workers do.

Says in JSON lines what it did. That nobody else is at work on a tenant it proves beside the store, by a file that it
alone may make: ``worker.py FOLDER SEED RUN…``.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

import psutil

from provision.fleet.outcome import Outcome
from provision.fleet.store import FleetStore, LeaseLost, open_fleet_store

LEASE = 1.0


def main() -> None:
    """Works until nothing is left."""
    folder, dice, store = Path(sys.argv[1]), random.Random(sys.argv[2]), open_fleet_store()
    runs = [run for run in map(store.run, sys.argv[3:]) if run is not None]
    while left := [(run.id, key) for run in runs for key in store.left(run)]:
        dice.shuffle(left)
        for run_id, key in left[:3]:
            work(store, run_id, key, folder, dice)


def work(store: FleetStore, run_id: str, key: str, folder: Path, dice: random.Random) -> None:
    """One tenant: done, given up, or slept over."""
    over = time.time() + LEASE
    claim = store.claim(run_id, key, seconds=LEASE)
    if claim is None:
        say("busy", key)
        return time.sleep(0.02)
    mark = folder / key
    while not made(mark, f"{os.getpid()} {over}"):
        if holds(mark):
            say("twice", key)
        mark.unlink(missing_ok=True)
    time.sleep(dice.uniform(0.05, 0.2))
    mark.unlink(missing_ok=True)  # from here on another may begin, should the lease run out
    fate = dice.random()
    try:
        if fate < 0.2:
            store.release(claim)
            say("gave up", key)
            return None
        if fate < 0.35:
            time.sleep(LEASE * 1.5)
        store.keep(claim.fleet, key, {"token": claim.token}, claim)
        store.finish(claim, Outcome(key, "up", "changed", attempt=claim.attempt))
        say("finished", key)
    except LeaseLost:
        say("lost", key)
    return None


def made(mark: Path, text: str) -> bool:
    """Whether a mark is ours: only one can make it."""
    try:
        with mark.open("x") as stream:
            stream.write(text)
    except FileExistsError:
        return False
    return True


def holds(mark: Path) -> bool:
    """Whether the one that made a mark lives and its lease is not over; one that was killed leaves its mark."""
    try:
        pid, over = mark.read_text().split()
    except (OSError, ValueError):  # just gone, or just being made
        return mark.exists()
    return psutil.pid_exists(int(pid)) and time.time() < float(over)


def say(kind: str, key: str) -> None:
    """One line."""
    sys.stdout.write(json.dumps({"kind": kind, "key": key}) + "\n")
    sys.stdout.flush()


main()
