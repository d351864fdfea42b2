"""The real local tenant as Microsoft, the real SDKs as client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.sandbox import Sandbox, Tenant
from provision.settings import credential
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, read_metadata


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
