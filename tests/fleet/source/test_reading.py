"""A fleet file that people and programs wrote: every mistake with its line, and the good rows all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.fleet.source import Fleet, read_fleet
from provision.fleet.tenant import CredentialReference
from provision.settings.stack import KEYS

HEAD = """\
fleet: customers
defaults:
  credential: partner
  secretMonths: 12
  sinks:
    - vault:secret/customers/{key}#client_secret
credentials:
  partner:
    method: client-secret
    clientId: 11111111-2222-3333-4444-555555555555
    secret: env:PARTNER_SECRET
  pinned:
    inherits: partner
    method: certificate
    certificate: keyvault:https://msp.vault.azure.net/secrets/{key}
# Letter case counts in company codes.
tenants:
"""
"""17 lines: a row begins on line 18."""
GOOD = "  - {key: contoso, tenant: Contoso.onmicrosoft.com, companyCode: ACME}\n"


def read(folder: Path, text: str, name: str = "tenants.yaml") -> Fleet:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return read_fleet(file, environ={})


def told(fleet: Fleet) -> list[tuple[int, str]]:
    return [(problem.line, f"{problem.where}: {problem.message} {problem.remedy}") for problem in fleet.problems]


def only(fleet: Fleet) -> tuple[int, str]:
    (one,) = told(fleet)
    return one


def refusal(folder: Path, text: str, name: str = "tenants.yaml") -> str:
    with pytest.raises(InvalidInput) as refused:
        read(folder, text, name)
    return str(refused.value).replace(str(folder), "")


def test_a_row_has_what_it_says_and_what_the_defaults_say(tmp_path: Path) -> None:
    fleet = read(tmp_path, HEAD + GOOD)
    assert fleet.name == "customers"
    assert not fleet.problems
    (row,) = fleet.tenants
    assert (row.key, row.tenant, row.company_code, row.line) == ("contoso", "contoso.onmicrosoft.com", "ACME", 18)
    assert row.sinks == ("vault:secret/customers/contoso#client_secret",)
    assert row.settings == {"secretMonths": "12"}
    assert row.credential == CredentialReference(
        "partner", "client-secret", "11111111-2222-3333-4444-555555555555", "env:PARTNER_SECRET"
    )


def test_a_row_s_own_values_win_and_an_empty_list_takes_the_defaults_away(tmp_path: Path) -> None:
    row = GOOD.replace("}", ", secretMonths: 6, sinks: [], credential: pinned}")
    (tenant,) = read(tmp_path, HEAD + row).tenants
    assert tenant.settings == {"secretMonths": "6"}
    assert tenant.sinks == ()
    assert tenant.credential is not None
    assert (tenant.credential.method, tenant.credential.client_id) == (
        "certificate",
        "11111111-2222-3333-4444-555555555555",
    )


def test_a_field_without_a_value_is_none(tmp_path: Path) -> None:
    row = GOOD.replace("}", ", secretMonths: , displayName: null, profile: ~, groups: }")
    (tenant,) = read(tmp_path, HEAD + row).tenants
    assert (tenant.settings, tenant.profile, tenant.groups) == ({"secretMonths": "12"}, "cloudex", ())


def test_text_stays_as_it_was_written(tmp_path: Path) -> None:
    """YAML 1.1 takes 0123 for 83 and NO for false; both are company codes."""
    rows = "".join(
        f"  - {{key: k{n}, tenant: t{n}.onmicrosoft.com, companyCode: {code}}}\n"
        for n, code in enumerate(["0123", "NO", "1e3", "2028-11-23"])
    )
    assert [one.company_code for one in read(tmp_path, HEAD + rows).tenants] == ["0123", "NO", "1e3", "2028-11-23"]


def test_every_mistake_of_every_row_is_named_with_its_line_and_the_others_are_read(tmp_path: Path) -> None:
    bad = """\
  - key: Fabrikam Ltd
    tenant: common
    companycode: F
    secretMonths: 99
  - key: northwind
