"""What the azuread plugin must be told, so that it signs in exactly as the SDKs do.

Owns: the plugin's variables. Their names and order of precedence are those of the provider's own source
(hashicorp/terraform-provider-azuread ``internal/provider/provider.go``, go-azure-sdk ``sdk/auth``): a certificate wins
over a secret over a token over a managed identity over the Azure CLI, so whatever is not wanted must be emptied.
"""

from __future__ import annotations

from collections.abc import Callable

from provision.settings.credential import ORIGIN, CredentialSetting
from provision.settings.endpoints import Endpoints

_EMPTIED = (
    "ARM_CLIENT_ID",
    "ARM_CLIENT_ID_FILE_PATH",
    "ARM_CLIENT_SECRET",
    "ARM_CLIENT_SECRET_FILE_PATH",
    "ARM_CLIENT_CERTIFICATE",
    "ARM_CLIENT_CERTIFICATE_PATH",
    "ARM_CLIENT_CERTIFICATE_PASSWORD",
    "ARM_OIDC_TOKEN",
    "ARM_OIDC_TOKEN_FILE_PATH",
    "ARM_OIDC_REQUEST_URL",
    "ARM_OIDC_REQUEST_TOKEN",
    "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID",
    "ARM_OIDC_AZURE_SERVICE_CONNECTION_ID",
)
"""Empty means unset to the plugin (``EnvDefaultFunc``); a leftover of another method would win over the chosen one."""


def plugin_configuration(setting: CredentialSetting, endpoints: Endpoints | None = None) -> dict[str, str]:
    """The environment variables for the engine, with which the azuread plugin signs in as ``setting`` says.

    It has secrets in it: hand it to the child process's environment, never to argv, a log or a file. The plugin knows
    neither device code nor browser: for those it is told to ask ``az``, and ``microsoft.az_bridge`` answers.

    Args:
        setting: how to sign in.
        endpoints: the cloud; without it the plugin's own settings count.
    """
    variables = dict.fromkeys(_EMPTIED, "")
    variables |= {"ARM_USE_CLI": "false", "ARM_USE_MSI": "false", "ARM_USE_OIDC": "false"}
    variables["ARM_USE_AKS_WORKLOAD_IDENTITY"] = "false"
    variables[ORIGIN] = setting.kept_in  # the plugin and the program find the secret in a variable of ours
    if setting.tenant_id:
        variables["ARM_TENANT_ID"] = setting.tenant_id
    if setting.client_id:
        variables["ARM_CLIENT_ID"] = setting.client_id
    if endpoints is not None:
        variables["ARM_METADATA_HOSTNAME"] = endpoints.metadata_host or ""
        variables["ARM_ENVIRONMENT"] = endpoints.environment
        if endpoints.ca_file:
            variables["SSL_CERT_FILE"] = endpoints.ca_file
            variables["REQUESTS_CA_BUNDLE"] = endpoints.ca_file
    return variables | _BY_METHOD[setting.method](setting)


def _workload_identity(setting: CredentialSetting) -> dict[str, str]:
    variables = {
        "ARM_USE_OIDC": "true",
        "ARM_OIDC_TOKEN": setting.oidc_token,
        "ARM_OIDC_TOKEN_FILE_PATH": str(setting.token_file) if setting.token_file else None,
        "ARM_OIDC_REQUEST_URL": setting.oidc_request_url,
        "ARM_OIDC_REQUEST_TOKEN": setting.oidc_request_token,
        "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID": setting.service_connection_id,
    }
    return {name: value for name, value in variables.items() if value}


_BY_METHOD: dict[str, Callable[[CredentialSetting], dict[str, str]]] = {
    "azure-cli": lambda _: {"ARM_USE_CLI": "true"},
    "device-code": lambda _: {"ARM_USE_CLI": "true"},
    "browser": lambda _: {"ARM_USE_CLI": "true"},
    "client-secret": lambda setting: {"ARM_CLIENT_SECRET": setting.client_secret or ""},
    "certificate": lambda setting: {
        "ARM_CLIENT_CERTIFICATE_PATH": str(setting.certificate_path),
        "ARM_CLIENT_CERTIFICATE_PASSWORD": setting.certificate_password or "",
    },
    "workload-identity": _workload_identity,
    "managed-identity": lambda _: {"ARM_USE_MSI": "true"},
}
