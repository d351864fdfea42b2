"""As whom a tenant's job signs in: the fleet file says where the credential is, and here it is fetched.

Owns: the places (``env:``, ``file:``, ``keyvault:``, ``vault:``) and the environment variables that
``settings.credential`` then reads. Does not own: the placeholders in a place (``placeholders``), the sign-in itself
(``microsoft.credentials``), nor the clients of the two vaults, which are the sinks' own (``secrets.sinks``).

Values stay in memory. The one exception is a certificate: azure-identity and the azuread plugin both want a PKCS#12
file, so it lies in a private folder, encrypted with a password made for this one use, until the tenant is left.

The vaults are opened with the environment of the run, not the customer's: a partner's Key Vault stands in the partner's
tenant. So is the state (``engine.state``): what is taken out here by which the run signs in to ``azblob://``, the
engine is given back for itself. One value, or one vault's connection, serves all tenants of a process for
``KEPT_SECONDS``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from provision.errors import InvalidInput, NotPermitted, SignInFailed
from provision.fleet import placeholders
from provision.fleet.placeholders import Unfilled
from provision.fleet.tenant import CredentialReference, Tenant
from provision.secrets.files import read_private_bytes
from provision.secrets.sinks import Sink, open_sink
from provision.secrets.sinks.keyvault import KeyVaultSecretSink
from provision.secrets.sinks.vault import VaultField
from provision.settings.credential import AZURES_OWN, NAMES, ORIGIN

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12KeyAndCertificates

KEPT_SECONDS = 300.0
"""How long a value from a vault is kept: one that was changed is seen by a watch that runs for weeks."""

_KINDS = ("env", "file", "keyvault", "vault")
_REFERENCE = re.compile(r"(?:env:[A-Za-z_{][A-Za-z0-9_{}]*|file:/.+|keyvault:https://.+|vault:[^/]+/.+#.+)", re.DOTALL)
_FORMS = "env:NAME, file:/path, keyvault:https://VAULT/secrets/NAME or vault:MOUNT/PATH#FIELD"
_READ_RIGHTS = {
    "keyvault": 'The role "Key Vault Secrets User" with that one secret as its scope is enough.',
    "vault": 'A policy with path "MOUNT/data/PATH" { capabilities = ["read"] } is enough.',
}
_PEM, _DER = b"-----BEGIN", b"\x30"
"""How the two forms of a certificate with its key begin; anything else is the second in base64."""

_OWN = (
    *AZURES_OWN,
    "ARM_TENANT_ID",
    "ARM_CLIENT_ID",
    "ARM_CLIENT_ID_FILE_PATH",
    "ARM_CLIENT_SECRET",
    "ARM_CLIENT_SECRET_FILE_PATH",
    "ARM_CLIENT_CERTIFICATE",
    "ARM_CLIENT_CERTIFICATE_PATH",
    "ARM_CLIENT_CERTIFICATE_PASSWORD",
    "ARM_USE_MSI",
    ORIGIN,
)
"""What says as whom the run itself signs in; none of it reaches the sign-in to a tenant that has its own credential."""
_TOKENS = (
    "ARM_OIDC_TOKEN",
    "ARM_OIDC_TOKEN_FILE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "GITLAB_OIDC_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "SYSTEM_OIDCREQUESTURI",
    "SYSTEM_ACCESSTOKEN",
)
"""The run's own identity tokens; they go to a tenant only where its credential is the workload identity."""

Part = Literal["secret", "certificate", "certificatePassword"]


def check(credential: CredentialReference) -> None:
    """Whether a credential can be understood, without reading anything; for the fleet file's reader.

    Raises:
        InvalidInput: no such method, a value instead of its place, an unknown placeholder, or something is missing.
    """
    if credential.method not in NAMES:
        raise InvalidInput(
            f"The credential {credential.name} has the method {credential.method!r}, which there is not.",
            remedy=f"Use one of {', '.join(name for name in NAMES if name not in _PERSONAL)}.",
        )
    if credential.method in _PERSONAL:
        raise InvalidInput(
            f"The credential {credential.name} signs in by {credential.method}, which asks a person for every tenant.",
            remedy="For a technician's own rights (GDAP) use azure-cli and run `az login` before.",
        )
    references = _references(credential)
    needed = _NEEDED.get(credential.method)
    if needed is not None:
        if not credential.client_id:
            raise InvalidInput(
                f"The credential {credential.name} names no clientId.",
                remedy="Add the application (client) id that signs in.",
            )
        if not references[needed]:
            raise InvalidInput(
                f"The credential {credential.name} signs in by {credential.method} and names no {needed}.",
                remedy=f"Say where it is: {_FORMS}.",
            )
    check_places(credential)


