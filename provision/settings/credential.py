"""As whom we sign in: one setting, read once, for azure-identity and for the azuread plugin alike.

Owns: the methods, which environment variables they read, and the order in which one is found. Does not own: getting a
token (``microsoft.credentials``) or telling the plugin (``settings.plugin``).

The order (the first that fits):

1. the method named by ``--credential``, ``office365-mail:credential`` or ``PROVISION_CREDENTIAL``;
2. ``ARM_*``, then ``AZURE_*`` variables: a client secret, a certificate, a federated token, a managed identity;
3. a pipeline's own identity: GitHub Actions, Azure DevOps, GitLab;
4. the Azure CLI's sign-in (``az login``).

Secret values come from the environment or a file, never from the command line, and have no ``repr``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from provision.errors import InvalidInput

Method = Literal[
    "azure-cli",
    "device-code",
    "browser",
    "client-secret",
    "certificate",
    "workload-identity",
    "managed-identity",
]
TokenSource = Literal["github", "azure-devops", "gitlab", "token-file"]

NAMES: dict[str, tuple[Method, TokenSource | None]] = {
    "azure-cli": ("azure-cli", None),
    "device-code": ("device-code", None),
    "browser": ("browser", None),
    "client-secret": ("client-secret", None),
    "certificate": ("certificate", None),
    "workload-identity": ("workload-identity", None),
    "workload-identity:github": ("workload-identity", "github"),
    "workload-identity:azure-devops": ("workload-identity", "azure-devops"),
    "workload-identity:gitlab": ("workload-identity", "gitlab"),
    "workload-identity:token-file": ("workload-identity", "token-file"),
    "managed-identity": ("managed-identity", None),
}
"""What the setting may say. ``workload-identity`` alone takes the first source that is there."""

AZURES_OWN = (
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_FEDERATED_TOKEN_FILE",
)
"""As whom Azure's own libraries sign in where nobody names a credential (azure-sdk-for-go, ``azidentity``:
``environment_credential.go``, ``workload_identity.go``). The azuread plugin reads none of them, unless it is told to be
a workload of AKS (hashicorp/terraform-provider-azuread, ``provider.go`` and ``helpers.go``)."""
OF_THE_STATE = "PROVISION_STATE_SIGN_IN"
"""Names those of them, with blanks between, by which Pulumi's state is signed in to and nothing else is."""
ORIGIN = "PROVISION_CREDENTIAL_ORIGIN"
"""Names the place that a secret or certificate was fetched from before it came into the variables; for messages."""

_TENANT = re.compile(r"[A-Za-z0-9._-]+")
_SHARED_TENANTS = frozenset({"common", "organizations", "consumers"})


@dataclass(frozen=True)
class CredentialSetting:
    """How to sign in. Secrets are kept out of ``repr``."""

    method: Method
    tenant_id: str | None
    """The intended tenant: a GUID or a domain; None lets the Azure CLI's or the identity's own tenant count."""
    client_id: str | None = None
    origin: str = ""
    """Where its secret or certificate is kept, for messages: a variable, a file, or the place that a fleet file names;
    of a method without any, what named it or which variables were found."""
    token_source: TokenSource | None = None
    certificate_path: Path | None = None
    """PKCS#12 (``.pfx``): the one form that both azure-identity and the azuread plugin read."""
    token_file: Path | None = None
    oidc_request_url: str | None = None
    service_connection_id: str | None = None
    certificate_pem: str | None = field(default=None, repr=False)
    """The private key and the certificate, PEM, instead of a file; not for the plugin."""
    client_secret: str | None = field(default=None, repr=False)
    certificate_password: str | None = field(default=None, repr=False)
    oidc_token: str | None = field(default=None, repr=False)
    oidc_request_token: str | None = field(default=None, repr=False)

    @property
    def kept_in(self) -> str:
        """Where its secret or certificate is kept, as far as that is known; empty for a method that has none."""
        return self.origin if self.method in ("client-secret", "certificate") else ""

    @property
    def is_interactive(self) -> bool:
        """Whether a person signs in during the run (device code, browser)."""
        return self.method in ("device-code", "browser")


