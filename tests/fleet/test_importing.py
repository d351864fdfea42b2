"""Tenants that were onboarded one by one become rows, and none of them is taken for a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.cli import run
from provision.fleet import importing
from provision.fleet.source import read_fleet
from provision.fleet.store import open_fleet_store
from provision.microsoft.partners import Customer
from provision.settings.stack import StackSettings

INSTANCE = "11111111-2222-3333-4444-555555555555"
CONTOSO = f"""\
encryptionsalt: v1:abc=:v1:def
config:
  azuread:tenantId: contoso.onmicrosoft.com
  azuread:metadataHost: localhost:8443
  office365-mail:profile: cloudex
  office365-mail:companyCode: ACME
  office365-mail:secretInState: "false"
  office365-mail:secretSinks: file:/srv/contoso.secret
  office365-mail:secretMonths: "12"
  office365-mail:smtpAuthMailboxes: anna@contoso.com bert@contoso.com
  office365-mail:instanceId: {INSTANCE}
  office365-mail:adoptedClientId: {INSTANCE}
  other:thing: x
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Pulumi.yaml").write_text("name: office365-mail\n")
    (tmp_path / "Pulumi.contoso.yaml").write_text(CONTOSO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROVISION_FLEET_STORE", f"sqlite://{tmp_path}/fleet.db")
    (tmp_path / "tenants.yaml").write_text("fleet: msp\ntenants:\n")
    return tmp_path


def imported(*more: str) -> int:
    return run(["fleet", "import", *more])


def test_a_stack_asks_for_the_same_as_the_row_that_it_becomes(project: Path) -> None:
    import yaml

    assert imported("--stacks", "--project", str(project)) == 0
    (row,) = read_fleet(project / "tenants.yaml").tenants
    config = yaml.safe_load(CONTOSO)["config"]
    settled = {"office365-mail:instanceId": INSTANCE, "office365-mail:adoptedClientId": INSTANCE}
    assert StackSettings.from_config(row.configuration() | settled) == StackSettings.from_config(config)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (('  office365-mail:secretInState: "false"\n', ""), "true"),
        (("  office365-mail:secretSinks: file:/srv/contoso.secret\n", ""), "false"),
    ],
)
def test_where_the_secret_is_kept_stays_as_it_was(project: Path, change: tuple[str, str], field: str) -> None:
    (project / "Pulumi.contoso.yaml").write_text(CONTOSO.replace(*change))
    assert imported("--stacks", "--project", str(project)) == 0
    (row,) = read_fleet(project / "tenants.yaml").tenants
    assert row.configuration()["office365-mail:secretInState"] == field


def test_what_names_the_stack_s_registration_goes_to_the_store_once(project: Path) -> None:
    for _ in range(2):
        assert imported("--stacks", "--project", str(project)) == 0
    assert len(read_fleet(project / "tenants.yaml").tenants) == 1
    store = open_fleet_store()
    assert store.kept("msp", "contoso") == {
        "instance_id": INSTANCE,
        "encryption_salt": "v1:abc=:v1:def",
        "settings": {"office365-mail:adoptedClientId": INSTANCE},
    }
    run_ = store.begin("msp", "up", read_fleet(project / "tenants.yaml").tenants, {})
    claim = store.claim(run_.id, "contoso")
    assert claim is not None
    assert store.take_over("msp", {"contoso": {"instance_id": "older"}}) == []
    store.keep("msp", "contoso", {"instance_id": "newer"}, claim)
    store.release(claim)
    assert store.take_over("msp", {"contoso": {"instance_id": "older"}, "fabrikam": {"a": 1}}) == ["fabrikam"]
    assert store.kept("msp", "contoso") == {"instance_id": "newer"}
    store.close()


def test_a_stack_that_cannot_become_a_row_is_named_and_stops_no_other(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "Pulumi.Big_One.yaml").write_text(CONTOSO)
    (project / "Pulumi.empty.yaml").write_text("config: {}\n")
    (project / "Pulumi.broken.yaml").write_text("config: [\n")
    (project / "Pulumi.locked.yaml").write_text(
        "config:\n  azuread:tenantId: a.com\n  office365-mail:companyCode:\n    secure: AAA\n"
    )
    (project / "Pulumi.twin.yaml").write_text(CONTOSO.replace("ACME", "acme"))
    assert imported("--stacks", "--project", str(project)) == 0
    told = capsys.readouterr().err
    assert "Pulumi.Big_One.yaml is left out: the stack's name cannot be a row's. Rename it first" in told
    assert "Pulumi.empty.yaml is left out: it does not say which tenant" in told
    assert "Pulumi.broken.yaml is left out: it is not YAML" in told
    assert "Pulumi.locked.yaml is left out: office365-mail:companyCode is encrypted" in told
    assert "AAA" not in told
    assert "twin, tenant: tenant contoso.onmicrosoft.com is that of the row contoso" in told
    assert [one.key for one in read_fleet(project / "tenants.yaml").tenants] == ["contoso"]


def test_another_table_s_good_rows_are_taken_and_the_others_named(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "psa.csv").write_text(
        "key;tenant;companyCode\na;a.onmicrosoft.com;A\nB!;b.onmicrosoft.com;B\nc;a.onmicrosoft.com;C\nd;=1+1;D\n;x.com;E\n"
    )
    assert imported("--csv", "psa.csv") == 0
    told = capsys.readouterr()
    assert [one.key for one in read_fleet(project / "tenants.yaml").tenants] == ["a"]
    assert "key is 'B!'; it must be" in told.err
    assert "is that of the row a" in told.err
    assert "psa.csv:5: d, tenant: the cell begins like a formula" in told.err
    assert "psa.csv:6: tenant 5: key or tenant is missing" in told.err
    assert told.out.startswith("1 added. tenants.yaml: 1 good row.")


def test_a_partner_s_customers_get_names_of_their_own_and_wait_for_their_codes(tmp_path: Path) -> None:
    customers = [
        Customer("AAAAAAAA-0000-0000-0000-000000000001", "Rīga Büro & Co."),
        Customer("AAAAAAAA-0000-0000-0000-000000000002", "Contoso"),
        Customer("BBBBBBBB-0000-0000-0000-000000000003", "contoso"),
        Customer("CCCCCCCC-0000-0000-0000-000000000004", "株式会社"),
        Customer("DDDDDDDD-0000-0000-0000-000000000005", "NUL"),
    ]
    from provision.fleet.source.writing import append_good

    file = tmp_path / "tenants.yaml"
    file.write_text("fleet: msp\ntenants:\n")
    fleet, added, notes = append_good(file, importing.of_customers(customers).rows)
    assert added == ["riga-buro-co", "contoso", "contoso-bbbbbbbb", "tenant-cccccccc", "nul-dddddddd"]
    assert not notes
    assert len(fleet.problems) == 5
    assert all("companyCode is missing" in problem.message for problem in fleet.problems)
    _, added, notes = append_good(file, importing.of_customers(customers).rows)
    assert not added
    assert len(notes) == 5
