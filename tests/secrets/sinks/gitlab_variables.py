"""GitLab for tests: the CI/CD variables of one project and one group, over TLS, by the rules of GitLab's own source.

Sources: ``lib/api/ci/variables.rb``, ``lib/api/group_variables.rb``, ``app/models/concerns/ci/maskable.rb``,
``lib/api/helpers/variables_helpers.rb`` and "Project-level CI/CD variables API" (undeclared parameters are passed over,
a missing scope means ``*``, a hidden value is shown as null).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tls_server import Reply, Request, TlsServer

_MASKABLE = re.compile(r"[a-zA-Z0-9_+=/@:.~-]{8,}")
_SCOPE = re.compile(r"[a-zA-Z0-9_/${}. \-*]+")
_DECLARED = {"key", "value", "protected", "masked", "raw", "variable_type", "environment_scope", "description"}


@dataclass
class Token:
    """An access token; a role of 40 is Maintainer, of 30 Developer."""

    scopes: tuple[str, ...] = ("api",)
    role: int = 40
    is_oauth: bool = False


class Refused(Exception):
    """An answer of GitLab's that is an error."""

    def __init__(self, status: int, message: Any, **more: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, {"message": message} if message else dict(more))


class GitLab:
    """A server with the project ``acme/tms`` (number 7) and the group ``acme/mail``.

    Args:
        directory: for its certificate.
        version: as a pair; from 17.4 it hides variables, from 16.2 it describes them.
    """

    def __init__(self, directory: Path, version: tuple[int, int] = (18, 0)) -> None:
        self.version = version
        self.tokens = {"glpat-all": Token()}
        self.variables: dict[str, list[dict[str, Any]]] = {"projects/7": [], "groups/8": []}
        self.weather: list[Reply] = []
        """Answers to give next instead, one for each request."""
        self._server = TlsServer(self._answer, directory)
        self.requests = self._server.requests
        self.environ = {
            "SSL_CERT_FILE": str(self._server.ca_file),
            "CI_API_V4_URL": f"{self._server.url}/api/v4",
            "GITLAB_TOKEN": "glpat-all",
        }

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.__exit__(kind, error, at)

    def _answer(self, request: Request) -> Reply:
        if self.weather:
            return self.weather.pop(0)
        try:
            return self._routed(request)
        except Refused as refused:
            return refused.reply

    def _routed(self, request: Request) -> Reply:
        parts = urlsplit(request.target)
        path = parts.path.removeprefix("/api/v4")
        token = self.tokens.get((request.headers["Authorization"] or "").removeprefix("Bearer "))
        if token is None:
            raise Refused(401, "401 Unauthorized")
        if path == "/personal_access_tokens/self":
            if token.is_oauth:
                raise Refused(404, "404 Not Found")
            return Reply(200, {"id": 1, "scopes": list(token.scopes), "active": True})
        if request.method != "GET" and "api" not in token.scopes:
            text = "The request requires higher privileges than provided by the access token."
            raise Refused(403, None, error="insufficient_scope", error_description=text, scope="api")
        found = re.fullmatch(r"/(projects|groups)/([^/]+)/variables(?:/([^/]+))?", path)
        if found is None:
            raise Refused(404, "404 Not Found")
        owner = {"projects/acme/tms": "projects/7", "projects/7": "projects/7", "groups/acme/mail": "groups/8"}.get(
            f"{found[1]}/{unquote(found[2])}"
        )
        if owner is None:
            raise Refused(404, "404 Project Not Found" if found[1] == "projects" else "404 Group Not Found")
        if token.role < 40:
            raise Refused(403, "403 Forbidden")
        if found[3] is None:
            return self._create(owner, request)
        scope = parse_qs(parts.query).get("filter[environment_scope]", [None])[0]
        return self._one(owner, found[3], scope, request)

    def _create(self, owner: str, request: Request) -> Reply:
        given = {k: v for k, v in request.document.items() if k in self._declared() or k == "masked_and_hidden"}
        hides = given.pop("masked_and_hidden", False) and self.version >= (17, 4)
        made = {
            "variable_type": "env_var",
            "protected": False,
            "masked": hides,
            "raw": False,
            "environment_scope": "*",
            **given,
        }
        made["hidden"] = hides
        self._validate(made)
        if any(
            (one["key"], one["environment_scope"]) == (made["key"], made["environment_scope"])
            for one in self.variables[owner]
        ):
            raise Refused(400, {"key": [f"({made['key']}) has already been taken"]})
        self.variables[owner].append(made)
        return Reply(201, self._shown(made))

    def _one(self, owner: str, key: str, scope: str | None, request: Request) -> Reply:
        found = [
            one for one in self.variables[owner] if one["key"] == key and scope in (None, one["environment_scope"])
        ]
        if len(found) > 1:
            raise Refused(
                409, "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"
            )
        if not found:
            raise Refused(
                404, "404 Variable Not Found" if owner.startswith("projects") else "404 GroupVariable Not Found"
            )
        if request.method == "DELETE":
            self.variables[owner].remove(found[0])
            return Reply(204)
        if request.method == "PUT":
            changed = found[0] | {k: v for k, v in request.document.items() if k in self._declared() - {"key"}}
            self._validate(changed)
            found[0].update(changed)
        return Reply(200, self._shown(found[0]))

    def _declared(self) -> set[str]:
        return _DECLARED if self.version >= (16, 2) else _DECLARED - {"description"}

    def _validate(self, variable: dict[str, Any]) -> None:
        wrong: dict[str, list[str]] = {}
        if variable["masked"] and not _MASKABLE.fullmatch(variable["value"]):
            wrong["value"] = ["is invalid"]
        if not _SCOPE.fullmatch(variable["environment_scope"]):
            wrong["environment_scope"] = [
                "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', '*' and spaces"
            ]
        if len(variable.get("description") or "") > 255:
            wrong["description"] = ["is too long (maximum is 255 characters)"]
        if wrong:
            raise Refused(400, wrong)

    def _shown(self, variable: dict[str, Any]) -> dict[str, Any]:
        shown = dict(variable)
        if variable["hidden"]:
            shown["value"] = None
        if self.version < (17, 4):
            del shown["hidden"]
        return shown
