"""``make demo``: from nothing to delivered mails, on this machine, with the real Pulumi engine.

Starts the local tenant, runs ``pulumi up`` on the root ``Pulumi.yaml``, prints the three values, connects a user
through the product's callback, and sends a mail with Microsoft Graph. Then an old program's mail over SMTP is refused,
``provision diagnose`` says why, ``--fix`` mends it, and the mail arrives. It keeps everything under ``build/demo`` and
leaves nothing running.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import smtplib
import ssl
import subprocess
import sys
import time
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx

from provision.errors import ProblemsFound
from provision.sandbox.control_client import ControlClient
from provision.sandbox.process import require_running

ROOT = Path(__file__).parents[1]
HOME = ROOT / "build" / "demo"
PROVISION = Path(sys.executable).with_name("provision")
STACK = "demo"
COMPANY = "ACME"
_NOT_OURS = ("ARM_", "AZURE_", "PULUMI_BACKEND_", "PULUMI_CONFIG_", "PULUMI_STACK", "PROVISION_CREDENTIAL")
"""Beginnings of variables that would lead the demo to somebody's own state, tenant or sign-in."""


def main() -> None:
    """Runs the whole way; any step that fails ends it with that step's own words."""
    began = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    (ROOT / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)
    HOME.mkdir(parents=True)
    say("1. A Microsoft 365 tenant on this machine")
    tenant = json.loads(provision("sandbox", "start", "--detach", "--json", "--dir", str(HOME / "tenant")))
    own = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)}
    environment = {**own, **exports(provision("sandbox", "env", "--dir", str(HOME / "tenant")))}
    environment |= {"PROVISION_DATA": str(HOME / "state")}
    try:
        say(f"   {tenant['baseUrl']}  tenant {tenant['tenantId']} ({tenant['domain']})")
        registered = register(environment)
        sender, receiver = mail(tenant, registered)
        mend(tenant, environment, sender, receiver)
    finally:
        (ROOT / f"Pulumi.{STACK}.yaml").unlink(missing_ok=True)  # else it would be the next command's only stack
        provision("sandbox", "stop", "--dir", str(HOME / "tenant"))
    say(
        f"\nDone in {time.monotonic() - began:.0f} s. Nothing is left running; {HOME.relative_to(ROOT)} can be deleted."
    )


def register(environment: dict[str, str]) -> dict[str, str]:
    """The registration by plain ``pulumi up``, and its three values."""
    say("\n2. The app registration, with the real engine: pulumi up")
    environment = environment | exports(provision("engine", "env", environment=environment, show_progress=True))
    pulumi = shutil.which("pulumi", path=environment["PATH"]) or "pulumi"
    run([pulumi, "stack", "init", STACK, "--non-interactive"], environment, quiet=True)
    settings = {"office365-mail:profile": "cloudex", "office365-mail:companyCode": COMPANY}
    settings |= {"office365-mail:redirectUri": f"https://{environment['ARM_METADATA_HOSTNAME']}/{callback_path()}"}
    for key, value in settings.items():
        run([pulumi, "config", "set", key, value, "--stack", STACK], environment, quiet=True)
    run([pulumi, "up", "--yes", "--stack", STACK, "--non-interactive", "--suppress-permalink=true"], environment)
    say("\n3. The three values (the secret is masked; `provision outputs --show-secrets` shows it)")
    print(provision("outputs", "--stack", STACK, environment=environment))
    shown = provision("outputs", "--stack", STACK, "--json", "--show-secrets", environment=environment)
    values: dict[str, str] = json.loads(shown)
    return values


def callback_path() -> str:
    """The product's callback, letter case as CLOUDEX TMS has it."""
    return f"{COMPANY}/Services/Office365Callback.aspx"


def mail(tenant: dict[str, str], values: dict[str, str]) -> tuple[str, str]:
    """Connects a user through the product's callback and sends a mail as that user; returns sender and receiver."""
    people = passwords()
    sender = next(name for name in people if name.startswith("ada@"))
    receiver = sender.replace("ada@", "bob@")
    with httpx.Client(base_url=tenant["baseUrl"], verify=trust(tenant["caFile"]), trust_env=False) as browser:
        settings = {name: values[name] for name in ("tenantId", "clientId", "clientSecret")}
        browser.post(f"/_product/{COMPANY}/settings", json=settings).raise_for_status()
        say(f'\n4. {sender} presses "Connect to Microsoft" in the product and signs in')
        landed = sign_in(browser, f"/{COMPANY}/Services/Office365Connect.aspx", sender, people[sender])
        say(f"   back in the product at {landed}")
        say("\n5. The product sends a mail as that user: Microsoft Graph sendMail, no SMTP AUTH needed")
        letter = {"to": receiver, "subject": "Order 4711", "body": "Loading in Riga at 8:00."}
        sent = browser.post(f"/_product/{COMPANY}/send", json=letter)
        if sent.is_error:
            raise SystemExit(f"the product could not send: {sent.text}")
        arrived(browser, tenant, receiver, letter["subject"])
    return sender, receiver


