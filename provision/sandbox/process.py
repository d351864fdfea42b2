"""Starting, finding and stopping a server as a process of its own.

Owns: the process. Does not own: what runs inside (``server``).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provision.sandbox.config import (
    AlreadyRunning,
    Layout,
    NotRunning,
    SandboxError,
    ServerConfig,
    ServerState,
)
from provision.sandbox.control_client import ControlClient

_STOP_SECONDS = 10
_POLL_SECONDS = 0.05
_BATCH = 200
"""Tenants in one request, so that the server answers others in between."""


@dataclass(frozen=True)
class Tenant:
    """One tenant of a running server and the only copy of its secrets; ``repr`` shows none."""

    tenant_id: str
    domain: str
    admin_client_id: str
    admin_client_secret: str = field(repr=False)
    users: dict[str, str] = field(repr=False)
    """User principal name to password."""


@dataclass(frozen=True)
class Partner:
    """A partner's multitenant application; ``repr`` shows no secret."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Person:
    """Somebody made by ``Sandbox.new_people`` and the only copy of his passwords; ``repr`` shows none."""

    user_principal_name: str
    """A group's address, where a group was asked for."""
    id: str
    """The object id of the user or group."""
    mailbox_id: str | None
    """The mailbox's ``ExchangeGuid``; also of a soft-deleted one."""
    password: str | None = field(repr=False)
    app_password: str | None = field(repr=False)


def running(directory: Path) -> ServerState | None:
    """What the server that works on a directory told about itself; None when none does."""
    layout = Layout(directory)
    if not _locked(layout.lock_file):
        return None
    return ServerState.read(layout.state_file)


def require_running(directory: Path) -> ServerState:
    """As ``running``; raises NotRunning when none does."""
    state = running(directory)
    if state is None:
        raise NotRunning(f"no local tenant runs on {directory}")
    return state


def _locked(path: Path) -> bool:
    try:
        with path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise SandboxError(f"{path} belongs to somebody else") from None
        raise
    return False


def _command(config: ServerConfig, *, lifeline: bool) -> list[str]:
    command = [sys.executable, "-m", "provision", "sandbox", "start", "--json", "--dir", str(config.directory)]
    command += ["--address", config.address]
    if config.port is not None:
        command += ["--port", str(config.port)]
    if config.smtp_port is not None:
        command += ["--smtp-port", str(config.smtp_port)]
    if config.public_names:
        command.append("--public-names")
    if lifeline:
        command.append("--until-stdin-ends")
    return command


