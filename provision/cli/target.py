"""Which registration a command means, where it works through Microsoft Graph alone: its options, and what they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from provision.errors import Usage

if TYPE_CHECKING:
    from provision.onboard.finding import Target


def add_stack(group: argparse._ArgumentGroup) -> None:
    """Adds the options that name a stack."""
    group.add_argument("--stack", help="the stack: one for each customer (default: the only one there is)")
    group.add_argument("--project", type=Path, help="the folder of Pulumi.yaml (default: this one, or one above it)")
    group.add_argument("--backend", help="where Pulumi keeps its state (default: PULUMI_BACKEND_URL, else a folder)")


def add_registration(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name a registration and how to sign in."""
    which = parser.add_argument_group("which registration")
    add_stack(which)
    which.add_argument("--client-id", help="a registration without a stack, by its Application (client) ID")
    which.add_argument("--profile", help="with --client-id: the product (default: cloudex)")
    where = parser.add_argument_group("where and as whom (for this run)")
    where.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    where.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    where.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")


def target_of(arguments: argparse.Namespace) -> Target:
    """The registration that the options name."""
    from provision.onboard.finding import Target
    from provision.onboard.project import Request

    if arguments.client_id is not None and (arguments.stack or arguments.project):
        raise Usage("--client-id is for a registration without a stack.", remedy="Give --stack or --client-id.")
    if arguments.client_id is None and arguments.profile is not None:
        raise Usage("--profile belongs to --client-id; a stack has its own setting.", remedy="Leave it out.")
    request = Request(
        stack=arguments.stack,
        project=arguments.project,
        backend=arguments.backend,
        tenant=arguments.tenant,
        metadata_host=arguments.metadata_host,
        credential=arguments.credential,
    )
    return Target(arguments.client_id, request, arguments.profile or "cloudex")
