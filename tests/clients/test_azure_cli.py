"""The Azure CLI, unmodified, does in the local tenant what the help page asks for, command by command.

It is a client that nobody here wrote: what it accepts from Microsoft it must accept from the local tenant. The CLI is
installed by ``make clients`` into an environment of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

GRAPH = "00000003-0000-0000-c000-000000000000"
REDIRECT = "https://my.cloudex.app/ACME/Services/Office365Callback.aspx"
LOCK = Path(__file__).with_name("azure-cli.lock")


def azure_cli() -> Path:
    """The CLI that ``make clients`` installed; a missing one fails the test, it is never skipped."""
    version = re.search(r"^azure-cli==(\S+)", LOCK.read_text(), flags=re.MULTILINE)
    assert version
    cache = os.environ.get("PROVISION_CACHE") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision"
    )
    az = Path(cache) / "clients" / f"azure-cli-{version[1]}" / "bin" / "az"
    assert az.exists(), f"{az} is missing: run `make clients`"
    return az


class AzureCli:
    """The CLI with its own configuration folder, trusting the local tenant's CA, signed in to one tenant."""

    def __init__(self, folder: Path, sandbox: Any) -> None:
        self.az = azure_cli()
        self.environment = {
            **os.environ,
            "AZURE_CONFIG_DIR": str(folder),
            "REQUESTS_CA_BUNDLE": str(sandbox.ca_file),
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_COLLECT_TELEMETRY": "no",
            "AZURE_CORE_NO_COLOR": "true",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.az), *arguments], env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--output", "json")
        assert done.returncode == 0, f"az {' '.join(arguments)}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def register_cloud(self, base: str) -> None:
        self.json(
            *("cloud", "register", "-n", "Local", "--endpoint-active-directory", base),
            *("--endpoint-active-directory-graph-resource-id", f"{base}/", "--endpoint-resource-manager", f"{base}/"),
            *("--endpoint-microsoft-graph-resource-id", f"{base}/", "--endpoint-management", f"{base}/"),
            *("--endpoint-active-directory-resource-id", f"{base}/"),
        )
        self.json("cloud", "set", "-n", "Local")

    def sign_in(self, tenant: str, client_id: str, secret: str) -> subprocess.CompletedProcess[str]:
        return self.run(
            *("login", "--service-principal", "-u", client_id, "-p", secret, "--tenant", tenant),
            "--allow-no-subscriptions",
        )


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory, sandbox: Any) -> AzureCli:
    """Signed in as the admin app of a tenant of its own (module-wide: each az call costs a second)."""
    cli = AzureCli(tmp_path_factory.mktemp("azure"), sandbox)
    cli.register_cloud(sandbox.base_url)
    tenant = sandbox.new_tenant()
    cli.tenant = tenant  # type: ignore[attr-defined]
    done = cli.sign_in(tenant.tenant_id, tenant.admin_client_id, tenant.admin_client_secret)
    assert done.returncode == 0, done.stderr
    return cli


def scope_id(az: AzureCli, name: str) -> str:
    principal = az.json("ad", "sp", "show", "--id", GRAPH)
    return next(s["id"] for s in principal["oauth2PermissionScopes"] if s["value"] == name)


@pytest.fixture(scope="module")
def registration(az: AzureCli) -> dict[str, Any]:
    """The help page's registration, made with the CLI: application and service principal."""
    access = [
        {
            "resourceAppId": GRAPH,
            "resourceAccess": [
                {"id": scope_id(az, name), "type": "Scope"} for name in ("Mail.Send", "User.Read", "offline_access")
            ],
        }
    ]
    app = az.json(
        *("ad", "app", "create", "--display-name", "CLOUDEX TMS Email Integration", "--web-redirect-uris", REDIRECT),
        *("--sign-in-audience", "AzureADMyOrg", "--required-resource-accesses", json.dumps(access)),
    )
    az.json("ad", "sp", "create", "--id", app["appId"])
    return app


def test_the_registration_reads_back_as_it_was_asked_for(az: AzureCli, registration: dict[str, Any]) -> None:
    shown = az.json("ad", "app", "show", "--id", registration["appId"])
    assert shown["web"]["redirectUris"] == [REDIRECT]
    assert shown["spa"]["redirectUris"] == []
    assert shown["signInAudience"] == "AzureADMyOrg"
    assert len(shown["requiredResourceAccess"][0]["resourceAccess"]) == 3
    listed = az.json("ad", "app", "list", "--display-name", "CLOUDEX TMS")
    assert [app["appId"] for app in listed] == [registration["appId"]]


def test_a_changed_callback_is_an_update_in_place(az: AzureCli, registration: dict[str, Any]) -> None:
    moved = REDIRECT.replace("ACME", "ACME2")
    az.json("ad", "app", "update", "--id", registration["appId"], "--web-redirect-uris", moved)
    assert az.json("ad", "app", "show", "--id", registration["appId"])["web"]["redirectUris"] == [moved]
    az.json("ad", "app", "update", "--id", registration["appId"], "--web-redirect-uris", REDIRECT)


def test_consent_is_granted_once_and_listed(az: AzureCli, registration: dict[str, Any]) -> None:
    client = registration["appId"]
    az.json("ad", "app", "permission", "grant", "--id", client, "--api", GRAPH, "--scope", "Mail.Send User.Read")
    grants = az.json("ad", "app", "permission", "list-grants", "--id", client)
    assert [(g["consentType"], g["scope"]) for g in grants] == [("AllPrincipals", "Mail.Send User.Read")]


