"""The command line: flags in, one library call, a report, an exit code. Only this room prints and exits.

Each module of this room adds its commands with ``add_commands(subparsers)``; a command sets ``handler`` to a function
``(argparse.Namespace) -> int`` (the exit code). Heavy imports (Pulumi, msgraph-sdk, the server) stay inside handlers,
so that ``provision --help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from provision.cli import (
    credential,
    diagnose,
    engine,
    explain,
    fleet,
    google,
    outlet,
    registration,
    rotate,
    sandbox,
    secrets,
    smtp_auth,
    verify,
)
from provision.errors import Interrupted, InvalidInput, ProvisionError

_COMMANDS = (
    registration,
    rotate,
    credential,
    secrets,
    smtp_auth,
    google,
    diagnose,
    verify,
    explain,
    fleet,
    engine,
    sandbox,
)


class _Version(argparse.Action):
    """Prints the installed version, which is looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"provision {version('provision')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; ``docs/`` and shell completion are made from it."""
    parser = argparse.ArgumentParser(
        prog="provision",
        description="Gets business mail out of Microsoft 365 without a click in a portal.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="the version, and nothing else")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.add_commands(subparsers)
    return parser


def run(argv: Sequence[str]) -> int:
    """Runs one command.

    Args:
        argv: the arguments without the program's name.

    Returns:
        The exit code: 0, or one of ``provision.errors``.
    """
    arguments = build_parser().parse_args(argv)
    with outlet.lasting_errors():
        code = _code(arguments)
        try:
            sys.stdout.flush()
        except OSError:  # what was left is told by the code, or nobody wants it
            outlet.silence(sys.stdout)
    return code


def _code(arguments: argparse.Namespace) -> int:
    """Runs the command that was asked for, and tells what it failed by."""
    try:
        code: int = arguments.handler(arguments)
        sys.stdout.flush()
    except ProvisionError as error:
        print(f"provision: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"  {error.remedy}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("provision: stopped; running the same command again continues.", file=sys.stderr)
        return Interrupted.exit_code
    except BrokenPipeError:  # whoever read what this command is there to print has seen enough
        return 0
    except OSError as error:  # a full disk, a home that may not be written: whatever no room has foreseen
        where = error.filename or "The system"
        print(f"provision: {where} cannot be used: {error.strerror or 'no reason given'}.", file=sys.stderr)
        print("  Correct it and run the same command again.", file=sys.stderr)
        return InvalidInput.exit_code
    return code
