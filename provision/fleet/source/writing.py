"""Rows into a fleet file: a new file to begin with, and further rows in one that people keep.

Owns: how a row is written, where in the file it goes, and that nothing else in it changes. Does not own: where rows
come from (``fleet.importing``).

A file that people keep has their comments and their order in it, so it is not written anew from what was read: the new
rows' lines are put in after the last row, and the result is read again before it takes the file's place. Whatever would
not be the old rows and the new ones is not written.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from provision.errors import InvalidInput, WouldOverwrite
from provision.fleet.source import Fleet, parse_fleet, read_bytes
from provision.fleet.source.document import Document, take_apart
from provision.fleet.source.fields import BY_NAME, FIELDS
from provision.fleet.source.lettering import complaint
from provision.fleet.source.nodes import Scalar, decode
from provision.fleet.source.nodes import Sequence as List
from provision.fleet.source.problem import Problem
from provision.fleet.source.raw import Raw, nearest
from provision.fleet.source.schema import FILE_NAME, text
from provision.fleet.source.table import delimiter_of, read_table
from provision.mailbox.listing import cell

Row = Mapping[str, Sequence[str]]
"""A row to write: the field's name and its values."""

_PLAIN = re.compile(r"[A-Za-z_](?:[A-Za-z0-9_.@/-]*[A-Za-z0-9_])?")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
"""What one version of YAML or the other takes for something else than text."""
_BY_HAND = "Add the row by hand; `provision fleet validate` reads it."


def begin(path: Path, name: str) -> list[Path]:
    """Writes a fleet file to begin with, and the schema for editors beside it, where there is none.

    Args:
        path: a new file.
        name: the fleet's name.

    Returns:
        What was written.

    Raises:
        WouldOverwrite: there is a file of that name.
        InvalidInput: it is no YAML file's name, or cannot be written there.
    """
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise InvalidInput(f"{path} is no name for a YAML file.", remedy="Let it end with .yaml.")
    try:
        _new(path, _template(name))
    except FileExistsError:
        raise WouldOverwrite(f"{path} is already there.", remedy="Name another file with --file.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.", remedy="Name another folder.") from None
    written = [path]
    with suppress(OSError):  # an older schema, or a folder that takes no second file: the fleet file does without
        _new(path.parent / FILE_NAME, text())
        written.append(path.parent / FILE_NAME)
    return written


def _new(path: Path, content: str) -> None:
    with path.open("x", encoding="utf-8") as stream:
        stream.write(content)


def _template(name: str) -> str:
    fields = "\n".join(f"#   {field.name + ':':<17} {field.about}" for field in FIELDS)
    return f"""\
# yaml-language-server: $schema={FILE_NAME}
# A fleet of Microsoft 365 tenants, a row for each; no secret ever stands here. `provision fleet validate` reads it.
fleet: {name}

# What counts where a tenant says nothing.
defaults:
  profile: cloudex

# Ways to sign in, by name, and where a secret is: env:NAME, file:/path, keyvault:https://VAULT/secrets/NAME or
# vault:MOUNT/PATH#FIELD. One entry may inherit from another.
# credentials:
#   partner:
#     method: client-secret
#     clientId: 00000000-0000-0000-0000-000000000000
#     secret: env:PARTNER_CLIENT_SECRET

# A tenant's fields:
{fields}
tenants:
"""


def append(path: Path, rows: Sequence[Row], *, unfinished: bool = False) -> Fleet:
    """Puts rows after the last one; the file is the old or the new one at any moment.

    Args:
        path: the fleet file. Where its rows are in a table beside it, they go there.
        rows: to add.
        unfinished: whether a row may still lack something (a company code), which ``validate`` then names.

    Returns:
        The fleet as it is now.

    Raises:
        InvalidInput: a row is wrong or clashes with another, or the file is written in a way that only a person can
            continue. Nothing was changed.
    """
    with _alone(path):
        content = decode(read_bytes(path), str(path))
        if path.suffix.lower() == ".csv":
            longer = _longer_table(path, content, rows)
            fleet = parse_fleet(longer, path)
            _require_no_worse(parse_fleet(content, path), fleet, unfinished=unfinished)
            _replace(path, longer)
            return fleet
        document = take_apart(content, str(path))
        if document.table is not None:
            table = path.parent / document.table
            with _alone(table):
                before = decode(read_bytes(table), str(table))
                longer = _longer_table(table, before, rows)
                fleet = parse_fleet(content, path, table=longer)
                _require_no_worse(parse_fleet(content, path, table=before), fleet, unfinished=unfinished)
                _replace(table, longer)
            return fleet
        longer = _lines_in(content, document, rows, path)
        changed = take_apart(longer, str(path))
        _require_same(document.rows, changed.rows, rows, path)
        if (_parts(document)) != _parts(changed):
            raise InvalidInput(f"{path} is written in a way that cannot be continued here.", remedy=_BY_HAND)
        fleet = parse_fleet(longer, path)
        _require_no_worse(parse_fleet(content, path), fleet, unfinished=unfinished)
        _replace(path, longer)
        return fleet


def _parts(document: Document) -> tuple[object, ...]:
    shared = [document.defaults, *document.credentials]
    return document.name, [{name: given.texts for name, given in raw.given.items()} for raw in shared]


