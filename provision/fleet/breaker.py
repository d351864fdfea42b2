"""Stops a run where one cause hits all: the network, the place of state, the sign-in of one credential. Pure.

A cause is tried on purpose before it is believed: when several tenants in a row failed by it, the next few are tried
one at a time, picked from all that are left, not from those that stand together in the file. One that gets further
closes the breaker again; if none does, it opens, and all that the cause would hit are told as not tried. A tenant's own
fault therefore stops nobody else, however many such tenants follow each other. Of a run that is over without that, it
tells whether all its tenants failed by one cause. Does not own: the waiting and the jobs (``coordinator``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from provision.errors import EngineUnavailable, SignInFailed, StateUnavailable, Unreachable
from provision.fleet.outcome import Failure, Outcome
from provision.fleet.tenant import Tenant

IN_A_ROW = 5
"""So many different tenants, one after the other, make a cause suspected."""
PROBES = 3
"""So many more are tried on purpose before a suspected cause counts as one that hits all."""


@dataclass(frozen=True)
class Cause:
    """What may hit many tenants at once."""

    kind: str
    """The error's class."""
    scope: str
    """Whom it hits: "" everybody, else the name of a credential."""

    def hits(self, tenant: Tenant) -> bool:
        """Whether a tenant would run into it."""
        return not self.scope or self.scope == credential_of(tenant)


@dataclass(frozen=True)
class Shared:
    """A kind of failure that can be shared."""

    by_credential: bool
    """Its reach is one credential's tenants, not everybody."""
    patience: float
    """Seconds before each probe: how long it may take until such a cause goes away by itself."""


SHARED: dict[str, Shared] = {
    "Unreachable": Shared(by_credential=False, patience=20.0),
    "StateUnavailable": Shared(by_credential=False, patience=20.0),
    "EngineUnavailable": Shared(by_credential=False, patience=0.0),
    "SignInFailed": Shared(by_credential=True, patience=0.0),
}
"""Kinds of failure (classes of ``provision.errors``) that may have one cause for many tenants."""
_KINDS = {kind.exit_code: kind.__name__ for kind in (Unreachable, StateUnavailable, EngineUnavailable, SignInFailed)}


def credential_of(tenant: Tenant) -> str:
    """Which credential a tenant is signed in to with, as people call it."""
    return tenant.credential.name if tenant.credential else "the environment"


def cause_of(failure: Failure | None, tenant: Tenant) -> Cause | None:
    """The cause that a failure may share with others; None when it is the tenant's own."""
    kind = _kind_of(failure)
    if kind not in SHARED or (failure is not None and failure.throttled):
        return None
    return Cause(kind, credential_of(tenant) if SHARED[kind].by_credential else "")


def _kind_of(failure: Failure | None) -> str:
    """The error's class as the exit code has it: a failure may name a narrower one (``AnswerLost``)."""
    return _KINDS.get(failure.exit_code, "") if failure else ""


@dataclass
class _Suspicion:
    """What is known about one cause."""

    hit: dict[str, Failure] = field(default_factory=dict)
    """Tenants that it hit since one last got further, by key, in order."""
    said: set[str] = field(default_factory=set)
    """What was said of them, without their own names."""
    probing: str | None = None
    """The tenant that is being tried on purpose."""
    failed_probes: int = 0
    not_before: float = 0.0


