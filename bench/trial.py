"""One trial for benchmarks and sweeps: a tenant of the local server, a stack of its own, and what is there now."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from provision.sandbox import Sandbox, Tenant

ROOT = Path(__file__).parents[1]
PROVISION = Path(sys.executable).with_name("provision")
NAME = "CLOUDEX TMS Email Integration"
GRAPH = "00000003-0000-0000-c000-000000000000"
AUTOMATION = "Sandbox automation"
"""The application that is in every local tenant from the beginning."""


@dataclass(frozen=True)
class Found:
    """What a tenant holds of one registration."""

    applications: int
    service_principals: int
    grants: int
    secrets: int
    """Client secrets in all registrations of that name."""
    working: int
    """Of the stack's own secret: 1 when Entra accepts it, else 0."""

    @property
    def lost(self) -> bool:
        """Whether the stack's secret, or the registration it belongs to, is not there."""
        return not (self.working == 1 and self.applications >= 1 and self.service_principals >= 1 and self.grants >= 1)

    @property
    def orphaned(self) -> int:
        """How many objects are there beside the one registration, principal, grant and secret."""
        counts = (self.applications, self.service_principals, self.grants, self.secrets)
        return sum(max(0, count - 1) for count in counts)


class Trial:
    """A tenant with a stack in a project folder of its own (so that sweeps may run beside each other).

    Args:
        sandbox: the server.
        folder: a new folder for the project, the state and the passphrase.
        plugin: PROVISION_AZUREAD_PLUGIN.
        tenant: a tenant of the server; a new one without it.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, *, plugin: str = "auto", tenant: Tenant | None = None) -> None:
        self.sandbox = sandbox
        self.tenant: Tenant = tenant or sandbox.new_tenant()
        self.project = folder
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        shutil.copytree(ROOT / "stacks", folder / "stacks", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / ".venv").symlink_to(Path(sys.prefix))
        self.environment = environment(sandbox, folder / "data", self.tenant) | {"PROVISION_AZUREAD_PLUGIN": plugin}
        self._http = httpx.Client(base_url=sandbox.base_url, verify=trusting(sandbox), trust_env=False)

    def close(self) -> None:
        """Closes the connection and removes the folder."""
        self._http.close()
        shutil.rmtree(self.project, ignore_errors=True)

    # Commands

    def settings(self) -> dict[str, str]:
        """The stack's configuration, as ``pulumi config set`` takes it."""
        return {
            "office365-mail:profile": "cloudex",
            "office365-mail:companyCode": "ACME",
            "office365-mail:redirectUri": f"{self.sandbox.base_url}/ACME/Services/Office365Callback.aspx",
        }

    def up_command(self) -> list[str]:
        """``provision up`` with everything it needs."""
        redirect = f"{self.sandbox.base_url}/ACME/Services/Office365Callback.aspx"
        return [
            *(str(PROVISION), "up", "--stack", "sweep", "--profile", "cloudex", "--company-code", "ACME"),
            *("--redirect-uri", redirect),
        ]

    def fleet_command(self) -> list[str]:
        """``provision fleet up`` for this tenant alone, by one worker: the same registration, started warm."""
        file = self.project / "tenants.yaml"
        row = {
            "key": "sweep",
            "tenant": self.tenant.tenant_id,
            "metadataHost": self.sandbox.base_url.removeprefix("https://"),
            "companyCode": "ACME",
            "redirectUri": f"{self.sandbox.base_url}/ACME/Services/Office365Callback.aspx",
        }
        file.write_text(json.dumps({"fleet": "sweep", "tenants": [row]}), encoding="utf-8")  # JSON is YAML
        store = f"sqlite:///{self.project / 'fleet.db'}"
        return [
            *(str(PROVISION), "fleet", "up", "--file", str(file), "--store", store, "--resume"),
            *("--workers", "1", "--thorough"),
        ]

    def up(self) -> subprocess.CompletedProcess[str]:
        """Runs ``provision up`` to its end."""
        return self.run(self.up_command())

    def pulumi(self, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """Plain ``pulumi`` with the same engine, plugin and state: the command line and its environment."""
        done = self.run([str(PROVISION), "engine", "env"])
        done.check_returncode()
        exported = dict(line.removeprefix("export ").split("=", 1) for line in done.stdout.splitlines())
        environment = self.environment | {name: value.strip("'") for name, value in exported.items()}
        return [str(shutil.which("pulumi", path=environment["PATH"])), *arguments], environment

    def run(self, command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command in the project's folder."""
        return subprocess.run(
            command, cwd=self.project, env=environment or self.environment, capture_output=True, text=True, check=False
        )

    def killed_at(self, command: list[str], environment: dict[str, str], rule: dict[str, Any]) -> bool:
        """Runs a command and kills it, with everything it started, as soon as a fault rule has parked a request.

        Returns:
            False when the command ended well before the rule took hold.

        Raises:
            RuntimeError: it failed before, so that nothing can be said about the point.
        """
        self.sandbox.set_faults([rule])
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                command,
                cwd=self.project,
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                while process.poll() is None:
                    if self.sandbox.status()["held"]:
                        kill_tree(process)
                        return True
                    time.sleep(0.05)
            finally:
                self.sandbox.clear_faults()
            if process.returncode:
                said.seek(0)
                raise RuntimeError(f"exit code {process.returncode} before the kill: {said.read().decode()[-2000:]}")
            return False

    # What is there

    def token(self, client_id: str, secret: str) -> str | None:
        """An access token for Microsoft Graph, or None when Entra refuses the secret."""
        return token(self._http, self.tenant.tenant_id, client_id, secret)

    def get(self, path: str) -> list[dict[str, Any]]:
        """All items of a Graph collection, read as the admin application."""
        token = self.token(self.tenant.admin_client_id, self.tenant.admin_client_secret)
        answer = self._http.get(f"/v1.0{path}", headers={"Authorization": f"Bearer {token}"})
        items: list[dict[str, Any]] = answer.raise_for_status().json()["value"]
        return items

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """One Graph request as the admin application."""
        token = self.token(self.tenant.admin_client_id, self.tenant.admin_client_secret)
        return self._http.request(method, f"/v1.0{path}", json=body, headers={"Authorization": f"Bearer {token}"})

    def restrict_admin(self, role: str) -> None:
        """Takes an application permission from the admin application."""
        graph = self.get(f"/servicePrincipals?$filter=appId eq '{GRAPH}'")[0]
        role_id = next(r["id"] for r in graph["appRoles"] if r["value"] == role)
        admin = self.get(f"/servicePrincipals?$filter=appId eq '{self.tenant.admin_client_id}'")[0]
        held = self.get(f"/servicePrincipals/{admin['id']}/appRoleAssignments?$top=999")
        one = next(a["id"] for a in held if a["appRoleId"] == role_id)
        self.request("DELETE", f"/servicePrincipals/{admin['id']}/appRoleAssignments/{one}").raise_for_status()

    def set_password_policy(self, restrictions: list[dict[str, Any]]) -> None:
        """Restricts client secrets for the whole tenant."""
        body = {"isEnabled": True, "applicationRestrictions": {"passwordCredentials": restrictions}}
        self.request("PATCH", "/policies/defaultAppManagementPolicy", body).raise_for_status()

    def click(self) -> str:
        """A registration as somebody clicked it together: single-page application, one secret, one scope too many.

        Returns:
            Its client id.
        """
        wrong = {"displayName": "cloudex mail", "spa": {"redirectUris": ["https://my.cloudex.app/acme/x"]}}
        app = (
            self.request("POST", "/applications", {**wrong, "signInAudience": "AzureADMyOrg"}).raise_for_status().json()
        )
        body = {"passwordCredential": {"displayName": "clicked"}}
        self.request("POST", f"/applications/{app['id']}/addPassword", body).raise_for_status()
        principal = self.request("POST", "/servicePrincipals", {"appId": app["appId"]}).raise_for_status().json()
        graph = self.get(f"/servicePrincipals?$filter=appId eq '{GRAPH}'")[0]
        grant = {"clientId": principal["id"], "resourceId": graph["id"], "consentType": "AllPrincipals"}
        grant["scope"] = "User.Read Calendars.Read"
        self.request("POST", "/oauth2PermissionGrants", grant).raise_for_status()
        return str(app["appId"])

    def add_certificate(self, client_id: str, name: str) -> str:
        """A certificate that somebody else made, in a registration that has none; returns its key id."""
        path = f"/applications(appId='{client_id}')"
        self.request("PATCH", path, {"keyCredentials": [foreign_certificate(name)]}).raise_for_status()
        (listed,) = self.request("GET", path).raise_for_status().json()["keyCredentials"]
        return str(listed["keyId"])

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, the secret in clear."""
        done = self.run([str(PROVISION), "outputs", "--stack", "sweep", "--json", "--show-secrets"])
        done.check_returncode()
        values: dict[str, Any] = json.loads(done.stdout)
        return values

    def found(self) -> Found:
        """Counts what the tenant holds and tries the stack's secret."""
        applications = [app for app in self.get("/applications?$top=999") if app["displayName"] != AUTOMATION]
        ids = {app["appId"] for app in applications}
        principals = [sp for sp in self.get("/servicePrincipals?$top=999") if sp["appId"] in ids]
        grants = [g for sp in principals for g in self.get(f"/oauth2PermissionGrants?$filter=clientId eq '{sp['id']}'")]
        outputs = self.outputs()
        works = self.token(str(outputs["clientId"]), str(outputs["clientSecret"])) is not None
        return Found(
            applications=len(applications),
            service_principals=len(principals),
            grants=len(grants),
            secrets=sum(len(app["passwordCredentials"]) for app in applications),
            working=int(works and str(outputs["clientId"]) in ids),
        )


def environment(sandbox: Sandbox, data: Path, tenant: Tenant | None = None) -> dict[str, str]:
    """This process's environment for commands on a local server: nothing of another sign-in, engine or cloud in it.

    Args:
        sandbox: the server.
        data: PROVISION_DATA.
        tenant: the one to sign in to, as its admin application; without it no tenant and no cloud is named.
    """
    trusted = str(sandbox.ca_file)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("ARM_", "AZURE_", "PULUMI_"))},
        "PROVISION_DATA": str(data),
        "SSL_CERT_FILE": trusted,
        "REQUESTS_CA_BUNDLE": trusted,
    }
    if home := os.environ.get("PULUMI_HOME"):
        variables["PULUMI_HOME"] = home
    if tenant is not None:
        variables |= {
            "ARM_METADATA_HOSTNAME": sandbox.base_url.removeprefix("https://"),
            "ARM_TENANT_ID": tenant.tenant_id,
            "ARM_CLIENT_ID": tenant.admin_client_id,
            "ARM_CLIENT_SECRET": tenant.admin_client_secret,
        }
    return variables


