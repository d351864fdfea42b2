"""What the sample product makes of the values that a customer's IT types in."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.sandbox.product.company import Company, SettingsRefused

TENANT, CLIENT = "5bbefd2a-d2c8-415c-87fc-29918a56b5cd", "0c0df0e2-4f1c-4d53-9d27-6d2b5a3f4f1e"


def company(**values: str) -> Company:
    given = {"tenantId": TENANT, "clientId": CLIENT, **values}
    return Company.parse("ACME", given)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CLIENT_SECRET=first~secret\n", ""),
        ("TENANT_ID=x\nMAIL_CLIENT_SECRET=first~secret\n", ""),
        ("# comment\nexport AZURE_CLIENT_SECRET='first~secret'\n", ""),
        ('TENANT_ID=x\nClientSecret="first~secret"\n', ""),
        ("MAIL_A=other\nMAIL_B=first~secret\n", "MAIL_B"),
        ('{"tenantId": "x", "clientSecret": "first~secret", "n": 1}', ""),
        ("CLIENT_SECRET=first~secret==\n", ""),
    ],
)
def test_secret_is_found_in_the_files_that_tools_write(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "values"
    path.write_text(text)
    assert company(secretFile=str(path), secretName=name).secret().startswith("first~secret")


def test_secret_file_is_read_anew_on_each_use(tmp_path: Path) -> None:
    """A rotation that changes the file must reach the product without a restart."""
    path = tmp_path / "values.env"
    path.write_text("CLIENT_SECRET=old\n")
    configured = company(secretFile=str(path))
    assert configured.secret() == "old"
    path.write_text("CLIENT_SECRET=new\n")
    assert configured.secret() == "new"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file"),
        (b"OTHER=1\n", "holds no ClientSecret"),
        (b"CLIENT_SECRET=\n", "holds no ClientSecret"),
        (b"{oops", "not valid JSON"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_unusable_secret_file_is_told_in_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    path = tmp_path / "values.env"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsRefused, match=sentence):
        company(secretFile=str(path)).secret()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"clientId": "my-app"}, "ClientId must be"),
        ({"tenantId": "no tenant"}, "TenantId must be"),
        ({}, "either the value"),
        ({"clientSecret": "s", "secretFile": "/x"}, "either the value"),
        ({"secretFile": "relative.env"}, "absolute path"),
        ({"clientSecret": "s", "publicUrl": "https://my.cloudex.app/ACME"}, "without a path"),
        ({"clientSecret": "s", "publicUrl": "http://my.cloudex.app"}, "must be https"),
        ({"clientSecret": "s", "clientsecret": "s"}, "No such setting: clientsecret; settings are"),
    ],
)
def test_wrong_settings_are_refused_at_construction(values: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsRefused, match=sentence):
        company(**values)


@pytest.mark.parametrize("code", ["", "..", "_portal", "A/B", "A B", "Ā", "x" * 65])
def test_company_code_stays_one_plain_path_segment(code: str) -> None:
    """The code becomes part of the redirect URI; anything else would change where Entra sends the code."""
    with pytest.raises(SettingsRefused, match="company code"):
        Company.parse(code, {"tenantId": TENANT, "clientId": CLIENT, "clientSecret": "s"})


def test_secret_is_in_no_repr() -> None:
    assert "s3cr3t" not in repr(company(clientSecret="s3cr3t"))
    assert "s3cr3t" not in str(company(clientSecret="s3cr3t").shown())


@pytest.mark.parametrize("tenant", ["common", "organizations", "contoso.onmicrosoft.com", TENANT])
def test_tenant_is_passed_on_as_typed(tenant: str) -> None:
    """``common`` on a single-tenant app must reach Entra, which refuses it with AADSTS50194."""
    assert company(tenantId=tenant, clientSecret="s").tenant_id == tenant
