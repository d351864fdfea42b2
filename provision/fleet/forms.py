"""A run's outcomes for other programs: rows for a spreadsheet, and a JUnit report for CI that shows tests.

Owns: the forms; both say all that was found, and what to do about it. Does not own: where they go (``cli``). Every
outcome is taken once, in turn.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import TextIO
from xml.etree.ElementTree import Element, SubElement, tostring

from provision.fleet.outcome import Finding, Outcome

_OF_TENANT = ("key", "action", "status", "verdict", "tenantId", "clientId", "secretEnds")
_OF_ROW = ("kind", "severity", "rule", "message", "remedy")
COLUMNS = (*_OF_TENANT, *_OF_ROW)
"""``kind`` is a failure's class; ``severity`` and ``rule`` are a finding's."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet takes for a formula (OWASP, "CSV Injection")."""
_OPERATIONS = {
    "create": ("to create", "created"),
    "update": ("to update", "updated"),
    "delete": ("to delete", "deleted"),
    "replace": ("to replace", "replaced"),
    "create-replacement": ("to create in place of another", "created in place of another"),
    "delete-replaced": ("to delete, as it is replaced", "deleted, as it was replaced"),
}
"""What is to be done or was done, by the engine's word for it (``OpType`` in pulumi/pulumi's "apitype/history.go")."""
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def why(outcome: Outcome) -> str:
    """One sentence about an outcome, or a few words; empty where there is nothing to say."""
    if outcome.failure is not None:
        return outcome.failure.message
    if outcome.findings:
        more = f" (and {len(outcome.findings) - 1} more)" if len(outcome.findings) > 1 else ""
        return outcome.findings[0].message + more
    if outcome.changes:
        return ", ".join(_told(operation, count, outcome) for operation, count in outcome.changes.items())
    return outcome.notes[0] if outcome.notes else outcome.verdict


def _told(operation: str, count: int, outcome: Outcome) -> str:
    to_do, done = _OPERATIONS.get(operation, (operation, operation))
    return f"{count} {to_do if outcome.status == 'pending' else done}"


def write_csv(outcomes: Iterable[Outcome], into: TextIO) -> None:
    """One row for each failure and for each finding; one for a tenant that has neither.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    writer = csv.writer(into)
    writer.writerow(COLUMNS)
    for one in outcomes:
        tenant = (one.key, one.action, one.status, one.verdict, one.tenant_id, one.client_id, one.secret_ends)
        for said in _said(one):
            writer.writerow([_cell(value or "") for value in (*tenant, *said)])


def _said(outcome: Outcome) -> Iterator[tuple[str, ...]]:
    """What there is to say about an outcome, each as the columns ``_OF_ROW``."""
    failure = outcome.failure
    if failure is not None:
        yield failure.kind, "", "", failure.message, failure.remedy
    for finding in outcome.findings:
        yield "", finding.severity, finding.rule, finding.message, finding.remedy
    if failure is None and not outcome.findings:
        yield "", "", "", why(outcome), ""


def _cell(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value


def junit(name: str, outcomes: Iterable[Outcome]) -> str:
    """The report: a case for each tenant; what failed or has an error found is a failure, what was not tried skipped.

    Args:
        name: the suite's, as in ``provision fleet up``.
        outcomes: the run's.
    """
    suite = Element("testsuite", name=_clean(name))
    tests = failures = skipped = 0
    seconds = 0.0
    for one in outcomes:
        case = SubElement(suite, "testcase", classname=name.replace(" ", "."), name=one.key, time=f"{one.seconds:.3f}")
        tests, seconds = tests + 1, seconds + one.seconds
        errors = [finding for finding in one.findings if finding.severity == "error"]
        told = one.findings
        if one.failure is not None:
            text = f"{one.failure.message}\n{one.failure.remedy}"
            SubElement(case, "failure", message=_clean(one.failure.message), type=one.failure.kind).text = _clean(text)
            failures += 1
        elif errors:
            text = _lines(errors)
            SubElement(case, "failure", message=_clean(errors[0].message), type=_clean(errors[0].rule)).text = text
            told = tuple(finding for finding in one.findings if finding not in errors)
            failures += 1
        elif one.status == "not-tried":
            SubElement(case, "skipped", message=_clean(why(one)))
            skipped += 1
        if said := _lines(told):
            SubElement(case, "system-out").text = said
        elif not len(case) and (said := why(one)):
            SubElement(case, "system-out").text = _clean(said)
    counts = {"tests": tests, "failures": failures, "skipped": skipped, "errors": 0}
    for key, count in counts.items():
        suite.set(key, str(count))
    suite.set("time", f"{seconds:.3f}")
    root = Element("testsuites", name=_clean(name))
    root.append(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _lines(findings: Iterable[Finding]) -> str:
    return _clean("\n".join(f"{one.rule}: {one.message} {one.remedy}".strip() for one in findings))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
