"""What a run did for one tenant, or found there: the one thing that jobs return, the store keeps and reports show.

It is JSON throughout, holds no secret, and is the same whoever worked on the tenant and where.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from provision.errors import ProvisionError
from provision.microsoft.refusals import Throttled

Action = Literal["plan", "up", "audit", "rotate", "smtp-auth", "diagnose"]
ACTIONS: tuple[Action, ...] = ("plan", "up", "audit", "rotate", "smtp-auth", "diagnose")
WRITING: frozenset[Action] = frozenset({"up", "rotate", "smtp-auth"})
"""Actions that change something: they take the tenant's lease."""

DEFECT = "Defect"
"""The kind of a failure that nobody foresaw."""

Status = Literal["unchanged", "pending", "changed", "failed", "not-tried"]
"""unchanged: all is as it should be. pending: it is not, and the action only looks. changed: something was done, and
all is as it should be. failed: see the error. not-tried: the run ended before."""

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that an audit or a diagnosis saw."""

    rule: str
    """A stable id, as in ``redirect-uri`` or ``secret-expires``."""
    severity: Severity
    message: str
    """One sentence: what is, and what it should be."""
    remedy: str = ""
    mended_by: tuple[Action, ...] | None = None
    """Actions after whose success it is gone; None: that is known of the outcome as a whole alone."""

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Finding:
        """Reads it as JSON."""
        mended_by = document.get("mended_by")
        return cls(**{**document, "mended_by": None if mended_by is None else tuple(mended_by)})


@dataclass(frozen=True)
class Failure:
    """Why a tenant's job failed."""

    kind: str
    """The error's class, as in ``NotPermitted``."""
    message: str
    remedy: str
    exit_code: int
    throttled: bool = False
    """Microsoft asked for fewer requests: trying later may help."""

    @classmethod
    def of(cls, error: ProvisionError, *, throttled: bool = False) -> Failure:
        """The failure that an error means; ``throttled`` where its words alone say so."""
        throttled = throttled or isinstance(error, Throttled)
        return cls(type(error).__name__, error.message, error.remedy, error.exit_code, throttled)


@dataclass(frozen=True)
class Outcome:
    """One tenant in one run."""

    key: str
    """The tenant's row."""
    action: Action
    status: Status
    verdict: str = ""
    """An audit's or plan's word: unchanged, drifted, new, settings-changed; else empty."""
    tenant_id: str | None = None
    client_id: str | None = None
    secret_ends: str | None = None
    """When the secret in use expires (ISO 8601, UTC)."""
    changes: Mapping[str, int] = field(default_factory=dict)
    """By operation, as in ``{"create": 6}``."""
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    failure: Failure | None = None
    seconds: float = 0.0
    requests: int = 0
    """HTTP requests to Microsoft, where they were counted."""
    attempt: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the action has to tell beyond that, JSON."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(replace(self, changes=dict(self.changes), facts=dict(self.facts)))  # asdict spoils a Counter

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Outcome:
        """Reads ``document``'s JSON."""
        values = dict(document)
        values["findings"] = tuple(Finding.of_document(finding) for finding in values.get("findings") or ())
        values["notes"] = tuple(values.get("notes") or ())
        values["failure"] = Failure(**values["failure"]) if values.get("failure") else None
        return cls(**values)
