"""Lets the azuread plugin use a sign-in that it does not know (device code, browser): it asks ``az``, we answer.

The plugin knows no interactive method but "ask the Azure CLI". So the process that signed the person in puts a tiny
program named ``az`` first on the engine's PATH; it passes its arguments through a Unix socket in a private folder
(0700) and prints the answer. The token is never in an argument, an environment variable or a file.

The calls answered are those of go-azure-sdk (``sdk/auth/azure_cli_authorizer.go``, ``sdk/internal/azurecli``):
``az version``, ``az account show``, ``az account get-access-token --scope … --tenant …``; and azure-identity's
``--resource`` form of the last. Everything else is refused.

Not on Windows, which finds programs by other rules: there, sign in with the Azure CLI itself.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import socket
import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provision.errors import InvalidInput, ProvisionError
from provision.microsoft.credentials import Credential
from provision.microsoft.tokens import Caller

_AZURE_CLI_VERSION = "2.99.0"
"""The plugin wants at least 2.0.81 and less than 3 (``azurecli/versions.go``)."""

_MAX_REQUEST_BYTES = 65_536

_LAUNCHER = """\
#!/bin/sh
exec {python} -IS {program} "$@"
"""
"""A shell line, because an interpreter's path after ``#!`` may not be longer than 127 characters."""

_PROGRAM = """\
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect(os.path.join(os.path.dirname(os.path.abspath(__file__)), "socket"))
line.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
answer = json.loads(b"".join(iter(lambda: line.recv(65536), b"")))
sys.stdout.write(answer["out"])
sys.stderr.write(answer["err"])
sys.exit(answer["code"])
"""


class AzBridge:
    """Answers ``az`` for one signed-in person while it is open; use it as a context manager.

    Args:
        credential: the sign-in to share.
        caller: as whom.

    Raises:
        InvalidInput: on Windows.
    """

    def __init__(self, credential: Credential, caller: Caller) -> None:
        if sys.platform == "win32":
            raise InvalidInput(
                "On Windows the engine can only share the Azure CLI's own sign-in.",
                remedy="Run az login, then use --credential azure-cli.",
            )
        self._credential = credential
        self._caller = caller
        self.folder = Path(tempfile.mkdtemp(prefix="az-"))
        """Holds the program and the socket; first on the engine's PATH."""
        program, launcher = self.folder / "az.py", self.folder / "az"
        program.write_text(_PROGRAM, encoding="utf-8")
        quoted = {"python": shlex.quote(sys.executable), "program": shlex.quote(str(program))}
        launcher.write_text(_LAUNCHER.format_map(quoted), encoding="utf-8")
        launcher.chmod(0o700)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / "socket"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, name="az-bridge", daemon=True)
        self._thread.start()

    def environment(self, environ: dict[str, str]) -> dict[str, str]:
        """What to change in the engine's environment: PATH with this ``az`` first."""
        return {"PATH": os.pathsep.join([str(self.folder), environ.get("PATH", os.defpath)])}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stops answering and removes the folder."""
        with contextlib.suppress(OSError):  # macOS: a listening socket is not connected; closing it is enough
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    asked = json.loads(_read_line(connection))
                    connection.sendall(json.dumps(self._answer([str(word) for word in asked])).encode())
                except (OSError, ValueError, TypeError):
                    continue  # whoever hung up or sent nonsense gets no answer; the next caller does

    def _answer(self, words: list[str]) -> dict[str, Any]:
        options = {name: value for name, value in itertools.pairwise(words) if name.startswith("--")}
        command = " ".join(words[:2])
        try:
            if words[:1] == ["version"]:
                return _said({"azure-cli": _AZURE_CLI_VERSION, "azure-cli-core": _AZURE_CLI_VERSION, "extensions": {}})
            if command == "account show":
                return _said(self._account())
            if command == "account get-access-token":
                return _said(self._token(options))
        except ProvisionError as error:
            return {"out": "", "err": f"ERROR: {error}\n", "code": 1}
        return {"out": "", "err": f"ERROR: this az knows nothing of '{command}'\n", "code": 2}

    def _account(self) -> dict[str, Any]:
        kind = "user" if self._caller.kind == "user" else "servicePrincipal"
        return {
            "environmentName": "AzureCloud",
            "homeTenantId": self._caller.tenant_id,
            "id": self._caller.tenant_id,
            "isDefault": True,
            "managedByTenants": [],
            "name": "N/A(tenant level account)",
            "state": "Enabled",
            "tenantId": self._caller.tenant_id,
            "user": {"name": self._caller.name, "type": kind},
        }

    def _token(self, options: dict[str, str]) -> dict[str, Any]:
        scope = options.get("--scope") or f"{options.get('--resource', '').rstrip('/')}/.default"
        token = self._credential.get_token(scope)
        until = datetime.fromtimestamp(token.expires_on)
        return {
            "accessToken": token.token,
            "expiresOn": until.strftime("%Y-%m-%d %H:%M:%S.%f"),
            "expires_on": token.expires_on,
            "tenant": self._caller.tenant_id,
            "tokenType": "Bearer",
        }


def _read_line(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\n") and len(received) < _MAX_REQUEST_BYTES:
        piece = connection.recv(4096)
        if not piece:
            break
        received += piece
    return received


def _said(answer: dict[str, Any]) -> dict[str, Any]:
    return {"out": json.dumps(answer), "err": "", "code": 0}
