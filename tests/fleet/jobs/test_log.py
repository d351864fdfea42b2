"""A tenant's log: private, and without secrets whoever says them."""

from __future__ import annotations

import stat
from pathlib import Path

from provision.fleet.jobs import Job, log_file, work_on
from provision.fleet.jobs.log import Log
from provision.fleet.store import open_fleet_store
from provision.fleet.tenant import Tenant

JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


def test_no_secret_gets_in(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "acme.log"
    secret = {"ARM_CLIENT_SECRET": "hunter-2-hunter", "AZURE_STORAGE_KEY": "c3RvcmFnZQ=="}
    secret |= {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=state;AccountKey=a2V5"}
    with Log(file, secret | {"ARM_TENANT_ID": "tenant-id"}) as log:
        log.write("signed in to tenant-id with hunter-2-hunter")
        log.hide({"SECRET_OF_ACME": "another-one"})
        log.write("AccountName=state;AccountKey=a2V5 c3RvcmFnZQ==")
        log.write(f"another-one and {JWT} and postgres://fleet:pass/word@host/db")
    text = file.read_text()
    assert "tenant-id" in text
    for secret in ("hunter", "another-one", "eyJ", "pass/word", "a2V5", "c3RvcmFnZQ=="):
        assert secret not in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_way_to_sign_in_is_no_secret(tmp_path: Path) -> None:
    own = {"PROVISION_CREDENTIAL": "certificate", "PROVISION_CREDENTIAL_ORIGIN": "file:/srv/acme.pfx"}
    with Log(tmp_path / "acme.log", own) as log:
        said = "the certificate in file:/srv/acme.pfx is not the application's"
        assert log.clean(said) == said


def test_a_second_attempt_goes_on_in_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "acme.log"
    for word in ("first", "second"):
        with Log(file, {}) as log:
            log.write(word)
    assert [line.split(" ", 1)[1] for line in file.read_text().splitlines()] == ["first", "second"]


def test_names_lead_to_no_other_folder(tmp_path: Path) -> None:
    file = log_file("../../etc", "..", "a/b", environ={"PROVISION_DATA": str(tmp_path)})
    assert file.resolve().is_relative_to(tmp_path / "fleet")
    assert len(file.relative_to(tmp_path).parts) == 5


def test_a_log_that_cannot_be_written_is_the_jobs_failure_and_the_tenant_is_given_back(tmp_path: Path) -> None:
    store = open_fleet_store(f"sqlite:///{tmp_path / 'fleet.db'}", environ={})
    row = Tenant("acme", "acme.example")
    run = store.begin("customers", "up", [row], {})
    (tmp_path / "file").touch()
    job = Job(run.id, "customers", "up", row, {})
    outcome = work_on(job, store, environ={"PROVISION_DATA": str(tmp_path / "file")}, say=lambda _line: None)
    assert outcome.failure is not None
    assert outcome.failure.kind == "StateUnavailable"
    assert "acme.log cannot be written" in outcome.failure.message
    assert store.claim(run.id, "acme") is not None
