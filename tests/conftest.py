"""One local tenant server for the whole test session, and a fresh tenant in it for each test that changes something."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from provision.sandbox import Sandbox, Tenant


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The server of the session; its weather is each test's own business (``clear_faults`` afterwards)."""
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as server:
        yield server


@pytest.fixture
def tenant(sandbox: Sandbox) -> Tenant:
    """A fresh tenant in the session's server; cheap."""
    return sandbox.new_tenant()


@pytest.fixture
def trusting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unmodified clients in this process trust the local tenant's authority; returns its certificate."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(sandbox.ca_file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return sandbox.ca_file


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A plain HTTP client on the server's address: no redirects followed, cookies kept for one test."""
    context = ssl.create_default_context(cafile=str(sandbox.ca_file))
    with httpx.Client(base_url=sandbox.base_url, verify=context, trust_env=False) as client:
        yield client
