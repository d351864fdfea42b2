"""The command ``rotate``: client secrets renewed without a moment at which the product cannot send."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.cli.progress import progress
from provision.errors import Usage

if TYPE_CHECKING:
    from provision.onboard.rotating import Plan, RotateRequest, Rotating
    from provision.secrets.due import Pace
    from provision.secrets.rotation import Report

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_commands(subparsers: Subparsers) -> None:
    """Adds the command of this module."""
    text = "renew the client secret when it is due: make, prove, publish, read back, wait, retire"
    parser: argparse.ArgumentParser = subparsers.add_parser("rotate", help=text, description=text.capitalize())
    parser.set_defaults(handler=_rotate)
    which = parser.add_argument_group("which registration")
    which.add_argument("--stack", help="the stack: one for each customer (default: the only one there is)")
    which.add_argument("--project", type=Path, help="the folder of Pulumi.yaml (default: this one, or one above it)")
    which.add_argument("--backend", help="where Pulumi keeps its state (default: PULUMI_BACKEND_URL, else a folder)")
    which.add_argument("--client-id", help="a registration without a stack, by its Application (client) ID")
    which.add_argument("--profile", help="with --client-id: whose secret's name and lifetime (default: cloudex)")
    which.add_argument("--secret-months", type=int, help="with --client-id: lifetime of the new secret")
    where = parser.add_argument_group("where and as whom (for this run)")
    where.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    where.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    where.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="KIND:PLACE",
        help="where the secret is used (docs/sinks.md); may be repeated; default: the stack's secretSinks",
    )
    add_pace(how)
    how.add_argument("--compromised", action="store_true", help="rotate now, and retire what was there at once")
    how.add_argument(
        "--revoke-sessions",
        action="append",
        default=[],
        metavar="USER",
        help="with --compromised: end this user's sessions and refresh tokens, too",
    )


def add_pace(how: Any) -> None:
    """Adds the options that every rotation has, of whatever kind."""
    how.add_argument("--overlap", type=span, help="how long the old one goes on working (default: 7d)")
    how.add_argument("--margin", type=span, help="how much life beyond the overlap is left when it is due (30d)")
    how.add_argument("--now", action="store_true", help="rotate although it is not due")
    how.add_argument("--wait", action="store_true", help="stay until the overlap is over, and retire in this run")
    how.add_argument("--dry-run", action="store_true", help="say what would be done; nothing is changed")
    how.add_argument(
        "--retire", action="append", default=[], metavar="KEYID", help="retire one that somebody else made, too"
    )
    how.add_argument("--refresh-token-file", type=Path, help="a user's refresh token, redeemed as a further proof")
    how.add_argument("--journal", help="where the journal is (default: PROVISION_JOURNAL, else beside Pulumi's state)")
    how.add_argument("--json", action="store_true", help="the outcome as one JSON object")


def span(text: str) -> timedelta:
    """A span of time, for argparse: ``7d``, ``12h``."""
    from provision.settings import spans

    try:
        return spans.span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _rotate(arguments: argparse.Namespace) -> int:
    from provision.onboard.rotating import Unstacked, unstacked

    request = _request(arguments)
    say = progress()
    if arguments.client_id is None:
        for name in ("profile", "secret_months"):
            if getattr(arguments, name) is not None:
                raise Usage(
                    f"--{name.replace('_', '-')} belongs to --client-id; a stack has its own setting.",
                    remedy="Change it with provision up.",
                )
        from provision.onboard.project import Request
        from provision.onboard.stories import Onboarding

        names = set(Request.__dataclass_fields__) - {"sink"}  # a sink named here counts for this run
        given = {name: value for name, value in vars(arguments).items() if name in names and value is not None}
        opened = Onboarding.open(Request(**given), say=say).rotating(request)
    else:
        if arguments.stack or arguments.project:
            raise Usage("--client-id is for a registration without a stack.", remedy="Give --stack or --client-id.")
        opened = unstacked(
            Unstacked(
                arguments.client_id,
                tenant=arguments.tenant,
                metadata_host=arguments.metadata_host,
                credential=arguments.credential,
                profile=arguments.profile or "cloudex",
                secret_months=arguments.secret_months,
            ),
            request,
            say=say,
        )
    with opened as rotating:
        return carry_out(rotating, request, arguments)


def _request(arguments: argparse.Namespace) -> RotateRequest:
    from provision.engine.state import open_state
    from provision.onboard.rotating import RotateRequest, journal_address
    from provision.secrets.rotation import Wish

    if arguments.compromised and arguments.overlap is not None:
        raise Usage("--compromised leaves no overlap.", remedy="Give one of --compromised and --overlap.")
    if arguments.revoke_sessions and not arguments.compromised:
        raise Usage("--revoke-sessions belongs to --compromised.", remedy="Give both, or neither.")
    return RotateRequest(
        wish=Wish(
            now=arguments.now,
            compromised=arguments.compromised,
            retire=tuple(key_id.lower() for key_id in arguments.retire),
            wait=arguments.wait,
        ),
        pace=pace_of(arguments),
        sinks=tuple(arguments.sink),
        journal=journal_address(open_state(arguments.backend).backend, arguments.journal),
        revoke_sessions=tuple(arguments.revoke_sessions),
        refresh_token_file=arguments.refresh_token_file,
    )


def pace_of(arguments: argparse.Namespace) -> Pace:
    """The overlap and the margin that were asked for."""
    from provision.secrets.due import MARGIN, OVERLAP, Pace

    return Pace(
        overlap=OVERLAP if arguments.overlap is None else arguments.overlap,
        margin=MARGIN if arguments.margin is None else arguments.margin,
    )


def carry_out(rotating: Rotating, request: RotateRequest, arguments: argparse.Namespace) -> int:
    """Rotates, or with ``--dry-run`` says what a run would do; prints the outcome."""
    plan = rotating.plan(request.wish)
    if arguments.dry_run or not plan.reason:
        print(json.dumps(_plan_json(plan), indent=2) if arguments.json else _plan_text(plan))
        return 0
    done = rotating.run(request.wish)
    if request.wish.compromised:
        done.notes += rotating.contain(request.revoke_sessions)
    print(json.dumps(_report_json(plan, done), indent=2) if arguments.json else _report_text(rotating, plan, done))
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    return 0


def _plan_text(plan: Plan) -> str:
    from provision.secrets.record import WORDS

    if not plan.reason:
        return f"not due: {plan.name} ({plan.client_id}) uses {plan.in_use}"
    lines = [f"{plan.name} ({plan.client_id}) uses {plan.in_use}", f"due: {plan.reason}; a run would"]
    return "\n".join(
        [*lines, f"  make a {WORDS[plan.kind]} and prove that it works", *(f"  {step}" for step in plan.steps)]
    )


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "due": bool(plan.reason),
        "reason": plan.reason,
        "name": plan.name,
        "clientId": plan.client_id,
        "inUse": plan.in_use,
        "steps": list(plan.steps),
    }


def _report_text(rotating: Rotating, plan: Plan, done: Report) -> str:
    from provision.secrets.rotation import in_seconds

    lines = []
    if done.active is not None:
        name = rotating.slots.name(done.active.slot)
        verb = "now uses" if done.made is not None else "uses"
        ends = _day(done.active.expires)
        lines.append(f"{plan.name} ({plan.client_id}) {verb} {name} ({done.active.key_id}), which ends {ends}")
    lines += [f"retired: {key_id}" for key_id in done.retired]
    lines += [
        f"still works, for the overlap: {rotating.slots.name(old.slot)} ({old.key_id}); run again after "
        f"{in_seconds(old.retire_after)} to retire it"
        for old in done.retiring
    ]
    lines += [
        f"not this toolkit's, left alone: {foreign.display_name or 'unnamed'} ({foreign.key_id})"
        + (f", ends {foreign.end:%Y-%m-%d}" if foreign.end else "")
        for foreign in done.foreign
    ]
    return "\n".join(lines)


def _report_json(plan: Plan, done: Report) -> dict[str, Any]:
    from provision.secrets.rotation import in_seconds

    return {
        "reason": plan.reason,
        "name": plan.name,
        "clientId": plan.client_id,
        "made": None if done.made is None else done.made.key_id,
        "active": None
        if done.active is None
        else {"keyId": done.active.key_id, "expires": in_seconds(done.active.expires)},
        "retired": done.retired,
        "retiring": [{"keyId": old.key_id, "after": in_seconds(old.retire_after)} for old in done.retiring],
        "foreign": [foreign.key_id for foreign in done.foreign],
        "notes": done.notes,
    }


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d}"
