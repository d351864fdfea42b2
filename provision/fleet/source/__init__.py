"""The fleet file: every tenant a row, in YAML (``tenants.yaml``) or CSV, read with the line of every mistake.

Owns: what a fleet file may hold (``fields``), reading it (``nodes`` for YAML, ``table`` for CSV), what is wrong with a
row (``rows``), and writing rows (``writing``). Does not own: which of the rows a command means (``fleet.selection``).

A file comes from people and from programs that export, so nothing in it is trusted: a bad row is a ``Problem`` with its
line and never stops the others; a file that is none at all is refused.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provision.errors import InvalidInput
from provision.fleet.tenant import Tenant


@dataclass(frozen=True)
class Problem:
    """Something in a fleet file that cannot be used; no secret is in it."""

    line: int
    """From 1."""
    where: str
    """The row and the field, as in ``contoso, companyCode``."""
    message: str
    """One sentence: what is wrong."""
    remedy: str = ""
    path: Path | None = None
    """The file, where it is another than the fleet's own (a CSV that ``tenants:`` names)."""


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
    del environ
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = [Tenant(row["key"], row["tenant"], company_code=row.get("companyCode")) for row in found["tenants"]]
        return Fleet(found["fleet"], tuple(rows), (), path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise InvalidInput(f"{path} is not a fleet file.", remedy="See docs/fleet.md.") from None
