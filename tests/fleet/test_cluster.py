"""A fleet on a Dask cluster: a real scheduler and real workers, each a process with a machine's own data."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cluster import Cluster
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fleets import LocalFleet
from stores import Postgres
from test_runs import assert_all_right, begun, eventually

from provision.fleet.store import open_fleet_store
from provision.sandbox import Sandbox

TRUST = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


@pytest.fixture
def fleet(sandbox: Sandbox, tmp_path: Path, postgres: Postgres) -> LocalFleet:
    """Runs and state are kept in PostgreSQL, so that no worker needs another's disk."""
    return LocalFleet(
        sandbox,
        tmp_path,
        3,
        store=postgres.url(postgres.database()),
        environ={"PULUMI_BACKEND_URL": postgres.url(postgres.database()), "PULUMI_CONFIG_PASSPHRASE": "of the fleet"},
    )


def machine(fleet: LocalFleet, number: int) -> dict[str, str]:
    """The environment of a worker's machine: its own disk, the fleet's databases."""
    return {**fleet.environment, "PROVISION_DATA": str(fleet.folder / f"machine-{number}")}


def test_a_worker_that_is_lost_in_the_middle_is_made_up_for(fleet: LocalFleet) -> None:
    with Cluster(0, machine(fleet, 0)) as cluster:
        first, _ = cluster.add(machine(fleet, 1)), cluster.add(machine(fleet, 2))
        seen = begun(fleet)
        process = fleet.start("up", "--scheduler", cluster.address)
        eventually(seen, process)
        cluster.lose(first)
        assert process.wait(timeout=400) == 0, fleet.said
    assert "run " in fleet.said
    assert_all_right(fleet)
    assert list(fleet.folder.glob("machine-2/fleet/trial/logs/*/c*.log"))
    assert not list(fleet.folder.glob("data/fleet/trial/logs/*/c*.log")), "the coordinator's machine did nothing itself"


def test_a_cluster_over_tls_takes_no_stranger(fleet: LocalFleet, tmp_path: Path) -> None:
    ca, certificate, key = _self_signed(tmp_path)
    options = ("--tls-ca-file", ca, "--tls-cert", certificate, "--tls-key", key)
    with Cluster(1, machine(fleet, 1), options=options, protocol="tls") as cluster:
        ours = ("--scheduler", cluster.address, "--tls-ca", ca, "--tls-cert", certificate, "--tls-key", key)
        done = fleet.run("up", "--tenant", "c0001", *ours)
        assert done.returncode == 0, done.stderr
        assert fleet.held()["c0001"].right
        stranger = fleet.run("up", "--tenant", "c0002", "--scheduler", cluster.address)
    assert stranger.returncode in (3, 7), stranger.stderr
    assert "Traceback" not in stranger.stderr
    assert fleet.held()["c0002"].applications == 0


