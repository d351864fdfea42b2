"""A Key Vault for tests: the part of its REST API that a secret takes, over TLS under a vault's own name.

It checks tokens as the service does (signature by the local tenant's published keys, audience, issuer, lifetime) and
refuses what is not documented, in the service's words. ``Proxy`` leads a client there by the proxy variables, so that
addresses, certificates and the challenge's check of the host are those of the public cloud.

Sources: "Set Secret", "Get Secret", "Delete Secret", "Recover Deleted Secret" (Key Vault REST API), "Azure Key Vault
REST API error codes", "Authentication, requests and responses", and the answers recorded in the SDKs' tests.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import jwt

from provision.sandbox import Sandbox, Tenant
from provision.sandbox.tls import Certificates

RESOURCE = "https://vault.azure.net"
_VERSIONS = {"7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"}
_SECRET = re.compile(r"/secrets/([0-9a-zA-Z-]{1,127})(?:/([0-9a-f]{32})?)?")
_DELETED = re.compile(r"/deletedsecrets/([0-9a-zA-Z-]{1,127})(/recover)?")
_NOT_FOUND = (
    "A secret with (name/id) {} was not found in this key vault. If you recently deleted this secret you may be able "
    "to recover it using the correct recovery command. For help resolving this issue, please see "
    "https://go.microsoft.com/fwlink/?linkid=2125182"
)
_NO_ROLE = (
    "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role "
    "definitions were changed recently, please observe propagation time.\r\nCaller: appid={};oid={};iss={}\r\n"
    "Action: 'Microsoft.KeyVault/vaults/secrets/{}Secret/action'\r\nAssignment: (not found)\r\n"
)


class Refused(Exception):
    """An answer of the service that is an error."""

    def __init__(self, status: int, code: str, message: str, inner: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"code": code, "message": message}
        if inner:
            self.body["innererror"] = {"code": inner}


@dataclass
class Version:
    """One version of a secret."""

    value: str
    name: str
    content_type: str | None
    tags: dict[str, str]
    expires: int | None
    enabled: bool = True
    managed: bool = False
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))


class KeyVault:
    """One vault with role-based access.

    Args:
        host: the name under which it is reached.
        sandbox: the tenants' server, whose keys sign the tokens.
        tenant: the tenant that the vault belongs to.
        directory: for the vault's certificate.
    """

    def __init__(self, host: str, sandbox: Sandbox, tenant: Tenant, directory: Path) -> None:
        self.host = host
        self.challenge_resource = RESOURCE
        self.actions = {"get", "set", "delete", "recover"}
        self.secrets: dict[str, list[Version]] = {}
        self.deleted: dict[str, list[Version]] = {}
        self.weather: list[tuple[int, str, str, str]] = []
        """Refusals to give next, one for each authorized request: status, code, message, inner code."""
        self.requests: list[str] = []
        self._tenant, self._login = tenant, sandbox.base_url
        self._keys = jwt.PyJWKClient(
            f"{sandbox.base_url}/common/discovery/v2.0/keys",
            ssl_context=ssl.create_default_context(cafile=str(sandbox.ca_file)),
        )
        self._issuer = f"https://sts.windows.net/{tenant.tenant_id}/"
        directory.mkdir()
        certificates = Certificates(directory)
        certificates.ensure(host)
        self.ca_file = certificates.ca_file
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server_file, certificates.server_key_file)
        self._server = _server(self, context)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def latest(self, name: str) -> Version:
        """The newest version of a secret; KeyError when there is none."""
        return self.secrets[name][-1]

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """One request's status and body."""
        parts = urlsplit(target)
        if headers["Host"] not in (self.host, f"{self.host}:{self.port}"):
            raise Refused(400, "BadParameter", f"The request's Host {headers['Host']} is another.")
        caller = self._caller(headers.get("Authorization"))
        if self.weather:
            status, code, message, inner = self.weather.pop(0)
            raise Refused(status, code, message, inner)
        version = parse_qs(parts.query).get("api-version", [""])[0]
        if version not in _VERSIONS:
            raise Refused(400, "BadParameter", f"The specified version ({version}) is not recognized.")
        if found := _SECRET.fullmatch(parts.path):
            name = found[1]
            if method == "GET":
                return self._get(caller, name, found[2])
            if found[2] is None and method == "PUT":
                return self._set(caller, name, headers, body)
            if found[2] is None and method == "DELETE":
                return self._delete(caller, name)
        if found := _DELETED.fullmatch(parts.path):
            if method == "GET" and not found[2]:
                return self._get_deleted(caller, found[1])
            if method == "POST" and found[2]:
                return self._recover(caller, found[1])
        raise Refused(405, "MethodNotAllowed", f"{method} {parts.path}")

    def challenge(self) -> str:
        """``WWW-Authenticate`` of every 401."""
        return f'Bearer authorization="{self._login}/{self._tenant.tenant_id}", resource="{self.challenge_resource}"'

    def _caller(self, authorization: str | None) -> dict[str, Any]:
        if not authorization or not authorization.startswith("Bearer "):
            raise Refused(401, "Unauthorized", "AKV10000: Request is missing a Bearer or PoP token.")
        token = authorization.removeprefix("Bearer ")
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token).key,
                algorithms=["RS256"],
                audience=[RESOURCE, f"{RESOURCE}/"],
            )
        except jwt.InvalidAudienceError:
            raise Refused(401, "Unauthorized", "AKV10022: Invalid audience.") from None
        except jwt.PyJWTError:
            raise Refused(401, "Unauthorized", "AKV10046: Unable to resolve the key used for signature.") from None
        if claims["iss"] != self._issuer:
            raise Refused(
                401,
                "Unauthorized",
                f"AKV10032: Invalid issuer. Expected one of {self._issuer}, found {claims['iss']}.",
            )
        return claims

    def _require(self, caller: dict[str, Any], action: str) -> None:
        if action not in self.actions:
            text = _NO_ROLE.format(caller["appid"], caller["oid"], caller["iss"], action)
            raise Refused(403, "Forbidden", text, "ForbiddenByRbac")

    def _get(self, caller: dict[str, Any], name: str, version: str | None) -> tuple[int, dict[str, Any]]:
        self._require(caller, "get")
        wanted = [one for one in self.secrets.get(name, []) if version in (None, one.id)]
        if not wanted:
            raise Refused(404, "SecretNotFound", _NOT_FOUND.format(name))
        if not wanted[-1].enabled:
            raise Refused(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return 200, self._bundle(wanted[-1], value=True)

    def _set(self, caller: dict[str, Any], name: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        self._require(caller, "set")
        if headers.get_content_type() != "application/json":
            raise Refused(415, "BadParameter", "Content type is not supported.")
        given = json.loads(body)
        attributes = given.get("attributes") or {}
        tags = given.get("tags") or {}
        if set(given) - {"value", "contentType", "attributes", "tags"} or set(attributes) - {"enabled", "exp", "nbf"}:
            raise Refused(400, "BadParameter", f"Property has invalid value: {sorted(given)}, {sorted(attributes)}")
        if not isinstance(given.get("value"), str) or len(given["value"].encode()) > 25 * 1024:
            raise Refused(400, "BadParameter", "The secret's value is missing or too long.")
        if not all(isinstance(attributes.get(name, 0), int) for name in ("exp", "nbf")):
            raise Refused(400, "BadParameter", "exp and nbf are seconds since 1970.")
        if len(tags) > 15 or not all(len(part) <= 256 for pair in tags.items() for part in pair):
            raise Refused(400, "BadParameter", "A secret has at most 15 tags of 256 characters.")
        if len(given.get("contentType") or "") > 255:
            raise Refused(400, "BadParameter", "The content type is too long.")
        if name in self.deleted:
            raise Refused(
                409,
                "Conflict",
                f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in "
                "this state, the secret can only be recovered or purged.",
                "ObjectIsDeletedButRecoverable",
            )
        made = Version(given["value"], name, given.get("contentType"), tags, attributes.get("exp"))
        self.secrets.setdefault(name, []).append(made)
        return 200, self._bundle(made, value=True)

    def _delete(self, caller: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
        self._require(caller, "delete")
        if name not in self.secrets:
            raise Refused(404, "SecretNotFound", _NOT_FOUND.format(name))
        if self.latest(name).managed:
            text = 'Operation "delete" is not allowed as this object\'s lifetime is managed by Key Vault.'
            raise Refused(403, "Forbidden", text, "SecretManagedByKeyVault")
        self.deleted[name] = self.secrets.pop(name)
        return 200, self._deleted_bundle(name)

    def _get_deleted(self, caller: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
        self._require(caller, "get")
        if name not in self.deleted:
            raise Refused(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return 200, self._deleted_bundle(name)

    def _recover(self, caller: dict[str, Any], name: str) -> tuple[int, dict[str, Any]]:
        self._require(caller, "recover")
        if name not in self.deleted:
            raise Refused(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        self.secrets[name] = self.deleted.pop(name)
        return 200, self._bundle(self.latest(name), value=False)

    def _bundle(self, version: Version, *, value: bool) -> dict[str, Any]:
        bundle: dict[str, Any] = {
            "id": f"https://{self.host}/secrets/{version.name}/{version.id}",
            "attributes": {
                "enabled": version.enabled,
                "created": version.created,
                "updated": version.created,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
            "tags": version.tags,
        }
        if version.expires is not None:
            bundle["attributes"]["exp"] = version.expires
        if version.content_type is not None:
            bundle["contentType"] = version.content_type
        if version.managed:
            bundle["managed"] = True
        return bundle | ({"value": version.value} if value else {})

    def _deleted_bundle(self, name: str) -> dict[str, Any]:
        now = int(time.time())
        return self._bundle(self.deleted[name][-1], value=False) | {
            "recoveryId": f"https://{self.host}/deletedsecrets/{name}",
            "deletedDate": now,
            "scheduledPurgeDate": now + 90 * 86400,
        }


def _server(vault: KeyVault, context: ssl.SSLContext) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nothing goes to standard error."""

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            challenge = ""
            try:
                status, answer = vault.answer(self.command, self.path, self.headers, body)
            except Refused as refused:
                status, answer = refused.status, {"error": refused.body}
                challenge = vault.challenge() if status == 401 else ""
            vault.requests.append(f"{self.command} {urlsplit(self.path).path} {status}")
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(text)))
            if challenge:
                self.send_header("WWW-Authenticate", challenge)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = do_DELETE = do_POST = _serve

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] - a client that ends a handshake is no news
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


@contextmanager
def in_public_cloud(sandbox: Sandbox, tenant: Tenant, directory: Path) -> Iterator[tuple[KeyVault, dict[str, str]]]:
    """A vault of the tenant, reached by its public name through a proxy, and the variables that lead there."""
    with (
        KeyVault("tms-kv.vault.azure.net", sandbox, tenant, directory / "kv") as server,
        Proxy({server.host: server.port}) as proxy,
    ):
        trusted = directory / "trusted.pem"
        trusted.write_bytes(sandbox.ca_file.read_bytes() + server.ca_file.read_bytes())
        yield (
            server,
            {
                "HTTPS_PROXY": proxy.url,
                "NO_PROXY": "localhost,127.0.0.1",
                "REQUESTS_CA_BUNDLE": str(trusted),
                "SSL_CERT_FILE": str(trusted),
                "ARM_METADATA_HOSTNAME": sandbox.base_url.removeprefix("https://"),
                "ARM_TENANT_ID": tenant.tenant_id,
                "ARM_CLIENT_ID": tenant.admin_client_id,
                "ARM_CLIENT_SECRET": tenant.admin_client_secret,
            },
        )


class Proxy:
    """An HTTP proxy on loopback that leads ``CONNECT NAME:443`` to a port of this machine, and refuses other names."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports = ports
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += client.recv(4096)
        host = asked.split()[1].decode().removesuffix(":443")
        if host not in self.ports:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self.ports[host]))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        threading.Thread(target=_pump, args=(server, client), daemon=True).start()
        _pump(client, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
