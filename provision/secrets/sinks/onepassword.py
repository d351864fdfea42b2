"""A field of a 1Password item, through a 1Password Connect server.

The address is ``onepassword:VAULT/ITEM#FIELD``: each a name, with other characters written as in a URL (``%20``,
``%2F``), or the id of 26 letters and digits. ``OP_CONNECT_HOST`` names the server (https, or http on this machine), and
``OP_CONNECT_TOKEN`` is the access token. An item that is named and not there is made, as an API credential; of one that
is there only this field changes, and ``FIELD key id`` beside it, which says which client secret it is: one request
sets both.

Sources: "1Password Connect Server API reference" and its OpenAPI document 1.7.1; 1Password/connect#58 for the path of a
field's value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from provision.errors import (
    InvalidInput,
    NotDelivered,
    NotPermitted,
    ProvisionError,
    SignInFailed,
    Unreachable,
    WouldOverwrite,
)
from provision.secrets.https import Answer, ask
from provision.secrets.sinks import Delivery, Stored

RIGHTS = "A Connect server's access token with read and write access to that one vault."
WITHOUT_CERTIFICATES = "no page of 1Password's says that a concealed field keeps line breaks."

_ID = re.compile(r"[0-9a-z]{26}")
_NAME = re.compile(r'[^"\\\x00-\x1f\x7f]{1,200}')
"""A quotation mark or a backslash would end the filter's string, and nothing documents how to write one."""
_TAG = "provision"
_WRITABLE = frozenset({"CONCEALED", "STRING"})

Document = Mapping[str, Any]


