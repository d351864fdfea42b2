"""Illegal configuration dies before anything is sent, naming the bad and the valid keys."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.settings.stack import KEYS, StackSettings


def settings(**own: str) -> StackSettings:
    return StackSettings.from_config(
        {f"office365-mail:{key}": value for key, value in own.items()}, source="Pulumi.x.yaml"
    )


def test_the_defaults_are_the_help_pages() -> None:
    got = settings(companyCode="Acme")
    assert (got.profile.id, got.display_name, got.secret_months) == ("cloudex", "CLOUDEX TMS Email Integration", 24)
    assert (got.sign_in_audience, got.company_code, got.secret_in_state) == ("AzureADMyOrg", "Acme", True)
    assert (got.secret_sinks, got.grant_consent) == ((), True)


def test_a_misspelt_key_is_named_with_the_valid_ones() -> None:
    with pytest.raises(InvalidInput) as refused:
        settings(companycode="Acme")
    assert "office365-mail:companycode" in refused.value.message
    assert "Pulumi.x.yaml" in refused.value.message
    assert all(key in refused.value.remedy for key in KEYS)


def test_other_namespaces_are_not_ours_to_judge() -> None:
    StackSettings.from_config({"office365-mail:companyCode": "A", "azuread:useCli": "true", "other:x": "1"})


def test_a_key_under_a_renamed_projects_name_is_refused_and_its_other_keys_are_not() -> None:
    """`pulumi config set companyCode` in a project named otherwise would be passed over in silence."""
    with pytest.raises(InvalidInput, match=r"mail:companyCode is not read; .* namespace is office365-mail") as refused:
        StackSettings.from_config({"mail:companyCode": "A", "office365-mail:companyCode": "B"}, project="mail")
    assert "pulumi config set office365-mail:companyCode" in refused.value.remedy
    got = StackSettings.from_config({"mail:region": "x", "office365-mail:companyCode": "B"}, project="mail")
    assert got.company_code == "B"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("secretMonths", "0", "1 to 24"),
        ("secretMonths", "25", "1 to 24"),
        ("secretMonths", "twelve", "1 to 24"),
        ("secretMonths", "-6", "1 to 24"),
        ("secretMonths", "١٢", "1 to 24"),
        ("secretEndDate", "23.11.2028", "2028-11-23"),
        ("secretEndDate", "2027-02-30", "calendar"),
        ("signInAudience", "PersonalMicrosoftAccount", "single-tenant, multitenant"),
        ("secretInState", "yes", "true, false"),
        ("secretSinks", "envfile:/a nonsense", "kinds and places"),
        ("mpnId", "MPN-1", "digits"),
        ("smtpAuthMailboxes", "anna", "addresses"),
        ("owners", "ada@contoso.com", "GUID"),
        ("credential", "password", "client-secret"),
        ("displayName", "x" * 91, "90"),
        ("displayName", "two\nlines", "printed"),
        ("profile", "cloudx", "cloudex"),
    ],
)
def test_an_illegal_value_is_refused_with_what_it_must_be(key: str, value: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        settings(**{"companyCode": "Acme", key: value})
    assert says in str(refused.value)


def test_shared_keys_feed_the_sdks_too() -> None:
    got = StackSettings.from_config(
        {"office365-mail:companyCode": "A", "azuread:tenantId": "contoso.com", "azuread:metadataHost": "localhost:1"}
    )
    assert (got.tenant_id, got.metadata_host) == ("contoso.com", "localhost:1")


@pytest.mark.parametrize("tenant", ["common", "Organizations", "con toso", "contoso.com/x"])
def test_a_shared_address_is_not_a_tenant(tenant: str) -> None:
    with pytest.raises(InvalidInput, match="tenantId"):
        StackSettings.from_config({"office365-mail:companyCode": "A", "azuread:tenantId": tenant})


def test_cloudex_needs_the_company_code_and_ozols_its_own_address() -> None:
    with pytest.raises(InvalidInput, match="companyCode is missing"):
        settings()
    with pytest.raises(InvalidInput, match="redirectUri is missing"):
        settings(profile="ozols", companyCode="A")
    assert settings(profile="ozols", redirectUri="https://o.example/cb").redirect_uri == "https://o.example/cb"


def test_words_for_the_audience_and_a_date_of_ones_own() -> None:
    got = settings(companyCode="A", signInAudience="multitenant", secretEndDate="2027-05-01")
    assert got.sign_in_audience == "AzureADMultipleOrgs"
    assert got.secret_end_date == datetime(2027, 5, 1, tzinfo=UTC)


def test_several_sinks_stand_between_blanks() -> None:
    both = settings(companyCode="A", secretSinks="envfile:/srv/tms/mail.env  file:/srv/my%20secret").secret_sinks
    assert both == ("envfile:/srv/tms/mail.env", "file:/srv/my%20secret")


def test_half_a_federated_credential_is_refused() -> None:
    with pytest.raises(InvalidInput, match="half described"):
        settings(companyCode="A", federatedName="ci-main")


def test_a_profile_beside_pulumi_yaml_is_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/mine.toml").write_text(
        'id = "mine"\nproduct = "Mine"\ndisplay_name = "Mine"\nscopes = ["Mail.Send"]\nsecret_name = "s"\n'
        'redirect_uri = "https://mine.example/cb"\n'
    )
    got = StackSettings.from_config({"office365-mail:profile": "mine"}, beside=tmp_path)
    assert got.profile.product == "Mine"
