"""A diagnosis as a JUnit report, for CI that shows tests: a suite for each way of sending, a case for each rule."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, tostring

from provision.diagnose.judge import Diagnosis, Finding
from provision.diagnose.layers import WAYS, Way

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""


def junit(diagnosis: Diagnosis) -> str:
    """The report. A cause that stops mail is a failure, a rule that could not be asked is skipped."""
    root = Element("testsuites", name="provision diagnose")
    for verdict in diagnosis.verdicts:
        found = {one.rule.id: one for one in verdict.causes}
        skipped = [one for one in diagnosis.skipped if verdict.way in one.rule.ways]
        passed = [rule for rule in diagnosis.passed if verdict.way in rule.ways]
        others = [one for one in diagnosis.findings if verdict.way in one.rule.ways and one.rule.id not in found]
        suite = SubElement(
            root,
            "testsuite",
            name=WAYS[verdict.way],
            tests=str(len(found) + len(skipped) + len(passed) + len(others)),
            failures=str(len(found)),
            skipped=str(len(skipped)),
            errors="0",
        )
        for one in found.values():
            case = _case(suite, one.rule.id, verdict.way)
            failure = SubElement(case, "failure", message=_clean(one.rule.title), type=one.rule.family)
            failure.text = _clean(_said(one))
        for missing in skipped:
            case = _case(suite, missing.rule.id, verdict.way)
            SubElement(case, "skipped", message=_clean("; ".join(missing.missing.values())))
        for one in others:
            SubElement(_case(suite, one.rule.id, verdict.way), "system-out").text = _clean(_said(one))
        for rule in passed:
            _case(suite, rule.id, verdict.way)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, rule: str, way: Way) -> Element:
    return SubElement(suite, "testcase", classname=f"provision.diagnose.{way}", name=rule, time="0")


def _said(one: Finding) -> str:
    lines = [f"{one.rule.title}.", *one.seen, one.remedy.say, one.remedy.portal, *one.remedy.powershell, one.rule.docs]
    return "\n".join(line for line in lines if line)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
