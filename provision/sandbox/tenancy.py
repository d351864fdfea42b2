"""Which tenants a server has: the first one, further ones, and starting over.

Owns: calling the seed, keeping the admin credentials that a restarted server must tell again, the state file.
Does not own: what a new tenant holds (``seed``).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provision.sandbox import seed
from provision.sandbox.config import Layout, ServerState
from provision.sandbox.keys import write_private
from provision.sandbox.world import World

_FIRST_DOMAIN = "contoso.onmicrosoft.com"
_SEEDED = "seeded"
MOST = 1000
"""Tenants in one request: the server answers nobody else meanwhile, some four seconds."""
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_NUMBERED = re.compile(r"(.+)-(\d+)\.onmicrosoft\.com")


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
        if world.directory.first_tenant() is None:
            self._create([seed.Wanted(_FIRST_DOMAIN)])

    def _create(self, wanted: Sequence[seed.Wanted]) -> list[dict[str, Any]]:
        directory = self._world.directory
        with directory.transaction():
            made = [asdict(one) for one in seed.create_tenants(directory, wanted, base_url=self._world.base_url)]
            for one in made:
                directory.keep_of_tenant(one["tenant_id"], _SEEDED, one)
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
        return self._create([seed.Wanted(domain, edition=edition or seed.EDITIONS[0])])[0]

    def create_many(self, count: int, prefix: str, edition: str | None = None) -> list[dict[str, Any]]:
        """Makes many tenants, all or none, with numbers in their domains: the first ones that are free.

        Args:
            count: how many, 1 to ``MOST``.
            prefix: what the domains begin with: ``customer`` makes customer-0001.onmicrosoft.com and so on.
            edition: as for ``create``.

        Raises:
            ValueError: one of the three cannot be.
        """
        if type(count) is not int or not 0 < count <= MOST:
            raise ValueError(f"count is a number from 1 to {MOST}, not {count!r}")
        if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
            raise ValueError(f"a prefix is up to 40 letters, digits and hyphens, not {prefix!r}")
        taken = (_NUMBERED.fullmatch(name) for name in self._world.directory.names_like(f"{prefix}-"))
        last = max((int(found[2]) for found in taken if found and found[1] == prefix), default=0)
        domains = [f"{prefix}-{number:04d}.onmicrosoft.com" for number in range(last + 1, last + 1 + count)]
        return self._create([seed.Wanted(domain, edition=edition or seed.EDITIONS[0]) for domain in domains])

    def delete(self, tenant: str) -> None:
        """Removes a tenant with everything in it.

        Args:
            tenant: its id or one of its domains.

        Raises:
            ValueError: there is no such tenant, or it is the first, which the server's own state names.
        """
        directory = self._world.directory
        found = directory.tenant(tenant)
        if found is None:
            raise ValueError(f"there is no tenant {tenant}")
        if found["id"] == directory.first_tenant():
            raise ValueError(f"{tenant} is the server's first tenant, which stays; `reset` makes it anew")
        directory.remove_tenant(found["id"])

    def list(self) -> list[dict[str, Any]]:
        """All tenants, oldest first, as ``create`` returns them."""
        seeded = self._world.directory.of_tenants(_SEEDED)
        return [seeded[tenant] for tenant in self._world.directory.tenants() if tenant in seeded]

    def _first(self) -> dict[str, Any]:
        directory = self._world.directory
        first: dict[str, Any] = directory.of_tenant(directory.first_tenant() or "", _SEEDED)
        return first

    def reset(self) -> None:
        """Starts over: one fresh tenant under the same id and domain, an empty log, fair weather."""
        directory = self._world.directory
        first = self._first()
        self._world.weather.clear()
        with directory.transaction():
            directory.remove_all_tenants()
            directory.clear_requests()
            self._create([seed.Wanted(first["domain"], first["tenant_id"])])
        write_private(self._layout.state_file, self.state().to_json())

    def state(self) -> ServerState:
        """What the server tells about itself."""
        first = self._first()
        return ServerState(
            pid=os.getpid(),
            port=self._port,
            base_url=self._world.base_url,
            ca_file=str(self._ca_file),
            control_token=self.control_token,
            **asdict(self._mail_addresses),
            **first,
        )
