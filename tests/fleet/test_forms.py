"""A run's outcomes as other programs read them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from junitparser import JUnitXml

from provision.fleet.forms import COLUMNS, junit, why, write_csv
from provision.fleet.outcome import Failure, Finding, Outcome

OUTCOMES = (
    Outcome("a", "up", "changed", changes={"create": 6}, seconds=2.5),
    Outcome("b", "up", "failed", failure=Failure("NotPermitted", "=cmd|'/c calc'!A1", "Ask\x00.", 5)),
    Outcome("c", "up", "not-tried", notes=("not tried: <stopped>",)),
    Outcome("d", "audit", "pending", findings=(Finding("redirect-uri", "error", "It is another."),)),
    Outcome("e", "audit", "unchanged"),
)


MANY = Outcome(
    "many",
    "audit",
    "pending",
    verdict="drifted",
    tenant_id="t-1",
    findings=(
        Finding("differs-name", "error", "Name: A; it should be B.", "provision fleet up --tenant many"),
        Finding("secret-ends", "warning", "It ends on 2026-12-01.", "provision fleet rotate --tenant many"),
        Finding("secret-foreign", "note", "@another secret is there.", "+Ask whose it is."),
    ),
)


def rows(outcomes: Iterable[Outcome]) -> list[dict[str, str]]:
    text = io.StringIO()
    write_csv(outcomes, text)
    return list(csv.DictReader(io.StringIO(text.getvalue())))


def test_what_is_to_be_done_reads_otherwise_than_what_was_done() -> None:
    changes = {"create": 6, "update": 1}
    assert why(Outcome("a", "plan", "pending", changes=changes)) == "6 to create, 1 to update"
    assert why(Outcome("a", "up", "changed", changes=changes)) == "6 created, 1 updated"


def test_a_spreadsheet_takes_no_cell_for_a_formula() -> None:
    found = rows(OUTCOMES)
    assert [row["status"] for row in found] == ["changed", "failed", "not-tried", "pending", "unchanged"]
    assert found[1]["message"] == "'=cmd|'/c calc'!A1"
    assert found[1]["kind"] == "NotPermitted"
    hostile = Finding("=rule", "error", "\tmessage", "-remedy")
    (row,) = rows([Outcome("=key", "audit", "pending", verdict="@verdict", findings=(hostile,))])
    assert all((value or "x")[0] not in "=+-@\t\r" for value in row.values()), row


def test_every_finding_has_a_row_of_its_own_with_its_remedy() -> None:
    found = rows([MANY])
    assert [tuple(row[name] for name in COLUMNS[-4:]) for row in found] == [
        ("error", "differs-name", "Name: A; it should be B.", "provision fleet up --tenant many"),
        ("warning", "secret-ends", "It ends on 2026-12-01.", "provision fleet rotate --tenant many"),
        ("note", "secret-foreign", "'@another secret is there.", "'+Ask whose it is."),
    ]
    assert {(row["key"], row["status"], row["verdict"], row["tenantId"]) for row in found} == {
        ("many", "pending", "drifted", "t-1")
    }
    refused = Failure("Unreachable", "No answer.", "Run again.", 7)
    both = rows([Outcome("b", "audit", "failed", failure=refused, findings=MANY.findings[:1])])
    assert [(row["kind"], row["rule"], row["remedy"]) for row in both] == [
        ("Unreachable", "", "Run again."),
        ("", "differs-name", "provision fleet up --tenant many"),
    ]


def test_a_report_for_ci_has_a_case_for_each_tenant() -> None:
    report = JUnitXml.fromstring(junit("provision fleet up", OUTCOMES).encode())
    (suite,) = report
    assert (suite.tests, suite.failures, suite.skipped) == (5, 2, 1)
    cases = {case.name: case for case in suite}
    assert cases["b"].result[0].message == "=cmd|'/c calc'!A1"
    assert "Ask\N{REPLACEMENT CHARACTER}." in cases["b"].result[0].text
    assert cases["c"].result[0].message == "not tried: <stopped>"
    assert cases["d"].result[0].type == "redirect-uri"
    assert cases["a"].is_passed
    assert cases["a"].time == 2.5


def test_a_report_for_ci_says_every_finding_and_what_to_do() -> None:
    warned = Outcome("w", "audit", "pending", findings=MANY.findings[1:])
    (suite,) = JUnitXml.fromstring(junit("provision fleet audit", [MANY, warned]).encode())
    many, only_warned = suite
    assert many.result[0].text == "differs-name: Name: A; it should be B. provision fleet up --tenant many"
    beside = (
        "secret-ends: It ends on 2026-12-01. provision fleet rotate --tenant many\n"
        "secret-foreign: @another secret is there. +Ask whose it is."
    )
    assert many.system_out == only_warned.system_out == beside