"""
    fleet = read(tmp_path, HEAD + GOOD + bad)
    assert [one.key for one in fleet.tenants] == ["contoso"]
    lines = told(fleet)
    assert [line for line, _ in lines] == [19, 20, 21, 22, 23]
    assert "as in fabrikam-ltd" in lines[0][1]
    assert "Did you mean companyCode?" in lines[2][1]
    assert "must be a whole number from 1 to 24" in lines[3][1]
    assert "northwind, tenant: tenant is missing" in lines[4][1]


def test_a_row_is_held_against_its_product_as_a_stack_is(tmp_path: Path) -> None:
    line, text = only(read(tmp_path, HEAD + "  - {key: a, tenant: a.onmicrosoft.com}\n"))
    assert line == 18
    assert "companyCode is missing" in text
    _, text = only(read(tmp_path, HEAD + GOOD.replace("}", ", redirectUri: 'https://my.cloudex.app/acme/x'}")))
    assert "differs from the configured 'ACME' in letter case" in text
    _, text = only(read(tmp_path, HEAD + GOOD.replace("}", ", profile: cloudx}")))
    assert "no product profile 'cloudx'" in text


def test_what_is_wrong_in_one_place_for_many_rows_is_said_once(tmp_path: Path) -> None:
    rows = "".join(f"  - {{key: k{n}, tenant: t{n}.onmicrosoft.com, companyCode: C{n}}}\n" for n in range(5))
    fleet = read(
        tmp_path, HEAD.replace("secretMonths: 12", "secretMonths: 99") + GOOD.replace("}", ", secretMonths: 6}") + rows
    )
    assert [one.key for one in fleet.tenants] == ["contoso"]
    (first, second) = told(fleet)
    assert first[0] == 4
    assert "4 more rows" in second[1]


def test_a_credential_that_cannot_be_used_takes_its_rows_with_it(tmp_path: Path) -> None:
    head = HEAD.replace("secret: env:PARTNER_SECRET", "secret: hunter2hunter2hunter2")
    first, second = told(read(tmp_path, head + GOOD))
    assert first[0] in (9, 11)
    assert "hunter2" not in first[1] + second[1]
    assert "its credential partner cannot be used" in second[1]


def test_what_is_only_inherited_from_need_not_be_whole(tmp_path: Path) -> None:
    text = """
fleet: partner
credentials:
  own: {method: client-secret, secret: "file:/srv/secrets/{key}"}
  contoso: {inherits: own, clientId: 11111111-2222-3333-4444-555555555555}
tenants:
  - {key: contoso, tenant: contoso.onmicrosoft.com, companyCode: ACME, credential: CREDENTIAL}
"""
    fleet = read(tmp_path, text.replace("CREDENTIAL", "contoso"))
    assert fleet.problems == ()
    assert fleet.tenants[0].credential is not None
    named = read(tmp_path, text.replace("CREDENTIAL", "own"))
    assert [problem.line for problem in named.problems] == [4, 7]
    assert "names no clientId" in named.problems[0].message


@pytest.mark.parametrize(
    ("change", "line", "sentence"),
    [
        ("inherits: partnr", 13, "Did you mean partner?"),
        ("inherits: pinned", 13, "inherits from itself"),
        ("inherits: partner\n    passwort: x", 14, "there is no field passwort"),
    ],
)
def test_a_credential_inherits_from_one_that_is_there(tmp_path: Path, change: str, line: int, sentence: str) -> None:
    fleet = read(tmp_path, HEAD.replace("inherits: partner", change) + GOOD)
    assert [one.key for one in fleet.tenants] == ["contoso"]
    found, text = only(fleet)
    assert found == line
    assert sentence in text


def test_a_way_to_sign_in_that_keeps_nothing_needs_no_entry(tmp_path: Path) -> None:
    (row,) = read(tmp_path, HEAD + GOOD.replace("}", ", credential: workload-identity}")).tenants
    assert row.credential == CredentialReference("workload-identity", "workload-identity")
    _, text = only(read(tmp_path, HEAD + GOOD.replace("}", ", credential: client-secret}")))
    assert "there is no credential client-secret" in text


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ("key: contoso, tenant: b.onmicrosoft.com, companyCode: B", "key contoso is that of"),
        ("key: b, tenant: CONTOSO.onmicrosoft.com, companyCode: B", "tenant contoso.onmicrosoft.com is that of"),
        ("key: b, tenant: b.onmicrosoft.com, companyCode: ACME", "companyCode ACME is that of"),
        ("key: b, tenant: b.onmicrosoft.com, companyCode: Acme", "differs only in letter case from ACME"),
        (
            "key: b, tenant: b.onmicrosoft.com, companyCode: B, sinks: 'vault:secret/customers/contoso#client_secret'",
            "sinks vault:secret/customers/contoso#client_secret is that of",
        ),
    ],
)
def test_two_rows_that_want_to_be_one_are_both_left_out(tmp_path: Path, other: str, what: str) -> None:
    """Which of them is right nobody knows, and the wrong one would put a registration into somebody else's tenant."""
    fleet = read(
        tmp_path, HEAD + GOOD + f"  - {{{other}}}\n  - {{key: c, tenant: c.onmicrosoft.com, companyCode: C}}\n"
    )
    assert [one.key for one in fleet.tenants] == ["c"]
    line, text = only(fleet)
    assert line == 19
    assert what in text
    assert "line 18" in text


