"""A secret of an Azure Key Vault: each client secret is a new version of it.

The address is ``keyvault:https://NAME.vault.azure.net/secrets/SECRET``, with the host that the vault's overview page
shows; the sovereign clouds' hosts too. The version carries the end date and, as tags, which client secret it is. The
sign-in is the environment's own (``settings.credential``), as for everything else. Microsoft's client compares the host
with the resource for which the vault asks a token, so that no other host gets one.

Sources: "Azure Key Vault REST API error codes", "About Azure Key Vault secrets" and "Azure Key Vault soft-delete
overview" (Azure Key Vault documentation); the inner codes of a 403 are in recorded answers of the SDK's tests.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from provision.errors import (
    InvalidInput,
    NotPermitted,
    PolicyRefuses,
    ProvisionError,
    SignInFailed,
    Unreachable,
    WouldOverwrite,
)
from provision.microsoft.credentials import credential_for
from provision.secrets.record import Kind
from provision.secrets.sinks import Delivery, Stored
from provision.settings import credential, endpoints

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets import KeyVaultSecret, SecretClient

RIGHTS = (
    'The role "Key Vault Secrets Officer" with that one secret as its scope (…/vaults/NAME/secrets/SECRET); in a vault '
    "with access policies the secret permissions Get and Set, and Delete and Recover where secrets are removed again."
)
WITHOUT_CERTIFICATES = ""

_SUFFIXES = (".vault.azure.net", ".vault.usgovcloudapi.net", ".vault.azure.cn")
"""DNS suffixes of the clouds ("Azure Key Vault keys, secrets, and certificates overview")."""
_VAULT = re.compile(r"[A-Za-z](?!.*--)[A-Za-z0-9-]{1,22}[A-Za-z0-9]")
_SECRET = re.compile(r"[0-9A-Za-z-]{1,127}")
_KEY_ID, _CLIENT_ID, _TENANT_ID = "keyId", "clientId", "tenantId"
_CONTENT_TYPES: dict[Kind, str] = {"secret": "text/plain", "certificate": "application/x-pem-file"}
"""The second as Key Vault itself says it of a certificate in PEM ("About Key Vault certificates")."""
_CONNECT_SECONDS, _READ_SECONDS, _RECOVER_SECONDS = 15, 30, 90
_RETRIES, _BACKOFF = 3, 0.5
"""The SDK's own ten retries take minutes; a run can be repeated."""

_NO_ROLE = frozenset({"ForbiddenByRbac", "ForbiddenByPolicy", "AccessDenied"})
"""``ForbiddenByPolicy`` is the vault's access policy, not Azure Policy."""
_NO_WAY_IN = frozenset({"ForbiddenByFirewall", "ForbiddenByConnection"})


