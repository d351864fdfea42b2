"""A fleet of local tenants for benches and tests: its file, its command, and what every tenant holds in the end.

What is right is counted at the local tenant, never taken from our own records.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from trial import AUTOMATION, PROVISION, environment, token, trusting

from provision.sandbox import Sandbox, Tenant


@dataclass(frozen=True)
class Held:
    """What one tenant holds that a run made."""

    applications: int
    service_principals: int
    grants: int
    secrets: int
    client_id: str = ""

    @property
    def right(self) -> bool:
        """One registration, one principal, one grant, one live secret."""
        return (self.applications, self.service_principals, self.grants, self.secrets) == (1, 1, 1, 1)

    @property
    def duplicates(self) -> int:
        """How many are there beside the one."""
        counts = (self.applications, self.service_principals, self.grants, self.secrets)
        return sum(max(0, count - 1) for count in counts)


class LocalFleet:
    """A fleet file whose rows are tenants of one local server.

    Args:
        sandbox: the server.
        folder: an empty folder for the file, the data and the logs.
        count: how many tenants.
        store: PROVISION_FLEET_STORE; a SQLite file in the folder without it.
        environ: variables of the runs beside the process's own.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        count: int,
        *,
        store: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.tenants: dict[str, Tenant] = {
            f"c{number:04}": tenant for number, tenant in enumerate(sandbox.new_tenants(count, prefix="customer"), 1)
        }
        self.environment = environment(sandbox, folder / "data") | {
            "PROVISION_FLEET_STORE": store or f"sqlite:///{folder / 'fleet.db'}",
            **(environ or {}),
        }
        self.file = folder / "tenants.yaml"
        self.write(self.tenants)
        self._http = httpx.Client(base_url=sandbox.base_url, verify=trusting(sandbox), trust_env=False, timeout=60)

    def write(self, keys: Iterable[str], *, wrong: Mapping[str, str] | None = None) -> None:
        """Writes the fleet file.

        Args:
            keys: its rows.
            wrong: secrets that are not the tenant's, by key.
        """
        secrets = self.folder / "secrets"
        secrets.mkdir(mode=0o700, exist_ok=True)
        credentials, rows = {}, []
        for key in keys:
            tenant = self.tenants[key]
            (secrets / key).touch(mode=0o600)
            (secrets / key).write_text((wrong or {}).get(key, tenant.admin_client_secret))
            credentials[key] = {
                "method": "client-secret",
                "clientId": tenant.admin_client_id,
                "secret": f"file:{secrets / key}",
            }
            rows.append({"key": key, "tenant": tenant.tenant_id, "companyCode": key.upper(), "credential": key})
        host = self.sandbox.base_url.removeprefix("https://")
        document = {"fleet": "trial", "defaults": {"metadataHost": host}, "credentials": credentials, "tenants": rows}
        self.file.write_text(yaml.safe_dump(document, sort_keys=False))

    # Commands

    def command(self, action: str, *options: str) -> list[str]:
        """``provision fleet ACTION`` over the file."""
        return [str(PROVISION), "fleet", action, "--file", str(self.file), *options]

    def run(self, action: str, *options: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        return subprocess.run(
            self.command(action, *options),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def start(self, action: str, *options: str) -> subprocess.Popen[bytes]:
        """Starts it; what it says goes to ``said``."""
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(
                self.command(action, *options),
                cwd=self.folder,
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What started commands have said."""
        return (self.folder / "said").read_text()

    # What is there

    def held(self, *, without: Iterable[str] = ()) -> dict[str, Held]:
        """What each tenant holds, asked there, in fair weather.

        Args:
            without: tenants that cannot be asked.
        """
        tenants = {key: tenant for key, tenant in self.tenants.items() if key not in set(without)}
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(tenants, pool.map(self._held, tenants.values()), strict=True))

    def _held(self, tenant: Tenant) -> Held:
        headers = {"Authorization": f"Bearer {self.token(tenant, tenant.admin_client_id, tenant.admin_client_secret)}"}

        def items(path: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = (
                self._http.get(f"/v1.0{path}", headers=headers).raise_for_status().json()["value"]
            )
            return found

        made = [one for one in items("/applications?$top=999") if one["displayName"] != AUTOMATION]
        ids = {one["appId"] for one in made}
        principals = [one for one in items("/servicePrincipals?$top=999") if one["appId"] in ids]
        grants = [
            grant
            for principal in principals
            for grant in items(f"/oauth2PermissionGrants?$filter=clientId eq '{principal['id']}'")
        ]
        return Held(
            applications=len(made),
            service_principals=len(principals),
            grants=len(grants),
            secrets=sum(len(one["passwordCredentials"]) for one in made),
            client_id=next(iter(ids), ""),
        )

    def works(self, key: str) -> bool:
        """Whether the secret that is kept for a tenant signs in there, as its registration."""
        kept = stored_secret(self.folder / "data", key)
        return kept is not None and self.token(self.tenants[key], *kept) is not None

    def token(self, tenant: Tenant, client_id: str, secret: str) -> str | None:
        """An access token for Microsoft Graph; None when Entra refuses the secret."""
        return token(self._http, tenant.tenant_id, client_id, secret)


def stored_secret(data: Path, key: str) -> tuple[str, str] | None:
    """The client id and the secret in a stack's state in a data directory, read without an engine; None: there is none.

    Pulumi's passphrase provider: PBKDF2-HMAC-SHA256 with a million rounds, AES-256-GCM ("pkg/resource/config/crypt.go",
    "sdk/go/common/resource/config/crypt.go" in pulumi/pulumi).
    """
    file = data / "state" / ".pulumi" / "stacks" / "office365-mail" / f"{key}.json"
    if not file.exists():
        return None
    latest = json.loads(file.read_text())["checkpoint"]["latest"]
    stack = next((one for one in latest.get("resources") or () if one["type"] == "pulumi:pulumi:Stack"), {})
    outputs = stack.get("outputs") or {}
    if not outputs.get("clientSecret"):
        return None
    salt = base64.b64decode(latest["secrets_providers"]["state"]["salt"].split(":")[1])
    passphrase = (data / "passphrase").read_text().strip()
    cipher = AESGCM(hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, 1_000_000, 32))
    _, nonce, sealed = outputs["clientSecret"]["ciphertext"].split(":")
    value = json.loads(cipher.decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None))
    return str(outputs["clientId"]), str(value)
