"""One tenant's mailboxes, opened: who is signed in, the lines to Exchange Online and Graph, and the record.

Owns: putting the parts together for the commands, the script and the Pulumi resource. Does not own: any of the parts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from provision.journal import open_store
from provision.mailbox.applying import Switching
from provision.mailbox.reading import Reader
from provision.mailbox.record import Record
from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Exchange
from provision.microsoft.graph import Graph
from provision.settings import credential as credentials
from provision.settings import endpoints as addresses

Say = Callable[[str], None]


@dataclass(frozen=True)
class Where:
    """Which tenant, and as whom; None leaves it to the environment."""

    tenant: str | None = None
    metadata_host: str | None = None
    environment: str | None = None
    """A national cloud's name, as in ``azuread:environment``."""
    credential: str | None = None
    client_id: str | None = None
    """The client id to sign in with."""


@dataclass(frozen=True)
class Tenant:
    """An open tenant."""

    tenant_id: str
    exchange: Exchange
    graph: Graph
    reader: Reader


@contextmanager
def opened(where: Where, *, say: Say, environ: Mapping[str, str] = os.environ) -> Iterator[Tenant]:
    """Signs in and opens the lines.

    Args:
        where: which tenant, and as whom.
        say: hears what a person must do to sign in, and Exchange's warnings.
        environ: the process's environment.

    Raises:
        InvalidInput, SignInFailed, Unreachable: as the names say.
    """
    cloud = addresses.resolve(metadata_host=where.metadata_host, environment=where.environment, environ=environ)
    how = credentials.read(where.credential, tenant_id=where.tenant, client_id=where.client_id, environ=environ)
    credential, caller = sign_in(how, cloud, prompt=say)
    with (
        Exchange(credential, cloud, warn=lambda text: say(f"Exchange Online warns: {text}")) as exchange,
        Graph(credential, cloud) as graph,
    ):
        yield Tenant(caller.tenant_id, exchange, graph, Reader(exchange, graph))


def switching(tenant: Tenant, journal: str, environ: Mapping[str, str] = os.environ) -> Switching:
    """The tenant's switches, to be set, with their record.

    Args:
        tenant: open.
        journal: the address of the journal's place.
        environ: where the place's own sign-in is found.

    Raises:
        InvalidInput: no journal can be kept there.
    """
    return Switching(tenant.exchange, tenant.reader, Record(open_store(journal, environ), tenant.tenant_id))
