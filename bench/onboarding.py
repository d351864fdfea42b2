"""Onboarding of many new tenants: a shell loop of plain ``pulumi up`` against a fleet's run with warm workers.

``onboarding ratio X goal 3.0`` is seconds per tenant of the loop (measured on a sample) over seconds per tenant of the
run. Beside it: where the processor's time goes, and how busy both cores were. The local tenant runs on the same cores
and its share is in both figures. Every tenant of the run is looked at afterwards: it was made, and once.
"""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from trial import ROOT, Trial

from provision.fleet.coordinator import Coordinator
from provision.fleet.executors import Executor, LocalExecutor
from provision.fleet.outcome import Outcome
from provision.fleet.store import open_fleet_store
from provision.fleet.tenant import CredentialReference, Tenant
from provision.sandbox import Sandbox

GOAL = 3.0
_FLEET = "customers"


@dataclass
class Times:
    """What something took."""

    tenants: int
    wall: float
    """Seconds."""
    processor: dict[str, float] = field(default_factory=dict)
    """Seconds of processor time, by who used them."""
    costs: str = ""
    """What one tenant costs besides, in words."""

    @property
    def each(self) -> float:
        """Seconds for each tenant."""
        return self.wall / self.tenants

    @property
    def busy(self) -> float:
        """How much of all cores was used by this."""
        return sum(self.processor.values()) / (self.wall * (os.cpu_count() or 1))

    def profile(self) -> str:
        """Processor time for each tenant, in words."""
        parts = [f"{name} {seconds / self.tenants:.2f} s" for name, seconds in self.processor.items()]
        total = sum(self.processor.values()) / self.tenants
        return f"{total:.2f} s of processor time for each tenant ({', '.join(parts)}), cores busy {self.busy:.0%}"


def loop(sandbox: Sandbox, folder: Path, count: int) -> Times:
    """A shell loop as somebody would write it: a stack, its settings, ``pulumi up``, one tenant after the other."""
    trials = [Trial(sandbox, folder / str(number)) for number in range(count)]
    scripts = []
    for trial in trials:
        line, environment = trial.pulumi()
        settings = " ".join(f"--plaintext {shlex.quote(f'{key}={value}')}" for key, value in trial.settings().items())
        script = "; ".join(
            [
                "set -e",
                f"{line[0]} stack init customer",
                f"{line[0]} config set-all {settings}",
                f"{line[0]} up --yes --skip-preview --non-interactive",
            ]
        )
        scripts.append((trial, script, environment))
    served, used, began = _server(sandbox), _children(), time.monotonic()
    for trial, script, environment in scripts:
        done = trial.run(["sh", "-c", script], environment)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
    wall = time.monotonic() - began
    processor = {"pulumi and all it starts": _children() - used, "local tenant": _server(sandbox) - served}
    for trial in trials:
        trial.close()
    return Times(count, wall, processor)


def run(sandbox: Sandbox, folder: Path, count: int, workers: int) -> Times:
    """A fleet's run with worker processes of this machine, from the first worker's start to the last tenant's end."""
    folder.mkdir()
    rows = list(_rows(sandbox, count))
    _become(sandbox, folder)
    store = open_fleet_store(f"sqlite:///{folder / 'fleet.db'}")
    begun = store.begin(_FLEET, "up", rows, {})
    outcomes: list[Outcome] = []
    served, own, began = _server(sandbox), _own(), time.monotonic()
    executor: Executor = LocalExecutor(workers, settings={"PROVISION_FLEET_STORE": f"sqlite:///{folder / 'fleet.db'}"})
    try:
        executor.require(begun)
        Coordinator(store, begun, executor, ended=outcomes.append).work()
        wall = time.monotonic() - began
        processor = {"coordinator": _own() - own, **_family(), "local tenant": _server(sandbox) - served}
    finally:
        executor.close()
    _require_all_right(sandbox, outcomes, rows)
    store.close()
    return Times(count, wall, processor, _unit_costs(sandbox, folder / "data" / "state", rows))


def _rows(sandbox: Sandbox, count: int) -> list[Tenant]:
    rows = []
    for number in range(count):
        made = sandbox.new_tenant()
        os.environ[f"SECRET_{number}"] = made.admin_client_secret
        own = CredentialReference("own", "client-secret", made.admin_client_id, f"env:SECRET_{number}")
        settings = {"redirectUri": f"{sandbox.base_url}/ACME/Services/Office365Callback.aspx"}
        rows.append(Tenant(f"t{number}", made.tenant_id, company_code="ACME", credential=own, settings=settings))
    return rows


