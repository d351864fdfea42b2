"""When the client secrets and certificates of a registration end, whose they are, and which of them the product needs.

Owns: telling them apart and the verdict. Does not own: asking Microsoft Graph and the state (``onboard.expiring``), or
how it is shown (``cli``, ``calendar``, ``metrics``). No value comes near: Graph never shows one again.

One secret decides. Where the state or the journal says which one is in use, it is that one: the product works as long
as it lives, whatever else is there. A certificate that the journal knows to be in use counts as such a secret; where
both kinds are in use nobody knows which of them the product takes, so the one that ends first decides. Where nobody
remembers, it is the one of this toolkit that lives longest, and only when none of ours lives, the longest-lived of
somebody else's; a certificate then decides only where there is no secret. All others are told, and fail nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from provision.microsoft.objects import Application, Certificate, Password
from provision.secrets.due import days
from provision.secrets.record import WORDS, Kind
from provision.settings.stack import Slot

State = Literal["live", "expiring", "expired", "not-yet-valid"]

_LIVING: tuple[State, ...] = ("live", "expiring")
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Known:
    """What is remembered of a registration's secrets beyond what Graph lists."""

    slots: Mapping[str, Slot] = field(default_factory=dict)
    """This toolkit's, by key id."""
    names: Mapping[str, Slot] = field(default_factory=dict)
    """Display names that only this toolkit gives; the evidence where no key id is remembered."""
    in_use: str | None = None
    """The key id of the client secret that the product was given."""
    certificate_in_use: str | None = None
    """The key id of the certificate that the product was given."""


@dataclass(frozen=True)
class Entry:
    """One client secret or certificate."""

    kind: Kind
    name: str
    """As the portal shows it; may be empty."""
    key_id: str
    starts: datetime | None
    ends: datetime | None
    slot: Slot | None
    """This toolkit's slot; None for one that somebody else made."""
    in_use: bool
    """Whether it is known to be the one that the product was given."""
    state: State

    @property
    def words(self) -> str:
        """What it is, for a sentence."""
        return f"{WORDS[self.kind]} {self.name or 'without a name'} ({self.key_id})"


@dataclass(frozen=True)
class Registration:
    """The secrets and certificates of one registration at one moment."""

    name: str
    client_id: str
    tenant_id: str
    stack: str | None
    """The stack that keeps it; None where it was named by its client id."""
    at: datetime
    """The moment, by Microsoft's clock."""
    ahead: timedelta
    """How far Microsoft's clock is ahead of this machine's."""
    within: timedelta
    entries: tuple[Entry, ...]
    """Those that end first come first."""
    deciding: Entry | None
    """The one that the product needs; None where there is none."""
    problem: str
    """What is wrong, one sentence; empty when nothing is."""
    remedy: str
    notes: tuple[str, ...]
    """What ends soon without failing anything."""

    def days_left(self, entry: Entry) -> int | None:
        """Whole days until one of the entries ends; below zero once it has ended."""
        return None if entry.ends is None else (entry.ends - self.at) // timedelta(days=1)


