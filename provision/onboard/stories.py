"""The commands of the app registration as stories: up, preview, refresh, destroy, outputs, hand-off, adopt.

Owns: the order in which the rooms are asked. Settings are checked before anything is started, the tenant before
anything is created, and what an interrupted run left is put right before the engine runs. Does not own: wording on the
screen and exit codes (``cli``).
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.app import ownership
from provision.app.adopt import Difference, drift, import_plan
from provision.app.component import TYPE as COMPONENT
from provision.app.component import slot_display_names
from provision.app.layout import LAYOUT_VARIABLE, Layout, Owner
from provision.app.preflight import Preflight, finish_interrupted_create, preflight
from provision.app.program import PREFLIGHT_VARIABLE
from provision.engine.environment import engine_environment
from provision.engine.events import Event, ResourceStep, RunResult
from provision.engine.locks import Lock
from provision.engine.plugin import NAME, PluginChoice, choose_plugin
from provision.engine.stack import ImportedResource, NoStack, StackRunner
from provision.engine.state import State, open_state
from provision.engine.toolchain import Toolchain, ensure_engine
from provision.errors import InvalidInput, ProvisionError, WouldOverwrite
from provision.journal import open_store
from provision.journal.lease import Lease
from provision.microsoft.az_bridge import AzBridge
from provision.microsoft.credentials import Credential, sign_in
from provision.microsoft.graph import Graph
from provision.microsoft.objects import Application
from provision.microsoft.tokens import Caller
from provision.onboard.handoff import write_handoff
from provision.onboard.held import held
from provision.onboard.moving import move
from provision.onboard.project import Request, choose_stack, find_project
from provision.onboard.recover import Interrupted, recover, remove_leftovers
from provision.onboard.rotating import (
    RotateRequest,
    Rotating,
    journal_address,
    journal_key,
    prover,
    tell_clocks,
)
from provision.onboard.stack_slots import StackSlots
from provision.secrets.graph_slots import GraphSlots
from provision.secrets.record import Secret
from provision.secrets.rotation import Held, Slots, Wish
from provision.secrets.sinks import open_sinks
from provision.settings import credential as credentials
from provision.settings import endpoints as addresses
from provision.settings import profile as profiles
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints
from provision.settings.plugin import plugin_configuration
from provision.settings.stack import NAMESPACE, SLOTS, StackSettings

if TYPE_CHECKING:
    from provision.engine.warm import Template, Warm

Say = Callable[[str], None]
_OF_ONE_REGISTRATION = tuple(f"{NAMESPACE}:{key}" for key in ("adoptedClientId", "extraScopes"))
"""Settings that speak of one registration and mean nothing once it is gone."""
_BETTER = (
    "Where the product supports it, a certificate or federation is better than a client secret: docs/certificates.md."
)
_CHANGING = ("create", "update", "delete", "replace")
_NAMED = 10
"""So many stacks are named where another one was meant."""


@dataclass(frozen=True)
class Change:
    """One thing that ``up`` would do, or has done."""

    operation: str
    type: str
    name: str
    changed: tuple[str, ...] = ()
    """Names of the properties that differ."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    outputs: Mapping[str, Any]
    """The stack's outputs; secret ones are None unless they were asked for."""
    secret_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    consent_url: str = ""
    """Where somebody else must consent; empty when consent is there."""
    changes: Mapping[str, int] = field(default_factory=dict)
    done: tuple[Change, ...] = ()
    """What was made, changed or removed, one by one."""
    delivered: bool = False
    """Whether a secret that the state does not hold was made and brought where it is used."""


@dataclass(frozen=True)
class Adoption:
    """A registration that was taken into the state."""

    drift: Sequence[Difference]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _SignedIn:
    """Everything that a run against a tenant needs."""

    runner: StackRunner
    config: Mapping[str, str]
    """What the stack's configuration is to be, once the checks are passed."""
    settings: StackSettings
    endpoints: Endpoints
    caller: Caller
    graph: Graph


