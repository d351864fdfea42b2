"""A desk (``desk.py``) for a test; ``kind`` is what is rotated there, and a test or a file names another."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from desk import Desk

from provision.microsoft import proof
from provision.microsoft.graph import Graph
from provision.sandbox import Tenant
from provision.secrets.record import Kind
from provision.secrets.sinks import open_sink
from provision.settings.endpoints import Endpoints


@pytest.fixture
def kind() -> Kind:
    """What is rotated."""
    return "secret"


@pytest.fixture
def desk(kind: Kind, graph: Graph, endpoints: Endpoints, tenant: Tenant, api: httpx.Client, tmp_path: Path) -> Desk:
    """A registration with two places: files, or for client secrets a file and an env file."""
    made = Desk.at(kind, graph, endpoints, tenant, api, tmp_path)
    first = "envfile" if kind == "secret" else "file"
    made.sinks = [
        open_sink(f"{first}:{tmp_path}/first", kind=kind),
        open_sink(f"file:{tmp_path}/second", kind=kind),
    ]
    return made


@pytest.fixture
def never_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever held a lease is dead: this process plays several runs, one after the other."""
    monkeypatch.setattr("provision.journal.lease.Holder.lives", property(lambda _: False))


@pytest.fixture(autouse=True)
def _short_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many tokens make a proof is the story of ``tests/microsoft/test_proof.py``; here each run needs one."""
    monkeypatch.setattr(proof, "IN_A_ROW", 2)
