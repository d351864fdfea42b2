"""The commands ``credential …``: a certificate, or another issuer's tokens, in place of a client secret."""

from __future__ import annotations

import argparse
from typing import Any

from provision.cli.certificate import add_certificate
from provision.cli.federated import add_federated

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_commands(subparsers: Subparsers) -> None:
    """Adds the commands of this module."""
    text = "better than a client secret, where the product can: a certificate, or no secret at all"
    group: argparse.ArgumentParser = subparsers.add_parser("credential", help=text, description=text.capitalize())
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_certificate(commands)
    add_federated(commands)
