"""A fresh tenant for each test, and one mail application in it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from entra_tenant import App, Entra

from provision.sandbox import Sandbox, Tenant


@pytest.fixture
def entra(http: httpx.Client, tenant: Tenant, sandbox: Sandbox) -> Iterator[Entra]:
    """A fresh tenant; the weather is fair again afterwards."""
    yield Entra(http, tenant, sandbox)
    sandbox.clear_faults()


@pytest.fixture
def app(entra: Entra) -> App:
    """A mail application with consent for all principals."""
    made = entra.register()
    entra.consent(made)
    return made