def mend(tenant: dict[str, str], environment: dict[str, str], sender: str, receiver: str) -> None:
    """An old program that knows only SMTP and a password: refused, diagnosed, mended, delivered."""
    server = require_running(HOME / "tenant")
    # How passwords over SMTP are brought back after December 2026 is not published; here it is taken for done.
    ControlClient(server).ask("PUT", f"tenants/{server.tenant_id}/mail", {"basicSmtpReenabled": True})
    secret = HOME / "password"
    secret.touch(mode=0o600)
    secret.write_text(passwords()[sender])
    say(f"\n6. An old program knows only SMTP and {sender}'s password")
    refusal = hand_in(tenant, sender, receiver, "Label 4712")
    if not refusal:
        raise SystemExit("the tenant takes a mail over SMTP although its switch is off")
    say(f"   refused: {refusal}")
    command = ["diagnose", "--mailbox", sender, "--via", "smtp-basic", "--password-file", str(secret)]
    command.append("--basic-smtp-kept")
    say(f"\n7. Why? provision diagnose --mailbox {sender} --via smtp-basic")
    found = provision(*command, "--json", environment=environment, code=ProblemsFound.exit_code)
    cause = json.loads(found)["findings"][0]
    say(f"   {cause['title']} [{cause['rule']}]")
    for seen in cause["seen"]:
        say(f"   seen: {seen}")
    say(f"   do:   {cause['remedy']['say']}")
    say("\n8. The same with --fix --yes: the switch of this mailbox alone")
    mended = provision(*command, "--fix", "--yes", environment=environment)
    say(f"   {mended.splitlines()[0]}")
    if refusal := hand_in(tenant, sender, receiver, "Label 4712"):
        raise SystemExit(f"mended, and refused all the same: {refusal}")
    with httpx.Client(base_url=tenant["baseUrl"], verify=trust(tenant["caFile"]), trust_env=False) as browser:
        arrived(browser, tenant, receiver, "Label 4712")


def hand_in(tenant: dict[str, str], sender: str, receiver: str, subject: str) -> str:
    """Hands a mail in over SMTP with the sender's password; returns the server's refusal, empty when it is taken."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, receiver, subject
    message.set_content("Pallet 7, Riga.")
    host, _, port = tenant["smtpAddress"].rpartition(":")
    with smtplib.SMTP(host, int(port)) as client:
        client.starttls(context=trust(tenant["caFile"]))
        try:
            client.login(sender, passwords()[sender])
        except smtplib.SMTPAuthenticationError as refused:
            said = refused.smtp_error
            return f"{refused.smtp_code} {said.decode() if isinstance(said, bytes) else said}"
        client.send_message(message)
    return ""


def passwords() -> dict[str, str]:
    """The tenant's people: user principal name to password."""
    people: dict[str, str] = json.loads((HOME / "tenant" / "state.json").read_text())["users"]
    return people


def arrived(browser: httpx.Client, tenant: dict[str, str], receiver: str, subject: str) -> None:
    """Shows the mail in the receiver's mailbox; without it the demo ends."""
    found = [message for message in inbox(browser, tenant, receiver) if message["subject"] == subject]
    if not found:
        raise SystemExit(f"the mail {subject!r} did not arrive in the mailbox of {receiver}")
    for message in found:
        sent_by = message["from"]["emailAddress"]["address"]
        say(f"   in the mailbox of {receiver}: {message['subject']!r} from {sent_by}, {message['receivedDateTime']}")


def sign_in(browser: httpx.Client, connect: str, user: str, password: str) -> str:
    """Follows the product's button to Microsoft's sign-in form, fills it in, and returns where the browser ends."""
    page = browser.post(connect, headers={"Origin": str(browser.base_url).rstrip("/")}, follow_redirects=True)
    form = Form.of(page.text)
    fields = form.fields | {"loginfmt": user, "passwd": password}
    page = browser.post(str(page.url.join(form.action)), data=fields, follow_redirects=True)
    if "Office365Setup.aspx" not in page.url.path:
        raise SystemExit(f"the sign-in ended at {page.url.path}: {' '.join(page.text.split())[:400]}")
    return page.url.path


def inbox(browser: httpx.Client, tenant: dict[str, str], user: str) -> list[dict[str, Any]]:
    """The messages in a user's inbox, read with Microsoft Graph as the tenant's admin application."""
    token = browser.post(
        f"/{tenant['tenantId']}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": tenant["adminClientId"],
            "client_secret": tenant["adminClientSecret"],
            "scope": f"{tenant['baseUrl']}/.default",
        },
    ).json()["access_token"]
    answer = browser.get(f"/v1.0/users/{user}/mailFolders/inbox/messages", headers={"Authorization": f"Bearer {token}"})
    messages: list[dict[str, Any]] = answer.raise_for_status().json()["value"]
    return messages


class Form(HTMLParser):
    """The first form of a page: where it goes and its hidden fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    @classmethod
    def of(cls, page: str) -> Form:
        """Reads a page."""
        form = cls()
        form.feed(page)
        return form

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes the form's address and each hidden field."""
        values = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = values.get("action", "")
        elif tag == "input" and values.get("type") == "hidden":
            self.fields[values["name"]] = values.get("value", "")


def trust(ca_file: str) -> ssl.SSLContext:
    """Trusts the local tenant's authority and nothing else."""
    return ssl.create_default_context(cafile=ca_file)


def run(command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
    """Runs a command in the checkout; its failure ends the demo."""
    if not quiet:
        say(f"   $ {' '.join(['pulumi', *command[1:]])}")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=quiet, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}\n{done.stderr if quiet else ''}")


def provision(
    *arguments: str, environment: dict[str, str] | None = None, show_progress: bool = False, code: int = 0
) -> str:
    """Runs ``provision``; another exit code than the expected one ends the demo with it."""
    done = subprocess.run(
        [str(PROVISION), *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=None if show_progress else subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != code:
        print(done.stderr or "", file=sys.stderr)
        raise SystemExit(done.returncode or f"provision {arguments[0]} found nothing")
    return done.stdout.rstrip("\n")


def exports(lines: str) -> dict[str, str]:
    """The variables of ``export NAME=value`` lines."""
    words = [shlex.split(line)[1] for line in lines.splitlines() if line.startswith("export ")]
    return dict(word.split("=", 1) for word in words)


def say(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
