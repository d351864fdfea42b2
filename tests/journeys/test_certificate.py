"""Certificates and federation on the command line: a hand-made registration's, a stack's, and tenants that say no."""

from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any

import httpx
from rotations import assertion
from trial import PROVISION, Trial, trusting

from provision import errors


def credential(trial: Trial, *words: str) -> CompletedProcess[str]:
    return trial.run([str(PROVISION), "credential", *words])


def done(trial: Trial, *words: str) -> dict[str, Any]:
    """A run that succeeds: its JSON."""
    finished = credential(trial, *words, "--json")
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout)
    return told


def keys(trial: Trial, client_id: str) -> dict[str, str]:
    """Key id and name of the registration's certificates."""
    app = next(a for a in trial.get("/applications") if a["appId"] == client_id)
    return {row["keyId"]: row["displayName"] for row in app["keyCredentials"]}


def signs_in(trial: Trial, client_id: str, pem: str) -> bool:
    url = f"{trial.sandbox.base_url}/{trial.tenant.tenant_id}/oauth2/v2.0/token"
    form = {"grant_type": "client_credentials", "client_id": client_id, "scope": f"{trial.sandbox.base_url}/.default"}
    form |= assertion(pem, client_id, url)
    return httpx.post(url, data=form, verify=trusting(trial.sandbox), trust_env=False).status_code == 200


def restrict(trial: Trial, rule: dict[str, Any]) -> None:
    body = {"isEnabled": True, "applicationRestrictions": {"keyCredentials": [rule]}}
    trial.request("PATCH", "/policies/defaultAppManagementPolicy", body).raise_for_status()


def test_a_registration_made_by_hand_gets_a_certificate_beside_what_it_has(trial: Trial) -> None:
    client_id = trial.click()
    theirs = trial.add_certificate(client_id, "theirs")
    file = trial.project / "mail.pem"
    words = ("certificate", "--client-id", client_id, "--sink", f"file:{file}")
    planned = credential(trial, *words, "--dry-run")
    assert "make a certificate and prove that it works" in planned.stdout
    assert f"leave theirs ({theirs}) alone" in planned.stdout
    assert not file.exists()
    told = done(trial, *words)
    assert told["foreign"] == [theirs]
    old = file.read_text()
    assert signs_in(trial, client_id, old)
    assert file.stat().st_mode & 0o777 == 0o600
    not_due = credential(trial, *words)
    assert not_due.stdout.startswith("not due: ")
    assert len(not_due.stdout.splitlines()) == 1
    told = done(trial, *words, "--now", "--overlap", "0s", "--retire", theirs)
    assert set(told["retired"]) >= {theirs}
    assert keys(trial, client_id) == {told["active"]["keyId"]: "CLOUDEX TMS certificate B"}
    assert signs_in(trial, client_id, file.read_text())
    assert not signs_in(trial, client_id, old)


def test_a_stacks_certificate_is_known_to_status_and_no_run_of_pulumi_touches_it(trial: Trial) -> None:
    up = trial.up()
    assert "docs/certificates.md" in up.stderr
    file = trial.project / "mail.pem"
    words = ("certificate", "--stack", "sweep", "--sink", f"file:{file}", "--days", "30")
    told = done(trial, *words)
    client_id, key_id = told["clientId"], told["active"]["keyId"]
    status = trial.run([str(PROVISION), "secrets", "status", "--stack", "sweep", "--json"])
    assert status.returncode == errors.Expiring.exit_code
    assert "provision credential certificate --stack sweep" in status.stdout + status.stderr
    again = trial.up()
    assert again.returncode == 0
    assert "docs/certificates.md" not in again.stderr
    assert list(keys(trial, client_id)) == [key_id]
    taken = trial.run([str(PROVISION), "rotate", "--stack", "sweep", "--now", "--sink", f"file:{file}"])
    assert taken.returncode == errors.InvalidInput.exit_code
    assert "holds the certificate of" in taken.stderr


def test_a_policy_shortens_a_life_or_refuses_what_was_asked_for(trial: Trial) -> None:
    client_id = trial.click()
    restrict(trial, {"restrictionType": "asymmetricKeyLifetime", "maxLifetime": "P30D"})
    words = ("certificate", "--client-id", client_id, "--sink", f"file:{trial.project}/mail.pem")
    refused = credential(trial, *words, "--days", "90")
    assert refused.returncode == errors.PolicyRefuses.exit_code
    assert "allows at most 30 days" in refused.stderr
    assert keys(trial, client_id) == {}
    made = credential(trial, *words)
    assert made.returncode == 0
    assert "allows certificates for at most 30 days" in made.stderr
    assert credential(trial, *words).stdout.startswith("not due: ")


def test_what_cannot_be_done_is_said_before_anything_is_made(trial: Trial) -> None:
    client_id = trial.click()
    for words, code in (
        (("--sink", f"envfile:{trial.project}/mail.env"), errors.InvalidInput.exit_code),
        ((), errors.InvalidInput.exit_code),
        (("--sink", "file:/nowhere/mail.pem"), errors.InvalidInput.exit_code),
        (("--sink", f"file:{trial.project}/mail.pem", "--days", "900"), errors.InvalidInput.exit_code),
        (("--stack", "sweep", "--sink", f"file:{trial.project}/mail.pem"), errors.Usage.exit_code),
    ):
        assert credential(trial, "certificate", "--client-id", client_id, *words).returncode == code, words
    assert keys(trial, client_id) == {}


def test_federation_on_the_command_line(trial: Trial) -> None:
    client_id = trial.click()
    subject = "repo:contoso/mail:ref:refs/heads/main"
    token = trial.project / "token"
    token.write_text(trial.sandbox.ci_token("github", subject))
    issuer = f"{trial.sandbox.base_url}/_oidc/github"
    words = ("federated", "--client-id", client_id, "--issuer", issuer, "--subject", subject)
    told = done(trial, *words, "--name", "pipeline", "--prove-with-token-file", str(token))
    assert (told["changed"], told["proven"]) == (True, True)
    assert [row["name"] for row in told["credentials"]] == ["pipeline"]
    assert done(trial, *words)["changed"] is False
    assert (
        credential(trial, "federated", "--client-id", client_id).stdout == f"trusts pipeline: {subject} of {issuer}\n"
    )
    assert credential(trial, "federated", "--client-id", client_id, "--issuer", issuer).returncode == 2
    assert done(trial, "federated", "--client-id", client_id, "--remove", "pipeline")["credentials"] == []
