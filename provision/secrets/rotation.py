"""Rotation: make, prove, publish, read back, put to use, wait, retire; finished by the next run wherever it stopped.

What is rotated is a client secret or a certificate with its private key; both are called a secret here.

Owns: the order of the steps, what is written in the journal before each of them, and what a run does with what an
earlier one left. Does not own: how a secret is made and removed (``slots``), the places (``sinks``), the journal's
keeping (``journal``), or when it is due (``due``).

The order is the promise. At every moment the places hold a secret that works:

1. *make*: the journal says which secrets were there and which slot gets one; then Entra is asked. A secret that was
   made and whose answer nobody has is known by that, and is removed once Graph lists it.
2. *prove*: tokens with the new secret, until Entra's servers know it. Nobody has it so far.
3. *publish and read back*, place by place: the journal says first that a place may hold it. From here on it is not
   removed before every place holds a later one.
4. *put to use*: the owner of the slots (Pulumi's stack, for example) is told; the one before becomes old.
5. *retire*: when the overlap is over, after every place was read back once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from provision.errors import InvalidInput, NotDelivered, ProvisionError
from provision.journal.lease import Lease
from provision.microsoft.objects import Listed, NewCredential
from provision.secrets.due import Pace, days
from provision.secrets.record import WORDS, Kind, Pending, Place, Record, Secret
from provision.secrets.sinks import Delivery, Sink, Stored
from provision.settings.stack import SLOTS, Slot

_LOOKS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each look at a place, or at Graph's list, for what was just written there."""
_ONE_STEP = 40.0
"""How long a step that cannot be taken back may take, seconds."""
_LISTED_BY_ALL = timedelta(minutes=15)
"""After this every one of Graph's servers lists a new secret; until then "not listed" proves nothing. Microsoft names
no figure; minutes are seen.
"""

_IN_A_HURRY: dict[Kind, str] = {"secret": " When it is known to others: --compromised.", "certificate": ""}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Held:
    """A slot's secret as the slots' owner knows it."""

    key_id: str
    expires: datetime
    start: datetime | None = None
    """When it became valid, if the owner knows."""


class Slots(Protocol):
    """The two places for client secrets, or for certificates, of one registration, and who owns them."""

    kind: Kind
    tenant_id: str
    client_id: str
    roomy: bool
    """Whether a slot takes a new secret while the one before is still in it."""

    def name(self, slot: Slot) -> str:
        """The display name of a slot's secrets."""

    def listed(self) -> tuple[Listed, ...]:
        """Everything of this kind that the registration has, ours or not, as Graph lists it now."""

    def held(self) -> Mapping[Slot, Held]:
        """Which secrets the owner has in its slots."""

    def active(self) -> Slot | None:
        """The slot whose secret the owner has in use."""

    def mint(self, slot: Slot) -> NewCredential:
        """Makes a secret in an empty slot."""

    def recall(self, slot: Slot) -> NewCredential | None:
        """A slot's secret with its value, where the owner keeps values."""

    def activate(self, secret: Secret) -> None:
        """Puts a slot's secret to use; the same again changes nothing."""

    def remove(self, secret: Secret) -> None:
        """Empties a slot of one secret; nothing when it is gone already."""

    def remove_foreign(self, key_id: str) -> None:
        """Removes a secret that no slot knows; nothing when it is gone already."""


@dataclass(frozen=True)
class Wish:
    """What a run is asked for."""

    now: bool = False
    """Rotate although it is not due."""
    compromised: bool = False
    """Rotate now and retire what was there at once, without an overlap."""
    retire: tuple[str, ...] = ()
    """Key ids of foreign secrets to retire too."""
    only_finish: bool = False
    """Finish what was begun and fill places that lack the secret; make one only when none that lives is in use."""
    wait: bool = False
    """Stay until the overlap is over and retire in this run."""


