"""A diagnosis as SARIF 2.1.0, for CI that collects it (OASIS, "Static Analysis Results Interchange Format").

A finding is about a mailbox or a registration, not a line of a file, so it has a logical location alone.
"""

from __future__ import annotations

from typing import Any

from provision.diagnose.facts import Facts
from provision.diagnose.judge import Diagnosis, Finding
from provision.diagnose.rules import RULES
from provision.diagnose.rules.rule import Rule, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: dict[Severity, str] = {
    "stops": "error",
    "may": "warning",
    "ends": "warning",
    "weakens": "warning",
    "note": "note",
}


def sarif(diagnosis: Diagnosis) -> dict[str, Any]:
    """The log: one run, every rule described, a result for each finding; rules that could not be asked are notices."""
    places = {rule.id: place for place, rule in enumerate(RULES)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "provision diagnose", "rules": [_rule(rule) for rule in RULES]}},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {
                                "level": "note",
                                "associatedRule": {"id": one.rule.id, "index": places[one.rule.id]},
                                "message": {"text": f"Not looked at: {'; '.join(one.missing.values())}."},
                            }
                            for one in diagnosis.skipped
                        ],
                    }
                ],
                "results": [_result(one, places, diagnosis.facts) for one in diagnosis.findings],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "helpUri": rule.docs,
        "help": {"text": rule.remedy.say},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"family": rule.family, "ways": list(rule.ways), "layer": rule.layer},
    }


def _result(one: Finding, places: dict[str, int], facts: Facts) -> dict[str, Any]:
    return {
        "ruleId": one.rule.id,
        "ruleIndex": places[one.rule.id],
        "level": _LEVELS[one.rule.severity],
        "message": {"text": " ".join([f"{one.rule.title}.", *one.seen, one.remedy.say])},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": _subject(one, facts), "kind": "resource"}]}],
        "properties": {"ways": list(one.ways), "confirmedFor": list(one.confirmed)},
    }


def _subject(one: Finding, facts: Facts) -> str:
    """What the finding is about, as far as it has a name."""
    named = {
        "registration": facts.registration.client_id,
        "domain": facts.domain.name,
        "policy": facts.tenant.id,
        "calendar": facts.tenant.id,
    }.get(one.rule.family, facts.mailbox.address)
    return named if isinstance(named, str) else "tenant"