def test_a_customer_may_have_two_products(tmp_path: Path) -> None:
    fleet = read(
        tmp_path,
        HEAD
        + GOOD
        + GOOD.replace("key: contoso", "key: contoso-ozols, profile: ozols, redirectUri: 'https://x.lv/cb'"),
    )
    assert [one.key for one in fleet.tenants] == ["contoso", "contoso-ozols"]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("companyCode", "'\u0410CME'", "U+0410 (CYRILLIC CAPITAL LETTER A)"),
        ("companyCode", "'AC\\u200bME'", "is 'AC"),
        ("companyCode", "'AC ME'", "space or line break"),
        ("companyCode", "../x", "is an address"),
        ("companyCode", "'=cmd|calc!A1'", "holds something else than"),
        ("key", "../../etc/passwd", "must be 1 to 63 of a-z"),
        ("key", "nul", "device on Windows"),
        ("key", '"a\\0b"', "U+0000"),
        ("key", "k\u043entoso", "U+043E (CYRILLIC SMALL LETTER O)"),
        ("tenant", "..", "must be a tenant's id"),
        ("tenant", "organizations", "must be a tenant's id"),
        ("tenant", "c\u0435ntoso.onmicrosoft.com", "U+0435"),
        ("profile", "../../etc/passwd.toml", "a path is not taken"),
        ("groups", "[n\u043erth]", "mixes alphabets within a word"),
        ("displayName", '"Mail \\u202etxt"', "RIGHT-TO-LEFT OVERRIDE"),
        ("mailboxes", "[\u0430nna@contoso.com]", "mixes alphabets"),
        ("mailboxes", "[anna]", "must be a mailbox's address"),
        ("sinks", "['file:/srv/../etc/shadow']", "must not lead through"),
        ("sinks", "['ftp:x']", "must be a kind, a colon and a place"),
        ("sinks", "['stdout:plain']", "a fleet has none"),
        ("sinks", "['vault:a/{kee}#b']", "unknown placeholder {kee}"),
        ("sinks", "['vault:a/{key#b']", "a brace that is not closed"),
        ("metadataHost", "https://localhost", "without https://"),
        ("environment", "mars", "is none"),
        ("secretInState", "maybe", "must be one of true, false"),
        ("companyCode", "[A, B]", "must be one text"),
        ("groups", "{a: b}", "must be a list of texts"),
    ],
)
def test_a_hostile_value_is_refused_with_its_own_sentence(
    tmp_path: Path, field: str, value: str, sentence: str
) -> None:
    values = {"key": "contoso", "tenant": "contoso.onmicrosoft.com", "companyCode": "ACME"} | {field: value}
    row = "  - " + "\n    ".join(f"{name}: {text}" for name, text in values.items()) + "\n"
    fleet = read(tmp_path, HEAD + row)
    assert not fleet.tenants
    text = "\n".join(text for _, text in told(fleet))
    assert sentence in text
    assert all(line == 18 + list(values).index(field) for line, _ in told(fleet))


