"""Runs of `provision fleet up` that are killed, hang, and lose their database: in the end every tenant is right.

Real commands, real worker processes, the real engine; what is right is asked at the local tenant.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from fleets import LocalFleet
from stores import Postgres
from trial import kill_tree

from provision.fleet.store import open_fleet_store
from provision.sandbox import Sandbox

FAST = ("--workers", "2")


def eventually(true: Callable[[], object], process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    """Waits until something is so while a command runs."""
    end = time.monotonic() + seconds
    while not true():
        assert process.poll() is None, "the command ended before"
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)


def begun(fleet: LocalFleet) -> Callable[[], bool]:
    """Whether a registration was made in one of the fleet's tenants since now."""
    since = max((entry["n"] for entry in fleet.sandbox.log()), default=0)
    return lambda: any(
        entry["method"] == "POST" and entry["path"] == "/v1.0/applications" for entry in fleet.sandbox.log(since)
    )


def workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(process.pid).children()
        if "spawn_main" in " ".join(child.cmdline()) and "resource_tracker" not in " ".join(child.cmdline())
    ]


def assert_all_right(fleet: LocalFleet) -> None:
    assert {key: held for key, held in fleet.held().items() if not held.right} == {}


@pytest.mark.parametrize("what", ["coordinator", "everything"])
def test_a_run_whose_coordinator_is_killed_goes_on_where_it_was(sandbox: Sandbox, tmp_path: Path, what: str) -> None:
    """Killed alone, its workers finish what they are at; killed with all it had started, leases run out."""
    fleet = LocalFleet(sandbox, tmp_path, 4)
    seen = begun(fleet)
    process = fleet.start("up", *FAST)
    eventually(seen, process)
    if what == "everything":
        kill_tree(process)
    else:
        process.kill()
        process.wait()
    done = fleet.run("up", "--resume", *FAST)
    assert done.returncode == 0, done.stderr
    assert "going on with run" in done.stderr
    assert_all_right(fleet)
    again = fleet.run("up", "--resume", *FAST)
    assert again.returncode == 0
    assert "4 unchanged" in again.stdout


def test_a_tenant_whose_worker_is_killed_is_tried_again_in_the_same_run(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 3)
    seen = begun(fleet)
    process = fleet.start("up", *FAST)
    eventually(seen, process)
    workers_of(process)[0].kill()
    assert process.wait(timeout=300) == 0, fleet.said
    assert "3 changed" in fleet.said or "2 changed, 1 unchanged" in fleet.said
    assert_all_right(fleet)


def test_a_tenant_that_hangs_is_cut_at_its_limit_and_told_and_the_others_are_done(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 3)
    hanging = fleet.tenants["c0002"].tenant_id
    rule = {"name": "hang", "action": "hold_before", "match": {"path": f"^/{hanging}/oauth2"}}
    sandbox.set_faults([rule])
    try:
        done = fleet.run("up", *FAST, "--time-limit", "40")
    finally:
        sandbox.clear_faults()
    assert done.returncode == 17, done.stderr
    assert "c0002 was not done within 40 seconds" in done.stdout
    assert "1 tenant failed; the others are done" in done.stderr
    held = fleet.held()
    assert held["c0001"].right
    assert held["c0003"].right
    assert held["c0002"].applications == 0


def test_an_interrupted_run_finishes_what_it_is_at_and_goes_on_later(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 4)
    seen = begun(fleet)
    process = fleet.start("up", *FAST)
    eventually(seen, process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=300) == 12, fleet.said
    assert "stopping: the tenants at work are finished first" in fleet.said
    assert "Traceback" not in fleet.said
    held = list(fleet.held().values())
    assert all(one.right or one.applications == 0 for one in held)
    assert 1 <= sum(one.right for one in held) < 4
    done = fleet.run("up", "--resume", *FAST)
    assert done.returncode == 0, done.stderr
    assert_all_right(fleet)


def test_an_older_run_that_goes_on_puts_no_old_value_back(sandbox: Sandbox, tmp_path: Path) -> None:
    """Killed, the fleet file corrected, run anew: whoever goes on with the killed run then gets nothing of it."""
    fleet = LocalFleet(sandbox, tmp_path, 2)
    process = fleet.start("up", *FAST)
    store = open_fleet_store(environ=fleet.environment)
    eventually(lambda: store.runs("trial"), process)
    kill_tree(process)
    (older,) = store.runs("trial")
    fleet.file.write_text(fleet.file.read_text().replace("companyCode: C000", "companyCode: N000"))
    newer = fleet.run("up", *FAST)
    assert newer.returncode == 0, newer.stderr
    assert_all_right(fleet)
    since = max(entry["n"] for entry in sandbox.log())
    resumed = fleet.run("up", "--resume", older.id, *FAST)
    assert resumed.returncode == 17, resumed.stderr
    assert f"is newer than {older.id} and has other settings for it" in resumed.stdout
    ours = {tenant.tenant_id for tenant in fleet.tenants.values()}
    assert [entry for entry in sandbox.log(since) if entry["tenant"] in ours] == [], "nobody was even asked"
    again = fleet.run("up", "--resume", *FAST)
    assert again.returncode == 0, again.stderr
    assert "2 unchanged" in again.stdout
    store.close()


def test_a_run_outlives_its_database(sandbox: Sandbox, tmp_path: Path, postgres: Postgres) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 3, store=postgres.url(postgres.database()))
    seen = begun(fleet)
    process = fleet.start("up", *FAST)
    eventually(seen, process)
    postgres.crash()
    time.sleep(3)
    postgres.start()
    assert process.wait(timeout=300) == 0, fleet.said
    assert_all_right(fleet)


def test_two_coordinators_never_work_on_one_tenant(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 3)
    one = fleet.start("up", *FAST)
    other = fleet.start("up", *FAST)
    assert one.wait(timeout=300) == 0, fleet.said
    assert other.wait(timeout=300) == 0, fleet.said
    assert_all_right(fleet)
    ids = {tenant.tenant_id for tenant in fleet.tenants.values()}
    made = [
        entry["tenant"]
        for entry in sandbox.log()
        if entry["path"].endswith("/addPassword") and entry["status"] == 200 and entry["tenant"] in ids
    ]
    assert sorted(made) == sorted(ids)


def test_a_certificate_that_nobody_trusts_is_one_cause_of_a_small_fleet_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """Far fewer tenants than it takes to stop a run that looks; as behind a proxy that breaks TLS open."""
    fleet = LocalFleet(sandbox, tmp_path, 6)
    trust = {name: fleet.environment.pop(name) for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    done = fleet.run("audit")
    assert done.returncode == 7, done.stderr
    assert "One cause hits every tenant (Unreachable). The TLS certificate of" in done.stderr
    fleet.environment |= trust
    assert fleet.run("audit", "--resume").returncode == 15, "all six are new"


def test_a_wrong_secret_fails_its_own_tenant_with_the_true_cause(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 2)
    fleet.write(fleet.tenants, wrong={"c0001": "nonsense"})
    done = fleet.run("up", *FAST, "--csv", "out.csv")
    assert done.returncode == 17, done.stderr
    assert "is wrong (AADSTS7000215)" in done.stdout
    assert fleet.held()["c0002"].right
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows[0].startswith("key,action,status")
    assert rows[1].startswith("c0001,up,failed")
    assert rows[2].startswith("c0002,up,changed")
