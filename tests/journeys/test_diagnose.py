"""``provision diagnose`` as somebody runs it: on a stack of the real engine, with a page in a real browser."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from chromium import Browser
from trial import NAME, PROVISION, Trial, trusting

STACK = ("--stack", "sweep")


def provision(trial: Trial, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**trial.environment, "PROVISION_SMTP_ADDRESS": trial.sandbox.smtp_address}
    done = trial.run([str(PROVISION), *arguments], environment)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    made = Browser(tmp_path / "browser", None, resolver="MAP * ~NOTFOUND")
    yield made
    made.close()


def redirects(trial: Trial) -> list[str]:
    """What is registered as Web."""
    (app,) = [app for app in trial.get("/applications") if app["displayName"] == NAME]
    return list(app["web"]["redirectUris"])


def test_a_stack_s_wrong_redirect_is_named_and_left_to_provision_up(trial: Trial) -> None:
    """The secret, the redirect and the sign-in are the stack's; ``--fix`` changes nothing that Pulumi owns."""
    assert trial.up().returncode == 0
    (ada,) = trial.sandbox.new_people(trial.tenant, {"alias": "patient"})
    asked = ("diagnose", "--via", "graph", "--mailbox", ada.user_principal_name, *STACK)
    well = provision(trial, *asked)
    assert well.returncode == 0, well.stdout + well.stderr
    right = redirects(trial)
    (app,) = [app for app in trial.get("/applications") if app["displayName"] == NAME]
    wrong = [right[0].lower()]
    token = trial.token(trial.tenant.admin_client_id, trial.tenant.admin_client_secret)
    httpx.patch(
        f"{trial.sandbox.base_url}/v1.0/applications/{app['id']}",
        json={"web": {"redirectUris": wrong}},
        headers={"Authorization": f"Bearer {token}"},
        verify=trusting(trial.sandbox),
        trust_env=False,
    ).raise_for_status()
    ill = provision(trial, *asked)
    assert ill.returncode == 15, ill.stdout + ill.stderr
    assert right[0] in ill.stdout
    left = provision(trial, *asked, "--fix", "--yes")
    assert left.returncode == 15
    both = "provision refresh --stack sweep && provision up --stack sweep"
    assert f"command: {both}\n" in ill.stdout
    assert f"the stack owns it; put it right by: {both}\n" in left.stderr
    assert "nothing to mend here" in left.stderr
    assert redirects(trial) == wrong, "one owner"
    assert provision(trial, "up", *STACK).returncode == 0
    assert redirects(trial) == wrong, "up alone does not see what somebody clicked"
    assert provision(trial, "refresh", *STACK).returncode == 0
    assert provision(trial, "up", *STACK).returncode == 0
    assert redirects(trial) == right
    assert provision(trial, *asked).returncode == 0


def secrets(trial: Trial, client_id: str) -> list[str]:
    """The names of a registration's client secrets."""
    (app,) = [app for app in trial.get("/applications") if app["appId"] == client_id]
    return [one["displayName"] for one in app["passwordCredentials"]]


def test_a_stack_that_is_not_there_is_said_with_those_that_are(trial: Trial) -> None:
    """Not that its company code is missing, which would only be the next complaint."""
    asked = ("diagnose", "--stack", "swep")
    nothing = provision(trial, *asked)
    assert (nothing.returncode, nothing.stdout) == (8, "")
    assert "There is no stack swep in " in nothing.stderr
    assert trial.up().returncode == 0
    for options in ((), ("--credential", "client-secret")):
        named = provision(trial, *asked, *options)
        assert (named.returncode, named.stdout) == (8, "")
        assert "There is no stack swep in " in named.stderr
        assert "; there is sweep." in named.stderr
        assert "companyCode" not in named.stderr


