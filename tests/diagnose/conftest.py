"""A tenant of the local server with people in every state, and the gathering of facts about one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from provision.diagnose.gather import Asked, gather
from provision.diagnose.judge import Diagnosis, judge
from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Exchange
from provision.sandbox import Sandbox, Tenant
from provision.sandbox.process import Person
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints

Diagnose = Callable[..., Diagnosis]


@dataclass(frozen=True)
class Clinic:
    """A tenant, and the doctor with the administrator's rights."""

    sandbox: Sandbox
    tenant: Tenant
    endpoints: Endpoints
    admin: CredentialSetting
    api: httpx.Client
    exchange: Exchange

    def person(self, alias: str, **wanted: Any) -> Person:
        """Somebody whose mailbox may send, unless asked otherwise."""
        return self.sandbox.new_people(self.tenant, {"alias": alias, "smtpAuth": "on", **wanted})[0]

    def diagnose(self, person: Person | None, *ways: Any, **asked: Any) -> Diagnosis:
        """Gathers and judges, as the command does."""
        credential, caller = sign_in(self.admin, self.endpoints)
        what = Asked(
            ways=ways or ("smtp-basic",),
            mailbox=person.user_principal_name if person else None,
            **{"dns": False, **asked},
        )
        facts = gather(what, self.endpoints, credential, caller.tenant_id, say=lambda _: None)
        return judge(facts, what.ways)

    def patch(self, path: str, body: dict[str, Any]) -> None:
        """Changes something by Microsoft Graph."""
        answer = self.api.patch(f"/v1.0{path}", json=body)
        assert answer.is_success, answer.text

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Makes something by Microsoft Graph."""
        answer = self.api.post(f"/v1.0{path}", json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def refused_at(self) -> str | None:
        """The layer at which the local tenant refused this tenant's last AUTH, as its request log tells."""
        rows = [row for row in self.sandbox.log() if row["method"] == "AUTH" and self.tenant.domain in row["path"]]
        return rows[-1]["code"] if rows else None


@pytest.fixture
def clinic(
    sandbox: Sandbox, tenant: Tenant, endpoints: Endpoints, admin: CredentialSetting, api: httpx.Client
) -> Iterator[Clinic]:
    """A fresh tenant without Security Defaults; fair weather afterwards."""
    host, _, port = sandbox.smtp_address.rpartition(":")
    here = replace(endpoints, smtp_host=host, smtp_port=int(port))
    credential, _ = sign_in(admin, here)
    with Exchange(credential, here, retry_delay=0.0) as exchange:
        yield Clinic(sandbox, tenant, here, admin, api, exchange)
    sandbox.clear_faults()
