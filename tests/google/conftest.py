"""Workspace customers of the local tenant, and the product's check pointed at them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision.google import places
from provision.google.check import Administrator, Wish, check
from provision.google.directory import SCOPES
from provision.google.judge import Finding
from provision.sandbox import Sandbox

Findings = dict[str, Finding]


@pytest.fixture(scope="session")
def google(sandbox: Sandbox) -> places.Google:
    """The local tenant's Google side, trusted by its own authority."""
    return places.read(
        {
            "PROVISION_GOOGLE_SMTP_ADDRESS": sandbox.google_smtp_address,
            "PROVISION_GOOGLE_API_URL": f"{sandbox.base_url}/_google",
            "SSL_CERT_FILE": str(sandbox.ca_file),
        }
    )


@pytest.fixture
def customer(sandbox: Sandbox) -> Iterator[Callable[..., dict[str, Any]]]:
    """Makes a customer with a user anna in a state, and a boss who has delegated everything unless told otherwise."""

    def make(anna: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        users = [{"alias": "boss", "admin": True}, {"alias": "anna", **(anna or {})}]
        return sandbox.new_google_customer(**{"scopes": SCOPES, "users": users, **more})

    yield make
    sandbox.set_google_busy(False)
    sandbox.clear_faults()


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """The customer's key file, as it is downloaded."""

    def write(made: dict[str, Any]) -> Path:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(made["serviceAccount"]))
        return path

    return write


@pytest.fixture
def look(google: places.Google, key_file: Callable[[dict[str, Any]], Path]) -> Callable[..., Findings]:
    """Checks anna of a customer; by findings' ids."""

    def at(made: dict[str, Any], *, password: str | None = None, admin: bool = True, **more: Any) -> Findings:
        domain = made["domain"]
        administrator = Administrator(key_file(made), more.pop("as_", f"boss@{domain}")) if admin else None
        wish = Wish(more.pop("address", f"anna@{domain}"), administrator, password, more.pop("send_to", ""))
        return {one.id: one for one in check(google, wish)}

    return at
