"""Many tenants looked at through Microsoft Graph alone: unchanged, drifted or new, without starting an engine.

Owns: how many are looked at at once, and that one tenant's refusal is that tenant's outcome. What is read is in
``facts``, what it means in ``judge``. A tenant costs a token and one ``$batch``, a second one where no earlier run has
left the ids that the first needs; nothing of a tenant is kept in memory once its outcome is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from provision.app.permissions import scope_ids
from provision.app.redirect import redirect_uri
from provision.errors import ProvisionError
from provision.fleet.audit.facts import gather, published, publishing
from provision.fleet.audit.judge import Seen, judge
from provision.fleet.credentials import environment_for
from provision.fleet.kept import Kept
from provision.fleet.outcome import DEFECT, Failure, Outcome
from provision.fleet.telemetry import step, traced_look
from provision.fleet.tenant import Tenant
from provision.microsoft.batch import Pool, Visit, counting
from provision.microsoft.credentials import is_tenant_id, require_tenant
from provision.microsoft.objects import Permission
from provision.settings import credential as credentials
from provision.settings import endpoints as addresses
from provision.settings.endpoints import Endpoints
from provision.settings.stack import NAMESPACE, StackSettings

AT_ONCE = 32
"""Tenants that are looked at at the same time."""
WITHIN = timedelta(days=30)
"""How soon a client secret's end is told as soon."""


@dataclass
class _Cloud:
    """What all tenants of one cloud share."""

    endpoints: Endpoints
    pool: Pool
    permissions: tuple[Permission, ...] = ()
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Clouds:
    """One pool of connections for each cloud that the rows name, opened when the first of them is looked at."""

    def __init__(self, at_once: int, environ: Mapping[str, str]) -> None:
        self._at_once = at_once
        self._environ = environ
        self._opened: dict[tuple[str | None, str | None], _Cloud] = {}
        self._opening = asyncio.Lock()

    async def of(self, settings: StackSettings) -> _Cloud:
        key = (settings.metadata_host, settings.environment)
        async with self._opening:
            if key not in self._opened:
                endpoints = await asyncio.to_thread(
                    addresses.resolve, metadata_host=key[0], environment=key[1], environ=self._environ
                )
                pool = await Pool(endpoints, at_once=self._at_once).__aenter__()
                self._opened[key] = _Cloud(endpoints, pool)
            return self._opened[key]

    async def close(self) -> None:
        for cloud in self._opened.values():
            await cloud.pool.__aexit__()


async def audit(
    tenants: Iterable[Tenant],
    kept: Callable[[str], Mapping[str, Any]],
    *,
    on_outcome: Callable[[Outcome], None],
    environ: Mapping[str, str] = os.environ,
    at_once: int = AT_ONCE,
    within: timedelta = WITHIN,
    project: str = NAMESPACE,
    profiles: Path | None = None,
) -> None:
    """Looks at tenants and tells the outcome of each as it is there.

    Args:
        tenants: read one by one as others are done, so that it may be endless.
        kept: a tenant's kept document (``fleet.kept``) by its key; empty for one that no run has worked on.
        on_outcome: told each outcome, in no particular order; a tenant that cannot be read is a failed one.
        environ: where credentials are found.
        at_once: how many tenants are looked at at the same time.
        within: how soon a secret's end is told as soon.
        project: the Pulumi project's name.
        profiles: the folder beside which product profiles of one's own lie.

    Raises:
        Whatever ``tenants`` or ``on_outcome`` raises, as it is.
    """
    look = _Look(kept, _Clouds(at_once, environ), environ, within, project, profiles)
    rows = iter(tenants)

    async def work() -> None:
        for tenant in rows:
            started = time.monotonic()
            outcome = await look.at(tenant)
            on_outcome(replace(outcome, seconds=round(time.monotonic() - started, 3)))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except BaseExceptionGroup as raised:  # by what reads the rows or takes the outcomes, as when the store is gone
        raise raised.exceptions[0] from None
    finally:
        await look.clouds.close()


@dataclass(frozen=True)
class _Look:
    """How every tenant of an audit is looked at; the fields are ``audit``'s arguments."""

    kept: Callable[[str], Mapping[str, Any]]
    clouds: _Clouds
    environ: Mapping[str, str]
    within: timedelta
    project: str
    profiles: Path | None

    @traced_look
    async def at(self, tenant: Tenant) -> Outcome:
        """One tenant's outcome, whatever happens there."""
        with counting() as requests:
            try:
                outcome = await self._judged(tenant)
            except ProvisionError as refused:
                outcome = Outcome(tenant.key, "audit", "failed", failure=Failure.of(refused))
            except Exception as defect:  # noqa: BLE001 - one tenant's defect must not stop a thousand others
                outcome = Outcome(tenant.key, "audit", "failed", failure=_defect(defect))
            return replace(outcome, requests=requests[0])

    async def _judged(self, tenant: Tenant) -> Outcome:
        known = Kept.of_document(self.kept(tenant.key))
        settings = StackSettings.from_config(
            {**known.settings, **tenant.configuration()},
            beside=self.profiles,
            source=tenant.key,
            project=self.project,
        )
        cloud = await self.clouds.of(settings)
        wanted = redirect_uri(settings, local=cloud.endpoints.is_local)
        async with _credential(tenant, self.environ) as environment:
            how = credentials.read(
                settings.credential,
                tenant_id=settings.tenant_id,
                client_id=settings.credential_client_id,
                environ=environment,
            )
            with step("sign in"):
                visit = await cloud.pool.visit(how)
        if is_tenant_id(tenant.tenant):
            require_tenant(visit.caller, tenant.tenant, cloud.endpoints)
        permissions = await _permissions(cloud, visit)
        with step("read"):
            audience = cloud.endpoints.token_exchange_audience
            facts = await gather(visit, settings, known, project=self.project, stack=tenant.key, audience=audience)
        scopes = scope_ids(settings.scopes, permissions)
        now = datetime.now(UTC) + cloud.pool.ahead
        return judge(Seen(tenant, settings, known, facts, wanted, scopes, now, self.within))


def _defect(error: Exception) -> Failure:
    """What nobody foresaw, with its place in this program and without its words, which may hold anything."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(
        DEFECT,
        f"A mistake in this program stopped it ({type(error).__name__} in {Path(at.filename).name}:{at.lineno}).",
        "Run it again; if it comes again, report it.",
        exit_code=1,
    )


@contextlib.asynccontextmanager
async def _credential(tenant: Tenant, environ: Mapping[str, str]) -> AsyncIterator[dict[str, str]]:
    """The tenant's credential, fetched on a thread: a vault may take its time."""
    entered = environment_for(tenant, environ)
    variables = await asyncio.to_thread(entered.__enter__)
    try:
        yield variables
    finally:
        await asyncio.to_thread(entered.__exit__, None, None, None)


async def _permissions(cloud: _Cloud, visit: Visit) -> tuple[Permission, ...]:
    """What Microsoft Graph publishes, asked in the first tenant that shows it."""
    async with cloud.asking:
        if not cloud.permissions:
            answer = (await visit.read([publishing()]))["published"]
            if isinstance(answer, ProvisionError):
                raise answer
            cloud.permissions = published(answer)
        return cloud.permissions
