"""The provider's settings: read as the real plugin reads them, refused where they do not go together."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.standin.configuration import VARIABLES, Configuration

APP = {"tenantId": "t", "clientId": "c"}


def test_the_variables_are_the_provider_class_s() -> None:
    """A setting that the class takes and the stand-in does not know would be refused by name."""
    import pulumi._types as pulumi_types
    import pulumi_azuread

    described = set(pulumi_types.input_type_types(pulumi_azuread.ProviderArgs))
    assert {variable.name for variable in VARIABLES} == described


def test_the_stack_wins_over_the_environment() -> None:
    configuration = Configuration({"metadataHost": "localhost:1"}, {"ARM_METADATA_HOSTNAME": "localhost:2"})
    assert configuration.metadata_host == "localhost:1"
    assert Configuration({}, {"ARM_METADATA_HOSTNAME": "localhost:2"}).metadata_host == "localhost:2"


@pytest.mark.parametrize(
    ("given", "method"),
    [
        ({**APP, "clientCertificatePath": "a.pfx", "clientSecret": "s", "useOidc": True}, "certificate"),
        ({**APP, "clientSecret": "s", "useOidc": True, "oidcToken": "o"}, "client-secret"),
        ({**APP, "useOidc": True, "oidcToken": "o", "useMsi": True}, "workload-identity"),
        ({**APP, "useMsi": True}, "managed-identity"),
        ({"tenantId": "t"}, "azure-cli"),
    ],
)
def test_a_leftover_setting_loses_in_the_real_plugin_s_order(given: dict[str, object], method: str) -> None:
    assert Configuration(given, {}).credential().method == method


def test_a_secret_file_is_read_and_must_agree(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3\n")
    assert Configuration({**APP, "clientSecretFilePath": str(file)}, {}).credential().client_secret == "s3"
    with pytest.raises(InvalidInput, match="differ") as refusal:
        Configuration({**APP, "clientSecretFilePath": str(file), "clientSecret": "other"}, {}).credential()
    assert "s3" not in str(refusal.value)
    assert "other" not in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"useCli": False}, "nothing to sign in with"),
        ({**APP, "useOidc": True}, "there is no token"),
        ({**APP, "clientCertificate": "MII"}, "clientCertificatePath"),
        ({"useMsi": True, "msiEndpoint": "http://x"}, "msiEndpoint"),
        ({"useMsi": "maybe"}, "true or false"),
        ({**APP, "clientSecretFilePath": "/nowhere"}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Configuration(given, {}).credential()
