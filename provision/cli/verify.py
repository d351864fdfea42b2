"""The command ``verify``: live proof that a registration, a user and a mailbox can send mail, as a timeline."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.target import add_stack
from provision.errors import InvalidInput, ProblemsFound, ProvisionError, StateUnavailable, Undecided, Usage

if TYPE_CHECKING:
    from provision.mail.ews import Server
    from provision.mail.proving import Wish
    from provision.mail.timeline import Stage, Timeline
    from provision.microsoft.credentials import Credential
    from provision.microsoft.product_sign_in import Registration, UserSignIn
    from provision.settings.endpoints import Endpoints

Subparsers = Any  # argparse does not name the type of add_subparsers()

_WAYS = ("graph", "smtp", "ews")
_SIGN_INS = ("paste", "device-code", "browser")
_WITHOUT_STACK = "A registration without a stack is named by --client-id and --tenant."
_SIGNS = {"done": "✓", "refused": "✗", "skipped": "-"}
_MAX_SECRET_BYTES = 65_536
_SHOWN = 88
"""Characters of an answer in the table; the whole of it stands below, and in the JSON."""


def add_commands(subparsers: Subparsers) -> None:
    """Adds the command of this module."""
    text = "prove that mail goes out: client secret, sign-in, one mail by Graph, SMTP or EWS, and found again"
    parser: argparse.ArgumentParser = subparsers.add_parser("verify", help=text, description=f"{text}.")
    parser.set_defaults(handler=_verify)
    what = parser.add_argument_group("what to prove")
    what.add_argument(
        "--via",
        action="append",
        choices=("secret", *_WAYS, "all"),
        help="a way; may be repeated; secret proves the client secret alone (default: graph)",
    )
    what.add_argument("--user", metavar="ADDRESS", help="who sends: a user principal name")
    what.add_argument("--to", metavar="ADDRESS", help="whom the test mail goes to (default: the sender)")
    what.add_argument("--wait", type=float, default=30.0, metavar="SECONDS", help="for the mail to arrive (default 30)")
    what.add_argument("--json", action="store_true", help="the timeline as one JSON object; nothing is asked")
    _add_registration(parser)
    how = parser.add_argument_group("how the user signs in (secrets come from files; - is standard input)")
    how.add_argument("--refresh-token-file", metavar="FILE", help="a refresh token that the product got")
    how.add_argument("--access-token-file", metavar="FILE", help="an access token, used as it is")
    how.add_argument("--sign-in", choices=_SIGN_INS, help="paste: through the product's own redirect (docs/verify.md)")
    how.add_argument("--password-file", metavar="FILE", help="password or app password, for SMTP, NTLM and Basic")
    how.add_argument("--ask-password", action="store_true", help="ask for it instead, without echo")
    own = parser.add_argument_group("a server of the company's own (EWS)")
    own.add_argument("--ews-url", metavar="URL", help="https://HOST/EWS/Exchange.asmx (default: Exchange Online)")
    own.add_argument(
        "--ews-autodiscover", nargs="?", const="", metavar="URL", help="find it; by the address' domain without a URL"
    )
    own.add_argument("--ews-auth", choices=("oauth", "oauth-app", "ntlm", "basic"), help="how to sign in there")
    own.add_argument("--ews-user", metavar="NAME", help="DOMAIN\\user for NTLM and Basic (default: --user)")
    own.add_argument("--ews-resource", metavar="URL", help="what a token for a hybrid server is for")


def _add_registration(parser: argparse.ArgumentParser) -> None:
    which = parser.add_argument_group("which registration")
    add_stack(which)
    which.add_argument("--client-id", help="a registration without a stack, with --tenant")
    which.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    which.add_argument("--redirect-uri", help="with --client-id: the product's callback, for --sign-in paste")
    which.add_argument("--client-secret-file", metavar="FILE", help="the client secret (default: the stack's state)")
    which.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    which.add_argument("--credential", help="who reads the mailboxes to find the mail again (docs/credentials.md)")


def _verify(arguments: argparse.Namespace) -> int:
    from provision.mail.proving import prove
    from provision.mail.timeline import Outcome, Timeline

    ways = _ways(arguments)
    registration, endpoints = _registration(arguments, ways)
    wish = _wish(arguments, ways, registration, endpoints)
    timeline = Timeline()
    untried = prove(wish, endpoints, timeline, today=datetime.now(UTC).date())
    hints = _hints(wish, endpoints) if untried and wish.session is None and wish.sign_in is None else []
    if arguments.json:
        print(json.dumps(_document(wish, timeline, untried, hints), indent=2, ensure_ascii=False))
    else:
        _print(timeline, hints)
    if timeline.any(Outcome.REFUSED):
        return ProblemsFound.exit_code
    return Undecided.exit_code if untried else 0


def _ways(arguments: argparse.Namespace) -> tuple[str, ...]:
    asked = arguments.via or ["graph"]
    ways = tuple(way for way in _WAYS if way in asked or "all" in asked)
    if ways and not arguments.user:
        raise Usage("Who sends is not named.", remedy="Add --user ADDRESS, or prove the secret alone: --via secret.")
    return ways


# What was given


def _registration(arguments: argparse.Namespace, ways: tuple[str, ...]) -> tuple[Registration | None, Endpoints]:
    """The product's values, from the command line or from a stack; none where nothing needs them."""
    from provision.microsoft.product_sign_in import Registration
    from provision.settings import endpoints as addresses

    if arguments.client_id is not None:
        if arguments.stack or arguments.project:
            raise Usage("--client-id is for a registration without a stack.", remedy="Give --stack or --client-id.")
        tenant = arguments.tenant or os.environ.get("ARM_TENANT_ID")
        if not tenant:
            raise Usage("--client-id needs its tenant.", remedy="Add --tenant ID, the Directory (tenant) ID.")
        needed = _needs_registration(arguments, ways)
        secret = _secret(arguments.client_secret_file, "Client secret", arguments, ask=needed)
        made = Registration(tenant, arguments.client_id, secret, arguments.redirect_uri)
        return made, addresses.resolve(metadata_host=arguments.metadata_host)
    if not arguments.stack and not _needs_registration(arguments, ways):
        return None, addresses.resolve(metadata_host=arguments.metadata_host)
    return _of_stack(arguments)