def read(
    name: str | None = None,
    *,
    tenant_id: str | None = None,
    client_id: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> CredentialSetting:
    """The credential to use.

    Args:
        name: one of ``NAMES``; without it ``PROVISION_CREDENTIAL``, then whatever the environment holds.
        tenant_id: the intended tenant (GUID or domain); without it ``ARM_TENANT_ID``, then ``AZURE_TENANT_ID``.
        client_id: the client id from the configuration; without it ``ARM_CLIENT_ID``, then ``AZURE_CLIENT_ID``.
        environ: the process's environment.

    Raises:
        InvalidInput: no such method, or what it needs is not there (the variables are named).
    """
    found = _Found(environ, tenant_id, client_id)
    named = name or environ.get("PROVISION_CREDENTIAL")
    if named:
        if named not in NAMES:
            raise InvalidInput(
                f"There is no way to sign in called {named!r}.", remedy=f"Use one of {', '.join(NAMES)}."
            )
        method, source = NAMES[named]
        where = "named in the settings" if name else "named by PROVISION_CREDENTIAL"
        return found.build(method, source, where)
    for fits, method, source, why in _DETECTION:
        if fits(found):
            return found.build(method, source, why)
    return found.build("azure-cli", None, "nothing else was found, so the Azure CLI's sign-in counts")


class _Found:
    """What the environment and the configuration hold, read once."""

    def __init__(self, environ: Mapping[str, str], tenant_id: str | None, client_id: str | None) -> None:
        others = (environ.get(OF_THE_STATE) or "").split()
        self._environ = {name: value for name, value in environ.items() if name not in others}
        self.tenant_id = tenant_id or self.get("ARM_TENANT_ID", "AZURE_TENANT_ID")
        self.client_id = client_id or self.get("ARM_CLIENT_ID", "AZURE_CLIENT_ID")
        if self.client_id is None and (file := self.get("ARM_CLIENT_ID_FILE_PATH")):
            self.client_id = _read_secret_file(file, "ARM_CLIENT_ID_FILE_PATH")
        self.secret = self.get("ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET")
        self.secret_file = self.get("ARM_CLIENT_SECRET_FILE_PATH")
        self.certificate = self.get("ARM_CLIENT_CERTIFICATE_PATH", "AZURE_CLIENT_CERTIFICATE_PATH")
        self.token = self.get("ARM_OIDC_TOKEN")
        self.token_file = self.get("ARM_OIDC_TOKEN_FILE_PATH", "AZURE_FEDERATED_TOKEN_FILE")
        self.gitlab_token = self.get("ARM_OIDC_TOKEN", "GITLAB_OIDC_TOKEN")
        self.on_github = bool(self.get("ACTIONS_ID_TOKEN_REQUEST_URL") and self.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
        self.connection = self.get(
            "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID",
            "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
            "AZURESUBSCRIPTION_SERVICE_CONNECTION_ID",
        )
        self.on_azure_devops = bool(
            self.get("SYSTEM_OIDCREQUESTURI") and self.get("SYSTEM_ACCESSTOKEN") and self.connection
        )
        self.on_gitlab = bool(self.get("GITLAB_CI") and self.gitlab_token)
        self.wants_managed_identity = (self.get("ARM_USE_MSI") or "").lower() in ("true", "1")
        self.fetched_from = self.get(ORIGIN)

    def get(self, *names: str) -> str | None:
        """The first of the variables that is set and not empty."""
        name = self.named(*names)
        return self._environ[name] if name else None

    def named(self, *names: str) -> str:
        """Which of the variables is the first that is set and not empty."""
        return next((name for name in names if self._environ.get(name)), "")

    def build(self, method: Method, source: TokenSource | None, origin: str) -> CredentialSetting:
        """The setting for a method, complete or refused."""
        if self.tenant_id is not None and not _TENANT.fullmatch(self.tenant_id):
            raise InvalidInput(
                f"The tenant {self.tenant_id!r} is neither a GUID nor a domain name.",
                remedy="Take Directory (tenant) ID from the overview page of Microsoft Entra ID.",
            )
        if self.tenant_id is not None and self.tenant_id.lower() in _SHARED_TENANTS:
            raise InvalidInput(
                f"{self.tenant_id!r} is not a tenant but a shared sign-in address.",
                remedy="Name the customer's own tenant: its id or one of its domains.",
            )
        return _BUILDERS[method](self, source, origin)

    def require(self, method: str, needed: Mapping[str, str | None]) -> None:
        """Refuses when something that the method needs is missing, naming all of it."""
        missing = [what for what, value in needed.items() if not value]
        if missing:
            raise InvalidInput(
                f"Signing in by {method} lacks {' and '.join(missing)}.",
                remedy="Set it in the environment; secrets are never taken from the command line.",
            )

    def for_app(self, method: str) -> dict[str, str | None]:
        """What every sign-in of an application needs."""
        self.require(
            method,
            {
                "the tenant (azuread:tenantId or ARM_TENANT_ID)": self.tenant_id,
                "the client id (ARM_CLIENT_ID)": self.client_id,
            },
        )
        return {"tenant_id": self.tenant_id, "client_id": self.client_id}


def _client_secret(found: _Found, _: TokenSource | None, __: str) -> CredentialSetting:
    found.for_app("client secret")
    secret, origin = found.secret, found.named("ARM_CLIENT_SECRET", "AZURE_CLIENT_SECRET")
    if secret is None and found.secret_file:
        secret, origin = _read_secret_file(found.secret_file, "ARM_CLIENT_SECRET_FILE_PATH"), found.secret_file
    found.require("client secret", {"the secret (ARM_CLIENT_SECRET or ARM_CLIENT_SECRET_FILE_PATH)": secret})
    origin = found.fetched_from or origin
    return CredentialSetting("client-secret", found.tenant_id, found.client_id, origin, client_secret=secret)


def _certificate(found: _Found, _: TokenSource | None, __: str) -> CredentialSetting:
    found.for_app("certificate")
    found.require("certificate", {"the PKCS#12 file (ARM_CLIENT_CERTIFICATE_PATH)": found.certificate})
    path = Path(found.certificate or "")
    try:
        with path.open("rb") as stream:
            is_pem = stream.read(11).startswith(b"-----BEGIN")
    except OSError as error:
        raise InvalidInput(
            f"The certificate {path} cannot be read: {error.strerror}.",
            remedy="Name a readable PKCS#12 file in ARM_CLIENT_CERTIFICATE_PATH.",
        ) from None
    if is_pem:
        raise InvalidInput(
            f"The certificate {path} is PEM; the azuread plugin reads PKCS#12 only.",
            remedy=f"Convert it: openssl pkcs12 -export -in {path.name} -out {path.stem}.pfx",
        )
    return CredentialSetting(
        "certificate",
        found.tenant_id,
        found.client_id,
        found.fetched_from or str(path),
        certificate_path=path,
        certificate_password=found.get("ARM_CLIENT_CERTIFICATE_PASSWORD", "AZURE_CLIENT_CERTIFICATE_PASSWORD"),
    )


def _workload_identity(found: _Found, source: TokenSource | None, origin: str) -> CredentialSetting:
    found.for_app("workload identity")
    chosen = source or _first_token_source(found)
    setting = CredentialSetting("workload-identity", found.tenant_id, found.client_id, origin, chosen)
    if chosen == "github":
        url, token = found.get("ACTIONS_ID_TOKEN_REQUEST_URL"), found.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        found.require(
            "GitHub's workload identity",
            {"ACTIONS_ID_TOKEN_REQUEST_URL (the job needs `permissions: id-token: write`)": url and token},
        )
        return _with(setting, oidc_request_url=url, oidc_request_token=token)
    if chosen == "azure-devops":
        url, token = found.get("SYSTEM_OIDCREQUESTURI"), found.get("SYSTEM_ACCESSTOKEN")
        found.require(
            "Azure DevOps' workload identity",
            {
                "SYSTEM_OIDCREQUESTURI": url,
                "SYSTEM_ACCESSTOKEN (map $(System.AccessToken) into the step)": token,
                "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID": found.connection,
            },
        )
        return _with(setting, oidc_request_url=url, oidc_request_token=token, service_connection_id=found.connection)
    if chosen == "gitlab":
        token = found.gitlab_token
        found.require("GitLab's workload identity", {"GITLAB_OIDC_TOKEN (an `id_tokens:` entry of the job)": token})
        return _with(setting, oidc_token=token)
    if found.token_file:
        return _with(setting, token_file=Path(found.token_file))
    found.require(
        "workload identity",
        {"a token (ARM_OIDC_TOKEN, ARM_OIDC_TOKEN_FILE_PATH or AZURE_FEDERATED_TOKEN_FILE)": found.token},
    )
    return _with(setting, oidc_token=found.token)


def _first_token_source(found: _Found) -> TokenSource:
    if found.token_file or (found.token and not found.on_gitlab):
        return "token-file"
    if found.on_github:
        return "github"
    if found.on_azure_devops:
        return "azure-devops"
    return "gitlab" if found.on_gitlab else "token-file"


def _with(setting: CredentialSetting, **changes: object) -> CredentialSetting:
    values = {name: getattr(setting, name) for name in CredentialSetting.__dataclass_fields__}
    return CredentialSetting(**{**values, **changes})


def _plain(method: Method) -> Callable[[_Found, TokenSource | None, str], CredentialSetting]:
    """Builder of the methods in which no secret is involved; a person's sign-in never uses the app's client id."""

    def build(found: _Found, _: TokenSource | None, origin: str) -> CredentialSetting:
        client_id = found.client_id if method == "managed-identity" else None
        return CredentialSetting(method, found.tenant_id, client_id, origin)

    return build


_BUILDERS: dict[Method, Callable[[_Found, TokenSource | None, str], CredentialSetting]] = {
    "azure-cli": _plain("azure-cli"),
    "device-code": _plain("device-code"),
    "browser": _plain("browser"),
    "client-secret": _client_secret,
    "certificate": _certificate,
    "workload-identity": _workload_identity,
    "managed-identity": _plain("managed-identity"),
}

_DETECTION: tuple[tuple[Callable[[_Found], bool], Method, TokenSource | None, str], ...] = (
    (lambda f: bool(f.client_id and (f.secret or f.secret_file)), "client-secret", None, "a client secret is set"),
    (lambda f: bool(f.client_id and f.certificate), "certificate", None, "a certificate is set"),
    (lambda f: bool(f.client_id and f.on_gitlab), "workload-identity", "gitlab", "this is a GitLab job"),
    (lambda f: bool(f.client_id and (f.token or f.token_file)), "workload-identity", "token-file", "a token is set"),
    (lambda f: f.wants_managed_identity, "managed-identity", None, "ARM_USE_MSI is set"),
    (lambda f: bool(f.client_id and f.on_github), "workload-identity", "github", "this is a GitHub Actions job"),
    (lambda f: bool(f.client_id and f.on_azure_devops), "workload-identity", "azure-devops", "this is a pipeline run"),
)
"""Tried in this order when no method is named; the Azure CLI comes after all of them."""


def _read_secret_file(file: str, variable: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(
            f"The file that {variable} names ({file}) cannot be read.", remedy="Name a readable text file."
        ) from None
