"""GitHub for tests: the part of its REST API that an Actions secret takes, over TLS, as strict as it is documented.

Values are decrypted with the private key, tokens have rights, dates are of whole seconds. Sources: "REST API endpoints
for GitHub Actions Secrets", "... for GitHub Apps", "Troubleshooting the REST API" (GitHub Docs); the sentences of the
422 answers are those of github/rest-api-description#419 and #1688 and integrations/terraform-provider-github#2315.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from nacl.encoding import Base64Encoder
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox
from tls_server import Reply, Request, TlsServer

DOCS = "https://docs.github.com/rest/actions/secrets"
_BASE64 = r"^(?:[A-Za-z0-9+\/]{4})*(?:[A-Za-z0-9+\/]{2}==|[A-Za-z0-9+\/]{3}=|[A-Za-z0-9+\/]{4})$"
_PUT_KEYS = {"encrypted_value", "key_id"}
_ORG_KEYS = {*_PUT_KEYS, "visibility", "selected_repository_ids"}


@dataclass
class Token:
    """A token and what it may do."""

    permissions: frozenset[str] = frozenset()
    """Of a fine-grained token or an App: ``secrets:write`` and the like; writing includes reading."""
    scopes: str | None = None
    """Of a classic token."""
    kind: str = "personal access token"
    sso: str = ""
    """The value of ``X-GitHub-SSO`` when it is not authorized for single sign-on."""


@dataclass
class Secret:
    """One secret."""

    value: str
    updated_at: str
    created_at: str
    visibility: str = ""
    selected: list[int] = field(default_factory=list)


class Refused(Exception):
    """An answer of GitHub's that is an error."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        body = {"message": message, "documentation_url": DOCS, "status": str(status)}
        self.reply = Reply(status, body, headers or {})


