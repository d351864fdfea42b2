"""A product is data; illegal data is refused at the line it stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.settings import profile

GOOD = """\
id = "mine"
product = "Mine"
display_name = "Mine Mail"
scopes = ["Mail.Send", "User.Read", "offline_access"]
secret_name = "Mine secret"
"""


def test_cloudex_says_what_the_help_page_says() -> None:
    got = profile.load("cloudex")
    assert got.redirect_uri == "https://my.cloudex.app/{companyCode}/Services/Office365Callback.aspx"
    assert (got.display_name, got.secret_name, got.mpn_id) == (
        "CLOUDEX TMS Email Integration",
        "CLOUDEX Secret",
        "7086574",
    )
    assert got.scopes == ("Mail.Send", "User.Read", "offline_access")
    assert (got.issue_access_tokens, got.issue_id_tokens, got.sign_in_audience) == (True, True, "AzureADMyOrg")
    assert (got.secret_months, got.secret_months_offered) == (24, (6, 12, 24))


def test_the_generic_profile_issues_no_implicit_tokens() -> None:
    got = profile.load("generic")
    assert (got.issue_access_tokens, got.issue_id_tokens) == (False, False)


@pytest.mark.parametrize("name", profile.names())
def test_every_shipped_profile_is_legal_and_named_like_its_file(name: str) -> None:
    assert profile.load(name).id == name


@pytest.mark.parametrize(
    ("line", "at", "says"),
    [
        ("colour = 1", 6, "colour"),
        ('redirect_uri = "http://mine.example/cb"', 6, "https"),
        ('redirect_uri = "https://{companyCode}.mine.example/cb"', 6, "host"),
        ('redirect_uri = "https://mine.example/{code}"', 6, "placeholder"),
        ('redirect_uri = "https://mine.example/*"', 6, "wildcard"),
        ("secret_months = 0", 6, "1 to 24"),
        ("secret_months = true", 6, "1 to 24"),
        ("mpn_id = 7086574", 6, "quotes"),
        ('sign_in_audience = "PersonalMicrosoftAccount"', 6, "AzureADMyOrg"),
        ('issue_id_tokens = "yes"', 6, "true or false"),
        ("smtp_port = 70000", 6, "port"),
        ("secret_months_offered = 6", 6, "list"),
    ],
)
def test_an_illegal_line_is_named(tmp_path: Path, line: str, at: int, says: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD + line + "\n")
    with pytest.raises(InvalidInput) as refused:
        profile.load(str(file))
    assert f"mine.toml:{at}" in refused.value.message
    assert says in str(refused.value)


def test_an_unknown_key_brings_the_valid_ones(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD + 'redirectUri = "https://x.example"\n')
    with pytest.raises(InvalidInput) as refused:
        profile.load(str(file))
    assert "redirect_uri" in refused.value.remedy


@pytest.mark.parametrize("text", ["id = ", "\xff", GOOD.replace("scopes", "scope_names")])
def test_broken_files_are_one_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"mine\.toml"):
        profile.load(str(file))


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        profile.load("none.toml", beside=tmp_path)
