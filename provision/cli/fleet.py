"""``provision fleet …``: many tenants, described by a fleet file."""

from __future__ import annotations

from typing import Any

from provision.cli import fleet_file, fleet_report, fleet_run, fleet_runs, fleet_watch


def add_commands(subparsers: Any) -> None:
    """Adds ``fleet`` and its commands."""
    parser = subparsers.add_parser("fleet", help="many tenants at once, each a row of a fleet file")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    fleet_file.add_commands(commands)
    fleet_run.add_commands(commands)
    fleet_runs.add_commands(commands)
    fleet_report.add_commands(commands)
    fleet_watch.add_commands(commands)
