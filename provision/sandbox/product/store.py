"""The sample product's own memory: companies, connected mailboxes and sign-ins under way, in one SQLite file (0600).

It is not the tenant's directory: a product of another vendor has no key to that.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

from provision.sandbox.product.company import Company
from provision.sandbox.product.webhook import REMOVED, ROTATED, TOLERANCE_SECONDS, Message, Rejected

SIGN_IN_SECONDS = 600
"""How long a person may take between "Connect to Microsoft" and the callback."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS company (code TEXT PRIMARY KEY, settings TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS mailbox (
  code TEXT NOT NULL, username TEXT NOT NULL, name TEXT NOT NULL, refresh_token TEXT NOT NULL, at REAL NOT NULL,
  PRIMARY KEY (code, username));
CREATE TABLE IF NOT EXISTS sign_in (
  state TEXT PRIMARY KEY, code TEXT NOT NULL, browser TEXT NOT NULL, flow TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS message (
  code TEXT NOT NULL, id TEXT NOT NULL, timestamp INTEGER NOT NULL, changes INTEGER NOT NULL,
  PRIMARY KEY (code, id, timestamp));
"""


@dataclass(frozen=True)
class Mailbox:
    """A mailbox that a person connected; the product may send as it while the refresh token lives."""

    username: str
    name: str
    refresh_token: str = field(repr=False)
    connected_at: float = 0.0
    """Seconds since 1970 of the connection or of the last mail."""


class Store:
    """The product's file.

    Args:
        path: the SQLite file; made with mode 0600 when absent.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        path.chmod(0o600)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    def _run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def company(self, code: str) -> Company | None:
        """A company's settings; the code's letter case counts."""
        with self._lock:
            return self._read(code)

    def _read(self, code: str) -> Company | None:
        row = self._db.execute("SELECT settings FROM company WHERE code = ?", (code,)).fetchone()
        return Company(**json.loads(row[0])) if row else None

    def _write(self, company: Company) -> None:
        self._db.execute("INSERT OR REPLACE INTO company VALUES (?, ?)", (company.code, json.dumps(asdict(company))))

    def companies(self) -> list[str]:
        """All company codes."""
        return [row[0] for row in self._run("SELECT code FROM company ORDER BY code")]

    def save_company(self, company: Company) -> None:
        """Stores a company's settings over the former ones."""
        with self._lock:
            self._write(company)

    def take(self, code: str, message: Message) -> Company:
        """Does once what a genuine message asks for; on disk when it returns.

        A message is remembered until its age alone refuses it. One that was there before, or that was sent before the
        last change, changes nothing: a copy of yesterday's message must not bring yesterday's secret back.

        Raises:
            Rejected: 404 no webhook is set up, 403 another tenant or client id, 409 a message from before.
        """
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            company = self._read(code)
            if company is None or not company.webhook_key:
                raise Rejected(HTTPStatus.NOT_FOUND, "no_webhook")
            changed = _after(company, message)
            if self._was_before(code, message):
                if message.event == ROTATED and changed == company:
                    return company
                raise Rejected(HTTPStatus.CONFLICT, "replayed")
            self._remember(code, message)
            if changed != company:
                self._write(changed)
            return changed

    def _was_before(self, code: str, message: Message) -> bool:
        rows = self._db.execute(
            "SELECT 1 FROM message WHERE code = ? AND ((id = ? AND timestamp = ?) OR (changes AND timestamp > ?))",
            (code, message.id, message.timestamp, message.timestamp if message.event in (ROTATED, REMOVED) else 2**62),
        )
        return rows.fetchone() is not None

    def _remember(self, code: str, message: Message) -> None:
        oldest = message.timestamp - 2 * TOLERANCE_SECONDS
        self._db.execute("DELETE FROM message WHERE code = ? AND timestamp < ?", (code, oldest))
        self._db.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?)",
            (code, message.id, message.timestamp, message.event in (ROTATED, REMOVED)),
        )

    def forget_former_secret(self, code: str, worked: str) -> None:
        """Drops the value before, once the given one has worked; nothing when another one came meanwhile."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            company = self._read(code)
            if company is not None and company.former_secret and company.client_secret == worked:
                self._write(replace(company, former_secret=""))

    def mailboxes(self, code: str) -> list[Mailbox]:
        """The company's connected mailboxes, the last used first."""
        rows = self._run(
            "SELECT username, name, refresh_token, at FROM mailbox WHERE code = ? ORDER BY at DESC, rowid DESC", code
        )
        return [Mailbox(*row) for row in rows]

    def save_mailbox(self, code: str, mailbox: Mailbox) -> None:
        """Stores a mailbox with its newest refresh token."""
        self._run(
            "INSERT OR REPLACE INTO mailbox VALUES (?, ?, ?, ?, ?)",
            code,
            mailbox.username,
            mailbox.name,
            mailbox.refresh_token,
            time.time(),
        )

    def remove_mailbox(self, code: str, username: str) -> None:
        """Forgets a mailbox and its refresh token."""
        self._run("DELETE FROM mailbox WHERE code = ? AND username = ?", code, username)

    def begin_sign_in(self, code: str, browser: str, flow: dict[str, Any]) -> None:
        """Remembers a sign-in under its ``state`` and the browser that began it; drops those never finished."""
        self._run("DELETE FROM sign_in WHERE at < ?", time.time() - SIGN_IN_SECONDS)
        self._run(
            "INSERT INTO sign_in VALUES (?, ?, ?, ?, ?)",
            flow["state"],
            code,
            _digest(browser),
            json.dumps(flow),
            time.time(),
        )

    def finish_sign_in(self, code: str, browser: str, state: str) -> dict[str, Any] | None:
        """Takes the sign-in out, once; None when it is unknown, too old, or was begun elsewhere."""
        rows = self._run(
            "DELETE FROM sign_in WHERE state = ? AND code = ? AND browser = ? AND at >= ? RETURNING flow",
            state,
            code,
            _digest(browser),
            time.time() - SIGN_IN_SECONDS,
        )
        return json.loads(rows[0][0]) if rows else None


def _after(company: Company, message: Message) -> Company:
    """The company as a message wants it; raises Rejected when it is meant for another one."""
    values = message.values
    if message.event == ROTATED:
        if values["tenantId"].lower() != company.tenant_id.lower():
            raise Rejected(HTTPStatus.FORBIDDEN, "wrong_tenant")
        if values["clientId"].lower() != company.client_id.lower():
            raise Rejected(HTTPStatus.FORBIDDEN, "wrong_client")
        new = values["clientSecret"]
        if (company.key_id, company.client_secret) == (values["keyId"], new):
            return company
        # A second new one before the first has worked: the one that works is still the one before both.
        kept = company.former_secret or company.client_secret
        return replace(company, client_secret=new, key_id=values["keyId"], former_secret="" if kept == new else kept)
    if message.event == REMOVED and company.key_id == values["keyId"]:
        return replace(company, client_secret=company.former_secret, key_id="", former_secret="")
    return company


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
