"""The store in PostgreSQL: what a crash, a lost answer, a pooler's limits and missing rights mean for a run."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
from stores import Postgres

from provision.errors import InvalidInput, NotPermitted, SignInFailed, StateUnavailable, Unreachable
from provision.fleet.outcome import Outcome
from provision.fleet.store import FleetStore, open_fleet_store
from provision.fleet.tenant import Tenant

ROWS = [Tenant(f"t{number}", f"t{number}.example") for number in range(60)]


def opened(url: str, *, patience: float = 60) -> FleetStore:
    return open_fleet_store(environ={"PROVISION_FLEET_STORE": url}, patience=patience)


def test_a_database_that_crashes_and_comes_back_is_waited_for_and_nothing_is_lost(postgres: Postgres) -> None:
    url = postgres.url(postgres.database())
    store = opened(url)
    run = store.begin("north", "up", ROWS, {})
    over, failures = threading.Event(), list[BaseException]()

    def work() -> None:
        mine = opened(url)
        try:
            while not over.is_set() and (left := mine.left(run)):
                for key in left[:5]:
                    if claim := mine.claim(run.id, key):
                        mine.beat(claim)
                        time.sleep(0.02)
                        mine.finish(claim, Outcome(key, "up", "changed", attempt=claim.attempt))
        except BaseException as failure:
            failures.append(failure)
        finally:
            mine.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(2):
        done = len(store.left(run))
        while len(store.left(run)) > done - 5:
            time.sleep(0.02)
        postgres.crash()
        time.sleep(0.5)
        postgres.start()
    for worker in workers:
        worker.join(90)
    over.set()
    assert not failures
    assert store.left(run) == []
    assert {(outcome.status, outcome.attempt) for outcome in store.outcomes(run)} == {("changed", 1)}
    store.close()


def test_a_database_that_stays_away_is_one_sentence_within_the_stores_patience(postgres: Postgres) -> None:
    store = opened(postgres.url(postgres.database()), patience=1.5)
    run = store.begin("north", "up", ROWS, {})
    postgres.crash()
    try:
        began = time.monotonic()
        with pytest.raises(Unreachable, match=f"127.0.0.1:{postgres.port}") as refused:
            store.claim(run.id, "t1")
        assert 0.5 < time.monotonic() - began < 5
        assert "correct" not in str(refused.value)  # the password
    finally:
        postgres.start()
    assert store.claim(run.id, "t1") is not None
    store.close()


def test_an_answer_that_is_lost_after_the_commit_does_nothing_twice(postgres: Postgres) -> None:
    """The server commits, the connection dies, and the store cannot know: it tries again and finds what it did."""
    with Cutting(postgres.port) as wire:
        database = postgres.database()
        store = opened(postgres.url(database).replace(f":{postgres.port}/", f":{wire.port}/"))
        with wire.cut_after_commit():
            run = store.begin("north", "up", ROWS, {})
        assert [found.id for found in store.runs("north")] == [run.id]
        with wire.cut_after_commit():
            claim = store.claim(run.id, "t1")
        assert claim is not None
        assert (claim.token, claim.attempt) == (1, 1)
        with wire.cut_after_commit():
            store.keep("north", "t1", {"instanceId": "i"}, claim)
        with wire.cut_after_commit():
            store.finish(claim, Outcome("t1", "up", "changed"))
        with wire.cut_after_commit():
            store.record(run.id, [Outcome("t2", "up", "failed")])
        with wire.cut_after_commit():
            store.end(run)
        assert wire.cuts == 6
        assert [outcome.status for outcome in store.outcomes(run)] == ["changed", "failed"]
        assert store.kept("north", "t1") == {"instanceId": "i"}
        store.close()


def test_a_wrong_password_is_told_at_once_and_not_repeated(postgres: Postgres) -> None:
    began = time.monotonic()
    with pytest.raises(SignInFailed, match="refuses the sign-in") as refused:
        opened(postgres.url("postgres", password="wr:ong/p@ss"))
    assert time.monotonic() - began < 3
    for part in ("wr:ong", "p@ss", quote("wr:ong/p@ss", safe="")):
        assert part not in str(refused.value)


def test_an_address_where_nobody_answers_is_told_soon() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        began = time.monotonic()
        with pytest.raises(Unreachable, match="Connection refused"):
            opened(f"postgres://u:secret@127.0.0.1:{nobody.getsockname()[1]}/db")
        assert time.monotonic() - began < 10


def test_tls_is_required_unless_the_url_says_otherwise(postgres: Postgres) -> None:
    with pytest.raises(Unreachable, match="No trusted TLS connection"):
        opened(postgres.url(postgres.database()).replace("?sslmode=disable", ""))


def test_a_password_on_the_command_line_is_refused(postgres: Postgres) -> None:
    with pytest.raises(InvalidInput, match="password") as refused:
        open_fleet_store(postgres.url("postgres"), environ={})
    assert "PROVISION_FLEET_STORE" in refused.value.remedy


def test_the_password_may_stand_in_libpqs_own_variable(postgres: Postgres) -> None:
    url = f"postgresql://admin@127.0.0.1:{postgres.port}/{postgres.database()}?sslmode=disable"
    store = open_fleet_store(url, environ={"PGPASSWORD": postgres.password})
    assert store.runs("north") == []
    store.close()


def test_a_role_without_rights_is_told_what_to_ask_for_and_needs_no_more_than_that(postgres: Postgres) -> None:
    database = postgres.database()
    role = f"fleet_{database}"
    with postgres.admin(database) as connection:
        connection.execute(f"create role {role} login password 'fleet'".encode())
    url = postgres.url(database, user=role, password="fleet")
    with pytest.raises(NotPermitted, match="permission denied") as refused:
        opened(url)
    assert "SELECT, INSERT, UPDATE and DELETE" in refused.value.remedy
    opened(postgres.url(database)).close()
    with postgres.admin(database) as connection:
        connection.execute(f"grant select, insert, update, delete on all tables in schema public to {role}".encode())
    store = opened(url)
    run = store.begin("north", "up", ROWS, {})
    claim = store.claim(run.id, "t1")
    assert claim is not None
    store.keep("north", "t1", {"a": 1}, claim)
    store.finish(claim, Outcome("t1", "up", "changed"))
    store.end(run)
    assert store.prune("north", keep_runs=1) == 0
    store.close()


def test_a_read_only_standby_is_no_place_for_a_run(postgres: Postgres) -> None:
    database = postgres.database()
    opened(postgres.url(database)).close()
    store = opened(postgres.url(database, default_transaction_read_only="on"))
    with pytest.raises(StateUnavailable, match="read-only") as refused:
        store.begin("north", "up", ROWS, {})
    assert "target_session_attrs" in refused.value.remedy
    store.close()


class Cutting:
    """A wire to the server that can lose its answer to a commit: the server has done it, the client never hears."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cuts = 0
        self._cut = threading.Event()
        self._committing: set[socket.socket] = set()

    def __enter__(self) -> Cutting:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()

    @contextmanager
    def cut_after_commit(self) -> Iterator[None]:
        self._cut.set()
        yield
        assert not self._cut.is_set(), "nothing was committed"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server))
            threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(client, server), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while asked := client.recv(65536):
                if b"COMMIT" in asked and self._cut.is_set():
                    self._cut.clear()
                    self._committing.add(client)
                server.sendall(asked)
        except OSError:
            pass
        server.close()

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while said := server.recv(65536):
                if client in self._committing:
                    self.cuts += 1
                    client.shutdown(socket.SHUT_RDWR)
                    break
                client.sendall(said)
        except OSError:
            pass
        client.close()
