"""A Key Vault holds each client secret as a version; Microsoft's own client, real tokens, TLS under its name."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets._shared.http_challenge_cache import clear
from azure_key_vault import KeyVault, Version, in_public_cloud
from desk import Desk, certificates_arrive

from provision.errors import (
    InvalidInput,
    NotPermitted,
    PolicyRefuses,
    ProvisionError,
    SignInFailed,
    Unreachable,
    WouldOverwrite,
)
from provision.sandbox import Sandbox, Tenant
from provision.secrets.sinks import Delivery, Sink, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
NAME = "mail-client-secret"
ADDRESS = f"keyvault:https://tms-kv.vault.azure.net/secrets/{NAME}"
EXPIRES = datetime(2028, 1, 1, tzinfo=UTC)


def delivery(value: str = VALUE, key_id: str = "k-1") -> Delivery:
    return Delivery("tenant-1", "client-1", key_id, EXPIRES, value)


@pytest.fixture
def vault(sandbox: Sandbox, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVault]:
    """A vault of the tenant, reached as in the public cloud: by its name, through a proxy."""
    clear()
    with in_public_cloud(sandbox, tenant, tmp_path) as (server, environ):
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def sink(vault: KeyVault) -> Sink:
    return open_sink(ADDRESS)


def test_a_secret_is_stored_as_a_version_that_says_what_it_is(vault: KeyVault, sink: Sink) -> None:
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    version = vault.latest(NAME)
    assert (version.value, version.content_type) == (VALUE, "text/plain")
    assert version.expires == int(EXPIRES.timestamp())
    assert version.tags == {"keyId": "k-1", "clientId": "client-1", "tenantId": "tenant-1"}
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id, stored.changed) == (VALUE, "k-1", version.id)
    assert sink.address == ADDRESS


@pytest.mark.parametrize("kind", ["certificate"])
def test_a_certificate_is_a_secret_in_pem(desk: Desk, vault: KeyVault, sandbox: Sandbox, tenant: Tenant) -> None:
    """The product reads it with Microsoft's client for secrets; a Key Vault certificate it is not."""
    own = ClientSecretCredential(
        tenant.tenant_id,
        tenant.admin_client_id,
        tenant.admin_client_secret,
        authority=sandbox.base_url,
        disable_instance_discovery=True,
    )
    client = SecretClient(f"https://{vault.host}", own)
    certificates_arrive(desk, open_sink(ADDRESS, kind="certificate"), lambda: client.get_secret(NAME).value or "")
    version = vault.latest(NAME)
    assert version.content_type == "application/x-pem-file"
    (row,) = desk.rows()
    assert version.tags["keyId"] == row["keyId"]
    assert version.expires == int(datetime.fromisoformat(row["endDateTime"]).timestamp())


def test_the_next_secret_is_another_version(vault: KeyVault, sink: Sink) -> None:
    sink.write(delivery())
    before = sink.stored() or pytest.fail()
    sink.write(delivery("b" * 40, "k-2"))
    after = sink.stored() or pytest.fail()
    assert (after.value, after.key_id) == ("b" * 40, "k-2")
    assert after.changed != before.changed
    assert [version.value for version in vault.secrets[NAME]] == [VALUE, "b" * 40]


def test_the_token_is_asked_once_and_the_value_never_goes_without_one(vault: KeyVault, sink: Sink) -> None:
    sink.write(delivery())
    assert vault.requests == [f"PUT /secrets/{NAME} 401", f"PUT /secrets/{NAME} 200"]
    sink.stored()
    assert vault.requests[2:] == [f"GET /secrets/{NAME}/ 200"]


def test_a_removed_secret_is_taken_out_of_the_bin_when_it_is_written_again(vault: KeyVault, sink: Sink) -> None:
    sink.write(delivery())
    sink.remove()
    assert NAME in vault.deleted
    assert sink.stored() is None
    sink.remove()
    sink.write(delivery("c" * 40, "k-3"))
    assert (sink.stored() or pytest.fail()).key_id == "k-3"


