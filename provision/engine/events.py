"""What happens during an engine run, as plain values for whoever shows it.

Owns: the values, and translating Pulumi's event stream into them. The engine masks secret values in its events before
they leave it (``[secret]``); a masked output becomes an ``Output`` without a value. Does not own: how they look
(``report`` and ``cli``) and what a failure means (``refusals``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pulumi.automation import events as pulumi_events

SECRET_MARK = "4dabf18193072939515e22adb298388d"  # noqa: S105 - the key by which Pulumi tags special values
STACK_TYPE = "pulumi:pulumi:Stack"
_LAST_EVENTS_SECONDS = 5.0

UNCHANGED = frozenset({"same", "read", "refresh", "discard", "remove-pending-replace"})
"""Operations that change nothing on the other side."""


@dataclass(frozen=True)
class ResourceStep:
    """One step of one resource."""

    urn: str
    type: str
    name: str
    operation: str
    """Pulumi's word: create, update, delete, replace, same, refresh, import, …"""
    status: Literal["started", "finished", "failed"]
    changed: tuple[str, ...] = ()
    """Names of the properties that differ, for updates and replacements."""


@dataclass(frozen=True)
class Diagnostic:
    """A line that the engine, a plugin or the program said."""

    severity: str
    """info, info#err, warning or error."""
    message: str
    urn: str | None = None


@dataclass(frozen=True)
class Summary:
    """The end of a run."""

    changes: Mapping[str, int]
    """Operation to number of resources."""
    seconds: int


Event = ResourceStep | Diagnostic | Summary


@dataclass(frozen=True)
class Output:
    """One output of a stack."""

    value: Any = field(repr=False)
    """None for a secret that was not asked for."""
    secret: bool = False


@dataclass(frozen=True)
class RunResult:
    """What a run did."""

    changes: Mapping[str, int]
    """Operation to number of resources."""
    outputs: Mapping[str, Output]
    """The stack's outputs; secret ones without their value."""
    seconds: float
    """From the start of the engine to its end."""
    steps: tuple[ResourceStep, ...] = ()
    """The steps that finished or failed, in order."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Warnings and errors."""

    @property
    def changed(self) -> bool:
        """Whether anything was, or in a preview would be, changed."""
        return any(count for operation, count in self.changes.items() if operation not in UNCHANGED)


class Collector:
    """Takes Pulumi's events (on threads of its own), hands on ours, and keeps what the result needs."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._finished = threading.Event()
        self._begun = False
        self._failure: Exception | None = None
        self.outputs: dict[str, Output] = {}
        self.changes: dict[str, int] = {}
        self.steps: list[ResourceStep] = []
        self.diagnostics: list[Diagnostic] = []

    def __call__(self, event: pulumi_events.EngineEvent) -> None:
        """Takes one event."""
        self._begun = True
        if event.cancel_event is not None:
            self._finished.set()
            return
        for ours in self._translated(event):
            if self._failure is None:
                try:
                    self._on_event(ours)
                except Exception as failure:  # noqa: BLE001 - raised again in wait(), on the caller's thread
                    self._failure = failure

    def wait(self) -> None:
        """Waits for the last events of an engine that has ended; they come through another connection."""
        if self._begun:
            self._finished.wait(_LAST_EVENTS_SECONDS)
        if self._failure is not None:
            raise self._failure

    def _translated(self, event: pulumi_events.EngineEvent) -> list[Event]:
        if event.diagnostic_event is not None:
            said = event.diagnostic_event
            if said.severity == "debug" or not said.message.strip():
                return []
            diagnostic = Diagnostic(said.severity, said.message.strip(), said.urn)
            if diagnostic.severity in ("warning", "error"):
                self.diagnostics.append(diagnostic)
            return [diagnostic]
        if event.summary_event is not None:
            self.changes = {str(name): count for name, count in event.summary_event.resource_changes.items()}
            return [Summary(self.changes, event.summary_event.duration_seconds)]
        if event.resource_pre_event is not None:
            return [_step(event.resource_pre_event.metadata, "started")]
        if event.res_op_failed_event is not None:
            return [self._kept(_step(event.res_op_failed_event.metadata, "failed"))]
        if event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            if metadata.type == STACK_TYPE and metadata.new is not None:
                self.outputs = {name: _output(value) for name, value in (metadata.new.outputs or {}).items()}
            return [self._kept(_step(metadata, "finished"))]
        return []

    def _kept(self, step: ResourceStep) -> ResourceStep:
        self.steps.append(step)
        return step


def _step(metadata: pulumi_events.StepEventMetadata, status: Literal["started", "finished", "failed"]) -> ResourceStep:
    return ResourceStep(
        urn=metadata.urn,
        type=metadata.type,
        name=metadata.urn.rpartition("::")[2],
        operation=str(getattr(metadata.op, "value", metadata.op)),
        status=status,
        changed=tuple(sorted(metadata.detailed_diff or metadata.diffs or ())),
    )


def _output(value: Any) -> Output:
    secret = isinstance(value, Mapping) and SECRET_MARK in value
    return Output(None if secret else value, secret)
