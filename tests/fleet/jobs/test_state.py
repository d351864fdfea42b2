"""The state is signed in to as the run is, each tenant as itself: the real engine on Azurite, by tokens of Entra."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from azure_key_vault import Proxy
from customers import Fleet
from stores import Azurite

from provision.engine.command import EngineCommand
from provision.engine.template import Order
from provision.engine.warm import Child, Template
from provision.fleet.tenant import Tenant
from provision.sandbox import Sandbox
from provision.sandbox import Tenant as There

LOGIN = "login.microsoftonline.com"


@dataclass
class Started:
    """With which environment each process was started."""

    engines: list[Mapping[str, str]]
    children: list[Mapping[str, str]]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    seen = Started([], [])
    run, start = EngineCommand._run, Template.start

    def engine(self: EngineCommand, args: list[str], cwd: str, environment: Mapping[str, str], *rest: Any) -> Any:
        seen.engines.append(environment)
        return run(self, args, cwd, environment, *rest)

    def child(self: Template, order: Order, **streams: int) -> Child:
        seen.children.append(order.environment)
        return start(self, order, **streams)

    monkeypatch.setattr(EngineCommand, "_run", engine)
    monkeypatch.setattr(Template, "start", child)
    return seen


@dataclass
class Partner:
    """The partner's own tenant, in Microsoft's cloud as it is called from everywhere."""

    cloud: Sandbox
    tenant: There


@pytest.fixture
def partner(fleet: Fleet, azurite_tls: Azurite, tmp_path: Path) -> Iterator[Partner]:
    """As its application the run signs in to the state, by the variables of Azure's own library."""
    assert azurite_tls.authority is not None
    with (
        Sandbox(tmp_path / "cloud", public_names=True) as cloud,
        Proxy({LOGIN: urlsplit(cloud.base_url).port or 0}) as proxy,
    ):
        made = cloud.new_tenant()
        trusted = tmp_path / "trusted.pem"
        trusted.write_bytes(
            b"".join(file.read_bytes() for file in (fleet.sandbox.ca_file, cloud.ca_file, azurite_tls.authority))
        )
        fleet.environ |= {
            "PULUMI_BACKEND_URL": f"azblob://{azurite_tls.container()}?{urlencode(azurite_tls.where)}",
            "PROVISION_JOURNAL": f"file://{tmp_path}/journal",
            "AZURE_TENANT_ID": made.tenant_id,
            "AZURE_CLIENT_ID": made.admin_client_id,
            "AZURE_CLIENT_SECRET": made.admin_client_secret,
            "HTTPS_PROXY": proxy.url,
            "NO_PROXY": "localhost,127.0.0.1",
            "SSL_CERT_FILE": str(trusted),
            "REQUESTS_CA_BUNDLE": str(trusted),
        }
        yield Partner(cloud, made)


def own(fleet: Fleet) -> Tenant:
    """Signs in by a secret of its own, as each row of ``fleet`` does."""
    return fleet.row("acme")


def as_the_run(fleet: Fleet) -> Tenant:
    """Names no credential: the run's counts for the tenant, and that of the state is another one still."""
    row = fleet.row("acme")
    there = fleet.there["acme"]
    fleet.environ |= {"ARM_CLIENT_ID": there.admin_client_id, "ARM_CLIENT_SECRET": there.admin_client_secret}
    return replace(row, credential=None)


@pytest.mark.parametrize(("kind", "cold"), [(own, False), (own, True), (as_the_run, False)])
def test_a_tenants_own_credential_leaves_the_runs_sign_in_to_the_state(
    fleet: Fleet, partner: Partner, started: Started, kind: Callable[[Fleet], Tenant], cold: bool
) -> None:
    row = kind(fleet)
    (anna,) = fleet.sandbox.new_people(fleet.there["acme"], {"alias": "anna", "mailbox": "user"})
    mark = len(fleet.sandbox.log())
    made = fleet.do("up", replace(row, mailboxes=(anna.user_principal_name,)), cold=cold)
    assert made.failure is None, made.failure.message
    assert made.status == "changed"
    asked = {entry["path"] for entry in partner.cloud.log() if entry["method"] == "POST"}
    assert asked == {f"/{partner.tenant.tenant_id}/oauth2/v2.0/token"}, "the state, and nothing else"
    there = fleet.there["acme"]
    assert {entry["tenant"] for entry in fleet.sandbox.log()[mark:] if entry["tenant"]} == {there.tenant_id}
    for environment in started.engines:
        assert environment["AZURE_TENANT_ID"] == partner.tenant.tenant_id
        assert environment["AZURE_CLIENT_SECRET"] == partner.tenant.admin_client_secret
    assert bool(started.children) is not cold
    for environment in started.children:
        assert partner.tenant.tenant_id not in environment.values()
        assert kind is as_the_run or partner.tenant.admin_client_secret not in environment.values()
    for secret in (partner.tenant.admin_client_secret, there.admin_client_secret):
        assert secret not in fleet.logs() + "".join(fleet.said)
