"""The command ``diagnose``: why mail does not go out, what was seen, and what to do."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision.cli.explain import read_text
from provision.cli.files import put
from provision.cli.progress import progress
from provision.errors import InvalidInput, ProblemsFound, ProvisionError, Undecided, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from provision.diagnose.fix import Renewal
    from provision.diagnose.gather import Asked
    from provision.diagnose.judge import Diagnosis
    from provision.diagnose.layers import Way
    from provision.microsoft.credentials import Credential
    from provision.onboard.rotating import Rotating
    from provision.onboard.stories import Onboarding
    from provision.secrets.rotation import Wish
    from provision.settings.endpoints import Endpoints
    from provision.settings.stack import StackSettings

Subparsers = Any  # argparse does not name the type of add_subparsers()
NAMED_WAYS: dict[str, tuple[Way, ...]] = {
    "graph": ("graph",),
    "smtp": ("smtp-oauth", "smtp-basic"),
    "smtp-oauth": ("smtp-oauth",),
    "smtp-basic": ("smtp-basic",),
    "ews": ("ews",),
    "all": ("graph", "smtp-oauth", "smtp-basic", "ews"),
}
_SECRET = "PROVISION_CLIENT_SECRET"  # noqa: S105 - a variable's name


def add_commands(subparsers: Subparsers) -> None:
    """Adds the command of this module."""
    text = "find out why mail does not go out, and what to do"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "diagnose", help=text, description=text[0].upper() + text[1:]
    )
    parser.set_defaults(handler=_diagnose)
    what = parser.add_argument_group("what")
    what.add_argument("--mailbox", help="the mailbox that is to send")
    what.add_argument(
        "--via", action="append", choices=tuple(NAMED_WAYS), help="how it is to send; may be repeated (default: all)"
    )
    what.add_argument("--client-id", help="the product's app registration, by its Application (client) ID")
    what.add_argument("--stack", help="the product's app registration, by its stack")
    what.add_argument("--project", type=Path, help="with --stack: the folder of Pulumi.yaml")
    what.add_argument("--backend", help="with --stack: where Pulumi keeps its state")
    what.add_argument("--redirect-uri", help="the address that the product calls back (default: the stack's)")
    what.add_argument("--profile", help="the product profile, with --company-code: what the registration should be")
    what.add_argument("--company-code", help="the company code in the product's address")
    what.add_argument(
        "--basic-smtp-kept", action="store_true", help="Basic SMTP was switched on again after December 2026"
    )
    _add_evidence(parser.add_argument_group("evidence (nothing is sent)"))
    where = parser.add_argument_group("where and as whom (for this run)")
    where.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    where.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    where.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")
    _add_fix(parser.add_argument_group("mending"))
    form = parser.add_argument_group("form").add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON object (docs/diagnose.md)")
    form.add_argument("--sarif", action="store_true", help="as SARIF 2.1.0, for CI")
    form.add_argument("--junit", action="store_true", help="as a JUnit report, for CI")
    form.add_argument("--html", type=Path, metavar="FILE", help="as one page with a picture of the layers, into a file")
    form.add_argument("--powershell", action="store_true", help="the remedies' PowerShell lines alone, as a script")


def _add_fix(group: Any) -> None:
    from provision.diagnose.fix_flags import FLAGS

    group.add_argument("--fix", action="store_true", help="apply the remedies that a program may, after showing a plan")
    group.add_argument("--yes", action="store_true", help="with --fix: do not ask; needed where there is no terminal")
    for flag, allows in FLAGS.items():
        group.add_argument(flag, action="store_true", help=f"with --fix, lowers security: {allows}")
    group.add_argument(
        "--sink",
        action="append",
        default=[],
        metavar="KIND:PLACE",
        help="with --fix: where a renewed client secret is used (docs/sinks.md); default: the stack's secretSinks",
    )
    group.add_argument(
        "--journal", help="with --fix: where it is kept what was before and what is begun (default: beside the state)"
    )


def _add_evidence(group: Any) -> None:
    group.add_argument("--text", help='an error text that somebody was shown, or "-" for standard input')
    group.add_argument("--password-file", type=Path, help="the mailbox's password or app password, tried over SMTP")
    group.add_argument("--ask-password", action="store_true", help="the same, typed in")
    group.add_argument("--token-file", type=Path, help="an access token for SMTP, tried over SMTP")
    group.add_argument(
        "--ews-token-file", type=Path, help="an access token for EWS, tried by exchangelib: opens the mailbox, no more"
    )
    group.add_argument(
        "--client-secret-file", type=Path, help=f"the product's client secret, tried at Entra (or {_SECRET})"
    )
    group.add_argument("--no-connect", action="store_true", help="talk neither to the SMTP server nor to EWS")
    group.add_argument("--no-dns", action="store_true", help="do not look at the domain's DNS")
    group.add_argument("--dns-server", metavar="ADDRESS:PORT", help="the DNS server to ask (default: the machine's)")


def _diagnose(arguments: argparse.Namespace) -> int:
    from provision.diagnose.gather import gather
    from provision.diagnose.judge import judge
    from provision.microsoft.credentials import sign_in
    from provision.settings import credential as credentials
    from provision.settings import endpoints as addresses

    say = progress()
    stack = _stack(arguments)
    settings = stack.settings() if stack else None
    asked = _asked(arguments, stack, settings)
    endpoints = stack.endpoints() if stack else addresses.resolve(metadata_host=arguments.metadata_host)
    credential, tenant_id = None, None
    try:
        how = credentials.read(
            settings.credential if settings else arguments.credential,
            tenant_id=settings.tenant_id if settings else arguments.tenant,
            client_id=settings.credential_client_id if settings else None,
        )
        credential, caller = sign_in(how, endpoints, prompt=say)
        tenant_id = caller.tenant_id
    except ProvisionError as refused:
        say(f"note: nobody is signed in, so only what needs no sign-in is looked at: {refused.message}")
    diagnosis = judge(gather(asked, endpoints, credential, tenant_id, say=say), asked.ways)
    if arguments.fix and credential is not None and tenant_id is not None:
        asked = _mend(
            arguments,
            diagnosis=diagnosis,
            asked=asked,
            stack=stack,
            endpoints=endpoints,
            credential=credential,
            tenant_id=tenant_id,
        )
        diagnosis = judge(gather(asked, endpoints, credential, tenant_id, say=say), asked.ways)
    if arguments.html is None:
        print(_form(arguments)(diagnosis))
    else:
        _write(arguments.html, diagnosis)
    return _verdict(diagnosis)


def _mend(
    arguments: argparse.Namespace,
    *,
    diagnosis: Diagnosis,
    asked: Asked,
    stack: Onboarding | None,
    endpoints: Endpoints,
    credential: Credential,
    tenant_id: str,
) -> Asked:
    """Shows the plan, the better way out before it, and applies it when that is confirmed.

    Returns:
        What is to be looked at again: a product's secret of before a renewal is no longer the product's.

    Raises:
        Usage: it was not confirmed.
    """
    from provision.diagnose.fix import RENEW_SECRET, Renewal, carry_out, plan
    from provision.diagnose.fix_flags import FLAGS
    from provision.diagnose.judge import advice
    from provision.engine.state import backend_url
    from provision.onboard.rotating import journal_address

    allowed = [flag for flag in FLAGS if getattr(arguments, flag.lstrip("-").replace("-", "_"))]
    journal = journal_address(backend_url(arguments.backend), arguments.journal)
    with ExitStack() as opened:
        renewal = _renewal(arguments, diagnosis, stack, journal, opened)
        wanted = plan(diagnosis, asked, allowed, renewal)
        for line in advice(diagnosis):
            _say(f"note: {line}")
        for step in wanted.steps:
            _say(f"would {step.says} [{', '.join(step.rules)}]")
            for part in step.parts:
                _say(f"  {part}")
        for one, reason in wanted.left:
            _say(f"left alone: {one.rule.title} [{one.rule.id}]: {reason}")
        if not wanted.steps:
            _say("nothing to mend here")
            return asked
        if not arguments.yes:
            _say("Do it? Type yes:")
            if sys.stdin is None or sys.stdin.readline().strip() != "yes":
                raise Usage("Nothing was changed: it was not confirmed.", remedy="Without a terminal, add --yes.")
        carry_out(
            wanted,
            diagnosis,
            asked,
            endpoints=endpoints,
            credential=credential,
            tenant_id=tenant_id,
            journal=journal,
            say=_say,
            renewal=renewal if isinstance(renewal, Renewal) else None,
        )
    if not any(step.fix == RENEW_SECRET for step in wanted.steps):
        return asked
    return replace(asked, client_secret=_of_stack(stack)[2] if stack is not None else None)


def _renewal(
    arguments: argparse.Namespace, diagnosis: Diagnosis, stack: Onboarding | None, journal: str, opened: ExitStack
) -> Renewal | str:
    """How the client secret can be renewed, or why it cannot; asked only where that would mend something."""
    from provision.diagnose.facts import NotKnown
    from provision.diagnose.fix import RENEW_SECRET, Renewal, mendable
    from provision.onboard.rotating import RotateRequest, Unstacked, unstacked
    from provision.secrets.rotation import Wish

    if not any(one.rule.fix == RENEW_SECRET for one in mendable(diagnosis)):
        return ""
    if isinstance(diagnosis.facts.registration.secrets, NotKnown):
        return f"its secrets cannot be read here: {diagnosis.facts.registration.secrets.reason}"
    if stack is None and not arguments.sink:
        said = f"provision rotate --now --client-id {arguments.client_id} --sink KIND:PLACE"
        return f"nothing says where the new value goes; add --sink KIND:PLACE (docs/sinks.md), or run: {said}"
    request = RotateRequest(wish=Wish(now=True), sinks=tuple(arguments.sink), journal=journal)
    try:
        if stack is not None:
            rotating = opened.enter_context(stack.rotating(request))
        else:
            of = Unstacked(
                arguments.client_id,
                tenant=arguments.tenant,
                metadata_host=arguments.metadata_host,
                credential=arguments.credential,
                profile=arguments.profile or "cloudex",
            )
            rotating = opened.enter_context(unstacked(of, request, say=progress()))
        planned = rotating.plan(request.wish)
    except ProvisionError as refused:
        return f"it cannot be renewed: {refused.message} {refused.remedy}".rstrip()
    kept = "keep it in the stack, where the product's operator reads it: provision outputs --show-secrets"
    places = planned.steps if stack is None or arguments.sink or _has_sinks(stack) else (kept, *planned.steps)
    return Renewal(
        (f"in use now: {planned.in_use}", "make another and prove that it works", *places),
        lambda: _rotate(rotating, request.wish),
    )


def _has_sinks(stack: Onboarding) -> bool:
    return bool(stack.settings().secret_sinks)


def _rotate(rotating: Rotating, wish: Wish) -> None:
    done = rotating.run(wish)
    if done.active is not None:
        _say(f"{rotating.name} now uses {rotating.slots.name(done.active.slot)} ({done.active.key_id})")
    for note in done.notes:
        _say(f"note: {note}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _verdict(diagnosis: Diagnosis) -> int:
    """0 when mail can be sent by one of the ways asked for.

    Raises:
        ProblemsFound: a cause was found for each way, or for some and the rest is unclear.
        Undecided: no certain cause was found, but something could not be looked at or may apply.
    """
    if diagnosis.can_send:
        return 0
    causes = [verdict.causes[0].rule for verdict in diagnosis.verdicts if verdict.causes]
    if causes:
        titles = "; ".join(dict.fromkeys(rule.title for rule in causes))
        raise ProblemsFound(f"Mail cannot be sent: {titles}.", remedy="The causes and what to do stand above.")
    missing = list(dict.fromkeys(reason for verdict in diagnosis.verdicts for reason in verdict.missing))
    raise Undecided(f"No certain cause was found, but not everything is known: {missing[0]}.")


def _stack(arguments: argparse.Namespace) -> Onboarding | None:
    """The stack that the options name, with tenant, cloud and sign-in for this run.

    Raises:
        StateUnavailable: there is no such stack.
    """
    from provision.onboard.project import Request
    from provision.onboard.stories import Onboarding

    if not arguments.stack:
        return None
    if arguments.client_id:
        raise Usage("The registration is named twice.", remedy="Give --client-id or --stack.")
    request = Request(
        stack=arguments.stack,
        project=arguments.project,
        backend=arguments.backend,
        tenant=arguments.tenant,
        metadata_host=arguments.metadata_host,
        credential=arguments.credential,
    )
    stack = Onboarding.open(request, say=progress())
    stack.require_known()
    return stack


def _asked(arguments: argparse.Namespace, stack: Onboarding | None, settings: StackSettings | None) -> Asked:
    from provision.diagnose.gather import Asked

    if not (arguments.mailbox or arguments.client_id or arguments.stack or arguments.text):
        raise Usage(
            "There is nothing to look at.", remedy="Name the mailbox (--mailbox) or the registration (--client-id)."
        )
    if arguments.mailbox and "@" not in arguments.mailbox:
        raise InvalidInput(f"{arguments.mailbox!r} is no mail address.", remedy="Write it as name@domain.")
    ways = tuple(dict.fromkeys(way for name in arguments.via or ["all"] for way in NAMED_WAYS[name]))
    told = arguments.text
    if told == "-":
        told = read_text([], None)
    client_id, redirect, secret = arguments.client_id, arguments.redirect_uri, None
    if stack is not None:
        client_id, stacked, secret = _of_stack(stack)
        redirect = redirect or stacked
    wants = None
    if arguments.profile:
        wants, by_profile = _of_profile(arguments)
        redirect = redirect or by_profile
    password = _secret_in(arguments.password_file)
    if arguments.ask_password:
        password = getpass.getpass(f"Password of {arguments.mailbox}: ")
    return Asked(
        ways=ways,
        mailbox=arguments.mailbox,
        client_id=client_id,
        wanted_redirect=redirect,
        wants_tokens=wants,
        password=password,
        token=_secret_in(arguments.token_file),
        ews_token=_secret_in(arguments.ews_token_file),
        client_secret=_secret_in(arguments.client_secret_file) or os.environ.get(_SECRET) or secret,
        told=told,
        basic_kept=arguments.basic_smtp_kept,
        connect=not arguments.no_connect,
        dns=not arguments.no_dns,
        dns_server=arguments.dns_server,
        stack=arguments.stack,
        stack_mailboxes=settings.smtp_auth_mailboxes if settings else (),
    )


def _of_stack(stack: Onboarding) -> tuple[str, str | None, str | None]:
    """Client id, redirect URI and secret of a stack, from its state."""
    outputs = stack.outputs().outputs
    if not outputs.get("clientId"):
        raise InvalidInput(f"The stack {stack.stack} has no app registration yet.", remedy="Make it: provision up.")
    return str(outputs["clientId"]), outputs.get("redirectUri"), outputs.get("clientSecret")


def _of_profile(arguments: argparse.Namespace) -> tuple[tuple[bool, bool], str | None]:
    """What a product's profile wants: token issuance and, with the company code, the redirect URI."""
    from provision.settings import profile as profiles

    product = profiles.load(arguments.profile, beside=Path.cwd())
    redirect = product.redirect_uri
    if redirect is not None and product.needs_company_code:
        code = arguments.company_code
        redirect = redirect.replace(profiles.COMPANY_CODE, code) if code else None
    return (product.issue_access_tokens, product.issue_id_tokens), redirect


