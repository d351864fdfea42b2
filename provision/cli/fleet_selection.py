"""The options of every command over a fleet that say which file and which tenants, and its rows with mistakes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import InvalidInput

if TYPE_CHECKING:
    from provision.fleet.selection import Shard
    from provision.fleet.source import Fleet, Problem
    from provision.fleet.tenant import Tenant

FLEET_FILE = Path("tenants.yaml")
"""The fleet file unless one is named."""


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


def say_problems(fleet: Fleet) -> None:
    """Tells the bad rows of the fleet file, which stop nobody else."""
    for problem in fleet.problems:
        print(f"bad row: {shown(problem, fleet)}", file=sys.stderr)


def shown(problem: Problem, fleet: Fleet) -> str:
    """A bad row as a line that an editor can jump to, with its remedy below."""
    line = f"{problem.path or fleet.path}:{problem.line}: {problem.where}: {problem.message}"
    return f"{line}\n  {problem.remedy}" if problem.remedy else line
