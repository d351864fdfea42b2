"""One diagnosis in every form, read by what others read them with: a SARIF schema, a JUnit parser, a browser,
axe-core.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from chromium import Browser
from junitparser import JUnitXml

from provision.diagnose.facts import Facts, NotKnown
from provision.diagnose.forms.document import document
from provision.diagnose.forms.junit import junit
from provision.diagnose.forms.page import page
from provision.diagnose.forms.sarif import sarif
from provision.diagnose.forms.text import text
from provision.diagnose.judge import Diagnosis, judge
from provision.diagnose.layers import WAYS
from tests.diagnose.cases import NOW
from tests.diagnose.test_judge import ALL_WRONG, GOOD, refused, with_facts

LOCK = Path(__file__).parents[1] / "servers/checkers/package-lock.json"
HOSTILE = "<script>alert(1)</script>&\"'\x07"


def checkers() -> Path:
    """Where ``scripts/install-checkers`` put them."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "provision"
    found = [
        folder
        for folder in (Path(os.environ.get("PROVISION_CACHE") or cache) / "clients").glob("checkers-*")
        if (folder / ".ready").exists() and (folder / LOCK.name).read_bytes() == LOCK.read_bytes()
    ]
    if not found:
        pytest.fail("The tests of forms need: sh scripts/install-checkers", pytrace=False)
    return found[0] / "node_modules"


DIAGNOSES: dict[str, Diagnosis] = {
    "good": judge(GOOD, WAYS),
    "bad": judge(
        with_facts(ALL_WRONG, attempt_answers=(refused("535 5.7.139 the user credentials were incorrect"),)), WAYS
    ),
    "hostile": judge(
        with_facts(
            ALL_WRONG,
            mailbox_address=HOSTILE,
            tenant_legacy_blocked_by=(HOSTILE,),
            tenant_security_defaults=NotKnown(HOSTILE),
            registration_name="x" * 400,
        ),
        WAYS,
    ),
    "unknown": judge(Facts(now=NOW), WAYS),
}


@pytest.mark.parametrize("name", DIAGNOSES)
def test_sarif_is_what_the_schema_of_sarif_2_1_0_allows(name):
    schema = json.loads((checkers() / "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json").read_text("utf-8"))
    log = json.loads(json.dumps(sarif(DIAGNOSES[name])))
    jsonschema.validate(log, schema)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert len(run["results"]) == len(DIAGNOSES[name].findings)


@pytest.mark.parametrize("name", DIAGNOSES)
def test_junit_is_read_by_a_parser_that_others_use(name):
    diagnosis = DIAGNOSES[name]
    suites = list(JUnitXml.fromstring(junit(diagnosis).encode()))
    assert [suite.name for suite in suites] == [WAYS[verdict.way] for verdict in diagnosis.verdicts]
    for suite, verdict in zip(suites, diagnosis.verdicts, strict=True):
        failed = [case.name for case in suite if any(type(result).__name__ == "Failure" for result in case.result)]
        assert failed == [one.rule.id for one in verdict.causes]
        assert suite.failures == len(failed)
        assert suite.tests == len(list(suite))


@pytest.mark.parametrize("name", DIAGNOSES)
def test_every_form_tells_the_same_causes(name):
    diagnosis = DIAGNOSES[name]
    told = document(diagnosis)
    assert json.loads(json.dumps(told)) == told
    shown, drawn = text(diagnosis), page(diagnosis)
    for verdict in diagnosis.verdicts:
        for cause in verdict.causes:
            assert f"[{cause.rule.id}]" in shown
            assert f"<code>{cause.rule.id}</code>" in drawn
    assert "<script" not in drawn


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = Browser(tmp_path_factory.mktemp("browser"), None, resolver="MAP * ~NOTFOUND")
    yield made
    made.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", DIAGNOSES)
def test_the_page_is_readable_on_a_phone_without_a_network_and_clean_to_axe(browser, tmp_path, name, scheme):
    file = tmp_path / "page.html"
    file.write_text(page(DIAGNOSES[name]), encoding="utf-8")
    browser.prefer(scheme)
    browser.size(360)
    browser.go(file.as_uri())
    assert browser.scroll_width() <= 360
    browser.driver.execute_script((checkers() / "axe-core/axe.min.js").read_text(encoding="utf-8"))
    found = browser.driver.execute_async_script("axe.run().then(arguments[arguments.length - 1])")
    assert found["passes"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    asked = browser.driver.execute_script("return performance.getEntriesByType('resource').length")
    assert asked == 0


def test_the_picture_shows_where_mail_stops(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page(judge(with_facts(mailbox_smtp_disabled=True), ["smtp-basic"])), encoding="utf-8")
    browser.go(file.as_uri())
    stop = browser.find("svg .stop")
    assert "Mailbox switch" in stop.text
    assert "stops here" in stop.text
    label = browser.find("svg").get_attribute("aria-label")
    assert "mail stops at Mailbox switch" in str(label)
