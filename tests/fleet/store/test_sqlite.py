"""The store in a file: who may read it, where it may be, and what a damaged or a newer one means."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from sqlalchemy import text

from provision.errors import InvalidInput, StateUnavailable, Unreachable
from provision.fleet.outcome import Outcome
from provision.fleet.store import FleetStore, database, open_fleet_store, sqlite
from provision.fleet.store.tables import METADATA, SCHEMA
from provision.fleet.tenant import Tenant

ROW = Tenant("t0", "t0.example")


def opened(file: Path) -> FleetStore:
    return open_fleet_store(f"sqlite://{file}", environ={})


def test_without_a_url_it_is_in_the_users_data_directory_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_fleet_store(environ={"PROVISION_DATA": str(tmp_path / "data")})
        store.begin("north", "up", [ROW], {})
    finally:
        os.umask(before)
    files = sorted((tmp_path / "data").iterdir())
    assert [file.name for file in files] == ["fleet.db", "fleet.db-shm", "fleet.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
    assert store.shown == str(tmp_path / "data" / "fleet.db")
    store.close()


def test_the_command_line_wins_over_the_variable(tmp_path: Path) -> None:
    environ = {"PROVISION_FLEET_STORE": f"sqlite://{tmp_path}/b.db"}
    assert open_fleet_store(f"sqlite:///{tmp_path}/a.db", environ=environ).shown == f"{tmp_path}/a.db"
    assert open_fleet_store(environ=environ).shown == f"{tmp_path}/b.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite://fleet.db", "sqlite:fleet.db", "fleet.db", "mysql://host/db"])
def test_an_address_that_is_none_is_told_how_to_write_one(url: str) -> None:
    with pytest.raises(InvalidInput, match="store") as refused:
        open_fleet_store(url, environ={})
    assert "sqlite:///" in refused.value.remedy


@pytest.mark.parametrize("folder", ["typo", "typo/deeper"])
def test_a_folder_that_is_not_there_is_told_and_not_made(tmp_path: Path, folder: str) -> None:
    with pytest.raises(InvalidInput, match=f"in the folder {tmp_path}/{folder}, which is not there") as refused:
        opened(tmp_path / folder / "fleet.db")
    assert f"mkdir -p -m 700 {tmp_path}/{folder}" in refused.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_data_directory_that_is_named_from_here_lies_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(open_fleet_store(environ={"PROVISION_DATA": "deep/data"})) as store:
        assert store.shown == str(tmp_path / "deep" / "data" / "fleet.db")


def test_a_data_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match="file/data for the fleet's store cannot be made"):
        open_fleet_store(environ={"PROVISION_DATA": str(tmp_path / "file" / "data")})


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    file.touch(0o644)
    with pytest.raises(StateUnavailable, match="by others") as refused:
        opened(file)
    assert refused.value.remedy == f"chmod 600 {file}"


def test_a_place_where_no_file_can_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnavailable, match="cannot be made"):
        opened(tmp_path / "file" / "fleet.db")
    with pytest.raises(StateUnavailable, match="cannot be made or opened"):
        opened(tmp_path)


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    file.write_bytes(b"not a database, but something dear to somebody" * 100)
    file.chmod(0o600)
    with pytest.raises(StateUnavailable, match="not an SQLite database"):
        opened(file)
    assert file.read_bytes().startswith(b"not a database")


def test_a_damaged_file_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "fleet.db"
    store = opened(file)
    run = store.begin("north", "up", [Tenant(f"t{number}", "x") for number in range(2000)], {})
    store.close()
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(StateUnavailable, match="is damaged") as refused:
        list(opened(file).tenants_of(run))
    assert "backup" in refused.value.remedy


@pytest.mark.parametrize(("kind", "refused"), [("nfs4", True), ("fuse.sshfs", True), ("cifs", True), ("ext4", False)])
def test_a_network_file_system_is_no_place_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    mounted = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(tmp_path), fstype=kind)]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounted)
    if refused:
        with pytest.raises(StateUnavailable, match=f"network file system .{kind}."):
            opened(tmp_path / "fleet.db")
    else:
        opened(tmp_path / "fleet.db").close()


def test_a_transaction_of_another_program_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAIT", 0.1)
    file = tmp_path / "fleet.db"
    store = open_fleet_store(f"sqlite://{file}", environ={}, patience=1)
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")
    assert store.runs("north") == []
    with pytest.raises(Unreachable, match="does not let go"):
        store.begin("north", "up", [ROW], {})
    threading.Timer(0.4, other.rollback).start()
    assert store.begin("north", "up", [ROW], {}) == store.unfinished("north", "up")
    store.close()


def test_a_forked_process_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """Pebble's workers may be forks; SQLite's documentation, "How To Corrupt": not across a fork."""
    script = f"""
