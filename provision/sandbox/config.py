"""Where one local tenant server keeps its files, how it is asked to listen, and what it tells when it is ready."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

DEFAULT_PORT = 8443
"""Taken when free and nothing else was asked for."""
DEFAULT_SMTP_PORT = 2587
"""Likewise for SMTP submission, whose own port 587 needs the superuser."""
DEFAULT_GOOGLE_SMTP_PORT, DEFAULT_GOOGLE_SMTPS_PORT = 3587, 3465
"""Likewise for Gmail's 587 and 465; these two cannot be chosen."""


class SandboxError(Exception):
    """The local tenant cannot be started, stopped or asked; the message is one sentence without a secret."""


class AlreadyRunning(SandboxError):
    """A server already works on this directory."""


class NotRunning(SandboxError):
    """No server works on this directory."""


class CannotListen(SandboxError):
    """The address or port cannot be had."""


class Refused(SandboxError):
    """The server does not understand what was asked (an unknown fault action, for example)."""


def default_directory() -> Path:
    """The user's data directory for the local tenant."""
    return Path(platformdirs.user_data_dir("provision", appauthor=False)) / "sandbox"


@dataclass(frozen=True)
class Layout:
    """The files of one server, all inside ``directory`` (0700)."""

    directory: Path

    @property
    def state_file(self) -> Path:
        """What a running server tells: address, CA file, control token, admin credentials (0600)."""
        return self.directory / "state.json"

    @property
    def lock_file(self) -> Path:
        """Locked while a server works on the directory, so that two never share one store."""
        return self.directory / "lock"

    @property
    def store_file(self) -> Path:
        """The SQLite file with all tenants."""
        return self.directory / "tenants.sqlite"

    @property
    def signing_key_file(self) -> Path:
        """Entra's signing key."""
        return self.directory / "signing-key.pem"

    @property
    def issuer_key_file(self) -> Path:
        """The signing key of the stand-in for a CI's OIDC issuer."""
        return self.directory / "issuer-key.pem"

    @property
    def output_file(self) -> Path:
        """What a detached server writes when something goes wrong inside it."""
        return self.directory / "server.log"


@dataclass(frozen=True)
class ServerConfig:
    """How a server is asked to listen.

    ``port`` None: the port of the last run, else 8443 when free, else any free one; 0: any free one.
    ``smtp_port``: likewise, with 2587.
    ``public_names``: answer by ``Host`` for Microsoft's own names too.
    """

    directory: Path
    port: int | None = None
    address: str = "127.0.0.1"
    public_names: bool = False
    smtp_port: int | None = None

    @property
    def layout(self) -> Layout:
        """The files."""
        return Layout(self.directory)


def port_of(address: str | None) -> int | None:
    """The port of ``host:port``; None without one."""
    return int(address.rpartition(":")[2]) if address else None


@dataclass(frozen=True)
class ServerState:
    """What a running server wrote about itself; ``repr`` shows no secret."""

    pid: int
    port: int
    base_url: str
    ca_file: str
    tenant_id: str
    domain: str
    admin_client_id: str
    admin_client_secret: str = field(repr=False)
    control_token: str = field(repr=False)
    users: dict[str, str] = field(repr=False)
    smtp_address: str | None = None
    google_smtp_address: str | None = None
    """Gmail's port with STARTTLS, as ``smtp.gmail.com:587``."""
    google_smtps_address: str | None = None
    """Gmail's port with TLS from the first byte, as ``smtp.gmail.com:465``."""

    @property
    def smtp_port(self) -> int | None:
        """The port of ``smtp_address``."""
        return port_of(self.smtp_address)

    @property
    def portal_url(self) -> str:
        """The browser page that shows the tenant."""
        return f"{self.base_url}/_portal/"

    def ready_line(self) -> dict[str, Any]:
        """What ``provision sandbox start --json`` prints when the server is ready."""
        return {
            "baseUrl": self.base_url,
            "caFile": self.ca_file,
            "tenantId": self.tenant_id,
            "domain": self.domain,
            "adminClientId": self.admin_client_id,
            "adminClientSecret": self.admin_client_secret,
            "smtpAddress": self.smtp_address,
            "googleSmtpAddress": self.google_smtp_address,
            "googleSmtpsAddress": self.google_smtps_address,
            "googleApiUrl": f"{self.base_url}/_google",
            "portalUrl": self.portal_url,
            "pid": self.pid,
        }

    def to_json(self) -> bytes:
        """The state file's content."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def read(cls, path: Path) -> ServerState | None:
        """The state that the last server left; None when there is none."""
        try:
            return cls(**json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
