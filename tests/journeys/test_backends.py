"""State on a shared backend, as fleets keep it: the same program, engine and state, on a real server of each kind."""

from __future__ import annotations

import pytest
from stores import Place, in_azurite, in_postgres
from trial import NAME, PROVISION, Found, Trial

ONE = Found(applications=1, service_principals=1, grants=1, secrets=1, working=1)
PLACES = {"azurite": in_azurite, "postgres": in_postgres}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    """A new container or database (S3: ``tests/engine/test_backends.py``)."""
    return PLACES[request.param](request.getfixturevalue(request.param))


def provision(trial: Trial, *arguments: str):
    return trial.run([str(PROVISION), *arguments, "--stack", "sweep"])


def test_the_whole_life_of_a_registration_with_its_state_elsewhere(trial: Trial, place: Place) -> None:
    trial.environment |= {"PULUMI_BACKEND_URL": place.url, **place.environ}
    made = trial.up()
    assert made.returncode == 0, made.stderr
    assert trial.found() == ONE
    unchanged = provision(trial, "preview", "--expect-no-changes")
    assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr
    line, environment = trial.pulumi("up", "--yes", "--non-interactive", "--stack", "sweep", "--expect-no-changes")
    plain = trial.run(line, environment)
    assert plain.returncode == 0, plain.stdout + plain.stderr
    gone = provision(trial, "destroy", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert [app for app in trial.get("/applications") if app["displayName"] == NAME] == []
    assert not (trial.project / "data" / "state").exists()
