"""The commands ``sandbox ews``, ``sandbox onpremises``, ``sandbox google``: states of mail, set on a running server."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provision.errors import InvalidInput, WouldOverwrite

Ask = Callable[..., Any]
"""``(arguments, method, name, body)``: one call of the control API."""
AddCommand = Callable[[Any, str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

_JSON = 'JSON, "-" for standard input'


def add_mail(commands: Any, add: AddCommand, ask: Ask) -> None:
    """Adds the commands.

    Args:
        commands: the subparsers of ``sandbox``.
        add: makes one command of the server in ``--dir``.
        ask: asks that server.
    """
    ews = _group(commands, "ews", "who may use Exchange Web Services in Exchange Online")
    command = add(ews, "set", lambda arguments: _ews_set(arguments, ask), "set both switches and the lists")
    command.add_argument("settings", help=f'{_JSON}: {{"enabled": true, "allowedAppIds": […], "mailboxes": {{…}}}}')
    _tenant(command)
    own = _group(commands, "onpremises", "the customer's own Exchange beside a tenant")
    command = add(own, "create", lambda arguments: _own_create(arguments, ask), "make accounts; JSON, with passwords")
    command.add_argument("accounts", help=f'{_JSON}: [{{"alias": "ada", "mailbox": "local"}}, …]')
    _tenant(command)
    google = _group(commands, "google", "the Google side: Workspace customers and their users")
    command = add(
        google, "create", lambda arguments: _google_create(arguments, ask), "make a customer; JSON, with secrets"
    )
    command.add_argument(
        "customer", help=f'{_JSON}: {{"users": [{{"alias": "anna", "enrolled": true}}], "scopes": […]}}'
    )
    command.add_argument("--key-file", type=Path, metavar="FILE", help="write the service account's key there (0600)")
    command = add(google, "change", lambda arguments: _google_change(arguments, ask), "change a user's state")
    command.add_argument("user", help="his address")
    command.add_argument("state", help=f'{_JSON}: {{"suspended": true}}')
    command = add(google, "messages", lambda arguments: _google_messages(arguments, ask), "show a user's mail, as JSON")
    command.add_argument("user", help="his address")


def _group(commands: Any, name: str, text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text[:1].upper() + text[1:] + ".")
    return parser.add_subparsers(title="commands", metavar="COMMAND", required=True)


def _tenant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", help="its id or domain (default: the first)")


def _value(text: str, what: str, kind: type) -> Any:
    try:
        value = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise InvalidInput(f"The {what} are not JSON: {error}.") from None
    if not isinstance(value, kind):
        raise InvalidInput(f"The {what} are a JSON {'list' if kind is list else 'object'}.")
    return value


def _tenant_name(arguments: argparse.Namespace, ask: Ask) -> str:
    return str(arguments.tenant or ask(arguments, "GET", "tenants", None)[0]["tenant_id"])


def _ews_set(arguments: argparse.Namespace, ask: Ask) -> int:
    settings = _value(arguments.settings, "settings", dict)
    print(json.dumps(ask(arguments, "PUT", f"tenants/{_tenant_name(arguments, ask)}/ews", settings), indent=1))
    return 0


def _own_create(arguments: argparse.Namespace, ask: Ask) -> int:
    people = {"people": _value(arguments.accounts, "accounts", list)}
    made = ask(arguments, "POST", f"tenants/{_tenant_name(arguments, ask)}/onpremises", people)
    print(json.dumps(made, indent=1))
    return 0


def _google_create(arguments: argparse.Namespace, ask: Ask) -> int:
    wanted = _value(arguments.customer, "customer's settings", dict)
    if arguments.key_file is not None and arguments.key_file.exists():
        raise WouldOverwrite(f"The file {arguments.key_file} is there already.", remedy="Name another --key-file.")
    made = ask(arguments, "POST", "google/customers", wanted)
    if arguments.key_file is not None:
        descriptor = os.open(arguments.key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(made.pop("serviceAccount"), file, indent=1)
    print(json.dumps(made, indent=1))
    return 0


def _google_change(arguments: argparse.Namespace, ask: Ask) -> int:
    ask(arguments, "PATCH", f"google/users/{arguments.user}", _value(arguments.state, "changes", dict))
    return 0


def _google_messages(arguments: argparse.Namespace, ask: Ask) -> int:
    print(json.dumps(ask(arguments, "GET", f"google/users/{arguments.user}/messages", None), indent=1))
    return 0