def _self_signed(folder: Path) -> tuple[str, str, str]:
    """One certificate that is its own authority, for the cluster's machines alone, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "cluster.pem", folder / "cluster-key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate), str(certificate), str(private)


def test_a_worker_of_another_version_is_told_in_one_sentence(fleet: LocalFleet) -> None:
    pretended = fleet.folder / "other" / "provision-9.9.9.dist-info"
    pretended.mkdir(parents=True)
    (pretended / "METADATA").write_text("Metadata-Version: 2.1\nName: provision\nVersion: 9.9.9\n")
    environ = {**machine(fleet, 1), "PYTHONPATH": str(pretended.parent)}
    with Cluster(1, environ) as cluster:
        done = fleet.run("up", "--scheduler", cluster.address)
    assert done.returncode == 3
    assert "has provision 9.9.9, and here it is" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_with_another_store_is_told_before_anything_is_done(fleet: LocalFleet) -> None:
    environ = {**machine(fleet, 1), "PROVISION_FLEET_STORE": f"sqlite://{fleet.folder / 'other.db'}"}
    with Cluster(1, environ) as cluster:
        done = fleet.run("up", "--scheduler", cluster.address)
        secret_free = cluster.log.read_text()
    assert done.returncode == 8
    assert "does not use this run's store" in done.stderr
    assert "PROVISION_FLEET_STORE" in done.stderr
    assert "correct:horse" not in secret_free + done.stderr
    assert all(held.applications == 0 for held in fleet.held().values())


def test_a_cluster_that_is_not_there_is_told(fleet: LocalFleet) -> None:
    nobody = fleet.run("up", "--scheduler", "tcp://127.0.0.1:9")
    assert nobody.returncode == 7, nobody.stderr
    assert "The Dask scheduler at tcp://127.0.0.1:9 does not answer: Connection refused." in nobody.stderr
    wrong = fleet.run("up", "--scheduler", "gopher://127.0.0.1:9")
    assert wrong.returncode == 3, wrong.stderr
    assert "Traceback" not in nobody.stderr + wrong.stderr


def test_a_port_that_is_no_schedulers_is_told(fleet: LocalFleet) -> None:
    """It takes calls and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = fleet.run("up", "--scheduler", f"tcp://127.0.0.1:{silent.getsockname()[1]}", timeout=120)
    assert done.returncode == 7, done.stderr
    assert "does not answer: nothing was heard from it in time." in done.stderr


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_a_worker_that_dies_over_the_first_question_is_made_up_for_or_told(fleet: LocalFleet, always: bool) -> None:
    """Its own copy of the package's metadata ends it, as a machine without memory would."""
    mortal = fleet.folder / "mortal"
    mortal.mkdir()
    once = "" if always else f"os.path.exists({str(mortal / 'died')!r}) or "
    (mortal / "sitecustomize.py").write_text(
        "import importlib.metadata as metadata, os, signal\n"
        "version = metadata.version\n"
        "def mortal(name):\n"
        "    if name == 'provision':\n"
        f"        {once}(open({str(mortal / 'died')!r}, 'w').close(), os.kill(os.getpid(), signal.SIGKILL))\n"
        "    return version(name)\n"
        "metadata.version = mortal\n"
    )
    environ = {**machine(fleet, 1), "PYTHONPATH": str(mortal)}
    with Cluster(1, environ) as cluster:
        done = fleet.run("smtp-auth", "--scheduler", cluster.address)
    assert (mortal / "died").exists()
    assert "Traceback" not in done.stderr
    if always:
        assert done.returncode == 7, done.stderr
        assert "The Dask worker tcp://127.0.0.1:" in done.stderr
        assert "ended 3 times while it was asked for its version" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert "3 unchanged" in done.stdout


def test_a_scheduler_that_dies_leaves_a_run_that_goes_on(fleet: LocalFleet) -> None:
    with Cluster(1, machine(fleet, 1)) as cluster:
        seen = begun(fleet)
        process = fleet.start("up", "--scheduler", cluster.address)
        eventually(seen, process)
        cluster.scheduler.kill()
        assert process.wait(timeout=120) == 7, fleet.said
    assert "The Dask scheduler at" in fleet.said
    assert "Traceback" not in fleet.said
    done = subprocess.run(
        fleet.command("up", "--resume", "--workers", "2"),
        cwd=fleet.folder,
        env=fleet.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr
    assert_all_right(fleet)


# Looking, by workers that need no store


def eye(fleet: LocalFleet, number: int) -> dict[str, str]:
    """The environment of a worker's machine that only looks: the credentials are there, the store is not."""
    return {name: value for name, value in machine(fleet, number).items() if name != "PROVISION_FLEET_STORE"}


def asked(fleet: LocalFleet, since: int, path: str = "") -> Counter[str]:
    """How many requests each tenant had, by its key."""
    keys = {tenant.tenant_id: key for key, tenant in fleet.tenants.items()}
    return Counter(
        keys[entry["tenant"]]
        for entry in fleet.sandbox.log(since)
        if entry["tenant"] in keys and entry["path"].endswith(path)
    )


def now(fleet: LocalFleet) -> int:
    return max((entry["n"] for entry in fleet.sandbox.log()), default=0)


@pytest.fixture
def slow(sandbox: Sandbox) -> Iterator[None]:
    """Microsoft Graph takes its time, so that there is a middle in which something can die."""
    sandbox.set_faults([{"action": "delay", "seconds": 0.5, "match": {"path": "batch$"}}])
    yield
    sandbox.clear_faults()


def test_an_audit_and_a_plan_are_looked_at_by_the_workers_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 6)
    fleet.write(fleet.tenants, wrong={"c0002": "nonsense"})
    with Cluster(2, eye(fleet, 1)) as cluster:
        for name in TRUST:  # a coordinator that trusts nobody cannot have looked itself
            del fleet.environment[name]
        since = now(fleet)
        done = fleet.run("audit", "--scheduler", cluster.address, "--json")
        requests = asked(fleet, since)
        planned = fleet.run("plan", "--scheduler", cluster.address, "--json", "--csv", "plan.csv")
    assert done.returncode == 17, done.stderr
    assert planned.returncode == 17, planned.stderr
    told = json.loads(done.stdout)
    assert told["counts"] == {"failed": 1, "pending": 5}
    tenants = {one["key"]: one for one in told["tenants"]}
    assert tenants["c0001"]["verdict"] == "new"
    assert tenants["c0002"]["failure"]["kind"] == "SignInFailed"
    assert {one["action"] for one in json.loads(planned.stdout)["tenants"]} == {"plan"}
    assert json.loads(planned.stdout)["counts"] == {"failed": 1, "pending": 5}
    assert sum(requests.values()) <= 3 * 6 + 2, requests
    assert "nonsense" not in cluster_log(cluster) + done.stderr