def _become(sandbox: Sandbox, folder: Path) -> None:
    """Makes this process, whose environment the workers inherit, one that works on the local tenant."""
    for name in [name for name in os.environ if name.startswith(("ARM_", "AZURE_", "PULUMI_"))]:
        del os.environ[name]
    os.environ |= {
        "PROVISION_DATA": str(folder / "data"),
        "SSL_CERT_FILE": str(sandbox.ca_file),
        "REQUESTS_CA_BUNDLE": str(sandbox.ca_file),
        "ARM_METADATA_HOSTNAME": sandbox.base_url.removeprefix("https://"),
    }


def _family() -> dict[str, float]:
    """What the workers, their templates and the engines have used; those that have ended are in their parents' time."""
    used: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        try:
            line, times = process.cmdline(), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        if "provision.engine.template" in line:
            used["loading the template"] += times.user + times.system
            used["programs and plugins"] += times.children_user + times.children_system
        elif any("spawn_main" in word for word in line):
            used["workers: sign-in, pre-flight, store"] += times.user + times.system
            used["engines"] += times.children_user + times.children_system
    return dict(used)


def _require_all_right(sandbox: Sandbox, outcomes: list[Outcome], rows: list[Tenant]) -> None:
    """Every tenant was made, once.

    Raises:
        RuntimeError: one was not.
    """
    wrong = [outcome for outcome in outcomes if outcome.status != "changed" or outcome.changes.get("create", 0) < 5]
    if wrong or len(outcomes) != len(rows):
        raise RuntimeError(f"{len(outcomes)} of {len(rows)} tenants ended; wrong: {wrong[:3]}")
    posts = Counter(
        (request["tenant"], request["path"])
        for request in sandbox.log()
        if request["method"] == "POST" and request["path"] == "/v1.0/applications" and request["status"] == 201
    )
    twice = [tenant for (tenant, _), count in posts.items() if count > 1]
    if twice:
        raise RuntimeError(f"made twice in {twice[:3]}")


def _unit_costs(sandbox: Sandbox, state: Path, rows: list[Tenant]) -> str:
    """Requests to Microsoft, writes among them, and the state's size, for each tenant."""
    ours = {row.tenant for row in rows}
    asked = [one for one in sandbox.log() if one["tenant"] in ours and not one["path"].startswith("/_")]
    writes = [one for one in asked if one["method"] != "GET" and one["path"].startswith("/v1.0/")]
    batches = [one for one in writes if one["path"].endswith("/$batch")]
    size = sum(file.stat().st_size for file in state.rglob("*") if file.is_file())
    return (
        f"{len(asked) / len(rows):.1f} requests, {(len(writes) - len(batches)) / len(rows):.1f} of them writes, "
        f"{size / len(rows) / 1024:.0f} KiB of Pulumi state"
    )


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _server(sandbox: Sandbox) -> float:
    used = psutil.Process(sandbox.pid).cpu_times()
    return used.user + used.system


def main() -> int:
    """Measures; exit code 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--sample", type=int, default=5, help="tenants of the shell loop")
    parser.add_argument("--workers", type=int, default=3)
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="onboarding-") as name, Sandbox(Path(name, "tenant")) as sandbox:
        folder = Path(name)
        load = os.getloadavg()[0]
        theirs = loop(sandbox, folder / "loop", arguments.sample)
        ours = run(sandbox, folder / "run", arguments.tenants, arguments.workers)
    print(
        f"shell loop of pulumi up: {theirs.each:.2f} s for each tenant (sample of {theirs.tenants}); {theirs.profile()}"
    )
    print(
        f"fleet up, {arguments.workers} warm workers: {ours.each:.2f} s for each tenant ({ours.tenants} of them in "
        f"{ours.wall:.0f} s); {ours.profile()}"
    )
    print(f"a new tenant costs {ours.costs}")
    ratio = theirs.each / ours.each
    less = sum(theirs.processor.values()) / theirs.tenants / (sum(ours.processor.values()) / ours.tenants)
    print(
        f"onboarding ratio {ratio:.2f} goal {GOAL}  (processor time alone: {less:.2f}; {os.cpu_count()} cores, the "
        f"local tenant on the same; load of others at the beginning {load:.1f}; at {commit})"
    )
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
