"""Rotation on the command line, on the real engine and the local tenant: a stack's, a hand-made registration's."""

from __future__ import annotations

import base64
import copy
import json
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from gitlab_variables import GitLab
from tls_server import Reply, Request, TlsServer
from trial import NAME, PROVISION, Trial

from provision import errors
from provision.sandbox import Sandbox


def rotate(trial: Trial, *words: str) -> CompletedProcess[str]:
    return trial.run([str(PROVISION), "rotate", *words])


def done(trial: Trial, *words: str) -> dict[str, Any]:
    """A run that succeeds: its JSON."""
    finished = rotate(trial, *words, "--json")
    assert finished.returncode == 0, finished.stderr
    told: dict[str, Any] = json.loads(finished.stdout)
    return told


def keys(trial: Trial) -> dict[str, str]:
    """Key id and name of the registration's secrets."""
    app = next(a for a in trial.get("/applications") if a["displayName"] in (NAME, "cloudex mail"))
    return {p["keyId"]: p["displayName"] for p in app["passwordCredentials"]}


def in_file(file: Path) -> str:
    return file.read_text().strip().removeprefix("MAIL_CLIENT_SECRET=")


def test_a_stack_is_rotated_with_an_overlap_and_plain_pulumi_agrees(trial: Trial) -> None:
    file = trial.project / "mail.env"
    assert trial.run([*trial.up_command(), "--sink", f"envfile:{file}"]).returncode == 0
    before = trial.outputs()
    assert in_file(file) == before["clientSecret"]
    settings = (trial.project / "Pulumi.sweep.yaml").read_text()
    not_due = rotate(trial, "--stack", "sweep")
    assert not_due.returncode == 0
    assert not_due.stdout.startswith("not due: ")
    assert len(not_due.stdout.splitlines()) == 1

    told = done(trial, "--stack", "sweep", "--now", "--overlap", "1s")
    after = trial.outputs()
    assert (after["secretSlot"], after["secretKeyId"]) == ("b", told["active"]["keyId"])
    assert in_file(file) == after["clientSecret"] != before["clientSecret"]
    assert keys(trial) == {before["secretKeyId"]: "CLOUDEX Secret A", after["secretKeyId"]: "CLOUDEX Secret B"}
    assert all(trial.token(str(o["clientId"]), str(o["clientSecret"])) for o in (before, after))

    told = done(trial, "--stack", "sweep")
    assert told["retired"] == [before["secretKeyId"]]
    assert list(keys(trial)) == [after["secretKeyId"]]
    assert (trial.project / "Pulumi.sweep.yaml").read_text() == settings, "a checkout would bring the old slots back"
    line, environment = trial.pulumi("preview", "--stack", "sweep", "--expect-no-changes", "--non-interactive")
    plain = trial.run(line, environment)
    assert plain.returncode == 0, plain.stdout + plain.stderr
    assert trial.outputs() == {**after, "secretSlots": ["b"]}


def test_a_dry_run_changes_nothing_and_tries_the_places(trial: Trial) -> None:
    file = trial.project / "mail.env"
    assert trial.up().returncode == 0
    before = (trial.outputs(), keys(trial))
    told = rotate(trial, "--stack", "sweep", "--now", "--dry-run", "--sink", f"envfile:{file}")
    assert "due: asked for" in told.stdout
    assert f"envfile:{file}#MAIL_CLIENT_SECRET" in told.stdout
    assert (trial.outputs(), keys(trial)) == before
    assert not file.exists()
    assert not list((trial.project / "data").rglob("provision-journal"))
    refused = rotate(trial, "--stack", "sweep", "--now", "--dry-run", "--sink", "envfile:/nowhere/mail.env")
    assert refused.returncode == errors.InvalidInput.exit_code
    assert "/nowhere is not a folder" in refused.stderr


def test_a_registration_made_by_hand_is_rotated_through_graph_alone(trial: Trial) -> None:
    client_id = trial.click()
    (clicked,) = keys(trial)
    file = trial.project / "mail.env"
    words = ("--client-id", client_id, "--sink", f"envfile:{file}")
    told = done(trial, *words)
    assert told["foreign"] == [clicked]
    assert trial.token(client_id, in_file(file))
    assert set(keys(trial).values()) == {"clicked", "CLOUDEX Secret A"}
    assert rotate(trial, *words).stdout.startswith("not due: ")
    told = done(trial, *words, "--now", "--overlap", "0s", "--retire", clicked)
    assert clicked in told["retired"]
    assert len(told["retired"]) == 2
    assert list(keys(trial).values()) == ["CLOUDEX Secret B"]
    assert trial.token(client_id, in_file(file))


