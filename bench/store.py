"""``bench/store.py``: how fast a fleet's store hands out tenants, and how much room runs take, in both databases.

One line each, as in ``bench.py``; a floor is compared as ``floor / figure``. Claims are made as workers make them: one
claim and one outcome for each tenant, each durable before the next begins, by several processes at once. The figures
are those of docs/scale.md.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from sqlalchemy import text

from provision.fleet.outcome import Finding, Outcome
from provision.fleet.store import FleetStore, open_fleet_store
from provision.fleet.tenant import CredentialReference, Tenant

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "servers"))

CLAIMS_PER_SECOND = 200.0
OUTCOMES_PER_SECOND = 2000.0
BYTES_PER_OUTCOME = 1024.0
BYTES_PER_TENANT = 2048.0
WORKERS = 4
CLAIMED = 2000
RECORDED = 10_000


def main() -> int:
    """Measures both; exit code 1 when a goal is missed."""
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-store-") as folder, _server() as url:
        for name, address in (("sqlite", f"sqlite://{folder}/fleet.db"), ("postgres", url)):
            store = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
            results += [claims(name, address, store), *room(name, store)]
            store.close()
    return 0 if all(results) else 1


def claims(name: str, address: str, store: FleetStore) -> bool:
    """Tenants claimed and finished in a second by all workers together."""
    run = store.begin("bench", "up", tenants(CLAIMED), {})
    keys = store.left(run)
    spawn = multiprocessing.get_context("spawn")
    gate, spent = spawn.Barrier(WORKERS + 1), spawn.SimpleQueue()
    started = [
        spawn.Process(target=_work, args=(address, run.id, keys[part::WORKERS], gate, spent)) for part in range(WORKERS)
    ]
    for process in started:
        process.start()
    gate.wait()
    began = time.monotonic()
    for process in started:
        process.join()
    seconds = time.monotonic() - began
    processor = sum(spent.get() for _ in started) / CLAIMED
    each = CLAIMED / seconds
    assert not store.left(run)
    note = f"{each:.0f} tenants claimed and finished in a second, {processor * 1000:.1f} ms of processor time each"
    return line(f"store-claim-{name}", CLAIMS_PER_SECOND / each, 1.0, note)


def room(name: str, store: FleetStore) -> list[bool]:
    """Bytes of a fleet's rows, and of one more run over the same fleet with its outcomes."""
    rows = tenants(RECORDED, fleet="rows")
    before = size(store)
    first = store.begin("room", "audit", rows, {})
    begun = size(store)
    store.record(first.id, (unchanged(tenant.key) for tenant in rows))
    whole = size(store)
    began = time.monotonic()
    second = store.begin("room", "audit", rows, {})
    store.record(second.id, (unchanged(tenant.key) for tenant in rows))
    seconds = time.monotonic() - began
    one, again = (whole - before) / RECORDED, (size(store) - whole) / RECORDED
    each = RECORDED / seconds
    wide = f"{(begun - before) / RECORDED:.0f} bytes before any outcome"
    return [
        line(f"store-tenant-bytes-{name}", one / BYTES_PER_TENANT, 1.0, f"{one:.0f} bytes with a first run, {wide}"),
        line(
            f"store-outcome-bytes-{name}", again / BYTES_PER_OUTCOME, 1.0, f"{again:.0f} bytes for each tenant and run"
        ),
        line(f"store-record-{name}", OUTCOMES_PER_SECOND / each, 1.0, f"{each:.0f} begun and recorded in a second"),
    ]


def size(store: FleetStore) -> int:
    """Bytes of the tables and their indexes, after what is no longer used was taken out."""
    engine = store._database._ours().execution_options(isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("pragma wal_checkpoint(truncate)"))
            pages, page, free = (
                connection.execute(text(f"pragma {name}")).scalar_one()
                for name in ("page_count", "page_size", "freelist_count")
            )
            return (pages - free) * page
        connection.execute(text("vacuum full"))
        statement = "select sum(pg_total_relation_size(oid)) from pg_class where relname like 'provision_fleet_%'"
        return int(connection.execute(text(f"{statement} and relkind = 'r'")).scalar_one())


def tenants(count: int, fleet: str = "claims") -> list[Tenant]:
    """Rows as an MSP has them."""
    return [
        Tenant(
            f"{fleet}-{number:06}",
            f"customer{number:06}.onmicrosoft.com",
            company_code=f"CUSTOMER{number:06}",
            credential=CredentialReference("partner", "client-secret", client_id="env:ID", secret="keyvault:msp/{key}"),
            mailboxes=(f"orders@customer{number:06}.com", f"invoices@customer{number:06}.com"),
            groups=("north", "gold"),
            line=number,
        )
        for number in range(count)
    ]


def unchanged(key: str) -> Outcome:
    """An audit's usual outcome."""
    finding = Finding("secret-expires", "note", "The client secret in use ends on 2027-05-01.", "provision rotate")
    tenant = "0f5c9d0e-6f57-4d5c-a8b0-6a2a1b8a1f11"
    return Outcome(
        key,
        "audit",
        "unchanged",
        verdict="unchanged",
        tenant_id=tenant,
        client_id=tenant,
        secret_ends="2027-05-01T00:00:00Z",
        findings=(finding,),
        seconds=0.41,
        requests=2,
    )


def line(name: str, ratio: float, goal: float, note: str) -> bool:
    """Prints a comparison and says whether its goal is met."""
    print(f"{name} ratio {ratio:.2f} goal {goal:.2f}  ({note})", flush=True)
    return ratio <= goal


def _work(address: str, run: str, keys: list[str], gate: Barrier, spent: SimpleQueue[float]) -> None:
    store = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    gate.wait()
    began = time.process_time()
    for key in keys:
        claim = store.claim(run, key)
        assert claim is not None
        store.finish(claim, Outcome(key, "up", "changed", attempt=claim.attempt))
    spent.put(time.process_time() - began)


@contextlib.contextmanager
def _server() -> Iterator[str]:
    """The PostgreSQL of the tests, with an empty database; durable, as a run's must be."""
    from stores import postgres

    making = postgres.__wrapped__() if hasattr(postgres, "__wrapped__") else postgres.__pytest_wrapped__.obj()
    server = next(making)
    try:
        yield server.url(server.database())
    finally:
        making.close()


if __name__ == "__main__":
    sys.exit(main())
