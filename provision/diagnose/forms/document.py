"""A diagnosis as one JSON object: stable names, everything in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from provision.diagnose.facts import NotKnown
from provision.diagnose.judge import Diagnosis, Finding, advice

SCHEMA = 1
"""Raised when a name changes its meaning or goes."""


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis."""
    return {
        "schema": SCHEMA,
        "at": diagnosis.facts.now.isoformat(timespec="seconds"),
        "canSend": diagnosis.can_send,
        "ways": [
            {
                "way": verdict.way,
                "state": verdict.state,
                "layer": verdict.layer,
                "cause": verdict.causes[0].rule.id if verdict.causes else None,
                "causes": [one.rule.id for one in verdict.causes],
                "missing": list(verdict.missing),
            }
            for verdict in diagnosis.verdicts
        ],
        "advice": list(advice(diagnosis)),
        "findings": [finding(one) for one in diagnosis.findings],
        "skipped": [{"rule": one.rule.id, "missing": dict(one.missing)} for one in diagnosis.skipped],
        "facts": _plain(diagnosis.facts),
    }


def finding(one: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "rule": one.rule.id,
        "family": one.rule.family,
        "title": one.rule.title,
        "severity": one.rule.severity,
        "layer": one.rule.layer,
        "ways": list(one.ways),
        "confirmedFor": list(one.confirmed),
        "seen": list(one.seen),
        "stack": one.stack,
        "remedy": {
            "say": one.remedy.say,
            "portal": one.remedy.portal,
            "powershell": list(one.remedy.powershell),
            "graph": list(one.remedy.graph),
            "command": one.remedy.command,
            "fix": one.rule.fix,
            "flag": one.rule.flag,
        },
        "docs": one.rule.docs,
    }


def _plain(value: Any) -> Any:
    """Facts as JSON; what is not known is an object with its reason."""
    if isinstance(value, NotKnown):
        return {"notKnown": value.reason}
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
