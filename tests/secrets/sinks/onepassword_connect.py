"""A 1Password Connect server for tests: vaults and items over TLS, by the OpenAPI document 1.7.1 of 1Password/connect.

Paths of a JSON patch name a field by its id. Where the document gives a sentence for a refusal, it is that sentence.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tls_server import Reply, Request, TlsServer

_TYPES = {"STRING", "EMAIL", "CONCEALED", "URL", "OTP", "DATE", "MONTH_YEAR", "MENU", "SSHKEY"}
_ITEM = {"title", "vault", "category", "tags", "fields", "sections", "urls", "favorite"}
_FIELD = {"id", "label", "type", "value", "purpose", "section", "generate", "recipe"}


def new_id() -> str:
    """Twenty-six letters and digits."""
    return "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(26))


class Refused(Exception):
    """An answer of Connect's that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(status, {"status": status, "message": message})


@dataclass
class Token:
    """An access token: the vaults it reads, and whether it writes them."""

    vaults: set[str] = field(default_factory=set)
    writes: bool = True


class Connect:
    """A server with the vault ``Mail`` and one that the token has no access to.

    Args:
        directory: for its certificate.
    """

    def __init__(self, directory: Path) -> None:
        self.mail, self.other = new_id(), new_id()
        self.vaults = {self.mail: "Mail", self.other: "Other"}
        self.items: dict[str, dict[str, Any]] = {}
        """By id, in any vault."""
        self.tokens = {"eyJ.token": Token({self.mail})}
        self.weather: list[Reply] = []
        """Answers to give next instead, one for each request."""
        self._server = TlsServer(self._answer, directory)
        self.requests = self._server.requests
        self.environ = {
            "SSL_CERT_FILE": str(self._server.ca_file),
            "OP_CONNECT_HOST": self._server.url,
            "OP_CONNECT_TOKEN": "eyJ.token",
        }

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.__exit__(kind, error, at)

    def add(self, title: str, *fields: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Puts an item into the vault ``Mail``, as a person would."""
        item = {
            "id": new_id(),
            "title": title,
            "vault": {"id": self.mail},
            "category": "LOGIN",
            "version": 1,
            "fields": [{"id": new_id(), "type": "STRING", **one} for one in fields],
            **more,
        }
        self.items[item["id"]] = item
        return item

    def _answer(self, request: Request) -> Reply:
        if self.weather:
            return self.weather.pop(0)
        try:
            return self._routed(request)
        except Refused as refused:
            return refused.reply

    def _routed(self, request: Request) -> Reply:
        parts = urlsplit(request.target)
        condition = parse_qs(parts.query).get("filter", [""])[0]
        token = self.tokens.get((request.headers["Authorization"] or "").removeprefix("Bearer "))
        if token is None:
            raise Refused(401, "Invalid token signature")
        if parts.path == "/v1/vaults":
            shown = [{"id": one, "name": name} for one, name in self.vaults.items() if one in token.vaults]
            return Reply(200, [one for one in shown if _matches(one, "name", condition)])
        found = re.fullmatch(r"/v1/vaults/([^/]+)/items(?:/([^/]+))?", parts.path)
        if found is None:
            raise Refused(404, "Resource not found")
        vault, item_id = found[1], found[2]
        if not re.fullmatch(r"[\da-z]{26}", vault):
            raise Refused(400, "Invalid Vault UUID")
        if vault not in self.vaults:
            raise Refused(404, f"vault {vault} not found")
        if vault not in token.vaults or (request.method != "GET" and not token.writes):
            raise Refused(403, f"vault {vault} is not in scope")
        here = {one: item for one, item in self.items.items() if item["vault"]["id"] == vault}
        if item_id is None:
            if request.method == "POST":
                return Reply(200, self._create(vault, request.document))
            listed = [{k: v for k, v in item.items() if k != "fields"} for item in here.values()]
            return Reply(200, [one for one in listed if _matches(one, "title", condition)])
        if item_id not in here:
            raise Refused(404, f"item {item_id} not found")
        if request.method == "DELETE":
            del self.items[item_id]
            return Reply(204)
        if request.method == "PATCH":
            self._patch(here[item_id], request.document)
        return Reply(200, here[item_id])

    def _create(self, vault: str, given: dict[str, Any]) -> dict[str, Any]:
        if set(given) - _ITEM or given["vault"] != {"id": vault} or given["category"] != "API_CREDENTIAL":
            raise Refused(400, "Invalid item category")
        fields = [self._new_field(one) for one in given["fields"]]
        # 1Password adds the category's own fields, empty.
        fields += [{"id": "notesPlain", "type": "STRING", "purpose": "NOTES", "label": "notesPlain"}]
        item = {**given, "id": new_id(), "version": 1, "fields": fields}
        self.items[item["id"]] = item
        return item

    def _new_field(self, given: dict[str, Any]) -> dict[str, Any]:
        if set(given) - _FIELD or given.get("type") not in _TYPES:
            raise Refused(400, "Invalid item field")
        return {"id": new_id(), **given}

    def _patch(self, item: dict[str, Any], changes: list[dict[str, Any]]) -> None:
        fields = [dict(one) for one in item["fields"]]
        for change in changes:
            self._apply(fields, change)
        if changes:
            item["fields"] = fields
            item["version"] += 1

    def _apply(self, fields: list[dict[str, Any]], change: dict[str, Any]) -> None:
        operation, path = change["op"], change["path"].split("/")
        if operation == "add" and path == ["", "fields"]:
            fields.append(self._new_field(change["value"]))
            return
        _, where, field_id, *attribute = path
        found = next((one for one in fields if one["id"] == field_id), None)
        if where != "fields" or found is None:
            raise Refused(400, f"The item doesn't have a {field_id} field.")
        if operation == "remove" and not attribute:
            if found.get("purpose"):
                raise Refused(400, "Unable to parse Item")
            fields.remove(found)
            return
        (name,) = attribute
        if operation in ("replace", "remove") and name not in found:
            raise Refused(400, f"The item doesn't have a {name} field.")
        if operation == "remove":
            del found[name]
        else:
            found[name] = change["value"]


def _matches(shown: dict[str, Any], name: str, condition: str) -> bool:
    if not condition:
        return True
    found = re.fullmatch(rf'{name} eq "([^"\\]*)"', condition)
    if found is None:
        raise Refused(400, f"invalid filter: {condition}")
    return str(shown[name]) == found[1]
