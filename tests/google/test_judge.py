"""The rules from facts alone, and the tables that they stand on."""

from __future__ import annotations

import pytest

from provision.google import guide
from provision.google.facts import Account, Attempt, Facts, Unread
from provision.google.judge import Status, judge
from provision.google.refusals import TABLE, meaning


def refused(code: int | None, enhanced: str, **account: bool | int) -> str:
    attempt = Attempt("smtp.gmail.com:587", False, "", "auth", code, enhanced, f"{code} {enhanced} words")
    findings = judge(Facts(Account("a@b.example", **account), attempt))
    (finding,) = [one for one in findings if one.id == "google-smtp-login"]
    assert finding.status is Status.PROBLEM
    return finding.cause


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.code} {row.enhanced}")
def test_every_known_refusal_has_a_cause_and_a_remedy(row) -> None:
    assert meaning(row.code, row.enhanced) == row
    assert row.cause.endswith(".")
    assert row.remedy.endswith(".")


def test_no_refusal_stands_twice_in_the_table() -> None:
    keys = [(row.code, row.enhanced) for row in TABLE]
    assert len(keys) == len(set(keys))


def test_what_is_not_known_is_said_not_to_be_known() -> None:
    assert refused(599, "5.9.9") == "This reply is not known here."
    assert "did not answer" in refused(None, "")


def test_security_keys_alone_are_a_problem_though_everything_else_is_unread() -> None:
    findings = judge(Facts(Account("a@b.example", only_security_keys=True), Unread("nothing was tried.")))
    assert {one.id for one in findings if one.status is Status.PROBLEM} == {"google-2sv-enforced"}


def test_the_guide_is_the_seeds() -> None:
    text = "\n".join(guide.lines())
    for needed in (
        "https://myaccount.google.com/", "https://myaccount.google.com/apppasswords", "Drošība",
        "2-pakāpju verifikācija", "My Profile", "doc.ozols.lv", "leave the page and enter it again",
        "Allow users to turn on 2-Step Verification",
    ):  # fmt: skip
        assert needed in text