def test_a_stack_whose_state_holds_no_value_is_rotated_through_graph(trial: Trial) -> None:
    file = trial.project / "secret"
    assert trial.run([*trial.up_command(), "--secret-in-state", "false", "--sink", f"file:{file}"]).returncode == 0
    before = trial.outputs()
    told = done(trial, "--stack", "sweep", "--now", "--overlap", "0s")
    after = trial.outputs()
    assert told["retired"] == [before["secretKeyId"]]
    assert after["secretKeyId"] == told["active"]["keyId"]
    assert list(keys(trial)) == [after["secretKeyId"]]
    assert trial.token(str(after["clientId"]), file.read_text().strip())
    assert trial.up().returncode == 0
    assert trial.outputs() == after


def test_a_compromised_secret_is_dead_when_the_command_ends(trial: Trial) -> None:
    file = trial.project / "mail.env"
    assert trial.run([*trial.up_command(), "--sink", f"envfile:{file}"]).returncode == 0
    before = trial.outputs()
    done(trial, "--stack", "sweep", "--now")
    user = next(iter(trial.tenant.users))
    assert "belongs to --compromised" in rotate(trial, "--stack", "sweep", "--revoke-sessions", user).stderr
    told = done(
        trial, "--stack", "sweep", "--compromised", "--revoke-sessions", user, "--revoke-sessions", "nobody@nowhere"
    )
    assert told["notes"][0] == f"sessions and refresh tokens of {user} are revoked; {user} must connect again"
    assert told["notes"][1].startswith("sessions of nobody@nowhere are NOT revoked: ")
    assert "sign-ins to the registration" in told["notes"][2] or "is not known" in told["notes"][2]
    after = trial.outputs()
    assert len(told["retired"]) == 2
    assert list(keys(trial)) == [after["secretKeyId"]]
    assert trial.token(str(before["clientId"]), str(before["clientSecret"])) is None
    assert trial.token(str(after["clientId"]), in_file(file))


def test_a_tenant_that_forbids_secrets_says_so_before_anything_is_begun(trial: Trial) -> None:
    client_id = trial.click()
    trial.set_password_policy([{"restrictionType": "passwordAddition", "restrictForAppsCreatedAfterDateTime": None}])
    refused = rotate(trial, "--client-id", client_id, "--sink", f"envfile:{trial.project}/mail.env")
    assert refused.returncode == errors.PolicyRefuses.exit_code
    assert "forbids them" in refused.stderr
    assert list(keys(trial).values()) == ["clicked"]