@dataclass
class Report:
    """What a run did and what it leaves."""

    made: Secret | None = None
    active: Secret | None = None
    retired: list[str] = field(default_factory=list)
    retiring: list[Secret] = field(default_factory=list)
    """Old ones whose overlap is not over."""
    foreign: list[Listed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def work_for(
    record: Record,
    listed: Sequence[Listed],
    held: Mapping[Slot, Held],
    *,
    name: Callable[[Slot], str],
    places: Iterable[str],
    wish: Wish,
    pace: Pace,
    now: datetime,
    kind: Kind = "secret",
) -> str:
    """Why there is something to do; an empty string when there is not. Nothing is changed.

    Args:
        record: what the journal remembers.
        listed: what the registration has of this kind.
        held: the owner's slots.
        name: the display name of a slot's secrets.
        places: the sinks' addresses.
        wish: what was asked for.
        pace: when it is due.
        now: the present, by Microsoft's clock.
        kind: what the slots hold.
    """
    words = WORDS[kind]
    if wish.compromised:
        return "the secret in use is compromised"
    if wish.now:
        return "asked for"
    if record.unfinished or _strays(record, record.suspects, listed, name):
        return "an earlier run did not end"
    if wish.retire or record.retire:
        return f"foreign {words}s are to be retired"
    active = record.active
    known = {active.key_id} if active is not None else {one.key_id for one in held.values()}
    in_use = [one for one in listed if one.key_id in known]
    if in_use:
        newest = max(in_use, key=lambda one: one.end or now)
        due = newest.end is not None and pace.is_due(start=newest.start, end=newest.end, now=now)
        if newest.end is not None and due and (not wish.only_finish or newest.end <= now):
            return f"the {words} in use ends {newest.end:%Y-%m-%d}, in {days(newest.end - now)}"
    elif not any(_is_young(made, now) for made in _made(active, held)):
        return f"no {words} of this toolkit is in use"
    if any(_over(old, now) for old in record.in_state("old")):
        return f"an old {words}'s overlap is over"
    if any(not any(_holds(record, place, key_id) for key_id in known) for place in places):
        return f"a sink does not have the {words} in use yet"
    return ""


class Rotation:
    """One run over one registration, under its lease.

    Args:
        slots: the registration's slots and their owner.
        sinks: where the value goes; empty when the owner itself is where it is read (Pulumi's outputs).
        lease: the journal, held by this process.
        prove: gets tokens with a value, or raises.
        pace: overlap and margin.
        now: the present, by Microsoft's clock.
        say: told single lines on the way.
        pause: waits a number of seconds.
    """

    def __init__(
        self,
        *,
        slots: Slots,
        sinks: Sequence[Sink],
        lease: Lease,
        prove: Callable[[str], object],
        pace: Pace,
        now: Callable[[], datetime],
        say: Say,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slots = slots
        self._sinks = tuple(sinks)
        self._lease = lease
        self._prove = prove
        self._pace = pace
        self._now = now
        self._say = say
        self._pause = pause
        self._words = WORDS[slots.kind]
        self._record = Record.of_kind(slots.kind, lease.body)
        self._values: dict[str, str] = {}
        self._report = Report()

    def run(self, wish: Wish) -> Report:
        """Does what is due, wished for, or left over.

        Raises:
            InvalidInput: a wish that cannot be fulfilled (a foreign key id that is none, an occupied slot).
            NotDelivered: a place did not take or keep the secret; nothing is retired.
            ProvisionError: from Entra, Graph, the journal or a place; running again goes on.
        """
        listed = self._slots.listed()
        self._meet(listed)
        self._take_wishes(wish, listed)
        if self._record.pending is not None:
            self._settle()
        self._remove_suspects()
        incoming = self._incoming()
        if incoming is not None:
            self._bring(incoming, wish)
        if self._must_make(wish) and (incoming is None or wish.compromised):
            self._report.made = self._make(wish)
            self._bring(self._report.made, wish)
        elif incoming is None:
            self._complete()
        self._retire(wish)
        self._report.active = self._record.active
        self._report.retiring = self._record.in_state("old")
        self._report.foreign = [p for p in self._slots.listed() if p.key_id not in self._record.secrets]
        return self._report

    def _bring(self, secret: Secret, wish: Wish) -> None:
        self._say("proving that it works")
        self._prove(self._values[secret.key_id])
        self._remove_suspects(secret)
        self._publish(secret)
        self._put_to_use(secret, wish)

    # What is there

    def _meet(self, listed: Sequence[Listed]) -> None:
        """Brings the record and the owner's slots together: what the owner made before there was a journal is ours."""
        record, active = self._record, self._slots.active()
        for slot, held in self._slots.held().items():
            if held.key_id in record.secrets or (record.pending is not None and record.pending.slot == slot):
                continue
            in_use = slot == active
            record.secrets[held.key_id] = Secret(
                held.key_id,
                slot,
                "active" if in_use else "old",
                _written(held.expires),
                made="" if held.start is None else _written(held.start),
                retire_after=None if in_use else _written(self._now() + self._pace.overlap),
            )
        there = {one.key_id for one in listed}
        now = self._now()
        known = [one for one in record.in_state("active", "old") if not _is_young(one.made, now)]
        missing = [one for one in known if one.key_id not in there]
        if missing and self._are_gone(missing):
            for secret in missing:
                self._say(f"the {self._words} {secret.key_id} is gone from the tenant")
                if secret.state == "active":  # its slot is emptied once there is another one
                    secret.state, secret.retire_after = "old", _written(now)
                else:
                    self._slots.remove(secret)
                    del record.secrets[secret.key_id]
            self._save()

    def _are_gone(self, missing: Sequence[Secret]) -> bool:
        """Whether Graph goes on not listing them: one answer may come from a server that is a little behind."""
        for seconds in _LOOKS[1:4]:
            self._pause(seconds)
            there = {one.key_id for one in self._slots.listed()}
            if any(secret.key_id in there for secret in missing):
                return False
        return True

    def _take_wishes(self, wish: Wish, listed: Sequence[Listed]) -> None:
        there = {one.key_id for one in listed}
        for key_id in wish.retire:
            if key_id in self._record.secrets:
                raise InvalidInput(
                    f"The {self._words} {key_id} is this toolkit's own; it retires by itself.",
                    remedy="Name only key ids of secrets that somebody else made.",
                )
            if key_id not in there:
                raise InvalidInput(
                    f"The registration has no {self._words} with the key id {key_id}.",
                    remedy="`provision secrets status` lists them.",
                )
        wanted = [k for k in dict.fromkeys([*self._record.retire, *wish.retire]) if k in there]
        if wanted != self._record.retire:
            self._record.retire = wanted
            self._save()

    def _settle(self) -> None:
        """An earlier run asked Entra for a secret and did not note the answer."""
        pending = self._record.pending
        if pending is None:
            return
        kept = self._slots.recall(pending.slot)
        if kept is not None and kept.key_id not in pending.before and kept.key_id not in self._record.secrets:
            self._say(f"an earlier run made the {self._words} {kept.key_id}; going on with it")
            self._register(kept, pending.slot)
            return
        self._record.pending, self._record.suspects = None, pending
        self._save()

    def _incoming(self) -> Secret | None:
        """The secret that an earlier run made and did not bring everywhere, if its value can still be had."""
        for secret in self._record.in_state("published", "minted"):
            value = self._value_of(secret)
            if value is not None:
                self._say(f"an earlier run did not end: going on with the {self._words} {secret.key_id}")
                return secret
            if secret.state == "minted":
                self._say(f"removing the {self._words} {secret.key_id}: it was made and its value was never stored")
                self._lease.require(_ONE_STEP)
                self._slots.remove(secret)
                del self._record.secrets[secret.key_id]
                self._save()
            else:
                self._say(f"the value of the {self._words} {secret.key_id} is known to none but a sink: replacing it")
        return None

    def _value_of(self, secret: Secret) -> str | None:
        """A secret's value: of this run, of the slots' owner, or of a place that shows what it holds."""
        if secret.key_id in self._values:
            return self._values[secret.key_id]
        kept = self._slots.recall(secret.slot)
        if kept is not None and kept.key_id == secret.key_id:
            self._values[secret.key_id] = kept.value
            if not secret.digest:
                secret.remember_value(kept.value)
            return kept.value
        for sink in self._sinks:
            place = self._record.places.get(sink.address)
            if place is None or place.key_id != secret.key_id:
                continue
            try:
                stored = sink.stored()
            except ProvisionError:
                continue  # another place may have it
            if stored is not None and stored.value is not None and secret.is_value(stored.value):
                self._values[secret.key_id] = stored.value
                return stored.value
        return None

    # Make and prove

    def _must_make(self, wish: Wish) -> bool:
        active = self._record.active
        if wish.now or wish.compromised or active is None or self._record.in_state("published"):
            return True
        if wish.only_finish:
            return active.ends <= self._now()
        start = next((p.start for p in self._slots.listed() if p.key_id == active.key_id), None)
        if start is None and active.made:
            start = _moment(active.made)
        return self._pace.is_due(start=start, end=active.ends, now=self._now())

    def _make(self, wish: Wish) -> Secret:
        slot = self._idle_slot(wish)
        for sink in self._sinks:
            sink.check()
        suspects = self._record.suspects
        before = suspects.before if suspects is not None else [p.key_id for p in self._slots.listed()]
        self._record.pending = Pending(slot, before, _written(self._now()))
        self._save()
        self._lease.require(_ONE_STEP)
        self._say(f"making the {self._words} {self._slots.name(slot)}")
        return self._register(self._slots.mint(slot), slot)

    def _idle_slot(self, wish: Wish) -> Slot:
        """The slot that the new secret gets: one whose secret, if any, nobody uses any more."""
        active = self._record.active
        published = self._record.in_state("published")
        if published:
            return published[0].slot
        held = self._slots.held()
        candidates = [slot for slot in SLOTS if active is None or slot != active.slot]
        idle = next((slot for slot in candidates if slot not in held), candidates[0])
        for old in self._record.in_state("old"):
            if old.slot != idle:
                continue
            if not wish.compromised and not _over(old, self._now()):
                raise InvalidInput(
                    f"The {self._words} that was replaced last, {old.key_id}, is in its overlap until "
                    f"{in_seconds(old.retire_after)}; a third one would leave no time to fetch the second.",
                    remedy=f"Run again after that.{_IN_A_HURRY[self._slots.kind]}",
                )
            if not self._slots.roomy:  # else it goes like any other, after the new one is everywhere
                self._mend()
                self._remove_old(old)
        return idle

    def _mend(self) -> None:
        """Brings the secret in use to places that hold another one, perhaps the very one that is about to go."""
        active = self._record.active
        if active is None:
            return
        failed: list[tuple[Sink, ProvisionError]] = []
        for sink in self._sinks:
            try:
                self._require_held(sink, active)
            except ProvisionError as refused:
                if not isinstance(refused, NotDelivered) or self._value_of(active) is None:
                    failed.append((sink, refused))
                    continue
                try:
                    self._deliver(active, sink)
                except ProvisionError as again:
                    failed.append((sink, again))
        if failed:
            raise _not_delivered(self._words, failed)

    def _register(self, made: NewCredential, slot: Slot) -> Secret:
        secret = Secret(made.key_id, slot, "minted", _written(made.end), made=_written(self._now()))
        secret.remember_value(made.value)
        self._values[made.key_id] = made.value
        self._record.secrets[made.key_id] = secret
        self._record.pending = None
        self._save()
        return secret

    def _remove_suspects(self, proven: Secret | None = None) -> None:
        """Removes secrets whose answer was lost, as far as Graph lists them by now.

        They are looked for again by later runs until nothing can turn up any more: Graph lists one that was made and
        proven later, or enough time is over.
        """
        suspects = self._record.suspects
        if suspects is None:
            return
        for seconds in _LOOKS if proven is not None else _LOOKS[:1]:
            self._pause(seconds)
            listed = self._slots.listed()
            settled = not _is_young(suspects.asked, self._now())
            if settled or (proven is not None and any(one.key_id == proven.key_id for one in listed)):
                settled = True
                break
        for key_id in _strays(self._record, suspects, listed, self._slots.name):
            self._say(f"removing the {self._words} {key_id}: it was made and its value was never stored")
            self._lease.require(_ONE_STEP)
            self._slots.remove_foreign(key_id)
        if settled:
            self._record.suspects = None
            self._save()

    # Publish and put to use

    def _publish(self, secret: Secret) -> None:
        failed: list[tuple[Sink, ProvisionError]] = []
        for sink in self._sinks:
            if _holds(self._record, sink.address, secret.key_id):
                continue
            try:
                self._deliver(secret, sink)
            except ProvisionError as refused:
                failed.append((sink, refused))
        if failed:
            raise _not_delivered(self._words, failed)

    def _deliver(self, secret: Secret, sink: Sink) -> None:
        delivery = Delivery(
            self._slots.tenant_id,
            self._slots.client_id,
            secret.key_id,
            secret.ends,
            self._values[secret.key_id],
            self._slots.kind,
        )
        before = sink.stored()
        self._record.places[sink.address] = Place(secret.key_id)
        if secret.state == "minted":
            secret.state = "published"
        self._save()
        self._lease.require(_ONE_STEP)
        self._say(f"writing it to {sink.address}")
        if before is None or before.value != delivery.value:
            sink.write(delivery)
        stored = self._read_back(sink, delivery, before)
        self._record.places[sink.address] = Place(secret.key_id, confirmed=True, changed=stored.changed)
        self._save()

    def _read_back(self, sink: Sink, delivery: Delivery, before: Stored | None) -> Stored:
        for seconds in _LOOKS:
            self._pause(seconds)
            stored = sink.stored()
            if stored is not None and _is_delivered(stored, delivery, before):
                return stored
        raise NotDelivered(
            f"it accepted the new {self._words} but does not hold it.", remedy="Look at the place, then run again."
        )

    def _put_to_use(self, secret: Secret, wish: Wish) -> None:
        self._lease.require(_ONE_STEP)
        self._slots.activate(secret)
        now = self._now()
        overlap = timedelta(0) if wish.compromised else self._pace.overlap
        for other in self._record.in_state("active", "published"):
            if other.key_id != secret.key_id:
                other.state, other.retire_after = "old", _written(now + overlap)
        secret.state, secret.activated = "active", _written(now)
        if wish.compromised:
            for other in self._record.in_state("old"):
                other.retire_after = _written(now)
        self._save()

    def _complete(self) -> None:
        """Brings the secret in use to places that were added since."""
        active = self._record.active
        without = [s for s in self._sinks if active is not None and not _holds(self._record, s.address, active.key_id)]
        if active is None or not without:
            return
        value = self._value_of(active)
        if value is None:
            names = ", ".join(sink.address for sink in without)
            self._note(
                f"{names} gets its {self._words} with the next rotation (--now for one at once): nobody keeps "
                "the value."
            )
            return
        for sink in without:
            sink.check()
        self._prove(value)
        self._publish(active)

    # Retire

    def _retire(self, wish: Wish) -> None:
        while True:
            if self._ready(wish):
                self._require_in_use()
                for secret in self._ready(wish):
                    self._remove_old(secret)
                self._retire_foreign(wish)
            elif self._foreign_ready(wish):
                self._require_in_use()
                self._retire_foreign(wish)
            left = self._record.in_state("old")
            if not left or not wish.wait:
                return
            after = min(_moment(secret.retire_after) for secret in left)
            self._pause(max(0.05, min(5.0, (after - self._now()).total_seconds())))

    def _ready(self, wish: Wish) -> list[Secret]:
        now = self._now()
        return [old for old in self._record.in_state("old") if wish.compromised or _over(old, now)]

    def _foreign_ready(self, wish: Wish) -> bool:
        active = self._record.active
        if not self._record.retire or active is None:
            return False
        since = _moment(active.activated) if active.activated else datetime.min.replace(tzinfo=UTC)
        if wish.compromised or since + self._pace.overlap <= self._now():
            return True
        self._note(
            f"{', '.join(self._record.retire)} will be retired after {since + self._pace.overlap:%Y-%m-%d %H:%M} UTC."
        )
        return False

    def _retire_foreign(self, wish: Wish) -> None:
        if not self._foreign_ready(wish):
            return
        for key_id in list(self._record.retire):
            self._lease.require(_ONE_STEP)
            self._slots.remove_foreign(key_id)
            self._report.retired.append(key_id)
            self._record.retire.remove(key_id)
            self._save()

    def _require_in_use(self) -> None:
        """Before anything is retired: every place still holds the secret in use, and it works."""
        active = self._record.active
        if active is None:
            raise InvalidInput(
                f"No {self._words} of this toolkit is in use, so nothing is retired.", remedy="Rotate first: --now."
            )
        failed: list[tuple[Sink, ProvisionError]] = []
        for sink in self._sinks:
            try:
                self._require_held(sink, active)
            except ProvisionError as refused:
                failed.append((sink, refused))
        if failed:
            raise _not_delivered(self._words, failed)
        value = self._value_of(active)
        if value is not None:
            self._prove(value)

    def _require_held(self, sink: Sink, active: Secret) -> None:
        stored, place = sink.stored(), self._record.places.get(sink.address)
        if stored is not None and place is not None and place.confirmed and place.key_id == active.key_id:
            if stored.value is not None:
                if not active.digest or active.is_value(stored.value):
                    return
            elif stored.key_id is not None:
                if stored.key_id == active.key_id:
                    return
            elif stored.changed == place.changed:
                return
        raise NotDelivered(
            f"it no longer holds the {self._words} in use.", remedy="Run with --now to write a new one there."
        )

    def _remove_old(self, secret: Secret) -> None:
        self._say(f"retiring the {self._words} {secret.key_id} ({self._slots.name(secret.slot)})")
        self._lease.require(_ONE_STEP)
        self._slots.remove(secret)
        del self._record.secrets[secret.key_id]
        self._report.retired.append(secret.key_id)
        self._save()

    def _note(self, text: str) -> None:
        if text not in self._report.notes:
            self._report.notes.append(text)

    def _save(self) -> None:
        self._lease.save(self._record.within(self._lease.body, self._slots.kind))


def _strays(
    record: Record, suspects: Pending | None, listed: Sequence[Listed], name: Callable[[Slot], str]
) -> list[str]:
    """Key ids of secrets that a run made without getting the answer: nobody has their value."""
    if suspects is None:
        return []
    names = {name(slot) for slot in SLOTS}  # two runs may have been stopped, each in a slot of its own
    return [
        one.key_id
        for one in listed
        if one.display_name in names and one.key_id not in suspects.before and one.key_id not in record.secrets
    ]


def _holds(record: Record, address: str, key_id: str) -> bool:
    place = record.places.get(address)
    return place is not None and place.confirmed and place.key_id == key_id


def _is_delivered(stored: Stored, delivery: Delivery, before: Stored | None) -> bool:
    if stored.value is not None:
        return stored.value == delivery.value
    if stored.key_id is not None:
        return stored.key_id == delivery.key_id
    return stored.changed is not None and (before is None or stored.changed != before.changed)


def _not_delivered(words: str, failed: Sequence[tuple[Sink, ProvisionError]]) -> NotDelivered:
    said = " ".join(f"{sink.address}: {refused.message}" for sink, refused in failed)
    todo = " ".join(dict.fromkeys(refused.remedy for _, refused in failed if refused.remedy))
    return NotDelivered(
        f"The new {words} is not everywhere, so the old one stays valid and in use. {said}",
        remedy=f"{todo} Running again goes on from here.".strip(),
    )


def _made(active: Secret | None, held: Mapping[Slot, Held]) -> list[str]:
    """When the secret in use was made; without a record, when those in the slots were."""
    if active is not None:
        return [active.made]
    return [_written(one.start) for one in held.values() if one.start is not None]


def _is_young(made: str, now: datetime) -> bool:
    """Whether something was made so shortly ago that Graph may not list it yet; not when nobody knows."""
    return bool(made) and now - _moment(made) < _LISTED_BY_ALL


def _over(secret: Secret, now: datetime) -> bool:
    return secret.retire_after is not None and _moment(secret.retire_after) <= now


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text) if text else datetime.max.replace(tzinfo=UTC)


def in_seconds(moment: str | None) -> str:
    """A time of the record (RFC 3339) as people and programs are told it: UTC, rounded up to the next second."""
    if moment is None:
        return ""
    exact = datetime.fromisoformat(moment).astimezone(UTC)
    up = exact if exact.microsecond == 0 else exact.replace(microsecond=0) + timedelta(seconds=1)
    return up.strftime("%Y-%m-%dT%H:%M:%SZ")


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