def start_detached(config: ServerConfig, *, lifeline: bool = False) -> tuple[ServerState, subprocess.Popen[bytes]]:
    """Starts a server in the background and returns when it answers.

    Args:
        config: where and how to listen.
        lifeline: end the server when this process ends, however it ends; otherwise the server outlives it.

    Raises:
        AlreadyRunning: a server already works on the directory.
        SandboxError: it did not start; the message is the server's own.
    """
    if (state := running(config.directory)) is not None:
        raise AlreadyRunning(f"a local tenant already runs on {config.directory} (process {state.pid})")
    try:
        config.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        output = os.open(config.layout.output_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise SandboxError(f"{config.directory} cannot be used for the local tenant: {error.strerror}") from None
    with os.fdopen(output, "wb") as errors:
        process = subprocess.Popen(
            _command(config, lifeline=lifeline),
            stdin=subprocess.PIPE if lifeline else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    if process.stdout is None:
        raise SandboxError("the server's output cannot be read")
    with process.stdout as lines:
        ready = lines.readline()
    if not ready:
        process.wait()
        said = config.layout.output_file.read_text(errors="replace").strip().splitlines()
        sentence = said[_message_line(said)].removeprefix("provision: ") if said else f"exit code {process.returncode}"
        raise SandboxError(f"the local tenant did not start: {sentence}")
    state = ServerState.read(config.layout.state_file)
    if state is None or state.pid != json.loads(ready)["pid"]:
        raise SandboxError("the local tenant started but left no state file")
    return state, process


def _message_line(lines: list[str]) -> int:
    """Where the message stands: the first line of a refusal, the last of a traceback."""
    return 0 if lines[0].startswith("provision: ") else -1


def stop(directory: Path) -> ServerState:
    """Stops the server of a directory and returns when it is gone.

    Raises:
        NotRunning: there is none.
        SandboxError: it does not end.
    """
    state = require_running(directory)
    with contextlib.suppress(ProcessLookupError):
        os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _locked(Layout(directory).lock_file):
        if time.monotonic() > deadline:
            raise SandboxError(f"the local tenant (process {state.pid}) does not end")
        time.sleep(_POLL_SECONDS)
    return state


def _name(tenant: Tenant | str) -> str:
    return tenant if isinstance(tenant, str) else tenant.tenant_id


class Sandbox:
    """A local Microsoft 365 tenant in a process of its own, for tests and programs: ``with Sandbox() as sandbox: …``.

    Args:
        directory: where the tenant lives; a temporary one, removed at the end, when None.
        port: 0 for any free one.
        address: the address to listen on.
        public_names: answer by ``Host`` for Microsoft's own names too.
        smtp_port: of SMTP submission; 0 for any free one.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        port: int = 0,
        address: str = "127.0.0.1",
        public_names: bool = False,
        smtp_port: int = 0,
    ) -> None:
        self._temporary = directory is None
        chosen = Path(tempfile.mkdtemp(prefix="provision-sandbox-")) if directory is None else directory
        self._config = ServerConfig(chosen, port, address, public_names, smtp_port)
        self._state: ServerState | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Starts the server; returns when it answers."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the server."""
        self.stop()

    def start(self) -> None:
        """Starts the server; raises SandboxError when it cannot."""
        self._state, self._process = start_detached(self._config, lifeline=True)

    def stop(self) -> None:
        """Stops the server and removes a temporary directory."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
        if self._temporary:
            shutil.rmtree(self._config.directory, ignore_errors=True)

    @property
    def state(self) -> ServerState:
        """What the server told about itself; raises NotRunning before ``start``."""
        if self._state is None:
            raise NotRunning("the local tenant was not started")
        return self._state

    @property
    def directory(self) -> Path:
        """Where the tenants live."""
        return self._config.directory

    @property
    def base_url(self) -> str:
        """``https://localhost:PORT``."""
        return self.state.base_url

    @property
    def google_smtp_address(self) -> str:
        """``localhost:PORT`` of Gmail's SMTP with STARTTLS."""
        if self.state.google_smtp_address is None:
            raise NotRunning("the local tenant has no Google side")
        return self.state.google_smtp_address

    @property
    def google_smtps_address(self) -> str:
        """``localhost:PORT`` of Gmail's SMTP with TLS from the first byte."""
        if self.state.google_smtps_address is None:
            raise NotRunning("the local tenant has no Google side")
        return self.state.google_smtps_address

    @property
    def smtp_address(self) -> str:
        """``localhost:PORT`` of SMTP submission."""
        if self.state.smtp_address is None:
            raise NotRunning("the local tenant takes no mail")
        return self.state.smtp_address

    @property
    def ca_file(self) -> Path:
        """The private authority's certificate."""
        return Path(self.state.ca_file)

    @property
    def tenant_id(self) -> str:
        """The first tenant's id."""
        return self.state.tenant_id

    @property
    def domain(self) -> str:
        """The first tenant's initial domain."""
        return self.state.domain

    @property
    def admin_client_id(self) -> str:
        """The client id of the first tenant's admin application."""
        return self.state.admin_client_id

    @property
    def admin_client_secret(self) -> str:
        """Its secret."""
        return self.state.admin_client_secret

    @property
    def users(self) -> dict[str, str]:
        """The first tenant's people: user principal name to password."""
        return self.state.users

    @property
    def first(self) -> Tenant:
        """The first tenant."""
        return Tenant(self.tenant_id, self.domain, self.admin_client_id, self.admin_client_secret, self.users)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.state.pid

    @property
    def control(self) -> ControlClient:
        """The control API."""
        return ControlClient(self.state)

    def reset(self) -> Tenant:
        """Starts over with one fresh tenant; its admin credentials are new."""
        fresh = Tenant(**self.control.ask("POST", "reset"))
        self._state = require_running(self.directory)
        return fresh

    def new_tenant(self, domain: str | None = None, *, edition: str | None = None) -> Tenant:
        """A further tenant in the same server.

        Args:
            domain: the initial domain; a random one when None.
            edition: of Microsoft Entra ID: ``p1`` (when None) or ``free``.
        """
        return Tenant(**self.control.ask("POST", "tenants", {"domain": domain, "edition": edition}))

    def new_tenants(
        self, count: int, prefix: str = "tenant", *, edition: str | None = None, customers: bool = False
    ) -> list[Tenant]:
        """Many further tenants, some four milliseconds each, with domains as in ``prefix-0001.onmicrosoft.com``.

        Args:
            count: how many.
            prefix: what the domains begin with; numbers go on after those that are there.
            edition: as for ``new_tenant``.
            customers: each consents to the application of the partner in the first tenant (``partner``).
        """
        made: list[Tenant] = []
        while len(made) < count:
            body = {"count": min(_BATCH, count - len(made)), "prefix": prefix, "edition": edition, "partner": customers}
            made += [Tenant(**one) for one in self.control.ask("POST", "tenants", body)]
        return made

    def partner(self, tenant: Tenant | str | None = None) -> Partner:
        """The multitenant application of a partner's tenant (the first one when None); the same each time."""
        made = self.control.ask("POST", "partner", {"tenant": None if tenant is None else _name(tenant)})
        return Partner(made["tenantId"], made["clientId"], made["clientSecret"])

    def consent(self, partner: Partner, *customers: Tenant | str) -> None:
        """Lets customers consent to a partner's application, and gives the partner a GDAP relationship with each."""
        for customer in customers:
            self.control.ask("PUT", f"tenants/{_name(customer)}/partner", {"clientId": partner.client_id})

    def withdraw(self, partner: Partner, *customers: Tenant | str) -> None:
        """Takes the application's service principal out of customers' tenants."""
        for customer in customers:
            self.control.ask("DELETE", f"tenants/{_name(customer)}/partner", {"clientId": partner.client_id})

    def delete_tenant(self, tenant: Tenant | str) -> None:
        """Removes a tenant with everything in it; not the first one."""
        name = _name(tenant)
        self.control.ask("DELETE", f"tenants/{name}")

    def new_people(self, tenant: Tenant | str, *wanted: dict[str, Any]) -> list[Person]:
        """People in a tenant, each in the state that is asked for.

        Args:
            tenant: the tenant, or its id or domain.
            wanted: for each, the fields of ``people.Wanted`` in the control API's spelling, for example
                ``{"alias": "carl", "mailbox": "shared", "smtpAuth": "on"}`` or ``{"alias": "m", "count": 10000}``.
        """
        name = _name(tenant)
        rows = self.control.ask("POST", f"tenants/{name}/people", {"people": list(wanted)})
        return [
            Person(row["userPrincipalName"], row["id"], row["mailboxId"], row["password"], row["appPassword"])
            for row in rows
        ]

    def set_mail(self, tenant: Tenant | str, **wanted: Any) -> dict[str, Any]:
        """Sets ``basicSmtpStage`` and ``basicSmtpReenabled`` of a tenant and returns them with the ``stage``."""
        name = _name(tenant)
        answer: dict[str, Any] = self.control.ask("PUT", f"tenants/{name}/mail", wanted)
        return answer

    def set_customers(self, partner: Tenant | str, *customers: Tenant | str) -> list[dict[str, Any]]:
        """Makes tenants the customers of a partner (GDAP), in place of those it had; as Graph shows them."""
        name = partner if isinstance(partner, str) else partner.tenant_id
        wanted = [one if isinstance(one, str) else one.tenant_id for one in customers]
        answer: list[dict[str, Any]] = self.control.ask("PUT", f"tenants/{name}/customers", {"customers": wanted})
        return answer

    def set_ews(self, tenant: Tenant | str, **wanted: Any) -> dict[str, Any]:
        """Sets who may use Exchange Web Services in Exchange Online (see ``ews.switches.put``)."""
        name = _name(tenant)
        answer: dict[str, Any] = self.control.ask("PUT", f"tenants/{name}/ews", wanted)
        return answer

    def new_accounts(self, tenant: Tenant | str, *wanted: dict[str, Any]) -> list[dict[str, str]]:
        """Accounts of the customer's own directory beside a tenant (see ``onpremises.accounts.create``)."""
        name = _name(tenant)
        made: list[dict[str, str]] = self.control.ask("POST", f"tenants/{name}/onpremises", {"people": list(wanted)})
        return made

    def new_google_customer(self, **wanted: Any) -> dict[str, Any]:
        """A Google Workspace customer with users and a service account (see ``google.customers.create``)."""
        made: dict[str, Any] = self.control.ask("POST", "google/customers", wanted)
        return made

    def change_google_user(self, email: str, **wanted: Any) -> None:
        """Changes a Google user's state (see ``google.customers.change``)."""
        self.control.ask("PATCH", f"google/users/{email}", wanted)

    def google_messages(self, email: str) -> list[dict[str, Any]]:
        """A Google user's messages, oldest first."""
        rows: list[dict[str, Any]] = self.control.ask("GET", f"google/users/{email}/messages")
        return rows

    def set_google_busy(self, busy: bool) -> None:
        """Whether Gmail turns clients away (421 4.7.0)."""
        self.control.ask("PUT", "google/busy", {"busy": busy})

    def set_faults(self, rules: Sequence[dict[str, Any]] = (), **conditions: float) -> None:
        """Replaces the rules and changes conditions (``replication_delay``, ``exchange_delay``, ``clock_skew``, …)."""
        self.control.ask("PUT", "faults", {"rules": list(rules), "conditions": conditions})

    def set_tenant_faults(self, tenant: Tenant | str, rules: Sequence[dict[str, Any]] = ()) -> None:
        """Replaces the rules for one tenant; they come before those for all."""
        self.control.ask("PUT", f"tenants/{_name(tenant)}/faults", {"rules": list(rules)})

    def set_limits(self, share: float) -> None:
        """Microsoft's service limits for identity and access: 0 off, 1 as documented, 0.1 a tenth of each."""
        self.control.ask("PUT", "faults", {"limits": share})

    def begin_trouble(self, tenant: Tenant | str, kind: str, **options: Any) -> None:
        """Brings a tenant into a lasting trouble (see ``troubles.KINDS``); ``clientId`` names another application."""
        self.control.ask("PUT", f"tenants/{_name(tenant)}/troubles/{kind}", options)

    def end_trouble(self, tenant: Tenant | str, kind: str) -> None:
        """Puts a tenant back as it was before a trouble."""
        self.control.ask("DELETE", f"tenants/{_name(tenant)}/troubles/{kind}")

    def clear_faults(self) -> None:
        """Fair weather."""
        self.control.ask("DELETE", "faults")

    def status(self) -> dict[str, Any]:
        """Rules with counters, conditions, and parked requests (``held``)."""
        status: dict[str, Any] = self.control.ask("GET", "status")
        return status

    def release(self, held_id: int | None = None) -> int:
        """Lets parked requests go on (one, or all) and says how many."""
        return int(self.control.ask("POST", "release", {"id": held_id})["released"])

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """The request log after line ``since``."""
        lines: list[dict[str, Any]] = self.control.ask("GET", f"log?since={since}")
        return lines

    def ci_token(self, provider: str, subject: str, **options: Any) -> str:
        """A token as a CI's OIDC issuer gives it to a job (see ``oidc_issuer.OidcIssuer.token``)."""
        return str(self.control.ask("POST", "ci-token", {"provider": provider, "subject": subject, **options})["value"])
