"""A real Kubernetes API server with its etcd, started once by a process of tests: role-based access, admission."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from go_servers import installed

from provision.sandbox.tls import Certificates


@dataclass
class ApiServer:
    """The running server, seen by its administrator."""

    http: httpx.Client
    directory: Path
    ca_file: Path

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.http.request(method, path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A kube-apiserver and its etcd, on loopback, with two users: an administrator and one without any role."""
    directory = tmp_path_factory.mktemp("kubernetes")
    certificates = Certificates(directory)
    certificates.ensure("127.0.0.1")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing = directory / "service-accounts.pem"
    signing.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    tokens = directory / "tokens.csv"
    tokens.write_text('admin-token,admin,1,"system:masters"\ntested-token,tested,2,\n')
    etcd, peer, port = _free_port(), _free_port(), _free_port()
    programs = (
        [
            *(installed("kubernetes", "server"), "--data-dir", directory / "etcd", "--unsafe-no-fsync"),
            *("--log-level", "panic", "--listen-client-urls", f"http://127.0.0.1:{etcd}"),
            *("--advertise-client-urls", f"http://127.0.0.1:{etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peer}"),
        ],
        [
            *(installed("kubernetes", "kube-apiserver"), "--etcd-servers", f"http://127.0.0.1:{etcd}"),
            *("--bind-address", "127.0.0.1", "--secure-port", str(port)),
            *("--tls-cert-file", certificates.server_file, "--tls-private-key-file", certificates.server_key_file),
            *("--client-ca-file", certificates.ca_file, "--token-auth-file", tokens, "--authorization-mode", "RBAC"),
            *("--service-account-key-file", signing, "--service-account-signing-key-file", signing),
            *(
                "--service-account-issuer",
                "https://kubernetes.default.svc",
                "--service-cluster-ip-range",
                "10.0.0.0/24",
            ),
            *("--advertise-address", "192.0.2.1", "--endpoint-reconciler-type", "none"),
        ],
    )
    with ExitStack() as stack:
        for number, program in enumerate(programs):
            log = stack.enter_context((directory / f"{number}.log").open("wb"))
            process = stack.enter_context(subprocess.Popen(program, stdout=log, stderr=log))
            stack.callback(process.kill)
        http = stack.enter_context(
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                verify=ssl.create_default_context(cafile=str(certificates.ca_file)),
                headers={"Authorization": "Bearer admin-token"},
                trust_env=False,
                timeout=30,
            )
        )
        _until_ready(http, directory / "1.log")
        yield ApiServer(http, directory, certificates.ca_file)


def _until_ready(http: httpx.Client, log: Path) -> None:
    for _ in range(600):
        try:
            if http.get("/readyz").text == "ok":
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(log.read_text()[-2000:])
