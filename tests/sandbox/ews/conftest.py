"""A fresh tenant for each test, in which one application may use Exchange Web Services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from entra_tenant import Entra
from ews_tenant import Ews

from provision.sandbox import Sandbox, Tenant


@pytest.fixture
def ews(http: httpx.Client, tenant: Tenant, sandbox: Sandbox, trusting: Path) -> Iterator[Ews]:
    """A tenant that still allows one application to use Exchange Web Services."""
    entra = Entra(http, tenant, sandbox)
    made = Ews(entra, entra.register(), sandbox)
    made.grant()
    made.allow()
    yield made
    sandbox.clear_faults()