@dataclass(frozen=True)
class KeyVaultSecretSink:
    """One secret of one vault."""

    address: str
    vault_url: str
    name: str
    environ: Mapping[str, str] = field(repr=False)

    def by(self, other: KeyVaultSecretSink) -> KeyVaultSecretSink:
        """This secret, reached through the client of another one in the same vault: many need one sign-in."""
        mine = replace(self)
        mine.__dict__["_client"] = other._client
        return mine

    def check(self) -> None:
        """Reads the secret, which proves the way, the sign-in and the right to read.

        A Key Vault has no dry run of a write: that right is only seen when it is used.
        """
        try:
            found = self._read()
        except _Disabled:
            return
        if found is not None and found.properties.managed:
            raise WouldOverwrite(
                f"The secret {self.name} of {self.vault_url} belongs to a certificate and cannot be set.",
                remedy="Name another secret.",
            )

    def stored(self) -> Stored | None:
        """The latest version; without a value when that version is disabled."""
        try:
            found = self._read()
        except _Disabled:
            return Stored()
        if found is None:
            return None
        return Stored(found.value, (found.properties.tags or {}).get(_KEY_ID), found.properties.version)

    def write(self, delivery: Delivery) -> None:
        """Adds a version; a secret that ``remove`` put into the vault's bin is taken out of it first.

        Versions before stay readable to those who may read the secret, until they are deleted with it.
        """
        from azure.core.exceptions import ResourceExistsError

        with self._doing("write"):
            try:
                self._set(delivery)
            except ResourceExistsError as error:
                if _inner_code(error) != "ObjectIsDeletedButRecoverable":
                    raise
            else:
                return
        with self._doing("recover"):
            self._client.begin_recover_deleted_secret(self.name).wait(_RECOVER_SECONDS)
        with self._doing("write"):
            self._set(delivery)

    def remove(self) -> None:
        """Deletes the secret with all versions, when the latest is one of ours; it stays in the vault's bin."""
        try:
            found = self._read()
        except _Disabled:
            return
        if found is None or _KEY_ID not in (found.properties.tags or {}):
            return
        with self._doing("delete"):
            self._client.begin_delete_secret(self.name).result()

    @cached_property
    def _client(self) -> SecretClient:
        from azure.keyvault.secrets import SecretClient

        ca_file = self.environ.get("REQUESTS_CA_BUNDLE") or self.environ.get("SSL_CERT_FILE")
        cloud = endpoints.resolve(ca_file=ca_file, environ=self.environ)
        return SecretClient(
            self.vault_url,
            credential_for(credential.read(environ=self.environ), cloud),
            connection_verify=ca_file or True,
            connection_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retry_total=_RETRIES,
            retry_backoff_factor=_BACKOFF,
            permit_redirects=False,  # the body of a redirected request would go to a host that nobody named
        )

    def _set(self, delivery: Delivery) -> None:
        self._client.set_secret(
            self.name,
            delivery.value,
            content_type=_CONTENT_TYPES[delivery.kind],
            expires_on=delivery.expires,
            tags={
                _KEY_ID: delivery.key_id,
                _CLIENT_ID: delivery.client_id,
                _TENANT_ID: delivery.tenant_id,
            },
        )

    def _read(self) -> KeyVaultSecret | None:
        from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

        with self._doing("read"):
            try:
                return self._client.get_secret(self.name)
            except ResourceNotFoundError as error:
                if _code(error) == "SecretNotFound":
                    return None
                raise
            except HttpResponseError as error:
                if _inner_code(error) == "SecretDisabled":
                    raise _Disabled from None
                raise

    @contextlib.contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError

        try:
            yield
        except (ServiceRequestError, ServiceResponseError) as error:
            ca_file = self.environ.get("REQUESTS_CA_BUNDLE") or self.environ.get("SSL_CERT_FILE")
            raise endpoints.unreachable(self.vault_url, error, ca_file=ca_file) from None
        except HttpResponseError as error:
            raise self._refused(what, error) from None
        except (AzureError, ValueError):
            # The SDK raises a ValueError when the vault asks for a token of a resource that is not its own.
            raise Unreachable(
                f"{self.vault_url} does not answer as a Key Vault does.", remedy="Check the address of the vault."
            ) from None

    def _refused(self, what: str, error: HttpResponseError) -> ProvisionError:
        """The sentence for a refusal. Of the answer only its codes are told: its text may quote the request."""
        inner = _inner_code(error)
        code = inner or _code(error)
        said = f" ({code})" if code else ""
        doing = f"The Key Vault {self.vault_url} refuses to {what} the secret {self.name}{said}"
        status = error.status_code or 0
        if status == 401:
            return SignInFailed(
                f"The Key Vault {self.vault_url} does not accept the sign-in{said}.",
                remedy="Sign in to the vault's own tenant.",
            )
        if status == 403 and inner in _NO_WAY_IN:
            return Unreachable(
                f"The firewall of the Key Vault {self.vault_url} does not let this machine in ({inner}).",
                remedy="Run from a network that the vault's networking page allows.",
            )
        if inner == "SecretManagedByKeyVault":
            return WouldOverwrite(f"{doing}: it belongs to a certificate.", remedy="Name another secret.")
        # No page of Microsoft's names the inner code with which Azure Policy refuses a request to a vault.
        if status == 403 and inner not in _NO_ROLE and "disallowed by policy" in str(error.message).lower():
            return PolicyRefuses(f"{doing}: Azure Policy forbids it.", remedy="Ask for an exemption from the policy.")
        if status == 403:
            return NotPermitted(f"{doing}.", remedy=f"{RIGHTS} A new assignment needs some minutes to take effect.")
        if status == 429 or status >= 500:
            return Unreachable(
                f"The Key Vault {self.vault_url} is overloaded: HTTP {status}, after retries.", remedy="Run again."
            )
        if status == 409:
            return ProvisionError(f"{doing}: another operation on it is under way.", remedy="Run again in a minute.")
        if status in (400, 413):
            return InvalidInput(f"{doing}.", remedy="Check the address of the secret.")
        return Unreachable(
            f"{self.vault_url} does not answer as a Key Vault does: HTTP {status}.",
            remedy="Check the address of the vault.",
        )


class _Disabled(Exception):
    """The secret's latest version is disabled: it is there, and nobody may read it."""


def _code(error: HttpResponseError) -> str:
    return _word(getattr(error.error, "code", ""))


def _inner_code(error: HttpResponseError) -> str:
    inner = getattr(error.error, "innererror", None)
    return _word(inner.get("code")) if isinstance(inner, Mapping) else ""


def _word(code: object) -> str:
    """A code as Microsoft writes them; anything else is not one."""
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{1,64}", code) else ""


def open_sink(rest: str, environ: Mapping[str, str]) -> KeyVaultSecretSink:
    """The sink of ``https://NAME.vault.azure.net/secrets/SECRET``.

    Raises:
        InvalidInput: the host is no Key Vault's, or the path is not that of a secret.
    """
    import azure.keyvault.secrets  # noqa: F401 - a missing library is said before anything is made

    parts = urlsplit(rest)
    host = parts.netloc.lower()
    name = parts.path.removeprefix("/secrets/").rstrip("/")
    vault, dot, _ = host.partition(".")
    known = any(host == f"{vault}{suffix}" for suffix in _SUFFIXES) and _VAULT.fullmatch(vault)
    custom = bool(environ.get("ARM_METADATA_HOSTNAME")) and re.fullmatch(r"[a-z0-9.-]+(:\d{1,5})?", host)
    if parts.scheme != "https" or not dot or not (known or custom):
        raise InvalidInput(
            f"{rest!r} is not the address of a Key Vault's secret.",
            remedy="For example keyvault:https://my-vault.vault.azure.net/secrets/mail-client-secret",
        )
    if not parts.path.startswith("/secrets/") or not _SECRET.fullmatch(name) or parts.query or parts.fragment:
        raise InvalidInput(
            f"{rest!r} does not name a secret of the vault {vault}.",
            remedy=f"For example keyvault:https://{host}/secrets/mail-client-secret (letters, digits, -; no version).",
        )
    return KeyVaultSecretSink(f"keyvault:https://{host}/secrets/{name}", f"https://{host}", name, environ)