def check_places(credential: CredentialReference) -> None:
    """Whether what a credential names are places, be it whole or not.

    Raises:
        InvalidInput: a value instead of its place, or an unknown placeholder.
    """
    for part, reference in _references(credential).items():
        if reference is not None:
            _check_reference(credential, part, reference)


def _references(credential: CredentialReference) -> dict[Part, str | None]:
    return {
        "secret": credential.secret,
        "certificate": credential.certificate,
        "certificatePassword": credential.certificate_password,
    }


_PERSONAL = frozenset({"device-code", "browser"})
_NEEDED: Mapping[str, Part] = {"client-secret": "secret", "certificate": "certificate"}


def _check_reference(credential: CredentialReference, part: Part, reference: str) -> None:
    if not _REFERENCE.fullmatch(reference):
        kind = reference.partition(":")[0]
        # The text is not told: what is not a place is most likely the secret itself.
        what = f"is not written as a place of the kind {kind}" if kind in _KINDS else "is not a place but a value"
        raise InvalidInput(
            f"The {part} of the credential {credential.name} {what}; a fleet file holds no secrets.",
            remedy=f"Write where it is: {_FORMS}." + ("" if kind in _KINDS else " If it was a secret, replace it."),
        )
    if wrong := placeholders.complaint(reference):
        raise InvalidInput(
            f"The {part} of the credential {credential.name} {wrong}.", remedy=f"Use {placeholders.KNOWN}."
        )


@contextlib.contextmanager
def environment_for(
    tenant: Tenant, environ: Mapping[str, str] = os.environ, *, places: Places | None = None
) -> Iterator[dict[str, str]]:
    """The run's environment with the tenant's credential in it in place of the run's own.

    ``settings.credential.read`` finds it there under the names that it knows. Without a credential of its own the
    tenant is signed in to as the environment says, by its own tenant id.

    Args:
        tenant: the row.
        environ: the environment of the run: where ``env:`` looks, and as whom the vaults are opened.
        places: what was read before; without it the process's own.

    Raises:
        InvalidInput: the credential cannot be understood, or there is nothing where it should be.
        NotPermitted: the place may not be read.
        SignInFailed: the vault does not accept the sign-in, or the certificate has expired.
        Unreachable: the vault does not answer.
    """
    credential = tenant.credential
    if credential is None:
        kept = {name: value for name, value in environ.items() if name not in ("ARM_TENANT_ID", "AZURE_TENANT_ID")}
        yield kept | _of_tenant(tenant)
        return
    check(credential)
    source = _PROCESS if places is None else places
    by_token = credential.method.startswith("workload-identity")
    removed = set(_OWN) - set(_TOKENS) if by_token else {*_OWN, *_TOKENS}
    variables = {name: value for name, value in environ.items() if name not in removed} | _of_tenant(tenant)
    variables["PROVISION_CREDENTIAL"] = credential.method
    if client_id := credential.client_id or _own_client_id(credential.method, environ):
        variables["ARM_CLIENT_ID"] = client_id
    with contextlib.ExitStack() as until_left:
        if credential.method == "client-secret":
            place = _place(tenant, credential, "secret")
            variables["ARM_CLIENT_SECRET"] = _word(source.read(place, environ))
            variables[ORIGIN] = place.address
        elif credential.method == "certificate":
            path, password = until_left.enter_context(_certificate(tenant, credential, source, environ))
            variables[ORIGIN] = _place(tenant, credential, "certificate").address
            variables["ARM_CLIENT_CERTIFICATE_PATH"] = str(path)
            variables["ARM_CLIENT_CERTIFICATE_PASSWORD"] = password
        yield variables


def _of_tenant(tenant: Tenant) -> dict[str, str]:
    values = {
        "ARM_TENANT_ID": tenant.tenant,
        "ARM_METADATA_HOSTNAME": tenant.metadata_host,
        "ARM_ENVIRONMENT": tenant.environment,
    }
    return {name: value for name, value in values.items() if value}


