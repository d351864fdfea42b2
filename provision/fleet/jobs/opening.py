"""A tenant opened for its job: its credential, its folder, its stack, and what is kept of it.

Owns: putting these together, and keeping what must not be lost before it can be lost. Does not own: what is done then
(``actions``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.app.adopt import APPLICATION, GRANT, SERVICE_PRINCIPAL
from provision.engine.state import State, backend_url, open_state
from provision.engine.toolchain import ensure_engine
from provision.errors import ProvisionError
from provision.fleet.credentials import environment_for
from provision.fleet.jobs.at_work import AtWork
from provision.fleet.jobs.job import Job
from provision.fleet.jobs.warm import template
from provision.fleet.jobs.workplace import Workplace, with_instance, workplace
from provision.fleet.kept import Kept
from provision.fleet.telemetry import step
from provision.onboard.project import find_project
from provision.onboard.rotating import journal_address
from provision.onboard.stories import Onboarding

if TYPE_CHECKING:
    from provision.fleet.jobs.work import Store

Say = Callable[[str], None]


@dataclass(frozen=True)
class Opening:
    """How a tenant's job is opened."""

    job: Job
    store: Store
    claim: Any | None
    """None for an action that only looks."""
    environ: Mapping[str, str] = field(repr=False)
    """The run's own: what opens the state, the sinks, the journal and the vaults, which are not the customer's."""
    say: Say
    hide: Callable[[Mapping[str, str]], None]
    """Takes values out of the log."""

    @contextmanager
    def signed(self) -> Iterator[dict[str, str]]:
        """The environment with the tenant's own credential."""
        with environment_for(self.job.tenant, self.environ) as environ:
            self.hide(environ)
            yield environ

    def journal(self) -> str:
        """Where values before a change are kept: beside the state, unless the environment names a place."""
        return journal_address(backend_url(environ=self.environ), environ=self.environ)

    @contextmanager
    def stack(self) -> Iterator[OpenStack]:
        """The tenant's stack; what is kept of it is in the store before anything is written in the tenant."""
        job = self.job
        kept = Kept.of_document(self.store.kept(job.fleet, job.tenant.key))
        project = find_project(_path(job.options.get("project")), start=Path.cwd())
        with ExitStack() as closing:
            with step("credential"):
                environ = closing.enter_context(self.signed())
            with step("engine"):
                state = open_state(environ=self.environ)
                toolchain = ensure_engine(progress=self.say, environ=environ)
            place = closing.enter_context(
                workplace(job.tenant, kept, project=project, profiles=job.options.get("profiles"))
            )
            left = AtWork.of(kept)
            onboarding = Onboarding(
                project=place.folder,
                stack=job.tenant.key,
                toolchain=toolchain,
                state=state,
                asked={},
                say=self.say,
                environ=environ,
                template=None if job.options.get("cold") else template(),
                is_dead=left.is_of,
                places=self.environ,
            )
            opened = OpenStack(self, place, onboarding, kept, state, environ)
            opened.prepare()
            try:
                yield opened
            finally:
                opened.leave()


@dataclass
class OpenStack:
    """A tenant's stack, ready for its commands."""

    opening: Opening
    place: Workplace
    onboarding: Onboarding
    kept: Kept
    state: State
    environ: Mapping[str, str] = field(repr=False)

    def prepare(self) -> None:
        """Gives a new stack its id, and keeps it, before anything is written in the tenant."""
        job = self.opening.job
        known = with_instance(self.kept, job.tenant, self.onboarding.deployment())
        if self.opening.claim is not None and self.state.directory is None:
            known = replace(known, at_work=AtWork.here())
        if self.opening.claim is not None and known != self.kept:
            self.opening.store.keep(job.fleet, job.tenant.key, known.document(), self.opening.claim)
        self.kept = known
        self.place.write_settings(known)

    def keep(self, *, complete: bool) -> Kept:
        """Keeps what a run has made of the stack.

        Args:
            complete: all that the row asks for is done.
        """
        job = self.opening.job
        known = self.place.kept(self.kept)
        deployment = self.onboarding.deployment()
        known = replace(known, at_work=None, **_made(deployment))
        if complete:
            known = replace(known, fingerprint=job.tenant.fingerprint())
        if self.opening.claim is not None and known != self.kept:
            self.opening.store.keep(job.fleet, job.tenant.key, known.document(), self.opening.claim)
        self.kept = known
        return known

    def leave(self) -> None:
        """Says that nobody is at work on the stack any more."""
        if self.opening.claim is not None and self.kept.at_work:
            self.kept = replace(self.kept, at_work=None)
            job = self.opening.job
            with suppress(
                ProvisionError
            ):  # the lease is lost or the store away: the note says too much, not too little
                self.opening.store.keep(job.fleet, job.tenant.key, self.kept.document(), self.opening.claim)


def _made(deployment: Mapping[str, Any]) -> dict[str, Any]:
    """What a stack's deployment says of its registration; secrets in it are encrypted and not looked at."""
    ids = {one["type"]: str(one["id"]).rpartition("/")[2] for one in deployment.get("resources") or () if one.get("id")}
    stack: Mapping[str, Any] = next(
        (one for one in deployment.get("resources") or () if one["type"] == "pulumi:pulumi:Stack"), {}
    )
    outputs = stack.get("outputs") or {}
    texts = {name: value for name, value in outputs.items() if isinstance(value, str) and value}
    return {
        "tenant_id": texts.get("tenantId"),
        "client_id": texts.get("clientId"),
        "application": ids.get(APPLICATION),
        "service_principal": ids.get(SERVICE_PRINCIPAL),
        "grant": ids.get(GRANT),
        "secret_key_id": texts.get("secretKeyId"),
        "secret_ends": texts.get("secretExpires"),
    }


def _path(text: object) -> Path | None:
    return Path(str(text)) if text else None
