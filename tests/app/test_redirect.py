"""A redirect URI that merely looks right costs a customer a day: every way to get it wrong is told apart."""

from __future__ import annotations

import pytest

from provision.app.redirect import check_redirect_uri, redirect_uri
from provision.errors import InvalidInput
from provision.settings import profile
from provision.settings.stack import StackSettings

CLOUDEX = profile.load("cloudex")
GENERIC = profile.load("generic")
GOOD = "https://my.cloudex.app/Acme/Services/Office365Callback.aspx"


def built(**own: str) -> str:
    return redirect_uri(StackSettings.from_config({f"office365-mail:{key}": value for key, value in own.items()}))


@pytest.mark.parametrize("code", ["Acme", "ACME", "acme-lv", "A", "a1", "42", "SIA_Transports", "x.y", "a" * 64])
def test_the_company_code_goes_in_as_it_is(code: str) -> None:
    assert built(companyCode=code) == f"https://my.cloudex.app/{code}/Services/Office365Callback.aspx"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("YourCompanyCode", "placeholder"),
        ("yourcompanycode", "placeholder"),
        ("{companyCode}", "placeholder"),
        ("Ac me", "space"),
        ("Acme ", "space"),
        ("Acme\u00a0", "printed"),  # refused by the settings already
        ("\u0410cme", "CYRILLIC CAPITAL LETTER A"),
        ("Acmé", "LATIN SMALL LETTER E WITH ACUTE"),
        ("Ac\uff4de", "FULLWIDTH"),
        ("Acme\u200b", "printed"),
        ("../admin", "address"),
        ("Acme/Services", "address"),
        ("https://my.cloudex.app/Acme", "address"),
        ("Acme%2f", "%"),
        ("Acme\\x", "backslash"),
        ("Acme?x=1", "letters, digits"),
        ("Acme#", "letters, digits"),
        ("Acme@evil.example", "letters, digits"),
        ("-Acme", "letters, digits"),
        (".", "letters, digits"),
        ("..", "letters, digits"),
        ("<script>", "letters, digits"),
        ("a" * 65, "letters, digits"),
    ],
)
def test_what_is_no_company_code(code: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        built(companyCode=code)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("http://my.cloudex.app/Acme/Services/Office365Callback.aspx", "must be https://"),
        ("ftp://my.cloudex.app/Acme/Services/Office365Callback.aspx", "must be https://"),
        ("https://my.cloudex.com/Acme/Services/Office365Callback.aspx", "host my.cloudex.com is not my.cloudex.app"),
        ("https://my.cloudex.app.evil.example/Acme/Services/Office365Callback.aspx", "is not my.cloudex.app"),
        ("https://my.cloudex.app@evil.example/Acme/Services/Office365Callback.aspx", "user name"),
        ("https://evil.example/my.cloudex.app/Acme/Services/Office365Callback.aspx", "is not my.cloudex.app"),
        ("https://my.cl\u043eudex.app/Acme/Services/Office365Callback.aspx", "CYRILLIC SMALL LETTER O"),
        ("https://my.cloudex.app:8443/Acme/Services/Office365Callback.aspx", "port 8443"),
        ("https://my.cloudex.app:port/Acme/Services/Office365Callback.aspx", "not an address"),
        ("https://my.cloudex.app/Acme/services/Office365Callback.aspx", "'services' differs from 'Services' in letter"),
        (
            "https://my.cloudex.app/Acme/Services/office365callback.aspx",
            "'office365callback.aspx' differs from 'Office365Callback.aspx' in letter case",
        ),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.asp", "where 'Office365Callback.aspx' belongs"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx/", "slash at its end"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx?x=1", "query"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx?", "query"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx#x", "#"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx#", "#"),
        ("https://my.cloudex.app/Acme/Services", "ends before '/Office365Callback.aspx'"),
        ("https://my.cloudex.app//Services/Office365Callback.aspx", "company code is empty"),
        ("https://my.cloudex.app/Acme//Services/Office365Callback.aspx", "where 'Services' belongs"),
        ("https://my.cloudex.app/Services/Office365Callback.aspx", "where 'Services' belongs"),
        ("https://my.cloudex.app/YourCompanyCode/Services/Office365Callback.aspx", "placeholder"),
        ("https://my.cloudex.app/Acme/../Services/Office365Callback.aspx", "where 'Services' belongs"),
        ("https://my.cloudex.app/Ac%6de/Services/Office365Callback.aspx", "%"),
        ("https://my.cloudex.app/*/Services/Office365Callback.aspx", "'*'"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx;x", "';'"),
        ("https://my.cloudex.app\\Acme\\Services", "backslash"),
        ("https://my.cloudex.app/Acme/Services/Office365Callback.aspx ", "space"),
        ("my.cloudex.app/Acme/Services/Office365Callback.aspx", "names no host"),
        ("https:///Acme/Services/Office365Callback.aspx", "names no host"),
        ("https://[::1/Acme", "not an address"),
        ("", "is empty"),
        (f"https://my.cloudex.app/{'a' * 250}/Services/Office365Callback.aspx", "characters"),
    ],
)  # fmt: skip
def test_what_differs_is_said(uri: str, says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_redirect_uri(uri, CLOUDEX)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "uri", [GOOD, GOOD.replace("my.cloudex.app", "MY.Cloudex.App"), GOOD.replace("app/", "app:443/")]
)
def test_letter_case_of_the_host_does_not_matter(uri: str) -> None:
    check_redirect_uri(uri, CLOUDEX)


def test_the_uri_and_the_configured_code_must_agree() -> None:
    assert built(companyCode="Acme", redirectUri=GOOD) == GOOD
    with pytest.raises(InvalidInput, match="letter case"):
        built(companyCode="acme", redirectUri=GOOD)
    with pytest.raises(InvalidInput, match="differs from the configured"):
        built(companyCode="Other", redirectUri=GOOD)


@pytest.mark.parametrize(
    ("uri", "fine"),
    [
        ("https://mail.example/callback", True),
        ("https://mail.example/callback?tenant=1", True),
        ("http://localhost:8400/cb", True),
        ("http://mail.example/callback", False),
        ("https://mail.example", False),
        ("https://*.mail.example/cb", False),
        ("javascript:alert(1)", False),
    ],
)
def test_a_product_without_a_template_follows_entras_rules(uri: str, fine: bool) -> None:
    if fine:
        check_redirect_uri(uri, GENERIC)
    else:
        with pytest.raises(InvalidInput):
            check_redirect_uri(uri, GENERIC)


def test_only_the_local_tenant_takes_a_product_on_this_machine() -> None:
    here = "https://localhost:8443/Acme/Services/Office365Callback.aspx"
    check_redirect_uri(here, CLOUDEX, local=True)
    with pytest.raises(InvalidInput, match="localhost is not"):
        check_redirect_uri(here, CLOUDEX)
    with pytest.raises(InvalidInput, match="letter case"):
        check_redirect_uri(here.replace("Services", "services"), CLOUDEX, local=True)