class Onboarding:
    """One stack of the project, ready for its commands.

    Args:
        project: the folder of ``Pulumi.yaml``.
        stack: the stack's name.
        toolchain: the engine.
        state: backend and passphrase.
        asked: configuration that the command line sets (full key to value).
        say: told single lines on the way.
        environ: the settings and the credential; several with different ones may be at work in one process.
        template: a process from which programs and plugins start at once; the engine starts them without it.
        is_dead: whether a lock of the stack was left by a run that is no more.
        places: with which sinks and the journal are opened, where those who own them sign in otherwise than to the
            tenant: a partner's Key Vault knows the partner, not the customer. ``environ`` without it.
    """

    def __init__(
        self,
        *,
        project: Path,
        stack: str,
        toolchain: Toolchain,
        state: State,
        asked: Mapping[str, str],
        say: Say,
        environ: Mapping[str, str] = os.environ,
        template: Template | None = None,
        is_dead: Callable[[Lock], bool] = lambda _lock: False,
        places: Mapping[str, str] | None = None,
    ) -> None:
        self.project = project
        self.stack = stack
        self._toolchain = toolchain
        self._state = state
        self._asked = dict(asked)
        self._say = say
        self._environ = environ
        self._template = template
        self._is_dead = is_dead
        self._places = environ if places is None else places

    @classmethod
    def open(cls, request: Request, *, say: Say, environ: Mapping[str, str] = os.environ) -> Onboarding:
        """Finds the project, the stack, the engine and the state.

        Raises:
            InvalidInput: no project, or no way to tell which stack.
            EngineUnavailable: no engine can be had.
            StateUnavailable: the state cannot be used.
        """
        project = find_project(request.project, start=Path.cwd())
        stack = choose_stack(request.stack, project, environ=environ)
        return cls(
            project=project,
            stack=stack,
            toolchain=ensure_engine(progress=say, environ=environ),
            state=open_state(request.backend, environ=environ),
            asked=request.configuration(),
            say=say,
            environ=environ,
        )

    # Commands

    def up(self, *, refresh: bool = False) -> Outcome:
        """Creates or updates the registration, consents, and makes the secret; finishes what was interrupted.

        Args:
            refresh: read the tenant first, so that what somebody changed there is put right.

        Raises:
            ProvisionError: one of its kinds; what was done stays done, and running again continues.
        """
        with self._signed_in(write=True) as run, self._alone(run) as lease:
            self._recover(run)
            found = self._check(run)
            layout = self._layout(run)
            self._require_place(run, layout)
            run.runner.set_config(run.config)
            finish_interrupted_create(found, run.settings, run.graph)
            result = run.runner.up(refresh=refresh)
            notes = list(found.notes)
            handed: list[str] = []
            if layout.owner is None:
                notes.append(_BETTER)
            if run.settings.secret_sinks:
                result, handed = self._deliver(run, found, result, lease)
                notes += handed
            if run.settings.mpn_id:
                notes += self._verified_publisher(run, str(result.outputs["clientId"].value))
            outcome = self._outcome(result, notes, pending=found.consent_pending(run.settings))
            return replace(outcome, delivered=bool(handed))

    def preview(self, *, refresh: bool = False) -> list[Change]:
        """What ``up`` would change; the stack's settings stay as they are, whatever the command line asks for.

        Args:
            refresh: read the tenant first, so that what somebody changed there is seen.
        """
        with self._signed_in(write=True) as run:
            self._check(run)
            self._layout(run)
            result = run.runner.preview(refresh=refresh, config=run.config)
            return list(_changes(result))

    def refresh(self) -> Outcome:
        """Reads the tenant into the state; the next ``up`` or ``preview`` shows what differs."""
        with self._signed_in(write=False) as run:
            return self._outcome(run.runner.refresh(), [])

    def destroy(self) -> None:
        """Removes the registration and everything under it, what an interrupted run left, and the stack."""
        with self._signed_in(write=False) as run, self._alone(run) as lease:
            adopted = run.settings.adopted_client_id is not None
            interrupted = Interrupted.of(run.runner.export_if_made(), adopted=adopted)
            if interrupted is not None and interrupted.pending:
                run.runner.clear_pending()
            run.runner.destroy()
            if interrupted is not None or run.settings.instance_id is not None:
                remove_leftovers(run.graph, tag=self._tag(run), patiently=interrupted is not None, say=self._say)
            run.runner.set_config(dict.fromkeys(_OF_ONE_REGISTRATION))
            run.runner.remove()
            if lease is not None:
                lease.discard()

    def require_stack(self) -> None:
        """Refuses when there is no such stack, before a person is asked anything about it.

        Raises:
            StateUnavailable: there is none, or the state cannot be read.
        """
        runner = self._runner({})
        with _naming_others(runner):
            runner.export()

    def require_known(self) -> None:
        """Refuses a stack that has neither settings nor a state: a typing mistake, which no settings could mend.

        Raises:
            StateUnavailable: as ``require_stack``.
        """
        if not any(key.startswith(f"{NAMESPACE}:") for key in self._runner({}).config()):
            self.require_stack()

    def outputs(self, *, show_secrets: bool = True) -> Outcome:
        """The stack's outputs, from the state alone.

        Args:
            show_secrets: whether to decrypt the secret ones.
        """
        runner = self._runner({})
        with _naming_others(runner):
            values = runner.outputs(show_secrets=show_secrets)
        return Outcome(
            outputs={name: output.value for name, output in values.items()},
            secret_names=tuple(name for name, output in values.items() if output.secret),
        )

    def deployment(self) -> dict[str, Any]:
        """The stack as the state keeps it, secrets encrypted; empty when it is not there."""
        return self._runner({}).export_if_made()

    def settings(self) -> StackSettings:
        """The stack's settings, with what the request asks for in their place."""
        runner = self._runner({})
        return self._settings(runner, {**runner.config(), **self._asked})

    def endpoints(self) -> Endpoints:
        """The addresses of the cloud that the stack's settings name."""
        return self._endpoints(self.settings())

    def handoff(self, file: Path) -> Path:
        """Writes the file for the person who enters the values in the product.

        Raises:
            WouldOverwrite: the file exists.
            InvalidInput: there is nothing to hand over.
        """
        if file.exists():
            raise WouldOverwrite(f"{file} already exists and is not overwritten.", remedy="Name another file.")
        runner = self._runner({})
        settings = self._settings(runner, runner.config())
        write_handoff(file, self.outputs().outputs, product=settings.profile.product)
        return file

    def adopt(self, client_id: str) -> Adoption:
        """Takes a registration that was made by hand into the state; nothing is created or changed in the tenant.

        Args:
            client_id: its Application (client) ID.

        Raises:
            InvalidInput: there is no such registration in the tenant, or the stack has one already.
        """
        with self._signed_in(write=True) as run:
            found = self._check(run)
            application = run.graph.application_by_app_id(client_id)
            if application is None:
                raise InvalidInput(
                    f"There is no app registration with the client id {client_id} in tenant {found.tenant_id}.",
                    remedy="Copy Application (client) ID from the registration's overview page.",
                )
            self._require_adoptable(run, application)
            plan = import_plan(application, run.graph)
            settings = run.settings
            kept = {f"{NAMESPACE}:adoptedClientId": application.app_id}
            if extra := plan.extra_scopes(settings.scopes):
                kept[f"{NAMESPACE}:extraScopes"] = " ".join([*settings.extra_scopes, *extra])
            run.runner.set_config({**run.config, **kept})
            run.runner.import_resources(
                [
                    ImportedResource(
                        entry.type, entry.name, id=entry.id, parent=entry.parent, component=entry.type == COMPONENT
                    )
                    for entry in plan
                ]
            )
            differences = drift(
                application, plan.grant, settings, redirect_uri=found.redirect_uri, scope_ids=found.scope_ids
            )
            return Adoption(drift=differences, notes=(*found.notes, *plan.notes))

    @contextlib.contextmanager
    def rotating(self, request: RotateRequest) -> Iterator[Rotating]:
        """The stack's registration, ready to be rotated.

        Args:
            request: what is asked for; without sinks the stack's own count.

        Raises:
            InvalidInput: the stack has no registration yet.
            ProvisionError: as ``up``, before anything is changed.
        """
        with self._signed_in(write=True) as run:
            found = self._check(run)
            if not found.existing:
                raise InvalidInput(
                    f"The stack {self.stack} has no app registration yet.", remedy="Make it first: provision up."
                )
            application = run.graph.application(found.existing[0].object_id)
            if application is None:
                raise InvalidInput(
                    f"The app registration {found.existing[0].app_id} is gone.", remedy="Make it anew: provision up."
                )
            yield self._rotating(run, found, request, application)

    def move_secret(self, owner: Owner) -> list[str]:
        """Moves the secret in use between Pulumi's state and its sinks alone; nothing is made or removed in the tenant.

        Every step leaves settings and state such that a plain run refuses rather than deletes; running again goes on.

        Args:
            owner: ``state`` or ``graph``, who is to keep it.

        Returns:
            What was done, in lines.

        Raises:
            InvalidInput: there is nothing to move, a rotation is not over, or no place has or shows the value.
            NotDelivered: a sink does not hold the secret.
        """
        with self._signed_in(write=True) as run, self._alone(run) as lease:
            self._recover(run)
            found = self._check(run)
            layout = Layout.from_outputs(run.runner.outputs_as_kept())
            if not found.existing or layout.owner is None or lease is None:
                raise InvalidInput(f"The stack {self.stack} has no client secret to move.", remedy="Run provision up.")
            application = run.graph.application(found.existing[0].object_id)
            if application is None:
                raise InvalidInput(f"The registration {found.existing[0].app_id} is gone.", remedy="Run provision up.")
            sinks = open_sinks(run.settings.secret_sinks, self._places)
            whose = (found.tenant_id, application.app_id)
            names = {slot: run.settings.profile.slot_name(slot) for slot in SLOTS}
            slots = StackSlots(run.runner, run.graph, application.object_id, *whose, names, layout)
            proof = prover(
                run.endpoints,
                tenant_id=found.tenant_id,
                client_id=application.app_id,
                scopes=run.settings.scopes,
                refresh_token_file=None,
            )
            config = {**run.config, f"{NAMESPACE}:secretInState": str(owner == "state").lower()}
            return move(
                owner,
                slots=slots,
                sinks=sinks,
                lease=lease,
                prove=proof,
                now=run.graph.now,
                say=self._say,
                configure=lambda: run.runner.set_config(config),
            )

    # How

    def _require_adoptable(self, run: _SignedIn, application: Application) -> None:
        """Refuses a second registration for this stack, and one that another stack would go on changing."""
        tag = self._tag(run)
        ours = {found.object_id for found in run.graph.applications_by_tag(tag)}
        if known := held(run.runner.export_if_made()).application:
            ours.add(known)
        if ours - {application.object_id}:
            raise InvalidInput(
                f"The stack {self.stack} has an app registration already (object id {', '.join(sorted(ours))}).",
                remedy="Adopt into a stack of its own: --stack NAME.",
            )
        if other := ownership.other_stack(application.tags, tag):
            raise InvalidInput(
                f"The registration {application.app_id} belongs to the stack {other}; two stacks would undo each "
                "other's changes.",
                remedy="Use that stack. If it is no more, remove its tag in the portal (Manifest, tags), then adopt.",
            )

    def _settings(self, runner: StackRunner, config: Mapping[str, str]) -> StackSettings:
        source = runner.config_file.name
        return StackSettings.from_config(config, beside=self.project, source=source, project=runner.project_name)

    def _runner(self, environment: Mapping[str, str], plugin: PluginChoice | None = None) -> StackRunner:
        return StackRunner(
            project=self.project,
            stack=self.stack,
            toolchain=self._toolchain,
            state=self._state,
            environment={
                **engine_environment(self._toolchain, self._state, environ=self._environ),
                **environment,
            },
            on_event=self._show,
            say=self._say,
            is_dead=self._is_dead,
            environ=self._environ,
            warm=self._warm(plugin),
        )

    def _warm(self, plugin: PluginChoice | None) -> Warm | None:
        if self._template is None:
            return None
        from provision.engine.warm import Warm

        return Warm(self._template, {NAME: plugin.module} if plugin is not None and plugin.module else {})

    def _endpoints(self, settings: StackSettings) -> Endpoints:
        return addresses.resolve(
            metadata_host=settings.metadata_host, environment=settings.environment, environ=self._environ
        )

    @contextlib.contextmanager
    def _signed_in(self, *, write: bool) -> Iterator[_SignedIn]:
        """Checks the settings, signs in, and opens Graph and the engine as the same caller."""
        plain = self._runner({})
        config = {**plain.config(), **self._asked}
        if write and f"{NAMESPACE}:instanceId" not in config and _is_new(plain.export_if_made()):
            config[f"{NAMESPACE}:instanceId"] = str(uuid.uuid4())
        elif not write:
            self.require_known()
        settings = self._settings(plain, config)
        endpoints = self._endpoints(settings)
        how = credentials.read(
            settings.credential,
            tenant_id=settings.tenant_id,
            client_id=settings.credential_client_id,
            environ=self._environ,
        )
        plugin = choose_plugin(
            self._toolchain, metadata_host=endpoints.metadata_host, progress=self._say, environ=self._environ
        )
        if plugin.notice:
            self._say(plugin.notice)
        credential, caller = sign_in(how, endpoints, prompt=self._say)
        if write:
            config.setdefault("azuread:tenantId", caller.tenant_id)
        environment = {
            **engine_environment(self._toolchain, self._state, plugin, environ=self._environ),
            **plugin_configuration(how, endpoints),
        }
        with contextlib.ExitStack() as closing:
            graph = closing.enter_context(Graph(credential, endpoints))
            environment |= self._bridge(closing, how, credential, caller, environment)
            yield _SignedIn(self._runner(environment, plugin), config, settings, endpoints, caller, graph)

    def _bridge(
        self,
        closing: contextlib.ExitStack,
        how: CredentialSetting,
        credential: Credential,
        caller: Caller,
        environment: dict[str, str],
    ) -> dict[str, str]:
        """The plugin knows no device code and no browser: it asks ``az``, and this process answers."""
        if not how.is_interactive:
            return {}
        return closing.enter_context(AzBridge(credential, caller)).environment(environment)

    def _check(self, run: _SignedIn) -> Preflight:
        found = preflight(
            run.settings,
            run.endpoints,
            run.caller,
            run.graph,
            project=run.runner.project_name,
            stack=self.stack,
            held=lambda: held(run.runner.export_if_made()),
        )
        if not found.existing:
            self._require_never_made(run)
        run.runner.add_environment({PREFLIGHT_VARIABLE: found.to_json()})
        return found

    def _require_never_made(self, run: _SignedIn) -> None:
        """Refuses a second registration for a stack that was renamed, or for a copy of another stack's settings."""
        tag = self._tag(run)
        for application in run.graph.applications_by_tag(ownership.MADE_BY):
            if former := ownership.former_name(application.tags, tag):
                raise InvalidInput(
                    f"This stack's settings belong to the registration {application.app_id} of the stack {former}, and "
                    f"the state of {run.runner.project_name}/{self.stack} knows nothing of it.",
                    remedy="Renamed: put the old name back, then move the state with `pulumi stack rename`. A copy of "
                    f"another stack's settings: remove {NAMESPACE}:instanceId from {run.runner.config_file.name}.",
                )

    def _tag(self, run: _SignedIn) -> str:
        return ownership.stack_tag(run.runner.project_name, self.stack, run.settings.instance_id)

    def _recover(self, run: _SignedIn) -> None:
        """Puts right what an interrupted run left.

        Where the state does not hold the secret, a rotation's journal knows which one is whose, and the state's list
        of secrets says nothing.
        """
        names = slot_display_names(run.settings) if run.settings.secret_in_state else ()
        adopted = run.settings.adopted_client_id is not None
        recover(run.runner, run.graph, tag=self._tag(run), adopted=adopted, slot_names=names, say=self._say)

    def _layout(self, run: _SignedIn) -> Layout:
        """Which secret slots there are; told to the program for the runs that follow."""
        layout = Layout.from_outputs(run.runner.outputs_as_kept())
        layout.require_owner(in_state=run.settings.secret_in_state)
        run.runner.add_environment({LAYOUT_VARIABLE: layout.to_json()})
        return layout

    def _require_place(self, run: _SignedIn, layout: Layout) -> None:
        """Refuses, before anything is changed, when a secret will be made and its value could not be stored."""
        settings = run.settings
        if not settings.secret_in_state and not settings.secret_sinks and layout.owner is None:
            raise InvalidInput(
                "With secretInState: false the secret's value needs a place, and none is configured.",
                remedy="Name one: provision up --secret-in-state false --sink file:/absolute/path (docs/sinks.md).",
            )
        if layout.owner is None:
            for sink in open_sinks(settings.secret_sinks, self._places):
                sink.check()

    @contextlib.contextmanager
    def _alone(self, run: _SignedIn) -> Iterator[Lease | None]:
        """Keeps other runs off the registration, a rotation above all: what it makes looks like a killed run's remains.

        A stack without a registration needs none, and Pulumi Cloud, which has no place for a journal, has its own.
        """
        outputs = run.runner.outputs_as_kept()
        tenant_id, client_id = outputs.get("tenantId"), outputs.get("clientId")
        address = journal_address(self._state.backend, environ=self._environ)
        if not tenant_id or not client_id or address.startswith("http"):
            yield None
            return
        with Lease(
            open_store(address, self._places), journal_key(str(tenant_id), str(client_id)), say=self._say
        ) as lease:
            run.runner.look_again()  # another run may have been at work until now
            yield lease

    def _rotating(self, run: _SignedIn, found: Preflight, request: RotateRequest, application: Application) -> Rotating:
        tell_clocks(run.graph, self._say)
        names = {slot: run.settings.profile.slot_name(slot) for slot in SLOTS}

        def slots(*, alone: bool) -> Slots:
            run.runner.look_again()
            if alone:
                self._recover(run)
            layout = self._layout(run)
            whose = (found.tenant_id, application.app_id, names)
            if run.settings.secret_in_state:
                return StackSlots(run.runner, run.graph, application.object_id, *whose, layout)
            known = {}
            if layout.key_id and layout.expires:
                known = {layout.active: Held(layout.key_id, datetime.fromisoformat(layout.expires))}
            return GraphSlots(
                run.graph,
                application.object_id,
                *whose,
                end=lambda: found.secret_end,
                now=run.graph.now,
                known=known,
                in_use=layout.active if known else None,
                remember=remember,
            )

        def remember(secret: Secret) -> None:
            kept = Layout(secret.slot, (secret.slot,), secret.key_id, secret.expires, owner="graph")
            run.runner.add_environment({LAYOUT_VARIABLE: kept.to_json()})
            run.runner.up()

        return Rotating(
            name=application.display_name,
            slots=slots,
            sinks=open_sinks(request.sinks or run.settings.secret_sinks, self._places),
            store=open_store(request.journal, self._places),
            prove=prover(
                run.endpoints,
                tenant_id=found.tenant_id,
                client_id=application.app_id,
                scopes=run.settings.scopes,
                refresh_token_file=request.refresh_token_file,
            ),
            graph=run.graph,
            pace=request.pace,
            end=lambda: found.secret_end,
            now=run.graph.now,
            say=self._say,
        )

    def _deliver(
        self, run: _SignedIn, found: Preflight, result: RunResult, lease: Lease | None
    ) -> tuple[RunResult, list[str]]:
        """Makes the secret that the state must not hold, when there is none, and brings it where it is used."""
        client_id = str(result.outputs["clientId"].value)
        application = run.graph.wait_until_readable(
            lambda: run.graph.application_by_app_id(client_id), "the app registration"
        )
        wish = Wish(only_finish=True)
        request = RotateRequest(wish=wish, journal=journal_address(self._state.backend, environ=self._environ))
        rotating = self._rotating(run, found, request, application)
        if not rotating.plan(wish).reason:
            return result, []
        report = rotating.run(wish, lease)
        places = ", ".join(run.settings.secret_sinks)
        notes = [f"The client secret is in {places}.", *report.notes]
        return replace(result, outputs=run.runner.outputs()), notes

    def _outcome(self, result: RunResult, notes: Sequence[str], *, pending: Sequence[str] = ()) -> Outcome:
        outputs = {name: output.value for name, output in result.outputs.items()}
        return Outcome(
            outputs=outputs,
            secret_names=tuple(name for name, output in result.outputs.items() if output.secret),
            notes=tuple(notes),
            consent_url=str(outputs.get("adminConsentUrl", "")) if pending else "",
            changes=result.changes,
            done=_changes(result),
        )

    def _show(self, event: Event) -> None:
        if (
            isinstance(event, ResourceStep)
            and event.operation.startswith(_CHANGING)
            and event.status != "started"
            and event.type != "pulumi:pulumi:Stack"
        ):
            changed = f" ({', '.join(event.changed)})" if event.changed else ""
            self._say(f"  {event.operation:8} {event.type.rpartition(':')[2]} {event.name}{changed}: {event.status}")

    def _verified_publisher(self, run: _SignedIn, client_id: str) -> list[str]:
        """An optional step: when it fails, all the rest is done all the same and is said."""
        if run.settings.sign_in_audience != "AzureADMultipleOrgs":
            return [
                f"The verified publisher {run.settings.mpn_id} is not set: users of the registration's own tenant "
                "consent without one (docs/verified-publisher.md)."
            ]
        application = run.graph.application_by_app_id(client_id)
        if application is None or application.verified_publisher:
            return []
        if run.caller.kind != "user":
            return [
                f"The verified publisher {run.settings.mpn_id} is not set: Microsoft lets only a signed-in user do it, "
                "in the publisher's own tenant."
            ]
        try:
            run.graph.set_verified_publisher(application.object_id, run.settings.mpn_id or "")
        except ProvisionError as refused:
            return [str(refused)]
        return [f"Verified publisher set: {run.settings.mpn_id}."]