def _own_client_id(method: str, environ: Mapping[str, str]) -> str | None:
    """A pipeline's own registration, where the credential names none; never another method's."""
    if not method.startswith(("workload-identity", "managed-identity")):
        return None
    return environ.get("ARM_CLIENT_ID") or environ.get("AZURE_CLIENT_ID")


@dataclass(frozen=True)
class _Place:
    """One reference, filled in for one tenant."""

    what: str
    """For messages: which part of which credential, and of which tenant where that makes a difference."""
    kind: str
    rest: str
    shared: bool
    """Whether it is the same for all tenants."""

    @property
    def address(self) -> str:
        return f"{self.kind}:{self.rest}"


def _place(tenant: Tenant, credential: CredentialReference, part: Part) -> _Place:
    kind, _, rest = (_references(credential)[part] or "").partition(":")
    shared = not placeholders.is_in(rest)
    words = {"secret": "secret", "certificate": "certificate", "certificatePassword": "certificate's password"}
    what = f"the {words[part]} of the credential {credential.name}"
    if not shared:
        what += f" for {tenant.key}"
    values = {"key": tenant.key, "tenant": tenant.tenant, "companyCode": tenant.company_code}
    try:
        return _Place(what, kind, placeholders.filled(rest, values, _variable if kind == "env" else str), shared)
    except Unfilled as left:
        problem = "has none" if left.value is None else "has one that cannot be part of a place"
        raise InvalidInput(
            f"{_sentence(what)} needs {{{left.name}}}, and the tenant {tenant.key} {problem}.",
            remedy="Correct the tenant's row, or use another placeholder.",
        ) from None


def _variable(value: str) -> str:
    """As names of variables are written."""
    return re.sub(r"[^A-Z0-9]", "_", value.upper())


@dataclass(frozen=True)
class _Read:
    """A value from a place. ``path`` is set where it lies in a file already."""

    what: str
    value: bytes = field(repr=False)
    path: Path | None = None


