"""Onboarding by a Dask cluster of this machine: seconds for each tenant with two workers and with four.

``fleet-cluster workers N tenants N seconds X each Y``: from the command's start to its end, with warm-up. Workers and
the local tenant share this machine's cores: more workers than cores show what they cost, not what they gain. Every
tenant is looked at afterwards: it was made, and once.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from cluster import Cluster
from fleets import LocalFleet

from provision.sandbox import Sandbox


def measured(folder: Path, *, workers: int, tenants: int) -> bool:
    """One run; prints its line and says whether every tenant is right."""
    with Sandbox(folder / "sandbox") as sandbox:
        fleet = LocalFleet(sandbox, folder, tenants)
        with Cluster(workers, fleet.environment) as cluster:
            began = time.monotonic()
            done = fleet.run("up", "--scheduler", cluster.address, timeout=7200)
            seconds = time.monotonic() - began
        right = done.returncode == 0 and all(held.right for held in fleet.held().values())
    cores = f"cores {os.cpu_count()} load {os.getloadavg()[0]:.1f}"
    print(
        f"fleet-cluster workers {workers} tenants {tenants} seconds {seconds:.1f} each {seconds / tenants:.2f} "
        f"{cores} right {right}",
        flush=True,
    )
    return right


def main() -> int:
    """Both lines; 0 when every tenant is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4])
    arguments = parser.parse_args()
    right = True
    for workers in arguments.workers:
        with tempfile.TemporaryDirectory(prefix="fleet-cluster-") as folder:
            right = measured(Path(folder), workers=workers, tenants=arguments.tenants) and right
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
