"""``make bench``: comparisons, each made in one run, one line each: ``NAME ratio X goal Y``.

Each figure is the median of several runs that alternate with what they are compared with, so that a machine whose speed
drifts does not decide. Goals are those of docs/architecture.md; a limit is compared as ``figure / limit``.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import gapless
import psutil
from mailboxes import mailboxes
from trial import ROOT, Trial

from provision.sandbox import Sandbox

PAIRS = 7
READY_SECONDS = 2.0
READY_MEBIBYTES = 150.0
DEMO_SECONDS = 60.0
ROTATIONS = 20


def main() -> int:
    """Runs every comparison; exit code 1 when a goal is missed."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        results = [
            up_against_pulumi(Path(folder) / "up"),
            *ready(Path(folder) / "ready"),
            gap(Path(folder) / "gap"),
            demo(),
            *mailboxes(Path(folder) / "mailboxes", line),
        ]
    return 0 if all(results) else 1


def line(name: str, ratio: float, goal: float, note: str) -> bool:
    """Prints a comparison and says whether its goal is met."""
    print(f"{name} ratio {ratio:.2f} goal {goal:.2f}  ({note})", flush=True)
    return ratio <= goal


def up_against_pulumi(folder: Path) -> bool:
    """``provision up`` against plain ``pulumi up`` of the same program and state, when nothing is to be changed."""
    with Sandbox(folder / "tenant") as sandbox:
        trial = Trial(sandbox, folder / "stack", plugin="auto")
        trial.up().check_returncode()
        plain, environment = trial.pulumi("up", "--yes", "--non-interactive", "--stack", "sweep")
        ours = [timed(lambda: trial.up().check_returncode())]
        theirs = [timed(lambda: trial.run(plain, environment).check_returncode())]
        for _ in range(PAIRS):
            ours.append(timed(lambda: trial.up().check_returncode()))
            theirs.append(timed(lambda: trial.run(plain, environment).check_returncode()))
        trial.close()
    ratio = statistics.median(a / b for a, b in zip(ours[1:], theirs[1:], strict=True))
    note = f"provision up {statistics.median(ours[1:]):.2f} s, pulumi up {statistics.median(theirs[1:]):.2f} s"
    return line("up-unchanged", ratio, 1.1, note)


def ready(folder: Path) -> list[bool]:
    """The local tenant's start to its ready line, and its memory then, against their limits."""
    seconds, mebibytes = [], []
    for turn in range(PAIRS):
        sandbox = Sandbox(folder / str(turn))
        seconds.append(timed(sandbox.start))
        mebibytes.append(psutil.Process(sandbox.pid).memory_info().rss / 2**20)
        sandbox.stop()
    start, memory = statistics.median(seconds), statistics.median(mebibytes)
    return [
        line("tenant-ready", start / READY_SECONDS, 1.0, f"{start:.2f} s, limit {READY_SECONDS:.0f} s"),
        line("tenant-memory", memory / READY_MEBIBYTES, 1.0, f"{memory:.0f} MiB, limit {READY_MEBIBYTES:.0f} MiB"),
    ]


def gap(folder: Path) -> bool:
    """Mails that fail while secrets are rotated under weather, of all that are sent (``make sweep`` goes on longer)."""
    found = gapless.under_weather("graph", ROTATIONS, folder, seed=4)
    note = f"{found.failed} of {len(found.sent)} mails failed in {found.rotations} of {ROTATIONS} rotations"
    met = line("rotate-failed-mails", found.failed / len(found.sent), 0.0, note)
    return met and found.rotations == ROTATIONS and not found.orphaned


def demo() -> bool:
    """``make demo`` with the engine cached, against its limit."""
    make = shutil.which("make") or "make"
    seconds = timed(lambda: subprocess.run([make, "demo"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL))
    return line("demo", seconds / DEMO_SECONDS, 1.0, f"{seconds:.1f} s, limit {DEMO_SECONDS:.0f} s")


def timed(work: Callable[[], object]) -> float:
    """Seconds that something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
