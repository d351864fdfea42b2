"""``provision fleet report``: what is known about a fleet, as a table, a page, JSON, CSV and JUnit."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.files import PRIVATE, put
from provision.cli.fleet_selection import add_selection, chosen, require_known
from provision.errors import InvalidInput, Usage

if TYPE_CHECKING:
    from provision.fleet.report import View
    from provision.fleet.store import FleetStore, Run
    from provision.fleet.tenant import Tenant

_SHOWN = 50


def add_commands(commands: Any) -> None:
    """Adds the command of this module."""
    text = "what is known about every tenant: state, drift, findings, when secrets end, the last runs; asks nobody"
    parser: argparse.ArgumentParser = commands.add_parser("report", help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=_report)
    add_selection(parser)
    where = parser.add_argument_group("what")
    where.add_argument("--fleet", help="every tenant that the store knows of the fleet of this name, without its file")
    where.add_argument(
        "--store", metavar="URL", help="where runs are kept (default: PROVISION_FLEET_STORE, else a file)"
    )
    where.add_argument("--run", metavar="ID", help="what became of this run alone (provision fleet runs lists them)")
    form = parser.add_argument_group("form")
    form.add_argument("--html", type=Path, metavar="FILE", help="one page that opens without a network, into a file")
    form.add_argument("--json", action="store_true", help="as one JSON object")
    form.add_argument("--csv", type=Path, metavar="FILE", help="a row for each finding and failure, into a file")
    form.add_argument("--junit", type=Path, metavar="FILE", help="a JUnit report into a file, for CI")


def _report(arguments: argparse.Namespace) -> int:
    from provision.fleet.forms import junit, write_csv
    from provision.fleet.report import document, page, view
    from provision.fleet.store import open_fleet_store

    name, tenants = _which(arguments)
    store = open_fleet_store(arguments.store)
    if arguments.fleet is not None:
        require_known(name, store)
    shown = view(store, name, tenants=tenants, run=_run(store, name, arguments.run))
    if arguments.html is not None:
        put(arguments.html, page(shown), mode=PRIVATE)
    if arguments.csv is not None:
        text = io.StringIO()
        write_csv(shown.outcomes, text)
        put(arguments.csv, text.getvalue(), mode=PRIVATE)
    if arguments.junit is not None:
        put(arguments.junit, junit(f"provision fleet report {name}", shown.outcomes), mode=PRIVATE)
    if arguments.json:
        sys.stdout.writelines(document(shown))
    else:
        print(_table(shown))
    return 0


def _which(arguments: argparse.Namespace) -> tuple[str, tuple[Tenant, ...] | None]:
    """The fleet's name, and the rows to show; None: whatever the store knows.

    Raises:
        Usage: a fleet without its file, and a choice among the file's rows.
        InvalidInput: see ``chosen``.
    """
    if arguments.fleet is not None:
        if arguments.only or arguments.group or arguments.product or arguments.without or arguments.shard:
            raise Usage(
                "--fleet shows every tenant that the store knows; what chooses among rows needs the fleet file.",
                remedy="Leave out --fleet, or the selection.",
            )
        return arguments.fleet, None
    fleet, tenants = chosen(arguments)
    return fleet.name, tenants


def _run(store: FleetStore, fleet: str, run_id: str | None) -> Run | None:
    run = store.run(run_id) if run_id is not None else None
    if run_id is not None and (run is None or run.fleet != fleet):
        raise InvalidInput(
            f"There is no run {run_id} of the fleet {fleet} in {store.shown}.",
            remedy="provision fleet runs lists those that are there.",
        )
    return run


def _table(view: View) -> str:
    """What is not as it should be, and the counts."""
    from provision.fleet.forms import why

    wrong = [row for row in view.rows if row.state in ("failed", "pending", "not-tried")]
    rows = [
        (row.key, row.state, why(row.standing[0].outcome) if row.standing else "no run has tried it yet")
        for row in wrong[:_SHOWN]
    ]
    lines = [report.table(("Tenant", "State", ""), rows)] if rows else []
    if len(wrong) > _SHOWN:
        lines.append(f"and {len(wrong) - _SHOWN} more")
    soon = sum(len(span.keys) for span in view.timeline() if span.soon)
    lines.append(
        ", ".join(f"{count} {state}" for state, count in view.counts.items())
        + (f"; {soon} secrets have ended or end within five weeks" if soon else "")
        if view.rows
        else "no tenant"
    )
    return "\n".join(lines)
