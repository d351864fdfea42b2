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
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from provision.errors import InvalidInput, WouldOverwrite
from provision.fleet.source import Fleet, parse_fleet, read_bytes
from provision.fleet.source.document import Document, take_apart
from provision.fleet.source.fields import BY_NAME, FIELDS, KEY
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
        InvalidInput: the name is none, it is no YAML file's name, or cannot be written there.
    """
    if not re.fullmatch(KEY, name):
        raise InvalidInput(f"{name[:80]!r} is no name for a fleet.", remedy="Use 1 to 63 of a-z, 0-9 and hyphens.")
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


def append(path: Path, rows: Sequence[Row]) -> Fleet:
    """Puts rows after the last one; the file is the old or the new one at any moment.

    Args:
        path: the fleet file. Where its rows are in a table beside it, they go there.
        rows: to add.

    Returns:
        The fleet as it is now.

    Raises:
        InvalidInput: a row is wrong or clashes with another, or the file is written in a way that only a person can
            continue. Nothing was changed.
    """
    with _opened(path) as file:
        longer = file.with_rows(rows)
        if fresh := file.problems_beyond(longer):
            raise InvalidInput(f"Nothing was added: {_told(fresh[0])}", remedy=fresh[0].remedy)
        file.write(longer)
        return file.fleet(longer)


def append_good(path: Path, rows: Sequence[Row]) -> tuple[Fleet, list[str], list[str]]:
    """Puts those of the rows after the last one that are in order or only lack something, which ``validate`` names.

    Args:
        path: as with ``append``.
        rows: to add.

    Returns:
        The fleet as it is now, the keys that were added, and a sentence for each row that was not.

    Raises:
        InvalidInput: the file is written in a way that only a person can continue. Nothing was changed.
    """
    with _opened(path) as file:
        keys, places = file.known()
        left, notes = [], []
        for row in rows:
            if _one(row, "key") in keys or (_one(row, "tenant").lower(), _one(row, "profile")) in places:
                notes.append(f"{_one(row, 'key')} is left out: {path} has it already.")
            else:
                left.append(row)
        while left:
            longer = file.with_rows(left)
            lines = [raw.line for raw in file.raws(longer)[-len(left) :]]
            wrong: dict[int, Problem] = {}
            for problem in file.problems_beyond(longer):
                if "is missing" not in problem.message:
                    wrong.setdefault(max(bisect_right(lines, problem.line) - 1, 0), problem)
            if not wrong:
                file.write(longer)
                return file.fleet(longer), [_one(row, "key") for row in left], notes
            notes += [f"{_told(problem)} {problem.remedy}".rstrip() for problem in wrong.values()]
            left = [row for index, row in enumerate(left) if index not in wrong]
        return file.fleet(file.content), [], notes


class _File:
    """The file that the rows go into: the fleet file itself, or the table that it names.

    Args:
        path: the fleet file.
        content: its text.
        table: the table that it names.
    """

    def __init__(self, path: Path, content: str, table: Path | None) -> None:
        self._path = path
        self._fleet_text = content
        self._table = table
        self._target = table or path
        self.content = content if table is None else decode(read_bytes(table), str(table))
        self._is_table = self._target.suffix.lower() == ".csv"

    def fleet(self, text: str) -> Fleet:
        """The fleet, were this the file's text."""
        if self._table is not None:
            return parse_fleet(self._fleet_text, self._path, table=text)
        return parse_fleet(text, self._path)

    def raws(self, text: str) -> Sequence[Raw]:
        """The rows as they stand, were this the file's text."""
        return read_table(text, str(self._target)) if self._is_table else take_apart(text, str(self._target)).rows

    def known(self) -> tuple[set[str], set[tuple[str, str]]]:
        """The keys, and the tenants with their profiles, of all rows, also of those that cannot be used yet."""
        given = self._given(self.content)
        places = {((row.get("tenant") or ("",))[0].lower(), (row.get("profile") or ("",))[0]) for row in given}
        return {key for row in given for key in row.get("key", ())}, places

    def with_rows(self, rows: Sequence[Row]) -> str:
        """The text with the rows in it, and nothing else changed.

        Raises:
            InvalidInput: only a person can continue it.
        """
        if self._is_table:
            longer = _longer_table(self._target, self.content, rows)
        else:
            document = take_apart(self.content, str(self._target))
            longer = _lines_in(self.content, document, rows, self._target)
            if _parts(document) != _parts(take_apart(longer, str(self._target))):
                raise _by_hand(self._target)
        wanted = [{name: tuple(values) for name, values in row.items() if values} for row in rows]
        old, new = (self._given(text) for text in (self.content, longer))
        told_wrong = any(raw.problems for raw in self.raws(longer)[len(old) :])  # and refused for that, field by field
        if new[: len(old)] != old or (new[len(old) :] != wanted and not told_wrong):
            raise _by_hand(self._target)
        return longer

    def _given(self, text: str) -> list[dict[str, tuple[str, ...]]]:
        return [{name: given.texts for name, given in raw.given.items()} for raw in self.raws(text)]

    def problems_beyond(self, text: str) -> list[Problem]:
        """What is wrong with this text and was not with the file: with its new rows, or because of them."""
        known = {(problem.where, problem.message) for problem in self.fleet(self.content).problems}
        return [one for one in self.fleet(text).problems if (one.where, one.message) not in known]

    def write(self, text: str) -> None:
        """Puts it in the file's place."""
        _replace(self._target, text)


@contextmanager
def _opened(path: Path) -> Iterator[_File]:
    """A fleet file that nobody else adds to meanwhile."""
    with ExitStack() as until_done:
        until_done.enter_context(_alone(path))
        content = decode(read_bytes(path), str(path))
        table = None
        if path.suffix.lower() != ".csv" and (name := take_apart(content, str(path)).table) is not None:
            table = path.parent / name
            until_done.enter_context(_alone(table))
        yield _File(path, content, table)


def _by_hand(path: Path) -> InvalidInput:
    return InvalidInput(f"{path} is written in a way that cannot be continued here.", remedy=_BY_HAND)


def _one(row: Row, name: str) -> str:
    return next(iter(row.get(name, ())), "")


def _told(problem: Problem) -> str:
    return f"{problem.where}: {problem.message}"


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
    return content + ("" if content.endswith("\n") else ending) + stream.getvalue()


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
