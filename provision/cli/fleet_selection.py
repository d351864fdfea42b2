"""The options of every command over a fleet that say which file and which tenants, and its rows with mistakes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import InvalidInput

if TYPE_CHECKING:
    from provision.fleet.selection import Shard
    from provision.fleet.source import Fleet, Problem
    from provision.fleet.store import FleetStore
    from provision.fleet.tenant import Tenant

FLEET_FILE = Path("tenants.yaml")
"""The fleet file unless one is named."""
_FEW = 5
"""So many names are told instead of one that is not there."""


def add_file(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the fleet file."""
    parser.add_argument(
        "--file", type=Path, default=FLEET_FILE, help="the fleet file, YAML or CSV (default: %(default)s)"
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name the fleet file and choose among its tenants."""
    which = parser.add_argument_group("which tenants (default: all)")
    which.add_argument("--file", type=Path, default=FLEET_FILE, help="the fleet file (default: %(default)s)")
    which.add_argument(
        "--tenant",
        "--only",
        dest="only",
        action="append",
        default=[],
        metavar="KEY",
        help="this tenant; may be repeated",
    )
    which.add_argument("--group", action="append", default=[], help="the tenants of this group; may be repeated")
    which.add_argument(
        "--product", action="append", default=[], metavar="PROFILE", help="of these, those with this profile"
    )
    which.add_argument(
        "--without", action="append", default=[], metavar="KEY", help="but not this tenant or group; may be repeated"
    )
    which.add_argument("--shard", type=_shard, metavar="N/OF", help="of these, one of so many equal parts, as in 2/8")


def _shard(text: str) -> Shard:
    from provision.fleet.selection import Shard

    try:
        return Shard.parse(text)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def chosen(arguments: argparse.Namespace) -> tuple[Fleet, tuple[Tenant, ...]]:
    """The fleet that the options name, and the tenants that they choose.

    Raises:
        InvalidInput: the file is no fleet file, or nothing in it fits; its bad rows are told then, for they may be why.
    """
    from provision.fleet.selection import select
    from provision.fleet.source import read_fleet

    fleet = read_fleet(arguments.file)
    try:
        tenants = select(
            fleet,
            keys=arguments.only,
            groups=arguments.group,
            profiles=arguments.product,
            without=arguments.without,
            shard=arguments.shard,
        )
    except InvalidInput:
        say_problems(fleet)
        raise
    return fleet, tenants


def require_known(fleet: str, store: FleetStore) -> None:
    """Refuses the name of a fleet that the store does not know.

    Raises:
        InvalidInput: it names a few that the store knows.
    """
    there = store.fleets()
    if fleet not in there:
        raise InvalidInput(
            f"The store {store.shown} knows no fleet {fleet}.",
            remedy=_instead(fleet, there) or "It knows none yet: provision fleet plan begins a first run.",
        )


def require_tenant(key: str, fleet: str, store: FleetStore) -> None:
    """Refuses the key of a tenant that never stood in a run of the fleet.

    Raises:
        InvalidInput: it names a few that did.
    """
    there = store.keys(fleet)
    if key not in there:
        raise InvalidInput(
            f"No run of the fleet {fleet} had a tenant {key}.",
            remedy=_instead(key, there) or "The fleet has had no run yet: provision fleet plan begins a first one.",
        )


def _instead(name: str, there: Sequence[str]) -> str:
    """A few names that there are, the most alike first; empty when there are none."""
    alike = get_close_matches(name, there, n=_FEW)
    few = [*alike, *(other for other in there if other not in alike)][:_FEW]
    more = f", and {len(there) - len(few)} more" if len(there) > len(few) else ""
    return f"There {'is' if len(there) == 1 else 'are'}: {', '.join(few)}{more}." if few else ""


def say_problems(fleet: Fleet) -> None:
    """Tells the bad rows of the fleet file, which stop nobody else."""
    for problem in fleet.problems:
        print(f"bad row: {shown(problem, fleet)}", file=sys.stderr)


def shown(problem: Problem, fleet: Fleet) -> str:
    """A bad row as a line that an editor can jump to, with its remedy below."""
    line = f"{problem.path or fleet.path}:{problem.line}: {problem.where}: {problem.message}"
    return f"{line}\n  {problem.remedy}" if problem.remedy else line
