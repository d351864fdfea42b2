"""The commands of the app registration: up, preview, refresh, destroy, outputs, handoff, adopt, profiles."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.progress import progress
from provision.errors import ConsentPending, Usage

if TYPE_CHECKING:
    from provision.onboard.stories import Onboarding, Outcome

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_commands(subparsers: Subparsers) -> None:
    """Adds the commands of this module."""
    up = _command(subparsers, "up", _up, "create or update the app registration, grant consent, emit the three values")
    _where(up, kept=True)
    _what(up, kept=True)
    preview = _command(subparsers, "preview", _preview, "show what `up` would change")
    preview.add_argument("--expect-no-changes", action="store_true", help="exit 1 when anything would change")
    _where(preview, kept=False)
    _what(preview, kept=False)
    _where(_command(subparsers, "refresh", _refresh, "read the tenant anew into the state"), kept=False)
    destroy = _command(subparsers, "destroy", _destroy, "remove the app registration and everything under it")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    _where(destroy, kept=False)
    outputs = _command(subparsers, "outputs", _outputs, "show TenantId, ClientId and the secret's expiry")
    form = outputs.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON object")
    form.add_argument("--env", action="store_true", help="as NAME=value lines")
    outputs.add_argument("--show-secrets", action="store_true", help="show the client secret's value")
    handoff = _command(subparsers, "handoff", _handoff, "write the values to a file for the person who types them in")
    handoff.add_argument("file", type=Path, help="a new file; readable by you alone (0600), never overwritten")
    adopt = _command(subparsers, "adopt", _adopt, "take over an app registration that was made in the portal")
    adopt.add_argument("--client-id", required=True, help="the registration's Application (client) ID")
    _where(adopt, kept=True)
    _what(adopt, kept=True)
    profiles = subparsers.add_parser("profiles", help="list the product profiles")
    profiles.set_defaults(handler=_profiles)


def _command(
    subparsers: Subparsers, name: str, handler: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=handler)
    parser.add_argument(
        "--stack", help="the stack: one for each customer (default: the only one there is, else `mail`)"
    )
    parser.add_argument("--project", type=Path, help="the folder of Pulumi.yaml (default: this one, or one above it)")
    parser.add_argument(
        "--backend", help="where Pulumi keeps its state (default: PULUMI_BACKEND_URL, else a local folder)"
    )
    return parser


def _where(parser: argparse.ArgumentParser, *, kept: bool) -> None:
    """Flags of a command that signs in; the ones that only read the state have none."""
    how_long = (
        "kept in Pulumi.<stack>.yaml" if kept else "for this run; without them what is kept in Pulumi.<stack>.yaml"
    )
    where = parser.add_argument_group(f"where and as whom ({how_long})")
    where.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    where.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    where.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")


def _what(parser: argparse.ArgumentParser, *, kept: bool) -> None:
    """Flags of a command that checks or makes the registration."""
    how_long = "kept in Pulumi.<stack>.yaml, so that a plain `pulumi up` does the same" if kept else "for this run"
    what = parser.add_argument_group(f"what ({how_long})")
    what.add_argument("--profile", help="product profile: cloudex, ozols, generic, or a TOML file of your own")
    what.add_argument("--company-code", help="the company code in the product's address, letter case kept")
    what.add_argument("--display-name", help="name of the app registration")
    what.add_argument("--redirect-uri", help="the whole redirect URI, where the profile's pattern does not fit")
    what.add_argument("--audience", choices=("single-tenant", "multitenant"), help="supported account types")
    what.add_argument(
        "--secret-months", type=int, help="lifetime of the client secret: 6, 12, 24 or any number of months"
    )
    what.add_argument(
        "--secret-in-state",
        choices=("true", "false"),
        help="false: Pulumi's state holds the secret's key id and expiry, never its value",
    )
    what.add_argument(
        "--sink",
        action="append",
        metavar="KIND:PLACE",
        help="where the secret is used (docs/sinks.md); may be repeated",
    )
    what.add_argument("--mpn-id", help="Partner One ID to set as verified publisher (docs/verified-publisher.md)")


def _open(arguments: argparse.Namespace) -> Onboarding:
    from provision.onboard.project import Request
    from provision.onboard.stories import Onboarding

    names = Request.__dataclass_fields__
    given = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
    if "sink" in given:
        given["sink"] = tuple(given["sink"])
    return Onboarding.open(Request(**given), say=progress())


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _finish(outcome: Outcome) -> int:
    print(report.outputs_table(report.mask(outcome.outputs, outcome.secret_names, show_secrets=False)))
    for note in outcome.notes:
        _say(f"note: {note}")
    if outcome.consent_url:
        _say(
            "Admin consent is still missing. Send this to a Privileged Role, Cloud Application or Global Administrator:"
        )
        print(outcome.consent_url)
        return ConsentPending.exit_code
    return 0


def _up(arguments: argparse.Namespace) -> int:
    return _finish(_open(arguments).up())


def _preview(arguments: argparse.Namespace) -> int:
    changes = _open(arguments).preview()
    rows = [(change.operation, change.type, change.name) for change in changes]
    print(report.table(("Change", "Type", "Name"), rows) if rows else "nothing would change")
    return 1 if rows and arguments.expect_no_changes else 0


def _refresh(arguments: argparse.Namespace) -> int:
    return _finish(_open(arguments).refresh())


def _destroy(arguments: argparse.Namespace) -> int:
    onboarding = _open(arguments)
    if not arguments.yes:
        onboarding.require_stack()
        _say(f"Remove the app registration of stack {onboarding.stack}? Mail stops at once. Type the stack's name:")
        if sys.stdin is None or sys.stdin.readline().rstrip("\r\n") != onboarding.stack:
            raise Usage("Nothing was removed: the stack's name was not typed.", remedy="Without a terminal, add --yes.")
    onboarding.destroy()
    return 0


def _outputs(arguments: argparse.Namespace) -> int:
    outcome = _open(arguments).outputs(show_secrets=arguments.show_secrets)
    if arguments.json:
        print(report.outputs_json(outcome.outputs, outcome.secret_names, show_secrets=arguments.show_secrets))
    elif arguments.env:
        print(report.outputs_env(outcome.outputs, outcome.secret_names, show_secrets=arguments.show_secrets))
    else:
        shown = report.mask(outcome.outputs, outcome.secret_names, show_secrets=arguments.show_secrets)
        print(report.outputs_table(shown))
    return 0


def _handoff(arguments: argparse.Namespace) -> int:
    written = _open(arguments).handoff(arguments.file)
    print(f"{written}: give it to the person who enters the values in the product, then delete it.")
    return 0


def _adopt(arguments: argparse.Namespace) -> int:
    adoption = _open(arguments).adopt(arguments.client_id)
    if adoption.drift:
        print(report.table(("Setting", "In the tenant", "Should be"), [d.row() for d in adoption.drift]))
        print("The next `provision up` puts this right, in place.")
    else:
        print("The registration is exactly as the profile wants it.")
    for note in adoption.notes:
        _say(f"note: {note}")
    return 0


def _profiles(_: argparse.Namespace) -> int:
    from provision.onboard.stories import profile_rows

    print(report.table(("Profile", "Product", "Redirect URI", "Secret"), profile_rows()))
    return 0