def _needs_registration(arguments: argparse.Namespace, ways: tuple[str, ...]) -> bool:
    if not ways or arguments.refresh_token_file or arguments.sign_in or arguments.ews_auth == "oauth-app":
        return True
    return not arguments.access_token_file and _needs_user(arguments, ways)


def _needs_user(arguments: argparse.Namespace, ways: tuple[str, ...]) -> bool:
    """Whether a way needs the user's sign-in: a password serves SMTP, and servers of the company's own."""
    by_password = arguments.password_file is not None or arguments.ask_password
    own_server = arguments.ews_url is not None or arguments.ews_autodiscover is not None
    without = {
        "graph": False,
        "smtp": by_password,
        "ews": arguments.ews_auth in ("ntlm", "basic", "oauth-app") or (own_server and arguments.ews_auth is None),
    }
    return not all(without[way] for way in ways)


def _of_stack(arguments: argparse.Namespace) -> tuple[Registration, Endpoints]:
    """The registration of a stack.

    Raises:
        StateUnavailable: there is no such stack; where none was named, the way without one stands in the sentence.
        InvalidInput: it has no registration yet.
    """
    from provision.cli.progress import progress
    from provision.microsoft.product_sign_in import Registration
    from provision.onboard.project import Request
    from provision.onboard.stories import Onboarding

    request = Request(
        stack=arguments.stack,
        project=arguments.project,
        backend=arguments.backend,
        tenant=arguments.tenant,
        metadata_host=arguments.metadata_host,
    )
    try:
        stack = Onboarding.open(request, say=progress())
        outputs = stack.outputs().outputs
    except StateUnavailable as missing:
        if arguments.stack:
            raise
        raise StateUnavailable(missing.message, remedy=f"{missing.remedy} {_WITHOUT_STACK}".strip()) from None
    if not outputs.get("clientId"):
        raise InvalidInput(f"The stack {stack.stack} has no registration yet.", remedy="Make it first: provision up.")
    held = outputs.get("clientSecret")
    if arguments.client_secret_file or not held:
        held = _secret(arguments.client_secret_file, "Client secret", arguments)
    redirect = outputs.get("redirectUri")
    made = Registration(str(outputs["tenantId"]), str(outputs["clientId"]), held and str(held), redirect)
    return made, stack.endpoints()


