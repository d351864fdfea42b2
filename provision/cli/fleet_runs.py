"""``provision fleet runs``: what was done for a fleet and how it ended; a tenant's history; old runs taken away."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.fleet_selection import add_file, require_known, require_tenant
from provision.errors import InvalidInput

if TYPE_CHECKING:
    from provision.fleet.store import FleetStore, Recorded, Run

_STATUSES = ("unchanged", "pending", "changed", "failed")
_LAST = 20


def add_commands(commands: Any) -> None:
    """Adds the command of this module."""
    text = "list the runs over a fleet and how they ended, or what became of one tenant"
    parser: argparse.ArgumentParser = commands.add_parser("runs", help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=_runs)
    which = parser.add_argument_group("which runs")
    add_file(parser)
    which.add_argument("--fleet", help="the fleet's name (default: that of the fleet file)")
    which.add_argument(
        "--store", metavar="URL", help="where runs are kept (default: PROVISION_FLEET_STORE, else a file)"
    )
    which.add_argument("--tenant", metavar="KEY", help="everything that became of this tenant, the newest first")
    which.add_argument("--last", type=int, default=_LAST, metavar="N", help="the newest N (default: %(default)s)")
    how = parser.add_argument_group("how")
    how.add_argument("--json", action="store_true", help="as one JSON object")
    how.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="first take away all but the newest N of each action (docs/fleet-store.md)",
    )


def _runs(arguments: argparse.Namespace) -> int:
    from provision.fleet.jobs import forget_logs
    from provision.fleet.store import open_fleet_store

    if arguments.last < 1:
        raise InvalidInput("--last is a number from 1 on.", remedy="Write --last 20.")
    fleet = arguments.fleet or _named(arguments)
    store = open_fleet_store(arguments.store)
    if arguments.fleet and store.fleets():  # in a new store nothing is mistyped yet
        require_known(fleet, store)
    if arguments.keep is not None:
        before = {run.id for run in store.runs(fleet)}
        store.prune(fleet, keep_runs=arguments.keep)
        gone = before - {run.id for run in store.runs(fleet)}
        forget_logs(fleet, gone, environ=os.environ)
        print(f"taken away: {len(gone)} {'run' if len(gone) == 1 else 'runs'}", file=sys.stderr)
    if arguments.tenant:
        require_tenant(arguments.tenant, fleet, store)
        told = store.history(fleet, arguments.tenant)[: arguments.last]
        print(_history_json(fleet, arguments.tenant, told) if arguments.json else _history_table(told))
        return 0
    all_runs = store.runs(fleet)
    runs = [(run, store.counts(run), store.at_work(run)) for run in all_runs[: arguments.last]]
    newest: dict[str, Run] = {run.action: run for run in reversed(all_runs)}
    print(_runs_json(store, fleet, runs) if arguments.json else _runs_table(runs, newest))
    return 0


def _named(arguments: argparse.Namespace) -> str:
    from provision.fleet.source import read_fleet

    if not arguments.file.exists():
        raise InvalidInput(
            f"There is no fleet file {arguments.file} that would say which fleet is meant.",
            remedy="Name the fleet with --fleet, or its file with --file.",
        )
    return read_fleet(arguments.file).name


def _runs_table(runs: list[tuple[Run, dict[str, int], int]], newest: Mapping[str, Run]) -> str:
    headers = (
        "Run",
        "Action",
        "Begun (UTC)",
        "Took",
        "Tenants",
        *(word.capitalize() for word in _STATUSES),
        "Left",
        "",
    )
    rows = []
    for run, counts, at_work in runs:
        told = [counts.get(status, 0) for status in _STATUSES]
        left = sum(counts.values()) - sum(told)
        rows.append(
            (
                run.id,
                run.action,
                _time(run.begun),
                _took(run),
                sum(counts.values()),
                *told,
                left,
                _end(run, at_work, newest[run.action]),
            )
        )
    return report.table(headers, rows) if rows else "no run yet"


def _end(run: Run, at_work: int, newest: Run) -> str:
    if run.ended is not None:
        return "ended"
    if at_work:
        return f"{at_work} at work"
    return f"not ended: provision fleet {run.action} --resume" if run == newest else f"superseded by {newest.id}"


def _runs_json(store: FleetStore, fleet: str, runs: list[tuple[Run, dict[str, int], int]]) -> str:
    told = [
        {
            "run": run.id,
            "action": run.action,
            "options": dict(run.options),
            "begun": run.begun.isoformat(),
            "ended": run.ended.isoformat() if run.ended else None,
            "tenants": sum(counts.values()),
            "counts": counts,
            "atWork": at_work,
        }
        for run, counts, at_work in runs
    ]
    return json.dumps({"fleet": fleet, "store": store.shown, "runs": told}, indent=2)


def _history_table(told: list[Recorded]) -> str:
    rows = [
        (_time(one.at), one.outcome.action, one.outcome.status, one.outcome.attempt, one.run, _words(one))
        for one in told
    ]
    return report.table(("When (UTC)", "Action", "Status", "Attempt", "Run", ""), rows) if rows else "nothing yet"


def _words(one: Recorded) -> str:
    return one.outcome.failure.message if one.outcome.failure else one.outcome.verdict


def _history_json(fleet: str, key: str, told: list[Recorded]) -> str:
    history = [{"at": one.at.isoformat(), "run": one.run, "outcome": one.outcome.document()} for one in told]
    return json.dumps({"fleet": fleet, "tenant": key, "history": history}, indent=2)


def _took(run: Run) -> str:
    if run.ended is None:
        return ""
    seconds = round((run.ended - run.begun).total_seconds())
    return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