class Places:
    """What a process has read, each shared value once, also when many threads ask for it at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], tuple[float, Future[bytes]]] = {}
        self._connections: dict[tuple[str, str], KeyVaultSecretSink | VaultField] = {}

    def read(self, place: _Place, environ: Mapping[str, str]) -> _Read:
        """The value at a place.

        Raises:
            ProvisionError: one sentence for each way in which it cannot be had.
        """
        if place.kind == "env":
            value = environ.get(place.rest)
            if not value:
                raise InvalidInput(
                    f"{_sentence(place.what)} should be in the environment variable {place.rest}, which is not set.",
                    remedy=f"Set {place.rest}, also where the workers run.",
                )
            return _Read(place.what, value.encode())
        if place.kind == "file":
            path = Path(unquote(place.rest))
            return _Read(place.what, read_private_bytes(path, f"{place.what[4:]}"), path)
        if not place.shared:
            return _Read(place.what, self._from_vault(place, environ))
        return _Read(place.what, self._once(place, environ))

    def _once(self, place: _Place, environ: Mapping[str, str]) -> bytes:
        key = (place.address, _fingerprint(environ))
        with self._lock:
            now = time.monotonic()
            found = self._values.get(key)
            mine: Future[bytes] | None = None
            if found is None or found[0] < now:
                mine = Future()
                found = self._values[key] = (now + KEPT_SECONDS, mine)
        if mine is None:
            return found[1].result()
        try:
            mine.set_result(self._from_vault(place, environ))
        except BaseException as error:
            with self._lock:
                self._values.pop(key, None)  # who waits is told the same; who comes later tries again
            mine.set_exception(error)
            raise
        return mine.result()

    def _from_vault(self, place: _Place, environ: Mapping[str, str]) -> bytes:
        sink = open_sink(place.address, environ)
        if not isinstance(sink, KeyVaultSecretSink | VaultField):
            raise InvalidInput(f"{_sentence(place.what)} cannot be read from {place.kind}.", remedy=f"Use {_FORMS}.")
        server = sink.vault_url if isinstance(sink, KeyVaultSecretSink) else place.kind
        key = (server, _fingerprint(environ))
        with self._lock:
            first = self._connections.get(key)
        if first is not None:
            with contextlib.suppress(SignInFailed, NotPermitted):  # its sign-in may have ended meanwhile
                return _stored(place, sink.by(first))  # type: ignore[arg-type]
        value = _stored(place, sink)
        with self._lock:
            self._connections[key] = sink
        return value


_PROCESS = Places()
"""What this process has read; a worker does many tenants one after the other."""


def _fingerprint(environ: Mapping[str, str]) -> str:
    """Another word for another environment: who signs in as somebody else is not given what was read before."""
    text = "\0".join(f"{name}={value}" for name, value in sorted(environ.items()))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _stored(place: _Place, sink: Sink) -> bytes:
    try:
        found = sink.stored()
    except NotPermitted as error:
        raise NotPermitted(error.message, remedy=_READ_RIGHTS[place.kind]) from None
    if found is None:
        raise InvalidInput(
            f"{_sentence(place.what)} is not there: {place.address} does not exist.",
            remedy="Store it there, or correct the reference.",
        )
    if not found.value:
        raise InvalidInput(
            f"{_sentence(place.what)} cannot be read: {place.address} is empty, disabled or not a text.",
            remedy="Enable the latest version, or store another.",
        )
    return found.value.encode()


def _word(read: _Read) -> str:
    """A secret or a password as one line of text."""
    try:
        text = read.value.decode().strip("\r\n")
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isprintable():
        raise InvalidInput(
            f"{_sentence(read.what)} is {'empty' if not read.value.strip() else 'not one line of text'}.",
            remedy="Store the value alone, without anything around it.",
        )
    return text


@contextlib.contextmanager
def _certificate(
    tenant: Tenant, credential: CredentialReference, places: Places, environ: Mapping[str, str]
) -> Iterator[tuple[Path, str]]:
    """The PKCS#12 file of a credential and its password."""
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    read = places.read(_place(tenant, credential, "certificate"), environ)
    password = ""
    if credential.certificate_password:
        password = _word(places.read(_place(tenant, credential, "certificatePassword"), environ))
    bundle = _bundle(read, password)
    if read.path is not None and read.value.startswith(_DER):
        yield read.path, password
        return
    once = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory(prefix="provision-") as folder:
        path = Path(folder) / "certificate.pfx"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(
                pkcs12.serialize_key_and_certificates(
                    None,
                    bundle.key,  # type: ignore[arg-type]  # every kind that can be loaded can be stored again
                    bundle.cert.certificate if bundle.cert else None,
                    [chained.certificate for chained in bundle.additional_certs],
                    BestAvailableEncryption(once.encode()),
                )
            )
        yield path, once


def _bundle(read: _Read, password: str) -> PKCS12KeyAndCertificates:
    """Key and certificate, from PKCS#12, the same in base64 (as Key Vault gives it), or PEM; not expired."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

    unreadable = InvalidInput(
        f"{_sentence(read.what)} cannot be opened: it is neither PKCS#12 nor PEM, or its password is another.",
        remedy="Store the private key with its certificate, and name the password's place in certificatePassword.",
    )
    secret = password.encode() or None
    try:
        if read.value.lstrip().startswith(_PEM):
            chain = [
                pkcs12.PKCS12Certificate(certificate, None)
                for certificate in x509.load_pem_x509_certificates(read.value)
            ]
            key = load_pem_private_key(read.value, secret)
            found = pkcs12.PKCS12KeyAndCertificates(key, chain[0], chain[1:])
        else:
            raw = read.value
            if not raw.startswith(_DER):
                raw = base64.b64decode(b"".join(raw.split()), validate=True)
            found = pkcs12.load_pkcs12(raw, secret)
    except (ValueError, TypeError, binascii.Error):
        raise unreadable from None
    if found.key is None or found.cert is None:
        raise InvalidInput(
            f"{_sentence(read.what)} has no {'private key' if found.key is None else 'certificate'} in it.",
            remedy="Store the private key with its certificate, as PKCS#12 or PEM.",
        )
    now, ends = datetime.now(UTC), found.cert.certificate.not_valid_after_utc
    if ends <= now:
        raise SignInFailed(
            f"{_sentence(read.what)} expired on {ends:%Y-%m-%d}.",
            remedy="Add a new certificate to the registration, then store it in the same place.",
        )
    return found


def _sentence(what: str) -> str:
    return what[:1].upper() + what[1:]
