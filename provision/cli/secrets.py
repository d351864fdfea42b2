"""The commands ``secrets …``: when they end, and who keeps the one in use."""

from __future__ import annotations

import argparse
from typing import Any

from provision.cli.move import add_move
from provision.cli.status import add_status

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_commands(subparsers: Subparsers) -> None:
    """Adds the commands of this module."""
    text = "client secrets: when they end, and who keeps the one in use"
    group: argparse.ArgumentParser = subparsers.add_parser("secrets", help=text, description=text.capitalize())
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_status(commands)
    add_move(commands)
