"""The sample product's memory."""

from __future__ import annotations

import stat
import uuid
from pathlib import Path

import pytest

from provision.sandbox.product.company import Company
from provision.sandbox.product.store import Mailbox, Store


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "deep" / "product.sqlite")
    yield opened
    opened.close()


def acme(code: str = "ACME") -> Company:
    return Company(code, str(uuid.uuid4()), str(uuid.uuid4()), client_secret="s3cr3t")


def test_file_is_readable_by_its_owner_only(tmp_path: Path, store: Store) -> None:
    """It holds client secrets and refresh tokens."""
    store.save_company(acme())
    for path in (tmp_path / "deep").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_settings_survive_a_restart(tmp_path: Path, store: Store) -> None:
    company = acme()
    store.save_company(company)
    again = Store(tmp_path / "deep" / "product.sqlite")
    assert again.company("ACME") == company
    assert again.companies() == ["ACME"]
    again.close()


def test_company_code_is_case_sensitive(store: Store) -> None:
    """The code is part of the redirect, whose letter case Entra compares."""
    store.save_company(acme())
    assert store.company("acme") is None


def test_last_used_mailbox_comes_first_and_keeps_its_newest_token(store: Store) -> None:
    store.save_mailbox("ACME", Mailbox("ada@x", "Ada", "r1"))
    store.save_mailbox("ACME", Mailbox("bob@x", "Bob", "r2"))
    store.save_mailbox("ACME", Mailbox("ada@x", "Ada", "r3"))
    assert [(m.username, m.refresh_token) for m in store.mailboxes("ACME")] == [("ada@x", "r3"), ("bob@x", "r2")]
    store.remove_mailbox("ACME", "ada@x")
    assert [m.username for m in store.mailboxes("ACME")] == ["bob@x"]
    assert "r2" not in repr(store.mailboxes("ACME"))


def test_sign_in_is_finished_once_by_the_browser_that_began_it(store: Store) -> None:
    """A code sent to somebody else's browser must not connect a stranger's mailbox (login CSRF), nor be replayed."""
    store.begin_sign_in("ACME", "browser-1", {"state": "s1", "nonce": "n"})
    assert store.finish_sign_in("ACME", "browser-2", "s1") is None
    assert store.finish_sign_in("acme", "browser-1", "s1") is None
    assert store.finish_sign_in("ACME", "browser-1", "s1") == {"state": "s1", "nonce": "n"}
    assert store.finish_sign_in("ACME", "browser-1", "s1") is None
