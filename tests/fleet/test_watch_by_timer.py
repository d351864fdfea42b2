"""The unit and the manifest of docs/fleet-watch.md, looked at by those who would run them: systemd and Kubernetes."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from api_server import ApiServer
from trial import PROVISION

from provision.cli import build_parser

PAGE = (Path(__file__).parents[2] / "docs/fleet-watch.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def verified(folder: Path, unit: str) -> tuple[int, str]:
    """What systemd says of a unit: its exit code and its complaints."""
    file = folder / "provision-watch.service"
    file.write_text(unit)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_systemd_understands_every_line_of_the_unit_and_its_command_is_ours(tmp_path: Path) -> None:
    unit = block("ini")
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *arguments = shlex.split(command)
    given = build_parser().parse_args(arguments)
    assert (given.once, given.mail_to) == (False, [])
    here = unit.replace(program, str(PROVISION))
    assert verified(tmp_path, here) == (0, "")
    _, said = verified(tmp_path, here.replace("NoNewPrivileges", "NoNewPrivilege"))
    assert "NoNewPrivilege" in said
    code, said = verified(tmp_path, unit.replace(program, "/nowhere/provision"))
    assert code, said


@pytest.fixture
def jobs(api_server: ApiServer) -> str:
    """Where cron jobs of a namespace are made: what the server does not know is refused, and nothing is kept."""
    found = api_server.http.get("/api/v1/namespaces/fleet")
    if found.status_code == 404:
        api_server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "fleet"}})
    return "/apis/batch/v1/namespaces/fleet/cronjobs?dryRun=All&fieldValidation=Strict"


def test_kubernetes_takes_the_manifest_and_its_command_is_ours(api_server: ApiServer, jobs: str) -> None:
    manifest: dict[str, Any] = yaml.safe_load(block("yaml"))
    made = api_server.ask("POST", jobs, manifest)
    pod = made["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = build_parser().parse_args(container["args"])
    assert given.once
    (mount,) = container["volumeMounts"]
    assert str(given.file).startswith(f"{mount['mountPath']}/")
    assert {volume["name"] for volume in pod["volumes"]} == {mount["name"]}
    del manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["restartPolicy"]
    refused = api_server.http.post(jobs, json=manifest)
    assert refused.status_code == 422, refused.text
    manifest["spec"]["concurrencyPolice"] = "Forbid"
    refused = api_server.http.post(jobs, json=manifest)
    assert (refused.status_code, "concurrencyPolice" in refused.text) == (400, True)
