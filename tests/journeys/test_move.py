"""A secret in use changes its keeper, there and back, and works all the time; plain Pulumi agrees afterwards."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

from trial import NAME, PROVISION, Trial

from provision import errors


def move(trial: Trial, to: str, *words: str) -> CompletedProcess[str]:
    return trial.run([str(PROVISION), "secrets", "move", "--stack", "sweep", "--to", to, *words])


def keys(trial: Trial) -> list[str]:
    app = next(a for a in trial.get("/applications") if a["displayName"] == NAME)
    return [password["keyId"] for password in app["passwordCredentials"]]


def unchanged(trial: Trial) -> None:
    """Plain Pulumi finds nothing to do, the tenant read anew as well."""
    for more in ((), ("--refresh",)):
        line, environment = trial.pulumi("preview", "--stack", "sweep", "--expect-no-changes", *more)
        done = trial.run([*line, "--non-interactive"], environment)
        assert done.returncode == 0, done.stdout + done.stderr


def exported(trial: Trial) -> str:
    line, environment = trial.pulumi("stack", "export", "--stack", "sweep", "--show-secrets")
    done = trial.run(line, environment)
    done.check_returncode()
    return done.stdout


def test_there_and_back(trial: Trial) -> None:
    file = trial.project / "mail.env"
    assert trial.up().returncode == 0
    before = trial.outputs()
    value = str(before["clientSecret"])
    assert "has no sink" in move(trial, "graph").stderr

    there = move(trial, "graph", "--sink", f"envfile:{file}")
    assert there.returncode == 0, there.stderr
    assert value in file.read_text()
    assert value not in exported(trial)
    assert keys(trial) == [before["secretKeyId"]]
    outputs = trial.outputs()
    assert outputs.get("clientSecret") is None
    assert outputs["secretKeyId"] == before["secretKeyId"]
    assert trial.up().returncode == 0
    unchanged(trial)

    back = move(trial, "state")
    assert back.returncode == 0, back.stderr
    assert trial.outputs() == before
    assert keys(trial) == [before["secretKeyId"]]
    unchanged(trial)
    assert trial.token(str(before["clientId"]), value)
    line, environment = trial.pulumi("destroy", "--stack", "sweep", "--yes", "--non-interactive")
    assert trial.run(line, environment).returncode == 0
    assert [a for a in trial.get("/applications") if a["displayName"] == NAME] == []


def test_a_rotation_follows_a_move(trial: Trial) -> None:
    file = trial.project / "mail.env"
    assert trial.run([*trial.up_command(), "--sink", f"envfile:{file}"]).returncode == 0
    assert move(trial, "graph").returncode == 0
    rotate = [str(PROVISION), "rotate", "--stack", "sweep", "--now", "--overlap", "0s"]
    for to in ("state", "graph"):
        done = trial.run(rotate)
        assert done.returncode == 0, done.stderr
        assert len(keys(trial)) == 1
        assert move(trial, to).returncode == 0
    assert trial.token(str(trial.outputs()["clientId"]), file.read_text().strip().partition("=")[2])


def test_a_secret_that_no_sink_shows_stays_where_it_is(trial: Trial, tmp_path: Path) -> None:
    file = tmp_path / "mail.env"
    assert trial.run([*trial.up_command(), "--sink", f"envfile:{file}"]).returncode == 0
    assert move(trial, "graph").returncode == 0
    file.write_text("MAIL_CLIENT_SECRET=something-else-entirely-0123456789\n")
    refused = move(trial, "state")
    assert refused.returncode == errors.InvalidInput.exit_code
    assert "No sink shows the value" in refused.stderr
    assert trial.up().returncode == 0
