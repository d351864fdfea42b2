"""What a job signs in with is where the fleet file says, fetched once, and gone when the tenant is left."""

from __future__ import annotations

import base64
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.keyvault.secrets._shared.http_challenge_cache import clear
from azure_key_vault import KeyVault, Version, in_public_cloud
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from vault_server import Server, started

from provision.errors import InvalidInput, NotPermitted, SignInFailed, Unreachable
from provision.fleet.credentials import Places, environment_for
from provision.fleet.tenant import CredentialReference, Tenant
from provision.microsoft.credentials import sign_in
from provision.sandbox import Sandbox
from provision.sandbox import Tenant as LocalTenant
from provision.settings import credential
from provision.settings.endpoints import Endpoints

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
CLIENT = "11111111-2222-3333-4444-555555555555"
ROW = Tenant("north-wind", "northwind.onmicrosoft.com", company_code="NW")


def by_secret(place: str, **changes: Any) -> Tenant:
    reference = CredentialReference("partner", "client-secret", client_id=CLIENT, secret=place)
    return replace(ROW, credential=replace(reference, **changes))


def by_certificate(place: str, password: str | None = None) -> Tenant:
    reference = CredentialReference(
        "partner", "certificate", client_id=CLIENT, certificate=place, certificate_password=password
    )
    return replace(ROW, credential=reference)


def secret_for(tenant: Tenant, environ: dict[str, str], places: Places | None = None) -> str:
    with environment_for(tenant, environ, places=places or Places()) as variables:
        return variables["ARM_CLIENT_SECRET"]


class Pair:
    """A key and a certificate over it, in every form in which somebody may keep them."""

    def __init__(self, days: int = 90) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "partner")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=days))
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + self.certificate.public_bytes(serialization.Encoding.PEM)

    def pfx(self, password: str = "") -> bytes:
        wrapping: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            wrapping = serialization.BestAvailableEncryption(password.encode())
        return pkcs12.serialize_key_and_certificates(b"partner", self.key, self.certificate, None, wrapping)

    @property
    def public(self) -> str:
        return base64.b64encode(self.certificate.public_bytes(serialization.Encoding.DER)).decode()


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_a_tenant_without_a_credential_is_signed_in_to_as_the_run_is() -> None:
    environ = {"ARM_CLIENT_ID": CLIENT, "ARM_CLIENT_SECRET": VALUE, "AZURE_TENANT_ID": "partner", "PATH": "/bin"}
    with environment_for(ROW, environ) as variables:
        assert variables == {
            "ARM_CLIENT_ID": CLIENT,
            "ARM_CLIENT_SECRET": VALUE,
            "ARM_TENANT_ID": "northwind.onmicrosoft.com",
            "PATH": "/bin",
        }


def test_nothing_of_the_runs_own_sign_in_reaches_a_tenant_with_another() -> None:
    environ = {
        "ARM_CLIENT_ID": "own",
        "AZURE_CLIENT_SECRET": "own",
        "ARM_CLIENT_CERTIFICATE_PATH": "/own.pfx",
        "ARM_OIDC_TOKEN": "own",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "own",
        "PARTNER": VALUE,
    }
    with environment_for(by_secret("env:PARTNER"), environ) as variables:
        assert variables == {
            "ARM_TENANT_ID": "northwind.onmicrosoft.com",
            "ARM_CLIENT_ID": CLIENT,
            "ARM_CLIENT_SECRET": VALUE,
            "PROVISION_CREDENTIAL": "client-secret",
            "PROVISION_CREDENTIAL_ORIGIN": "env:PARTNER",
            "PARTNER": VALUE,
        }
        assert credential.read(environ=variables).client_secret == VALUE