def _lines_in(content: str, document: Document, rows: Sequence[Row], path: Path) -> str:
    """The file with the rows' lines in it."""
    lines = content.splitlines(keepends=True)
    ending = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    node = document.root.get("tenants")
    key = next(name for name, _ in document.root.entries if name.text == "tenants")
    dash = 2
    if isinstance(node, List) and node.items:
        found = re.match(r"( *)-", lines[node.line - 1])
        if node.flow or found is None:
            raise InvalidInput(f"{path}:{node.line}: the tenants are not written one below another.", remedy=_BY_HAND)
        dash = len(found[1])
        after = node.end
        while after < len(lines) and re.match(rf" {{{dash + 1},}}#", lines[after]):
            after += 1  # a comment that belongs to the last row
    else:
        after = key.line
        if isinstance(node, List):
            lines[after - 1] = re.sub(r"\[\s*\]", "", lines[after - 1], count=1)
        elif isinstance(node, Scalar) and node.text:
            lines[after - 1] = re.sub(r"(tenants['\"]?\s*:)\s*(~|null)", r"\1", lines[after - 1], flags=re.IGNORECASE)
        lines[after - 1] = re.sub(r":[ \t]+(\r?\n)", r":\1", lines[after - 1])
    if lines and not lines[after - 1].endswith("\n"):
        lines[after - 1] += ending
    new = [line.replace("\n", ending) for row in rows for line in _row_lines(row, dash)]
    return "".join([*lines[:after], *new, *lines[after:]])


def _row_lines(row: Row, dash: int) -> Iterator[str]:
    lead = " " * dash + "- "
    for field in FIELDS:
        if field.name in row:
            values = row[field.name]
            one = not field.many and len(values) == 1
            shown = _written(values[0]) if one else f"[{', '.join(map(_written, values))}]" if field.many else ""
            yield f"{lead}{field.name}: {shown}".rstrip() + "\n"
            lead = " " * (dash + 2)


def _written(text: str) -> str:
    """One text in YAML; what could be taken for something else has quotes."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if (text.isdecimal() and not text.startswith("0")) or text in ("true", "false"):
        return text
    return "'" + text.replace("'", "''") + "'"


def _longer_table(path: Path, content: str, rows: Sequence[Row]) -> str:
    """A table with further rows in it, in its own columns."""
    found = read_table(content, str(path))
    headings, delimiter = delimiter_of(content)
    if missing := sorted({name for row in rows for name in row if row[name]} - set(headings)):
        raise InvalidInput(
            f"{path} has no column {', '.join(missing)}.", remedy="Add the column in a spreadsheet, or leave it out."
        )
    ending = "\r\n" if "\r\n" in content else "\n"
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=ending)
    for row in rows:
        writer.writerow([cell(" ".join(row.get(name, ()))) for name in headings])
    longer = content + ("" if content.endswith("\n") else ending) + stream.getvalue()
    _require_same(found, read_table(longer, str(path)), rows, path)
    return longer


def _require_same(before: Sequence[Raw], after: Sequence[Raw], rows: Sequence[Row], path: Path) -> None:
    """Refuses a text that does not read as the old rows and the new ones."""
    wanted = [{name: tuple(values) for name, values in row.items() if values} for row in rows]
    old = [{name: given.texts for name, given in raw.given.items()} for raw in before]
    new = [{name: given.texts for name, given in raw.given.items()} for raw in after]
    told_wrong = any(raw.problems for raw in after[len(before) :])  # and refused for that, field by field
    if new[: len(old)] != old or (new[len(old) :] != wanted and not told_wrong):
        raise InvalidInput(f"{path} is written in a way that cannot be continued here.", remedy=_BY_HAND)


def _require_no_worse(before: Fleet, after: Fleet, *, unfinished: bool) -> None:
    """Refuses rows that are wrong themselves or that make others wrong."""
    known = {(problem.where, problem.message) for problem in before.problems}
    fresh = [problem for problem in after.problems if (problem.where, problem.message) not in known]
    if unfinished:
        fresh = [problem for problem in fresh if "is missing" not in problem.message]
    if fresh:
        raise InvalidInput(f"Nothing was added: {told(fresh[0])}", remedy=fresh[0].remedy)


def told(problem: Problem) -> str:
    """A problem in one sentence, without its line."""
    return f"{problem.where}: {problem.message}"


def row_of(values: Mapping[str, Sequence[str]]) -> Row:
    """A row with the fields that the values name, in the order of the table; empty ones are left out.

    Raises:
        InvalidInput: there is no such field, or a value cannot stand in one line.
    """
    for name, texts in values.items():
        if name not in BY_NAME:
            near = nearest(name, BY_NAME) or f"Fields: {', '.join(BY_NAME)}."
            raise InvalidInput(f"Nothing was added: a fleet file has no field {name}.", remedy=near)
        if strange := next(filter(None, map(complaint, texts)), None):
            raise InvalidInput(f"Nothing was added: {name} {strange}.", remedy="Type it anew instead of pasting it.")
    return {field.name: tuple(values[field.name]) for field in FIELDS if values.get(field.name)}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds a fleet file against another command that adds to it. The lock is the file's own, so a file that was put in
    its place meanwhile is locked anew.
    """
    while True:
        try:
            stream = path.open("r+b")
        except OSError as error:
            raise InvalidInput(
                f"The fleet file {path} cannot be written: {error.strerror}.",
                remedy="Name it with --file, or write one to begin with: provision fleet init",
            ) from None
        with stream:
            if sys.platform != "win32":
                import fcntl

                fcntl.flock(stream, fcntl.LOCK_EX)
                if not _is_still(path, stream.fileno()):
                    continue
            yield
            return


def _is_still(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        return False


def _replace(path: Path, content: str) -> None:
    """Puts a text in a file's place as a whole, with the mark and the permissions that it had."""
    target = path.resolve()  # a link stays one
    mark = b"\xef\xbb\xbf" if target.read_bytes()[:3] == b"\xef\xbb\xbf" else b""
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InvalidInput(
            f"{target.parent} cannot be written: {error.strerror}.", remedy="Correct its permissions, then run again."
        ) from None
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(mark + content.encode())
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(target.stat().st_mode & 0o777)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
