"""The command ``credential certificate``: a certificate made, proven, published, and in time renewed."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Any

from provision.cli.progress import progress
from provision.cli.rotate import add_pace, carry_out, pace_of
from provision.cli.target import add_registration, target_of

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_certificate(commands: Subparsers) -> None:
    """Adds the command."""
    text = "make, prove, publish and in time renew a certificate that the product signs in with"
    parser: argparse.ArgumentParser = commands.add_parser("certificate", help=text, description=text.capitalize())
    parser.set_defaults(handler=_certificate)
    add_registration(parser)
    how = parser.add_argument_group("how")
    how.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="KIND:PLACE",
        help="where the private key and certificate are used (docs/certificates.md); may be repeated",
    )
    life = how.add_mutually_exclusive_group()
    life.add_argument("--days", type=int, help="how long a new one lives (default: a year, or what a policy allows)")
    life.add_argument("--months", type=int, help="the same in months, at most 12")
    add_pace(how)


def _certificate(arguments: argparse.Namespace) -> int:
    from provision.engine.state import open_state
    from provision.onboard.certifying import certifying
    from provision.onboard.rotating import RotateRequest, journal_address
    from provision.secrets.rotation import Wish

    target = target_of(arguments)
    request = RotateRequest(
        wish=Wish(now=arguments.now, retire=tuple(one.lower() for one in arguments.retire), wait=arguments.wait),
        pace=pace_of(arguments),
        sinks=tuple(arguments.sink),
        journal=journal_address(open_state(arguments.backend).backend, arguments.journal),
        refresh_token_file=arguments.refresh_token_file,
    )
    with certifying(target, request, lifetime=_lifetime(arguments), say=progress()) as rotating:
        return carry_out(rotating, request, arguments)


def _lifetime(arguments: argparse.Namespace) -> timedelta | None:
    if arguments.months is not None:
        return timedelta(days=arguments.months * 365 // 12)
    return None if arguments.days is None else timedelta(days=arguments.days)
