"""Tenants in CSV, as spreadsheets and other programs write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.fleet.source import Fleet, read_fleet

ROW = "contoso,contoso.onmicrosoft.com,ACME"


def read(folder: Path, text: str | bytes) -> Fleet:
    file = folder / "My Customers.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_fleet(file, environ={})


@pytest.mark.parametrize(
    "text",
    [
        f"key,tenant,companyCode\n{ROW}\n",
        f"\ufeffKey,Tenant,Company Code\r\n{ROW}\r\n".encode(),
        f"key,tenant,company_code\n{ROW}\n".replace(",", ";"),
        f"key,tenant,companyCode\n{ROW}\n".replace(",", "\t"),
        f"sep=;\nkey,tenant,companyCode\n{ROW}\n".replace(",", ";"),
        'key,tenant,companyCode\n"contoso","contoso.onmicrosoft.com","ACME"\n',
    ],
)
def test_commas_semicolons_tabs_and_marks_are_all_read(tmp_path: Path, text: str | bytes) -> None:
    fleet = read(tmp_path, text)
    assert fleet.name == "my-customers"
    assert not fleet.problems
    assert [(one.key, one.tenant, one.company_code) for one in fleet.tenants] == [
        ("contoso", "contoso.onmicrosoft.com", "ACME")
    ]


def test_a_list_is_one_cell(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f"key,tenant,companyCode,groups,mailboxes\n{ROW},north south,a@b.com; c@b.com\n").tenants
    assert row.groups == ("north", "south")
    assert row.mailboxes == ("a@b.com", "c@b.com")


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "+1", "-2", "@SUM(A1)", '"\t=1"'])
def test_a_cell_that_a_spreadsheet_would_compute_is_refused(tmp_path: Path, cell: str) -> None:
    fleet = read(tmp_path, f"key,tenant,companyCode,displayName\n{ROW},{cell}\nb,b.onmicrosoft.com,B,\n")
    assert [one.key for one in fleet.tenants] == ["b"]
    assert [(one.line, one.where) for one in fleet.problems] == [(2, "contoso, displayName")]
    assert "begins like a formula" in fleet.problems[0].message


def test_a_quote_before_it_makes_it_text(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f"key,tenant,companyCode,displayName\n{ROW},'=Mail\n").tenants
    assert row.settings == {"displayName": "=Mail"}


def test_lines_are_those_of_the_file_also_after_a_cell_of_several(tmp_path: Path) -> None:
    fleet = read(tmp_path, 'key,tenant,companyCode\na,"a\nb",A\n\nX,x.onmicrosoft.com,X\n')
    assert [problem.line for problem in fleet.problems] == [2, 5]


def test_a_quote_that_is_not_closed_leaves_the_rows_before_it(tmp_path: Path) -> None:
    fleet = read(tmp_path, f'key,tenant,companyCode\n{ROW}\nb,"b.onmicrosoft.com,B\nc,c,C\n')
    assert [one.key for one in fleet.tenants] == ["contoso"]
    assert [problem.line for problem in fleet.problems] == [3]
    assert "from here on this is no CSV" in fleet.problems[0].message


def test_more_cells_than_columns_are_a_problem(tmp_path: Path) -> None:
    fleet = read(tmp_path, f"key,tenant,companyCode\n{ROW},north\n")
    assert "4 cells for 3 columns" in fleet.problems[0].message
    assert not fleet.tenants


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no headings"),
        (f"key,tenant,kompanyCode\n{ROW}\n", "'kompanyCode' is no field. Did you mean companyCode"),
        (f"key,tenant,Tenant\n{ROW}\n", "the column tenant stands twice"),
        (f"key,tenant,\n{ROW}\n", "a column has no heading"),
        (b"key,tenant,displayName\ncontoso,contoso.onmicrosoft.com,R\xeega\n", "Windows-1252"),
    ],
)
def test_a_table_without_sense_is_refused_as_a_whole(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(tmp_path, text)
    assert sentence in str(refused.value)


def test_defaults_and_credentials_in_yaml_serve_a_table_beside_it(tmp_path: Path) -> None:
    (tmp_path / "customers.csv").write_text(f"key,tenant,companyCode\n{ROW}\nX,x.onmicrosoft.com,X\n")
    (tmp_path / "tenants.yaml").write_text(
        "fleet: msp\n"
        "defaults: {credential: workload-identity, secretMonths: 6, displayNam: x}\n"
        "tenants: customers.csv\n"
    )
    fleet = read_fleet(tmp_path / "tenants.yaml")
    assert [(one.key, one.line, one.settings) for one in fleet.tenants] == [("contoso", 2, {"secretMonths": "6"})]
    assert [(one.path and one.path.name, one.line) for one in fleet.problems] == [(None, 2), ("customers.csv", 3)]
