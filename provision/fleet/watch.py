"""Watching a fleet: audits on a schedule, and word of what has changed since it was last told.

Owns: what counts as a change (``changes``, pure), the rounds, and that no change is told twice or forgotten when the
watcher is killed: what was told is in the store, and so is what is still to be told. Does not own: looking
(``looking``) and the ways to tell (``alerts``).
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from provision.errors import ProvisionError
from provision.fleet.alerts import Alert, Channel, Message
from provision.fleet.breaker import cause_of
from provision.fleet.outcome import Outcome
from provision.journal.lease import LeaseLost

if TYPE_CHECKING:
    from provision.fleet.coordinator import Ended
    from provision.fleet.store import FleetStore, Run
    from provision.fleet.store.watching import Watch
    from provision.fleet.tenant import Tenant

JITTER = 0.1
"""A round begins up to this part of the interval sooner or later, so that many watchers do not all come at once."""
PER_MESSAGE = 200
"""Changes in one message."""
_BEAT_SECONDS = 30.0
LONGEST_WAIT = timedelta(minutes=15)
"""How soon what could not be told is tried again, at the latest."""
LONGEST_TRIED = timedelta(days=30)
"""How long: an address that nobody has any more must not have the store grow for ever."""

Subject = Literal["audit", "secret"]
State = dict[str, dict[str, str]]
"""What is wrong, as it was last told: by ``key|subject``, with ``kind``, ``mark`` (another one is another change) and
``message``. What is as it should be is not in it."""
WHOLE = ""
"""The key of what is wrong with the fleet as a whole."""


def changes(
    before: State, outcomes: Iterable[Outcome], *, within: timedelta, now: datetime
) -> tuple[list[Alert], State]:
    """What has changed since it was last told.

    Args:
        before: what was wrong then.
        outcomes: an audit's; a tenant that was not tried, or that Microsoft throttled, is as it was.
        within: how soon a secret's end is told.
        now: the moment to count from.

    Returns:
        The changes, and what is wrong now; tenants that the audit did not have are as they were.
    """
    told: list[Alert] = []
    after = dict(before)
    for outcome in outcomes:
        if outcome.status == "not-tried" or (outcome.failure is not None and outcome.failure.throttled):
            continue
        wrong = {"audit": _audit(outcome)}
        if outcome.failure is None:  # what failed says nothing about the secret
            wrong["secret"] = _secret(outcome, within, now)
        for subject, found in wrong.items():
            told += _told(after, f"{outcome.key}|{subject}", found, outcome)
    return told, after


def _told(after: State, name: str, found: dict[str, str] | None, outcome: Outcome) -> Iterator[Alert]:
    was = after.get(name)
    if found is None:
        if was is not None:
            del after[name]
            message = f"As it should be again; before: {was['message']}"
            yield Alert(outcome.key, "recovered", message, tenant_id=outcome.tenant_id)
        return
    after[name] = {part: found[part] for part in ("kind", "mark", "message")}
    if was is None or was["mark"] != found["mark"]:
        yield Alert(outcome.key, found["kind"], found["message"], found["remedy"], outcome.tenant_id)


def _audit(outcome: Outcome) -> dict[str, str] | None:
    failure = outcome.failure
    if failure is not None:
        return {"kind": "failed", "mark": failure.kind, "message": failure.message, "remedy": failure.remedy}
    if outcome.status != "pending":
        return None
    findings = [one for one in outcome.findings if one.severity != "note" and one.rule != "secret-ends"]
    if not findings and outcome.verdict == "secret-ends":
        return None
    message = " ".join(one.message for one in findings[:3]) or f"The audit says: {outcome.verdict}."
    if len(findings) > 3:
        message += f" And {len(findings) - 3} more."
    mark = " ".join([outcome.verdict, *sorted({one.rule for one in findings})])
    remedy = findings[0].remedy if findings else f"provision fleet up --only {outcome.key}"
    return {"kind": "drift", "mark": mark, "message": message, "remedy": remedy}


def _secret(outcome: Outcome, within: timedelta, now: datetime) -> dict[str, str] | None:
    ends = outcome.secret_ends and datetime.fromisoformat(outcome.secret_ends)
    if not ends or ends - now > within:
        return None
    remedy = f"provision fleet rotate --only {outcome.key}"
    date = f"{ends:%Y-%m-%d %H:%M} UTC"
    if ends <= now:
        message = f"The client secret in use has ended ({date})."
        return {"kind": "secret-ended", "mark": f"ended {outcome.secret_ends}", "message": message, "remedy": remedy}
    message = f"The client secret in use ends on {date}."
    return {"kind": "secret-ends", "mark": f"ends {outcome.secret_ends}", "message": message, "remedy": remedy}


@dataclass
class Document:
    """What the watcher leaves in the store for itself, or for the next one."""

    wrong: State = field(default_factory=dict)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    """Messages that some channels still lack, the oldest first: ``message``, and ``left``, the channels' names."""
    run: str | None = None
    """The run that was begun and not ended."""

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Document:
        """What ``Watch.document`` has."""
        return cls(dict(document.get("wrong") or {}), list(document.get("outbox") or []), document.get("run"))


