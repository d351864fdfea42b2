"""A sign-in that fails for the moment is told from one that fails for good: a run tries the first again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from provision.errors import SignInFailed, Unreachable
from provision.microsoft.credentials import sign_in
from provision.sandbox import Sandbox, Tenant
from provision.settings import credential
from provision.settings.endpoints import Endpoints

CUT = {"action": "drop_before"}
THROTTLED = {"action": "status", "status": 429, "retry_after": 1}
AWAY = {"action": "status", "status": 503, "retry_after": 1}


@pytest.fixture
def weather(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.clear_faults()


def attempt(tenant: Tenant, endpoints: Endpoints, *, tenant_id: str | None = None, secret: str | None = None) -> None:
    how = credential.read(
        environ={
            "ARM_TENANT_ID": tenant_id or tenant.tenant_id,
            "ARM_CLIENT_ID": tenant.admin_client_id,
            "ARM_CLIENT_SECRET": secret or tenant.admin_client_secret,
        }
    )
    sign_in(how, endpoints)


@pytest.mark.parametrize("rule", [CUT, THROTTLED, AWAY], ids=["cut", "throttled", "away"])
@pytest.mark.parametrize("where", ["/oauth2", ""], ids=["token", "everything"])
def test_weather_is_no_refusal(
    weather: Sandbox, tenant: Tenant, endpoints: Endpoints, rule: dict[str, Any], where: str
) -> None:
    weather.set_faults([{"name": "weather", "match": {"path": f"^/{tenant.tenant_id}{where}"}, **rule}])
    with pytest.raises(Unreachable):
        attempt(tenant, endpoints)


def test_a_refusal_stays_one(tenant: Tenant, endpoints: Endpoints) -> None:
    with pytest.raises(SignInFailed, match="AADSTS7000215"):
        attempt(tenant, endpoints, secret="nonsense")
    with pytest.raises(SignInFailed, match="no such tenant"):
        attempt(tenant, endpoints, tenant_id="6d1b1ac5-9e7a-4f0f-9f84-2e5d5d1c0a11")
