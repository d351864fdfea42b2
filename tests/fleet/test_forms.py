"""A run's outcomes as other programs read them."""

from __future__ import annotations

import csv
import io

from junitparser import JUnitXml

from provision.fleet.forms import junit, write_csv
from provision.fleet.outcome import Failure, Finding, Outcome

OUTCOMES = (
    Outcome("a", "up", "changed", changes={"create": 6}, seconds=2.5),
    Outcome("b", "up", "failed", failure=Failure("NotPermitted", "=cmd|'/c calc'!A1", "Ask\x00.", 5)),
    Outcome("c", "up", "not-tried", notes=("not tried: <stopped>",)),
    Outcome("d", "audit", "pending", findings=(Finding("redirect-uri", "error", "It is another."),)),
    Outcome("e", "audit", "unchanged"),
)


def test_a_spreadsheet_takes_no_cell_for_a_formula() -> None:
    text = io.StringIO()
    write_csv(OUTCOMES, text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [row["status"] for row in rows] == ["changed", "failed", "not-tried", "pending", "unchanged"]
    assert rows[1]["message"] == "'=cmd|'/c calc'!A1"
    assert rows[1]["kind"] == "NotPermitted"


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
