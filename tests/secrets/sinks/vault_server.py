"""Vault itself for tests: its core, KV engine and JWT method in one process, over TLS."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import hvac
from go_servers import installed

from provision.sandbox.tls import Certificates
from provision.secrets.sinks import Sink, open_sink

ADDRESS = "vault:secret/tms/mail#client_secret"


@dataclass(frozen=True)
class Server:
    """A running Vault and its administrator."""

    environ: dict[str, str]
    admin: hvac.Client

    def sink(self, address: str = ADDRESS, **environ: str) -> Sink:
        return open_sink(address, {**self.environ, **environ})

    def token(self, policy: str, *, default: bool = True) -> str:
        """A token with one policy of these rules."""
        self.admin.sys.create_or_update_policy("tested", policy)
        made = self.admin.auth.token.create(policies=["tested"], no_default_policy=not default)
        return str(made["auth"]["client_token"])

    def fields(self, path: str) -> dict[str, object]:
        """The latest version of a secret in the engine of version 2."""
        answer = self.admin.secrets.kv.v2.read_secret_version(path, mount_point="secret", raise_on_deleted_version=True)
        return dict(answer["data"]["data"])


@contextmanager
def started(directory: Path) -> Iterator[Server]:
    """A server with an engine of each version, at ``secret`` and at ``old/kv``."""
    certificates = Certificates(directory)
    certificates.ensure("127.0.0.1")
    command = [installed("vault", "vault"), certificates.server_file, certificates.server_key_file]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            admin = hvac.Client(url=told["address"], token=told["token"], verify=str(certificates.ca_file))
            admin.sys.enable_secrets_engine("kv", "secret", options={"version": "2"})
            admin.sys.enable_secrets_engine("kv", "old/kv", options={"version": "1"})
            yield Server(
                {
                    "VAULT_ADDR": told["address"],
                    "VAULT_TOKEN": told["token"],
                    "VAULT_CACERT": str(certificates.ca_file),
                    "HOME": str(directory),
                },
                admin,
            )
        finally:
            process.kill()
