"""One view of a fleet out of its store: what stands now, what was found, what failed, when secrets end, what was run.

Owns: which outcome still counts when several actions have spoken about a tenant. Nothing here writes or asks anybody
but the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from provision.fleet.outcome import ACTIONS, Action, Failure, Finding, Outcome, Severity, Status
from provision.fleet.store.values import Recorded, Run
from provision.fleet.tenant import Tenant

if TYPE_CHECKING:
    from provision.fleet.store import FleetStore

RUNS = 20
"""Runs that the history shows, the newest."""
TRAIL = 8
"""Runs that are shown of each tenant."""
WEEKS, MONTHS, SOON_WEEKS = 8, 24, 5
"""How far the timeline goes by weeks, and from there by months: a client secret lives two years at most."""

_OUTDATED_BY: Mapping[Action, frozenset[Action]] = {
    "plan": frozenset({"audit", "up"}),
    "audit": frozenset({"plan", "up"}),
    "up": frozenset({"plan", "audit"}),
    "rotate": frozenset({"plan", "audit", "up"}),
    "smtp-auth": frozenset(),
    "diagnose": frozenset(),
}
"""Whose later word says the same and more: an audit looks at registration, consent and secret, never at mailboxes."""
_LOOKS: frozenset[Action] = frozenset({"plan", "audit"})
_MENDED: Mapping[Action, frozenset[Status]] = {
    "up": frozenset({"changed", "unchanged"}),
    "rotate": frozenset({"changed"}),
}
"""How an action ends that has put right what it can; a rotation that was not due has not."""
_ORDER: tuple[Status, ...] = ("failed", "pending", "not-tried", "changed", "unchanged")
"""The worst first."""
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
DRIFT = frozenset({"drifted", "new", "settings-changed"})
"""Verdicts that mean: the engine would change something."""


@dataclass(frozen=True)
class Row:
    """One tenant."""

    key: str
    tenant: str
    """Its id or domain, as the fleet file has it."""
    profile: str
    groups: tuple[str, ...]
    state: Status
    """The worst of what stands."""
    latest: tuple[Recorded, ...]
    """The last word of each action, the newest first."""
    standing: tuple[Recorded, ...]
    """Those of ``latest`` that nothing later has outdated, the worst first."""
    secret_ends: datetime | None
    trail: tuple[Status, ...]
    """How the last runs that tried it ended, the oldest first."""

    @property
    def at(self) -> datetime | None:
        """When the newest word was written."""
        return self.latest[0].at if self.latest else None

    @property
    def verdict(self) -> str:
        """What the worst of what stands calls it."""
        return self.standing[0].outcome.verdict if self.standing else ""

    @property
    def failures(self) -> Iterator[tuple[Recorded, Failure]]:
        """What stands and failed."""
        for one in self.standing:
            if one.outcome.failure is not None:
                yield one, one.outcome.failure

    @property
    def findings(self) -> Iterator[Finding]:
        """What was found and stands, the worst first, each once."""
        found = dict.fromkeys(finding for one in self.standing for finding in one.outcome.findings)
        yield from sorted(found, key=lambda finding: _SEVERITIES.index(finding.severity))


@dataclass(frozen=True)
class RuleFound:
    """One rule, and where it found something."""

    rule: str
    severity: Severity
    """The worst."""
    keys: tuple[str, ...]
    example: Finding


@dataclass(frozen=True)
class Cause:
    """One cause of failures."""

    action: Action
    failure: Failure
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """One bar of the timeline."""

    label: str
    soon: bool
    """Ended, or ends within ``SOON_WEEKS``."""
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Ran:
    """One run of the history."""

    run: Run
    counts: Mapping[str, int]
    """Tenants by status."""
    better: int
    worse: int
    """Tenants that ended better or worse than in the run of the same action before."""


@dataclass(frozen=True)
class View:
    """A fleet at a moment."""

    fleet: str
    made: datetime
    """UTC."""
    run: Run | None
    """The one run that is shown; None: the latest of each tenant."""
    rows: tuple[Row, ...]
    """By key."""
    runs: tuple[Ran, ...]
    """The newest first."""

    @property
    def counts(self) -> dict[Status, int]:
        """Tenants by state, the worst first."""
        counted = Counter(row.state for row in self.rows)
        return {state: counted[state] for state in _ORDER if counted[state]}

    @property
    def drifted(self) -> list[Row]:
        """Tenants in which the engine would change something."""
        return [row for row in self.rows if any(one.outcome.verdict in DRIFT for one in _pending(row.standing))]

    @property
    def outcomes(self) -> Iterator[Outcome]:
        """Every outcome that stands, by tenant; a tenant that nobody tried has one that says so."""
        for row in self.rows:
            if not row.standing:
                yield Outcome(row.key, "audit", "not-tried", notes=("no run has tried it yet",))
            yield from (one.outcome for one in row.standing)

    def rules(self) -> list[RuleFound]:
        """Findings by rule: the worst first, then what most tenants have."""
        found: dict[str, list[tuple[str, Finding]]] = {}
        for row in self.rows:
            for finding in row.findings:
                found.setdefault(finding.rule, []).append((row.key, finding))
        told = []
        for rule, seen in found.items():
            worst = min((finding for _, finding in seen), key=lambda finding: _SEVERITIES.index(finding.severity))
            told.append(RuleFound(rule, worst.severity, tuple(dict.fromkeys(key for key, _ in seen)), worst))
        return sorted(told, key=lambda one: (_SEVERITIES.index(one.severity), -len(one.keys), one.rule))

    def causes(self) -> list[Cause]:
        """Failures by cause, what most tenants have first."""
        found: dict[tuple[Action, Failure], list[str]] = {}
        for row in self.rows:
            for one, failure in row.failures:
                found.setdefault((one.outcome.action, failure), []).append(row.key)
        causes = [Cause(action, failure, tuple(keys)) for (action, failure), keys in found.items()]
        return sorted(causes, key=lambda cause: (-len(cause.keys), cause.keys[0]))

    def timeline(self) -> list[Span]:
        """When the secrets in use end: what has ended, weeks, then calendar months, and what comes after them."""
        ends = sorted((row.secret_ends, row.key) for row in self.rows if row.secret_ends is not None)
        soon = self.made + timedelta(weeks=SOON_WEEKS)
        spans = []
        for label, begin, end in _spans(self.made):
            keys = tuple(key for moment, key in ends if begin <= moment < end)
            spans.append(Span(label, begin < soon, keys))
        while len(spans) > 1 and not spans[-1].keys:
            spans.pop()
        return spans


def view(
    store: FleetStore,
    fleet: str,
    *,
    tenants: Iterable[Tenant] | None = None,
    run: Run | None = None,
    now: datetime | None = None,
) -> View:
    """What the store knows about a fleet.

    Args:
        store: the fleet's.
        fleet: its name.
        tenants: the rows that are shown, whether a run has tried them or not; without them, all that the store knows.
        run: show what became of this run alone.
        now: the moment that days are counted from; the machine's clock without it.

    Raises:
        ProvisionError: the store cannot be used.
    """
    made = now or datetime.now(UTC)
    runs = store.runs(fleet)
    said: dict[str, list[Recorded]] = {}
    for one in _said(store, fleet, run):
        said.setdefault(one.outcome.key, []).append(one)
    known = {tenant.key: tenant for tenant in tenants} if tenants is not None else _rows(store, said, run, runs)
    statuses = {one.id: store.statuses(one) for one in runs[:RUNS]}
    rows = tuple(_row(known[key], said.get(key, []), _trail(key, statuses)) for key in sorted(known))
    return View(fleet, made, run, rows, tuple(_ran(runs[:RUNS], statuses)))


def _said(store: FleetStore, fleet: str, run: Run | None) -> Iterator[Recorded]:
    if run is not None:
        for outcome in store.outcomes(run):
            if outcome.status != "not-tried":
                yield Recorded(run.id, replace(outcome, facts={}), run.ended or run.begun)
        return
    for action in ACTIONS:
        for one in store.latest(fleet, action):
            yield replace(one, outcome=replace(one.outcome, facts={}))


def _rows(
    store: FleetStore, said: Mapping[str, Sequence[Recorded]], run: Run | None, runs: Sequence[Run]
) -> dict[str, Tenant]:
    """The rows as the newest run that had them knew them: those of the newest run, and all that were spoken of."""
    wanted = [run] if run is not None else runs
    known: dict[str, Tenant] = {}
    for number, one in enumerate(wanted):
        if number and all(key in known for key in said):
            break
        for tenant in store.tenants_of(one):
            if number == 0 or tenant.key in said:
                known.setdefault(tenant.key, tenant)
    return known


def _row(tenant: Tenant, said: Sequence[Recorded], trail: tuple[Status, ...]) -> Row:
    latest = tuple(sorted(said, key=lambda one: one.at, reverse=True))
    standing = sorted(_standing(latest), key=lambda one: (_ORDER.index(one.outcome.status), -one.at.timestamp()))
    ends = next((one.outcome.secret_ends for one in latest if one.outcome.secret_ends), None)
    return Row(
        tenant.key,
        tenant.tenant,
        tenant.profile,
        tenant.groups,
        state=standing[0].outcome.status if standing else "not-tried",
        latest=latest,
        standing=tuple(standing),
        secret_ends=_moment(ends),
        trail=trail,
    )


def _standing(latest: Sequence[Recorded]) -> Iterator[Recorded]:
    """What nothing later has outdated. What a look found and no later action has mended goes over to that action."""
    outdated = {one.run: by for one in latest if (by := _outdated(one, latest)) is not None}
    left: dict[str, list[Finding]] = {}
    for one in latest:
        by = outdated.get(one.run)
        if by is not None and one.outcome.action in _LOOKS and by.outcome.action not in _LOOKS:
            found = [finding for finding in _unmended(one, latest) if finding.mended_by is not None]
            left.setdefault(by.run, found)  # the newest look's
    for one in latest:
        if one.run not in outdated:
            findings = dict.fromkeys([*_unmended(one, latest), *left.get(one.run, ())])
            yield replace(one, outcome=replace(one.outcome, findings=tuple(findings)))


def _unmended(one: Recorded, latest: Sequence[Recorded]) -> Iterator[Finding]:
    """What was found and no later action has put right."""
    done = {later.outcome.action for later in latest if later.at > one.at and _has_mended(later)}
    return (finding for finding in one.outcome.findings if done.isdisjoint(finding.mended_by or ()))


def _outdated(one: Recorded, latest: Iterable[Recorded]) -> Recorded | None:
    """The newest later word that says the same and more. An attempt that failed has not looked: what was seen stays."""
    by = _OUTDATED_BY[one.outcome.action]
    for later in latest:
        if later.at <= one.at:
            break
        if later.outcome.action in by and (later.outcome.status != "failed" or one.outcome.status == "failed"):
            return later
        if one.outcome.verdict == "secret-ends" and later.outcome.action == "rotate" and _has_mended(later):
            return later
    return None


def _has_mended(one: Recorded) -> bool:
    return one.outcome.status in _MENDED.get(one.outcome.action, ())


def _pending(standing: Iterable[Recorded]) -> Iterator[Recorded]:
    return (one for one in standing if one.outcome.status == "pending")


def _moment(text: str | None) -> datetime | None:
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _trail(key: str, statuses: Mapping[str, Mapping[str, Status]]) -> tuple[Status, ...]:
    tried = [found[key] for found in statuses.values() if found.get(key, "not-tried") != "not-tried"]
    return tuple(reversed(tried[:TRAIL]))


def _ran(runs: Sequence[Run], statuses: Mapping[str, Mapping[str, Status]]) -> Iterator[Ran]:
    for number, run in enumerate(runs):
        found = statuses[run.id]
        before = next((statuses[one.id] for one in runs[number + 1 :] if one.action == run.action), {})
        better = worse = 0
        for key, status in found.items():
            was = before.get(key, "not-tried")
            if "not-tried" not in (was, status):
                better += _rank(status) < _rank(was)
                worse += _rank(status) > _rank(was)
        yield Ran(run, dict(Counter(found.values())), better, worse)


def _rank(status: Status) -> int:
    return {"failed": 2, "pending": 1}.get(status, 0)


def _spans(now: datetime) -> Iterator[tuple[str, datetime, datetime]]:
    yield "ended", datetime.min.replace(tzinfo=UTC), now
    begin = now
    for number in range(WEEKS):
        end = now + timedelta(weeks=number + 1)
        yield f"to {end:%d %b %Y}", begin, end
        begin = end
    for _ in range(MONTHS):
        end = (begin.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        yield f"{'rest of ' if begin.day > 1 else ''}{begin:%b %Y}", begin, end
        begin = end
    yield "later", begin, datetime.max.replace(tzinfo=UTC)