@dataclass(frozen=True)
class OnePasswordField:
    """One field of one item."""

    address: str
    vault: str
    item: str
    label: str
    environ: Mapping[str, str] = field(repr=False)

    def check(self) -> None:
        """Finds the vault, the item and the field, and sends a change of nothing, which takes the right to write.

        For an item that is not there yet, that right is only seen when it is made.
        """
        vault_id = self._vault_id()
        item = self._find(vault_id)
        if item is None:
            return
        found = self._field(item, self.label)
        if found is not None and found.get("type") not in _WRITABLE:
            raise WouldOverwrite(
                f"The field {self.label} of {self._where} is of the type {found.get('type')} and holds no secret.",
                remedy="Name another field.",
            )
        self._require(self._ask("PATCH", f"/vaults/{vault_id}/items/{item['id']}", []))

    def stored(self) -> Stored | None:
        """The field's value and which client secret it is; None when item or field are not there, or it is empty."""
        item = self._find(self._vault_id())
        found = None if item is None else self._field(item, self.label)
        if item is None or found is None or not found.get("value"):
            return None
        mark = self._field(item, self._mark)
        return Stored(str(found["value"]), (mark or {}).get("value") or None, str(item.get("version", "")) or None)

    def write(self, delivery: Delivery) -> None:
        """Sets the field, or makes it and the item."""
        vault_id = self._vault_id()
        item = self._find(vault_id)
        fresh = [_new_field(self.label, "CONCEALED", delivery.value), _new_field(self._mark, "STRING", delivery.key_id)]
        if item is None:
            made = {
                "title": self.item,
                "vault": {"id": vault_id},
                "category": "API_CREDENTIAL",
                "tags": [_TAG],
                "fields": fresh,
            }
            self._require(self._ask("POST", f"/vaults/{vault_id}/items", made, repeat=False), delivery.value)
            return
        changes = []
        for new in fresh:
            found = self._field(item, new["label"])
            if found is None:
                changes.append({"op": "add", "path": "/fields", "value": new})
            else:
                operation = "replace" if found.get("value") else "add"
                changes.append({"op": operation, "path": f"/fields/{found['id']}/value", "value": new["value"]})
        self._require(
            self._ask("PATCH", f"/vaults/{vault_id}/items/{item['id']}", changes, repeat=False), delivery.value
        )

    def remove(self) -> None:
        """Deletes an item that ``write`` made; of another one, takes the two fields away. Nothing of anybody else's."""
        vault_id = self._vault_id()
        item = self._find(vault_id)
        mark = None if item is None else self._field(item, self._mark)
        if item is None or mark is None:
            return
        path = f"/vaults/{vault_id}/items/{item['id']}"
        if _TAG in (item.get("tags") or []) and len(item["fields"]) <= _own_fields(item):
            answer = self._ask("DELETE", path)
            if answer.status != 404:
                self._require(answer, empty=True)
            return
        changes: list[dict[str, Any]] = [{"op": "remove", "path": f"/fields/{mark['id']}"}]
        found = self._field(item, self.label)
        if found is not None and found.get("purpose"):  # a Login always has its password field
            changes.append({"op": "remove", "path": f"/fields/{found['id']}/value"})
        elif found is not None:
            changes.append({"op": "remove", "path": f"/fields/{found['id']}"})
        self._require(self._ask("PATCH", path, changes, repeat=False))

    @property
    def _mark(self) -> str:
        return f"{self.label} key id"

    @property
    def _where(self) -> str:
        return f"{self.vault}/{self.item}"

    def _vault_id(self) -> str:
        if _ID.fullmatch(self.vault):
            return self.vault
        found = self._list("/vaults", f'name eq "{self.vault}"')
        if not found:
            raise NotPermitted(
                f"The Connect server shows no vault {self.vault}: it is not there, or the token has no access to it.",
                remedy=f"Check the address. {RIGHTS}",
            )
        return self._only(found, f"vault {self.vault}")

    def _find(self, vault_id: str) -> Document | None:
        """The whole item; None when one that is named is not there."""
        item_id = self.item
        if not _ID.fullmatch(item_id):
            titled = self._list(f"/vaults/{vault_id}/items", f'title eq "{self.item}"')
            found = [item for item in titled if not item.get("state")]
            if not found:
                return None
            item_id = self._only(found, f"item {self._where}")
        item = self._require(self._ask("GET", f"/vaults/{vault_id}/items/{item_id}"))
        if item.get("state"):
            raise InvalidInput(f"The item {self._where} is archived or deleted.", remedy="Name another item.")
        return item

    def _field(self, item: Document, name: str) -> Document | None:
        """The field of a label or an id, if it is one."""
        fields = [one for one in item.get("fields") or [] if isinstance(one, dict) and "id" in one]
        found = [one for one in fields if name in (one.get("label"), one["id"])]
        if len(found) > 1:
            raise InvalidInput(
                f"The item {self._where} has {len(found)} fields {name}.", remedy="Rename one, or name the field's id."
            )
        return found[0] if found else None

    def _only(self, found: list[Document], what: str) -> str:
        ids = [one.get("id") for one in found]
        if len(ids) > 1:
            raise InvalidInput(f"1Password has {len(ids)} of the name: {what}.", remedy="Use its id in the address.")
        if not isinstance(ids[0], str) or not _ID.fullmatch(ids[0]):
            raise _speaks_otherwise(self._host)
        return ids[0]

    def _list(self, path: str, condition: str) -> list[Document]:
        answer = self._ask("GET", f"{path}?{urlencode({'filter': condition})}")
        if not answer.is_success:
            raise self._refused(answer)
        document = answer.document
        if not isinstance(document, list) or not all(isinstance(one, dict) for one in document):
            raise _speaks_otherwise(self._host)
        return document

    @property
    def _host(self) -> str:
        return _host(self.environ)

    def _ask(self, method: str, path: str, body: object = None, *, repeat: bool = True) -> Answer:
        token = self.environ.get("OP_CONNECT_TOKEN", "")
        if not token:
            raise SignInFailed("There is no sign-in to 1Password Connect.", remedy=f"Set OP_CONNECT_TOKEN. {RIGHTS}")
        headers = {"Authorization": f"Bearer {token}"}
        return ask(method, f"{self._host}/v1{path}", environ=self.environ, headers=headers, body=body, repeat=repeat)

    def _require(self, answer: Answer, value: str = "", *, empty: bool = False) -> Document:
        if not answer.is_success:
            raise self._refused(answer, value)
        document = answer.document
        if empty:
            return {}
        if not isinstance(document, dict) or not _ID.fullmatch(str(document.get("id", ""))):
            raise _speaks_otherwise(self._host)
        return document

    def _refused(self, answer: Answer, value: str = "") -> ProvisionError:
        """The sentence for a refusal; the server's own words only when the value is not among them."""
        status, server = answer.status, urlsplit(self._host).netloc
        told = answer.document
        message = told.get("message") if isinstance(told, dict) else None
        line = message.strip().rstrip(".")[:160] if isinstance(message, str) else ""
        said = f" ({line})" if line and line.isprintable() and (not value or value not in line) else ""
        if status == 401:
            return SignInFailed(
                f"1Password Connect at {server} does not accept the token{said}.", remedy="Make another token."
            )
        if status in (403, 404):
            return NotPermitted(
                f"1Password Connect at {server} does not give {self._where} out{said}.",
                remedy=f"Check the address. {RIGHTS}",
            )
        if answer.is_redirect:
            return InvalidInput(
                f"{server} leads to another address, which is not followed.", remedy="Correct OP_CONNECT_HOST."
            )
        if status in (400, 409, 413, 422):
            where = f"the field {self.label} of {self._where}"
            return NotDelivered(
                f"1Password Connect at {server} does not take {where}: HTTP {status}{said}.",
                remedy="Look at the item in 1Password, then run again.",
            )
        if answer.is_busy:
            return Unreachable(f"1Password Connect at {server} is out of order: HTTP {status}.", remedy="Run again.")
        return _speaks_otherwise(self._host)