def _secret(file: str | None, title: str, arguments: argparse.Namespace, *, ask: bool = True) -> str | None:
    """A secret from its file, from standard input, or typed without echo; None when there is none.

    Raises:
        InvalidInput: the file cannot be read, is no text or is empty.
    """
    if file is None:
        if not ask or arguments.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        return getpass.getpass(f"{title} (not shown; Enter to skip): ", sys.stderr).strip() or None
    try:
        if file == "-":
            value = sys.stdin.read(_MAX_SECRET_BYTES).strip()
        else:
            with Path(file).open(encoding="utf-8") as opened:
                value = opened.read(_MAX_SECRET_BYTES).strip()
    except OSError as error:
        raise InvalidInput(f"The file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"The file {file} holds no text.") from None
    if not value:
        where = "Standard input" if file == "-" else f"The file {file}"
        raise InvalidInput(f"{where} is empty.", remedy=f"It must hold the {title.lower()}.")
    return value


def _wish(
    arguments: argparse.Namespace, ways: tuple[str, ...], registration: Registration | None, endpoints: Endpoints
) -> Wish:
    from provision.mail.proving import Wish

    _require_addresses(arguments)
    session = _session(arguments, registration, endpoints)
    sign_in = None if session is not None else _sign_in(arguments, ways, registration, endpoints)
    password = _password(arguments)
    return Wish(
        ways=ways,
        user=arguments.user or "",
        to=arguments.to or "",
        registration=registration,
        session=session,
        sign_in=sign_in,
        how_to_sign_in="Sign in as below, or give --refresh-token-file.",
        password=password,
        server=_server(arguments, endpoints),
        server_user=arguments.ews_user or "",
        server_resource=arguments.ews_resource or "",
        reader=_reader(arguments, registration, endpoints) if {"graph", "smtp"} & set(ways) else None,
        wait=arguments.wait,
    )


def _password(arguments: argparse.Namespace) -> str | None:
    """The user's password, where one was announced.

    Raises:
        Usage: it is to be asked for, and there is nobody to ask.
        InvalidInput: see ``_secret``.
    """
    title = f"Password or app password of {arguments.user}"
    if not arguments.ask_password:
        return _secret(arguments.password_file, title, arguments, ask=False)
    password = None if arguments.password_file else _secret(None, title, arguments)
    if password is None:
        raise Usage("There is no terminal to ask for the password at, or it is given twice.", remedy="--password-file")
    return password


def _require_addresses(arguments: argparse.Namespace) -> None:
    from provision.mail.letter import Letter

    for address in (arguments.user, arguments.to):
        if address is not None and (address.count("@") != 1 or address.startswith("@") or address.endswith("@")):
            raise InvalidInput(f"{address!r} is no e-mail address.", remedy="Give a full one: anna@example.com.")
    try:
        Letter.written(arguments.user or "a@b.example", arguments.to or "a@b.example", "").message()
    except ValueError as error:
        raise InvalidInput(f"An address cannot stand in a mail: {error}.", remedy="Check --user and --to.") from None


def _server(arguments: argparse.Namespace, endpoints: Endpoints) -> Server | None:
    from provision.mail.ews import Server

    if arguments.ews_url is None and arguments.ews_autodiscover is None:
        if arguments.ews_auth in (None, "oauth"):
            return None
        if arguments.ews_auth in ("ntlm", "basic"):
            raise Usage(
                "Exchange Online takes no password for Exchange Web Services.",
                remedy="For a server of the company's own name it: --ews-url or --ews-autodiscover.",
            )
        return Server("oauth-app", url=endpoints.ews, is_online=True)
    for name, url in (("--ews-url", arguments.ews_url), ("--ews-autodiscover", arguments.ews_autodiscover)):
        if url and not url.startswith("https://"):
            raise Usage(f"{name} is not an https:// address: {url}.", remedy="A password is sent over TLS alone.")
    return Server(arguments.ews_auth or "ntlm", url=arguments.ews_url, autodiscover=arguments.ews_autodiscover or None)


def _session(
    arguments: argparse.Namespace, registration: Registration | None, endpoints: Endpoints
) -> UserSignIn | None:
    """A sign-in that was made before, from its file; None when none was given."""
    from provision.microsoft.product_sign_in import GivenToken, RefreshToken

    given = [arguments.refresh_token_file, arguments.access_token_file, arguments.sign_in]
    if sum(one is not None for one in given) > 1:
        raise Usage("The user signs in twice.", remedy="Give one of the two files, or --sign-in.")
    if arguments.access_token_file:
        return GivenToken(_secret(arguments.access_token_file, "Access token", arguments) or "")
    if arguments.refresh_token_file and registration is not None:
        value = _secret(arguments.refresh_token_file, "Refresh token", arguments) or ""
        return RefreshToken(registration, endpoints, value)
    return None


def _sign_in(
    arguments: argparse.Namespace, ways: tuple[str, ...], registration: Registration | None, endpoints: Endpoints
) -> Callable[[], UserSignIn] | None:
    """How a person signs in now: as was named, else by pasting where there is a terminal; None where nobody can."""
    from provision.microsoft.product_sign_in import by_browser, by_device_code

    if registration is None:
        return None
    scope = _first_scope(ways, endpoints)
    if arguments.sign_in == "device-code":
        return lambda: by_device_code(registration, endpoints, scope=scope, prompt=_say)
    if arguments.sign_in == "browser":
        return lambda: by_browser(registration, endpoints, scope=scope, user=arguments.user)
    on_terminal = sys.stdin.isatty() and sys.stderr.isatty() and not arguments.json
    can_paste = bool(registration.redirect_uri and registration.secret)
    if arguments.sign_in == "paste" and not can_paste:
        raise Usage(
            "A sign-in to be pasted needs the client secret and the redirect URI.",
            remedy="Name the stack, or give --client-secret-file and --redirect-uri.",
        )
    if arguments.sign_in == "paste" or (on_terminal and can_paste and _needs_user(arguments, ways)):
        return lambda: _pasted(registration, endpoints, scope, arguments.user)
    return None


def _first_scope(ways: tuple[str, ...], endpoints: Endpoints) -> str:
    if ways == ("smtp",):
        return endpoints.smtp_scope
    return f"{endpoints.exchange_resource}/EWS.AccessAsUser.All" if ways == ("ews",) else f"{endpoints.graph}/Mail.Send"


def _pasted(registration: Registration, endpoints: Endpoints, scope: str, user: str) -> UserSignIn:
    from provision.microsoft.product_sign_in import PastedSignIn

    begun = PastedSignIn(registration, endpoints, scope=scope, user=user)
    _say(f"Open this address in a browser and sign in as {user}:")
    _say(begun.address)
    _say(f"The browser ends at {registration.redirect_uri}; that the product does not know this sign-in is right.")
    prompt = "Copy the whole address from the browser and paste it here (not shown): "
    if sys.stdin.isatty():
        return begun.finish(getpass.getpass(prompt, sys.stderr))
    _say(prompt)
    return begun.finish(sys.stdin.readline())


def _reader(
    arguments: argparse.Namespace, registration: Registration | None, endpoints: Endpoints
) -> Credential | None:
    """Who reads the mailboxes: the toolkit's own caller, where one is set and may; a sentence where it may not."""
    from provision.microsoft.credentials import sign_in
    from provision.microsoft.mail_items import READING
    from provision.settings import credential as credentials

    tenant = registration.tenant_id if registration is not None else arguments.tenant
    named = bool(arguments.credential or os.environ.get("PROVISION_CREDENTIAL"))
    try:
        how = credentials.read(arguments.credential, tenant_id=tenant)
        if how.method == "azure-cli" and not named:
            return None
        credential, caller = sign_in(how, endpoints, prompt=_say)
    except ProvisionError as error:
        if named:
            raise
        _say(f"note: the mailboxes are not read: {error.message}")
        return None
    if not READING & {one.lower() for one in (*caller.roles, *caller.scopes)}:
        _say(f"note: the mailboxes are not read: {caller.name} has no Mail.ReadBasic or Mail.Read.")
        return None
    return credential


# Forms


def _hints(wish: Wish, endpoints: Endpoints) -> list[str]:
    """What a person does for the sign-in that a program cannot do, and what he looks for."""
    from provision.microsoft.product_sign_in import authorize_url

    registration = wish.registration
    if registration is None or not wish.ways:
        return []
    lines = [
        f"In the product, as {wish.user}: connect to Microsoft (CLOUDEX TMS: your name > My user profile > Office365 "
        "setup > Connect to Microsoft). Right: it shows that account as connected, and its test mail arrives.",
    ]
    if registration.redirect_uri:
        scopes = ("openid", "offline_access", f"{endpoints.graph}/Mail.Send", f"{endpoints.graph}/User.Read")
        url = authorize_url(registration, endpoints, scopes=scopes, user=wish.user)
        lines += [
            f"To look at the sign-in alone, open {url}",
            f"Right: the browser ends at {registration.redirect_uri}?code=…; the product need not know this sign-in. "
            'Wrong: a page with an AADSTS number; provision explain "AADSTS…" tells what it means.',
            "To send as well, run this on a terminal, or with --sign-in paste: it asks for the address at the end.",
        ]
    consent = endpoints.admin_consent_url(registration.tenant_id, registration.client_id)
    return [*lines, f"Where the page says that an administrator must approve, he opens {consent}"]


def _explained(stage: Stage) -> tuple[str, str]:
    """What a step that was not done means, and what to do."""
    from provision.diagnose.explain import explain

    codes = explain(stage.said).codes if stage.outcome == "refused" else ()
    if not codes:
        return "", stage.remedy
    knows_more = stage.exact or (codes[0].general and stage.remedy)
    return codes[0].means, stage.remedy if knows_more else codes[0].remedy


def _document(wish: Wish, timeline: Timeline, untried: tuple[str, ...], hints: list[str]) -> dict[str, Any]:
    steps = []
    for stage in timeline.stages:
        means, remedy = _explained(stage)
        steps.append(
            {
                "way": stage.way,
                "step": stage.name,
                "outcome": stage.outcome.value,
                "seconds": round(stage.seconds, 3),
                "said": stage.said,
                "means": means,
                "remedy": remedy,
            }
        )
    proven = not untried and all(step["outcome"] != "refused" for step in steps)
    return {
        "user": wish.user,
        "to": wish.to or wish.user,
        "proven": proven,
        "notTried": list(untried),
        "steps": steps,
        "bySignIn": hints,
    }


def _print(timeline: Timeline, hints: list[str]) -> None:
    rows = [
        (_SIGNS[stage.outcome], stage.way, stage.name, f"{stage.seconds:.2f} s", _short(stage.said))
        for stage in timeline.stages
    ]
    print(report.table(("", "Way", "Step", "Time", "Answer"), rows))
    for stage in timeline.stages:
        if stage.outcome == "done":
            continue
        means, remedy = _explained(stage)
        print(f"\n{_SIGNS[stage.outcome]} {stage.way}, {stage.name}: {stage.said}")
        for name, text in (("means", means), ("do", remedy)):
            if text:
                print(f"    {name}: {text}")
    if hints:
        print("\nThe user's sign-in, by a person:")
        for hint in hints:
            print(f"    {hint}")


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