def test_a_credential_knows_the_place_that_it_came_from(tmp_path: Path) -> None:
    secret, certificate = private(tmp_path / "north-wind", VALUE.encode()), private(tmp_path / "kept", Pair().pem)
    own = {"PROVISION_CREDENTIAL_ORIGIN": "env:ANOTHER", "SECRET_NORTH_WIND": VALUE}
    for row, origin in (
        (by_secret("env:SECRET_{key}"), "env:SECRET_NORTH_WIND"),
        (by_secret(f"file:{tmp_path}/{{key}}"), f"file:{secret}"),
        (by_certificate(f"file:{certificate}"), f"file:{certificate}"),
    ):
        with environment_for(row, own, places=Places()) as variables:
            assert credential.read(environ=variables).origin == origin
    with environment_for(replace(ROW, credential=CredentialReference("gdap", "azure-cli")), own) as variables:
        assert "env:" not in credential.read(environ=variables).origin


def test_a_variable_is_named_by_what_is_filled_in() -> None:
    environ = {"SECRET_NORTH_WIND_NW": VALUE}
    assert secret_for(by_secret("env:SECRET_{key}_{companyCode}"), environ) == VALUE


def test_a_file_is_read_where_its_owner_alone_can(tmp_path: Path) -> None:
    file = private(tmp_path / "north-wind", f"{VALUE}\n".encode())
    tenant = by_secret(f"file:{tmp_path}/{{key}}")
    assert secret_for(tenant, {}) == VALUE
    file.chmod(0o640)
    with pytest.raises(InvalidInput, match=r"can be read or written by others \(mode 0640\)") as refused:
        secret_for(tenant, {})
    assert refused.value.remedy == f"chmod 600 {file}"


def test_a_local_tenant_is_signed_in_to_by_a_file(sandbox: Sandbox, endpoints: Endpoints, tmp_path: Path) -> None:
    local = sandbox.new_tenant()
    private(tmp_path / "secret", local.admin_client_secret.encode())
    row = replace(by_secret(f"file:{tmp_path}/secret", client_id=local.admin_client_id), tenant=local.domain)
    with environment_for(row, {}) as variables:
        _, caller = sign_in(credential.read(environ=variables), endpoints)
    assert caller.tenant_id == local.tenant_id


WRONG = {
    "a value": (VALUE, "is not a place but a value; a fleet file holds no secrets"),
    "a value with a colon": ("abc:def", "is not a place but a value"),
    "another kind": ("https://vault/secret", "is not a place but a value"),
    "no path": ("file:secret", "is not written as a place of the kind file"),
    "plain http": ("keyvault:http://x/secrets/y", "is not written as a place of the kind keyvault"),
    "no field": ("vault:secret/mail", "is not written as a place of the kind vault"),
    "unknown placeholder": ("env:S_{customer}", r"has an unknown placeholder \{customer\}"),
    "open brace": ("file:/srv/{key", "has a brace that is not closed"),
    "not set": ("env:NOT_SET", "should be in the environment variable NOT_SET, which is not set"),
    "no file": ("file:/nowhere/secret", "/nowhere/secret cannot be read: No such file or directory"),
    "a folder": ("file:/usr", "/usr cannot be read: Is a directory"),
    "no Key Vault": ("keyvault:https://elsewhere.example/secrets/mail", "is not the address of a Key Vault's secret"),
}


@pytest.mark.parametrize(("place", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_place_is_told_in_one_sentence_without_the_value(place: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence) as refused:
        secret_for(by_secret(place), {})
    assert VALUE not in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize("code", ["../../etc", "a/b", "..", ""])
def test_a_name_that_is_filled_in_leads_nowhere_else(code: str) -> None:
    with pytest.raises(InvalidInput, match=r"needs \{companyCode\}, and the tenant north-wind has one that cannot"):
        secret_for(replace(by_secret("file:/srv/{companyCode}"), company_code=code), {})


def test_a_placeholder_that_the_row_lacks_is_said() -> None:
    with pytest.raises(InvalidInput, match=r"for north-wind needs \{companyCode\}, and the tenant north-wind has none"):
        secret_for(replace(by_secret("file:/srv/{companyCode}"), company_code=None), {})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"method": "password"}, "has the method 'password', which there is not"),
        ({"method": "browser"}, "signs in by browser, which asks a person for every tenant"),
        ({"client_id": None}, "names no clientId"),
        ({"secret": None}, "signs in by client-secret and names no secret"),
        ({"method": "certificate"}, "signs in by certificate and names no certificate"),
    ],
)
def test_a_credential_that_cannot_work_is_refused_before_anything_is_read(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        secret_for(by_secret("env:PARTNER", **changes), {"PARTNER": VALUE})


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff\xfe"])
def test_what_is_no_secret_is_not_sent_to_microsoft(tmp_path: Path, content: bytes) -> None:
    private(tmp_path / "secret", content)
    with pytest.raises(InvalidInput, match=r"is empty|is not one line of text"):
        secret_for(by_secret(f"file:{tmp_path}/secret"), {})


def test_the_pipelines_own_token_serves_where_the_credential_says_so() -> None:
    row = replace(ROW, credential=CredentialReference("ci", "workload-identity:github", client_id=CLIENT))
    environ = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.example/",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
        "ARM_CLIENT_ID": "own",
        "ARM_CLIENT_SECRET": "own",
    }
    with environment_for(row, environ) as variables:
        found = credential.read(environ=variables)
    assert (found.method, found.token_source, found.client_id) == ("workload-identity", "github", CLIENT)
    assert "ARM_CLIENT_SECRET" not in variables


