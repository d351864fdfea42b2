"""Rows come into a file that people keep, and nothing else in it changes."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provision.errors import InvalidInput, WouldOverwrite
from provision.fleet.source import read_fleet
from provision.fleet.source.writing import Row, append, begin, row_of

ROW = row_of({"key": ["new"], "tenant": ["new.onmicrosoft.com"], "companyCode": ["NEW"], "groups": ["a", "b"]})
LINES = "- key: new\n  tenant: new.onmicrosoft.com\n  companyCode: NEW\n  groups: [a, b]\n"
FLEET = """\
# Kept by hand.
fleet:   customers   # ours
tenants:
    -   key: contoso   # the first
        companyCode: "ACME"
        tenant: contoso.onmicrosoft.com
        displayName: >-
          Mail
          of Contoso
        # groups: [north]

# The end.
defaults: {profile: cloudex}
"""


def write(folder: Path, text: str, name: str = "tenants.yaml") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


def indented(by: int) -> str:
    return "".join(f"{' ' * by}{line}\n" for line in LINES.splitlines())


def test_a_new_file_is_read_and_takes_its_first_row(tmp_path: Path) -> None:
    file = tmp_path / "tenants.yaml"
    assert [one.name for one in begin(file, "customers")] == ["tenants.yaml", "fleet.schema.json"]
    assert read_fleet(file).tenants == ()
    before = file.read_text()
    append(file, [ROW])
    assert file.read_text() == before + indented(2)
    assert [one.key for one in read_fleet(file).tenants] == ["new"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    file = write(tmp_path, "mine")
    with pytest.raises(WouldOverwrite):
        begin(file, "customers")
    assert file.read_text() == "mine"
    (tmp_path / "fleet.schema.json").write_text("older")
    assert begin(tmp_path / "other.yaml", "customers") == [tmp_path / "other.yaml"]
    assert (tmp_path / "fleet.schema.json").read_text() == "older"


def test_comments_order_and_indentation_stay(tmp_path: Path) -> None:
    file = write(tmp_path, FLEET)
    fleet = append(file, [ROW])
    assert [one.key for one in fleet.tenants] == ["contoso", "new"]
    assert file.read_text() == FLEET.replace("# groups: [north]\n", "# groups: [north]\n" + indented(4))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("fleet: a\ntenants: []  # none yet\n", "fleet: a\ntenants:   # none yet\n" + indented(2)),
        ("fleet: a\ntenants:\n", "fleet: a\ntenants:\n" + indented(2)),
        ("fleet: a\ntenants:", "fleet: a\ntenants:\n" + indented(2)),
        ("fleet: a\ntenants: null\n", "fleet: a\ntenants:\n" + indented(2)),
        ("tenants:\n# none\nfleet: a\n", "tenants:\n" + indented(2) + "# none\nfleet: a\n"),
        (
            "fleet: a\ntenants:\n- {key: b, tenant: b.onmicrosoft.com, companyCode: B}",
            "fleet: a\ntenants:\n- {key: b, tenant: b.onmicrosoft.com, companyCode: B}\n" + LINES,
        ),
    ],
)
def test_a_row_finds_its_place_however_the_list_begins(tmp_path: Path, text: str, after: str) -> None:
    file = write(tmp_path, text)
    append(file, [ROW])
    assert file.read_text() == after


def test_line_ends_mark_permissions_and_link_stay(tmp_path: Path) -> None:
    file = tmp_path / "kept.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + FLEET.replace("\n", "\r\n").encode())
    file.chmod(0o640)
    link = tmp_path / "tenants.yaml"
    link.symlink_to(file)
    append(link, [ROW])
    content = file.read_bytes()
    assert content.startswith(b"\xef\xbb\xbf#")
    assert content.count(b"\n") == content.count(b"\r\n") == FLEET.count("\n") + 4
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"key": ["contoso"]}, "key contoso is that of the row contoso"),
        ({"tenant": ["contoso.onmicrosoft.com"]}, "tenant contoso.onmicrosoft.com is that of"),
        ({"companyCode": ["acme"]}, "only in letter case"),
        ({"companyCode": []}, "companyCode is missing"),
        ({"key": ["a: b\n- c"]}, "U+000A"),
        ({"displayName": ["x' }\r  evil: y"]}, "U+000D"),
        ({"sinks": ["vault:x#abc8Q~hgfedcbaHGFEDCBA0123456789zyxwvuts"]}, "this is a secret itself"),
    ],
)
def test_a_row_that_is_wrong_or_makes_another_wrong_is_not_added(
    tmp_path: Path, values: dict[str, list[str]], sentence: str
) -> None:
    file = write(tmp_path, FLEET)
    with pytest.raises(InvalidInput, match="Nothing was added") as refused:
        append(file, [row_of(dict(ROW) | values)])
    assert sentence in str(refused.value)
    assert file.read_text() == FLEET
    assert [one.name for one in tmp_path.iterdir()] == ["tenants.yaml"]


def test_text_that_yaml_takes_for_something_else_comes_back_as_it_was(tmp_path: Path) -> None:
    file = write(tmp_path, "fleet: a\ntenants:\n")
    texts = ["0123", "NO", "null", "1e3", "it's: #1 {x}", "- a", "&a", "*a", "%", "'", '"', "true", "~"]
    rows: list[Row] = [
        row_of({"key": [f"k{n}"], "tenant": [f"t{n}.com"], "companyCode": [f"C{n}"], "displayName": [one]})
        for n, one in enumerate(texts)
    ]
    assert [one.settings["displayName"] for one in append(file, rows).tenants] == texts


@pytest.mark.parametrize(
    "text",
    [
        "fleet: a\ntenants: [{key: b, tenant: b.onmicrosoft.com, companyCode: B}]\n",
        '{"fleet": "a", "tenants": []}\n',
    ],
)
def test_a_file_that_only_a_person_can_continue_stays_as_it_is(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InvalidInput, match=r"by hand|YAML"):
        append(file, [ROW])
    assert file.read_text() == text


def test_rows_that_were_wrong_before_do_not_stand_in_the_way(tmp_path: Path) -> None:
    file = write(tmp_path, "fleet: a\ntenants:\n- key: Bad\n")
    assert [one.key for one in append(file, [ROW]).tenants] == ["new"]
    assert len(read_fleet(file).problems) == 2


def test_many_who_add_at_once_all_find_their_rows_there(tmp_path: Path) -> None:
    file = write(tmp_path, FLEET)

    def add(number: int) -> None:
        append(file, [row_of({"key": [f"k{number}"], "tenant": [f"t{number}.com"], "companyCode": [f"C{number}"]})])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert sorted(one.key for one in read_fleet(file).tenants) == sorted(["contoso", *(f"k{n}" for n in range(24))])


def test_a_table_takes_a_row_in_its_own_columns(tmp_path: Path) -> None:
    table = write(tmp_path, "Company Code;key;tenant;groups;displayName\r\nACME;contoso;contoso.com;;\r\n", "c.csv")
    append(table, [row_of(dict(ROW) | {"displayName": ["=Mail"]})])
    assert table.read_text().splitlines()[-1] == "NEW;new;new.onmicrosoft.com;a b;'=Mail"
    assert read_fleet(table).tenants[1].settings == {"displayName": "=Mail"}
    with pytest.raises(InvalidInput, match="no column mailboxes"):
        append(table, [row_of({"key": ["x"], "tenant": ["x.com"], "mailboxes": ["a@b.com"]})])


def test_a_row_goes_into_the_table_that_the_fleet_file_names(tmp_path: Path) -> None:
    table = write(tmp_path, "key,tenant,companyCode,groups,credential\n", "c.csv")
    file = write(tmp_path, "fleet: a\ncredentials: {own: {method: azure-cli}}\ntenants: c.csv\n")
    fleet = append(file, [row_of(dict(ROW) | {"credential": ["own"]})])
    assert [one.key for one in fleet.tenants] == ["new"]
    assert table.read_text().endswith("new,new.onmicrosoft.com,NEW,a b,own\n")
    with pytest.raises(InvalidInput, match="there is no credential other"):
        append(file, [row_of({"key": ["x"], "tenant": ["x.com"], "companyCode": ["X"], "credential": ["other"]})])
