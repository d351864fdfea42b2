"""``provision verify`` as a person or a pipeline runs it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from entra_tenant import REDIRECT, App, Entra

from provision.sandbox import Sandbox, Tenant

COMMAND = [sys.executable, "-m", "provision", "verify"]


class Desk:
    """A tenant with the product's registration, and a shell that is signed in to it as the administrator's program."""

    def __init__(self, entra: Entra, app: App, folder: Path) -> None:
        self.entra, self.app, self.folder = entra, app, folder
        sandbox, tenant = entra.sandbox, entra.tenant
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ARM_", "AZURE_"))},
            "PROVISION_SMTP_ADDRESS": sandbox.smtp_address,
            "ARM_METADATA_HOSTNAME": sandbox.base_url.removeprefix("https://"),
            "SSL_CERT_FILE": str(sandbox.ca_file),
            "REQUESTS_CA_BUNDLE": str(sandbox.ca_file),
            "PROVISION_DATA": str(folder / "data"),
            "ARM_TENANT_ID": tenant.tenant_id,
            "ARM_CLIENT_ID": tenant.admin_client_id,
            "ARM_CLIENT_SECRET": tenant.admin_client_secret,
        }

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(f"{text}\n")
        path.chmod(0o600)
        return str(path)

    def product(self) -> list[str]:
        """The options that name the registration."""
        secret = self.file("secret", self.app.secret)
        return ["--client-id", self.app.client_id, "--client-secret-file", secret, "--redirect-uri", REDIRECT]

    def run(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            input=said,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=self.folder,
        )
        assert "Traceback" not in done.stderr
        assert self.app.secret not in done.stdout + done.stderr
        return done


@pytest.fixture
def desk(http: httpx.Client, tenant: Tenant, sandbox: Sandbox, tmp_path: Path) -> Iterator[Desk]:
    entra = Entra(http, tenant, sandbox)
    app = entra.register()
    entra.consent(app)
    yield Desk(entra, app, tmp_path)
    sandbox.clear_faults()


def test_the_client_secret_alone(desk: Desk) -> None:
    done = desk.run("--via", "secret", *desk.product())
    assert done.returncode == 0, done.stderr
    assert f"accepted for application {desk.app.client_id}" in done.stdout
    wrong = desk.run("--via", "secret", "--client-id", desk.app.client_id, "--client-secret-file", "-", said="wrong")
    assert wrong.returncode == 15
    assert "means: The client secret is wrong: often its Secret ID was copied" in wrong.stdout
    assert "copy the Value at once" in wrong.stdout


def test_a_refresh_token_of_the_product_proves_graph(desk: Desk) -> None:
    token = desk.entra.tokens(desk.app)["refresh_token"]
    user, bob = desk.entra.upn("ada"), desk.entra.upn("bob")
    options = ["--refresh-token-file", desk.file("token", token), "--user", user, "--to", bob]
    done = desk.run(*options, *desk.product())
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 5
    assert token not in done.stdout + done.stderr
    told = json.loads(desk.run(*options, *desk.product(), "--json").stdout)
    assert (told["user"], told["to"], told["proven"], told["notTried"]) == (user, bob, True, [])
    assert [step["step"] for step in told["steps"]][-1] == f"found in inbox of {bob}"


def test_without_a_sign_in_the_address_to_click_is_printed_and_works(desk: Desk) -> None:
    done = desk.run("--user", desk.entra.upn("ada"), *desk.product())
    assert done.returncode == 16, done.stderr
    url = next(line for line in done.stdout.splitlines() if "To look at the sign-in" in line).rpartition(" ")[2]
    page = desk.entra.sign_in(desk.entra.http.get(url))
    assert page.headers["location"].startswith(f"{REDIRECT}?code=")
    assert f"the browser ends at {REDIRECT}?code=" in done.stdout
    assert f"/adminconsent?client_id={desk.app.client_id}" in done.stdout
    assert "Connect to Microsoft" in done.stdout


def test_a_sign_in_is_finished_by_pasting_where_the_browser_ended(desk: Desk) -> None:
    command = [*COMMAND, "--sign-in", "paste", "--user", desk.entra.upn("ada"), *desk.product()]
    process = subprocess.Popen(
        command,
        env=desk.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=desk.folder,
    )
    heard = ""
    for line in process.stderr or ():
        heard += line
        if line.startswith("https://"):
            break
    ended = desk.entra.sign_in(desk.entra.http.get(line.strip())).headers["location"]
    out, err = process.communicate(f"{ended}\n", timeout=120)
    assert process.returncode == 0, out + err
    assert out.count("✓") == 6
    assert httpx.URL(ended).params["code"] not in out + err
    assert "warn" not in (heard + err).lower()


def test_a_mail_by_smtp_needs_no_registration_and_its_refusal_is_explained(desk: Desk) -> None:
    sandbox, tenant = desk.entra.sandbox, desk.entra.tenant
    (olga,) = sandbox.new_people(tenant, {"alias": "olga", "smtpAuth": "on", "mfa": "registered", "appPassword": True})
    name = olga.user_principal_name
    good = desk.run("--via", "smtp", "--user", name, "--password-file", "-", said=str(olga.app_password))
    assert good.returncode == 0, good.stdout + good.stderr
    assert "235 2.7.0" in good.stdout
    bad = desk.run("--via", "smtp", "--user", name, "--password-file", "-", said=str(olga.password))
    assert bad.returncode == 15
    assert "means: The name or the password is wrong, or the account has multifactor authentication" in bad.stdout
    assert "With MFA take an app password" in bad.stdout
    for done, secret in ((good, olga.app_password), (bad, olga.password)):
        assert secret
        assert secret not in done.stdout + done.stderr


def test_a_token_of_graph_on_smtp_is_explained_by_its_audience(desk: Desk) -> None:
    token = desk.entra.tokens(desk.app)["access_token"]
    options = ("--via", "smtp", "--user", desk.entra.upn("ada"), "--access-token-file", desk.file("token", token))
    told = json.loads(desk.run(*options, "--json").stdout)
    (refused,) = [step for step in told["steps"] if step["outcome"] == "refused"]
    assert (refused["step"], refused["said"][:9]) == ("AUTH XOAUTH2", "535 5.7.3")
    assert refused["remedy"].startswith("The token is for ")
    assert told["proven"] is False


def test_the_companys_own_exchange_by_ntlm(desk: Desk) -> None:
    sandbox = desk.entra.sandbox
    (ada,) = sandbox.new_accounts(desk.entra.tenant, {"alias": "ada"})
    where = ("--ews-autodiscover", f"{sandbox.base_url}/_onpremises/autodiscover/autodiscover.svc")
    options = ("--via", "ews", "--user", ada["mail"], "--ews-user", ada["domainUser"], *where)
    done = desk.run(*options, "--password-file", desk.file("password", ada["password"]))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 5
    assert ada["password"] not in done.stdout + done.stderr


def test_a_wrong_password_at_an_own_exchange_is_mended_as_its_way_of_signing_in_wants(desk: Desk) -> None:
    sandbox = desk.entra.sandbox
    (ada,) = sandbox.new_accounts(desk.entra.tenant, {"alias": "ada"})
    where = ("--ews-url", f"{sandbox.base_url}/_onpremises/EWS/Exchange.asmx", "--ews-auth", "ntlm")
    options = ("--via", "ews", "--user", ada["mail"], "--ews-user", ada["domainUser"], *where)
    done = desk.run(*options, "--password-file", "-", said="wrong")
    assert done.returncode == 15, done.stdout + done.stderr
    assert "means: Exchange does not accept the sign-in." in done.stdout
    assert "try --ews-auth basic" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "Who sends is not named"),
        (("--via", "secret", "--client-id", "x", "--stack", "s"), 2, "Give --stack or --client-id"),
        (("--user", "a@b.example", "--access-token-file", "-"), 3, "Standard input is empty"),
        (("--user", "ada", "--via", "smtp", "--password-file", "-"), 3, "'ada' is no e-mail address"),
        (("--user", "a@b.example", "--via", "smtp", "--password-file", "/nowhere"), 3, "/nowhere cannot be read"),
        (("--user", "a@b.example", "--via", "smtp", "--ask-password"), 2, "no terminal to ask"),
        (("--user", "a@b.example", "--via", "ews", "--ews-auth", "basic"), 2, "takes no password"),
        (
            ("--user", "a@b.example", "--via", "ews", "--ews-url", "http://mail/EWS/Exchange.asmx"),
            2,
            "not an https:// address",
        ),
        (("--user", "a@b.example"), 8, "There is no stack"),
        (("--user", "a@b.example"), 8, "A registration without a stack is named by --client-id and --tenant."),
        (("--via", "secret"), 8, "A registration without a stack is named by --client-id and --tenant."),
    ],
)
def test_a_wrong_command_line_is_one_sentence(desk: Desk, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = desk.run(*arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_a_password_is_asked_for_without_echo(desk: Desk) -> None:
    (olga,) = desk.entra.sandbox.new_people(desk.entra.tenant, {"alias": "olga", "smtpAuth": "on"})
    outer, inner = pty.openpty()
    command = [*COMMAND, "--via", "smtp", "--user", olga.user_principal_name, "--ask-password"]
    process = subprocess.Popen(
        command, env=desk.environment, stdin=inner, stdout=inner, stderr=inner, start_new_session=True, cwd=desk.folder
    )
    os.close(inner)
    heard = b""
    deadline = time.monotonic() + 60
    while b"Password or app password of" not in heard and time.monotonic() < deadline:
        heard += os.read(outer, 4096)
    time.sleep(0.5)  # getpass turns the echo off right after the prompt
    os.write(outer, f"{olga.password}\n".encode())
    try:
        while chunk := os.read(outer, 4096):
            heard += chunk
    except OSError:
        pass  # the other side has closed the terminal
    assert process.wait(60) == 0, heard
    os.close(outer)
    assert str(olga.password).encode() not in heard


def test_json_is_one_object_even_when_nothing_could_be_tried(desk: Desk) -> None:
    done = desk.run("--user", desk.entra.upn("ada"), "--via", "all", "--json", *desk.product())
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode, told["notTried"]) == (16, ["graph", "smtp", "ews"])
    assert any("/authorize?" in line for line in told["bySignIn"])