def test_a_reset_secret_signs_in_and_appending_keeps_both(az: AzureCli, registration: dict[str, Any], tmp_path) -> None:
    client = registration["appId"]
    first = az.json("ad", "app", "credential", "reset", "--id", client, "--append", "--display-name", "A")
    second = az.json("ad", "app", "credential", "reset", "--id", client, "--append", "--display-name", "B")
    assert {c["displayName"] for c in az.json("ad", "app", "credential", "list", "--id", client)} == {"A", "B"}
    where = _sandbox_of(az)

    def anew(folder: str) -> AzureCli:  # its own folder each: MSAL would answer from its token cache
        other = AzureCli(tmp_path / folder, where)
        other.register_cloud(where.base_url)
        return other

    assert anew("first").sign_in(first["tenant"], client, first["password"]).returncode == 0
    assert anew("second").sign_in(second["tenant"], client, second["password"]).returncode == 0
    refused = anew("wrong").sign_in(first["tenant"], client, "not-the-secret")
    assert refused.returncode != 0
    assert "AADSTS7000215" in refused.stderr


def _sandbox_of(az: AzureCli) -> Any:
    class Where:
        ca_file = az.environment["REQUESTS_CA_BUNDLE"]
        base_url = az.json("cloud", "show")["endpoints"]["activeDirectory"]

    return Where


def test_rest_reads_and_writes_graph(az: AzureCli, registration: dict[str, Any]) -> None:
    base = _sandbox_of(az).base_url
    url = f"{base}/v1.0/applications(appId='{registration['appId']}')?$select=displayName"
    assert az.json("rest", "--url", url)["displayName"] == "CLOUDEX TMS Email Integration"
    az.json("rest", "--method", "patch", "--url", url.split("?", maxsplit=1)[0], "--body", '{"notes": "seen by az"}')
    assert az.json("rest", "--url", url.replace("displayName", "notes"))["notes"] == "seen by az"


def test_graph_refuses_through_az_with_its_own_words(az: AzureCli) -> None:
    base = _sandbox_of(az).base_url
    refused = az.run("rest", "--method", "post", "--url", f"{base}/v1.0/applications", "--body", '{"colour": "red"}')
    assert refused.returncode != 0
    assert "Bad Request" in refused.stderr
    assert "colour" in refused.stderr


def test_delete_removes_the_registration(az: AzureCli, registration: dict[str, Any]) -> None:
    client = registration["appId"]
    az.json("ad", "sp", "delete", "--id", client)
    az.json("ad", "app", "delete", "--id", client)
    gone = az.run("ad", "app", "show", "--id", client)
    assert gone.returncode != 0
    assert "does not exist" in gone.stderr or "not found" in gone.stderr.lower()


# Exchange Online's administration, which az knows nothing of: `az rest` with a token for Exchange


def exchange(az: AzureCli, sandbox: Any, cmdlet: str, **parameters: Any) -> subprocess.CompletedProcess[str]:
    """One cmdlet by ``az rest``, as people without PowerShell run it."""
    body = {"CmdletInput": {"CmdletName": cmdlet, "Parameters": parameters}}
    domain = az.tenant.domain  # type: ignore[attr-defined]
    return az.run(
        *("rest", "--method", "post", "--resource", "https://outlook.office365.com"),
        *("--uri", f"{sandbox.base_url}/adminapi/beta/{domain}/InvokeCommand"),
        *("--headers", "Content-Type=application/json", "X-ResponseFormat=json", f"X-CmdletName={cmdlet}"),
        *("--body", json.dumps(body), "--output", "json"),
    )


def test_a_mailbox_is_switched_by_az_rest(az: AzureCli, sandbox: Any) -> None:
    name = f"ada@{az.tenant.domain}"  # type: ignore[attr-defined]
    done = exchange(az, sandbox, "Set-CASMailbox", Identity=name, SmtpClientAuthenticationDisabled=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == []
    shown = json.loads(exchange(az, sandbox, "Get-CASMailbox", Identity=name).stdout)
    assert shown["value"][0]["SmtpClientAuthenticationDisabled"] is False
    again = json.loads(
        exchange(az, sandbox, "Set-CASMailbox", Identity=name, SmtpClientAuthenticationDisabled=False).stdout
    )
    assert "no settings of" in again["@adminapi.warnings"][0]


def test_the_switch_that_does_not_exist_fails_in_az_with_its_name(az: AzureCli, sandbox: Any) -> None:
    name = f"ada@{az.tenant.domain}"  # type: ignore[attr-defined]
    done = exchange(az, sandbox, "Set-CASMailbox", Identity=name, SmtpClientAuthenticationEnabled=True)
    assert done.returncode != 0
    assert "Invalid cmdlet parameters specified. SmtpClientAuthenticationEnabled" in done.stderr


def test_a_token_for_graph_does_not_open_exchange(az: AzureCli, sandbox: Any) -> None:
    tenant = az.tenant.tenant_id  # type: ignore[attr-defined]
    body = json.dumps({"CmdletInput": {"CmdletName": "Get-Mailbox"}})
    done = az.run(
        *("rest", "--method", "post", "--resource", sandbox.base_url, "--body", body),
        *("--uri", f"{sandbox.base_url}/adminapi/beta/{tenant}/InvokeCommand"),
    )
    assert done.returncode != 0
    assert "Unauthorized" in done.stderr
