"""A fresh tenant for each test, beside which a customer's own Exchange is made."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from entra_tenant import Entra
from ews_tenant import Ews

from provision.sandbox import Sandbox, Tenant


@pytest.fixture
def ews(http: httpx.Client, tenant: Tenant, sandbox: Sandbox, trusting: Path) -> Ews:
    """A tenant with an application that may use Exchange Web Services."""
    entra = Entra(http, tenant, sandbox)
    made = Ews(entra, entra.register(), sandbox)
    made.grant()
    return made