def cluster_log(cluster: Cluster) -> str:
    return cluster.log.read_text() if cluster.log.exists() else ""


@pytest.mark.usefixtures("slow")
def test_an_audit_loses_nothing_with_a_worker(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 40)
    with Cluster(0, eye(fleet, 0)) as cluster:
        first, _ = cluster.add(eye(fleet, 1)), cluster.add(eye(fleet, 2))
        since = now(fleet)
        process = fleet.start("audit", "--scheduler", cluster.address, "--at-once", "2")
        eventually(lambda: len(asked(fleet, since, "/token")) > 8, process)
        cluster.lose(first)
        assert process.wait(timeout=200) == 15, fleet.said
    store = open_fleet_store(environ=fleet.environment)
    (run,) = store.runs("trial")
    assert run.ended
    assert store.counts(run) == {"pending": 40}
    assert max(asked(fleet, since, "/token").values()) == 2, "the worker was not lost in the middle"
    assert "Traceback" not in fleet.said


@pytest.mark.usefixtures("slow")
def test_an_audit_whose_scheduler_dies_goes_on_without_it(sandbox: Sandbox, tmp_path: Path) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 12)
    with Cluster(1, eye(fleet, 1)) as cluster:
        since = now(fleet)
        process = fleet.start("audit", "--scheduler", cluster.address, "--at-once", "1")
        eventually(lambda: asked(fleet, since, "/token"), process)
        cluster.scheduler.kill()
        assert process.wait(timeout=120) == 7, fleet.said
    assert "The Dask scheduler at" in fleet.said
    assert "Traceback" not in fleet.said
    store = open_fleet_store(environ=fleet.environment)
    (run,) = store.runs("trial")
    assert store.counts(run) == {"not-tried": 12}
    done = fleet.run("audit", "--resume")
    assert done.returncode == 15, done.stderr
    assert store.counts(run) == {"pending": 12}
    assert len(store.runs("trial")) == 1


@pytest.mark.usefixtures("slow")
def test_an_audit_that_is_stopped_at_once_leaves_the_cluster_and_goes_on_there(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    fleet = LocalFleet(sandbox, tmp_path, 24)
    with Cluster(1, eye(fleet, 1)) as cluster:
        since = now(fleet)
        process = fleet.start("audit", "--scheduler", cluster.address, "--at-once", "1")
        eventually(lambda: asked(fleet, since, "/token"), process)
        process.send_signal(signal.SIGINT)
        eventually(lambda: "stopping:" in fleet.said, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 12, fleet.said
        assert "Traceback" not in fleet.said
        store = open_fleet_store(environ=fleet.environment)
        (run,) = store.runs("trial")
        assert store.counts(run) == {"not-tried": 24}
        sandbox.clear_faults()
        done = fleet.run("audit", "--resume", "--scheduler", cluster.address)
    assert done.returncode == 15, done.stderr
    assert store.counts(run) == {"pending": 24}


def test_a_made_tenant_is_seen_unchanged_by_the_workers_and_left_alone(fleet: LocalFleet) -> None:
    with Cluster(1, machine(fleet, 1)) as cluster:
        made = fleet.run("up", "--scheduler", cluster.address)
        assert made.returncode == 0, made.stderr
        since = now(fleet)
        again = fleet.run("up", "--scheduler", cluster.address, "--json")
        requests = asked(fleet, since)
    assert json.loads(again.stdout)["counts"] == {"unchanged": 3}, again.stderr
    assert sum(requests.values()) <= 3 * 3, requests