import os, sys
from provision.fleet.store import open_fleet_store
from provision.fleet.tenant import Tenant
store = open_fleet_store("sqlite://{tmp_path}/fleet.db", environ={{}})
run = store.begin("north", "up", [Tenant("t0", "x"), Tenant("t1", "x")], {{}})
mine = store._database._ours()
child = os.fork()
if child == 0:
    os._exit(0 if store._database._ours() is not mine and store.claim(run.id, "t0") else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert store._database._ours() is mine
assert store.claim(run.id, "t1")
"""
    subprocess.run([sys.executable, "-W", "error::ResourceWarning", "-c", script], check=True)


# The tables' version


def test_tables_of_a_newer_toolkit_are_left_alone(store: FleetStore, address: str) -> None:
    store._database.write(lambda connection, _again: connection.execute(SCHEMA.update().values(version=99)) and None)
    with pytest.raises(StateUnavailable, match="newer version of this toolkit") as refused:
        open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    assert "--upgrade" in refused.value.remedy


def test_older_tables_are_brought_up_to_date_with_what_is_in_them(
    store: FleetStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.begin("north", "audit", [ROW], {})
    monkeypatch.setattr(database, "VERSION", database.VERSION + 2)
    steps = {
        database.VERSION - 2: ("alter table provision_fleet_runs add column started_by text",),
        database.VERSION - 1: ("update provision_fleet_runs set started_by = 'somebody'",),
    }
    monkeypatch.setattr(database, "STEPS", steps)
    newer = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    newer.record(run.id, [Outcome("t0", "audit", "unchanged")])
    assert newer.left(run) == []
    assert _one(newer, "select started_by from provision_fleet_runs") == "somebody"
    assert _one(newer, "select version from provision_fleet_schema") == database.VERSION
    newer.close()


def test_a_step_that_fails_leaves_the_tables_as_they_were(
    store: FleetStore, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "VERSION", database.VERSION + 1)
    broken = ("alter table provision_fleet_runs add column started_by text", "update nowhere set a = 1")
    monkeypatch.setattr(database, "STEPS", {database.VERSION - 1: broken})
    with pytest.raises(StateUnavailable, match="nowhere"):
        open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    assert _one(store, "select version from provision_fleet_schema") == database.VERSION - 1
    with pytest.raises(StateUnavailable, match="started_by"):
        _one(store, "select started_by from provision_fleet_runs")


def test_tables_are_made_once_by_many_at_the_same_moment(address: str) -> None:
    together, failures = threading.Barrier(8), list[BaseException]()

    def first() -> None:
        together.wait()
        try:
            open_fleet_store(environ={"PROVISION_FLEET_STORE": address}).close()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    store = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    assert _one(store, "select count(*) from provision_fleet_schema") == 1
    store.close()


def test_every_table_says_whose_it_is() -> None:
    assert all(name.startswith("provision_fleet_") for name in METADATA.tables)


def _one(store: FleetStore, statement: str) -> object:
    return store._database.read(lambda connection, _again: connection.execute(text(statement)).scalar_one())
