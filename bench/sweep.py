"""``make sweep``: SIGKILL at every HTTP request of a run, in turn, then one more run; one line for each sweep.

``NAME points N lost N orphaned N``: points where the run was killed (each request before it took effect and after, its
answer lost; for rotations also each write of the journal and of the places); secrets or registrations lost; objects
left over beside the one registration, principal, grant and secret. ``rotations`` says what a rotation may lose.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import rotations
from trial import Found, Trial

from provision.sandbox import Sandbox

ACTIONS = ("hold_before", "hold_after")
EVERYTHING = {"path": "^/(v1\\.0|beta|metadata|[0-9a-f-]{36})"}


@dataclass(frozen=True)
class Point:
    """One kill and what the run after it ended with."""

    request: int
    action: str
    code: int
    found: Found
    said: str


def points(command: str, action: str, folder: Path, *, plugin: str, only: range | None = None) -> Iterator[Point]:
    """Kills a create at each of its requests in turn, each time in a fresh tenant, and finishes it.

    Args:
        command: ``provision`` (``provision up``), ``fleet`` (``provision fleet up``, whose workers are warm) or
            ``pulumi`` (plain ``pulumi up``).
        action: ``hold_before`` (the request never took effect) or ``hold_after`` (its answer never came).
        folder: where to work.
        plugin: PROVISION_AZUREAD_PLUGIN.
        only: these requests; all without it.
    """
    with Sandbox(folder / "tenant") as sandbox:
        for request in only or count():
            trial = Trial(sandbox, folder / f"{action}-{request}", plugin=plugin)
            try:
                line, environment = prepared(trial, command)
                rule = {"name": "kill", "action": action, "match": EVERYTHING, "after_n": request, "count": 1}
                if not trial.killed_at(line, environment, rule):
                    return
                again = trial.run(line) if command == "fleet" else trial.up()
                found = trial.found() if again.returncode == 0 else Found(0, 0, 0, 0, 0)
                yield Point(request, action, again.returncode, found, again.stderr)
            finally:
                trial.close()


def prepared(trial: Trial, command: str) -> tuple[list[str], dict[str, str]]:
    """The command to kill and its environment."""
    if command == "provision":
        return trial.up_command(), trial.environment
    if command == "fleet":
        return trial.fleet_command(), trial.environment
    line, environment = trial.pulumi("up", "--yes", "--non-interactive", "--stack", "sweep")
    trial.run([line[0], "stack", "init", "sweep"], environment).check_returncode()
    settings = [word for key, value in trial.settings().items() for word in ("--plaintext", f"{key}={value}")]
    trial.run([line[0], "config", "set-all", "--stack", "sweep", *settings], environment).check_returncode()
    return line, environment


def sweep(command: str, *, plugin: str, verbose: bool) -> bool:
    """One sweep over both actions, side by side; prints its line and says whether nothing was lost or left over."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder, ThreadPoolExecutor(len(ACTIONS)) as pool:
        jobs = [pool.submit(run, command, action, Path(folder) / action, plugin, verbose) for action in ACTIONS]
        killed = [point for job in jobs for point in job.result()]
    lost = [point for point in killed if point.code or point.found.lost]
    orphaned = sum(point.found.orphaned for point in killed)
    for point in lost:
        print(f"lost at {point.action} {point.request}: exit code {point.code}\n{point.said}", file=sys.stderr)
    name = f"create-{command}-up"
    print(f"{name} points {len(killed)} lost {len(lost)} orphaned {orphaned}", flush=True)
    return bool(killed) and not lost and not orphaned


def run(command: str, action: str, folder: Path, plugin: str, verbose: bool) -> list[Point]:
    """All points of one action."""
    done = []
    folder.mkdir()
    for point in points(command, action, folder, plugin=plugin):
        done.append(point)
        if verbose:
            print(f"  {action} {point.request}: exit code {point.code} {point.found}", file=sys.stderr, flush=True)
    return done


def rotation_sweep(name: str, *, plugin: str, verbose: bool) -> bool:
    """One sweep over a rotation, its lanes side by side; prints its line as ``sweep`` does."""
    with tempfile.TemporaryDirectory(prefix="sweep-") as root, ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:

        def lane(number: int, points: Callable[[Path], Iterator[rotations.Point]]) -> list[rotations.Point]:
            done = []
            for point in points(Path(root, str(number))):
                done.append(point)
                if verbose or point.lost or point.orphaned:
                    print(f"  {name} {point}", file=sys.stderr, flush=True)
            return done

        jobs = [pool.submit(lane, *numbered) for numbered in enumerate(ROTATIONS[name](plugin))]
        killed = [point for job in jobs for point in job.result()]
    lost, orphaned = sum(bool(point.lost) for point in killed), sum(point.orphaned for point in killed)
    print(f"{name} points {len(killed)} lost {lost} orphaned {orphaned}", flush=True)
    return bool(killed) and not lost and not orphaned


Lanes = list[Callable[[Path], Iterator[rotations.Point]]]


def _killed(kind: rotations.Kind, plugin: str) -> Lanes:
    return [functools.partial(rotations.points, kind, lane, plugin=plugin) for lane in rotations.LANES]


def _raced(kind: rotations.Kind, plugin: str) -> Lanes:
    return [functools.partial(rotations.races, kind, action, plugin=plugin) for action in ACTIONS]


ROTATIONS: dict[str, Callable[[str], Lanes]] = {
    "rotate-certificate": functools.partial(_killed, "certificate"),
    "rotate-graph": functools.partial(_killed, "graph"),
    "rotate-race": functools.partial(_raced, "graph"),
    "rotate-stack": functools.partial(_killed, "stack"),
}


def main() -> int:
    """Runs the sweeps that were asked for, all without any; exit code 1 when anything was lost or left over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", choices=("pulumi", "provision", "fleet", *ROTATIONS), action="append")
    parser.add_argument("--plugin", default="auto", choices=("auto", "real", "offline"))
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    results = [
        (rotation_sweep if command in ROTATIONS else sweep)(command, plugin=arguments.plugin, verbose=arguments.verbose)
        for command in arguments.command or ["pulumi", "provision", "fleet", *ROTATIONS]
    ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