class GitHub:
    """A server with one private repository ``acme/tms``, its environments and its organization.

    Args:
        directory: for its certificate.
    """

    def __init__(self, directory: Path) -> None:
        self.tokens: dict[str, Token] = {"github_pat_all": Token(frozenset({"secrets:write", "environments:write"}))}
        self.environments = {"production", "blue/green test"}
        self.secrets: dict[str, dict[str, Secret]] = {}
        """By the collection's path, then by name."""
        self.app_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.app_permissions: frozenset[str] | None = frozenset({"secrets:write"})
        """What the App's installation has; None: it is not installed."""
        self.weather: list[Reply] = []
        """Answers to give next instead, one for each request."""
        self._private = PrivateKey.generate()
        self._server = TlsServer(self._answer, directory)
        self.requests = self._server.requests
        self.environ = {
            "SSL_CERT_FILE": str(self._server.ca_file),
            "GITHUB_API_URL": f"{self._server.url}/api/v3",
            "GITHUB_TOKEN": "github_pat_all",
        }

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.__exit__(kind, error, at)

    @property
    def app_pem(self) -> bytes:
        """The App's private key as GitHub gives it out."""
        return self.app_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )

    def said(self) -> list[str]:
        """Methods and paths of the requests so far."""
        return [f"{one.method} {one.target.removeprefix('/api/v3')}" for one in self.requests]

    def _answer(self, request: Request) -> Reply:
        try:
            _require_headers(request)
            return self.weather.pop(0) if self.weather else self._routed(request)
        except Refused as refused:
            return refused.reply

    def _routed(self, request: Request) -> Reply:
        parts = urlsplit(request.target)
        path = parts.path.removeprefix("/api/v3")
        bearer = (request.headers["Authorization"] or "").removeprefix("Bearer ")
        if re.fullmatch(r"/(?:repos/acme/tms|orgs/acme)/installation", path):
            self._require_app(bearer)
            if self.app_permissions is None:
                raise Refused(404, "Not Found")
            return Reply(200, {"id": 4711, "app_id": 99})
        if path == "/app/installations/4711/access_tokens" and request.method == "POST":
            self._require_app(bearer)
            return self._installation_token(request.document)
        if bearer not in self.tokens:
            raise Refused(401, "Bad credentials")
        token = self.tokens[bearer]
        if token.sso:
            raise Refused(
                403,
                "Resource protected by organization SAML enforcement. You must grant your Personal Access token access "
                "to this organization.",
                {"X-GitHub-SSO": token.sso},
            )
        reply = self._secrets(request, token, path, parse_qs(parts.query))
        if token.scopes is not None:
            reply.headers["X-OAuth-Scopes"] = token.scopes
        return reply

    def _require_app(self, bearer: str) -> None:
        try:
            claims = jwt.decode(bearer, self.app_key.public_key(), algorithms=["RS256"], options={"verify_iat": True})
        except jwt.PyJWTError:
            raise Refused(401, "A JSON web token could not be decoded") from None
        if claims["exp"] - claims["iat"] > 600:
            raise Refused(401, "'Expiration time' claim ('exp') is too far in the future")
        if claims["iss"] != "99":
            raise Refused(404, "Integration not found")

    def _installation_token(self, wanted: dict[str, Any]) -> Reply:
        asked = {f"{name}:{level}" for name, level in wanted["permissions"].items()}
        if not asked <= (self.app_permissions or set()):
            raise Refused(422, "The permissions requested are not granted to this installation.")
        if wanted.get("repositories", ["tms"]) != ["tms"]:
            raise Refused(422, "There is at least one repository that does not exist or is not accessible.")
        self.tokens["ghs_made"] = Token(frozenset(asked), kind="integration")
        return Reply(
            201, {"token": "ghs_made", "expires_at": "2099-01-01T00:00:00Z", "permissions": wanted["permissions"]}
        )

    def _secrets(self, request: Request, token: Token, path: str, query: dict[str, list[str]]) -> Reply:
        found = re.fullmatch(
            r"(?P<all>/repos/acme/tms/actions/secrets|/repos/acme/tms/environments/(?P<environment>[^/]+)/secrets"
            r"|/orgs/acme/actions/secrets)/(?P<name>[^/]+)(?P<more>/repositories)?",
            path,
        )
        if found is None or (found["environment"] and unquote(found["environment"]) not in self.environments):
            raise Refused(404, "Not Found")
        where, name = found["all"], found["name"]
        permission = "environments" if found["environment"] else "secrets"
        self._require(token, where, permission, "read" if request.method == "GET" else "write")
        if name == "public-key":
            return Reply(
                200, {"key_id": "568250167242549743", "key": self._private.public_key.encode(Base64Encoder).decode()}
            )
        here = self.secrets.setdefault(where, {})
        if request.method == "PUT":
            return self._put(here, name, request, organization=where.startswith("/orgs/"))
        if name not in here:
            raise Refused(404, "Not Found")
        secret = here[name]
        if request.method == "DELETE":
            del here[name]
            return Reply(204)
        if found["more"]:
            return _page(secret.selected, query)
        shown = {"name": name, "created_at": secret.created_at, "updated_at": secret.updated_at}
        if secret.visibility:
            shown["visibility"] = secret.visibility
        return Reply(200, shown)

    def _require(self, token: Token, where: str, permission: str, level: str) -> None:
        if token.scopes is not None:
            if not {"admin:org" if where.startswith("/orgs/") else "repo"} & set(token.scopes.split(", ")):
                raise Refused(404, "Not Found")  # a private place is not admitted to be there
            return
        if where.startswith("/orgs/"):
            permission = "organization_secrets"
        if not {f"{permission}:write", f"{permission}:{level}"} & token.permissions:
            raise Refused(
                403,
                f"Resource not accessible by {token.kind}",
                {"X-Accepted-GitHub-Permissions": f"{permission}={level}"},
            )

    def _opened(self, given: dict[str, str]) -> str:
        try:
            value = SealedBox(self._private).decrypt(given["encrypted_value"], Base64Encoder).decode()
        except CryptoError:
            value = ""
        if not value or given["key_id"] != "568250167242549743":
            raise Refused(422, "Bad request - validation failed due to an improperly encrypted secret")
        return value

    def _put(self, here: dict[str, Secret], name: str, request: Request, *, organization: bool) -> Reply:
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name) or name.startswith("GITHUB_"):
            raise Refused(422, "Secret names are not allowed to be written so.")  # no source for GitHub's own words
        given = json.loads(request.body)
        for unknown in set(given) - (_ORG_KEYS if organization else _PUT_KEYS):
            raise Refused(422, f'Invalid request.\n\n"{unknown}" is not a permitted key.')
        for needed in sorted(_PUT_KEYS | ({"visibility"} if organization else set())):
            if needed not in given:
                raise Refused(422, f'Invalid request.\n\n"{needed}" wasn\'t supplied.')
        if not re.fullmatch(_BASE64, given["encrypted_value"]):
            raise Refused(422, f"Invalid request.\n\n{given['encrypted_value']} does not match /{_BASE64}/.")
        if organization and (given["visibility"] == "selected") != ("selected_repository_ids" in given):
            raise Refused(422, "Selected repositories are for the visibility selected alone.")
        value = self._opened(given)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        former = here.get(name)
        here[name] = Secret(
            value,
            now,
            former.created_at if former else now,
            given.get("visibility", ""),
            given.get("selected_repository_ids", []),
        )
        return Reply(204) if former else Reply(201, {})


def _require_headers(request: Request) -> None:
    if request.headers["Accept"] != "application/vnd.github+json":
        raise Refused(415, "Unsupported 'Accept' header")
    if request.headers["X-GitHub-Api-Version"] != "2022-11-28":
        raise Refused(400, "The API version is not supported.")
    if not request.headers["User-Agent"]:
        raise Refused(403, "Request forbidden by administrative rules. Please make sure it has a User-Agent header")


def _page(ids: list[int], query: dict[str, list[str]]) -> Reply:
    size, page = int(query.get("per_page", ["30"])[0]), int(query.get("page", ["1"])[0])
    shown = ids[(page - 1) * size : page * size]
    return Reply(200, {"total_count": len(ids), "repositories": [{"id": one} for one in shown]})
