"""A fleet is made in bad weather, five of its tenants can never be, and whatever works on it is killed again and again.

``fleet-weather tenants N right R failed F duplicates D lost L``: tenants with exactly one registration, principal,
grant and live secret, and whose stored secret signs in; tenants without; objects beside the one; secrets that Entra
accepts and nobody has, or somebody has and Entra does not accept. Every figure is counted at the local tenant in the
end. Then, for each of the five, the cause that the command told.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
from fleets import Held, LocalFleet
from trial import Trial, kill_tree

from provision.fleet.store import open_fleet_store
from provision.sandbox import Sandbox, Tenant

EVERYTHING = "^/(v1\\.0|beta|metadata|[0-9a-f-]{36})"
WEATHER = [
    {"name": "throttled", "action": "status", "status": 429, "retry_after": 1, "probability": 0.03},
    {"name": "overloaded", "action": "status", "status": 503, "retry_after": 1, "probability": 0.02},
    {"name": "cut before", "action": "drop_before", "probability": 0.005},
    {"name": "cut after", "action": "drop_after", "probability": 0.005},
    {"name": "slow", "action": "delay", "seconds": 0.5, "probability": 0.05},
]
REPLICATION_SECONDS = 0.5
RESUMED = 30
"""So often at most a run is begun again after the last kill."""


@dataclass(frozen=True)
class Trouble:
    """Why a tenant can never be made."""

    about: str
    told: str
    """What the command must say of it."""
    begin: Callable[[LocalFleet, str], None]


def _wrong_secret(fleet: LocalFleet, key: str) -> None:
    fleet.write(fleet.tenants, wrong={key: "this-is-no-secret"})


def _in(fleet: LocalFleet, key: str) -> Trial:
    return Trial(fleet.sandbox, fleet.folder / "trials" / key, tenant=fleet.tenants[key])


def _no_permission(fleet: LocalFleet, key: str) -> None:
    trial = _in(fleet, key)
    trial.restrict_admin("Application.ReadWrite.All")
    with contextlib.suppress(StopIteration):
        trial.restrict_admin("Application.ReadWrite.OwnedBy")
    trial.close()


def _no_secrets(fleet: LocalFleet, key: str) -> None:
    trial = _in(fleet, key)
    trial.set_password_policy([{"restrictionType": "passwordAddition", "state": "enabled", "maxLifetime": None}])
    trial.close()


def _disabled(fleet: LocalFleet, key: str) -> None:
    """The automation's own principal is switched off."""
    trial = _in(fleet, key)
    client_id = fleet.tenants[key].admin_client_id
    principal = trial.get(f"/servicePrincipals?$filter=appId eq '{client_id}'")[0]
    trial.request("PATCH", f"/servicePrincipals/{principal['id']}", {"accountEnabled": False}).raise_for_status()
    trial.close()


def _silent(_fleet: LocalFleet, _key: str) -> None:
    """Entra's token endpoint closes every connection of this tenant (a rule of the weather, see ``rules``)."""


TROUBLES = (
    Trouble("a wrong client secret", "AADSTS7000215", _wrong_secret),
    Trouble("no permission to make registrations", "without the application permission", _no_permission),
    Trouble("a policy that forbids client secrets", "policy", _no_secrets),
    Trouble("its automation is switched off", "AADSTS7000112", _disabled),
    Trouble("its sign-in never answers", "cannot be reached", _silent),
)


def rules(silent: Tenant, seed: int) -> list[dict[str, object]]:
    """The weather, seeded, and the tenant that never answers."""
    never = {"name": "silent", "action": "drop_before", "match": {"path": f"^/{silent.tenant_id}/oauth2"}}
    fair = [{**rule, "seed": seed + number, "match": {"path": EVERYTHING}} for number, rule in enumerate(WEATHER)]
    return [never, *fair]


