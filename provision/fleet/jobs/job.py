"""A job: one action for one tenant in one run, as it travels to a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from provision.fleet.outcome import Action
from provision.fleet.tenant import Tenant


@dataclass(frozen=True)
class Job:
    """What a worker is given; JSON, no secret in it."""

    run: str
    """The run's id."""
    fleet: str
    action: Action
    tenant: Tenant
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the command line asks for, the same for every tenant of a run:

    ``project``: the folder of the toolkit's ``Pulumi.yaml``; found from the worker's own installation without it.
    ``profiles``: product profiles beside the fleet file, name to TOML (``own_profiles``).
    ``thorough``: run the engine although an audit says that nothing is to be done.
    ``cold``: no warm engine.
    ``now``, ``compromised``, ``overlap``, ``margin``: as ``provision rotate`` has them; the last two in seconds.
    ``via``: the ways of sending that ``diagnose`` looks at; all without it.
    """

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "tenant": self.tenant.document(), "options": dict(self.options)}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Job:
        """Reads ``document``'s JSON."""
        return cls(**{**document, "tenant": Tenant.of_document(document["tenant"])})
