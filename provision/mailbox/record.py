"""The record of what was set: each mailbox's value before, kept before the change is made, and exceptions' ends.

Owns: one document for each tenant in the journal's place (``smtp-auth/<tenant id>``) and what stands in it. A run
writes all that it is about to change at once, before the first change: so a run that is killed is continued by the next
one under the same name, which finds the mailboxes that are set already and leaves them, and the values before are still
the ones before the first run. Does not own: making changes (``applying``).

For each mailbox the record holds a pile: the last change on top. ``undo`` takes it off, and then the one below counts.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from provision.errors import InvalidInput, StateUnavailable
from provision.journal import Conflict, Store
from provision.mailbox.planning import Change
from provision.mailbox.values import Organization, Switch

FORMAT = 1
_DEEPEST = 20
"""So many changes of a mailbox are kept; the oldest are forgotten."""
_TURNS = 20


@dataclass(frozen=True)
class Noted:
    """One change of one mailbox."""

    address: str
    """As it was then; for people."""
    before: Switch
    after: Switch
    run: str
    """Which run made it; runs are in the order of their names."""
    until: datetime | None = None
    """When the value before comes back (UTC)."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in the document."""
        return {
            "address": self.address,
            "before": self.before.value,
            "after": self.after.value,
            "run": self.run,
            "until": None if self.until is None else self.until.isoformat(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Noted:
        """From the document."""
        until = raw.get("until")
        return cls(
            str(raw["address"]),
            Switch(raw["before"]),
            Switch(raw["after"]),
            str(raw["run"]),
            None if until is None else datetime.fromisoformat(until),
        )


@dataclass(frozen=True)
class NotedOrganization:
    """One change of the organization's values."""

    before: Organization
    after: Organization
    run: str


@dataclass
class _Sheet:
    piles: dict[str, list[Noted]]
    organization: list[NotedOrganization]
    unfinished: str | None = None
    """The run that has begun and not come to its end."""


class Record:
    """One tenant's record.

    Args:
        store: the journal's place.
        tenant_id: whose.
    """

    def __init__(self, store: Store, tenant_id: str) -> None:
        self._store = store
        self._key = f"smtp-auth/{tenant_id.lower()}"

    def tops(self) -> dict[str, Noted]:
        """The last change of each mailbox, by its id."""
        return {identity: pile[-1] for identity, pile in self._read()[0].piles.items() if pile}

    def begin(self, changes: Iterable[Change], until: datetime | None) -> str:
        """Notes changes that are about to be made.

        A mailbox whose last change never took effect (the run was killed before it) gets no second entry for it.

        Returns:
            The run's name: a new one, or that of the run which was killed while it made the same kind of change.
        """
        wanted = list(changes)
        fresh = new_run()
        names: list[str] = []

        def note(sheet: _Sheet) -> None:
            run = sheet.unfinished or fresh
            if any(pile[-1].after is not wanted[0].switch for pile in sheet.piles.values() if pile[-1].run == run):
                run = fresh
            names.append(run)
            sheet.unfinished = run
            for change in wanted:
                pile = sheet.piles.setdefault(change.mailbox.id, [])
                before = change.mailbox.switch
                if pile and pile[-1].before is before and pile[-1].after is not before:
                    pile.pop()
                pile.append(Noted(change.mailbox.address, before, change.switch, run, until))
                del pile[:-_DEEPEST]

        if not wanted:
            return fresh
        self._change(note)
        return names[-1]

    def finish(self, run: str, refused: Collection[str]) -> None:
        """A run has come to its end.

        Args:
            run: its name.
            refused: ids of the mailboxes that Exchange did not change.
        """

        def close(sheet: _Sheet) -> None:
            if sheet.unfinished == run:
                sheet.unfinished = None
            for identity in refused:
                if (pile := sheet.piles.get(identity)) and pile[-1].run == run:
                    _pop(sheet, identity)

        self._change(close)

    def move_ends(self, ids: Collection[str], switch: Switch, until: datetime | None) -> list[Noted]:
        """Moves or takes away the end of exceptions that hold already; gives back those that it changed."""
        moved: list[Noted] = []

        def move(sheet: _Sheet) -> None:
            moved.clear()
            for identity in ids:
                pile = sheet.piles.get(identity)
                if pile and pile[-1].after is switch and pile[-1].until not in (None, until):
                    pile[-1] = replace(pile[-1], until=until)
                    moved.append(pile[-1])

        if ids:
            self._change(move)
        return moved

    def take_off(self, ids: Collection[str]) -> None:
        """Takes the last change of mailboxes off their piles: it was undone."""

        def pop(sheet: _Sheet) -> None:
            for identity in ids:
                _pop(sheet, identity)

        if ids:
            self._change(pop)

    def last_organization(self) -> NotedOrganization | None:
        """The last change of the organization's values."""
        changes = self._read()[0].organization
        return changes[-1] if changes else None

    def begin_organization(self, before: Organization, after: Organization, run: str) -> None:
        """Notes a change of the organization's values that is about to be made."""

        def note(sheet: _Sheet) -> None:
            if sheet.organization and sheet.organization[-1].before == before:
                sheet.organization.pop()
            sheet.organization.append(NotedOrganization(before, after, run))
            del sheet.organization[:-_DEEPEST]

        self._change(note)

    def take_off_organization(self) -> None:
        """The last change of the organization's values was undone."""

        def pop(sheet: _Sheet) -> None:
            if sheet.organization:
                sheet.organization.pop()

        self._change(pop)

    def _change(self, change: Callable[[_Sheet], None]) -> None:
        for _ in range(_TURNS):
            sheet, version = self._read()
            change(sheet)
            document = {
                "format": FORMAT,
                "unfinished": sheet.unfinished,
                "mailboxes": {key: [noted.to_json() for noted in pile] for key, pile in sheet.piles.items()},
                "organization": [
                    {"before": vars(noted.before), "after": vars(noted.after), "run": noted.run}
                    for noted in sheet.organization
                ],
            }
            try:
                self._store.write(self._key, document, expected=version)
            except Conflict:
                continue
            return
        raise StateUnavailable(
            f"Others keep writing the record {self._key} in {self._store.shown}.",
            remedy="Run again when they are done.",
        )

    def _read(self) -> tuple[_Sheet, str | None]:
        entry = self._store.read(self._key)
        if entry is None:
            return _Sheet({}, []), None
        document = entry.document
        if document.get("format") != FORMAT:
            raise InvalidInput(
                f"The record {self._key} in {self._store.shown} was written by another version of this toolkit.",
                remedy="Use the newer version.",
            )
        try:
            piles = {
                str(identity): [Noted.from_json(noted) for noted in pile]
                for identity, pile in document["mailboxes"].items()
            }
            organization = [
                NotedOrganization(Organization(**noted["before"]), Organization(**noted["after"]), str(noted["run"]))
                for noted in document["organization"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise StateUnavailable(
                f"The record {self._key} in {self._store.shown} is damaged: it is not what this toolkit writes.",
                remedy="Restore it from a backup, or move it away to begin a new one.",
            ) from None
        return _Sheet(piles, organization, document.get("unfinished")), entry.version


def _pop(sheet: _Sheet, identity: str) -> None:
    pile = sheet.piles.get(identity, [])
    if pile:
        pile.pop()
    if not pile:
        sheet.piles.pop(identity, None)


def new_run(now: datetime | None = None) -> str:
    """A run's name: its moment (UTC), so that names are in order, and something that no other run has."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}"