@dataclass(frozen=True)
class Round:
    """What came of a round."""

    run: str | None
    counts: Mapping[str, int]
    alerts: Sequence[Alert]
    undelivered: Sequence[tuple[str, ProvisionError]] = ()
    """Channels that could not be told, with the reason; the next round tries again."""


class Watcher:
    """One fleet's watcher; a context manager that holds the watch.

    Args:
        store: the fleet's.
        fleet: its name.
        rows: reads the rows that are audited, anew for each round.
        look: audits a run to its end.
        channels: who is told.
        within: how soon a secret's end is told.
        say: told single lines.
        keep: how long audits stay in the store; None: for good.

    Raises (on entering):
        StateUnavailable: the fleet is watched already.
    """

    def __init__(
        self,
        store: FleetStore,
        fleet: str,
        rows: Callable[[], Sequence[Tenant]],
        look: Callable[[Run], Ended],
        channels: Sequence[Channel],
        *,
        within: timedelta,
        say: Callable[[str], None],
        keep: timedelta | None = None,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._rows = rows
        self._look = look
        self._channels = {channel.name: channel for channel in channels}
        self._within = within
        self._say = say
        self._kept_for = keep
        self._stopping = threading.Event()
        self._lost: ProvisionError | None = None

    def __enter__(self) -> Watcher:
        self._watch: Watch = self._store.watching.take(self._fleet)
        self._known = Document.read(self._watch.document)
        self._over = threading.Event()
        self._beater = threading.Thread(target=self._beat, name="watch", daemon=True)
        self._beater.start()
        return self

    def __exit__(self, *_raised: object) -> None:
        self._over.set()
        self._beater.join()
        if self._lost is None:
            self._store.watching.leave(self._watch)

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ends the watching after what is done now; may be called from a signal handler."""
        self._stopping.set()

    def every(self, interval: timedelta) -> None:
        """Rounds until it is stopped.

        Raises:
            LeaseLost: another is the watcher now.
        """
        while not self.stopping:
            due = datetime.now(UTC) + interval * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret
            try:
                done = self.round()
                left = bool(done.undelivered)
            except ProvisionError as refused:
                if self._lost is not None:
                    raise
                self._say(f"this round came to nothing: {refused}")
                left = True
            pause = min(LONGEST_WAIT, interval)
            while not self.stopping and datetime.now(UTC) < due:
                wait = due - datetime.now(UTC)
                self._stopping.wait(max(0.0, (min(pause, wait) if left else wait).total_seconds()))
                if left and not self.stopping and datetime.now(UTC) < due:
                    left = self._lacking()
        if self._lost is not None:
            raise self._lost

    def round(self) -> Round:
        """Audits once and tells what has changed.

        Raises:
            LeaseLost: another is the watcher now; nothing was told.
            ProvisionError: the fleet file or the store cannot be used.
        """
        self._end_what_was_left()
        try:
            rows = self._rows()
        except ProvisionError as refused:
            self._note_whole(refused)
            self._keep()
            undelivered = self._deliver()
            return Round(None, {}, (), undelivered)
        run = self._store.begin(self._fleet, "audit", rows, {"watch": True})
        self._known.run = run.id
        self._keep()
        ended = self._look(run)
        before = dict(self._known.wrong)
        alerts, self._known.wrong = changes(
            before, self._own(run, rows, ended), within=self._within, now=datetime.now(UTC)
        )
        self._forget({row.key for row in rows})
        alerts += self._whole(ended)
        self._post(alerts)
        self._store.end(run)  # nobody goes on with it: the next round looks at every tenant anew
        self._known.run = None
        self._keep()  # what was seen and what is to be told, both or neither
        counts = ", ".join(f"{count} {status}" for status, count in sorted(ended.counts.items()))
        self._say(f"audited {counts or 'nobody'}; {len(alerts)} changed (run {run.id})")
        undelivered = self._deliver()
        if self._kept_for is not None:
            self._store.expire(self._fleet, "audit", after=self._kept_for)
        return Round(run.id, ended.counts, alerts, undelivered)

    # What is wrong with the fleet as a whole

    def _own(self, run: Run, rows: Sequence[Tenant], ended: Ended) -> Iterator[Outcome]:
        """What was seen of each tenant, without those that only show what is wrong for all."""
        shared = {cause for cause, _ in ended.causes}
        tenants = {row.key: row for row in rows}
        for outcome in self._store.outcomes(run):
            if cause_of(outcome.failure, tenants[outcome.key]) not in shared:
                yield outcome

    def _whole(self, ended: Ended) -> list[Alert]:
        """A cause that stopped the audit for many is one change, not one for each tenant."""
        name = f"{WHOLE}|audit"
        if ended.causes:
            failure = ended.causes[0][1]
            found = {"kind": "failed", "mark": failure.kind, "message": failure.message, "remedy": failure.remedy}
        elif ended.interrupted:
            return []
        else:
            found = None
        return list(_told(self._known.wrong, name, found, Outcome(WHOLE, "audit", "unchanged")))

    def _note_whole(self, refused: ProvisionError) -> None:
        found = {"kind": "failed", "mark": type(refused).__name__, "message": refused.message, "remedy": refused.remedy}
        alerts = list(_told(self._known.wrong, f"{WHOLE}|audit", found, Outcome(WHOLE, "audit", "failed")))
        self._post(alerts)

    def _forget(self, keys: set[str]) -> None:
        """Rows that are gone from the fleet file are nobody's concern any more."""
        self._known.wrong = {
            name: said for name, said in self._known.wrong.items() if name.rpartition("|")[0] in keys | {WHOLE}
        }

    # Telling

    def _post(self, alerts: Sequence[Alert]) -> None:
        """Puts changes into the outbox, in messages of a size that can be read."""
        for alert in alerts:
            self._say(str(alert))
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if not self._channels:
            return
        for start in range(0, len(alerts), PER_MESSAGE):
            message = Message(f"fleet-{uuid.uuid4()}", self._fleet, at, tuple(alerts[start : start + PER_MESSAGE]))
            self._known.outbox.append({"message": asdict(message), "left": sorted(self._channels)})

    def _deliver(self) -> list[tuple[str, ProvisionError]]:
        """Sends what each channel lacks, in order; one that fails is left alone for this time."""
        failed: dict[str, ProvisionError] = {}
        for entry in list(self._known.outbox):
            message = Message.of_document(entry["message"])
            for name in list(entry["left"]):
                if name not in self._channels:
                    entry["left"].remove(name)  # nobody asks for it any more
                elif name not in failed:
                    try:
                        self._channels[name].send(message)
                    except ProvisionError as refused:
                        failed[name] = refused
                        self._say(f"{name} could not be told, and will be: {refused}")
                        continue
                    entry["left"].remove(name)
                    self._keep()
            if entry["left"] and datetime.now(UTC) - datetime.fromisoformat(message.at) > LONGEST_TRIED:
                whom, days = ", ".join(entry["left"]), LONGEST_TRIED.days
                self._say(f"{whom} could not be told for {days} days what was seen {message.at}; given up")
                entry["left"] = []
            if not entry["left"]:
                self._known.outbox.remove(entry)
        self._keep()
        return list(failed.items())

    def _lacking(self) -> bool:
        """Tries again what could not be told; whether anything is left."""
        try:
            return bool(self._deliver())
        except ProvisionError as refused:  # the store does not answer; what was told is known here
            if self._lost is not None:
                raise
            self._say(f"what was told could not be noted yet: {refused}")
            return True

    # Being the one

    def _end_what_was_left(self) -> None:
        if self._known.run is not None and (run := self._store.run(self._known.run)) is not None:
            self._store.end(run)
        self._known.run = None

    def _keep(self) -> None:
        if self._lost is None:
            try:
                self._store.watching.keep(self._watch, asdict(self._known))
            except LeaseLost as lost:
                self._lost = lost
        if self._lost is not None:
            raise self._lost

    def _beat(self) -> None:
        while not self._over.wait(_BEAT_SECONDS):
            try:
                self._store.watching.beat(self._watch)
            except LeaseLost as lost:
                self._lost = lost
                self._stopping.set()
                return
            except ProvisionError as refused:
                self._say(f"the watch could not be renewed: {refused}")
