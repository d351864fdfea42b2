"""A tenant with people in every state, and its switches with a record in a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provision.journal import open_store
from provision.mailbox.applying import Switching
from provision.mailbox.reading import Reader
from provision.mailbox.record import Record
from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Exchange
from provision.microsoft.graph import Graph
from provision.sandbox import Sandbox, Tenant
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints


@pytest.fixture
def exchange(admin: CredentialSetting, endpoints: Endpoints, sandbox: Sandbox) -> Iterator[Exchange]:
    """Exchange Online as the automation sees it, in fair weather afterwards."""
    credential, _ = sign_in(admin, endpoints)
    with Exchange(credential, endpoints, retry_delay=0.0) as line:
        yield line
    sandbox.clear_faults()


@pytest.fixture
def reader(exchange: Exchange, graph: Graph) -> Reader:
    return Reader(exchange, graph)


@pytest.fixture
def switching(exchange: Exchange, reader: Reader, tenant: Tenant, tmp_path: Path) -> Switching:
    return Switching(exchange, reader, Record(open_store(f"file://{tmp_path}", {}), tenant.tenant_id))


@pytest.fixture
def people(sandbox: Sandbox, tenant: Tenant) -> dict[str, str]:
    """Addresses by alias: somebody in every state that decides about SMTP AUTH."""
    wanted = [
        {"alias": "inherits", "mailbox": "user"},
        {"alias": "off", "mailbox": "user", "smtpAuth": "off"},
        {"alias": "on", "mailbox": "user", "smtpAuth": "on"},
        {"alias": "shared", "mailbox": "shared"},
        {"alias": "room", "mailbox": "room"},
        {"alias": "equipment", "mailbox": "equipment"},
        {"alias": "unlicensed", "mailbox": "user", "licensed": False},
        {"alias": "never", "mailbox": "none", "licensed": False},
        {"alias": "group", "mailbox": "group"},
        {"alias": "deleted", "mailbox": "softdeleted"},
    ]
    sandbox.new_people(tenant, *wanted)
    return {
        person["alias"]: f"{person['alias']}@{tenant.domain}" for person in wanted if isinstance(person["alias"], str)
    }
