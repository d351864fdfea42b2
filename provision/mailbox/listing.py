"""Mailboxes in CSV: lists that people hand in, and tables that they open in a spreadsheet.

Owns: finding the column, naming bad rows by their line, and cells that no spreadsheet takes for a formula. Does not
own: which mailboxes there are.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from provision.errors import InvalidInput

COLUMNS = ("mailbox", "address", "email", "mail", "userprincipalname", "upn", "primarysmtpaddress", "emailaddress")
"""Headings under which addresses are looked for, in any letter case and with or without blanks; a file without one of
them has its addresses in the first column.
"""
_ADDRESS = re.compile(r"[^\s\x00-\x1f\x7f@<>\"(),:;\\\[\]]{1,64}@[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,253}[A-Za-z0-9])?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_ENCODING = "utf-8-sig"
"""UTF-8, with the mark that spreadsheets write before it or without."""


@dataclass(frozen=True)
class BadRow:
    """A row without an address."""

    line: int
    """Its line in the file, from 1."""
    text: str
    """What stands where the address should be."""


@dataclass(frozen=True)
class Listing:
    """A file's addresses, each once, in its order."""

    addresses: tuple[str, ...]
    bad: tuple[BadRow, ...]


def is_address(text: str) -> bool:
    """Whether it looks like a mailbox's address."""
    return len(text) <= 320 and _ADDRESS.fullmatch(text) is not None


def check_address(text: str) -> str:
    """The address itself, without blanks around it.

    Raises:
        InvalidInput: it is none.
    """
    if not is_address(text.strip()):
        raise InvalidInput(f"{text!r} is not a mailbox's address.", remedy="Write it like anna@contoso.com.")
    return text.strip()


def read_addresses(file: Path) -> Listing:
    """The addresses in a CSV file; bad rows are listed, and the rest counts. Commas, semicolons or tabs divide cells.

    Raises:
        InvalidInput: it cannot be read, or is no text.
    """
    try:
        text = file.read_text(encoding=_ENCODING)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.", remedy="Name a file that is there.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{file} is not UTF-8 text.", remedy="Save it as CSV UTF-8.") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    addresses: dict[str, str] = {}
    bad = []
    column: int | None = None
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if column is None:
                column = _column(row)
                if _is_heading(row):
                    continue
            cell = row[column].strip() if column < len(row) else ""
            cell = cell.removeprefix("'") if cell[1:2] in _FORMULA else cell  # as ``cell`` writes it
            if is_address(cell):
                addresses.setdefault(cell.lower(), cell)
            else:
                bad.append(BadRow(reader.line_num, cell[:80]))
    except csv.Error as error:
        raise InvalidInput(f"{file}, line {reader.line_num}: {error}.", remedy="Save it as CSV UTF-8.") from None
    return Listing(tuple(addresses.values()), tuple(bad))


def _column(heading: Sequence[str]) -> int:
    names = [cell.replace(" ", "").replace("-", "").replace("_", "").lower() for cell in heading]
    return next((names.index(name) for name in COLUMNS if name in names), 0)


def _is_heading(row: Sequence[str]) -> bool:
    """Whether the first row names columns: no cell of it is an address."""
    return not any(is_address(cell.strip()) for cell in row)


def write_table(stream: TextIO, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    """Writes CSV as the rows come; gives back how many.

    Args:
        stream: where to.
        headings: the first line.
        rows: cells; None is empty.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(headings)
    count = 0
    for row in rows:
        writer.writerow([cell(value) for value in row])
        count += 1
    return count


def cell(value: object) -> str:
    """A cell that a spreadsheet shows and does not compute: what looks like a formula gets a quote before it.

    Source: OWASP, "CSV Injection".
    """
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def lines(bad: Sequence[BadRow]) -> Iterator[str]:
    """Bad rows in words."""
    for row in bad:
        yield f"line {row.line}: {row.text!r} is not a mailbox's address" if row.text else f"line {row.line}: empty"
