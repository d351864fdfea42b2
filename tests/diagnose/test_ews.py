"""Exchange Web Services as the local tenant answers a real exchangelib; the judged cause is the layer that refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from entra_tenant import App, Entra, answered
from junitparser import JUnitXml

from provision.diagnose.forms.document import document
from provision.diagnose.forms.junit import junit
from provision.diagnose.forms.page import page
from provision.diagnose.forms.sarif import sarif
from provision.diagnose.judge import Diagnosis
from provision.sandbox.process import Person
from tests.diagnose.conftest import Clinic

EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
RESOURCE = "https://outlook.office365.com"


@dataclass(frozen=True)
class Ward:
    """The clinic with a product that uses Exchange Web Services, and one of its users."""

    clinic: Clinic
    entra: Entra
    app: App
    ada: Person
    since: int
    """The last request before this tenant's."""

    def ews(self, **wanted: Any) -> None:
        """Sets the organization, by default so that the product is let in."""
        allowed = {"enabled": True, "allowedAppIds": [self.app.client_id]}
        self.clinic.sandbox.set_ews(self.clinic.tenant, **{**allowed, **wanted})

    def consent(self) -> None:
        exchange = self.entra.graph("GET", f"/servicePrincipals?$filter=appId eq '{EXCHANGE}'")["value"][0]
        grant = {"clientId": self.app.principal_id, "consentType": "AllPrincipals", "resourceId": exchange["id"]}
        self.entra.graph("POST", "/oauth2PermissionGrants", {**grant, "scope": "EWS.AccessAsUser.All"})

    def full_access(self) -> None:
        """Consent to the application permission."""
        exchange = self.entra.graph("GET", f"/servicePrincipals?$filter=appId eq '{EXCHANGE}'")["value"][0]
        role = next(role["id"] for role in exchange["appRoles"] if role["value"] == "full_access_as_app")
        body = {"principalId": self.app.principal_id, "resourceId": exchange["id"], "appRoleId": role}
        self.entra.graph("POST", f"/servicePrincipals/{exchange['id']}/appRoleAssignedTo", body)

    def token(self, scope: str = f"{RESOURCE}/EWS.AccessAsUser.All") -> str:
        """The user's own, as the product gets it."""
        self.entra.http.cookies.clear()
        page = self.entra.authorize(self.app, scope=f"openid {scope}")
        landed = self.entra.sign_in(page, self.ada.user_principal_name.partition("@")[0], self.ada.password)
        return str(self.entra.redeem(self.app, answered(landed)["code"]).json()["access_token"])

    def diagnose(self, **asked: Any) -> Diagnosis:
        return self.clinic.diagnose(self.ada, "ews", client_id=self.app.client_id, **asked)

    def refused_at(self) -> str | None:
        """The layer that the local tenant noted for the last request to Exchange Web Services."""
        rows = [row for row in self.clinic.sandbox.log(self.since) if row["path"].lower().startswith("/ews/")]
        return rows[-1]["code"] if rows else None


@pytest.fixture
def ward(clinic: Clinic, http: httpx.Client) -> Ward:
    entra = Entra(http, clinic.tenant, clinic.sandbox)
    made = Ward(clinic, entra, entra.register(), clinic.person("patient"), clinic.sandbox.log()[-1]["n"])
    made.consent()
    return made


def mailbox_off(ward: Ward) -> None:
    ward.ews(mailboxes={ward.ada.user_principal_name: False})


def user_agent(policy: str, **lists: list[str]) -> Callable[[Ward], None]:
    def change(ward: Ward) -> None:
        ward.ews(applicationAccessPolicy=policy, **lists)

    return change


