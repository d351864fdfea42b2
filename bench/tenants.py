"""What the number of tenants costs in the local tenant: making them, starting with them, signing in among them.

Prints one line for each figure. The tenants that sign in are spread over all that are there, as a fleet's are.
"""

from __future__ import annotations

import argparse
import random
import ssl
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from provision.sandbox import Sandbox, Tenant

_SAMPLE = 60


def main() -> None:
    """Measures with 1, 1,000 and 5,000 tenants unless told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 1000, 5000])
    sizes = parser.parse_args().sizes
    with tempfile.TemporaryDirectory(prefix="provision-tenants-") as folder:
        for size in sizes:
            _measure(Path(folder), size)


def _measure(folder: Path, size: int) -> None:
    with Sandbox(folder / "server") as server:
        missing = size - server.status()["tenants"]
        began = time.perf_counter()
        server.new_tenants(missing, "customer")
        made = time.perf_counter() - began
        if missing > 0:
            print(f"tenants {size} made {missing} in {made:.1f} s ({made / missing * 1000:.1f} ms each)", flush=True)
        tenants = [Tenant(**row) for row in server.control.ask("GET", "tenants")]
    began = time.perf_counter()
    with Sandbox(folder / "server") as server:
        started = time.perf_counter() - began
        tokens, reads = _sign_in(server, random.Random(0).choices(tenants, k=_SAMPLE))
        memory = _resident(server.pid)
    weight = (folder / "server" / "tenants.sqlite").stat().st_size / size / 1024
    print(
        f"tenants {size} start {started:.2f} s token {tokens:.1f} ms read {reads:.1f} ms memory {memory:.0f} MiB "
        f"disk {weight:.0f} KiB each",
        flush=True,
    )


def _sign_in(server: Sandbox, tenants: list[Tenant]) -> tuple[float, float]:
    """Medians of a token and of a Graph request, milliseconds."""
    tokens, reads = [], []
    trusted = ssl.create_default_context(cafile=str(server.ca_file))
    with httpx.Client(base_url=server.base_url, verify=trusted, trust_env=False, timeout=60) as client:
        for tenant in tenants:
            form = {
                "grant_type": "client_credentials",
                "client_id": tenant.admin_client_id,
                "client_secret": tenant.admin_client_secret,
                "scope": "https://graph.microsoft.com/.default",
            }
            began = time.perf_counter()
            answer = client.post(f"/{tenant.tenant_id}/oauth2/v2.0/token", data=form).raise_for_status()
            tokens.append(time.perf_counter() - began)
            headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            began = time.perf_counter()
            client.get("/v1.0/applications?$select=id,appId", headers=headers).raise_for_status()
            reads.append(time.perf_counter() - began)
    return statistics.median(tokens) * 1000, statistics.median(reads) * 1000


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