def token(http: httpx.Client, tenant_id: str, client_id: str, secret: str) -> str | None:
    """An application's access token for Microsoft Graph, or None when Entra refuses the secret.

    Args:
        http: a client whose base URL is the local server's.
        tenant_id: the tenant.
        client_id: the application.
        secret: its client secret.
    """
    answer = http.post(
        f"/{tenant_id}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": f"{str(http.base_url).rstrip('/')}/.default",
        },
    )
    return str(answer.json()["access_token"]) if answer.status_code == 200 else None


def foreign_certificate(name: str, *, days: int = 900) -> dict[str, Any]:
    """A certificate that this toolkit did not make, as a row of ``keyCredentials``; it began yesterday.

    Args:
        name: whom it is for, and what the row is called.
        days: how long it is good from now on.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    der = base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()
    return {"type": "AsymmetricX509Cert", "usage": "Verify", "key": der, "displayName": name}


def trusting(sandbox: Sandbox) -> ssl.SSLContext:
    """TLS that trusts the server's own authority."""
    return ssl.create_default_context(cafile=str(sandbox.ca_file))


def kill_tree(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process and everything it started, as when a machine loses power.

    Everything is stopped before anything is killed, from the top down: an engine that outlived its plugin for a
    moment would still write that the plugin is gone.
    """
    try:
        top = psutil.Process(process.pid)
        top.suspend()
        family = [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for member in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                act(member)
    process.wait()
