"""Journeys: whole stories on the real engine and the local tenant, through the command line as a person uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from trial import Trial

from provision.sandbox import Sandbox


@pytest.fixture
def trial(sandbox: Sandbox, tmp_path: Path) -> Iterator[Trial]:
    """A fresh tenant with a project and a stack of its own."""
    made = Trial(sandbox, tmp_path / "project")
    yield made
    sandbox.clear_faults()
    made.close()
