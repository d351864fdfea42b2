"""Which tenants a server has: the first one, further ones, and starting over.

Owns: calling the seed, keeping the admin credentials that a restarted server must tell again, the state file.
Does not own: what a new tenant holds (``seed``).
"""

from __future__ import annotations

import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provision.sandbox import seed
from provision.sandbox.config import Layout, ServerState
from provision.sandbox.google import customers
from provision.sandbox.keys import write_private
from provision.sandbox.world import World

_FIRST_DOMAIN = "contoso.onmicrosoft.com"
_SETTING_SEEDED = "seeded"


@dataclass(frozen=True)
class MailAddresses:
    """Where a server takes mail: Exchange Online's submission, and Gmail's two ports."""

    smtp_address: str
    google_smtp_address: str
    google_smtps_address: str


class Tenancy:
    """The tenants of one server.

    Args:
        world: the server.
        layout: its files.
        port: the port it listens on.
        mail_addresses: where it takes mail.
        ca_file: the private authority's certificate.
    """

    def __init__(
        self, world: World, layout: Layout, *, port: int, mail_addresses: MailAddresses, ca_file: Path
    ) -> None:
        self._world = world
        self._layout = layout
        self._port = port
        self._mail_addresses = mail_addresses
        self._ca_file = ca_file
        self.control_token = secrets.token_urlsafe(32)
        if not world.directory.tenants():
            self._create(domain=_FIRST_DOMAIN)

    def _seeded(self) -> dict[str, dict[str, Any]]:
        seeded: dict[str, dict[str, Any]] = self._world.directory.setting(_SETTING_SEEDED, {})
        return seeded

    def _create(self, *, domain: str, tenant_id: str | None = None, edition: str = seed.EDITIONS[0]) -> dict[str, Any]:
        directory = self._world.directory
        delay, directory.replication_delay = directory.replication_delay, 0.0
        try:
            with directory.transaction():
                made = asdict(
                    seed.create_tenant(
                        directory,
                        tenant_id=tenant_id,
                        domain=domain,
                        edition=edition,
                        base_url=self._world.base_url,
                    )
                )
                directory.set_setting(_SETTING_SEEDED, {**self._seeded(), made["tenant_id"]: made})
        finally:
            directory.replication_delay = delay
        return made

    def create(self, domain: str | None = None, edition: str | None = None) -> dict[str, Any]:
        """Makes a further tenant; raises ValueError when the domain is taken or there is no such edition.

        Args:
            domain: the initial domain; a random ``….onmicrosoft.com`` name when None.
            edition: of Microsoft Entra ID, one of ``seed.EDITIONS``; the first when None.

        Returns:
            tenant_id, domain, admin_client_id, admin_client_secret, users (user principal name to password).
        """
        domain = domain or f"tenant-{secrets.token_hex(5)}.onmicrosoft.com"
        if self._world.directory.tenant(domain) is not None:
            raise ValueError(f"the domain {domain} is taken")
        return self._create(domain=domain, edition=edition or seed.EDITIONS[0])

    def list(self) -> list[dict[str, Any]]:
        """All tenants, oldest first, as ``create`` returns them."""
        seeded = self._seeded()
        return [seeded[tenant] for tenant in self._world.directory.tenants() if tenant in seeded]

    def reset(self) -> None:
        """Starts over: one fresh tenant under the same id and domain, an empty log, fair weather."""
        directory = self._world.directory
        first = self.list()[0]
        self._world.weather.clear()
        with directory.transaction():
            for tenant in directory.tenants():
                directory.remove_tenant(tenant)
            directory.remove_tenant(customers.REALM)
            directory.set_setting(_SETTING_SEEDED, {})
            directory.clear_requests()
            self._create(domain=first["domain"], tenant_id=first["tenant_id"])
        write_private(self._layout.state_file, self.state().to_json())

    def state(self) -> ServerState:
        """What the server tells about itself."""
        first = self.list()[0]
        return ServerState(
            pid=os.getpid(),
            port=self._port,
            base_url=self._world.base_url,
            ca_file=str(self._ca_file),
            control_token=self.control_token,
            **asdict(self._mail_addresses),
            **first,
        )
