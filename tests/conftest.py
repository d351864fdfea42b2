"""One local tenant server for the whole test session, and a fresh tenant in it for each test that changes something.

Besides: the real SDKs as clients of that tenant (``admin``, ``graph``, ``api``).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.sandbox import Sandbox, Tenant
from provision.settings import credential
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, read_metadata

pytest_plugins = ["stores", "api_server"]
"""The servers of ``tests/servers``, started where a test asks for one."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many processes again as there are cores: a test waits a third of its time, for a lease, a lag, a hang."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


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


@pytest.fixture(scope="session")
def endpoints(sandbox: Sandbox) -> Endpoints:
    """The local tenant's addresses, with its own authority: the process's CA variables are left as they are."""
    return read_metadata(sandbox.base_url.removeprefix("https://"), ca_file=str(sandbox.ca_file), environ={})


@pytest.fixture
def admin(tenant: Tenant) -> CredentialSetting:
    """The tenant's automation, by client secret."""
    return credential.read(
        environ={
            "ARM_TENANT_ID": tenant.tenant_id,
            "ARM_CLIENT_ID": tenant.admin_client_id,
            "ARM_CLIENT_SECRET": tenant.admin_client_secret,
        }
    )


@pytest.fixture
def graph(admin: CredentialSetting, endpoints: Endpoints, sandbox: Sandbox) -> Iterator[Graph]:
    """Microsoft Graph as the automation sees it, in fair weather afterwards."""
    signed_in, _ = sign_in(admin, endpoints)
    with Graph(signed_in, endpoints, retry_delay=0.0) as client:
        yield client
    sandbox.clear_faults()


@pytest.fixture
def api(admin: CredentialSetting, endpoints: Endpoints, http: httpx.Client) -> httpx.Client:
    """A bare HTTP client with the automation's token, to put things into the tenant."""
    signed_in, _ = sign_in(admin, endpoints)
    http.headers["Authorization"] = f"Bearer {signed_in.get_token(endpoints.graph_scope).token}"
    return http
