"""The command ``google check``: whether a Google Workspace user can send by SMTP, and what stands in the way."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.errors import InvalidInput, ProblemsFound, Usage

if TYPE_CHECKING:
    from provision.google.check import Administrator
    from provision.google.judge import Finding

Subparsers = Any  # argparse does not name the type of add_subparsers()

_SIGNS = {"ok": "✓", "problem": "✗", "skipped": "-"}
_MAX_PASSWORD_BYTES = 4096


def add_commands(subparsers: Subparsers) -> None:
    """Adds the commands of this module."""
    text = "Google Workspace: whether a user can send by SMTP with an app password"
    group: argparse.ArgumentParser = subparsers.add_parser("google", help=text, description=f"{text}.")
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    help_ = "2-Step Verification, app password, sign-in and test mail of one user, each with its remedy"
    parser: argparse.ArgumentParser = commands.add_parser("check", help=help_, description=f"{help_}.")
    parser.add_argument("user", help="the user's full address")
    parser.add_argument(
        "--service-account-file", type=Path, metavar="FILE", help="JSON key of a service account with delegation"
    )
    parser.add_argument("--admin", metavar="ADDRESS", help="the administrator whom the service account acts for")
    parser.add_argument(
        "--password-file", metavar="FILE", help="holds the app password; - for standard input (asked for otherwise)"
    )
    parser.add_argument("--send-to", metavar="ADDRESS", help="send a test mail to this address")
    parser.add_argument(
        "--port", type=int, choices=(587, 465), default=587, help="587 (STARTTLS, the default) or 465 (TLS)"
    )
    parser.add_argument("--guide", action="store_true", help="print the user's and the administrator's steps too")
    parser.add_argument("--json", action="store_true", help="the findings as one JSON object; nothing is asked")
    parser.set_defaults(handler=_check)


def _check(arguments: argparse.Namespace) -> int:
    from provision.google import check, guide, places
    from provision.google.judge import Status

    administrator = _administrator(arguments)
    google = places.read(os.environ)
    password = _password(arguments)
    wish = check.Wish(
        arguments.user, administrator, password, arguments.send_to or "", implicit_tls=arguments.port == 465
    )
    nothing = administrator is None and not password
    findings = check.check(google, wish)
    if arguments.json:
        print(json.dumps({"user": arguments.user, "findings": [asdict(one) for one in findings]}, ensure_ascii=False))
    else:
        _print(findings)
        if arguments.guide or nothing:
            print()
            print("\n".join(guide.lines()))
    return ProblemsFound.exit_code if any(one.status is Status.PROBLEM for one in findings) else 0


def _administrator(arguments: argparse.Namespace) -> Administrator | None:
    from provision.google.check import Administrator

    if (arguments.service_account_file is None) != (arguments.admin is None):
        raise Usage(
            "--service-account-file and --admin belong together.",
            remedy="Name the key file and the administrator whom the service account acts for.",
        )
    if arguments.admin is None:
        return None
    return Administrator(arguments.service_account_file, arguments.admin)


def _password(arguments: argparse.Namespace) -> str | None:
    """The app password from its file, from standard input, or typed without echo; None when there is none.

    Raises:
        InvalidInput: the file cannot be read or is no text.
    """
    try:
        if arguments.password_file == "-":  # noqa: S105 - standard input
            return sys.stdin.read(_MAX_PASSWORD_BYTES).strip() or None
        if arguments.password_file:
            with Path(arguments.password_file).open(encoding="utf-8") as file:
                return file.read(_MAX_PASSWORD_BYTES).strip() or None
    except OSError as error:
        raise InvalidInput(f"The file {arguments.password_file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The file {arguments.password_file} holds no text.") from None
    if arguments.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return getpass.getpass(f"App password of {arguments.user} (not shown; Enter to skip): ", sys.stderr) or None


def _print(findings: list[Finding]) -> None:
    for one in findings:
        print(f"{_SIGNS[one.status]} {one.title}: {one.seen}")
        for name, text in (("cause", one.cause), ("do", one.remedy)):
            if text:
                print(f"    {name}: {text}")
        for link in one.links:
            print(f"    {link}")