@pytest.mark.parametrize("method", ["azure-cli", "managed-identity"])
def test_a_technician_and_a_machine_need_no_secret(method: str) -> None:
    row = replace(ROW, credential=CredentialReference("gdap", method))
    with environment_for(row, {"ARM_CLIENT_SECRET": "own", "ARM_CLIENT_ID": "own"}) as variables:
        found = credential.read(environ=variables)
    assert (found.method, found.tenant_id, found.client_secret) == (method, ROW.tenant, None)


FORMS = {
    "PKCS#12": lambda pair: pair.pfx(),
    "PKCS#12 in base64, as Key Vault has it": lambda pair: base64.b64encode(pair.pfx()),
    "PEM": lambda pair: pair.pem,
    "PEM, certificate first": lambda pair: pair.pem[pair.pem.index(b"-----BEGIN CERT") :] + pair.pem,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_certificate_in_any_form_signs_in_and_is_gone_afterwards(
    form: Any, api: httpx.Client, tenant: LocalTenant, endpoints: Endpoints, tmp_path: Path
) -> None:
    pair = Pair()
    found = api.get("/v1.0/applications", params={"$filter": f"appId eq '{tenant.admin_client_id}'"}).json()["value"][0]
    key = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": pair.public}
    api.patch(f"/v1.0/applications/{found['id']}", json={"keyCredentials": [key]}).raise_for_status()
    place = private(tmp_path / "kept", form(pair))
    row = replace(by_certificate(f"file:{place}"), tenant=tenant.tenant_id)
    assert row.credential is not None
    row = replace(row, credential=replace(row.credential, client_id=tenant.admin_client_id))
    with environment_for(row, {}) as variables:
        lies = Path(variables["ARM_CLIENT_CERTIFICATE_PATH"])
        assert stat.S_IMODE(lies.stat().st_mode) == 0o600
        _, caller = sign_in(credential.read(environ=variables), endpoints)
        if lies != place:
            assert stat.S_IMODE(lies.parent.stat().st_mode) == 0o700
            with pytest.raises(ValueError, match="Invalid password"):
                pkcs12.load_pkcs12(lies.read_bytes(), None)
    assert caller.app_id == tenant.admin_client_id
    assert lies == place or not lies.parent.exists()


def test_the_certificate_is_gone_also_when_the_job_fails(tmp_path: Path) -> None:
    place = private(tmp_path / "kept", Pair().pem)
    seen: list[Path] = []
    with (
        pytest.raises(RuntimeError, match="the job"),
        environment_for(by_certificate(f"file:{place}"), {}) as variables,
    ):
        seen.append(Path(variables["ARM_CLIENT_CERTIFICATE_PATH"]))
        raise RuntimeError("the job")
    assert not seen[0].exists()


def test_a_certificates_password_has_a_place_of_its_own(tmp_path: Path) -> None:
    place = private(tmp_path / "kept.pfx", Pair().pfx("pass word"))
    tenant = by_certificate(f"file:{place}", "env:PFX_PASSWORD")
    with environment_for(tenant, {"PFX_PASSWORD": "pass word"}) as variables:
        assert variables["ARM_CLIENT_CERTIFICATE_PASSWORD"] == "pass word"
    with (
        pytest.raises(
            InvalidInput, match="cannot be opened: it is neither PKCS#12 nor PEM, or its password is another"
        ),
        environment_for(tenant, {"PFX_PASSWORD": "other"}),
    ):
        pass


def test_an_expired_certificate_is_said_with_its_day(tmp_path: Path) -> None:
    pair = Pair(days=-3)
    place = private(tmp_path / "kept.pfx", pair.pfx())
    day = f"{pair.certificate.not_valid_after_utc:%Y-%m-%d}"
    with (
        pytest.raises(SignInFailed, match=f"The certificate of the credential partner expired on {day}"),
        environment_for(by_certificate(f"file:{place}"), {}),
    ):
        pass


@pytest.mark.parametrize(("cut", "missing"), [("CERTIFICATE", "cannot be opened"), ("PRIVATE", "has no private key")])
def test_half_a_certificate_is_refused(tmp_path: Path, cut: str, missing: str) -> None:
    pair = Pair()
    private_pem, _, public_pem = pair.pem.partition(b"-----BEGIN CERTIFICATE")
    content = private_pem if cut == "CERTIFICATE" else pkcs12_without_key(pair)
    assert public_pem
    place = private(tmp_path / "half", content)
    with pytest.raises(InvalidInput, match=missing), environment_for(by_certificate(f"file:{place}"), {}):
        pass


def pkcs12_without_key(pair: Pair) -> bytes:
    return pkcs12.serialize_key_and_certificates(None, None, pair.certificate, None, serialization.NoEncryption())


@pytest.fixture
def keyvault(
    sandbox: Sandbox, tenant: LocalTenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[KeyVault, dict[str, str]]]:
    """The partner's vault and the run's environment, which is signed in to the partner's tenant."""
    clear()
    with in_public_cloud(sandbox, tenant, tmp_path) as (server, environ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)  # the proxy's variables are read from the process's own
        yield server, environ


def test_a_shared_secret_is_read_from_the_vault_once_for_all_tenants(
    keyvault: tuple[KeyVault, dict[str, str]],
) -> None:
    server, environ = keyvault
    server.secrets["partner"] = [Version(VALUE, "partner", None, {}, None)]
    row = by_secret(f"keyvault:https://{server.host}/secrets/partner")
    places = Places()
    rows = [replace(row, key=f"t{number}", tenant=f"t{number}.example") for number in range(40)]
    values: list[str] = []
    threads = [
        threading.Thread(target=lambda one=one: values.append(secret_for(one, environ, places)))  # type: ignore[misc]
        for one in rows
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == [VALUE] * 40
    assert [line for line in server.requests if line.endswith(" 200")] == ["GET /secrets/partner/ 200"]


def test_each_tenants_own_secret_is_read_by_one_sign_in(
    keyvault: tuple[KeyVault, dict[str, str]], sandbox: Sandbox
) -> None:
    server, environ = keyvault
    places = Places()
    since = max((line["n"] for line in sandbox.log()), default=0)
    for number in range(5):
        server.secrets[f"t{number}-mail"] = [Version(f"{VALUE}{number}", "x", None, {}, None)]
        row = replace(by_secret(f"keyvault:https://{server.host}/secrets/{{key}}-mail"), key=f"t{number}")
        assert secret_for(row, environ, places) == f"{VALUE}{number}"
    tokens = [line for line in sandbox.log(since) if line["path"].endswith("/oauth2/v2.0/token")]
    assert len(tokens) == 1


def test_another_environment_is_not_given_what_was_read_before(keyvault: tuple[KeyVault, dict[str, str]]) -> None:
    server, environ = keyvault
    server.secrets["partner"] = [Version(VALUE, "partner", None, {}, None)]
    row = by_secret(f"keyvault:https://{server.host}/secrets/partner")
    places = Places()
    assert secret_for(row, environ, places) == VALUE
    with pytest.raises(SignInFailed):
        secret_for(row, environ | {"ARM_CLIENT_SECRET": "wrong"}, places)


def test_a_vault_that_refuses_is_told_with_the_least_right_that_reads(
    keyvault: tuple[KeyVault, dict[str, str]],
) -> None:
    server, environ = keyvault
    row = by_secret(f"keyvault:https://{server.host}/secrets/partner")
    places = Places()
    with pytest.raises(InvalidInput, match=r"is not there: keyvault:https://tms-kv\.vault\.azure\.net/secrets/partner"):
        secret_for(row, environ, places)
    server.secrets["partner"] = [Version(VALUE, "partner", None, {}, None, enabled=False)]
    with pytest.raises(InvalidInput, match="is empty, disabled or not a text"):
        secret_for(row, environ, places)
    server.actions.clear()
    with pytest.raises(NotPermitted, match="ForbiddenByRbac") as refused:
        secret_for(row, environ, places)
    assert "Key Vault Secrets User" in refused.value.remedy
    server.actions.add("get")
    server.secrets["partner"][0].enabled = True
    assert secret_for(row, environ, places) == VALUE, "a refusal is not kept"


def test_a_certificate_of_the_vault_is_opened_as_the_vault_gives_it(
    keyvault: tuple[KeyVault, dict[str, str]],
) -> None:
    server, environ = keyvault
    value = base64.b64encode(Pair().pfx()).decode()
    server.secrets["partner"] = [Version(value, "partner", "application/x-pkcs12", {}, None, managed=True)]
    row = by_certificate(f"keyvault:https://{server.host}/secrets/partner")
    with environment_for(row, environ, places=Places()) as variables:
        pkcs12.load_pkcs12(
            Path(variables["ARM_CLIENT_CERTIFICATE_PATH"]).read_bytes(),
            variables["ARM_CLIENT_CERTIFICATE_PASSWORD"].encode(),
        )


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("vault")) as server:
        server.admin.secrets.kv.v2.create_or_update_secret("fleet/north-wind", {"mail": VALUE}, mount_point="secret")
        server.admin.secrets.kv.v2.create_or_update_secret("fleet/south", {"mail": "south"}, mount_point="secret")
        server.admin.secrets.kv.v1.create_or_update_secret("partner", {"app": VALUE}, mount_point="old/kv")
        yield server


def test_hashicorp_vault_holds_each_tenants_secret(vault: Server) -> None:
    places = Places()
    row = by_secret("vault:secret/fleet/{key}#mail")
    assert secret_for(row, vault.environ, places) == VALUE
    assert secret_for(replace(row, key="south"), vault.environ, places) == "south"
    assert secret_for(by_secret("vault:old/kv/partner#app"), vault.environ, places) == VALUE


def test_a_token_of_vault_that_may_read_one_path_reads_no_other(vault: Server) -> None:
    token = vault.token('path "secret/data/fleet/south" { capabilities = ["read"] }')
    environ = vault.environ | {"VAULT_TOKEN": token}
    places = Places()
    row = by_secret("vault:secret/fleet/{key}#mail")
    assert secret_for(replace(row, key="south"), environ, places) == "south"
    with pytest.raises(NotPermitted, match="policies do not allow it") as refused:
        secret_for(row, environ, places)
    assert 'capabilities = ["read"]' in refused.value.remedy


def test_what_vault_does_not_have_is_said(vault: Server) -> None:
    for place in ("vault:secret/fleet/nobody#mail", "vault:secret/fleet/south#other"):
        with pytest.raises(InvalidInput, match=f"is not there: {place} does not exist"):
            secret_for(by_secret(place), vault.environ)
    with pytest.raises(SignInFailed, match="is not valid or has expired"):
        secret_for(by_secret("vault:secret/fleet/south#mail"), vault.environ | {"VAULT_TOKEN": "hvs.wrong"})
    with pytest.raises(Unreachable):
        secret_for(by_secret("vault:secret/fleet/south#mail"), vault.environ | {"VAULT_ADDR": "https://127.0.0.1:1"})
