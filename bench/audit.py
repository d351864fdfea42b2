"""``fleet audit`` of many unchanged tenants against a loop of ``pulumi preview``: time, requests, memory.

The tenants' registrations are made through Graph alone (``registered``), as the engine would make them; those of the
loop by the engine itself. The audit is the command as a user runs it, start-up, fleet file and store included; the loop
is measured on a sample and stated. The local tenant answers both on the same machine and takes its share of the cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
from fleets import LocalFleet
from registered import Registrar
from trial import Trial, trusting

from provision.fleet.outcome import Outcome
from provision.fleet.source import read_fleet
from provision.fleet.store import open_fleet_store
from provision.sandbox import Sandbox

FEWER, SAMPLE = 100, 5
MAKERS = 4
Line = Callable[[str, float, float, str], bool]


def audits(folder: Path, line: Line, *, tenants: int = 1000) -> Iterable[bool]:
    """Runs the comparison and prints its lines.

    Args:
        folder: a new folder for the server, the store and the fleet file.
        line: prints a comparison and says whether its goal is met.
        tenants: how many are audited.
    """
    folder.mkdir(parents=True)
    with Sandbox(folder / "tenant") as sandbox:
        few, many = Fleet(sandbox, folder / "few", FEWER), Fleet(sandbox, folder / "many", tenants)
        few.audit()  # warm: byte code, the server's first requests
        small = few.audit()
        large = many.audit()
        preview = _preview(sandbox, folder / "sample")
    each = large.seconds / tenants
    yield line(
        "audit-time",
        each / preview,
        0.01,
        f"{tenants} tenants in {large.seconds:.1f} s, {each * 1000:.1f} ms each; pulumi preview {preview:.2f} s, "
        f"median of {SAMPLE} tenants: {preview / each:.0f} times faster",
    )
    yield line("audit-requests", large.requests / tenants / 3, 1.0, f"{large.requests / tenants:.3f} a tenant, limit 3")
    yield line(
        "audit-memory",
        large.mebibytes / small.mebibytes,
        1.15,
        f"{small.mebibytes:.0f} MiB for {FEWER} tenants, {large.mebibytes:.0f} MiB for {tenants}",
    )


class Audited:
    """What one run of the command took."""

    def __init__(self, seconds: float, requests: int, mebibytes: float) -> None:
        self.seconds = seconds
        self.requests = requests
        self.mebibytes = mebibytes


class Fleet(LocalFleet):
    """Registered tenants of one server, their fleet file and store.

    Args:
        sandbox: the server.
        folder: a new folder.
        count: how many tenants.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, count: int) -> None:
        folder.mkdir()
        super().__init__(sandbox, folder, count)
        fleet = read_fleet(self.file)
        mine = threading.local()

        def make(row: Any) -> dict[str, Any]:
            if not hasattr(mine, "registrar"):
                mine.registrar = Registrar(sandbox.base_url, trusting(sandbox))
            return dict(mine.registrar.register(self.tenants[row.key], row).document())

        with (
            ThreadPoolExecutor(MAKERS) as makers,
            closing(open_fleet_store(environ=self.environment)) as store,
        ):
            run = store.begin(fleet.name, "up", fleet.tenants, {})
            for row, kept in zip(fleet.tenants, makers.map(make, fleet.tenants), strict=True):
                claim = store.claim(run.id, row.key)
                if claim is None:
                    raise RuntimeError(f"{row.key} is claimed")
                store.keep(fleet.name, row.key, kept, claim)
                store.finish(claim, Outcome(row.key, "up", "changed"))
            store.end(run)

    def audit(self) -> Audited:
        """Runs the command once.

        Raises:
            RuntimeError: a tenant is not unchanged, or the command failed.
        """
        before = len(self.sandbox.log())
        began = time.perf_counter()
        command = self.command("audit", "--json")
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            peak = Peak(running.pid)
            said, complaint = running.communicate()
            seconds = time.perf_counter() - began
        rows = json.loads(said)["tenants"] if running.returncode == 0 else []
        if len(rows) != len(self.tenants) or {row["verdict"] for row in rows} != {"unchanged"}:
            raise RuntimeError(f"exit {running.returncode}: {complaint.decode()[-2000:]}")
        asked = [row for row in self.sandbox.log(before) if "/metadata/" not in row["path"]]
        return Audited(seconds, len(asked), peak.mebibytes())


class Peak:
    """The largest resident memory of a process, looked at every 50 ms."""

    def __init__(self, pid: int) -> None:
        self._most = 0
        self._watching = threading.Thread(target=self._watch, args=(psutil.Process(pid),), daemon=True)
        self._watching.start()

    def _watch(self, process: psutil.Process) -> None:
        try:
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                self._most = max(self._most, process.memory_info().rss)
                time.sleep(0.05)
        except psutil.NoSuchProcess:
            return

    def mebibytes(self) -> float:
        """The peak, once the process has ended."""
        self._watching.join()
        return self._most / 2**20


def _preview(sandbox: Sandbox, folder: Path) -> float:
    """Seconds of one ``pulumi preview`` of an unchanged tenant: the median of a loop over several."""
    seconds = []
    for turn in range(SAMPLE):
        trial = Trial(sandbox, folder / str(turn))
        trial.up().check_returncode()
        plain, environment = trial.pulumi("preview", "--non-interactive", "--stack", "sweep", "--expect-no-changes")
        trial.run(plain, environment).check_returncode()
        began = time.perf_counter()
        trial.run(plain, environment).check_returncode()
        seconds.append(time.perf_counter() - began)
        trial.close()
    return statistics.median(seconds)


def main() -> int:
    """Runs the comparison alone; exit code 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return 0 if all(list(audits(Path(folder) / "audit", _line, tenants=arguments.tenants))) else 1


def _line(name: str, ratio: float, goal: float, note: str) -> bool:
    print(f"{name} ratio {ratio:.4f} goal {goal:.2f}  ({note})", flush=True)
    return ratio <= goal


if __name__ == "__main__":
    sys.exit(main())