def _new_field(label: str, kind: str, value: str) -> dict[str, str]:
    return {"label": label, "type": kind, "value": value}


def _own_fields(item: Document) -> int:
    """How many fields an item of ours has: the two, and the empty ones that 1Password adds by the category."""
    empty = [one for one in item["fields"] if not one.get("value")]
    return 2 + len(empty)


def _speaks_otherwise(host: str) -> Unreachable:
    return Unreachable(
        f"{urlsplit(host).netloc} does not answer as 1Password Connect does.", remedy="Check OP_CONNECT_HOST."
    )


def _host(environ: Mapping[str, str]) -> str:
    host = environ.get("OP_CONNECT_HOST", "").rstrip("/")
    try:
        parts = urlsplit(host)
        name = parts.hostname or ""
        safe = parts.scheme == "https" or (parts.scheme == "http" and _is_this_machine(name))
        plain = safe and name and not (parts.username or parts.query or parts.fragment)
    except ValueError:
        plain = False
    if not plain:
        raise InvalidInput(
            "OP_CONNECT_HOST is neither an https address nor an http address of this machine.",
            remedy="For example https://connect.example.com; give the server a certificate (OP_TLS_CERT_FILE).",
        )
    return host


def _is_this_machine(name: str) -> bool:
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def open_sink(rest: str, environ: Mapping[str, str]) -> OnePasswordField:
    """The sink of ``VAULT/ITEM#FIELD``.

    Raises:
        InvalidInput: one of the three is missing, or has a character that cannot be asked for.
    """
    place, _, label = rest.partition("#")
    parts = [unquote(part) for part in (*place.split("/"), label)]
    if len(parts) != 3 or not all(_NAME.fullmatch(part) and part == part.strip() for part in parts):
        raise InvalidInput(
            f"{rest!r} is not a vault, an item and a field.",
            remedy="For example onepassword:Mail/TMS%20Office365#client-secret",
        )
    vault, item, name = parts
    shown = f"{quote(vault, safe='')}/{quote(item, safe='')}#{quote(name, safe='')}"
    return OnePasswordField(f"onepassword:{shown}", vault, item, name, environ)
