"""Servers that ``make servers`` built from their Go modules, each started by the test that needs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_INSTALL = Path(__file__).parents[3] / "scripts" / "install-go-server"


def installed(name: str, program: str) -> Path:
    """A built program; a missing one fails the test, it is never skipped."""
    where = subprocess.run(["sh", str(_INSTALL), name, "where"], capture_output=True, text=True, check=True).stdout
    path = Path(where.strip()) / program
    assert os.access(path, os.X_OK), f"{path} is missing: run `make servers`"
    return path
