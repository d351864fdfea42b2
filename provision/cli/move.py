"""The command ``secrets move``: who keeps the client secret in use, Pulumi's state or its sinks alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from provision.cli.progress import progress

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_move(subparsers: Subparsers) -> None:
    """Adds ``move`` to the commands of ``provision secrets``."""
    text = "let Pulumi's state or the sinks alone keep the secret in use; nothing is made or removed in the tenant"
    parser: argparse.ArgumentParser = subparsers.add_parser("move", help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=_move)
    parser.add_argument("--to", choices=("state", "graph"), required=True, help="who is to keep it")
    parser.add_argument("--stack", help="the stack (default: the only one there is, else `mail`)")
    parser.add_argument("--project", type=Path, help="the folder of Pulumi.yaml (default: this one, or one above it)")
    parser.add_argument("--backend", help="where Pulumi keeps its state (default: PULUMI_BACKEND_URL, else a folder)")
    parser.add_argument(
        "--sink", action="append", metavar="KIND:PLACE", help="where the secret is used; kept in Pulumi.<stack>.yaml"
    )
    parser.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")


def _move(arguments: argparse.Namespace) -> int:
    from provision.onboard.project import Request
    from provision.onboard.stories import Onboarding

    names = Request.__dataclass_fields__
    given = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
    if "sink" in given:
        given["sink"] = tuple(given["sink"])
    for line in Onboarding.open(Request(**given), say=progress()).move_secret(arguments.to):
        print(line)
    return 0
