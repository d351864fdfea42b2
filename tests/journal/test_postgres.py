"""A journal in PostgreSQL: what the URL says, what the server refuses, and what a lost connection or a crash leaves."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from stores import Postgres

from provision.errors import InvalidInput, NotPermitted, SignInFailed, StateUnavailable, Unreachable
from provision.journal import Conflict, open_store
from provision.journal.postgres import Database, open_place

KEY = "tenant/client"


def test_a_wrong_password_is_a_failed_sign_in(postgres: Postgres) -> None:
    with pytest.raises(SignInFailed) as refused:
        open_store(postgres.url("postgres", password="wr:ong/p@ss"), {}).read(KEY)
    assert "password authentication failed" in refused.value.message
    assert "PGPASSWORD" in refused.value.remedy
    for part in ("wr:ong", "p@ss", quote("wr:ong/p@ss", safe="")):
        assert part not in str(refused.value)


def test_no_password_at_all_is_a_failed_sign_in(postgres: Postgres) -> None:
    with pytest.raises(SignInFailed, match="no password supplied"):
        open_store(f"postgres://admin@127.0.0.1:{postgres.port}/postgres?sslmode=disable", {}).keys()


def test_the_password_may_come_from_the_environment(postgres: Postgres) -> None:
    database = postgres.database()
    environ = {
        "PGPASSWORD": postgres.password,
        "PGUSER": "admin",
        "PGPORT": str(postgres.port),
        "PGDATABASE": database,
        "PGSSLMODE": "disable",
    }
    store = open_store("postgres://", environ | {"PGHOST": "127.0.0.1"})
    store.write(KEY, {"from": "environment"}, expected=None)
    assert store.shown == f"postgres://admin@127.0.0.1:{postgres.port}/{database}"
    found = open_store(postgres.url(database), environ | {"PGPASSWORD": "the URL wins", "PGPORT": "1"}).read(KEY)
    assert found is not None
    assert found.document == {"from": "environment"}


def test_a_server_that_does_not_answer_is_unreachable(postgres: Postgres) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(Unreachable, match="Connection refused") as refused:
            open_store(f"postgres://u:secret@127.0.0.1:{port}/db", {}).read(KEY)
        assert "secret" not in str(refused.value)
        nobody.listen()
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
            open_store(f"postgres://u:secret@127.0.0.1:{port}/db?connect_timeout=2", {}).read(KEY)
    with pytest.raises(Unreachable, match="nosuch"):
        open_store("postgres://u:secret@nosuch.invalid/db", {}).read(KEY)


def test_a_database_that_is_not_there_is_named(postgres: Postgres) -> None:
    with pytest.raises(StateUnavailable, match="There is no database nosuch") as refused:
        open_store(postgres.url("nosuch"), {}).read(KEY)
    assert "CREATE DATABASE" in refused.value.remedy


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:se@cret/word@host/db",
        "postgres://user:secret@host:port/db",
        "postgres://[user:secret@host/db",
        "postgres://user:secret%zz@host/db",
    ],
)
def test_a_url_that_cannot_be_understood_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be understood") as refused:
        open_store(url, {}).keys()
    assert "cret" not in str(refused.value)


def test_pulumis_own_table_and_session_settings_in_the_url_are_taken(postgres: Postgres) -> None:
    database = postgres.database()
    with postgres.admin(database) as connection:
        connection.execute("create schema journals")
    url = postgres.url(
        database, table="my_state", search_path="journals", timezone="Europe/Vienna", application_name="a b"
    )
    store = open_store(url, {})
    store.write(KEY, {}, expected=None)
    with postgres.admin(database) as connection:
        assert connection.execute("select key from journals.provision_journal").fetchall() == [(KEY,)]
        assert connection.execute("select to_regclass('public.provision_journal')").fetchone() == (None,)


def test_who_may_not_make_the_table_is_told_what_to_ask_for(postgres: Postgres) -> None:
    database = postgres.database()
    user = f"guest_{database}"
    with postgres.admin(database) as connection:
        connection.execute(f"create role {user} login password 'guest'".encode())
    guest = open_store(postgres.url(database, user=user, password="guest"), {})
    assert guest.read(KEY) is None
    with pytest.raises(NotPermitted, match="permission denied") as refused:
        guest.write(KEY, {}, expected=None)
    assert "GRANT" in refused.value.remedy.upper()

    version = open_store(postgres.url(database), {}).write(KEY, {"by": "admin"}, expected=None)
    with pytest.raises(NotPermitted):
        guest.read(KEY)
    with postgres.admin(database) as connection:
        connection.execute(f"grant select, insert, update, delete on provision_journal to {user}".encode())
    guest.write("tenant/of-the-guest", {}, expected=None)
    guest.remove(KEY, expected=guest.write(KEY, {"by": "guest"}, expected=version))
    assert guest.keys() == ["tenant/of-the-guest"]


def test_the_table_is_made_once_by_many_at_the_same_moment(postgres: Postgres) -> None:
    """``create table if not exists`` alone fails for those who come second while the first is at it."""
    url = postgres.url(postgres.database())
    stores = [open_store(url, {}) for _ in range(12)]
    together = threading.Barrier(len(stores))
    failures: list[BaseException] = []

    def first_write(number: int) -> None:
        try:
            stores[number].read(KEY)  # connected
            together.wait()
            stores[number].write(f"tenant/{number}", {}, expected=None)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=first_write, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(stores[0].keys()) == len(stores)


def test_a_lost_connection_is_made_anew(postgres: Postgres) -> None:
    database = postgres.database()
    store = open_store(postgres.url(database), {})
    version = store.write(KEY, {"step": 1}, expected=None)
    with postgres.admin() as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database])
    version = store.write(KEY, {"step": 2}, expected=version)
    with postgres.admin() as connection:
        connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database])
    found = store.read(KEY)
    assert found is not None
    assert (found.document, found.version) == ({"step": 2}, version)


def test_what_was_written_outlives_a_crash_of_the_server(postgres: Postgres) -> None:
    """Also where the database is set to acknowledge before it has written."""
    database = postgres.database()
    with postgres.admin() as connection:
        connection.execute(f"alter database {database} set synchronous_commit = off".encode())
    store = open_store(postgres.url(database), {})
    version = store.write(KEY, {"step": 0}, expected=None)
    for step in range(1, 20):
        version = store.write(KEY, {"step": step}, expected=version)
    postgres.crash()
    try:
        with pytest.raises(Unreachable):
            store.read(KEY)
    finally:
        postgres.start()
    found = store.read(KEY)
    assert found is not None
    assert (found.document, found.version) == ({"step": 19}, version)
    store.write(KEY, {"step": 20}, expected=version)


def test_each_write_waits_for_the_disk(postgres: Postgres) -> None:
    """A trigger notes the setting with which each row was written."""
    database = postgres.database()
    noted = []
    for setting in ("off", "local", "on", "remote_apply"):
        with postgres.admin() as connection:
            connection.execute(f"alter database {database} set synchronous_commit = {setting}".encode())
        store = open_store(postgres.url(database), {})
        if not noted:
            store.write("first", {}, expected=None)
            with postgres.admin(database) as connection:
                connection.execute(
                    "create function note() returns trigger language plpgsql as $$ begin"
                    " new.document = jsonb_build_object('setting', current_setting('synchronous_commit'));"
                    " return new; end $$;"
                    "create trigger note before insert on provision_journal for each row execute function note()"
                )
        store.write(setting, {}, expected=None)
        found = store.read(setting)
        assert found is not None
        noted.append(found.document["setting"])
    assert noted == ["on", "local", "on", "remote_apply"]


def test_a_session_that_holds_the_row_is_waited_for_but_not_for_ever(postgres: Postgres) -> None:
    url = postgres.url(postgres.database())
    version = open_store(url, {}).write(KEY, {}, expected=None)
    impatient = Database(open_place(url, {}).server, patience=0.2)
    with psycopg.connect(url) as holder:
        holder.execute("update provision_journal set document = '{}' where key = %s", [KEY])
        with pytest.raises(StateUnavailable, match="Another session holds"):
            impatient.write(KEY, {"late": True}, expected=version)
        holder.rollback()
    impatient.write(KEY, {"late": True}, expected=version)


def test_a_writer_that_was_overtaken_while_it_waited_writes_nothing(postgres: Postgres) -> None:
    """In every isolation that a database can be set to."""
    for isolation in ("read committed", "repeatable read", "serializable"):
        database = postgres.database()
        with postgres.admin() as connection:
            connection.execute(f"alter database {database} set default_transaction_isolation = '{isolation}'".encode())
        url = postgres.url(database)
        store = open_store(url, {})
        version = store.write(KEY, {"by": "first"}, expected=None)
        outcome: list[object] = []

        def overtaken(store=store, version=version, outcome=outcome) -> None:
            try:
                outcome.append(store.write(KEY, {"by": "overtaken"}, expected=version))
            except Conflict as conflict:
                outcome.append(conflict)

        with psycopg.connect(url) as quicker:
            quicker.execute('update provision_journal set document = \'{"by": "quicker"}\', version = default')
            waiting = threading.Thread(target=overtaken)
            waiting.start()
            with postgres.admin() as connection:
                blocked = "select count(*) from pg_stat_activity where datname = %s and wait_event_type = 'Lock'"
                while connection.execute(blocked, [database]).fetchone() == (0,):
                    time.sleep(0.01)
            quicker.commit()
        waiting.join()
        assert isinstance(outcome[0], Conflict)
        found = store.read(KEY)
        assert found is not None
        assert found.document == {"by": "quicker"}


def test_a_read_only_database_is_named(postgres: Postgres) -> None:
    database = postgres.database()
    url = postgres.url(database)
    version = open_store(url, {}).write(KEY, {}, expected=None)
    with postgres.admin() as connection:
        connection.execute(f"alter database {database} set default_transaction_read_only = on".encode())
    store = open_store(url, {})
    assert store.read(KEY) is not None
    with pytest.raises(StateUnavailable, match="read-only") as refused:
        store.write(KEY, {}, expected=version)
    assert "target_session_attrs" in refused.value.remedy


def test_a_table_of_somebody_elses_is_not_taken_for_the_journal(postgres: Postgres) -> None:
    database = postgres.database()
    with postgres.admin(database) as connection:
        connection.execute("create table provision_journal (something text)")
    with pytest.raises(StateUnavailable, match="SQLSTATE 42703"):
        open_store(postgres.url(database), {}).read(KEY)


def test_without_a_word_in_the_url_tls_is_required(postgres: Postgres, tmp_path: Path) -> None:
    """As in Pulumi's own backend; libpq alone would go on in clear."""
    database = postgres.database()
    url = postgres.url(database).partition("?")[0]
    with pytest.raises(Unreachable, match="SSL was required") as refused:
        open_store(url, {}).read(KEY)
    assert "sslmode" in refused.value.remedy

    with postgres.admin() as connection:
        connection.execute("alter system set ssl = on")
        connection.execute("select pg_reload_conf()")
    try:
        store = open_store(url, {})
        until = time.monotonic() + 10
        while True:
            try:
                store.write(KEY, {}, expected=None)
                break
            except Unreachable:
                assert time.monotonic() < until
        with postgres.admin() as connection:
            assert connection.execute(
                "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where datname = %s", [database]
            ).fetchall() == [(True,)]

        authority = postgres.folder / "tls" / "ca.pem"
        assert open_store(f"{url}?sslmode=verify-full&sslrootcert={authority}", {}).keys() == [KEY]
        home = {"HOME": str(tmp_path)}
        assert open_store(f"{url}?sslmode=verify-full", home | {"SSL_CERT_FILE": str(authority)}).keys() == [KEY]
        with pytest.raises(Unreachable, match="certificate"):
            open_store(f"{url}?sslmode=verify-full", home).keys()
    finally:
        with postgres.admin() as connection:
            connection.execute("alter system reset ssl")
            connection.execute("select pg_reload_conf()")
