"""A stack declares which mailboxes may send by SMTP: on the real engine, against the local tenant's Exchange."""

from __future__ import annotations

import json

import pytest
from trial import PROVISION, Trial

from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Exchange
from provision.settings import credential
from provision.settings.endpoints import Endpoints

TYPE = "pulumi-python:dynamic/provision:MailboxSmtpAuth"


class Story:
    """A stack whose mailboxes are declared, and the tenant's Exchange behind its back."""

    def __init__(self, trial: Trial, exchange: Exchange) -> None:
        self.trial = trial
        self.exchange = exchange
        people = [{"alias": alias, "mailbox": "user"} for alias in ("anna", "ben")]
        made = trial.sandbox.new_people(trial.tenant, *people, {"alias": "room", "mailbox": "room"})
        self.anna, self.ben, self.room = (person.user_principal_name for person in made)

    def declare(self, *addresses: str) -> None:
        """Writes the stack's setting."""
        key = "office365-mail:smtpAuthMailboxes"
        command = ["config", "set", key, " ".join(addresses)] if addresses else ["config", "rm", key]
        line, environment = self.trial.pulumi(*command, "--stack", "sweep")
        done = self.trial.run(line, environment)
        assert done.returncode == 0, done.stderr

    def provision(self, *arguments: str):
        done = self.trial.run([str(PROVISION), *arguments, "--stack", "sweep"])
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def value(self, address: str) -> bool | None:
        row = self.exchange.first("Get-CASMailbox", {"Identity": address}, doing="look")
        assert row is not None
        return row["SmtpClientAuthenticationDisabled"]

    def set(self, address: str, disabled: bool | None) -> None:
        """What somebody does behind the state's back."""
        parameters = {"Identity": address, "SmtpClientAuthenticationDisabled": disabled}
        self.exchange.run("Set-CASMailbox", parameters, doing="switch")

    def resources(self) -> list[dict[str, object]]:
        line, environment = self.trial.pulumi("stack", "export", "--stack", "sweep")
        done = self.trial.run(line, environment)
        deployment = json.loads(done.stdout)["deployment"]
        return [resource for resource in deployment["resources"] if resource["type"] == TYPE]

    def before(self) -> dict[str, str]:
        """What each declared mailbox had; the state lists resources in the order in which the engine finished them."""
        outputs: list[dict[str, str]] = [resource["outputs"] for resource in self.resources()]  # type: ignore[misc]
        return {output["mailbox"]: output["before"] for output in outputs}


@pytest.fixture
def story(trial: Trial, endpoints: Endpoints):
    signed_in, _ = sign_in(credential.read(environ=trial.environment), endpoints)
    with Exchange(signed_in, endpoints) as exchange:
        done = trial.up()
        assert done.returncode == 0, done.stderr
        yield Story(trial, exchange)


def test_declared_mailboxes_may_send_and_removed_ones_are_as_before(story: Story) -> None:
    story.set(story.ben, True)
    story.declare(story.anna, story.ben)
    preview = story.provision("preview")
    assert preview.returncode == 0, preview.stderr
    assert f"smtp-auth-{story.anna}" in preview.stdout
    line, environment = story.trial.pulumi("preview", "--non-interactive", "--stack", "sweep")
    assert f"SMTP AUTH of {story.anna}: inherits becomes on" in story.trial.run(line, environment).stdout
    assert story.value(story.anna) is None
    done = story.trial.up()
    assert done.returncode == 0, done.stderr
    assert (story.value(story.anna), story.value(story.ben)) == (False, False)
    assert story.provision("preview", "--expect-no-changes").returncode == 0

    kept = json.dumps(story.resources())
    assert story.trial.tenant.admin_client_secret not in kept
    assert story.before() == {story.anna: "inherits", story.ben: "off"}

    story.declare(story.anna)
    assert story.trial.up().returncode == 0
    assert (story.value(story.anna), story.value(story.ben)) == (False, True)
    assert story.provision("destroy", "--yes").returncode == 0
    assert story.value(story.anna) is None


def test_what_somebody_else_has_changed_is_seen_put_right_or_left(story: Story) -> None:
    story.declare(story.anna, story.ben)
    assert story.trial.up().returncode == 0
    story.set(story.anna, True)
    assert story.provision("refresh").returncode == 0
    seen = story.provision("preview", "--expect-no-changes")
    assert (seen.returncode, "update" in seen.stdout) == (1, True)
    assert story.trial.up().returncode == 0
    assert story.value(story.anna) is False

    story.set(story.ben, True)
    story.declare()
    assert story.trial.up().returncode == 0
    assert (story.value(story.anna), story.value(story.ben)) == (None, True)


def test_what_cannot_have_it_is_refused_before_anything_is_made(story: Story) -> None:
    story.declare(story.anna, story.room)
    for command in ("preview", "up"):
        done = story.provision(command)
        assert done.returncode == 3, done.stderr
        assert f"{story.room} is a room's mailbox" in done.stderr
    assert story.value(story.anna) is None


def test_plain_pulumi_does_the_same(story: Story) -> None:
    story.declare(story.anna)
    line, environment = story.trial.pulumi("up", "--yes", "--non-interactive", "--stack", "sweep")
    done = story.trial.run(line, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert story.value(story.anna) is False
