"""Workspace customers of the local tenant's Google side, and ways to reach it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provision.sandbox import Sandbox

SCOPES = (
    "https://www.googleapis.com/auth/admin.directory.user.readonly",
    "https://www.googleapis.com/auth/admin.directory.user.security",
)


@pytest.fixture
def customer(sandbox: Sandbox) -> Iterator[Callable[..., dict[str, Any]]]:
    """Makes customers; Gmail has time for everybody again afterwards."""
    yield sandbox.new_google_customer
    sandbox.set_google_busy(False)
    sandbox.clear_faults()


@pytest.fixture
def smtp(sandbox: Sandbox) -> Iterator[smtplib.SMTP]:
    """The standard library's client after STARTTLS."""
    host, _, port = sandbox.google_smtp_address.rpartition(":")
    with smtplib.SMTP(host, int(port), timeout=30) as client:
        client.starttls(context=ssl.create_default_context(cafile=str(sandbox.ca_file)))
        yield client
