"""Which registration is meant, a stack's or one named by its client id, and a line to its tenant.

For what is done to a registration through Microsoft Graph alone: no engine run, no pre-flight. Owns: signing in and
finding it. Does not own: what is done with it (``certifying``, ``federating``).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provision.app import ownership
from provision.app.preflight import registrations_of
from provision.engine.environment import engine_environment
from provision.engine.stack import StackRunner
from provision.engine.state import open_state
from provision.engine.toolchain import ensure_engine
from provision.errors import InvalidInput
from provision.microsoft.credentials import sign_in
from provision.microsoft.graph import Graph
from provision.microsoft.objects import Application
from provision.onboard.held import held
from provision.onboard.project import Request, choose_stack, find_project
from provision.onboard.rotating import tell_clocks
from provision.settings import credential as credentials
from provision.settings import endpoints as addresses
from provision.settings import profile as profiles
from provision.settings.endpoints import Endpoints
from provision.settings.profile import Profile
from provision.settings.stack import StackSettings

Say = Callable[[str], None]


@dataclass(frozen=True)
class Target:
    """What the command line names."""

    client_id: str | None = None
    """A registration by its Application (client) ID; a stack's without it."""
    request: Request = field(default_factory=Request)
    """Which stack, and how to sign in for this run."""
    profile: str = "cloudex"
    """With a client id: the product."""


@dataclass(frozen=True)
class Found:
    """A registration and the line to its tenant."""

    application: Application
    graph: Graph = field(repr=False)
    endpoints: Endpoints
    tenant_id: str
    profile: Profile
    stack: str | None = None
    settings: StackSettings | None = None
    """A stack's; None where the registration was named by its client id."""


@dataclass(frozen=True)
class StackTenant:
    """A stack's registration, None before there is one, and the line to its tenant."""

    application: Application | None
    graph: Graph = field(repr=False)
    endpoints: Endpoints
    tenant_id: str


@contextlib.contextmanager
def registration(target: Target, *, say: Say, environ: Mapping[str, str] = os.environ) -> Iterator[Found]:
    """The registration that is meant, for as long as the context lasts.

    Args:
        target: which one.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        InvalidInput: no such registration, or no way to tell which stack.
        SignInFailed, NotPermitted, Unreachable, StateUnavailable, EngineUnavailable: as the names say.
    """
    opened = _by_client_id if target.client_id else _of_stack
    with opened(target, say, environ) as found:
        tell_clocks(found.graph, say)
        yield found


@contextlib.contextmanager
def _by_client_id(target: Target, say: Say, environ: Mapping[str, str]) -> Iterator[Found]:
    asked = target.request
    product = profiles.load(target.profile, beside=Path.cwd())
    endpoints = addresses.resolve(metadata_host=asked.metadata_host, environment=None, environ=environ)
    how = credentials.read(asked.credential, tenant_id=asked.tenant, client_id=None, environ=environ)
    credential, caller = sign_in(how, endpoints, prompt=say)
    with Graph(credential, endpoints) as graph:
        application = graph.application_by_app_id(target.client_id or "")
        if application is None:
            raise InvalidInput(
                f"There is no app registration with the client id {target.client_id} in tenant {caller.tenant_id}.",
                remedy="Copy Application (client) ID from the registration's overview page.",
            )
        yield Found(application, graph, endpoints, caller.tenant_id, product)


@contextlib.contextmanager
def _of_stack(target: Target, say: Say, environ: Mapping[str, str]) -> Iterator[Found]:
    asked = target.request
    project = find_project(asked.project, start=Path.cwd())
    stack = choose_stack(asked.stack, project, environ=environ)
    toolchain, state = ensure_engine(progress=say, environ=environ), open_state(asked.backend, environ=environ)
    runner = StackRunner(
        project=project,
        stack=stack,
        toolchain=toolchain,
        state=state,
        environment=engine_environment(toolchain, state),
        say=say,
    )
    config = {**runner.config(), **asked.configuration()}
    settings = StackSettings.from_config(
        config, beside=project, source=runner.config_file.name, project=runner.project_name
    )
    with tenant_of(runner, stack, settings, say=say, environ=environ) as there:
        if there.application is None:
            raise InvalidInput(f"The stack {stack} has no app registration yet.", remedy="Make it first: provision up.")
        yield Found(there.application, there.graph, there.endpoints, there.tenant_id, settings.profile, stack, settings)


@contextlib.contextmanager
def tenant_of(
    runner: StackRunner, stack: str, settings: StackSettings, *, say: Say, environ: Mapping[str, str]
) -> Iterator[StackTenant]:
    """Signs in to the tenant of a stack as its settings say, and finds its registration there.

    Args:
        runner: the stack's engine.
        stack: the stack's name.
        settings: the stack's, with what the command line asks for in their place.
        say: told single lines on the way.
        environ: the process's environment.

    Raises:
        SignInFailed, NotPermitted, Unreachable: as the names say.
    """
    endpoints = addresses.resolve(
        metadata_host=settings.metadata_host, environment=settings.environment, environ=environ
    )
    how = credentials.read(
        settings.credential, tenant_id=settings.tenant_id, client_id=settings.credential_client_id, environ=environ
    )
    credential, caller = sign_in(how, endpoints, prompt=say)
    tag = ownership.stack_tag(runner.project_name, stack, settings.instance_id)
    with Graph(credential, endpoints) as graph:
        found = registrations_of(settings, graph, tag, lambda: held(runner.export_if_made()))
        yield StackTenant(found[0] if found else None, graph, endpoints, caller.tenant_id)
