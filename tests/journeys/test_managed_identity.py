"""A machine in Azure signs in as itself: no secret in any setting, the token from the machine's own endpoint.

The endpoints answer as App Service's and a virtual machine's (IMDS) do, over HTTP on loopback, to unmodified
azure-identity; what they hand out is a token of the local tenant, for a service principal with the automation's rights.
Sources: "Use managed identities for App Service and Azure Functions" (REST protocol reference), "How to use managed
identities on an Azure VM to acquire an access token" (get a token using HTTP).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest
from trial import PROVISION, Found, Trial

ONE = Found(applications=1, service_principals=1, grants=1, secrets=1, working=1)
HEADER = "known to this machine alone"


@dataclass
class Machine:
    """The endpoints, and what was asked of them: path and resource."""

    url: str
    client_id: str
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def app_service(self) -> dict[str, str]:
        """The variables that App Service sets."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": HEADER}

    @property
    def virtual_machine(self) -> dict[str, str]:
        """The variable that moves IMDS from its link-local address; the identity is a user-assigned one."""
        return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.url, "ARM_CLIENT_ID": self.client_id}


@pytest.fixture
def machine(trial: Trial) -> Iterator[Machine]:
    """A machine whose identity is the tenant's automation."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = dict(parse_qsl(parts.query))
            version, refusal = query.get("api-version"), ""
            if parts.path == "/msi/token":
                if self.headers["X-IDENTITY-HEADER"] != HEADER or version != "2019-08-01":
                    refusal = "bad header or version"
            elif parts.path == "/metadata/identity/oauth2/token":
                if self.headers["Metadata"] != "true" or version != "2018-02-01" or "X-Forwarded-For" in self.headers:
                    refusal = "Required metadata header not specified"
                elif query.get("client_id") != made.client_id:
                    refusal = "Identity not found"
            else:
                refusal = "not here"
            token = None if refusal else trial.token(trial.tenant.admin_client_id, trial.tenant.admin_client_secret)
            now = int(time.time())
            answer = {
                "access_token": token,
                "expires_on": str(now + 3600),
                "expires_in": "3600",
                "token_type": "Bearer",
            }
            answer = {"error": "invalid_request", "error_description": refusal} if refusal else answer
            made.asked.append((parts.path, query.get("resource", "")))
            body = json.dumps({**answer, "resource": query.get("resource", "")}).encode()
            self.send_response(400 if refusal else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        made = Machine(f"http://127.0.0.1:{server.server_port}", trial.tenant.admin_client_id)
        Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


def without_secret(trial: Trial, variables: dict[str, str]) -> dict[str, str]:
    """The trial's environment on the machine: nothing in it but the machine's own variables."""
    bare = {name: value for name, value in trial.environment.items() if name not in ("ARM_CLIENT_ID", "ARM_TENANT_ID")}
    bare.pop("ARM_CLIENT_SECRET")
    return {**bare, "ARM_TENANT_ID": trial.tenant.tenant_id, "ARM_USE_MSI": "true", **variables}


def test_a_machine_of_azure_registers_the_application_as_itself(trial: Trial, machine: Machine) -> None:
    made = trial.run(trial.up_command(), without_secret(trial, machine.app_service))
    assert made.returncode == 0, made.stderr
    assert trial.found() == ONE
    by_command_and_plugin = [asked for asked in machine.asked if asked[0] == "/msi/token"]
    assert len(by_command_and_plugin) >= 2
    assert {resource.rstrip("/") for _, resource in machine.asked} == {trial.sandbox.base_url}
    machine.asked.clear()
    preview = [str(PROVISION), "preview", "--stack", "sweep", "--expect-no-changes"]
    unchanged = trial.run(preview, without_secret(trial, machine.virtual_machine))
    assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr
    assert {path for path, _ in machine.asked} == {"/metadata/identity/oauth2/token"}


def test_an_identity_that_the_machine_does_not_have_is_a_failed_sign_in(trial: Trial, machine: Machine) -> None:
    other = {**machine.virtual_machine, "ARM_CLIENT_ID": "11111111-2222-3333-4444-555555555555"}
    refused = trial.run(trial.up_command(), without_secret(trial, other))
    assert refused.returncode == 4, refused.stderr
    assert "this machine has no managed identity" in refused.stderr
    assert "Traceback" not in refused.stderr
