"""``place`` is one fresh place of each kind in turn, for the stories that every kind must tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stores import Place, in_azurite, in_postgres, in_s3


@pytest.fixture(params=["directory", "postgres", "azblob", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place of each kind, in which nothing was ever written."""
    made: dict[str, Callable[[], Place]] = {
        "directory": lambda: Place(f"file://{tmp_path / 'state'}"),
        "postgres": lambda: in_postgres(request.getfixturevalue("postgres")),
        "azblob": lambda: in_azurite(request.getfixturevalue("azurite")),
        "s3": lambda: in_s3(request.getfixturevalue("s3")),
    }
    return made[request.param]()
