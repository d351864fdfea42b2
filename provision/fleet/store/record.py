"""What runs are to do and have done, and who works on which tenant.

Owns: the statements. A claim is one transaction: the lease is taken by one conditional upsert, then the job is looked
at again, since a statement sees what was there when it began and may have waited for the one who finished it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, literal, or_, select, union, update

from provision.errors import InvalidInput, StateUnavailable
from provision.fleet.outcome import WRITING, Action, Outcome, Status
from provision.fleet.store.database import Database
from provision.fleet.store.fitting import fit
from provision.fleet.store.tables import JOBS, LATEST, ROWS, RUNS, SCHEMA, TENANTS, now, upsert
from provision.fleet.store.values import Claim, Recorded, Run
from provision.fleet.store.watching import Watching
from provision.fleet.tenant import Tenant
from provision.journal.lease import Holder, LeaseLost

SECONDS = 60.0
"""How long a worker may be silent before another takes its tenant over."""
PROFILES = "profiles"
"""The option of a run that holds product profiles of one's own, as they were when it began."""
_PAGE = 500
_T = TypeVar("_T")


class FleetStore:
    """The record of runs. Safe for several threads, and for a process that was forked from one that uses it.

    Every method raises ``Unreachable`` when the database did not answer for as long as the store is patient, and
    ``StateUnavailable``, ``SignInFailed`` or ``NotPermitted`` when it refuses. What is read in pages (the methods that
    return iterators) holds no connection in between.

    Args:
        database: see ``database.open_database``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def shown(self) -> str:
        """Where it is, without a password, for messages."""
        return self._database.shown

    @property
    def watching(self) -> Watching:
        """Who watches a fleet, and what was told."""
        return Watching(self._database)

    def close(self) -> None:
        """Closes the connections; the next call opens another."""
        self._database.close()

    # Runs

    def begin(self, fleet: str, action: Action, tenants: Sequence[Tenant], options: Mapping[str, Any]) -> Run:
        """Writes down a new run and the rows that it is for, as they are now: all of it or nothing.

        Args:
            fleet: the fleet's name.
            action: what is done for each tenant.
            tenants: the rows, each key once.
            options: what the action is asked for, JSON without secrets.

        Raises:
            InvalidInput: a key stands twice.
        """
        rows = {tenant.key: tenant.document() for tenant in tenants}
        if len(rows) < len(tenants):
            twice, _ = Counter(tenant.key for tenant in tenants).most_common(1)[0]
            raise InvalidInput(f"The tenant {twice} stands twice in a run.", remedy="Correct the fleet file.")
        mark = secrets.token_hex(4)

        def work(connection: Connection, again: bool) -> Run:
            made = select(RUNS).where(RUNS.c.fleet == fleet, RUNS.c.id.endswith(mark))
            if again and (row := connection.execute(made).one_or_none()):
                return _run(row)
            connection.execute(_turn())
            begun = connection.execute(select(now())).scalar_one()
            run = Run(f"{_moment(begun):%Y%m%dt%H%M%S}-{mark}", fleet, action, fit(options), _moment(begun))
            values = {"id": run.id, "fleet": fleet, "action": action, "options": run.options, "begun": begun}
            connection.execute(RUNS.insert(), values)
            for keys in _slices(sorted(rows)):
                found = {key: fit(rows[key]) for key in keys}
                digests = {key: _digest(document) for key, document in found.items()}
                new = {digests[key]: {"digest": digests[key], "document": found[key]} for key in keys}
                connection.execute(upsert(connection.dialect.name, ROWS).on_conflict_do_nothing(), list(new.values()))
                connection.execute(
                    JOBS.insert(), [{"run": run.id, "key": key, "digest": digests[key], "attempts": 0} for key in keys]
                )
            return run

        return self._database.write(work)

    def end(self, run: Run) -> None:
        """Writes down that nobody works on a run any more; a claim in it is refused from now on."""
        statement = update(RUNS).where(RUNS.c.id == run.id, RUNS.c.ended.is_(None)).values(ended=now())
        self._database.write(lambda connection, _again: connection.execute(statement) and None)

    def run(self, run_id: str) -> Run | None:
        """The run of an id."""
        rows = self._rows(select(RUNS).where(RUNS.c.id == run_id))
        return _run(rows[0]) if rows else None

    def runs(self, fleet: str) -> list[Run]:
        """A fleet's runs, the newest first."""
        return [_run(row) for row in self._rows(select(RUNS).where(RUNS.c.fleet == fleet).order_by(*_NEWEST))]

    def unfinished(self, fleet: str, action: Action) -> Run | None:
        """The newest run of an action, when it was not ended; an older one that was not is superseded by it."""
        statement = select(RUNS).where(RUNS.c.fleet == fleet, RUNS.c.action == action).order_by(*_NEWEST).limit(1)
        newest = next((_run(row) for row in self._rows(statement)), None)
        return newest if newest is not None and newest.ended is None else None

    def outdated(self, run: Run, key: str | None = None) -> dict[str, str]:
        """Tenants of a run that ask for other settings in a newer run of the same action, or of one that writes.

        What a run has frozen at its beginning would put old values back there. The newest run that has the tenant
        counts. A claim on such a tenant is refused.

        Args:
            run: the run.
            key: this tenant alone.

        Returns:
            The newer run's id, by key.
        """

        def work(connection: Connection, _again: bool) -> dict[str, str]:
            return _outdated(connection, run.id, key)

        return self._database.read(work)

    def tenants_of(self, run: Run) -> Iterator[Tenant]:
        """The rows as they were when the run began, by key."""
        statement = select(JOBS.c.key, ROWS.c.document).join(ROWS, ROWS.c.digest == JOBS.c.digest)
        for row in self._pages(statement.where(JOBS.c.run == run.id)):
            yield Tenant.of_document(row.document)

    def left(self, run: Run) -> list[str]:
        """The keys of tenants that nothing was done for yet."""
        statement = select(JOBS.c.key).where(JOBS.c.run == run.id, _OPEN).order_by(JOBS.c.key)
        return [row.key for row in self._rows(statement)]

    # Working on a tenant

    def claim(self, run_id: str, key: str, *, seconds: float = SECONDS) -> Claim | None:
        """Takes a tenant's lease, which is one for each fleet and key, whichever run it is for, and counts the attempt.

        Args:
            run_id: the run.
            key: the tenant.
            seconds: how long this worker may be silent (``beat``) before another takes over.

        Returns:
            None when somebody who lives has it, when it is done or ``outdated``, or when the run has ended. A process
            of this machine that is no more is known to be dead at once; of others only the time of their lease tells.

        Raises:
            StateUnavailable: there is no such tenant in such a run.
        """
        holder = json.dumps(asdict(Holder.this_process()))

        def work(connection: Connection, again: bool) -> Claim | None:
            if again and (had := self._had(connection, run_id, key, holder, seconds)):
                return had
            taking = _taking(connection.dialect.name)
            wanted = {"of_run": run_id, "of_key": key, "by": holder, "seconds": seconds, "dead": None}
            taken = connection.execute(taking, wanted).one_or_none()
            if taken is None:
                self._require_jobs(connection, run_id, [key])
                dead = _dead(connection, run_id, key)
                if dead is None:
                    return None
                taken = connection.execute(taking, wanted | {"dead": dead}).one_or_none()
            if taken is None:
                return None
            attempts = connection.execute(_COUNTING, {"of_run": run_id, "of_key": key}).scalar_one_or_none()
            if attempts is None or _outdated(connection, run_id, key):  # done, or undone, by the one whom we waited for
                connection.rollback()
                return None
            return Claim(run_id, taken.fleet, key, taken.token, attempts, seconds)

        return self._database.write(work, lasting=False)

    def beat(self, claim: Claim) -> None:
        """Shows that the worker lives: the lease begins anew.

        Raises:
            LeaseLost: another has the tenant, or the claim was given back.
        """

        def work(connection: Connection, _again: bool) -> None:
            if not connection.execute(_BEATING, _of(claim) | {"seconds": claim.seconds}).rowcount:
                raise _lost(claim)

        self._database.write(work, lasting=False)

    def finish(self, claim: Claim, outcome: Outcome) -> None:
        """Writes down what became of a tenant and gives its lease back, both or neither.

        Raises:
            LeaseLost: another has the tenant; nothing was written.
        """
        if outcome.key != claim.key:
            raise ValueError("a claim on another tenant")
        document = fit(outcome.document())

        def work(connection: Connection, _again: bool) -> None:
            if not connection.execute(_LEAVING, _of(claim)).rowcount:
                written = select(JOBS.c.token).where(JOBS.c.run == claim.run, JOBS.c.key == claim.key)
                if connection.execute(written).scalar_one_or_none() == claim.token:
                    return  # by this claim: the answer was lost on its way
                raise _lost(claim)
            values = {"status": outcome.status, "outcome": document, "token": claim.token}
            connection.execute(_FINISHING, values | {"of_run": claim.run, "of_key": claim.key})
            self._point(connection, claim.run, [outcome])

        self._database.write(work)

    def release(self, claim: Claim) -> None:
        """Gives a lease back without an outcome: the tenant is anybody's to try again. The attempt stays counted.

        Raises:
            LeaseLost: another has the tenant.
        """

        def work(connection: Connection, _again: bool) -> None:
            if not connection.execute(_GIVING_BACK, _of(claim)).rowcount:
                raise _lost(claim)

        self._database.write(work)

    def record(self, run_id: str, outcomes: Iterable[Outcome]) -> None:
        """Writes down outcomes of an action that only looks, or that nobody worked on: many at once, without a lease.

        An outcome that a worker finished by its claim stays as it is.

        Raises:
            StateUnavailable: one of them is of no tenant of the run.
        """
        batch: list[Outcome] = []
        for outcome in outcomes:
            batch.append(outcome)
            if len(batch) == _PAGE:
                self._record(run_id, batch)
                batch = []
        if batch:
            self._record(run_id, batch)

    def reopen(self, run_id: str, keys: Sequence[str]) -> None:
        """Lets tenants that failed be tried again in their run; what they failed by is shown until they are."""
        failed = (JOBS.c.run == run_id, JOBS.c.status == "failed")
        nothing: dict[str, Any] = {"status": "not-tried", "token": None}

        def work(connection: Connection, _again: bool) -> None:
            for some in _slices(sorted(keys)):
                connection.execute(update(JOBS).where(*failed, JOBS.c.key.in_(some)).values(nothing))

        self._database.write(work)

    def put_back(self, run_id: str, keys: Sequence[str]) -> None:
        """Takes ``reopen`` back for tenants that were not tried again after all: what they failed by stands."""
        reopened = (
            JOBS.c.run == run_id,
            JOBS.c.status == "not-tried",
            JOBS.c.outcome["status"].as_string() == "failed",
        )

        def work(connection: Connection, _again: bool) -> None:
            for some in _slices(sorted(keys)):
                connection.execute(update(JOBS).where(*reopened, JOBS.c.key.in_(some)).values(status="failed"))

        self._database.write(work)

    def _record(self, run_id: str, outcomes: Sequence[Outcome]) -> None:
        latest = {outcome.key: outcome for outcome in outcomes}  # in the order of keys nobody waits in a circle
        values = [
            {"of_run": run_id, "of_key": key, "status": latest[key].status, "outcome": fit(latest[key].document())}
            for key in sorted(latest)
        ]

        def work(connection: Connection, _again: bool) -> None:
            connection.execute(_RECORDING, values)
            self._require_jobs(connection, run_id, list(latest))
            self._point(connection, run_id, list(latest.values()))

        self._database.write(work)

    # What is known

    def outcomes(self, run: Run) -> Iterator[Outcome]:
        """What became of a run's tenants, by key; those without an outcome are left out."""
        statement = select(JOBS.c.key, JOBS.c.outcome).where(JOBS.c.run == run.id, JOBS.c.status.is_not(None))
        for row in self._pages(statement):
            yield Outcome.of_document(row.outcome)

    def outcome(self, run_id: str, key: str) -> Outcome | None:
        """What became of one tenant in a run; None while it is to be tried, for the first time or again."""
        it = (JOBS.c.run == run_id, JOBS.c.key == key)
        rows = self._rows(select(JOBS.c.outcome).where(*it, ~_OPEN))
        return Outcome.of_document(rows[0].outcome) if rows else None

    def statuses(self, run: Run) -> dict[str, Status]:
        """Each of a run's tenants with its status; those without an outcome are ``not-tried``."""
        status = func.coalesce(JOBS.c.status, "not-tried").label("status")
        rows = self._rows(select(JOBS.c.key, status).where(JOBS.c.run == run.id).order_by(JOBS.c.key))
        return {row.key: row.status for row in rows}

    def counts(self, run: Run) -> dict[str, int]:
        """How many of a run's tenants have which status; those without an outcome count as ``not-tried``."""
        status = func.coalesce(JOBS.c.status, "not-tried").label("status")
        statement = select(status, func.count().label("tenants")).where(JOBS.c.run == run.id).group_by(status)
        return {row.status: row.tenants for row in self._rows(statement.order_by(status))}

    def at_work(self, run: Run) -> int:
        """On how many of a run's tenants somebody works now; of who does not show that it lives, its lease tells."""
        held = (TENANTS.c.fleet == run.fleet, TENANTS.c.run == run.id, TENANTS.c.until >= now())
        return int(self._rows(select(func.count().label("held")).where(*held))[0].held)

    def latest(self, fleet: str, action: Action) -> Iterator[Recorded]:
        """Each tenant's latest outcome of an action, by key, whichever run it was in; ``not-tried`` is none."""
        of_it = (JOBS.c.run == LATEST.c.run) & (JOBS.c.key == LATEST.c.key)
        statement = select(JOBS.c.run, JOBS.c.key, JOBS.c.outcome, JOBS.c.at).join(LATEST, of_it)
        for row in self._pages(statement.where(LATEST.c.fleet == fleet, LATEST.c.action == action)):
            yield _recorded(row)

    def history(self, fleet: str, key: str) -> list[Recorded]:
        """Everything that became of a tenant, in whatever action, the newest first."""
        statement = select(JOBS.c.run, JOBS.c.outcome, JOBS.c.at).join(RUNS, RUNS.c.id == JOBS.c.run)
        statement = statement.where(RUNS.c.fleet == fleet, JOBS.c.key == key, JOBS.c.status.is_not(None))
        return [_recorded(row) for row in self._rows(statement.order_by(JOBS.c.at.desc()))]

    def fleets(self) -> list[str]:
        """The names of the fleets that something is known of."""
        names = union(select(RUNS.c.fleet), select(TENANTS.c.fleet)).subquery()
        return [row.fleet for row in self._rows(select(names.c.fleet).order_by(names.c.fleet))]

    def keys(self, fleet: str) -> list[str]:
        """The keys of all tenants that ever stood in a run of a fleet."""
        statement = select(JOBS.c.key).distinct().join(RUNS, RUNS.c.id == JOBS.c.run).where(RUNS.c.fleet == fleet)
        return [row.key for row in self._rows(statement.order_by(JOBS.c.key))]

    def prune(self, fleet: str, *, keep_runs: int) -> int:
        """Takes old runs of a fleet away.

        A run that was not ended stays, and so does the latest word on each tenant: a run that has it shrinks to that.

        Args:
            fleet: the fleet.
            keep_runs: how many of the newest runs of each action stay whole; at least 1.

        Returns:
            How many runs are gone altogether.
        """
        if keep_runs < 1:
            raise InvalidInput(f"{keep_runs} runs cannot be kept.", remedy="Keep at least 1.")
        ended: dict[str, list[str]] = {}
        for run in self.runs(fleet):
            ended.setdefault(run.action, []).append(run.id)
        return self._prune([run_id for ids in ended.values() for run_id in ids[keep_runs:]])

    def expire(self, fleet: str, action: Action, *, after: timedelta) -> int:
        """Takes a fleet's runs of one action away that ended longer ago, by the database's clock.

        What ``prune`` leaves stays here, too: runs that were not ended, and the latest word on each tenant.

        Args:
            fleet: the fleet.
            action: whose runs; those of others stay.
            after: how long they stay.

        Returns:
            How many runs are gone altogether.
        """
        of_it = (RUNS.c.fleet == fleet, RUNS.c.action == action, RUNS.c.ended < now() - after.total_seconds())
        return self._prune([row.id for row in self._rows(select(RUNS.c.id).where(*of_it))])

    def _prune(self, old: Sequence[str]) -> int:
        gone = sum(self._database.write(partial(self._pruned, run_id)) for run_id in old)
        if old:
            self._database.write(_without_unused_rows)
        return gone

    @staticmethod
    def _pruned(run_id: str, connection: Connection, _again: bool) -> int:
        """One old run, in a transaction of its own, so that others wait for a short time only."""
        of_it = (LATEST.c.run == JOBS.c.run, LATEST.c.key == JOBS.c.key, RUNS.c.id == JOBS.c.run)
        latest = select(1).where(*of_it, LATEST.c.fleet == RUNS.c.fleet, LATEST.c.action == RUNS.c.action).exists()
        over = select(RUNS.c.id).where(RUNS.c.id == run_id, RUNS.c.ended.is_not(None))
        connection.execute(delete(JOBS).where(JOBS.c.run.in_(over), ~latest))
        empty = ~select(1).where(JOBS.c.run == RUNS.c.id).exists()
        return connection.execute(delete(RUNS).where(RUNS.c.id.in_(over), empty)).rowcount

    # What outlives a worker's machine

    def kept(self, fleet: str, key: str) -> dict[str, Any]:
        """What was kept of a tenant; empty when nothing was."""
        statement = select(TENANTS.c.kept).where(TENANTS.c.fleet == fleet, TENANTS.c.key == key)
        rows = self._rows(statement)
        return dict(rows[0].kept or {}) if rows else {}

    def keep(self, fleet: str, key: str, document: Mapping[str, Any], claim: Claim) -> None:
        """Keeps a document in place of the one before.

        Args:
            fleet: the fleet.
            key: the tenant.
            document: JSON without secrets.
            claim: proves that the tenant is ours.

        Raises:
            LeaseLost: another has the tenant; the document before stays.
        """
        if (fleet, key) != (claim.fleet, claim.key):
            raise ValueError("a claim on another tenant")
        kept = fit(document)

        def work(connection: Connection, _again: bool) -> None:
            if not connection.execute(_KEEPING, _of(claim) | {"kept": kept}).rowcount:
                raise _lost(claim)

        self._database.write(work)

    def take_over(self, fleet: str, documents: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Keeps what is known of tenants from before the fleet, where nothing is kept of them yet.

        Args:
            fleet: the fleet.
            documents: JSON without secrets, by key.

        Returns:
            The keys whose documents were kept; the others have one of their own, which is newer, or are worked on.
        """

        def work(connection: Connection, again: bool) -> list[str]:
            taken = []
            for key in sorted(documents):
                if again and self._kept(connection, fleet, key) == fit(documents[key]):
                    taken.append(key)  # the answer was lost, the work was not
                    continue
                values = {"fleet": fleet, "key": key, "token": 0, "kept": fit(documents[key])}
                new = upsert(connection.dialect.name, TENANTS).values(values)
                statement = new.on_conflict_do_update(
                    index_elements=[TENANTS.c.fleet, TENANTS.c.key],
                    set_={"kept": new.excluded.kept},
                    where=TENANTS.c.kept.is_(None) & or_(TENANTS.c.until.is_(None), TENANTS.c.until < now()),
                )
                if connection.execute(statement.returning(TENANTS.c.key)).all():
                    taken.append(key)
            return taken

        return self._database.write(work)

    # How

    def _kept(self, connection: Connection, fleet: str, key: str) -> Any:
        statement = select(TENANTS.c.kept).where(TENANTS.c.fleet == fleet, TENANTS.c.key == key)
        return connection.execute(statement).scalar_one_or_none()

    def _rows(self, statement: Any) -> Sequence[Row[Any]]:
        def work(connection: Connection, _again: bool) -> Sequence[Row[Any]]:
            return connection.execute(statement).all()

        return self._database.read(work)

    def _pages(self, statement: Any) -> Iterator[Row[Any]]:
        """The rows of a statement over ``JOBS``, by key."""
        after = ""
        while rows := self._rows(statement.where(JOBS.c.key > after).order_by(JOBS.c.key).limit(_PAGE)):
            yield from rows
            after = rows[-1].key

    def _had(self, connection: Connection, run_id: str, key: str, holder: str, seconds: float) -> Claim | None:
        """The claim that a transaction made whose answer was lost."""
        mine = (TENANTS.c.key == key, TENANTS.c.holder == holder)
        again = update(TENANTS).where(*mine).values(until=now() + seconds).returning(TENANTS.c.fleet, TENANTS.c.token)
        taken = connection.execute(again).one_or_none()
        if taken is None:
            return None
        attempts = select(JOBS.c.attempts).where(JOBS.c.run == run_id, JOBS.c.key == key)
        return Claim(run_id, taken.fleet, key, taken.token, connection.execute(attempts).scalar_one(), seconds)

    def _require_jobs(self, connection: Connection, run_id: str, keys: Sequence[str]) -> None:
        found = connection.execute(select(JOBS.c.key).where(JOBS.c.run == run_id, JOBS.c.key.in_(keys))).scalars()
        if missing := set(keys) - set(found):
            raise StateUnavailable(
                f"{self.shown} knows no run {run_id} with the tenant {min(missing)}.",
                remedy="Give the coordinator and every worker the same store (--store or PROVISION_FLEET_STORE).",
            )

    def _point(self, connection: Connection, run_id: str, outcomes: Iterable[Outcome]) -> None:
        """Makes a run the latest that had something to say about the tenants."""
        said = sorted(outcome.key for outcome in outcomes if outcome.status != "not-tried")
        if not said:
            return
        run = connection.execute(_OF_RUN, {"of_run": run_id}).one()
        values = [{"fleet": run.fleet, "action": run.action, "key": key, "run": run_id} for key in said]
        connection.execute(_pointing(connection.dialect.name), values)


# The statements that every job needs are made once: making one takes longer than running it.
_SECONDS = bindparam("seconds", type_=TENANTS.c.until.type)
_OPEN = or_(JOBS.c.status.is_(None), JOBS.c.status == "not-tried")
_JOB = (JOBS.c.run == bindparam("of_run"), JOBS.c.key == bindparam("of_key"))
_OURS = (
    TENANTS.c.fleet == bindparam("of_fleet"),
    TENANTS.c.key == bindparam("of_key"),
    TENANTS.c.token == bindparam("of_token"),
)
_HELD = (*_OURS, TENANTS.c.until.is_not(None))
"""That a claim still stands: nobody took the tenant since, even when the lease ran out."""
_FREE: dict[str, Any] = {"until": None, "holder": None}
_COUNTING = update(JOBS).where(*_JOB, _OPEN).values(attempts=JOBS.c.attempts + 1).returning(JOBS.c.attempts)
_BEATING = update(TENANTS).where(*_HELD).values(until=now() + _SECONDS)
_LEAVING = update(TENANTS).where(*_HELD).values(_FREE)
_GIVING_BACK = update(TENANTS).where(*_OURS).values(_FREE)
_KEEPING = update(TENANTS).where(*_HELD).values(kept=bindparam("kept"))
_SAID = {"status": bindparam("status"), "outcome": bindparam("outcome"), "at": now()}
_FINISHING = update(JOBS).where(*_JOB).values(**_SAID, token=bindparam("token"))
_RECORDING = update(JOBS).where(*_JOB, JOBS.c.token.is_(None)).values(_SAID)
_OF_RUN = select(RUNS.c.fleet, RUNS.c.action).where(RUNS.c.id == bindparam("of_run"))
_NEWEST = (RUNS.c.begun.desc(), RUNS.c.id.desc())
_OLDER = RUNS.alias("older")
_NEWER = (
    select(RUNS.c.id, RUNS.c.options, _OLDER.c.options.label("ours"))
    .join(_OLDER, _OLDER.c.fleet == RUNS.c.fleet)
    .where(
        _OLDER.c.id == bindparam("of_run"),
        or_(RUNS.c.action.in_(sorted(WRITING)), RUNS.c.action == _OLDER.c.action),
        or_(RUNS.c.begun > _OLDER.c.begun, and_(RUNS.c.begun == _OLDER.c.begun, RUNS.c.id > _OLDER.c.id)),
    )
    .order_by(*_NEWEST)
)
"""The runs whose rows count more than those of a run: newer, and of its action or writing."""


def _turn() -> Any:
    """Lets one at a time begin a run or take old ones away: a row that one counts on the other may think unused."""
    return select(SCHEMA.c.version).with_for_update()


def _without_unused_rows(connection: Connection, _again: bool) -> None:
    connection.execute(_turn())
    connection.execute(delete(ROWS).where(ROWS.c.digest.not_in(select(JOBS.c.digest))))


def _outdated(connection: Connection, run_id: str, key: str | None) -> dict[str, str]:
    """See ``FleetStore.outdated``; asked within a claim, when the tenant is ours and nobody else can write it."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for other in connection.execute(_NEWER, {"of_run": run_id}).all():
        theirs = JOBS.alias("theirs")
        both = select(JOBS.c.key, JOBS.c.digest, theirs.c.digest.label("newer"))
        both = both.join(theirs, theirs.c.key == JOBS.c.key).where(JOBS.c.run == run_id, theirs.c.run == other.id)
        rows = connection.execute(both if key is None else both.where(JOBS.c.key == key)).all()
        asked = _asked(connection, {digest for row in rows if row.digest != row.newer for digest in row[1:]})
        same_profiles = other.ours.get(PROFILES) == other.options.get(PROFILES)
        for row in rows:
            same_row = row.digest == row.newer or asked[row.digest] == asked[row.newer]
            if row.key not in seen and not (same_profiles and same_row):
                found[row.key] = other.id
            seen.add(row.key)
    return found


def _asked(connection: Connection, digests: Collection[bytes]) -> dict[bytes, str]:
    """Which settings rows ask for; a row that has only another place in its file asks for the same."""
    asked = {}
    for some in _slices(sorted(digests)):
        for row in connection.execute(select(ROWS).where(ROWS.c.digest.in_(some))):
            asked[row.digest] = Tenant.of_document(row.document).fingerprint()
    return asked


@cache
def _taking(dialect: str) -> Any:
    """The one statement that takes a lease, or nothing when it is held or there is nothing to do.

    ``dead`` is the fencing token of a holder that is known to be no more.
    """
    until = now() + _SECONDS
    values = [RUNS.c.fleet, JOBS.c.key, literal(1), JOBS.c.run, bindparam("by", type_=TENANTS.c.holder.type), until]
    columns = [TENANTS.c.fleet, TENANTS.c.key, TENANTS.c.token, TENANTS.c.run, TENANTS.c.holder, TENANTS.c.until]
    open_job = select(*values).join(RUNS).where(*_JOB, RUNS.c.ended.is_(None), _OPEN)
    insert = upsert(dialect, TENANTS).from_select(columns, open_job)
    new = {name: insert.excluded[name] for name in ("run", "holder", "until")}
    free = or_(TENANTS.c.until.is_(None), TENANTS.c.until < now())
    dead = TENANTS.c.token == bindparam("dead", type_=TENANTS.c.token.type)
    return insert.on_conflict_do_update(
        index_elements=[TENANTS.c.fleet, TENANTS.c.key],
        set_={"token": TENANTS.c.token + 1, **new},
        where=or_(free, dead),
    ).returning(TENANTS.c.fleet, TENANTS.c.token)


@cache
def _pointing(dialect: str) -> Any:
    insert = upsert(dialect, LATEST)
    which = [LATEST.c.fleet, LATEST.c.action, LATEST.c.key]
    return insert.on_conflict_do_update(index_elements=which, set_={"run": insert.excluded.run})


def _dead(connection: Connection, run_id: str, key: str) -> int | None:
    """The fencing token of a tenant's holder, when it was a process of this machine and is no more."""
    fleet = select(RUNS.c.fleet).where(RUNS.c.id == run_id).scalar_subquery()
    held = select(TENANTS.c.token, TENANTS.c.holder).where(
        TENANTS.c.fleet == fleet, TENANTS.c.key == key, TENANTS.c.holder.is_not(None)
    )
    row = connection.execute(held).one_or_none()
    if row is None:
        return None
    holder = Holder(**json.loads(row.holder))
    return row.token if holder.is_here and not holder.lives else None


def _of(claim: Claim) -> dict[str, Any]:
    return {"of_fleet": claim.fleet, "of_key": claim.key, "of_token": claim.token}


def _lost(claim: Claim) -> LeaseLost:
    return LeaseLost(
        f"Another worker has taken over the tenant {claim.key}; this one stops here.",
        remedy="Nothing is lost: the other goes on.",
    )


def _run(row: Row[Any]) -> Run:
    ended = None if row.ended is None else _moment(row.ended)
    return Run(row.id, row.fleet, row.action, row.options, _moment(row.begun), ended)


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(row.run, Outcome.of_document(row.outcome), _moment(row.at))


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _digest(document: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()[:16]


def _slices(keys: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(keys), _PAGE):
        yield keys[start : start + _PAGE]