class Course:
    """The run, its kills, and its resumption until it ends by itself."""

    def __init__(self, fleet: LocalFleet, *, kills: int, workers: int, seed: int, say: Callable[[str], None]) -> None:
        self._fleet = fleet
        self._workers = workers
        self._random = random.Random(seed)
        self._say = say
        total = len(fleet.tenants) - len(TROUBLES)
        self._points = sorted(self._random.uniform(0, total * 0.95) for _ in range(kills))
        self.killed: dict[str, int] = {"coordinator": 0, "worker": 0, "everything": 0}
        self.code = -1

    def go(self) -> None:
        """Until a run ends with nothing left that could be done."""
        process = self._start(resume=False)
        for point in self._points:
            while self._done() < point or not self._at_work(process):
                if process.poll() is not None:
                    process = self._start(resume=True)
                time.sleep(self._random.uniform(0.1, 0.6))
            process = self._kill(process)
        for _ in range(RESUMED):
            self.code = process.wait()
            if self.code in (0, 17):
                return
            self._say(f"ended with {self.code}; resumed")
            process = self._start(resume=True)

    def _start(self, *, resume: bool) -> subprocess.Popen[bytes]:
        return self._fleet.start("up", "--workers", str(self._workers), *(["--resume"] if resume else []))

    def _kill(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        what = self._random.choice(["coordinator", "worker", "everything"])
        if what == "worker":
            workers = self._at_work(process)
            if workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._random.choice(workers).kill()
        elif what == "everything":
            kill_tree(process)
        else:
            process.kill()
            process.wait()
        self.killed[what] += 1
        self._say(f"killed: {what}, at {self._done()} done")
        return process if what == "worker" else self._start(resume=True)

    def _at_work(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        try:
            children = psutil.Process(process.pid).children()
            return [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        except psutil.Error:
            return []

    def _done(self) -> int:
        store = open_fleet_store(environ=self._fleet.environment)
        try:
            run = store.unfinished("trial", "up") or next(iter(store.runs("trial")), None)
            done = ("changed", "unchanged")
            return sum(1 for one in store.outcomes(run) if one.status in done) if run is not None else 0
        finally:
            store.close()


def causes(fleet: LocalFleet) -> dict[str, str]:
    """What the command told of each tenant that failed."""
    store = open_fleet_store(environ=fleet.environment)
    run = store.runs("trial")[0]
    told = {one.key: one.failure.message for one in store.outcomes(run) if one.failure is not None}
    store.close()
    return told


def lost(fleet: LocalFleet, held: dict[str, Held]) -> int:
    """Tenants with a live secret that nobody has, or whose kept secret does not sign in."""

    def is_lost(key: str) -> bool:
        there = held[key].secrets
        return there > 0 and not fleet.works(key)

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(is_lost, held))


def main() -> int:
    """Prints the line, and the causes; 0 when all is as it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where to work, kept afterwards (default: a temporary one)")
    arguments = parser.parse_args()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"  {time.monotonic() - began:6.0f} s  {line}", file=sys.stderr, flush=True)

    with contextlib.ExitStack() as closing:
        folder = arguments.folder or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="weather-")))
        folder.mkdir(parents=True, exist_ok=True)
        sandbox = closing.enter_context(Sandbox(folder / "sandbox"))
        fleet = LocalFleet(sandbox, folder, arguments.tenants)
        keys = random.Random(arguments.seed).sample(sorted(fleet.tenants), len(TROUBLES))
        for key, trouble in zip(keys, TROUBLES, strict=True):
            trouble.begin(fleet, key)
        sandbox.set_faults(rules(fleet.tenants[keys[-1]], arguments.seed), replication_delay=REPLICATION_SECONDS)
        course = Course(fleet, kills=arguments.kills, workers=arguments.workers, seed=arguments.seed, say=say)
        course.go()
        sandbox.clear_faults()
        told = causes(fleet)
        healthy = fleet.held(without=keys)
        right = sum(held.right for held in healthy.values())
        duplicates = sum(held.duplicates for held in healthy.values())
        missing = lost(fleet, healthy)
    failed = arguments.tenants - right
    counts = f"right {right} failed {failed} duplicates {duplicates} lost {missing}"
    print(f"fleet-weather tenants {arguments.tenants} {counts}")
    true = True
    for key, trouble in zip(keys, TROUBLES, strict=True):
        said = told.get(key, "nothing")
        true = true and trouble.told in said
        print(f"  {key}: {trouble.about}: {'told' if trouble.told in said else 'NOT TOLD'}: {said}")
    others = sorted(set(told) - set(keys))
    for key in others:
        print(f"  {key}: should have been made: {told[key]}")
    print(f"  killed {json.dumps(course.killed)}, {time.monotonic() - began:.0f} s, exit code {course.code}")
    wanted = arguments.tenants - len(TROUBLES)
    return int(not (right == wanted and not duplicates and not missing and true and not others))


if __name__ == "__main__":
    sys.exit(main())
