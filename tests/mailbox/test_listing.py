"""CSV in and out: whatever a spreadsheet makes of a list, bad rows are named and no cell becomes a formula."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from provision.errors import InvalidInput
from provision.mailbox.listing import BadRow, cell, check_address, is_address, read_addresses


def listing(tmp_path: Path, text: str | bytes) -> tuple[tuple[str, ...], tuple[BadRow, ...]]:
    file = tmp_path / "people.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = read_addresses(file)
    return found.addresses, found.bad


@pytest.mark.parametrize(
    "text",
    [
        "Name,Mailbox\nAnna,anna@contoso.example\nBen,ben@contoso.example\n",
        "\ufeffDisplay name;Primary SMTP Address\r\nAnna;anna@contoso.example\r\nBen;ben@contoso.example\r\n",
        "User principal name\tRole\nanna@contoso.example\tx\nben@contoso.example\ty\n",
        "anna@contoso.example\nben@contoso.example\n",
        'E-mail\n"anna@contoso.example"\n\n ben@contoso.example \nANNA@contoso.example\n',
    ],
)
def test_lists_as_people_have_them(tmp_path: Path, text: str) -> None:
    addresses, bad = listing(tmp_path, text)
    assert addresses == ("anna@contoso.example", "ben@contoso.example")
    assert bad == ()


def test_bad_rows_are_named_by_line_and_the_rest_counts(tmp_path: Path) -> None:
    text = 'Name,Mailbox\nA,anna@contoso.example\nB,not an address\n"two\nlines",ben@contoso.example\nshort\nC,@x\n'
    addresses, bad = listing(tmp_path, text)
    assert addresses == ("anna@contoso.example", "ben@contoso.example")
    assert bad == (BadRow(3, "not an address"), BadRow(6, ""), BadRow(7, "@x"))


def test_what_is_no_text_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        listing(tmp_path, b"Mailbox\n\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_addresses(tmp_path / "none.csv")


@pytest.mark.parametrize("text", ["=1+1", "+a@b.example", "-a@b.example", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"
    written = io.StringIO()
    csv.writer(written).writerow([cell(text)])
    assert next(csv.reader([written.getvalue()]))[0].startswith("'")


def test_a_cell_that_was_made_harmless_is_read_back(tmp_path: Path) -> None:
    assert listing(tmp_path, f"Mailbox\n{cell('+anna@contoso.example')}\n")[0] == ("+anna@contoso.example",)


@pytest.mark.parametrize(
    "text", ["anna@contoso.example", "o'brien@contoso.example", "a+b=c@sub.contoso.example", "x@y"]
)
def test_addresses(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text", ["", "anna", "a b@x.example", "a@b@c", "a@", "@b", "a@b\n", "<a@b>", "a@b.", "a\u0000@b"]
)
def test_no_addresses(text: str) -> None:
    assert not is_address(text)


def test_an_address_on_the_command_line_is_checked() -> None:
    assert check_address(" anna@contoso.example ") == "anna@contoso.example"
    with pytest.raises(InvalidInput, match="Get-CASMailbox"):
        check_address("Get-CASMailbox | Remove-Mailbox")
