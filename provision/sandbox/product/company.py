"""What the sample product knows of one company: the three values that the customer's IT typed in.

Owns: the company's settings, their checks, and reading the secret, anew on each use. Does not own: where they are
kept (``store``). The secret is a value, or a file that another tool keeps current, such as the env file that a
rotation writes: then a new secret in that file is in use at the next mail, without a restart. A value may also come by
the webhook: then the one before is kept until the new one has worked once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from provision.sandbox.product.webhook import key_bytes

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A company code; it is a part of the redirect's path, so its letter case counts."""
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}")
_SECRET_NAMES = frozenset({"clientsecret", "azureclientsecret", "mailclientsecret"})
_FIELDS = {
    "tenantId": "tenant_id",
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "secretFile": "secret_file",
    "secretName": "secret_name",
    "publicUrl": "public_url",
    "webhookKey": "webhook_key",
}
_HIDDEN = {"client_secret", "webhook_key"}
"""What is stored and never shown."""


class SettingsRefused(ValueError):
    """A setting cannot be used; the message is one sentence for the person who typed it and holds no secret."""


@dataclass(frozen=True)
class Company:
    """One company's settings. Raises SettingsRefused at construction when a value cannot be right."""

    code: str
    tenant_id: str
    """Directory (tenant) id, or a name such as ``common``: passed to Entra as typed."""
    client_id: str
    client_secret: str = field(default="", repr=False)
    """The secret's value; empty when it is in a file."""
    secret_file: str = ""
    """Absolute path of an env file (``NAME=value`` lines) or a JSON object that holds the secret."""
    secret_name: str = ""
    """The name of the secret in that file; empty: ``ClientSecret``, or ``CLIENT_SECRET`` with ``AZURE_``, ``MAIL_`` or
    nothing in front."""
    public_url: str = ""
    """Where browsers reach the product, for example ``https://my.cloudex.app``; empty: as the browser asked."""
    webhook_key: str = field(default="", repr=False)
    """The key (``whsec_…``) of those who may hand in a new secret; empty: nobody."""
    key_id: str = ""
    """Which client secret ``client_secret`` is, when it came by the webhook."""
    former_secret: str = field(default="", repr=False)
    """The value before, until the one that came by the webhook has worked once."""

    def __post_init__(self) -> None:
        if not CODE.fullmatch(self.code):
            raise SettingsRefused(f"{self.code!r} is not a company code: letters, digits, - and _, at most 64.")
        if not _TENANT.fullmatch(self.tenant_id):
            raise SettingsRefused("TenantId must be the Directory (tenant) ID or a domain of the tenant.")
        if not _GUID.fullmatch(self.client_id):
            raise SettingsRefused("ClientId must be the Application (client) ID, a GUID.")
        if bool(self.client_secret) == bool(self.secret_file) and not (self.webhook_key and not self.secret_file):
            raise SettingsRefused("Give either the value of ClientSecret or the file that holds it.")
        if self.webhook_key:
            self._require_webhook_usable()
        if self.secret_file and not Path(self.secret_file).is_absolute():
            raise SettingsRefused("The file that holds ClientSecret must be an absolute path.")
        if self.public_url:
            url = urlsplit(self.public_url)
            if url.scheme != "https" or not url.netloc or url.path not in {"", "/"} or url.query or url.fragment:
                raise SettingsRefused("The public address must be https:// and a host, without a path.")

    def _require_webhook_usable(self) -> None:
        if key_bytes(self.webhook_key) is None:
            raise SettingsRefused("The webhook key must be whsec_ and 24 to 64 bytes in Base64.")
        if self.secret_file:
            raise SettingsRefused("With ClientSecret in a file no webhook is needed: leave its key empty.")
        if not _GUID.fullmatch(self.tenant_id):
            raise SettingsRefused("With a webhook key TenantId must be the Directory (tenant) ID: messages name it.")

    @classmethod
    def parse(cls, code: str, values: Mapping[str, object]) -> Company:
        """Settings from their JSON or form names; raises SettingsRefused naming a name that is not known."""
        unknown = sorted(set(values) - set(_FIELDS))
        if unknown:
            raise SettingsRefused(f"No such setting: {', '.join(unknown)}; settings are {', '.join(_FIELDS)}.")
        if not all(isinstance(value, str) for value in values.values()):
            raise SettingsRefused("Every setting is a string.")
        given = {_FIELDS[name]: str(value).strip() for name, value in values.items()}
        return cls(code=code, **{"tenant_id": "", "client_id": "", **given})

    def shown(self) -> dict[str, str]:
        """The settings under their JSON names, without the secret and the webhook's key."""
        return {name: getattr(self, own) for name, own in _FIELDS.items() if own not in _HIDDEN}

    def secrets(self) -> tuple[str, ...]:
        """The secrets to try, the newest first; raises SettingsRefused as ``secret`` does."""
        return (self.secret(), self.former_secret) if self.former_secret else (self.secret(),)

    def secret(self) -> str:
        """The secret as it is now; raises SettingsRefused when there is none or its file cannot be read."""
        if not self.secret_file and not self.client_secret:
            raise SettingsRefused("ClientSecret is not there yet: the webhook has not brought one.")
        if not self.secret_file:
            return self.client_secret
        path = Path(self.secret_file)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SettingsRefused(f"The file with ClientSecret, {path}, cannot be read: {reason}.") from None
        for name, value in _entries(path, text).items():
            wanted = name == self.secret_name if self.secret_name else _plain(name) in _SECRET_NAMES
            if wanted and value:
                return value
        raise SettingsRefused(f"The file {path} holds no {self.secret_name or 'ClientSecret'}.")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _entries(path: Path, text: str) -> dict[str, str]:
    """Names and values of an env file or a JSON object."""
    if text.lstrip().startswith("{"):
        try:
            parsed = json.loads(text)
        except ValueError:
            raise SettingsRefused(f"The file with ClientSecret, {path}, is not valid JSON.") from None
        return {str(name): value for name, value in parsed.items() if isinstance(value, str)}
    entries = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            entries[name.strip()] = _unquoted(value.strip())
    return entries


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value
