"""Which tenants of a fleet a command means: by key, by group, by product, or every n-th for one of n machines.

Owns: the choice and its refusals. Does not own: the order in which tenants are worked on (``fleet.coordinator``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from provision.errors import InvalidInput
from provision.fleet.source import Fleet
from provision.fleet.tenant import Tenant


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of a selection, for one of several machines or CI jobs."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads ``2/8``.

        Raises:
            InvalidInput: it is none.
        """
        found = re.fullmatch(r"([1-9][0-9]{0,4})/([1-9][0-9]{0,4})", text, re.ASCII)
        if found is None or int(found[1]) > int(found[2]):
            raise InvalidInput(f"{text!r} is no part of a whole.", remedy="Write it like 2/8, from 1/8 to 8/8.")
        return cls(int(found[1]), int(found[2]))


def select(
    fleet: Fleet,
    *,
    keys: Collection[str] = (),
    groups: Collection[str] = (),
    profiles: Collection[str] = (),
    without: Collection[str] = (),
    shard: Shard | None = None,
) -> tuple[Tenant, ...]:
    """The tenants that are meant, in the file's order; all of them when nothing is named.

    Args:
        fleet: as it was read.
        keys: rows by name. Together with ``groups`` either is enough.
        groups: rows that are in one of them.
        profiles: only rows of these products.
        without: rows or groups to leave out, whatever named them.
        shard: only this part of what is left; may be empty.

    Raises:
        InvalidInput: a key, group or product that no row has (a row with a mistake has none), or nothing is left.
    """
    _refuse_unknown("tenant", keys, [tenant.key for tenant in fleet.tenants], fleet)
    there = {group for tenant in fleet.tenants for group in tenant.groups}
    _refuse_unknown("group", groups, sorted(there), fleet)
    _refuse_unknown("profile", profiles, sorted({tenant.profile for tenant in fleet.tenants}), fleet)
    _refuse_unknown("tenant or group", without, [*(tenant.key for tenant in fleet.tenants), *sorted(there)], fleet)
    named, within, products, left_out = set(keys), set(groups), set(profiles), set(without)
    chosen = [
        tenant
        for tenant in fleet.tenants
        if (not (named or within) or tenant.key in named or not within.isdisjoint(tenant.groups))
        and (not products or tenant.profile in products)
        and tenant.key not in left_out
        and left_out.isdisjoint(tenant.groups)
    ]
    if not fleet.tenants:
        mistakes = "`provision fleet validate` names every mistake and its remedy; correct them."
        remedy = mistakes if fleet.problems else "Add one: provision fleet add KEY TENANT"
        raise InvalidInput(f"{fleet.path} has no good row.", remedy=remedy)
    if not chosen:
        raise InvalidInput(
            f"No tenant of {fleet.path} is left by this selection.",
            remedy="Name fewer conditions; `provision fleet validate` says how many rows are good.",
        )
    return tuple(chosen[shard.number - 1 :: shard.of] if shard else chosen)


def _refuse_unknown(what: str, names: Collection[str], there: Sequence[str], fleet: Fleet) -> None:
    known = set(there)
    if unknown := [name for name in names if name not in known]:
        near = get_close_matches(unknown[0], there, n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Look it up in the fleet file."
        if fleet.problems:
            remedy += " A row with a mistake does not count: `provision fleet validate` names them."
        raise InvalidInput(f"{fleet.path} has no {what} {', '.join(unknown)}.", remedy=remedy)
