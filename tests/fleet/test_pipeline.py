"""The workflow that is made of a fleet: linters find nothing, and its jobs have every tenant once."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from provision.cli import build_parser, run
from provision.errors import InvalidInput
from provision.fleet.outcome import WRITING
from provision.fleet.pipeline import MOST_JOBS, PINNED, shards, workflow
from provision.fleet.selection import Shard, select
from provision.fleet.source import Fleet, read_fleet

ROOT = Path(__file__).parents[2]
FILE = Path("msp/tenants.yaml")
TEXT = """\
fleet: msp
credentials:
  partner:
    method: client-secret
    clientId: 11111111-2222-3333-4444-555555555555
    secret: env:PARTNER_SECRET
  each:
    inherits: partner
    secret: env:SECRET_OF_{key}
defaults: {credential: partner}
tenants:
"""


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir()
    rows = [f"  - {{key: k{n}, tenant: t{n}.onmicrosoft.com, companyCode: C{n}}}\n" for n in range(7)]
    rows[6] = rows[6].replace("}", ", credential: each}")
    FILE.write_text(TEXT + "".join(rows))
    return read_fleet(FILE)


def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("action", ["audit", *sorted(WRITING)])
def test_linters_find_nothing_in_it(fleet: Fleet, action: str) -> None:
    assert run(["fleet", "pipeline", "--file", str(FILE), "--action", action, "--output", "w/fleet.yml"]) == 0
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", "w/fleet.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    audit = ("--offline", "--no-config", "--persona", "auditor")
    audited = tool("zizmor", *audit, "w/fleet.yml")
    assert audited.returncode == 0, audited.stdout
    loose = re.sub(r"@[0-9a-f]{40} # (v\d+).*", r"@\1", Path("w/fleet.yml").read_text())
    Path("w/loose.yml").write_text(loose.replace('"$SHARD"', "${{ matrix.shard }}"))
    found = tool("zizmor", *audit, "w/loose.yml").stdout
    assert "unpinned-uses" in found
    assert "template-injection" in found, "the linter sees nothing"


def test_actions_are_pinned_as_in_the_other_workflow() -> None:
    other = (ROOT / "ci/github-actions.yml").read_text()
    assert all(f"uses: {pinned}\n" in other for pinned in PINNED.values())


def test_it_asks_for_the_least_and_lets_one_run_of_the_fleet_through(fleet: Fleet) -> None:
    made = yaml.safe_load(workflow(fleet, "up"))
    assert made["permissions"] == {}
    assert made["concurrency"] == {"group": "provision-fleet-msp", "cancel-in-progress": False}
    assert made["jobs"]["divide"]["permissions"] == {"contents": "read"}
    assert made["jobs"]["tenants"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert set(made[True]) == {"schedule", "workflow_dispatch"}, (
        "nothing a stranger starts; YAML 1.1 reads `on` as true"
    )


def test_secrets_reach_the_one_step_that_needs_them(fleet: Fleet) -> None:
    made = yaml.safe_load(workflow(fleet, "up"))
    with_secrets = [step for job in made["jobs"].values() for step in job["steps"] if "secrets." in json.dumps(step)]
    (step,) = with_secrets
    assert set(step["env"]) == {"PROVISION_FLEET_STORE", "PULUMI_CONFIG_PASSPHRASE", "PARTNER_SECRET"}
    assert not [job for job in made["jobs"].values() if "secrets." in json.dumps(job.get("env", {}))]


def test_the_jobs_have_every_tenant_once(fleet: Fleet, tmp_path: Path) -> None:
    """The first job's script runs as it stands, in bash, with what it writes for the second."""
    made = yaml.safe_load(workflow(fleet, "up", per_job=3))
    (script,) = [step["run"] for step in made["jobs"]["divide"]["steps"] if step.get("id") == "divide"]
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/provision").symlink_to(Path(sys.executable).with_name("provision"))
    environment = {"PATH": "/usr/bin:/bin", "GITHUB_OUTPUT": str(tmp_path / "out"), **made["jobs"]["divide"]["env"]}
    done = subprocess.run(["bash", "-e", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    name, _, written = (tmp_path / "out").read_text().strip().partition("=")
    assert name == "shards"
    parts = [select(fleet, shard=Shard.parse(text)) for text in json.loads(written)]
    assert [len(part) for part in parts] == [3, 2, 2]
    assert sorted(tenant.key for part in parts for tenant in part) == [f"k{n}" for n in range(7)]


def test_a_fleet_file_with_a_mistake_ends_the_first_job(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    FILE.write_text(FILE.read_text() + "  - key: Bad\n")
    assert run(["fleet", "pipeline", "--file", str(FILE), "--matrix"]) == 0, "one bad row stops no other"
    assert json.loads(capsys.readouterr().out) == ["1/1"]
    FILE.write_text("fleet: [")
    assert run(["fleet", "pipeline", "--file", str(FILE), "--matrix"]) == 3


@pytest.mark.parametrize("action", ["audit", *sorted(WRITING)])
def test_what_the_second_job_calls_is_understood(fleet: Fleet, action: str) -> None:
    made = yaml.safe_load(workflow(fleet, action))  # type: ignore[arg-type]
    command = made["jobs"]["tenants"]["steps"][-1]["run"].replace("$SHARD", "1/3").replace("$FLEET_FILE", str(FILE))
    arguments = build_parser().parse_args(shlex.split(command)[1:])
    assert arguments.shard == Shard(1, 3)


@pytest.mark.parametrize(
    ("tenants", "per_job", "jobs"), [(0, 50, 1), (1, 50, 1), (50, 50, 1), (51, 50, 2), (100_000, 50, MOST_JOBS)]
)
def test_there_are_no_more_jobs_than_github_makes(tenants: int, per_job: int, jobs: int) -> None:
    parts = shards(tenants, per_job)
    assert len(parts) == jobs
    assert [Shard.parse(text).number for text in parts] == list(range(1, jobs + 1))


@pytest.mark.parametrize(
    "path", ["/etc/tenants.yaml", "../tenants.yaml", "a b.yaml", "x${{ github.token }}.yaml", "-x"]
)
def test_a_path_that_is_none_in_a_repository_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="no path inside a repository"):
        workflow(Fleet("msp", (), (), Path(path)), "up")


def test_nothing_is_overwritten(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    Path("there.yml").write_text("mine")
    assert run(["fleet", "pipeline", "--file", str(FILE), "--output", "there.yml"]) == 11
    assert Path("there.yml").read_text() == "mine"
    assert run(["fleet", "pipeline", "--file", str(FILE)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "fleet msp"