def test_a_secret_that_is_not_ours_is_not_removed(vault: KeyVault, sink: Sink) -> None:
    vault.secrets[NAME] = [Version("somebody's", NAME, None, {}, None)]
    sink.remove()
    assert vault.latest(NAME).value == "somebody's"
    assert (sink.stored() or pytest.fail()).key_id is None


def test_a_disabled_secret_shows_nothing_and_can_be_written(vault: KeyVault, sink: Sink) -> None:
    vault.secrets[NAME] = [Version("old", NAME, None, {}, None, enabled=False)]
    stored = sink.stored() or pytest.fail()
    assert stored.value is None
    sink.check()
    sink.remove()
    sink.write(delivery())
    assert (sink.stored() or pytest.fail()).value == VALUE


def test_the_secret_of_a_certificate_is_refused(vault: KeyVault, sink: Sink) -> None:
    vault.secrets[NAME] = [Version("pfx", NAME, "application/x-pkcs12", {"keyId": "x"}, None, managed=True)]
    with pytest.raises(WouldOverwrite, match="belongs to a certificate"):
        sink.check()
    with pytest.raises(WouldOverwrite, match="belongs to a certificate"):
        sink.remove()


def test_a_role_that_is_missing_is_named_with_its_scope(vault: KeyVault, sink: Sink) -> None:
    vault.actions = set()
    with pytest.raises(NotPermitted, match=r"refuses to read the secret mail-client-secret \(ForbiddenByRbac\)") as no:
        sink.check()
    assert '"Key Vault Secrets Officer"' in no.value.remedy
    assert "/secrets/SECRET" in no.value.remedy
    vault.actions = {"get"}
    sink.check()
    with pytest.raises(NotPermitted, match="refuses to write"):
        sink.write(delivery())


def test_get_and_set_are_enough_to_store_and_read_back(vault: KeyVault, sink: Sink) -> None:
    vault.actions = {"get", "set"}
    sink.check()
    sink.write(delivery())
    assert (sink.stored() or pytest.fail()).value == VALUE
    with pytest.raises(NotPermitted, match="refuses to delete"):
        sink.remove()


FORBIDDEN = "Forbidden"


@pytest.mark.parametrize(
    ("refusal", "kind", "says"),
    [
        ((403, FORBIDDEN, "no set permission on key vault", "ForbiddenByPolicy"), NotPermitted, "ForbiddenByPolicy"),
        ((403, FORBIDDEN, "Client address is not authorized", "ForbiddenByFirewall"), Unreachable, "firewall"),
        ((403, FORBIDDEN, "Public network access is disabled", "ForbiddenByConnection"), Unreachable, "firewall"),
        ((403, FORBIDDEN, "Operation was disallowed by policy.", ""), PolicyRefuses, "Azure Policy forbids it"),
        ((409, "Conflict", "Secret is being deleted.", "ObjectIsBeingDeleted"), ProvisionError, "under way"),
        ((400, "BadParameter", f"quoted {VALUE}", ""), InvalidInput, "BadParameter"),
    ],
    ids=lambda case: case[3] or case[1] if isinstance(case, tuple) else None,
)
def test_a_refusal_is_one_sentence(
    vault: KeyVault, sink: Sink, refusal: tuple[int, str, str, str], kind: type[ProvisionError], says: str
) -> None:
    sink.stored()
    vault.weather = [refusal]
    with pytest.raises(kind, match=says) as caught:
        sink.write(delivery())
    assert type(caught.value) is kind
    assert VALUE not in str(caught.value)
    assert NAME not in vault.secrets


def test_a_short_overload_is_waited_out_and_a_long_one_is_told(vault: KeyVault, sink: Sink) -> None:
    sink.stored()
    vault.weather = [(503, "ServiceUnavailable", "busy", "")]
    sink.write(delivery())
    vault.weather = [(503, "ServiceUnavailable", "busy", "")] * 4
    with pytest.raises(Unreachable, match="HTTP 503, after retries"):
        sink.write(delivery())


