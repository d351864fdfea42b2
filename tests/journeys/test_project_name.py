"""Somebody calls the project in ``Pulumi.yaml`` otherwise, before the first run or after it."""

from __future__ import annotations

from trial import NAME, PROVISION, Found, Trial

from provision import errors

ONE = Found(applications=1, service_principals=1, grants=1, secrets=1, working=1)


def rename(trial: Trial, name: str) -> None:
    file = trial.project / "Pulumi.yaml"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([f"name: {name}", *(line for line in lines if not line.startswith("name:"))]) + "\n")


def clean(trial: Trial) -> bool:
    return trial.run([str(PROVISION), "preview", "--stack", "sweep", "--expect-no-changes"]).returncode == 0


def test_a_project_of_another_name_works_and_a_killed_run_in_it_is_finished(trial: Trial) -> None:
    """The registration's tag has the project's name in it; the command and the program must agree on it."""
    rename(trial, "acme-mail")
    rule = {"name": "kill", "action": "hold_after", "match": {"method": "POST", "path": "/v1.0/applications$"}}
    assert trial.killed_at(trial.up_command(), trial.environment, {**rule, "count": 1})
    finished = trial.up()
    assert finished.returncode == 0, finished.stderr
    assert trial.found() == ONE
    (app,) = [a for a in trial.get("/applications") if a["displayName"] == NAME]
    assert [tag for tag in app["tags"] if tag.startswith("provision:stack:acme-mail/sweep#")]
    assert clean(trial)


def test_a_setting_under_the_projects_name_is_refused_by_both_commands(trial: Trial) -> None:
    rename(trial, "acme-mail")
    assert trial.up().returncode == 0
    trial.run(*trial.pulumi("config", "set", "companyCode", "BETA", "--stack", "sweep")).check_returncode()
    done = trial.run([str(PROVISION), "up", "--stack", "sweep"])
    assert done.returncode == errors.InvalidInput.exit_code
    plain = trial.run(*trial.pulumi("preview", "--stack", "sweep", "--non-interactive"))
    assert plain.returncode != 0
    for said in (done.stderr, plain.stdout + plain.stderr):
        assert "acme-mail:companyCode is not read" in said
        assert "Traceback" not in said


def test_a_project_renamed_afterwards_makes_no_second_registration(trial: Trial) -> None:
    """Under the new name the state is empty: going on would make another registration with another secret."""
    assert trial.up().returncode == 0
    rename(trial, "acme-mail")
    refused = trial.up()
    assert refused.returncode == errors.InvalidInput.exit_code, refused.stderr
    assert "office365-mail/sweep" in refused.stderr
    assert "pulumi stack rename" in refused.stderr

    rename(trial, "office365-mail")
    moved = trial.run(*trial.pulumi("stack", "rename", "organization/acme-mail/sweep", "--stack", "sweep"))
    assert moved.returncode == 0, moved.stderr
    rename(trial, "acme-mail")
    assert trial.up().returncode == 0
    assert trial.found() == ONE
    assert clean(trial)


def test_a_copy_of_another_stacks_settings_does_not_take_its_registration(trial: Trial) -> None:
    assert trial.up().returncode == 0
    settings = (trial.project / "Pulumi.sweep.yaml").read_text()
    (trial.project / "Pulumi.test.yaml").write_text(settings)
    refused = trial.run([str(PROVISION), "up", "--stack", "test"])
    assert refused.returncode == errors.InvalidInput.exit_code, refused.stderr
    assert "remove office365-mail:instanceId from Pulumi.test.yaml" in refused.stderr
    assert trial.found() == ONE
