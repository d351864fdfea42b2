"""The fleet file: every tenant a row, in YAML (``tenants.yaml``) or CSV, read with the line of every mistake.

Owns: what a fleet file may hold (``fields``), reading it (``nodes`` for YAML, ``table`` for CSV), what is wrong with a
row (``rows``), and writing rows (``writing``). Does not own: which of the rows a command means (``fleet.selection``).

A file comes from people and from programs that export, so nothing in it is trusted: a bad row is a ``Problem`` with its
line and never stops the others; a file that is none at all is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from provision.errors import InvalidInput
from provision.fleet.source.document import take_apart
from provision.fleet.source.entries import Credentials
from provision.fleet.source.nodes import LARGEST, decode
from provision.fleet.source.problem import Problem
from provision.fleet.source.raw import Raw
from provision.fleet.source.rows import Rows
from provision.fleet.source.table import read_table
from provision.fleet.tenant import Tenant

__all__ = ["Fleet", "Problem", "parse_fleet", "read_bytes", "read_fleet"]


@dataclass(frozen=True)
class Fleet:
    """A fleet file that was read."""

    name: str
    """The fleet's name; its store, logs and leases are called so."""
    tenants: tuple[Tenant, ...]
    """Every row without a mistake, in the file's order."""
    problems: tuple[Problem, ...]
    """What is wrong with the others, in the file's order."""
    path: Path


def read_fleet(path: Path, *, environ: Mapping[str, str] = os.environ) -> Fleet:
    """Reads a fleet file: CSV where its name ends so, else YAML.

    Args:
        path: the file.
        environ: the settings; nothing secret is read from them.

    Raises:
        InvalidInput: there is no such file, or it is no fleet file as a whole. A bad row is a ``Problem`` instead.
    """
    del environ  # the file says all
    return parse_fleet(decode(read_bytes(path), str(path)), path)


def parse_fleet(text: str, path: Path, *, table: str | None = None) -> Fleet:
    """Reads a fleet file's text.

    Args:
        text: what stands in it.
        path: its name, and where a table and profiles beside it are.
        table: what stands in the table that it names; read from there without it.

    Raises:
        InvalidInput: as ``read_fleet``.
    """
    source = str(path)
    if path.suffix.lower() == ".csv":
        return _fleet(_name_of(path), path, Raw(1, "defaults"), (), read_table(text, source))
    document = take_apart(text, source)
    if document.table is None:
        return _fleet(document.name, path, document.defaults, document.credentials, document.rows)
    beside = path.parent / document.table
    rows = read_table(decode(read_bytes(beside), str(beside)) if table is None else table, str(beside))
    return _fleet(document.name, path, document.defaults, document.credentials, rows, table=beside)


def _fleet(
    name: str,
    path: Path,
    defaults: Raw,
    credentials: tuple[Raw, ...],
    raws: tuple[Raw, ...],
    *,
    table: Path | None = None,
) -> Fleet:
    usable = Credentials(credentials)
    rows = Rows(defaults, usable, path.absolute().parent)
    for raw in raws:
        rows.add(raw)
    shared = sorted([*defaults.problems, *usable.problems], key=lambda problem: problem.line)
    if table is not None:
        own = [replace(problem, path=table) for problem in rows.problems]
        return Fleet(name, rows.tenants, (*shared, *own), path)
    return Fleet(name, rows.tenants, tuple(sorted([*shared, *rows.problems], key=lambda problem: problem.line)), path)


def read_bytes(path: Path) -> bytes:
    """A fleet file, one byte more than it may have at most.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise InvalidInput(
            f"The fleet file {path} cannot be read: {error.strerror}.",
            remedy="Name it with --file, or write one to begin with: provision fleet init",
        ) from None


def _name_of(path: Path) -> str:
    """A CSV's fleet is called like the file."""
    return re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-")[:63].strip("-") or "fleet"
