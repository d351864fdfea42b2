"""What is wrong somewhere in a fleet file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
