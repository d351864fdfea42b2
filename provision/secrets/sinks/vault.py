"""A field of a secret in the KV engine of HashiCorp Vault or OpenBao, version 1 or 2 of the engine.

The address is ``vault:MOUNT/PATH#FIELD``. Where the server is and who signs in stands in the environment, as for
Vault's own command line: ``VAULT_ADDR``, ``VAULT_NAMESPACE``, ``VAULT_CACERT``, ``VAULT_CAPATH``, ``VAULT_CLIENT_CERT``
and ``VAULT_CLIENT_KEY``; ``VAULT_TOKEN``, else the pipeline's token in ``VAULT_JWT`` for the role ``VAULT_ROLE`` of the
JWT method (mounted at ``VAULT_AUTH_PATH``, ``jwt`` without it), else ``~/.vault-token``. OpenBao's ``BAO_…`` names
count where Vault's are not set.

Other fields stay. With version 2 a write names the version that it builds on, so that nobody's change is lost; version
1 has no such check. Which client secret it is stands beside it, in the field ``FIELD_key_id``: one write stores both.

Sources: "KV secrets engine - version 2 (API)", "version 1 (API)", "JWT/OIDC auth method (API)",
"/sys/capabilities-self" and "HTTP API: HTTP status codes" of Vault's documentation; the mount and its version are asked
for as Vault's command line does.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from provision.errors import InvalidInput, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.secrets.sinks import Delivery, Stored
from provision.settings.endpoints import unreachable

if TYPE_CHECKING:
    import hvac
    from hvac.exceptions import VaultError

RIGHTS = (
    'A policy with path "MOUNT/data/PATH" { capabilities = ["create", "read", "update"] } (version 1 of the engine: '
    'path "MOUNT/PATH"), and "delete" where secrets are removed again.'
)
WITHOUT_CERTIFICATES = ""

_PATH = re.compile(r"[A-Za-z0-9._~@:+-]+(/[A-Za-z0-9._~@:+-]+)+")
_FIELD = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KEY_ID = "_key_id"
_TIMEOUT = 30
_ATTEMPTS = 5
"""How often a write is built anew when others write the same secret in between."""


@dataclass(frozen=True)
class _Mount:
    path: str
    """With a slash at its end, as Vault says it."""
    version: int


@dataclass(frozen=True)
class _Held:
    """What the place holds: all fields, and the version that a write must build on (0: nothing was ever there)."""

    fields: dict[str, Any] | None = field(repr=False)
    version: int


@dataclass(frozen=True)
class VaultField:
    """One field of one secret."""

    address: str
    path: str
    name: str
    environ: Mapping[str, str] = field(repr=False)

    def by(self, other: VaultField) -> VaultField:
        """This field, reached through the sign-in of another one at the same server, and its engine where both are."""
        mine = replace(self)
        mine.__dict__["_client"] = other._client
        if self.path.startswith(other._mount.path):
            mine.__dict__["_mount"] = other._mount
        return mine

    def check(self) -> None:
        """Signs in, finds the engine, reads the secret and asks whether the token may write it."""
        from hvac.exceptions import Forbidden

        held = self._read()
        needed = {"read", "update" if held.version or held.fields else "create"}
        with self._doing("ask for the capabilities on"):
            try:
                asked = {"paths": [self._api_path]}
                answer = _document(self._client.adapter.post("/v1/sys/capabilities-self", json=asked), self._server)
            except Forbidden:
                return  # a token without Vault's default policy may not ask what it may
        granted = set(answer.get("data", answer).get(self._api_path, []))
        if "root" not in granted and (missing := sorted(needed - granted)):
            raise NotPermitted(
                f"The token may not {' and '.join(missing)} {self._api_path} at {self._server}.", remedy=RIGHTS
            )

    def stored(self) -> Stored | None:
        """The field's value, and the secret's version where the engine counts versions."""
        held = self._read()
        if held.fields is None or self.name not in held.fields:
            return None
        value, key_id = held.fields[self.name], held.fields.get(self.name + _KEY_ID)
        return Stored(
            value if isinstance(value, str) else None,
            key_id if isinstance(key_id, str) else None,
            str(held.version) if held.version else None,
        )

    def write(self, delivery: Delivery) -> None:
        """Sets the field and ``FIELD_key_id``; version 2 keeps the fields of before as an older version."""
        self._change({self.name: delivery.value, self.name + _KEY_ID: delivery.key_id})

    def remove(self) -> None:
        """Takes both fields out; a secret that has no others is deleted (version 2: its latest version is)."""
        self._change({self.name: None, self.name + _KEY_ID: None})

    def _change(self, changes: Mapping[str, str | None]) -> None:
        from hvac.exceptions import InvalidRequest

        for attempt in range(1, _ATTEMPTS + 1):
            held = self._read()
            fields = {name: value for name, value in (held.fields or {}).items() if name not in changes}
            fields |= {name: value for name, value in changes.items() if value is not None}
            if fields == (held.fields or {}):
                return
            with self._doing("write" if fields else "delete"):
                try:
                    self._send(fields, held.version)
                except InvalidRequest as error:
                    if attempt == _ATTEMPTS or "check-and-set" not in str(error):
                        raise
                else:
                    return

    def _send(self, fields: dict[str, Any], version: int) -> None:
        if not fields:
            answer = self._client.adapter.delete(f"/v1/{self._api_path}")
        elif self._mount.version == 2:
            body = {"data": fields, "options": {"cas": version}}
            answer = self._client.adapter.post(f"/v1/{self._api_path}", json=body)
        else:
            answer = self._client.adapter.post(f"/v1/{self._api_path}", json=fields)
        if not isinstance(answer, dict) and answer.status_code != 204:
            raise _not_vault(self._server, answer.status_code)

    def _read(self) -> _Held:
        from hvac.exceptions import InvalidPath

        with self._doing("read"):
            try:
                answer = _document(self._client.adapter.get(f"/v1/{self._api_path}"), self._server)
            except InvalidPath as error:
                # A deleted version is told with a 404 whose body still says which it was.
                told = error.json if isinstance(error.json, dict) else {}
                data = told.get("data") or {}
                return _Held(None, int((data.get("metadata") or {}).get("version") or 0))
        data = answer.get("data")
        if self._mount.version == 1:
            return _Held(data if isinstance(data, dict) else None, 0)
        if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict):
            raise _not_vault(self._server, 200)
        return _Held(data.get("data"), int(data["metadata"].get("version") or 0))

    @property
    def _api_path(self) -> str:
        mount = self._mount
        middle = "data/" if mount.version == 2 else ""
        return f"{mount.path}{middle}{self.path.removeprefix(mount.path)}"

    @cached_property
    def _mount(self) -> _Mount:
        """Which part of the path is the mount, and the engine's version."""
        from hvac.exceptions import Forbidden

        with self._doing("find the engine of"):
            try:
                answer = _document(self._client.adapter.get(f"/v1/sys/internal/ui/mounts/{self.path}"), self._server)
            except Forbidden:
                self._require_valid_token()
                raise
        data = answer.get("data") or {}
        kind, path = data.get("type"), str(data.get("path") or "")
        if kind not in ("kv", "generic") or not self.path.startswith(path) or len(path) >= len(self.path):
            raise InvalidInput(
                f"{self.path} at {self._server} is not in a KV engine but in one of the type {kind}.",
                remedy="Name a path below the mount of a KV engine.",
            )
        version = (data.get("options") or {}).get("version") or "1"
        return _Mount(path, 2 if str(version) == "2" else 1)

    def _require_valid_token(self) -> None:
        """Vault says 403 to a bad token and to a missing right alike; every valid token may look at itself."""
        from hvac.exceptions import Forbidden

        try:
            self._client.auth.token.lookup_self()
        except Forbidden:
            raise SignInFailed(
                f"The token for {self._server} is not valid or has expired.",
                remedy="Sign in (vault login), or set VAULT_TOKEN to another.",
            ) from None

    @property
    def _server(self) -> str:
        return _setting(self.environ, "ADDR") or ""

    @cached_property
    def _client(self) -> hvac.Client:
        import hvac

        certificate, key = _setting(self.environ, "CLIENT_CERT"), _setting(self.environ, "CLIENT_KEY")
        token = _setting(self.environ, "TOKEN")
        role, jwt = _setting(self.environ, "ROLE"), _setting(self.environ, "JWT")
        if token is None and not (role and jwt):
            token = _token_file(self.environ)
        client = hvac.Client(
            url=self._server,
            token=token or "",
            cert=(certificate, key) if certificate and key else None,
            verify=self._trusted or True,
            timeout=_TIMEOUT,
            allow_redirects=False,  # the body of a redirected request would go to a host that nobody named
            namespace=_setting(self.environ, "NAMESPACE"),
        )
        if token is None:
            self._log_in(client, role or "", jwt or "")
        return client

    @property
    def _trusted(self) -> str | None:
        own = _setting(self.environ, "CACERT") or _setting(self.environ, "CAPATH")
        return own or self.environ.get("REQUESTS_CA_BUNDLE") or self.environ.get("SSL_CERT_FILE")

    def _log_in(self, client: hvac.Client, role: str, jwt: str) -> None:
        from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest

        path = _setting(self.environ, "AUTH_PATH") or "jwt"
        try:
            client.auth.jwt.jwt_login(role=role, jwt=jwt, path=path)
        except (InvalidRequest, Forbidden, InvalidPath):
            raise SignInFailed(
                f"{self._server} does not accept the pipeline's token for the role {role} of auth/{path}.",
                remedy="Compare the role's bound claims and audience with the token's; see VAULT_AUTH_PATH.",
            ) from None

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        import requests
        from hvac.exceptions import VaultError

        try:
            yield
        except VaultError as error:
            raise self._refused(what, error) from None
        except (requests.RequestException, OSError) as error:
            raise unreachable(self._server, error, ca_file=self._trusted) from None

    def _refused(self, what: str, error: VaultError) -> ProvisionError:
        """The sentence for a refusal; Vault's own text is not told, for it may quote the request."""
        from hvac import exceptions

        doing = f"{self._server} refuses to {what} {self.path}"
        match error:
            case exceptions.Forbidden() | exceptions.Unauthorized():
                return NotPermitted(f"{doing}: the token's policies do not allow it.", remedy=RIGHTS)
            case exceptions.VaultDown():
                return Unreachable(f"{self._server} is sealed or in maintenance.", remedy="Unseal it, then run again.")
            case exceptions.VaultNotInitialized():
                return Unreachable(f"{self._server} is not initialized.", remedy="Check VAULT_ADDR.")
            case exceptions.RateLimitExceeded() | exceptions.InternalServerError() | exceptions.BadGateway():
                return Unreachable(f"{self._server} is overloaded or fails on its own account.", remedy="Run again.")
            case exceptions.InvalidRequest() if "check-and-set" in str(error):
                return ProvisionError(f"{doing}: others write it at the same time.", remedy="Run again.")
            case exceptions.InvalidPath():
                return InvalidInput(f"{doing}: there is no such path.", remedy="Check the mount, and VAULT_NAMESPACE.")
        return InvalidInput(f"{doing}.", remedy="Check the mount, the path and the engine's limits.")


