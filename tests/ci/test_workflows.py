"""The ready pipelines in ``ci``: linters find nothing, and their steps rotate a secret of the local tenant.

The steps run in bash as they stand in the file, with what the platform gives to a job and nothing else: its own token,
for an identity that ``stacks/ci_identity`` made.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pipelines
import pytest
from pipelines import Event, Script
from tls_server import Reply, Request, TlsServer
from trial import NAME, Trial

from provision.engine.cache import cache_root
from provision.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
CI = ROOT / "ci"
SCHEMAS = {
    "github-actions.yml": ["--builtin-schema", "vendor.github-workflows"],
    # The schema that Microsoft publishes has a pattern that is no Unicode regular expression.
    "azure-pipelines.yml": [
        *("--builtin-schema", "vendor.azure-pipelines"),
        *("--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"),
    ],
    "gitlab-ci.yml": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}

SUBJECTS = {
    "github": {
        "schedule": "repo:contoso/mail:environment:client-secrets",
        "pull request": "repo:contoso/mail:environment:client-secrets-preview",
    },
    "azure-devops": {
        "schedule": "sc://contoso/mail/client-secrets",
        "pull request": "sc://contoso/mail/client-secrets-preview",
    },
    "gitlab": {
        "schedule": "project_path:contoso/mail:ref_type:branch:ref:main",
        "pull request": "project_path:contoso/mail:ref_type:branch:ref:rotation",
    },
}
"""Whom each platform's token names, for each event."""
ISSUER = "https://vstoken.dev.azure.com/00000000-0000-0000-0000-00000000d0e5"
CONNECTIONS = {
    "schedule": "0b5e55e5-0000-4000-8000-000000000001",
    "pull request": "0b5e55e5-0000-4000-8000-000000000002",
}
JOB = "what-the-platform-gives-the-job"
LATER = 695 * 86400
"""Seconds until a secret of 24 months has 35 or 36 days left: due, and not yet ending soon."""


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_each_file_in_the_folder_is_checked_here() -> None:
    assert {file.name for file in CI.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_it_is_what_the_platforms_own_schema_describes(name: str, tmp_path: Path) -> None:
    checked = tool("check-jsonschema", *SCHEMAS[name], str(CI / name))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    wrong = tmp_path / name
    wrong.write_text(re.sub(r"^( *)(runs-on|steps|script):", r"\1no-such-key:", (CI / name).read_text(), flags=re.M))
    assert tool("check-jsonschema", *SCHEMAS[name], str(wrong)).returncode == 1, "the linter sees nothing"


def test_githubs_workflow_gives_an_attacker_no_hold(tmp_path: Path) -> None:
    audit = ("--offline", "--no-config", "--persona", "auditor")
    audited = tool("zizmor", *audit, str(CI / "github-actions.yml"))
    assert audited.returncode == 0, audited.stdout
    loose = re.sub(r"@[0-9a-f]{40} # (v\d+).*", r"@\1", (CI / "github-actions.yml").read_text())
    (tmp_path / "loose.yml").write_text(loose)
    assert "unpinned-uses" in tool("zizmor", *audit, str(tmp_path / "loose.yml")).stdout


# The steps, run


@dataclass(frozen=True)
class Platform:
    """One platform with a checkout, and an identity for each event."""

    name: str
    trial: Trial
    client_ids: dict[Event, str]
    oidc: TlsServer

    def scripts(self, event: Event) -> list[Script]:
        """The event's steps, with what the people who set it up write into the platform's variables."""
        where, passphrase = self.trial.project, self.trial.project / "data" / "passphrase"
        settings = {
            "ARM_TENANT_ID": self.trial.tenant.tenant_id,
            "ARM_CLIENT_ID": self.client_ids.get(event, ""),
            "PROVISION_STACK": "sweep",
            "PULUMI_BACKEND_URL": f"file://{where / 'data' / 'state'}",
        }
        secrets = {"PULUMI_CONFIG_PASSPHRASE": passphrase.read_text()}
        if self.name == "github":
            return pipelines.github(event, settings, secrets, where)
        if self.name == "azure-devops":
            settings["ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID"] = CONNECTIONS.get(event, "")
            return pipelines.azure_devops(event, settings, {**secrets, "System.AccessToken": JOB}, where)
        settings |= {"PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase), "PREVIEW_BRANCH": "rotation"}
        return pipelines.gitlab(event, settings, where)

    def machine(self, event: Event) -> dict[str, str]:
        """What a job's environment holds by itself; the rest is for this tenant and for want of a network."""
        trusted = self.trial.project / "trusted.pem"
        trusted.write_bytes(self.trial.sandbox.ca_file.read_bytes() + self.oidc.ca_file.read_bytes())
        kept = ("HOME", "LANG", "PULUMI_HOME", "ARM_METADATA_HOSTNAME")
        given = {name: self.trial.environment[name] for name in kept if name in self.trial.environment}
        given |= {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "SSL_CERT_FILE": str(trusted),
            "REQUESTS_CA_BUNDLE": str(trusted),
            # What the lock names is here already, so pip looks at each and downloads nothing.
            "PYTHONPATH": sysconfig.get_path("purelib"),
            "PIP_NO_INDEX": "true",
        }
        if self.name == "github":
            url = f"{self.oidc.url}/{event.replace(' ', '-')}?api-version=2.0"
            return given | {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": JOB}
        if self.name == "azure-devops":
            return given | {"SYSTEM_OIDCREQUESTURI": f"{self.oidc.url}/oidctoken"}
        return given | {"GITLAB_CI": "true", "GITLAB_OIDC_TOKEN": self.token(event)}

    def token(self, event: str) -> str:
        return self.trial.sandbox.ci_token(self.name, SUBJECTS[self.name][event], public_issuer=True)

    def answer(self, asked: Request) -> Reply:
        """As GitHub's and Azure DevOps' token services do; sources as in ``provision.microsoft.assertions``."""
        if asked.headers["Authorization"] != f"Bearer {JOB}":
            return Reply(401)
        if (
            self.name == "github"
            and asked.method == "GET"
            and "audience=api%3A%2F%2FAzureADTokenExchange" in asked.target
        ):
            return Reply(200, {"value": self.token("pull request" if "/pull-request" in asked.target else "schedule")})
        for event, connection in CONNECTIONS.items():
            if asked.method == "POST" and f"serviceConnectionId={connection}" in asked.target:
                return Reply(200, {"oidcToken": self.token(event)})
        return Reply(400)

    def run(self, event: Event) -> str:
        """Runs every step of an event's pipeline; what they printed."""
        said = ""
        for script in self.scripts(event):
            command = ["bash", "-e", "-o", "pipefail", "-c", script.text]
            done = self.trial.run(command, self.machine(event) | script.environment)
            assert done.returncode == 0, f"{script.text}\n{done.stdout}\n{done.stderr}"
            said += done.stdout
        return said


@pytest.fixture(params=SUBJECTS)
def platform(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Iterator[Platform]:
    """A checkout of this project on the platform, with a stack whose secret goes into an env file."""
    name: str = request.param
    trial = Trial(sandbox, tmp_path / "project")
    assert trial.run([*trial.up_command(), "--sink", f"envfile:{trial.project / 'mail.env'}"]).returncode == 0
    client_ids = {event: identity(trial, name, event) for event in ("schedule", "pull request")}
    (trial.project / ".venv").unlink()  # the pipeline makes its own
    for part in ("pyproject.toml", "requirements.lock", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, trial.project)
    shutil.copytree(ROOT / "provision", trial.project / "provision", ignore=shutil.ignore_patterns("__pycache__"))
    for cached in (".engine", "engine"):  # what the cache's step brings back
        (trial.project / cached).symlink_to(cache_root())

    def answer(asked: Request) -> Reply:
        return made.answer(asked)

    with TlsServer(answer, tmp_path / "oidc") as oidc:
        made = Platform(name, trial, client_ids, oidc)
        yield made
    sandbox.clear_faults()
    trial.close()


def identity(trial: Trial, name: str, event: Event) -> str:
    """The pipeline's identity for an event, made as docs/ci.md has it; its client id."""
    (mail,) = [app for app in trial.get("/applications") if app["displayName"] == NAME]
    stack = {"schedule": "contoso", "pull request": "contoso-preview"}[event]

    def pulumi(*arguments: str) -> str:
        done = trial.run(*trial.pulumi("-C", "stacks/ci_identity", *arguments, "--non-interactive"))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    settings = {"system": name, "subject": SUBJECTS[name][event], "mailClientId": mail["appId"], "displayName": stack}
    if name == "azure-devops":
        settings["issuer"] = ISSUER
    pulumi("stack", "init", stack)
    pulumi(
        "config",
        "set-all",
        "--stack",
        stack,
        *(w for pair in settings.items() for w in ("--plaintext", "=".join(pair))),
    )
    pulumi("up", "--yes", "--skip-preview", "--stack", stack)
    return pulumi("stack", "output", "ARM_CLIENT_ID", "--stack", stack)


def test_a_secret_that_is_due_is_rotated_by_schedule_and_only_told_on_a_pull_request(platform: Platform) -> None:
    trial, file = platform.trial, platform.trial.project / "mail.env"

    def secrets() -> set[str]:
        (app,) = [app for app in trial.get("/applications") if app["displayName"] == NAME]
        return {secret["keyId"] for secret in app["passwordCredentials"]}

    before, in_use = secrets(), file.read_text(encoding="utf-8")
    assert platform.scripts("fork's pull request") == []
    trial.sandbox.set_faults(clock_skew=LATER)
    assert "; a run would\n" in platform.run("pull request")
    assert secrets() == before
    assert file.read_text(encoding="utf-8") == in_use
    assert " now uses " in platform.run("schedule")
    assert len(secrets() - before) == 1
    assert file.read_text(encoding="utf-8") != in_use
    assert trial.token(trial.outputs()["clientId"], file.read_text().strip().removeprefix("MAIL_CLIENT_SECRET="))
