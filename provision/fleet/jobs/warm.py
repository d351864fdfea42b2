"""What a worker's programs and plugins start from: one process with everything loaded, for as long as the worker lives.

Owns: what is loaded, and that whoever ends a worker's family finds that process too. Does not own: how it serves
(``engine.warm``).
"""

from __future__ import annotations

import functools
import os

from provision.engine.warm import POSSIBLE, Template
from provision.fleet.executors.family import MARK

_LOADED = (
    *("pulumi", "pulumi_azuread", "grpc.aio"),
    *("provision.app.component", "provision.app.program", "provision.mailbox.resource"),
    *("provision.standin.servicer", "msgraph.graph_request_adapter", "msgraph_core", "azure.identity"),
)
"""What the program and the azuread plugin's stand-in import; more costs memory, less costs every run."""


def template() -> Template | None:
    """The process; None where there is none, and the engine starts programs and plugins itself."""
    return _template() if POSSIBLE else None


@functools.cache
def _template() -> Template:
    return Template(_LOADED, {MARK: os.environ[MARK]} if MARK in os.environ else {})
