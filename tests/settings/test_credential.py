"""One setting, read the same way everywhere; secrets never show."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.settings import credential
from provision.settings.credential import NAMES
from provision.settings.endpoints import of_cloud
from provision.settings.plugin import plugin_configuration

APP = {"ARM_TENANT_ID": "contoso.com", "ARM_CLIENT_ID": "11111111-1111-1111-1111-111111111111"}
SECRET = {**APP, "ARM_CLIENT_SECRET": "s3cr3t-value"}
GITHUB = {
    "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example/?x=1",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-value",
}
DEVOPS = {
    "SYSTEM_OIDCREQUESTURI": "https://dev.example/oidc",
    "SYSTEM_ACCESSTOKEN": "job-value",
    "ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID": "conn",
}


@pytest.mark.parametrize(
    ("environ", "method", "source"),
    [
        ({}, "azure-cli", None),
        (APP, "azure-cli", None),
        (SECRET, "client-secret", None),
        ({**APP, "AZURE_CLIENT_SECRET": "x"}, "client-secret", None),
        ({**SECRET, **GITHUB}, "client-secret", None),
        ({**APP, **GITHUB}, "workload-identity", "github"),
        ({**APP, **DEVOPS}, "workload-identity", "azure-devops"),
        ({**APP, "GITLAB_CI": "true", "GITLAB_OIDC_TOKEN": "t"}, "workload-identity", "gitlab"),
        ({**APP, "AZURE_FEDERATED_TOKEN_FILE": "/run/token"}, "workload-identity", "token-file"),
        ({**APP, "ARM_USE_MSI": "true"}, "managed-identity", None),
        ({**SECRET, "PROVISION_CREDENTIAL": "azure-cli"}, "azure-cli", None),
    ],
)
def test_the_documented_order(environ: dict[str, str], method: str, source: str | None) -> None:
    got = credential.read(environ=environ)
    assert (got.method, got.token_source) == (method, source)
    assert got.origin


def test_the_argument_wins_over_the_environment() -> None:
    assert credential.read("device-code", environ=SECRET).method == "device-code"


@pytest.mark.parametrize("name", NAMES)
def test_no_method_shows_a_secret(name: str, tmp_path: Path) -> None:
    certificate = tmp_path / "app.pfx"
    certificate.write_bytes(b"\x30\x82")
    environ = {
        **SECRET,
        **GITHUB,
        **DEVOPS,
        "ARM_CLIENT_CERTIFICATE_PATH": str(certificate),
        "ARM_CLIENT_CERTIFICATE_PASSWORD": "pfx-value",
        "ARM_OIDC_TOKEN": "oidc-value",
    }
    shown = repr(credential.read(name, environ=environ))
    assert not [value for value in ("s3cr3t", "pfx-value", "oidc-value", "bearer-value", "job-value") if value in shown]


@pytest.mark.parametrize(
    ("name", "environ", "says"),
    [
        ("client-secret", APP, "ARM_CLIENT_SECRET"),
        ("client-secret", {"ARM_CLIENT_SECRET": "x"}, "ARM_CLIENT_ID"),
        ("certificate", APP, "ARM_CLIENT_CERTIFICATE_PATH"),
        ("certificate", {**APP, "ARM_CLIENT_CERTIFICATE_PATH": "/none.pfx"}, "cannot be read"),
        ("workload-identity:github", APP, "id-token: write"),
        ("workload-identity:gitlab", APP, "id_tokens"),
        ("workload-identity:azure-devops", APP, "System.AccessToken"),
        ("workload-identity", APP, "ARM_OIDC_TOKEN"),
        ("password", {}, "client-secret"),
        ("azure-cli", {"ARM_TENANT_ID": "common"}, "shared"),
        ("azure-cli", {"ARM_TENANT_ID": "a b"}, "GUID"),
    ],
)
def test_what_is_missing_is_named(name: str, environ: dict[str, str], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        credential.read(name, environ=environ)
    assert says in str(refused.value)


def test_a_pem_certificate_is_refused_because_the_plugin_cannot_read_it(tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    file.write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(InvalidInput, match="openssl pkcs12"):
        credential.read("certificate", environ={**APP, "ARM_CLIENT_CERTIFICATE_PATH": str(file)})


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("from-file\n")
    got = credential.read(environ={**APP, "ARM_CLIENT_SECRET_FILE_PATH": str(file)})
    assert got.client_secret == "from-file"


def test_the_plugin_signs_in_by_the_same_method_and_no_other() -> None:
    """The plugin prefers a certificate or secret it finds; leftovers must not win over the chosen method."""
    told = plugin_configuration(credential.read("azure-cli", environ=SECRET), of_cloud("public"))
    assert told["ARM_USE_CLI"] == "true"
    assert told["ARM_CLIENT_SECRET"] == ""
    assert told["ARM_CLIENT_ID"] == ""
    told = plugin_configuration(credential.read(environ=SECRET))
    assert (told["ARM_USE_CLI"], told["ARM_CLIENT_SECRET"], told["ARM_TENANT_ID"]) == (
        "false",
        "s3cr3t-value",
        "contoso.com",
    )
    told = plugin_configuration(credential.read(environ={**APP, **DEVOPS}))
    assert (told["ARM_USE_OIDC"], told["ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID"]) == ("true", "conn")
    assert plugin_configuration(credential.read("device-code", environ={}))["ARM_USE_CLI"] == "true"


@pytest.mark.parametrize(
    ("environ", "origin"),
    [
        (SECRET, "ARM_CLIENT_SECRET"),
        ({**APP, "AZURE_CLIENT_SECRET": "x"}, "AZURE_CLIENT_SECRET"),
        ({**SECRET, "PROVISION_CREDENTIAL_ORIGIN": "vault:secret/contoso#mail"}, "vault:secret/contoso#mail"),
    ],
)
def test_where_a_secret_is_kept_goes_with_it_to_the_plugin(environ: dict[str, str], origin: str) -> None:
    found = credential.read(environ=environ)
    assert found.origin == origin
    assert credential.read(environ=environ | plugin_configuration(found)).origin == origin


def test_a_method_without_a_secret_keeps_none_anywhere() -> None:
    found = credential.read(environ={"PROVISION_CREDENTIAL_ORIGIN": "env:ANOTHER"})
    assert (found.method, found.kept_in) == ("azure-cli", "")
    assert plugin_configuration(found)["PROVISION_CREDENTIAL_ORIGIN"] == ""


def test_a_file_is_told_as_where_the_secret_is_kept(tmp_path: Path) -> None:
    secret, certificate = tmp_path / "secret", tmp_path / "app.pfx"
    secret.write_text("from-file\n")
    certificate.write_bytes(b"\x30\x82")
    for name, file in (("ARM_CLIENT_SECRET_FILE_PATH", secret), ("ARM_CLIENT_CERTIFICATE_PATH", certificate)):
        assert credential.read(environ={**APP, name: str(file)}).origin == str(file)


def test_what_signs_in_to_the_state_signs_in_to_nothing_else(tmp_path: Path) -> None:
    """A tenant's plugin and program run beneath an engine that reaches the state as the partner."""
    partners = dict.fromkeys(credential.AZURES_OWN, "the-partners")
    passed_over = partners | {credential.OF_THE_STATE: " ".join(partners)}
    found = credential.read(environ=passed_over)
    assert (found.method, found.tenant_id, found.client_id, found.client_secret) == ("azure-cli", None, None, None)
    certificate = tmp_path / "tenants.pfx"
    certificate.write_bytes(b"\x30\x82")
    tenants = {**APP, "ARM_CLIENT_CERTIFICATE_PATH": str(certificate), "ARM_CLIENT_CERTIFICATE_PASSWORD": ""}
    found = credential.read("certificate", environ=passed_over | tenants)
    assert (found.tenant_id, found.certificate_password) == ("contoso.com", None)
    assert credential.read("certificate", environ=partners | tenants).certificate_password == "the-partners"
