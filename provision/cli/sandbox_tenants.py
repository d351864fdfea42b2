"""The commands ``sandbox tenants``: making thousands, also as a fleet file; listing and deleting them."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from provision import report
from provision.cli.sandbox_mail import AddCommand, Ask
from provision.errors import InvalidInput, WouldOverwrite

_BATCH = 200
"""Tenants in one request, so that the server answers others in between."""
_PARTNER = "partner"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
Row = Mapping[str, Any]
"""A tenant as the control API tells it, with its secrets."""


def add_tenants(commands: Any, add: AddCommand, ask: Ask) -> None:
    """Adds the commands.

    Args:
        commands: the subparsers of ``sandbox``.
        add: makes one command of the server in ``--dir``.
        ask: asks that server.
    """
    tenants = commands.add_parser("tenants", help="the tenants of the server", description="The server's tenants.")
    actions = tenants.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = add(actions, "list", lambda arguments: _list(arguments, ask), "list them")
    listing.add_argument("--json", action="store_true", help="as JSON, with their secrets")
    create = add(
        actions,
        "create",
        lambda arguments: _create(arguments, ask),
        "make further ones; one JSON line each, with secrets",
    )
    create.add_argument("--count", type=int, default=1, help="how many (default: %(default)s)")
    create.add_argument("--prefix", default="tenant", help="what their domains begin with (default: %(default)s)")
    create.add_argument(
        "--edition", choices=("p1", "free"), default="p1", help="of Microsoft Entra ID (default: %(default)s)"
    )
    create.add_argument(
        "--partner", action="store_true", help="each consents to the multitenant application of the first tenant"
    )
    shape = create.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON list instead of lines")
    shape.add_argument("--table", action="store_true", help="a table without secrets")
    shape.add_argument(
        "--fleet-file", type=Path, metavar="FILE", help="write a fleet file; the secrets go into files beside it (0600)"
    )
    trouble = add(actions, "trouble", lambda arguments: _trouble(arguments, ask), "bring tenants into lasting trouble")
    trouble.add_argument("tenant", nargs="*", help="its id or one of its domains; without any: what there is")
    wanted = trouble.add_mutually_exclusive_group()
    wanted.add_argument("--begin", metavar="KIND", help="for example secret-expired; without tenants all are listed")
    wanted.add_argument("--end", metavar="KIND", help="put everything back")
    trouble.add_argument("--client-id", help="the application that suffers (default: the tenant's admin application)")
    delete = add(actions, "delete", lambda arguments: _delete(arguments, ask), "remove them with everything in them")
    delete.add_argument("tenant", nargs="+", help="its id or one of its domains")


def _list(arguments: argparse.Namespace, ask: Ask) -> int:
    rows = ask(arguments, "GET", "tenants")
    if arguments.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(f"{row['tenant_id']}  {row['domain']}")
    return 0


def _create(arguments: argparse.Namespace, ask: Ask) -> int:
    if arguments.count < 1:
        raise InvalidInput("--count is at least 1.")
    if arguments.fleet_file is not None:
        places = _Places(arguments.fleet_file)
        rows: list[Row] = []
        try:
            for batch in _batches(arguments, ask):
                rows += batch
        finally:
            if rows:  # what was made can be used, also when the rest could not be
                partner = ask(arguments, "POST", "partner") if arguments.partner else None
                places.write(rows, ask(arguments, "GET", "status")["baseUrl"], partner)
        print(f"{len(rows)} tenants are in {places.file}; their secrets are in {places.secrets} (0600)")
        return 0
    everything: list[Row] = []
    for batch in _batches(arguments, ask):
        everything += batch
        if not arguments.json and not arguments.table:
            for row in batch:
                print(json.dumps(row), flush=True)
    if arguments.json:
        print(json.dumps(everything))
    elif arguments.table:
        cells = [(row["domain"], row["tenant_id"], row["admin_client_id"], len(row["users"])) for row in everything]
        print(report.table(("Domain", "Tenant", "Admin application", "People"), cells))
    return 0


def _batches(arguments: argparse.Namespace, ask: Ask) -> Any:
    left = arguments.count
    while left:
        count = min(_BATCH, left)
        body = {"count": count, "prefix": arguments.prefix, "edition": arguments.edition}
        body["partner"] = arguments.partner
        yield ask(arguments, "POST", "tenants", body)
        left -= count


def _trouble(arguments: argparse.Namespace, ask: Ask) -> int:
    if not arguments.tenant:
        known = ask(arguments, "GET", "troubles")
        print(report.table(("Trouble", "What it is"), list(known["kinds"].items())))
        for tenant, kinds in known["tenants"].items():
            print(f"{tenant}: {', '.join(kinds)}")
        return 0
    if not (arguments.begin or arguments.end):
        raise InvalidInput("Neither --begin nor --end is given.", remedy="Name a kind of trouble with one of them.")
    method, kind = ("PUT", arguments.begin) if arguments.begin else ("DELETE", arguments.end)
    body = {"clientId": arguments.client_id} if arguments.begin and arguments.client_id else None
    for tenant in arguments.tenant:
        told = ask(arguments, method, f"tenants/{tenant}/troubles/{kind}", body)
        print(f"{tenant}: {', '.join(told['troubles']) or 'no trouble'}")
    return 0


def _delete(arguments: argparse.Namespace, ask: Ask) -> int:
    for tenant in arguments.tenant:
        ask(arguments, "DELETE", f"tenants/{tenant}")
        print(f"{tenant} is gone")
    return 0


class _Places:
    """A fleet file and the folder beside it with a file for each secret; refused before anything is made."""

    def __init__(self, file: Path) -> None:
        self.file = file.expanduser().absolute()
        self.secrets = self.file.with_name(f"{self.file.stem}.secrets")
        for path in (self.file, self.secrets):
            if path.exists():
                raise WouldOverwrite(
                    f"{path} already exists and is not overwritten.", remedy="Name another fleet file, or remove it."
                )
        if not self.file.parent.is_dir():
            raise InvalidInput(f"{self.file.parent} is not a folder.", remedy="Name a file in a folder that exists.")

    def write(self, rows: Sequence[Row], base_url: str, partner: Row | None) -> None:
        """Writes both.

        Args:
            rows: the tenants.
            base_url: the server's.
            partner: his application; without it each tenant is signed in to by its own.

        Raises:
            InvalidInput: one cannot be written.
        """
        import yaml

        try:
            self.secrets.mkdir(mode=0o700)
            values = {_key(row): row["admin_client_secret"] for row in rows}
            for name, value in ({_PARTNER: partner["clientSecret"]} if partner else values).items():
                descriptor = os.open(self.secrets / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                    stream.write(value)
            with self.file.open("w", encoding="utf-8") as stream:
                yaml.safe_dump(self._document(rows, base_url, partner), stream, sort_keys=False)
        except OSError as error:
            raise InvalidInput(f"{error.filename} cannot be written: {error.strerror}.") from None

    def _document(self, rows: Sequence[Row], base_url: str, partner: Row | None) -> dict[str, Any]:
        """The fleet file: one credential for all with a partner, else one for each tenant, whose application it is."""
        name = self.file.stem if _NAME.fullmatch(self.file.stem) else "local"
        credentials: dict[str, Any]
        if partner:
            place = f"file:{self.secrets}/{_PARTNER}"
            credentials = {
                _PARTNER: {"method": "client-secret", "clientId": partner["clientId"], "secret": place},
            }
        else:
            credentials = {"own": {"method": "client-secret", "secret": f"file:{self.secrets}/{{key}}"}}
            credentials |= {_key(row): {"inherits": "own", "clientId": row["admin_client_id"]} for row in rows}
        return {
            "fleet": name,
            "defaults": {"metadataHost": base_url.removeprefix("https://")},
            "credentials": credentials,
            "tenants": [
                {
                    "key": _key(row),
                    "tenant": row["tenant_id"],
                    "companyCode": _key(row).upper(),
                    "credential": _PARTNER if partner else _key(row),
                }
                for row in rows
            ],
        }


def _key(row: Row) -> str:
    """The row's name: the first word of the domain."""
    return str(row["domain"]).partition(".")[0]