def _setting(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(f"VAULT_{name}") or environ.get(f"BAO_{name}") or None


def _token_file(environ: Mapping[str, str]) -> str:
    file = Path(environ.get("HOME") or Path.home()) / ".vault-token"
    try:
        token = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        token = ""
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"{file} cannot be read.", remedy="Correct its permissions, or set VAULT_TOKEN.") from None
    if not token:
        raise SignInFailed(
            "There is no sign-in to Vault.", remedy="Set VAULT_TOKEN, or VAULT_ROLE and VAULT_JWT, or run vault login."
        )
    return token


def _document(answer: Any, server: str) -> dict[str, Any]:
    """An answer's JSON object; hvac hands out the bare response where there is none."""
    if isinstance(answer, dict):
        return answer
    raise _not_vault(server, getattr(answer, "status_code", 0))


def _not_vault(server: str, status: int) -> Unreachable:
    if status in (301, 302, 303, 307, 308):
        return Unreachable(
            f"{server} sends its clients on to another address.", remedy="Set VAULT_ADDR to the active node's address."
        )
    return Unreachable(f"{server} does not answer as Vault does (HTTP {status}).", remedy="Check VAULT_ADDR.")


def open_sink(rest: str, environ: Mapping[str, str]) -> VaultField:
    """The sink of ``MOUNT/PATH#FIELD``.

    Raises:
        InvalidInput: the address is none, or the environment does not say where Vault is, or says it unsafely.
    """
    import hvac  # noqa: F401 - a missing library is said before anything is made

    path, _, name = rest.partition("#")
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")) or not _FIELD.fullmatch(name):
        raise InvalidInput(
            f"{rest!r} is not a path of Vault and a field.", remedy="For example vault:secret/tms/mail#client_secret"
        )
    server = _setting(environ, "ADDR")
    if server is None:
        raise InvalidInput(
            "The environment does not say where Vault is.", remedy="Set VAULT_ADDR, for example https://vault:8200"
        )
    parts = urlsplit(server)
    loopback = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or parts.username or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
        raise InvalidInput(
            "VAULT_ADDR is not an https address.", remedy="Plain http is taken for a server on this machine only."
        )
    if (_setting(environ, "SKIP_VERIFY") or "").lower() in ("1", "t", "true"):
        raise InvalidInput(
            "VAULT_SKIP_VERIFY is set, and a secret is not sent to a server that nobody checked.",
            remedy="Unset it, and name the server's authority in VAULT_CACERT.",
        )
    return VaultField(f"vault:{path}#{name}", path, name, environ)