class Breaker:
    """Knows which causes are suspected, and which have been found to hit all.

    Args:
        in_a_row: how many tenants make a cause suspected.
        probes: how many more are tried before it opens.
    """

    def __init__(self, *, in_a_row: int = IN_A_ROW, probes: int = PROBES) -> None:
        self._in_a_row = in_a_row
        self._probes = probes
        self._causes: dict[Cause, _Suspicion] = {}

    def ended(self, tenant: Tenant, outcome: Outcome, *, now: float) -> None:
        """A tenant's job has ended.

        Args:
            tenant: its row.
            outcome: how.
            now: seconds, of any clock that only goes forward.
        """
        its = cause_of(outcome.failure, tenant)
        for cause, seen in self._causes.items():
            if seen.probing == tenant.key:
                seen.probing = None
                seen.failed_probes += cause == its
            if cause != its and cause.hits(tenant) and _got_further(cause, outcome):
                seen.hit.clear()
                seen.said.clear()
                seen.failed_probes = 0
        if its is not None and outcome.failure is not None:
            seen = self._causes.setdefault(its, _Suspicion())
            seen.hit[tenant.key] = outcome.failure
            seen.said.add(_without_names(outcome.failure.message, tenant))
            seen.not_before = now + SHARED[its.kind].patience

    def lost(self, tenant: Tenant) -> None:
        """A tenant's job has ended without a word: its worker is gone, or somebody else has the tenant."""
        for seen in self._causes.values():
            if seen.probing == tenant.key:
                seen.probing = None

    def opened(self, tenant: Tenant) -> tuple[Cause, Failure] | None:
        """The cause that keeps a tenant from being tried, with the failure that showed it last; None: it may be."""
        return next(((cause, failure) for cause, failure in self.open_causes() if cause.hits(tenant)), None)

    def open_causes(self) -> list[tuple[Cause, Failure]]:
        """Every cause that stopped the run for those it hits."""
        return [
            (cause, list(seen.hit.values())[-1])
            for cause, seen in self._causes.items()
            if self._is_suspected(seen) and seen.failed_probes >= self._probes
        ]

    def of_all(self, counts: Mapping[str, int]) -> tuple[tuple[Cause, Failure], ...]:
        """The one cause by which every tenant of a run that is over failed, where they were too few to open it.

        One tenant alone shares its cause with nobody, and one that is done shows that the others' causes are their own;
        so does another sentence of the same kind.

        Args:
            counts: the run's tenants by status.

        Returns:
            One, as ``open_causes`` gives it, or none.
        """
        failed = counts.get("failed", 0)
        if failed < 2 or failed != sum(counts.values()):
            return ()
        return tuple(
            (cause, list(seen.hit.values())[-1])
            for cause, seen in self._causes.items()
            if len(seen.hit) == failed and len(seen.said) == 1
        )

    def pick(self, waiting: Sequence[Tenant], *, now: float) -> Tenant | None:
        """The next tenant to begin: the first that no suspicion holds back, else one to try on purpose.

        Args:
            waiting: who could begin now, in order.
            now: as in ``ended``.
        """
        held: dict[Cause, list[Tenant]] = {}
        for tenant in waiting:
            cause = self._suspected(tenant)
            if cause is None:
                return tenant
            held.setdefault(cause, []).append(tenant)
        for cause, tenants in held.items():
            seen = self._causes[cause]
            if seen.probing is None and now >= seen.not_before:
                fresh = [tenant for tenant in tenants if tenant.key not in seen.hit] or tenants
                # From the end, the middle, the beginning: neighbours in the file may share a fault of their own.
                left = max(1, self._probes - seen.failed_probes)
                probe = fresh[(len(fresh) - 1) * (left - 1) // max(1, self._probes - 1)]
                seen.probing = probe.key
                return probe
        return None

    def _suspected(self, tenant: Tenant) -> Cause | None:
        hits = (cause for cause, seen in self._causes.items() if cause.hits(tenant) and self._is_suspected(seen))
        return next(hits, None)

    def _is_suspected(self, seen: _Suspicion) -> bool:
        return len(seen.hit) >= self._in_a_row


def _without_names(message: str, tenant: Tenant) -> str:
    """A failure's sentence as it would be for any other tenant."""
    own = "|".join(re.escape(name) for name in (tenant.tenant, tenant.key))
    return re.sub(rf"\b(?:{own})\b", "", message)


def _got_further(cause: Cause, outcome: Outcome) -> bool:
    """Whether an outcome shows that a cause did not hit the tenant: all went well, or what failed comes later."""
    failure = outcome.failure
    if failure is None:
        return outcome.status != "not-tried"
    if cause.kind == "Unreachable":
        return failure.throttled or _kind_of(failure) == "SignInFailed"
    return _kind_of(failure) not in SHARED and not failure.throttled