def test_a_stack_s_expired_secret_is_renewed_where_the_stack_says(trial: Trial) -> None:
    """Half a year on, mail has stopped: the plan names the place, and afterwards the product's file has what works."""
    file = trial.project / "mail.env"
    made = trial.run([*trial.up_command(), "--secret-months", "6", "--sink", f"envfile:{file}"])
    assert made.returncode == 0, made.stderr
    before = trial.outputs()
    (ada,) = trial.sandbox.new_people(trial.tenant, {"alias": "patient"})
    asked = ("diagnose", "--via", "graph", "--mailbox", ada.user_principal_name, *STACK)
    trial.sandbox.set_faults(clock_skew=200 * 86400.0)
    ill = provision(trial, *asked)
    assert (ill.returncode, "[secret-expired]" in ill.stdout) == (15, True), ill.stdout + ill.stderr
    mended = provision(trial, *asked, "--fix", "--yes")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    plan = mended.stderr[: mended.stderr.index("done: renew the client secret")]
    assert "would renew the client secret, as provision rotate --now does [secret-expired, secret-refused]" in plan
    assert f"  write it to envfile:{file}#MAIL_CLIENT_SECRET" in plan
    after = trial.outputs()
    assert after["secretKeyId"] != before["secretKeyId"]
    assert file.read_text().strip() == f"MAIL_CLIENT_SECRET={after['clientSecret']}"
    assert after["clientSecret"] not in mended.stdout + mended.stderr
    assert trial.token(str(after["clientId"]), str(after["clientSecret"]))
    assert provision(trial, *asked).returncode == 0


def test_a_hand_made_registration_s_secret_is_renewed_only_where_its_place_is_named(trial: Trial) -> None:
    """Without a place the command to give it one is said; a place that cannot be written stops the renewal."""
    file = trial.project / "mail.env"
    made = trial.request("POST", "/applications", {"displayName": "by hand", "signInAudience": "AzureADMyOrg"})
    client_id = str(made.raise_for_status().json()["appId"])
    end = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    body = {"passwordCredential": {"displayName": "clicked", "endDateTime": end}}
    trial.request("POST", f"/applications/{made.json()['id']}/addPassword", body).raise_for_status()
    trial.sandbox.set_faults(clock_skew=3 * 86400.0)
    asked = ("diagnose", "--via", "graph", "--client-id", client_id, "--fix", "--yes")
    nowhere = provision(trial, *asked)
    assert nowhere.returncode == 15, nowhere.stderr
    assert f"provision rotate --now --client-id {client_id} --sink KIND:PLACE" in nowhere.stderr
    refused = provision(trial, *asked, "--sink", "envfile:/nowhere/mail.env")
    assert (
        refused.returncode,
        "it cannot be renewed: /nowhere/mail.env cannot be written: /nowhere is not a folder" in refused.stderr,
    ) == (15, True), refused.stderr
    unasked = provision(trial, *asked[:-1], "--sink", f"envfile:{file}")
    assert (unasked.returncode, "would renew the client secret" in unasked.stderr) == (2, True), unasked.stderr
    assert secrets(trial, client_id) == ["clicked"], "no secret was made so far"
    done = provision(trial, *asked, "--sink", f"envfile:{file}")
    assert "secret-expired" not in done.stdout, done.stdout + done.stderr
    assert secrets(trial, client_id) == ["clicked", "CLOUDEX Secret A"]
    assert trial.token(client_id, file.read_text().strip().removeprefix("MAIL_CLIENT_SECRET="))


def test_a_page_for_a_person_is_written_and_opens_without_a_network(
    trial: Trial, browser: Browser, tmp_path: Path
) -> None:
    """Without a stack; the screen has the verdicts, the file everything, and a place that cannot be is one sentence."""
    (ada,) = trial.sandbox.new_people(trial.tenant, {"alias": "patient", "smtpAuth": "off"})
    file = tmp_path / "why.html"
    asked = ("diagnose", "--via", "smtp", "--mailbox", ada.user_principal_name, "--html")
    done = provision(trial, *asked, str(file))
    assert done.returncode == 15, done.stdout + done.stderr
    assert "SMTP" in done.stdout
    assert "<html" not in done.stdout
    assert not stat.S_IMODE(file.stat().st_mode) & 0o022
    browser.size(360)
    browser.go(file.as_uri())
    browser.see(f"Why mail does not go out: {ada.user_principal_name}")
    browser.see("Set-CASMailbox")
    assert "stops here" in browser.find("svg .stop").text
    assert browser.scroll_width() <= 360
    nowhere = provision(trial, *asked, str(tmp_path / "no folder" / "why.html"))
    assert (nowhere.returncode, "cannot be written" in nowhere.stderr) == (3, True), nowhere.stderr
