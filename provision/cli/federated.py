"""The command ``credential federated``: another issuer's tokens in place of a secret."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.cli.progress import progress
from provision.cli.target import add_registration, target_of
from provision.errors import Usage

if TYPE_CHECKING:
    from provision.microsoft.objects import FederatedCredential
    from provision.onboard.federating import Federation

Subparsers = Any  # argparse does not name the type of add_subparsers()


def add_federated(commands: Subparsers) -> None:
    """Adds the command."""
    text = "let the product sign in with tokens of another issuer: no secret at all"
    parser: argparse.ArgumentParser = commands.add_parser("federated", help=text, description=text.capitalize())
    parser.set_defaults(handler=_federated)
    add_registration(parser)
    how = parser.add_argument_group("whose tokens (none: list what is there)")
    how.add_argument("--issuer", metavar="URL", help="the tokens' iss, letter by letter")
    how.add_argument("--subject", help="the tokens' sub, letter by letter")
    how.add_argument("--audience", help="the tokens' aud (default: api://AzureADTokenExchange, or the cloud's own)")
    how.add_argument("--name", help="the federated credential's name (default: made of the subject)")
    how.add_argument(
        "--prove-with-token-file", type=Path, metavar="FILE", help="a token of that issuer, to prove that it works"
    )
    how.add_argument("--remove", metavar="NAME", help="remove one")
    how.add_argument("--dry-run", action="store_true", help="say what would be done; nothing is changed")
    how.add_argument("--json", action="store_true", help="the outcome as one JSON object")


def _federated(arguments: argparse.Namespace) -> int:
    from provision.onboard.federating import Trust, federated, list_all, remove
    from provision.onboard.finding import registration

    target = target_of(arguments)
    asked = (arguments.issuer, arguments.subject)
    if arguments.remove and any((*asked, arguments.audience, arguments.name, arguments.prove_with_token_file)):
        raise Usage("--remove goes alone.", remedy="Give --remove NAME, or --issuer and --subject.")
    if not arguments.remove and (None in asked) != (asked == (None, None)):
        raise Usage("--issuer and --subject belong together.", remedy="Give both, or neither to list what is there.")
    say = progress()
    with registration(target, say=say) as found:
        if arguments.remove:
            done = remove(found, arguments.remove, dry_run=arguments.dry_run)
        elif arguments.issuer is None:
            done = list_all(found)
        else:
            trust = Trust(arguments.issuer, arguments.subject, arguments.audience, arguments.name)
            done = federated(
                found, trust, token_file=arguments.prove_with_token_file, dry_run=arguments.dry_run, say=say
            )
    print(json.dumps(_json(done), indent=2) if arguments.json else _text(done))
    return 0


def _text(done: Federation) -> str:
    lines = [done.said] if done.said else []
    lines += [f"trusts {one.name}: {one.subject} of {one.issuer}" for one in done.there]
    return "\n".join(lines) or f"{done.app_name} ({done.client_id}) trusts no other issuer"


def _json(done: Federation) -> dict[str, Any]:
    return {
        "name": done.app_name,
        "clientId": done.client_id,
        "changed": done.changed,
        "proven": done.proven,
        "credentials": [_row(one) for one in done.there],
    }


def _row(one: FederatedCredential) -> dict[str, Any]:
    return {"name": one.name, "issuer": one.issuer, "subject": one.subject, "audiences": list(one.audiences)}
