"""A fleet of tenants of the session's server: rows with a credential each, and what a run is given to work on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provision.fleet.jobs import Job, work_on
from provision.fleet.outcome import Action, Outcome
from provision.fleet.store import FleetStore
from provision.fleet.tenant import CredentialReference, Tenant
from provision.sandbox import Sandbox
from provision.sandbox import Tenant as There


@dataclass
class Fleet:
    """Some tenants, and what a run is given to work on them."""

    sandbox: Sandbox
    store: FleetStore
    environ: dict[str, str] = field(repr=False)
    there: dict[str, There] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def row(self, key: str, **further: Any) -> Tenant:
        """A new tenant and its row; it signs in by a client secret of its own."""
        made = self.sandbox.new_tenant()
        self.there[key] = made
        variable = f"SECRET_{key.upper()}"
        self.environ[variable] = made.admin_client_secret
        settings = {"redirectUri": f"{self.sandbox.base_url}/ACME/Services/Office365Callback.aspx"}
        own = CredentialReference(key, "client-secret", made.admin_client_id, f"env:{variable}")
        return Tenant(key, made.tenant_id, company_code="ACME", credential=own, settings=settings, **further)

    def do(self, action: Action, row: Tenant, **options: Any) -> Outcome:
        """One job in a run of its own."""
        run = self.store.begin("customers", action, [row], options)
        try:
            job = Job(run.id, "customers", action, row, options)
            return work_on(job, self.store, environ=self.environ, say=self.said.append)
        finally:
            self.store.end(run)

    def kept(self, key: str) -> Mapping[str, Any]:
        return self.store.kept("customers", key)

    def logs(self) -> str:
        """Everything that was written into logs."""
        return "\n".join(file.read_text() for file in Path(self.environ["PROVISION_DATA"]).rglob("*.log"))
