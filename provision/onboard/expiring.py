"""When secrets end, as a story: which registrations are meant, who remembers what of their secrets, and one answer.

Owns: finding the registrations of stacks and client ids, and going on when one customer's cannot be read. Does not own:
the verdict (``secrets.expiry``), wording and exit codes (``cli``). Nothing is changed anywhere, and no secret is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

from provision.app.layout import Layout
from provision.engine.environment import engine_environment
from provision.engine.stack import StackRunner
from provision.engine.state import State, backend_url, open_state
from provision.engine.toolchain import Toolchain, ensure_engine
from provision.errors import InvalidInput, ProvisionError
from provision.journal import Store, open_store
from provision.journal.lease import peek
from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.onboard.finding import tenant_of
from provision.onboard.project import Request, choose_stack, find_project, stacks_of
from provision.onboard.rotating import journal_address, journal_key, tell_clocks
from provision.secrets import expiry
from provision.secrets.expiry import Known, Registration
from provision.secrets.record import Record
from provision.settings import credential as credentials
from provision.settings import endpoints as addresses
from provision.settings import profile as profiles
from provision.settings.profile import Profile
from provision.settings.stack import NAMESPACE, SLOTS, Slot, StackSettings

Say = Callable[[str], None]


@dataclass
class Survey:
    """What was found."""

    within: timedelta
    registrations: list[Registration] = field(default_factory=list)
    failures: dict[str, ProvisionError] = field(default_factory=dict)
    """The stacks or client ids that could not be read, and why."""
    notes: list[str] = field(default_factory=list)

    @property
    def read(self) -> dict[str, bool]:
        """Each stack or client id that was asked about, and whether it could be read."""
        names = [one.stack or one.client_id for one in self.registrations]
        return {**dict.fromkeys(names, True), **dict.fromkeys(self.failures, False)}

    def add(self, target: str, look: Callable[[], Registration | None]) -> None:
        """Adds one registration, or why it could not be read."""
        try:
            found = look()
        except ProvisionError as refused:
            self.failures[target] = refused
            return
        if found is None:
            self.notes.append(f"The stack {target} has no app registration yet.")
        else:
            self.registrations.append(found)
            self.notes += found.notes


def of_stacks(
    request: Request,
    within: timedelta,
    *,
    every: bool = False,
    say: Say,
    environ: Mapping[str, str] = os.environ,
) -> Survey:
    """The secrets of a stack's registration, or of every stack that has settings here.

    Args:
        request: which stack, and how to sign in for this run.
        within: what "soon" is.
        every: every stack; one that cannot be read does not hide the others.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        InvalidInput: no project, no such stack, or no way to tell which.
        EngineUnavailable, StateUnavailable: no engine can be had, or the state cannot be used.
    """
    project = find_project(request.project, start=Path.cwd())
    names = stacks_of(project) if every else [choose_stack(request.stack, project, environ=environ)]
    if not names:
        raise InvalidInput(f"No stack has settings in {project}.", remedy="Make one: provision up --stack NAME …")
    toolchain = ensure_engine(progress=say, environ=environ)
    state = open_state(request.backend, environ=environ)
    survey, once = Survey(within), _once(say)
    for name in names:
        look = partial(
            _of_stack,
            name,
            project,
            toolchain=toolchain,
            state=state,
            request=request,
            within=within,
            say=once,
            environ=environ,
        )
        survey.add(name, look)
    if not every and not survey.registrations and not survey.failures:
        raise InvalidInput(f"The stack {names[0]} has no app registration yet.", remedy="Make it: provision up.")
    return survey


def of_clients(
    client_ids: Iterable[str],
    request: Request,
    within: timedelta,
    *,
    journal: str | None = None,
    say: Say,
    environ: Mapping[str, str] = os.environ,
) -> Survey:
    """The secrets of registrations named by client id; takes neither an engine nor a stack.

    Args:
        client_ids: Application (client) IDs in one tenant.
        request: how to sign in.
        within: what "soon" is.
        journal: where rotation's journal is; beside Pulumi's state without it.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        SignInFailed, Unreachable, InvalidInput: as the names say.
    """
    store = _store(backend_url(request.backend, environ=environ), journal, environ)
    endpoints = addresses.resolve(metadata_host=request.metadata_host, environment=None, environ=environ)
    how = credentials.read(request.credential, tenant_id=request.tenant, client_id=None, environ=environ)
    credential, caller = sign_in(how, endpoints, prompt=say)
    names: dict[str, Slot] = {}
    for product in profiles.available(beside=request.project or Path.cwd()):
        names |= _names_of(product)
    survey = Survey(within)
    with Graph(credential, endpoints) as graph:

        def look(client_id: str) -> Registration:
            application = graph.application_by_app_id(client_id, with_certificates=True)
            if application is None:
                raise InvalidInput(
                    f"There is no app registration with the client id {client_id} in tenant {caller.tenant_id}.",
                    remedy="Copy Application (client) ID from the registration's overview page.",
                )
            key = journal_key(caller.tenant_id, application.app_id)
            record, certificates = _remembered(store, key)
            known = Known(
                slots=_slots_of(record, certificates),
                names=names,
                in_use=record.active.key_id if record.active else None,
                certificate_in_use=certificates.active.key_id if certificates.active else None,
            )
            return expiry.read(
                application,
                known,
                tenant_id=caller.tenant_id,
                stack=None,
                now=graph.now(),
                ahead=graph.ahead,
                within=within,
            )

        for client_id in dict.fromkeys(one.lower() for one in client_ids):
            survey.add(client_id, partial(look, client_id))
        tell_clocks(graph, say)
    return survey


def _of_stack(
    name: str,
    project: Path,
    *,
    toolchain: Toolchain,
    state: State,
    request: Request,
    within: timedelta,
    say: Say,
    environ: Mapping[str, str],
) -> Registration | None:
    runner = StackRunner(
        project=project,
        stack=name,
        toolchain=toolchain,
        state=state,
        environment=engine_environment(toolchain, state),
        say=say,
    )
    config = {**runner.config(), **request.configuration()}
    if not any(key.startswith(f"{NAMESPACE}:") for key in config):
        runner.export()  # a typing mistake, which it names
    source = runner.config_file.name
    settings = StackSettings.from_config(config, beside=project, source=source, project=runner.project_name)
    store = _store(state.backend, None, environ)
    with tenant_of(runner, name, settings, say=say, environ=environ) as there:
        found, graph = there.application, there.graph
        # One that Graph listed a moment ago and that is gone now is as good as none.
        application = graph.application(found.object_id, with_certificates=True) if found else None
        tell_clocks(graph, say)
        if application is None:
            return None
        return expiry.read(
            application,
            _known(runner, settings, _remembered(store, journal_key(there.tenant_id, application.app_id))[1]),
            tenant_id=there.tenant_id,
            stack=name,
            now=graph.now(),
            ahead=graph.ahead,
            within=within,
        )


def _known(runner: StackRunner, settings: StackSettings, certificates: Record) -> Known:
    """What the stack's outputs remember of its secret, the other slot's being told by its name, which no person types;
    and what the journal remembers of its certificates.
    """
    outputs = runner.outputs_as_kept()
    key_id = outputs.get("secretKeyId")
    in_use = key_id if isinstance(key_id, str) and key_id else None
    slots = _slots_of(certificates)
    if in_use is not None:
        slots[in_use] = Layout.from_outputs(outputs).active
    return Known(
        slots=slots,
        names=_names_of(settings.profile),
        in_use=in_use,
        certificate_in_use=certificates.active.key_id if certificates.active else None,
    )


def _store(backend: str, named: str | None, environ: Mapping[str, str]) -> Store | None:
    """Where journals are; None with Pulumi Cloud, which keeps states and no journals, so nothing is remembered."""
    address = journal_address(backend, named, environ)
    return None if address.startswith(("http://", "https://")) else open_store(address, environ)


def _remembered(store: Store | None, key: str) -> tuple[Record, Record]:
    """What the journal holds of a registration's client secrets and of its certificates."""
    journal = peek(store, key) if store else {}
    return Record.of_kind("secret", journal), Record.of_kind("certificate", journal)


def _slots_of(*records: Record) -> dict[str, Slot]:
    return {secret.key_id: secret.slot for record in records for secret in record.secrets.values()}


def _names_of(product: Profile) -> dict[str, Slot]:
    """The display names that only this toolkit gives."""
    namings = (product.slot_name, product.certificate_name)
    return {naming(slot): slot for naming in namings for slot in SLOTS}


def _once(say: Say) -> Say:
    """Says each line once: a wrong clock is wrong for every customer."""
    said: set[str] = set()

    def tell(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return tell
