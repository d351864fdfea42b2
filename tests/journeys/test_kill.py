"""A killed run is finished by the next one. ``make sweep`` kills at every request; here are the points that matter.

Named by the request at which everything is killed: an answer that never arrives is the hardest case, because Entra has
made something that nobody here knows of.
"""

from __future__ import annotations

import pytest
from sweep import prepared
from trial import NAME, PROVISION, Found, Trial

ONE = Found(applications=1, service_principals=1, grants=1, secrets=1, working=1)
WRITES = {
    "the registration": "/v1.0/applications$",
    "the enterprise application": "/v1.0/servicePrincipals$",
    "the secret": "/addPassword$",
    "the consent": "/v1.0/oauth2PermissionGrants$",
}


@pytest.mark.parametrize("action", ["hold_before", "hold_after"])
@pytest.mark.parametrize("write", WRITES)
def test_a_run_killed_at_a_write_is_finished_by_the_next(trial: Trial, write: str, action: str) -> None:
    rule = {"name": "kill", "action": action, "match": {"method": "POST", "path": WRITES[write]}, "count": 1}
    assert trial.killed_at(trial.up_command(), trial.environment, rule)
    again = trial.up()
    assert again.returncode == 0, again.stderr
    assert trial.found() == ONE
    settled = trial.run([str(PROVISION), "preview", "--stack", "sweep", "--expect-no-changes"])
    assert settled.returncode == 0, settled.stdout


@pytest.mark.parametrize("command", ["provision", "pulumi"])
def test_a_secret_whose_answer_was_lost_is_replaced_by_the_next_run(trial: Trial, command: str) -> None:
    """The engine ends in good order here, knows of nothing, and its state lists nothing."""
    line, environment = prepared(trial, command)
    drop = {"action": "drop_after", "match": {"method": "POST", "path": "/addPassword$"}}
    trial.sandbox.set_faults([drop])
    assert trial.run(line, environment).returncode != 0
    trial.sandbox.clear_faults()
    app = next(a for a in trial.get("/applications") if a["displayName"] == NAME)
    body = {"passwordCredential": {"displayName": "CLOUDEX Secret"}}
    foreign = trial.request("POST", f"/applications/{app['id']}/addPassword", body).json()
    again = trial.up()
    assert again.returncode == 0, again.stderr
    assert trial.token(app["appId"], foreign["secretText"])
    found = trial.found()
    assert (found.secrets, found.working, found.applications) == (2, 1, 1)


def test_a_foreign_secret_survives_the_clean_up_after_a_kill(trial: Trial) -> None:
    rule = {"name": "kill", "action": "hold_after", "match": {"method": "POST", "path": "/addPassword$"}, "count": 1}
    assert trial.killed_at(trial.up_command(), trial.environment, rule)
    app = next(a for a in trial.get("/applications") if a["displayName"] == NAME)
    body = {"passwordCredential": {"displayName": "CLOUDEX Secret"}}
    foreign = trial.request("POST", f"/applications/{app['id']}/addPassword", body).json()
    assert trial.up().returncode == 0
    assert trial.token(app["appId"], foreign["secretText"])
    assert trial.found().secrets == 2


def test_destroy_after_a_kill_leaves_no_registration_behind(trial: Trial) -> None:
    rule = {"name": "kill", "action": "hold_after", "match": {"method": "POST", "path": "/v1.0/applications$"}}
    assert trial.killed_at(trial.up_command(), trial.environment, rule)
    assert [app for app in trial.get("/applications") if app["displayName"] == NAME]
    done = trial.run([str(PROVISION), "destroy", "--stack", "sweep", "--yes"])
    assert done.returncode == 0, done.stderr
    assert [app for app in trial.get("/applications") if app["displayName"] == NAME] == []