def read(
    application: Application,
    known: Known,
    *,
    tenant_id: str,
    stack: str | None,
    now: datetime,
    ahead: timedelta,
    within: timedelta,
) -> Registration:
    """Sorts what Graph lists and says whether the product will soon be without a secret.

    Args:
        application: with its certificates.
        known: what is remembered of its secrets.
        tenant_id: its tenant.
        stack: the stack that keeps it, if any.
        now: the present, by Microsoft's clock.
        ahead: how far that clock is ahead of this machine's.
        within: what "soon" is.
    """
    name = _printable(application.display_name)
    secrets = [_entry("secret", one, known, now, within) for one in application.passwords]
    certificates = [_entry("certificate", one, known, now, within) for one in application.certificates]
    entries = sorted([*secrets, *certificates], key=lambda entry: (entry.ends or _NEVER, entry.kind, entry.key_id))
    remembered: dict[Kind, str | None] = {"secret": known.in_use, "certificate": known.certificate_in_use}
    gone = [kind for kind, key_id in remembered.items() if key_id and all(key_id != one.key_id for one in entries)]
    in_use = [entry for entry in entries if entry.in_use]
    if gone:
        kind = gone[0]
        deciding = None
        problem = f"The {WORDS[kind]} in use ({remembered[kind]}) of {name} is no longer there: somebody removed it."
    elif in_use:
        deciding = in_use[0]  # those that end first come first
        problem = _problem(deciding, name, now)
    else:
        deciding = _longest_lived(secrets) or _longest_lived(certificates)
        problem = "" if deciding is None else _problem(deciding, name, now)
    return Registration(
        name=name,
        client_id=application.app_id,
        tenant_id=tenant_id,
        stack=stack,
        at=now,
        ahead=ahead,
        within=within,
        entries=tuple(entries),
        deciding=deciding,
        problem=problem,
        remedy=_remedy(application, stack, deciding, gone) if problem else "",
        notes=tuple(_notes(name, entries, deciding, now)),
    )


def _entry(kind: Kind, one: Password | Certificate, known: Known, now: datetime, within: timedelta) -> Entry:
    return Entry(
        kind=kind,
        name=_printable(one.display_name or ""),
        key_id=one.key_id,
        starts=one.start,
        ends=one.end,
        slot=known.slots.get(one.key_id) or known.names.get(one.display_name or ""),
        in_use=one.key_id in (known.in_use, known.certificate_in_use),
        state=_state(one, now, within),
    )


def _printable(name: str) -> str:
    """A name that anybody in the tenant may have typed, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def _state(one: Password | Certificate, now: datetime, within: timedelta) -> State:
    if one.end is not None and one.end <= now:
        return "expired"
    if one.start is not None and one.start > now:
        return "not-yet-valid"
    return "expiring" if one.end is not None and one.end - now <= within else "live"


def _longest_lived(entries: Iterable[Entry]) -> Entry | None:
    """What the product needs where nobody remembers: one that lives before one that does not, ours before others'."""
    return max(
        entries,
        key=lambda entry: (entry.state in _LIVING, entry.slot is not None, entry.ends or _NEVER, entry.key_id),
        default=None,
    )


def _problem(deciding: Entry, name: str, now: datetime) -> str:
    return "" if deciding.state == "live" else _when(deciding, name, now)


def _when(entry: Entry, name: str, now: datetime) -> str:
    if entry.state == "not-yet-valid":
        return f"The {entry.words} of {name} is not valid before {entry.starts:%Y-%m-%d %H:%M} UTC."
    ends = entry.ends or _NEVER
    verb, left = ("ended", "") if entry.state == "expired" else ("ends", f", in {days(ends - now)}")
    return f"The {entry.words} of {name} {verb} {ends:%Y-%m-%d %H:%M} UTC{left}."


def _remedy(application: Application, stack: str | None, deciding: Entry | None, gone: Sequence[Kind]) -> str:
    which = f"--stack {stack}" if stack else f"--client-id {application.app_id}"
    ours = gone[0] if gone else deciding.kind if deciding is not None and deciding.slot is not None else None
    if ours == "certificate":
        return f"Renew it: provision credential certificate {which} --sink KIND:PLACE --now"
    if deciding is not None and deciding.kind == "certificate":
        return "Give the registration a new certificate where this one was made."
    return f"Renew it: provision rotate {which}{'' if stack else ' --sink KIND:PLACE'} --now"


def _notes(name: str, entries: list[Entry], deciding: Entry | None, now: datetime) -> list[str]:
    if not entries:
        return [f"{name} has no client secret and no certificate: nothing in it ends."]
    others = [entry for entry in entries if entry.state == "expiring" and entry is not deciding]
    counts = "" if deciding is None else f" It is not the one that counts, which is {deciding.key_id}."
    return [f"{_when(entry, name, now)}{counts}" for entry in others]