def after_the_end(ward: Ward) -> None:
    ward.ews()
    seconds = (datetime(2027, 4, 2, tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    ward.clinic.sandbox.set_faults(clock_skew=seconds)


STORIES: dict[str, tuple[Callable[[Ward], None], str, str]] = {
    "nothing was set": (lambda ward: ward.ews(enabled=None), "ews-organisation-off", "ews-organization-off"),
    "organization off": (lambda ward: ward.ews(enabled=False), "ews-organisation-off", "ews-organization-off"),
    "mailbox off": (mailbox_off, "ews-mailbox-off", "ews-mailbox-off"),
    "not listed": (
        lambda ward: ward.ews(allowedAppIds=["99999999-8888-7777-6666-555544443333"]),
        "ews-application-list",
        "ews-application-not-listed",
    ),
    "allow list": (
        user_agent("EnforceAllowList", allowList=["CloudexTMS/*"]),
        "ews-user-agent-list",
        "ews-client-not-listed",
    ),
    "empty allow list": (user_agent("EnforceAllowList"), "ews-user-agent-list", "ews-client-not-listed"),
    "block list": (
        user_agent("EnforceBlockList", blockList=["exchangelib/*"]),
        "ews-user-agent-list",
        "ews-client-not-listed",
    ),
    "after the end": (after_the_end, "ews-retired", "ews-retired"),
}
LISTED = {"allow list", "block list"}
"""What only an answer shows: no setting tells the product's User-Agent."""


@pytest.mark.parametrize("name", STORIES)
def test_the_judged_cause_is_the_layer_that_refused_a_real_exchangelib(ward: Ward, name: str) -> None:
    change, layer, rule = STORIES[name]
    token = ward.token()
    change(ward)
    if name == "after the end":
        token = ward.token()
    diagnosis = ward.diagnose(ews_token=token)
    (verdict,) = diagnosis.verdicts
    assert ward.refused_at() == layer
    assert (verdict.state, verdict.causes[0].rule.id) == ("stopped", rule)
    assert verdict.causes[0].confirmed == ("ews",)
    assert any(
        "asked by exchangelib: Exchange refuses to open the mailbox (HTTP 403" in line
        for line in verdict.causes[0].seen
    )
    assert "Microsoft Graph" in verdict.causes[0].remedy.say
    assert token not in repr(diagnosis)


@pytest.mark.parametrize("name", sorted(set(STORIES) - LISTED))
def test_the_settings_alone_tell_the_same_cause(ward: Ward, name: str) -> None:
    change, _, rule = STORIES[name]
    change(ward)
    (verdict,) = ward.diagnose().verdicts
    assert (verdict.state, verdict.causes[0].rule.id) == ("stopped", rule)
    assert verdict.causes[0].confirmed == ()
    assert ward.refused_at() is None, "without a token nobody knocks"


@pytest.mark.parametrize("name", sorted(LISTED))
def test_a_list_of_clients_alone_is_no_cause(ward: Ward, name: str) -> None:
    STORIES[name][0](ward)
    assert ward.diagnose().verdicts[0].state == "free"


def test_a_listed_application_is_let_in_and_nothing_is_sent(ward: Ward) -> None:
    ward.ews()
    assert ward.diagnose().verdicts[0].state == "free"
    (verdict,) = ward.diagnose(ews_token=ward.token()).verdicts
    assert (verdict.state, verdict.causes) == ("open", ())
    found = ward.entra.graph("GET", f"/users/{ward.ada.user_principal_name}/messages")
    assert found["value"] == []


def test_a_token_for_graph_is_told_as_that(ward: Ward) -> None:
    ward.ews()
    ward.entra.consent(ward.app)
    (verdict,) = ward.diagnose(ews_token=ward.token("https://graph.microsoft.com/Mail.Send")).verdicts
    assert ward.refused_at() == "token"
    assert [one.rule.id for one in verdict.causes] == ["ews-audience"]


def test_missing_consent_is_a_cause_by_itself(ward: Ward) -> None:
    ward.ews()
    for grant in ward.entra.graph("GET", f"/oauth2PermissionGrants?$filter=clientId eq '{ward.app.principal_id}'")[
        "value"
    ]:
        ward.entra.graph("DELETE", f"/oauth2PermissionGrants/{grant['id']}")
    assert [one.rule.id for one in ward.diagnose().verdicts[0].causes] == ["consent-missing-ews"]
    ward.full_access()
    assert ward.diagnose().verdicts[0].state == "free"


def test_the_application_s_own_secret_knocks_only_where_it_may_open_every_mailbox(ward: Ward) -> None:
    ward.ews()
    secret = ward.app.secret
    assert ward.diagnose(client_secret=secret).verdicts[0].state == "free"
    assert ward.refused_at() is None
    ward.full_access()
    assert ward.diagnose(client_secret=secret).verdicts[0].state == "open"
    ward.ews(mailboxes={ward.ada.user_principal_name: False})
    (verdict,) = ward.diagnose(client_secret=secret).verdicts
    assert (ward.refused_at(), verdict.causes[0].rule.id) == ("ews-mailbox-off", "ews-mailbox-off")
    assert verdict.causes[0].confirmed == ("ews",)


def test_every_form_tells_the_live_refusal(ward: Ward) -> None:
    token = ward.token()
    ward.ews(allowedAppIds=["99999999-8888-7777-6666-555544443333"])
    diagnosis = ward.diagnose(ews_token=token)
    told = "EWS is blocked by policy for this user or tenant"
    drawn = page(diagnosis)
    assert "EWS allow lists" in drawn
    assert told in drawn
    (run,) = json.loads(json.dumps(sarif(diagnosis)))["runs"]
    assert [one["ruleId"] for one in run["results"] if told in json.dumps(one)] == ["ews-application-not-listed"]
    (suite,) = JUnitXml.fromstring(junit(diagnosis).encode())
    assert suite.failures == 1
    assert told in junit(diagnosis)
    assert document(diagnosis)["ways"][0]["layer"] == "ews-list"


def test_the_command_takes_the_token_from_its_file_and_shows_it_nowhere(ward: Ward, tmp_path: Path) -> None:
    token, file = ward.token(), tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    ward.ews(enabled=False)
    host = ward.clinic.sandbox.base_url.removeprefix("https://")
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "SSL_CERT_FILE": str(ward.clinic.sandbox.ca_file),
        "ARM_TENANT_ID": ward.clinic.tenant.tenant_id,
        "ARM_CLIENT_ID": ward.clinic.tenant.admin_client_id,
        "ARM_CLIENT_SECRET": ward.clinic.tenant.admin_client_secret,
    }
    asked = ("--via", "ews", "--mailbox", ward.ada.user_principal_name, "--client-id", ward.app.client_id, "--no-dns")
    command = [sys.executable, "-m", "provision", "diagnose", *asked, "--metadata-host", host]
    done = subprocess.run(
        [*command, "--ews-token-file", str(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 15, done.stdout + done.stderr
    assert "[ews-organization-off]" in done.stdout
    assert "EWS is disabled for this user or tenant" in done.stdout
    assert token not in done.stdout + done.stderr
    quiet = subprocess.run(
        [*command, "--ews-token-file", str(file), "--no-connect"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "[ews-organization-off]" in quiet.stdout
    assert "EWS is disabled for this user or tenant" not in quiet.stdout
