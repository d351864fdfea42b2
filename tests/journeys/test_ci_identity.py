"""The pipeline's own identity: made once by an administrator, used by every later run, gone without a trace."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest
from trial import NAME, PROVISION, Trial

SUBJECT = "repo:contoso/mail:ref:refs/heads/main"
CI_NAME = "Mail integration: CI"


@pytest.fixture
def mail(trial: Trial) -> dict[str, str]:
    """The mail registration, made by the administrator."""
    made = trial.up()
    assert made.returncode == 0, made.stderr
    (application,) = [app for app in trial.get("/applications") if app["displayName"] == NAME]
    return {"object": application["id"], "client": application["appId"]}


def pulumi(trial: Trial, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Plain Pulumi in the program's folder, as docs/credentials.md has it."""
    done = trial.run(*trial.pulumi("-C", "stacks/ci_identity", *arguments, "--stack", "contoso", "--non-interactive"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def client_id(trial: Trial, mail: dict[str, str]) -> str:
    """The identity's client id, once it is made."""
    trial.run(*trial.pulumi("-C", "stacks/ci_identity", "stack", "init", "contoso")).check_returncode()
    for key, value in {"system": "github", "subject": SUBJECT, "mailClientId": mail["client"]}.items():
        pulumi(trial, "config", "set", key, value)
    pulumi(trial, "up", "--yes", "--skip-preview")
    return pulumi(trial, "stack", "output", "ARM_CLIENT_ID").stdout.strip()


def token(trial: Trial, http: httpx.Client, client_id: str, subject: str) -> httpx.Response:
    """Entra's answer to a job of the repository: its own token in place of a secret."""
    assertion = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": trial.sandbox.ci_token("github", subject, public_issuer=True),
        "scope": f"{trial.sandbox.base_url}/.default",
    }
    return http.post(f"/{trial.tenant.tenant_id}/oauth2/v2.0/token", data=assertion)


def test_it_is_made_once_without_a_secret_and_for_one_branch(
    trial: Trial, http: httpx.Client, mail: dict[str, str], client_id: str
) -> None:
    pulumi(trial, "preview", "--expect-no-changes")
    (application,) = [app for app in trial.get("/applications") if app["displayName"] == CI_NAME]
    assert application["appId"] == client_id
    assert application["passwordCredentials"] == application["keyCredentials"] == []
    (principal,) = trial.get(f"/servicePrincipals?$filter=appId eq '{client_id}'")
    assert [owner["id"] for owner in trial.get(f"/applications/{mail['object']}/owners")] == [principal["id"]]
    assert token(trial, http, client_id, SUBJECT).status_code == 200
    elsewhere = token(trial, http, client_id, SUBJECT.replace("main", "fork"))
    assert "AADSTS700213" in elsewhere.text
    unchanged = trial.run([str(PROVISION), "preview", "--stack", "sweep", "--expect-no-changes"])
    assert unchanged.returncode == 0, unchanged.stdout


def test_it_changes_the_secrets_of_what_it_owns_and_of_nothing_else(
    trial: Trial, http: httpx.Client, mail: dict[str, str], client_id: str
) -> None:
    foreign = trial.get(f"/applications?$filter=appId eq '{trial.click()}'")[0]
    signed_in = token(trial, http, client_id, SUBJECT).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {signed_in}"
    body = {"passwordCredential": {"displayName": "by the pipeline"}}
    made = http.post(f"/v1.0/applications/{mail['object']}/addPassword", json=body)
    assert made.status_code == 200, made.text
    removed = http.post(f"/v1.0/applications/{mail['object']}/removePassword", json={"keyId": made.json()["keyId"]})
    assert removed.status_code == 204, removed.text
    refused = http.post(f"/v1.0/applications/{foreign['id']}/addPassword", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert http.delete(f"/v1.0/applications/{foreign['id']}").status_code == 403
    grants = trial.get("/oauth2PermissionGrants")
    assert http.delete(f"/v1.0/oauth2PermissionGrants/{grants[0]['id']}").status_code == 403


def test_a_pipeline_signed_in_as_it_runs_up_and_leaves_the_consent_that_it_may_not_see(
    trial: Trial, mail: dict[str, str], client_id: str, tmp_path: Path
) -> None:
    """No secret in the job's environment, and Application.ReadWrite.OwnedBy alone: it lists no grants."""
    before = trial.outputs()
    given = tmp_path / "token"
    given.write_text(trial.sandbox.ci_token("github", SUBJECT, public_issuer=True))
    job = {name: value for name, value in trial.environment.items() if name != "ARM_CLIENT_SECRET"}
    job |= {"ARM_CLIENT_ID": client_id, "ARM_USE_OIDC": "true", "ARM_OIDC_TOKEN_FILE_PATH": str(given)}
    moved = trial.sandbox.base_url + "/Acme-2/Services/Office365Callback.aspx"
    asked = ["--stack", "sweep", "--company-code", "Acme-2", "--redirect-uri", moved]
    done = trial.run([str(PROVISION), "up", *asked], job)
    assert done.returncode == 0, done.stderr
    assert "may not read the tenant's consents" in done.stderr
    after = trial.outputs()
    assert (after["redirectUri"], after["clientSecret"]) == (moved, before["clientSecret"])
    assert trial.found().grants == 1
    unchanged = trial.run([str(PROVISION), "preview", "--stack", "sweep", "--expect-no-changes"], job)
    assert unchanged.returncode == 0, unchanged.stdout


def test_destroyed_it_leaves_nothing_behind(trial: Trial, mail: dict[str, str], client_id: str) -> None:
    (principal,) = trial.get(f"/servicePrincipals?$filter=appId eq '{client_id}'")
    pulumi(trial, "destroy", "--yes", "--skip-preview")
    assert [app for app in trial.get("/applications") if app["displayName"] == CI_NAME] == []
    assert trial.get(f"/servicePrincipals?$filter=appId eq '{client_id}'") == []
    graph = trial.get("/servicePrincipals?$filter=appId eq '00000003-0000-0000-c000-000000000000'")[0]
    assigned = trial.get(f"/servicePrincipals/{graph['id']}/appRoleAssignedTo?$top=999")
    assert [one for one in assigned if one["principalId"] == principal["id"]] == []
    assert trial.get(f"/applications/{mail['object']}/owners") == []
    assert [app["id"] for app in trial.get("/applications") if app["displayName"] == NAME] == [mail["object"]]