def test_a_tenant_that_caps_their_life_gets_shorter_ones_and_is_not_rotated_at_every_run(trial: Trial) -> None:
    client_id = trial.click()
    trial.set_password_policy(
        [{"restrictionType": "passwordLifetime", "maxLifetime": "P30D", "restrictForAppsCreatedAfterDateTime": None}]
    )
    words = ("--client-id", client_id, "--sink", f"envfile:{trial.project}/mail.env")
    done(trial, *words)
    assert rotate(trial, *words).stdout.startswith("not due: ")
    refused = rotate(trial, *words, "--now", "--overlap", "20d")
    assert refused.returncode == errors.InvalidInput.exit_code
    assert "An overlap of 20 days does not fit" in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--client-id", "00000000-0000-0000-0000-000000000000", "--sink", "file:/tmp/x"), 3, "There is no app"),
        (("--client-id", "00000000-0000-0000-0000-000000000000"), 3, "no sink is named"),
        (("--client-id", "x", "--stack", "y"), 2, "without a stack"),
        (("--stack", "sweep", "--profile", "ozols"), 2, "belongs to --client-id"),
        (("--stack", "sweep", "--overlap", "a week"), 2, "must be a number and a unit"),
        (("--stack", "sweep", "--compromised", "--overlap", "1d"), 2, "leaves no overlap"),
        (("--client-id", "x", "--sink", "nowhere:1"), 3, "is not a kind, a colon and a place"),
        (("--client-id", "x", "--sink", "file:/tmp/x", "--journal", "ftp://x"), 3, "journal"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(trial: Trial, words: tuple[str, ...], code: int, said: str) -> None:
    refused = rotate(trial, *words)
    assert refused.returncode == code, refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_wrong_clock_is_told_and_does_no_harm(sandbox: Sandbox, tmp_path: Path, minutes: int) -> None:
    """By the local clock alone a secret would begin in the future, or an overlap be over before it began."""
    sandbox.set_faults(clock_skew=60.0 * minutes)
    trial = Trial(sandbox, tmp_path / "project")  # a tenant that was made by the same clock
    try:
        _rotate_under_a_wrong_clock(trial, minutes)
    finally:
        sandbox.clear_faults()
        trial.close()


def _rotate_under_a_wrong_clock(trial: Trial, minutes: int) -> None:
    client_id = trial.click()
    file = trial.project / "mail.env"
    words = ("--client-id", client_id, "--sink", f"envfile:{file}")
    told = rotate(trial, *words)
    assert told.returncode == 0, told.stderr
    which = "behind" if minutes > 0 else "ahead of"
    assert f"this machine's clock is 10 minutes {which} Microsoft's" in told.stderr
    assert trial.token(client_id, in_file(file))
    before = in_file(file)
    done(trial, *words, "--now", "--overlap", "5m")
    assert trial.token(client_id, before)
    assert rotate(trial, *words).stdout.startswith("not due: ")


def test_a_full_disk_leaves_the_old_secret_in_use_and_the_next_run_goes_on(trial: Trial) -> None:
    """The kernel refuses the bytes of a large env file (a size limit, EFBIG) as it does on a full disk (ENOSPC)."""
    client_id = trial.click()
    file = trial.project / "mail.env"
    file.write_text("# another setting of the product\n" * 5000)
    file.chmod(0o600)
    words = ("--client-id", client_id, "--sink", f"envfile:{file}")
    done(trial, *words)
    before = file.read_text()
    limited = f"ulimit -f 128; exec {shlex.join([str(PROVISION), 'rotate', *words, '--now', '--overlap', '0s'])}"
    refused = trial.run(["sh", "-c", limited])
    assert refused.returncode == errors.NotDelivered.exit_code, refused.stderr
    told = refused.stderr.splitlines()[-2:]
    assert told[0].startswith(
        "provision: The new client secret is not everywhere, so the old one stays valid and in use."
    )
    assert f"{file} cannot be written: File too large; what was in it before is still there." in told[0]
    assert "Running again goes on from here." in told[1]
    assert file.read_text() == before
    assert [entry.name for entry in trial.project.glob("*mail.env*")] == ["mail.env"]
    value = before.splitlines()[-1].removeprefix("MAIL_CLIENT_SECRET=")
    assert trial.token(client_id, value)
    done(trial, *words, "--overlap", "0s")
    assert trial.token(client_id, file.read_text().splitlines()[-1].removeprefix("MAIL_CLIENT_SECRET="))
    assert len(keys(trial)) == 2, "the one that somebody clicked, and one"


class ForgetfulGitLab(GitLab):
    """Answers as if it had stored a variable, and stores it only once it is told to."""

    keeps = False

    def _routed(self, request: Request) -> Reply:
        before = copy.deepcopy(self.variables)
        reply = super()._routed(request)
        if not self.keeps:
            self.variables = before
        return reply


class ForgetfulProduct(TlsServer):
    """A product that takes every webhook with 200 and goes on with the secret it has."""

    def __init__(self, directory: Path) -> None:
        self.keeps, self._key_id = False, "the-one-before"
        self.environ = {"PROVISION_WEBHOOK_KEY": "whsec_" + base64.b64encode(bytes(range(32))).decode()}
        super().__init__(self._answer, directory)

    def _answer(self, request: Request) -> Reply:
        if self.keeps and request.document["event"] == "client-secret.rotated":
            self._key_id = request.document["keyId"]
        return Reply(200, {"keyId": self._key_id})


def in_gitlab(_: GitLab) -> str:
    return "gitlab:acme/tms#MAIL_CLIENT_SECRET"


def at_the_product(server: ForgetfulProduct) -> str:
    return f"webhook:{server.url}/ACME/Services/ClientSecret"


@pytest.mark.parametrize(("kind", "address"), [(ForgetfulGitLab, in_gitlab), (ForgetfulProduct, at_the_product)])
def test_a_sink_that_accepts_and_does_not_keep_stops_the_retirement(
    trial: Trial, kind: Callable[[Path], AbstractContextManager[Any]], address: Callable[[Any], str]
) -> None:
    client_id = trial.click()
    file = trial.project / "mail.env"
    words = ["--client-id", client_id, "--overlap", "0s", "--sink", f"envfile:{file}"]
    done(trial, *words)
    first = in_file(file)
    with kind(trial.sandbox.directory) as server:
        trial.environment |= {name: value for name, value in server.environ.items() if name != "SSL_CERT_FILE"}
        words += ["--sink", address(server)]
        refused = rotate(trial, *words, "--now")
        assert refused.returncode == errors.NotDelivered.exit_code, refused.stderr
        told = refused.stderr.splitlines()[-2:]
        assert f"{address(server)}: it accepted the new client secret but does not hold it." in told[0]
        assert told[1].strip() == "Look at the place, then run again. Running again goes on from here."
        second = in_file(file)
        assert all(trial.token(client_id, value) for value in (first, second)), "until every place has it"
        server.keeps = True
        finished = done(trial, *words)
    assert len(finished["retired"]) == 1
    assert (trial.token(client_id, first), in_file(file)) == (None, second)
    assert trial.token(client_id, second)