def _secret_in(file: Path | None) -> str | None:
    """A secret from a file, without the line break at its end.

    Raises:
        InvalidInput: the file cannot be read or is empty.
    """
    if file is None:
        return None
    try:
        value = file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidInput(f"{file} cannot be read: {reason}.", remedy="Name a readable file.") from None
    if not value:
        raise InvalidInput(f"{file} is empty.", remedy="Put the secret alone into it.")
    return value


def _form(arguments: argparse.Namespace) -> Callable[[Diagnosis], str]:
    from provision.diagnose.forms.document import document
    from provision.diagnose.forms.junit import junit
    from provision.diagnose.forms.sarif import sarif
    from provision.diagnose.forms.text import text

    if arguments.json:
        return lambda diagnosis: json.dumps(document(diagnosis), indent=2, ensure_ascii=False)
    if arguments.sarif:
        return lambda diagnosis: json.dumps(sarif(diagnosis), indent=2, ensure_ascii=False)
    if arguments.junit:
        return lambda diagnosis: junit(diagnosis).rstrip()
    if arguments.powershell:
        return _script
    return text


def _write(file: Path, diagnosis: Diagnosis) -> None:
    """Writes the page, and says the verdicts on the screen.

    Raises:
        InvalidInput: the file cannot be written.
    """
    from provision.diagnose.forms.page import page
    from provision.diagnose.forms.text import verdicts

    put(file, page(diagnosis))
    print(verdicts(diagnosis))


def _script(diagnosis: Diagnosis) -> str:
    """The lines of the remedies that stop mail now, for an IT provider; nothing that lowers the whole tenant's
    security.
    """
    lines = ["# For Exchange Online PowerShell: Install-Module ExchangeOnlineManagement", "Connect-ExchangeOnline"]
    for one in diagnosis.findings:
        if one.rule.severity == "stops" and one.remedy.powershell and set(one.ways):
            comment = "# " if one.rule.flag else ""
            lines += ["", f"# {one.rule.title}"]
            lines += ["# (lowers security; better: Microsoft Graph or SMTP with OAuth)"] if one.rule.flag else []
            lines += [f"{comment}{line}" for line in one.remedy.powershell]
    return "\n".join([*lines, "", "Disconnect-ExchangeOnline -Confirm:$false"])