@pytest.mark.parametrize(
    "row",
    [
        "password: 'abc8Q~{}'",
        "companyCode: 'abc8Q~{}'",
        "'abc8Q~{}': x",
        "sinks: ['abc8Q~{}']",
        "sinks: 'Sommer2026!{}'",
        "password: 'Sommer2026!{}'",
        "credentials: {{secret: 'Sommer2026!{}'}}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_told(tmp_path: Path, row: str) -> None:
    value = "hgfedcbaHGFEDCBA0123456789zyxwvuts"
    fleet = read(tmp_path, HEAD + f"  - key: a\n    tenant: a.onmicrosoft.com\n    {row.format(value)}\n")
    assert not fleet.tenants
    assert fleet.problems
    assert value not in repr(fleet.problems)


def test_a_setting_of_a_stack_is_a_field_or_kept_elsewhere() -> None:
    from provision.fleet.source.fields import BY_NAME, ELSEWHERE

    assert set(KEYS) == (set(KEYS) & set(BY_NAME)) | set(ELSEWHERE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it has no sections"),
        ("- a\n", "it has no sections"),
        ("fleet: a\n", "has no section `tenants`"),
        ("tenants: []\n", "does not say what the fleet is called"),
        ("fleet: a\ntenants: {a: b}\n", "/tenants.yaml:2: `tenants` is no list"),
        (
            "fleet: a\ndefault: {}\ntenants: []\n",
            "/tenants.yaml:2: a fleet file has no section 'default'. Did you mean defaults?",
        ),
        ("fleet: a\ntenants: []\nfleet: b\n", "/tenants.yaml:3: 'fleet' stands twice, first on line 1"),
        ("fleet: A b\ntenants: []\n", "/tenants.yaml:1: 'A b' is no name for a fleet"),
        ("fleet: a\ntenants:\n- key: a\n  b\n", "/tenants.yaml:5: this is not YAML"),
        ("fleet: a\n---\ntenants: []\n", "/tenants.yaml:2: a second document begins here"),
        ("fleet: a\ntenants: !!python/object/apply:os.system [id]\n", "the tag 'python/object/apply:os.system'"),
        ("fleet: a\ntenants: &a [*a]\n", "the alias *a stands inside what it names"),
        ("fleet: a\ntenants: *a\n", "/tenants.yaml:2: the alias *a names nothing before it"),
        ("fleet: a\ntenants: " + "[" * 5000, "more than 12 deep"),
        ("fleet: a\ntenants:\n- key: a\x1b[2J\n", "/tenants.yaml:3: the file holds the control character U+001B"),
        ("fleet: a\ntenants: ../../customers.csv\n", "neither a list nor the name of a CSV file"),
        ("fleet: a\ntenants: customers.csv\n", "/customers.csv cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text)


def test_a_few_lines_cannot_mean_billions_of_rows(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    assert "more than 2,000,000 values" in refusal(tmp_path, bomb + "fleet: x\ntenants: *i\n")


def test_an_alias_of_ordinary_size_is_read(tmp_path: Path) -> None:
    rows = "  - {key: a, tenant: a.onmicrosoft.com, companyCode: A, groups: &g [north]}\n"
    rows += "  - {key: b, tenant: b.onmicrosoft.com, companyCode: B, groups: *g}\n"
    assert [one.groups for one in read(tmp_path, HEAD + rows).tenants] == [("north",), ("north",)]


def test_more_than_ten_mebibytes_are_not_read(tmp_path: Path) -> None:
    assert "larger than 10 MiB" in refusal(tmp_path, HEAD + "#" * (10 * 1024 * 1024))


def test_a_key_that_stands_twice_makes_its_row_bad(tmp_path: Path) -> None:
    fleet = read(
        tmp_path,
        HEAD + "  - key: a\n    tenant: a.onmicrosoft.com\n    companyCode: A\n    tenant: b.onmicrosoft.com\n",
    )
    line, text = only(fleet)
    assert (line, fleet.tenants) == (21, ())
    assert "the field stands twice, first on line 19" in text


def test_merge_keys_are_not_read_in_silence(tmp_path: Path) -> None:
    _, text = only(
        read(
            tmp_path, HEAD + "  - <<: {profile: ozols}\n    key: a\n    tenant: a.onmicrosoft.com\n    companyCode: A\n"
        )
    )
    assert "merge keys are not read" in text


def test_the_file_is_utf_8_or_says_which_letter_is_not(tmp_path: Path) -> None:
    file = tmp_path / "tenants.yaml"
    file.write_bytes("fleet: a\ntenants:\n- key: a\n  displayName: Café\n".encode("cp1252"))
    with pytest.raises(
        InvalidInput, match=r":4: the file is not UTF-8 text: it has the byte 0xE9, which is 'é' in Windows"
    ):
        read_fleet(file)
    file.write_bytes("fleet: a\n".encode("utf-16"))
    with pytest.raises(InvalidInput, match="UTF-16"):
        read_fleet(file)
