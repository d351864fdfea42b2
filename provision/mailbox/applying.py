"""Carrying plans out: only what differs is set, each change is on record before it is made, and it can be put back.

Owns: the order of reading, recording and setting for ``enable``, ``disable``, ``inherit``, ``undo``, ``sweep`` and the
organization's switches. Does not own: what is in a plan (``planning``) and asking a person (``cli``).

A mailbox that Exchange refuses is a value with a reason, and the others go on; a lost sign-in, role or network ends the
run, which another one continues.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from provision.errors import InvalidInput
from provision.mailbox.planning import Change, Plan, Refused, Wish, differing, sort_out
from provision.mailbox.reading import Reader
from provision.mailbox.record import Noted, NotedOrganization, Record, new_run
from provision.mailbox.values import PROPERTY, Mailbox, Organization, Switch
from provision.microsoft.exchange import Exchange

Tick = Callable[[int], None]
"""Hears how many changes are made so far."""


def _still(_: int) -> None:
    """Listens to nobody."""


@dataclass(frozen=True)
class Selection:
    """Which mailboxes are meant."""

    names: tuple[str, ...] = ()
    """Addresses."""
    everyone: bool = False
    """All mailboxes of the organization; ``names`` is then empty."""


@dataclass
class Outcome:
    """What a run did."""

    changed: list[Change] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    """Left as they are, or refused by Exchange."""
    moved: list[Noted] = field(default_factory=list)
    """Exceptions whose end was moved or taken away."""


@dataclass(frozen=True)
class Undoing:
    """What has to be put back."""

    changes: tuple[Change, ...]
    done: tuple[str, ...]
    """Ids of mailboxes that have the value before already; only the record is to be told."""
    left: tuple[Refused, ...]
    """Changed by somebody else since, or gone."""


class Switching:
    """The switches of one tenant, to be set.

    Args:
        exchange: the line.
        reader: reads the values there are.
        record: keeps the values before.
    """

    def __init__(self, exchange: Exchange, reader: Reader, record: Record) -> None:
        self._exchange = exchange
        self._reader = reader
        self.record = record

    def plan(self, selection: Selection, wish: Wish) -> Plan:
        """Reads the mailboxes and says which have to be changed."""
        plan = Plan(wish)
        ending = {
            identity: noted.until
            for identity, noted in self.record.tops().items()
            if noted.until is not None and noted.after is wish.switch
        }

        def settled(identity: str) -> bool:
            return identity in ending and ending[identity] != wish.until

        if selection.everyone:
            candidates = differing(self._reader.all(), plan, settled)
        else:
            found, missing = self._reader.named(selection.names)
            candidates = differing(found, plan, settled)
            absent = self._reader.why_absent(missing) if missing else {}
            plan.refused += [Refused.by(obstacle, name) for name, obstacle in absent.items()]
        wants = candidates and wish.switch is Switch.ON
        return sort_out(candidates, self._reader.obstacles(candidates) if wants else {}, plan)

    def carry_out(self, plan: Plan, tick: Tick = _still) -> Outcome:
        """Makes a plan's changes.

        Raises:
            SignInFailed, NotPermitted, Unreachable: what is done is done and on record; run again.
        """
        run = self.record.begin(plan.changes, plan.wish.until)
        outcome = Outcome(refused=list(plan.refused))
        outcome.moved = self.record.move_ends(plan.settled, plan.wish.switch, plan.wish.until)
        failed = self._set(plan.changes, outcome, tick)
        if plan.changes:
            self.record.finish(run, failed)
        return outcome

    def _set(self, changes: Collection[Change], outcome: Outcome, tick: Tick) -> list[str]:
        """Sets each; gives back the ids of those that Exchange refused."""
        failed = []
        for number, change in enumerate(changes, start=1):
            try:
                set_switch(self._exchange, change.mailbox, change.switch)
            except InvalidInput as refusal:  # this one; the others may well be possible
                failed.append(change.mailbox.id)
                outcome.refused.append(
                    Refused(change.mailbox.address, f"was refused: {refusal.message}", refusal.remedy, "refused")
                )
            else:
                outcome.changed.append(change)
            tick(number)
        return failed

    # Putting back

    def last_run(self) -> str | None:
        """The latest run that can be undone; None when there is none."""
        runs = [noted.run for noted in self.record.tops().values()]
        last = self.record.last_organization()
        return max([*runs, *([last.run] if last else [])], default=None)

    def undoing(self, names: Collection[str] = ()) -> Undoing:
        """What it takes to put back the values before the last run, or before these mailboxes' last changes.

        Args:
            names: addresses, as they are or were; without any the whole last run.

        Raises:
            InvalidInput: a name has no change on record.
        """
        tops = self.record.tops()
        if not names:
            last = self.last_run()
            return self._returning({identity: noted for identity, noted in tops.items() if noted.run == last})
        by_address = {noted.address.lower(): identity for identity, noted in tops.items()}
        unknown = [name for name in names if name.lower() not in by_address]
        if unknown:
            raise InvalidInput(
                f"There is no change of {', '.join(unknown)} on record.",
                remedy="provision smtp-auth status --changes shows what is on record.",
            )
        return self._returning({by_address[name.lower()]: tops[by_address[name.lower()]] for name in names})

    def overdue(self, now: datetime | None = None) -> Undoing:
        """What it takes to end the exceptions whose time is over."""
        moment = now or datetime.now(UTC)
        tops = self.record.tops()
        return self._returning(
            {identity: noted for identity, noted in tops.items() if noted.until is not None and noted.until <= moment}
        )

    def _returning(self, noted: dict[str, Noted]) -> Undoing:
        there = self._reader.by_id(noted) if noted else {}
        changes, done, left = [], [], []
        for identity, one in noted.items():
            mailbox = there.get(identity)
            if mailbox is None:
                left.append(Refused(one.address, "has no mailbox any more", "Nothing is to be put back.", "gone"))
            elif mailbox.switch is one.before:
                done.append(identity)
            elif mailbox.switch is not one.after:
                left.append(
                    Refused(
                        mailbox.address,
                        f"was set to {mailbox.switch} by somebody else since, and stays so",
                        "Set it by enable, disable or inherit.",
                        "changed-since",
                    )
                )
            else:
                changes.append(Change(mailbox, one.before))
        return Undoing(tuple(changes), tuple(done), tuple(left))

    def put_back(self, undoing: Undoing, tick: Tick = _still) -> Outcome:
        """Sets the values before, and takes the changes off the record once that is done.

        Raises:
            SignInFailed, NotPermitted, Unreachable: run again; what is put back already is left alone then.
        """
        outcome = Outcome(refused=list(undoing.left))
        failed = self._set(undoing.changes, outcome, tick)
        returned = [change.mailbox.id for change in undoing.changes if change.mailbox.id not in failed]
        self.record.take_off([*returned, *undoing.done])
        return outcome

    # The organization

    def set_organization(self, before: Organization, after: Organization) -> None:
        """Sets the organization's values; nothing is sent when they are so already."""
        if before == after:
            return
        self.record.begin_organization(before, after, new_run())
        self._send_organization(before, after)

    def organization_undoing(self) -> NotedOrganization | None:
        """The organization's last change."""
        return self.record.last_organization()

    def put_back_organization(self, noted: NotedOrganization, now: Organization) -> bool:
        """Puts the organization's values before back, where nobody changed them since.

        Returns:
            Whether they are as before now.
        """
        if now not in (noted.after, noted.before):
            return False
        self._send_organization(now, noted.before)
        self.record.take_off_organization()
        return True

    def _send_organization(self, before: Organization, after: Organization) -> None:
        parameters: dict[str, object] = {}
        if before.smtp_auth != after.smtp_auth:
            parameters[PROPERTY] = not after.smtp_auth
        if before.legacy_tls != after.legacy_tls:
            parameters["AllowLegacyTLSClients"] = after.legacy_tls
        if parameters:
            self._exchange.run(
                "Set-TransportConfig", parameters, doing="set the organization's switches", recipients=False
            )


def set_switch(exchange: Exchange, mailbox: Mailbox, switch: Switch) -> None:
    """Sets one mailbox's switch.

    Raises:
        InvalidInput: Exchange refuses this mailbox.
        SignInFailed, NotPermitted, Unreachable: as the names say.
    """
    exchange.run(
        "Set-CASMailbox",
        {"Identity": mailbox.id, PROPERTY: switch.for_exchange},
        doing=f"switch SMTP AUTH of {mailbox.address} to {switch}",
        mailbox=mailbox.address,
    )