def _changes(result: RunResult) -> tuple[Change, ...]:
    return tuple(
        Change(step.operation, step.type, step.name, step.changed)
        for step in result.steps
        if step.operation.startswith(_CHANGING) and step.status != "failed" and step.type != "pulumi:pulumi:Stack"
    )


@contextlib.contextmanager
def _naming_others(runner: StackRunner) -> Iterator[None]:
    """Has the sentence about a stack that is not there name those that are."""
    try:
        yield
    except NoStack as missing:
        there = runner.others()
        if not there:
            raise
        more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
        verb = "is" if len(there) == 1 else "are"
        said = f"{missing.message.removesuffix('.')}; there {verb} {', '.join(there[:_NAMED])}{more}."
        raise NoStack(said, remedy=f"Name one of them, or the project with --project. {missing.remedy}") from None


def _is_new(deployment: Mapping[str, Any]) -> bool:
    """Whether no run has begun yet: only then may the stack be given an id, which its registration's tag will carry."""
    return not deployment.get("resources") and not deployment.get("pending_operations")


def profile_rows(project: Path | None = None) -> list[tuple[str, str, str, str]]:
    """The product profiles as rows: id, product, redirect URI, the secret's lifetime."""
    beside = project or find_project(None, start=Path.cwd())
    return [
        (found.id, found.product, found.redirect_uri or "your own (--redirect-uri)", f"{found.secret_months} months")
        for found in profiles.available(beside=beside)
    ]
