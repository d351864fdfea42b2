"""``address`` is an empty store of each kind in turn, for the stories that both must tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision.fleet.store import FleetStore, open_fleet_store


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store in which nothing was ever written."""
    made: dict[str, Callable[[], str]] = {
        "sqlite": lambda: f"sqlite://{tmp_path / 'fleet.db'}",
        "postgres": lambda: _in_postgres(request.getfixturevalue("postgres")),
    }
    return made[request.param]()


@pytest.fixture
def store(address: str) -> Iterator[FleetStore]:
    opened = open_fleet_store(environ={"PROVISION_FLEET_STORE": address})
    yield opened
    opened.close()


def _in_postgres(server) -> str:
    return server.url(server.database())
