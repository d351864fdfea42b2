"""The provider's configuration, from the stack's ``azuread:`` settings and the environment, as the real plugin reads
it.

Owns: the variables, their environment names, and which way of signing in they amount to.
Does not own: signing in (``microsoft.credentials``) or the gate (``local_tenant``).

Source: terraform-provider-azuread ``internal/provider/provider.go``; order of precedence go-azure-sdk ``sdk/auth``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.errors import InvalidInput
from provision.settings.credential import ORIGIN, CredentialSetting


@dataclass(frozen=True)
class Variable:
    """One setting: its name, the environment variables that stand in for it, and whether it is a secret."""

    name: str
    environment: tuple[str, ...] = ()
    flag: bool = False
    secret: bool = False


VARIABLES: tuple[Variable, ...] = (
    Variable("tenantId", ("ARM_TENANT_ID",)),
    Variable("clientId", ("ARM_CLIENT_ID",), secret=True),
    Variable("clientIdFilePath", ("ARM_CLIENT_ID_FILE_PATH",)),
    Variable("clientSecret", ("ARM_CLIENT_SECRET",), secret=True),
    Variable("clientSecretFilePath", ("ARM_CLIENT_SECRET_FILE_PATH",)),
    Variable("clientCertificate", ("ARM_CLIENT_CERTIFICATE",)),
    Variable("clientCertificatePath", ("ARM_CLIENT_CERTIFICATE_PATH",)),
    Variable("clientCertificatePassword", ("ARM_CLIENT_CERTIFICATE_PASSWORD",), secret=True),
    Variable("useOidc", ("ARM_USE_OIDC",), flag=True),
    Variable("oidcToken", ("ARM_OIDC_TOKEN",), secret=True),
    Variable("oidcTokenFilePath", ("ARM_OIDC_TOKEN_FILE_PATH",)),
    Variable(
        "oidcRequestToken",
        ("ARM_OIDC_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SYSTEM_ACCESSTOKEN"),
        secret=True,
    ),
    Variable("oidcRequestUrl", ("ARM_OIDC_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_URL", "SYSTEM_OIDCREQUESTURI")),
    Variable(
        "adoPipelineServiceConnectionId",
        ("ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID", "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID"),
    ),
    Variable("useAksWorkloadIdentity", ("ARM_USE_AKS_WORKLOAD_IDENTITY",), flag=True),
    Variable("useCli", ("ARM_USE_CLI",), flag=True),
    Variable("useMsi", ("ARM_USE_MSI",), flag=True),
    Variable("msiEndpoint", ("ARM_MSI_ENDPOINT",)),
    Variable("environment", ("ARM_ENVIRONMENT",)),
    Variable("metadataHost", ("ARM_METADATA_HOSTNAME",)),
    Variable("partnerId", ("ARM_PARTNER_ID",)),
    Variable("disableTerraformPartnerId", ("ARM_DISABLE_TERRAFORM_PARTNER_ID",), flag=True),
)
"""``partnerId`` and ``disableTerraformPartnerId`` only change a header that counts Microsoft's partners;
``environment`` names a cloud and gives way to ``metadataHost``: all three are taken and have no effect here, as in
the real plugin."""

SECRETS = frozenset(variable.name for variable in VARIABLES if variable.secret)
_BY_NAME = {variable.name: variable for variable in VARIABLES}
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"", "0", "f", "F", "FALSE", "false", "False"})


class Configuration:
    """The settings of one provider.

    Args:
        given: the stack's ``azuread:`` settings.
        environ: the process's environment.
    """

    def __init__(self, given: Mapping[str, object], environ: Mapping[str, str] = os.environ) -> None:
        self._given = {name: _text(value) for name, value in given.items() if value is not None}
        self._environ = environ

    @property
    def metadata_host(self) -> str:
        """``host[:port]``; empty when none was set."""
        return self._read("metadataHost")

    def credential(self) -> CredentialSetting:
        """The way of signing in that the settings amount to: certificate, secret, token, managed identity, Azure CLI.

        Raises:
            InvalidInput: nothing is complete enough, two values differ, or a file cannot be read.
        """
        tenant_id = self._read("tenantId")
        client_id = self._read_either("clientId", "clientIdFilePath")
        if self._read("clientCertificate"):
            raise InvalidInput(
                "The offline stand-in of the azuread plugin does not take clientCertificate (a certificate as text).",
                remedy="Write it to a .pfx file and name that in clientCertificatePath.",
            )
        certificate, secret = (
            self._read("clientCertificatePath"),
            self._read_either("clientSecret", "clientSecretFilePath"),
        )
        origin = self._environ.get(ORIGIN, "")
        if tenant_id and client_id and certificate:
            return CredentialSetting(
                "certificate",
                tenant_id,
                client_id,
                origin,
                certificate_path=Path(certificate),
                certificate_password=self._read("clientCertificatePassword") or None,
            )
        if tenant_id and client_id and secret:
            return CredentialSetting("client-secret", tenant_id, client_id, origin, client_secret=secret)
        if tenant_id and client_id and (self._flag("useOidc") or self._flag("useAksWorkloadIdentity")):
            return self._federated(tenant_id, client_id)
        if self._flag("useMsi"):
            if self._read("msiEndpoint"):
                raise InvalidInput(
                    "The offline stand-in of the azuread plugin does not take msiEndpoint.", remedy="Leave it out."
                )
            return CredentialSetting("managed-identity", tenant_id or None, client_id or None)
        if self._flag("useCli", default=True):
            return CredentialSetting("azure-cli", tenant_id or None)
        raise InvalidInput(
            "The azuread provider has nothing to sign in with.",
            remedy="Set tenantId, clientId and clientSecret (ARM_TENANT_ID, ARM_CLIENT_ID, ARM_CLIENT_SECRET).",
        )

    def _federated(self, tenant_id: str, client_id: str) -> CredentialSetting:
        token, file = self._read("oidcToken"), self._read("oidcTokenFilePath")
        url, connection = self._read("oidcRequestUrl"), self._read("adoPipelineServiceConnectionId")
        if not file and self._flag("useAksWorkloadIdentity"):
            file = self._environ.get("AZURE_FEDERATED_TOKEN_FILE", "")
        if not (token or file or url):
            raise InvalidInput(
                "useOidc is set, but there is no token: neither oidcToken, oidcTokenFilePath nor oidcRequestUrl.",
                remedy="On GitHub Actions give the job `permissions: id-token: write`.",
            )
        source = "token-file" if token or file else "azure-devops" if connection else "github"
        return CredentialSetting(
            "workload-identity",
            tenant_id,
            client_id,
            token_source=source,  # type: ignore[arg-type]
            token_file=Path(file) if file else None,
            oidc_token=token or None,
            oidc_request_url=url or None,
            oidc_request_token=self._read("oidcRequestToken") or None,
            service_connection_id=connection or None,
        )

    def _read(self, name: str) -> str:
        if self._given.get(name):
            return self._given[name]
        return next((self._environ[key] for key in _BY_NAME[name].environment if self._environ.get(key)), "")

    def _read_either(self, name: str, file_name: str) -> str:
        value, file = self._read(name), self._read(file_name)
        if not file:
            return value
        try:
            content = Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise InvalidInput(f"{file_name} names {file}, which cannot be read.") from None
        if value and value != content:
            raise InvalidInput(f"{name} and the content of {file_name} differ.", remedy="Remove one of them.")
        return content

    def _flag(self, name: str, *, default: bool = False) -> bool:
        value = self._read(name)
        if name not in self._given and not value:
            return default
        if value in _TRUE or value in _FALSE:
            return value in _TRUE
        raise InvalidInput(f"{name} must be true or false, not {value!r}.")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