def test_a_vault_of_another_tenant_is_named_as_such(vault: KeyVault, sandbox: Sandbox, tmp_path: Path) -> None:
    other = sandbox.new_tenant()
    environ = {
        **os.environ,
        "ARM_TENANT_ID": other.tenant_id,
        "ARM_CLIENT_ID": other.admin_client_id,
        "ARM_CLIENT_SECRET": other.admin_client_secret,
    }
    with pytest.raises(SignInFailed, match="belongs to another tenant"):
        open_sink(ADDRESS, environ).check()


def test_a_wrong_client_secret_is_a_failed_sign_in(vault: KeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_CLIENT_SECRET", "wrong")
    with pytest.raises(SignInFailed, match="AADSTS7000215"):
        open_sink(ADDRESS).check()


def test_a_vault_that_asks_for_another_resource_gets_no_token(vault: KeyVault, sink: Sink) -> None:
    """A host that posed as a vault could otherwise collect tokens for Microsoft Graph."""
    vault.challenge_resource = "https://graph.microsoft.com"
    with pytest.raises(Unreachable, match="does not answer as a Key Vault"):
        sink.write(delivery())
    assert vault.requests == [f"PUT /secrets/{NAME} 401"]


def test_a_certificate_that_is_not_trusted_ends_it(
    vault: KeyVault, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.ca_file))
    with pytest.raises(Unreachable, match=r"TLS certificate of https://tms-kv\.vault\.azure\.net is not trusted"):
        open_sink(ADDRESS).check()
    assert vault.requests == []


def test_a_vault_that_is_not_there(vault: KeyVault) -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        open_sink("keyvault:https://no-such-kv.vault.azure.net/secrets/x").check()


def test_the_value_is_in_no_log_and_no_repr(vault: KeyVault, sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("azure", "azure.core", "azure.identity", "azure.keyvault", "msal", "urllib3"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.write(delivery())
        stored = sink.stored()
        vault.weather = [(400, "BadParameter", VALUE, "")]
        with pytest.raises(InvalidInput):
            sink.write(delivery())
        sink.remove()
    assert any(record.name.startswith("azure.core") for record in caplog.records)
    assert VALUE not in caplog.text
    assert VALUE not in repr((sink, stored, delivery()))


@pytest.mark.parametrize("host", ["a-1.vault.usgovcloudapi.net", "a-1.vault.azure.cn", "A-1.vault.azure.net"])
def test_the_sovereign_clouds_have_hosts_of_their_own(host: str) -> None:
    sink = open_sink(f"keyvault:https://{host}/secrets/x", {})
    assert sink.address == f"keyvault:https://{host.lower()}/secrets/x"


@pytest.mark.parametrize(
    "rest",
    [
        "my-vault/secrets/x",
        "http://my-vault.vault.azure.net/secrets/x",
        "https://my-vault.vault.azure.net.evil.example/secrets/x",
        "https://vault.azure.net/secrets/x",
        "https://user@my-vault.vault.azure.net/secrets/x",
        "https://my-vault.vault.azure.net:444/secrets/x",
        "https://my-vault.vault.azure.net/keys/x",
        "https://my-vault.vault.azure.net/secrets/",
        "https://my-vault.vault.azure.net/secrets/my_secret",
        "https://my-vault.vault.azure.net/secrets/x/0123456789abcdef0123456789abcdef",
        "https://my-vault.vault.azure.net/secrets/x?api-version=7.0",
    ],
)
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput):
        open_sink(f"keyvault:{rest}", {})


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.keyvault.secrets", None)
    with pytest.raises(InvalidInput, match="keyvault") as caught:
        open_sink(ADDRESS, {})
    assert caught.value.remedy == "pip install 'provision[keyvault]'"
