"""Tenants as a table: CSV, one row each, a column for each field.

Owns: finding delimiter and columns, cells that a spreadsheet would compute, and lines. Does not own: what rows mean
(``rows``).

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is a formula to a spreadsheet (OWASP, "CSV Injection") and no value
of any field. Where one is meant as text it has a quote before it, as spreadsheets and our own tables write it.
"""

from __future__ import annotations

import csv
import re

from provision.errors import InvalidInput
from provision.fleet.source.document import divided
from provision.fleet.source.fields import BY_NAME, KEY
from provision.fleet.source.raw import Given, Raw, nearest

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_CELL = 64 * 1024


def read_table(text: str, source: str) -> tuple[Raw, ...]:
    """The rows of a CSV file.

    Args:
        text: the file.
        source: what to call it in messages.

    Raises:
        InvalidInput: it has no headings, or one that is no field.
    """
    lines = text.splitlines(keepends=True)
    delimiter, skipped = _delimiter(lines)
    reader = csv.reader(lines[skipped:], delimiter=delimiter, strict=True)
    csv.field_size_limit(_LONGEST_CELL)
    names: list[str] | None = None
    found: list[Raw] = []
    begun = skipped + 1
    try:
        for cells in reader:
            line, begun = begun, reader.line_num + skipped + 1
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = _headings(cells, line, source)
            else:
                found.append(_row(cells, names, line, len(found) + 1))
    except csv.Error as error:
        raw = Raw(begun, f"tenant {len(found) + 1}")
        raw.refuse(None, begun, f"from here on this is no CSV: {error}.", "Look for a quote that is not closed.")
        found.append(raw)
    if names is None:
        raise InvalidInput(
            f"{source} has no headings.", remedy=f"Name the columns in its first line: {', '.join(BY_NAME)}."
        )
    return tuple(found)


def delimiter_of(text: str) -> tuple[list[str], str]:
    """The columns of a table that was read before, in its order, and what divides its cells."""
    lines = text.splitlines(keepends=True)
    delimiter, skipped = _delimiter(lines)
    heading = next(row for row in csv.reader(lines[skipped:], delimiter=delimiter) if any(cell.strip() for cell in row))
    return _headings(heading, 1, ""), delimiter


def _delimiter(lines: list[str]) -> tuple[str, int]:
    """What divides the cells, and how many lines before the headings say only that (``sep=;``, for spreadsheets)."""
    if lines and (told := re.fullmatch(r"sep=(.)\s*", lines[0])):
        return told[1], 1
    first = next((line for line in lines if line.strip()), "")
    return max(",;\t", key=first.count), 0


def _headings(cells: list[str], line: int, source: str) -> list[str]:
    folded = {name.lower(): name for name in BY_NAME}
    names = []
    for cell in cells:
        heading = re.sub(r"[\s_-]", "", cell).lower()
        if heading not in folded:
            what = f"the column {cell.strip()[:60]!r} is no field" if heading else "a column has no heading"
            raise InvalidInput(
                f"{source}:{line}: {what}.", remedy=nearest(cell, BY_NAME) or f"Columns: {', '.join(BY_NAME)}."
            )
        names.append(folded[heading])
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InvalidInput(f"{source}:{line}: the column {twice} stands twice.", remedy="Keep one of them.")
    return names


def _row(cells: list[str], names: list[str], line: int, number: int) -> Raw:
    values = dict(zip(names, cells, strict=False))
    key = values.get("key", "").strip()
    raw = Raw(line, key if re.fullmatch(KEY, key) else f"tenant {number}")
    if len(cells) > len(names) and any(cell.strip() for cell in cells[len(names) :]):
        raw.refuse(
            None, line, f"the row has {len(cells)} cells for {len(names)} columns.", "Put a quote around commas."
        )
    for name, cell in values.items():
        text = cell.strip(" ")
        if text.startswith(_FORMULA):
            raw.refuse(
                name,
                line,
                "the cell begins like a formula, which a spreadsheet would compute.",
                "Take the sign away, or write a ' before it if it is text.",
            )
            continue
        text = text.removeprefix("'") if text[1:2] in _FORMULA else text
        if text.strip():
            raw.add(name, Given(divided(text) if BY_NAME[name].many else (text,), line), BY_NAME)
    return raw
