"""The server as a process: ready once, one per folder, outliving itself on disk, closed to strangers."""

from __future__ import annotations

import fcntl
import json
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from provision.errors import InvalidInput, Unreachable, WouldOverwrite
from provision.sandbox import Sandbox, SandboxError
from provision.sandbox.process import running


def command(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provision", "sandbox", *arguments, "--dir", str(directory)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_tenants_outlive_the_process(tmp_path: Path) -> None:
    """Stopped and started again, the same admin secret opens the same tenant at the same port when none is asked."""
    folder = tmp_path / "tenants"
    done = command(folder, "start", "--detach", "--json", "--port", "0")
    assert done.returncode == 0, done.stderr
    first = json.loads(done.stdout)
    try:
        assert set(first) == {
            "baseUrl", "caFile", "tenantId", "domain", "adminClientId", "adminClientSecret", "smtpAddress",
            "googleSmtpAddress", "googleSmtpsAddress", "googleApiUrl",
            "portalUrl", "pid",
        }  # fmt: skip
        twice = command(folder, "start", "--json")
        assert twice.returncode == WouldOverwrite.exit_code
        assert "already runs" in twice.stderr
        assert len(twice.stderr.strip().splitlines()) == 2
        assert command(folder, "stop").returncode == 0
        again = json.loads(command(folder, "start", "--detach", "--json").stdout)
        same = ("baseUrl", "smtpAddress", "tenantId", "adminClientId", "adminClientSecret")
        assert [again[name] for name in same] == [first[name] for name in same]
    finally:
        command(folder, "stop")


def test_files_are_their_owners_alone(sandbox: Sandbox) -> None:
    assert sandbox.directory.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in sandbox.directory.iterdir()} == {
        path.name: 0 for path in sandbox.directory.iterdir()
    }


def test_nothing_to_ask_is_one_sentence(tmp_path: Path) -> None:
    for name in ("status", "stop", "log", "env", "reset"):
        done = command(tmp_path, name)
        assert done.returncode == Unreachable.exit_code
        assert done.stderr.startswith("provision: No local tenant runs on")


def test_taken_port_is_one_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    done = command(tmp_path, "start", "--port", str(sandbox.state.port))
    assert done.returncode == InvalidInput.exit_code
    assert "cannot listen" in done.stderr.lower()


def test_sandbox_that_cannot_start_says_why(sandbox: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="annot listen"), Sandbox(tmp_path, port=sandbox.state.port):
        pass


def test_server_does_not_outlive_a_killed_test_session(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from provision.sandbox import Sandbox; "
        "Sandbox(Path(sys.argv[1])).start(); print('ready', flush=True); sys.stdin.read()"
    )
    session = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert session.stdout and session.stdin
    assert session.stdout.readline() == b"ready\n"
    assert running(tmp_path)
    session.kill()
    session.communicate()
    with (tmp_path / "lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for the server's end
    assert running(tmp_path) is None


def test_control_api_wants_its_token(http: httpx.Client) -> None:
    """A web page in the developer's browser must not steer the server."""
    for path in ("status", "tenants", "log"):
        for presented in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": "Bearer wr\u00f6ng".encode("latin-1")},
        ):
            assert http.get(f"/_sandbox/{path}", headers=presented).status_code == 401


def test_env_points_a_shell_at_it_and_back(sandbox: Sandbox) -> None:
    lines = command(sandbox.directory, "env").stdout
    assert f"export AZURE_AUTHORITY_HOST={sandbox.base_url}\n" in lines
    assert f"export ARM_METADATA_HOSTNAME={sandbox.base_url.removeprefix('https://')}\n" in lines
    assert f"export PROVISION_SMTP_ADDRESS={sandbox.smtp_address}\n" in lines
    undone = command(sandbox.directory, "env", "--unset").stdout
    assert all(line.split("=")[0].removeprefix("export ") in undone for line in lines.splitlines())


def test_status_shows_no_secret(sandbox: Sandbox) -> None:
    done = command(sandbox.directory, "status", "--json")
    assert json.loads(done.stdout)["pid"] == sandbox.pid
    assert sandbox.admin_client_secret not in done.stdout + repr(sandbox.state)


def test_reset_gives_a_fresh_tenant_under_the_same_id(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "tenants") as server:
        before = server.state
        server.new_tenant()
        after = server.reset()
        assert (after.tenant_id, after.domain) == (before.tenant_id, before.domain)
        assert after.admin_client_id != before.admin_client_id
        assert server.admin_client_id == after.admin_client_id
        assert server.status()["tenants"] == 1


def test_public_names_are_answered_by_host(tmp_path: Path) -> None:
    """A client whose hosts are fixed meets each surface under its own name, and only there."""
    with Sandbox(tmp_path / "tenants", public_names=True) as server:
        context = ssl.create_default_context(cafile=str(server.ca_file))
        port = server.state.port

        def ask(host: str, path: str) -> httpx.Response:
            request = client.build_request("GET", f"https://127.0.0.1:{port}{path}", headers={"Host": host})
            request.extensions["sni_hostname"] = host
            return client.send(request)

        with httpx.Client(verify=context, trust_env=False) as client:
            path = f"/{server.tenant_id}/v2.0/.well-known/openid-configuration"
            document = ask("login.microsoftonline.com", path).json()
            assert document["issuer"] == f"https://login.microsoftonline.com/{server.tenant_id}/v2.0"
            assert ask("graph.microsoft.com", "/v1.0/users").status_code == 401
            assert ask("graph.microsoft.com", path).status_code == 404
            assert ask("login.microsoftonline.com", "/v1.0/users").status_code == 404
            assert ask("management.azure.com", "/subscriptions").status_code == 401
