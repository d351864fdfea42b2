"""A fleet without tenants yet, with a store and an environment of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from customers import Fleet

from provision.fleet.store import open_fleet_store
from provision.sandbox import Sandbox


@pytest.fixture
def fleet(sandbox: Sandbox, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet without tenants yet."""
    trusted = str(sandbox.ca_file)
    own = ("ARM_", "AZURE_", "PULUMI_", "PROVISION_")
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(own)},
        # Where the engine is: elsewhere it would be built a second time.
        **{name: os.environ[name] for name in ("PROVISION_CACHE", "PROVISION_ENGINE") if name in os.environ},
        "PROVISION_DATA": str(tmp_path / "data"),
        "PROVISION_AZUREAD_PLUGIN": os.environ.get("PROVISION_AZUREAD_PLUGIN", "auto"),
        "SSL_CERT_FILE": trusted,
        "REQUESTS_CA_BUNDLE": trusted,
        "ARM_METADATA_HOSTNAME": sandbox.base_url.removeprefix("https://"),
    }
    store = open_fleet_store(f"sqlite:///{tmp_path / 'fleet.db'}")
    yield Fleet(sandbox, store, environ)
    sandbox.clear_faults()
    store.close()
