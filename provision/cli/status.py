"""The command ``secrets status``: when client secrets and certificates end, for people and for programs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.files import put
from provision.cli.progress import progress
from provision.errors import Expiring, InvalidInput, Usage

if TYPE_CHECKING:
    from provision.onboard.expiring import Survey
    from provision.secrets.expiry import Entry, Registration

Subparsers = Any  # argparse does not name the type of add_subparsers()
_WITHIN = "60d"


def add_status(subparsers: Subparsers) -> None:
    """Adds ``status`` to the commands of ``provision secrets``."""
    text = "when client secrets and certificates end; exit code 13 when one in use ends soon"
    parser: argparse.ArgumentParser = subparsers.add_parser("status", help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=_status)
    which = parser.add_argument_group("which registrations")
    one = which.add_mutually_exclusive_group()
    one.add_argument("--stack", help="a stack's (default: the only stack there is)")
    one.add_argument("--all-stacks", action="store_true", help="of every stack that has settings beside Pulumi.yaml")
    one.add_argument(
        "--client-id", nargs="+", action="extend", metavar="ID", help="by Application (client) ID, stack or not"
    )
    which.add_argument("--project", type=Path, help="the folder of Pulumi.yaml (default: this one, or one above it)")
    which.add_argument("--backend", help="where Pulumi keeps its state (default: PULUMI_BACKEND_URL, else a folder)")
    which.add_argument(
        "--journal", help="with --client-id: rotation's journal (default: PROVISION_JOURNAL, else there)"
    )
    where = parser.add_argument_group("where and as whom (for this run)")
    where.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    where.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    where.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")
    how = parser.add_argument_group("how")
    how.add_argument(
        "--within", type=_span, default=_WITHIN, metavar="SPAN", help=f"what soon is: 60d, 12h, 8w (default: {_WITHIN})"
    )
    form = how.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON object (docs/expiry.md)")
    form.add_argument("--ics", action="store_true", help="as a calendar, with reminders 30 and 7 days before")
    form.add_argument("--prometheus", action="store_true", help="as metrics in Prometheus's text format")
    how.add_argument("--output", type=Path, metavar="FILE", help="into a file, replaced as a whole, not on the screen")


def _span(text: str) -> timedelta:
    from provision.settings.spans import span

    try:
        return span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _status(arguments: argparse.Namespace) -> int:
    if arguments.journal and not arguments.client_id:
        raise Usage("--journal belongs to --client-id; a stack's state knows its secrets.", remedy="Leave it out.")
    form = _form(arguments)
    survey = _survey(arguments)
    if not (arguments.ics and survey.failures):  # a calendar with less in it would take events away from its readers
        _put(form(survey), arguments.output)
    for note in survey.notes:
        _say(f"note: {note}")
    return _verdict(survey)


def _survey(arguments: argparse.Namespace) -> Survey:
    from provision.onboard.expiring import of_clients, of_stacks
    from provision.onboard.project import Request

    names = Request.__dataclass_fields__
    request = Request(**{name: value for name, value in vars(arguments).items() if name in names and value is not None})
    if arguments.client_id:
        return of_clients(arguments.client_id, request, arguments.within, journal=arguments.journal, say=progress())
    return of_stacks(request, arguments.within, every=arguments.all_stacks, say=progress())


def _verdict(survey: Survey) -> int:
    """Says what could not be read and what ends; the latter is the more urgent exit code."""
    failed = list(survey.failures.items())
    problems = [one for one in survey.registrations if one.problem]
    for target, error in failed if problems or len(failed) > 1 else []:
        _say(f"provision: {target}: {error}")
    if problems:
        raise Expiring(
            " ".join(one.problem for one in problems),
            remedy="\n  ".join(dict.fromkeys(one.remedy for one in problems)),
        )
    if len(failed) > 1:
        return failed[0][1].exit_code
    for _, error in failed:
        raise error
    return 0


# Forms


def _form(arguments: argparse.Namespace) -> Callable[[Survey], str]:
    """How it is shown; a library that is missing is told before anybody signs in."""
    try:
        if arguments.ics:
            from provision.secrets.expiry.calendar import calendar

            return lambda survey: calendar(survey.registrations)
        if arguments.prometheus:
            from provision.secrets.expiry.metrics import metrics

            return lambda survey: metrics(survey.registrations, survey.read)
    except ModuleNotFoundError as missing:
        raise InvalidInput(
            f"This form needs the Python package {missing.name}, which is not installed.",
            remedy="pip install 'provision[expiry]'",
        ) from None
    return _json if arguments.json else _tables


def _json(survey: Survey) -> str:
    from provision.secrets.expiry.document import document

    found = document(survey.registrations, survey.failures, within=survey.within, notes=survey.notes)
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def _tables(survey: Survey) -> str:
    return "\n".join(_table(one) for one in survey.registrations)


def _table(one: Registration) -> str:
    where = f"stack {one.stack}, " if one.stack else ""
    title = f"Registration {one.name} ({where}client id {one.client_id}, tenant {one.tenant_id})"
    rows = [
        (entry.kind, entry.name, entry.key_id, _moment(entry), one.days_left(entry), _whose(entry), entry.state)
        for entry in one.entries
    ]
    headers = ("Kind", "Name", "Key id", "Ends (UTC)", "Days left", "Whose", "State")
    return f"{title}\n\n{report.table(headers, rows) if rows else 'no client secret and no certificate'}\n"


def _moment(entry: Entry) -> str:
    return "never" if entry.ends is None else f"{entry.ends:%Y-%m-%d %H:%M}"


def _whose(entry: Entry) -> str:
    whose = f"slot {entry.slot.upper()}" if entry.slot else "foreign"
    return f"{whose}, in use" if entry.in_use else whose


def _put(text: str, file: Path | None) -> None:
    """Shows it, or replaces a file at once: a collector never sees half of it. No secret is in it, so all may read it.

    Raises:
        InvalidInput: it cannot be written.
    """
    if file is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    put(file, text)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
