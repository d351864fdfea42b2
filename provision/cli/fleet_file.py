"""``provision fleet init|validate|add|import|pipeline|schema``: the fleet file from the command line."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.cli.fleet_selection import FLEET_FILE, add_file, shown
from provision.errors import InvalidInput, Usage

if TYPE_CHECKING:
    from provision.fleet.source import Fleet
    from provision.microsoft.partners import Customer


def add_commands(commands: Any) -> None:
    """Adds the commands of this module."""
    init = _command(commands, "init", _init, "write a fleet file to begin with; never overwrites")
    init.add_argument("--name", help="the fleet's name (default: that of the folder)")

    validate = _command(commands, "validate", _validate, "list every mistake in the fleet file with its line")
    validate.add_argument("--json", action="store_true", help="as one JSON object")

    add = _command(
        commands, "add", _add, "add one tenant, to a new tenants.yaml where there is none; what is in the file stays"
    )
    add.add_argument("key", help="the row's name")
    add.add_argument("tenant", help="the Microsoft 365 tenant's id or domain")
    add.add_argument("--company-code", help="the company code in the product's address, letter case kept")
    add.add_argument("--profile", help="the product (default: that of the file)")
    add.add_argument("--credential", help="how to sign in: a name under `credentials`")
    add.add_argument("--mailbox", action="append", default=[], help="may hand in mail by SMTP; may be repeated")
    add.add_argument("--sink", action="append", default=[], metavar="KIND:PLACE", help="may be repeated")
    add.add_argument("--group", action="append", default=[], help="may be repeated")
    add.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="any other field")

    taken = _command(
        commands, "import", _import, "add the tenants of stacks, of another table, or a partner's customers"
    )
    origin = taken.add_mutually_exclusive_group(required=True)
    origin.add_argument("--stacks", action="store_true", help="every Pulumi.<stack>.yaml; none of them is seen as new")
    origin.add_argument("--csv", type=Path, metavar="TABLE", help="a CSV file with fields for headings")
    origin.add_argument("--gdap", action="store_true", help="a partner's customers (GDAP); signs in to its own tenant")
    taken.add_argument("--tenant", help="with --gdap: the partner's tenant, by id or domain")
    taken.add_argument("--credential", help="with --gdap: how to sign in (docs/credentials.md)")
    taken.add_argument("--metadata-host", help="with --gdap: host:port of another cloud or of the local tenant")
    taken.add_argument("--project", type=Path, help="the folder of Pulumi.yaml (default: this one, or one above it)")
    taken.add_argument("--store", help="where the fleet's runs are kept (default: PROVISION_FLEET_STORE, else a file)")

    pipeline = _command(commands, "pipeline", _pipeline, "write a GitHub Actions workflow for the fleet")
    pipeline.add_argument(
        "--action", choices=("audit", "up", "rotate", "smtp-auth"), default="up", help="what its jobs do (default: up)"
    )
    pipeline.add_argument("--per-job", type=_count, default=50, metavar="N", help="tenants of one job (default: 50)")
    pipeline.add_argument("--output", type=Path, metavar="FILE", help="a new file (default: standard output)")
    pipeline.add_argument(
        "--matrix", action="store_true", help="only the parts, as JSON; what the workflow itself calls"
    )

    schema = commands.add_parser("schema", help="print the JSON Schema of tenants.yaml, for editors")
    schema.set_defaults(handler=_schema)


def _command(
    commands: Any, name: str, handler: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=handler)
    add_file(parser)
    return parser


def _init(arguments: argparse.Namespace) -> int:
    from provision.fleet.source.writing import begin

    for file in begin(arguments.file, arguments.name or _folder_name()):
        print(f"written: {file}")
    print(f"Now add a tenant: provision fleet add contoso contoso.onmicrosoft.com --file {arguments.file}")
    return 0


def _folder_name() -> str:
    """A fleet's name from the folder's."""
    return re.sub(r"[^a-z0-9]+", "-", Path.cwd().name.lower())[:63].strip("-") or "customers"


def _validate(arguments: argparse.Namespace) -> int:
    from provision.fleet.source import read_fleet

    try:
        fleet = read_fleet(arguments.file)
    except InvalidInput as error:
        if not arguments.json:
            raise
        whole = {"file": str(arguments.file), "line": None, "where": "", "message": error.message}
        print(json.dumps({"fleet": None, "good": 0, "tenants": [], "problems": [whole | {"remedy": error.remedy}]}))
        return error.exit_code
    if arguments.json:
        print(_as_json(fleet))
    else:
        for problem in fleet.problems:
            print(shown(problem, fleet))
        print(_summary(fleet), file=sys.stderr if fleet.problems else sys.stdout)
    return InvalidInput.exit_code if fleet.problems else 0


def _as_json(fleet: Fleet) -> str:
    problems = [
        {
            "file": str(problem.path or fleet.path),
            "line": problem.line,
            "where": problem.where,
            "message": problem.message,
            "remedy": problem.remedy,
        }
        for problem in fleet.problems
    ]
    keys = [tenant.key for tenant in fleet.tenants]
    return json.dumps({"fleet": fleet.name, "good": len(keys), "tenants": keys, "problems": problems})


def _summary(fleet: Fleet) -> str:
    good, bad = len(fleet.tenants), len(fleet.problems)
    rows = "1 good row" if good == 1 else f"{good} good rows"
    return f"{fleet.path}: {rows}" + (f", {bad} problem{'' if bad == 1 else 's'}." if bad else ".")


def _add(arguments: argparse.Namespace) -> int:
    from provision.fleet.source.writing import append, begin, row_of

    values: dict[str, list[str]] = {
        "key": [arguments.key],
        "tenant": [arguments.tenant],
        "companyCode": [arguments.company_code] if arguments.company_code is not None else [],
        "profile": [arguments.profile] if arguments.profile is not None else [],
        "credential": [arguments.credential] if arguments.credential is not None else [],
        "mailboxes": arguments.mailbox,
        "sinks": arguments.sink,
        "groups": arguments.group,
    }
    for pair in arguments.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise Usage("--set takes a field, an equals sign and a value.", remedy="For example --set secretMonths=12")
        values.setdefault(name, []).append(value)
    row = row_of(values)
    if arguments.file == FLEET_FILE and not arguments.file.exists():
        for file in begin(arguments.file, _folder_name()):
            print(f"written: {file}")
    fleet = append(arguments.file, [row])
    print(f"{arguments.key} is added. {_summary(fleet)}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from provision.fleet import importing
    from provision.fleet.source.writing import append_good
    from provision.onboard.project import find_project

    if arguments.stacks:
        found = importing.of_stacks(find_project(arguments.project, start=Path.cwd()))
    elif arguments.gdap:
        found = importing.of_customers(_customers(arguments))
    else:
        found = importing.of_table(arguments.csv)
    fleet, added, notes = append_good(arguments.file, found.rows)
    if found.kept:
        from provision.fleet.store import open_fleet_store

        store = open_fleet_store(arguments.store)
        try:  # also of rows that were there before: a first try may have ended in between
            store.take_over(fleet.name, {key: kept.document() for key, kept in found.kept.items()})
        finally:
            store.close()
    for note in (*found.notes, *notes):
        print(f"note: {note}", file=sys.stderr)
    print(f"{len(added)} added. {_summary(fleet)}")
    for problem in fleet.problems:
        print(shown(problem, fleet))
    return 0


def _customers(arguments: argparse.Namespace) -> list[Customer]:
    from provision.microsoft.credentials import sign_in
    from provision.microsoft.partners import Partner
    from provision.settings import credential
    from provision.settings.endpoints import resolve

    how = credential.read(arguments.credential, tenant_id=arguments.tenant)
    endpoints = resolve(metadata_host=arguments.metadata_host)
    signed_in, _caller = sign_in(how, endpoints, prompt=lambda line: print(line, file=sys.stderr))
    with Partner(signed_in, endpoints) as partner:
        return partner.customers()


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 100000")
    return int(text)


def _pipeline(arguments: argparse.Namespace) -> int:
    from provision.fleet import pipeline
    from provision.fleet.source import read_fleet

    fleet = read_fleet(arguments.file)
    if arguments.matrix:
        print(json.dumps(pipeline.shards(len(fleet.tenants), arguments.per_job)))
        return 0
    text = pipeline.workflow(fleet, arguments.action, per_job=arguments.per_job)
    if arguments.output is None:
        print(text, end="")
    else:
        pipeline.write(arguments.output, text)
        print(f"written: {arguments.output}")
    return 0


def _schema(_: argparse.Namespace) -> int:
    from provision.fleet.source.schema import text

    print(text(), end="")
    return 0
