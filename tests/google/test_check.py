"""The whole check of a user against the local tenant's Google side: real tokens, real APIs, real SMTP sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provision.errors import InvalidInput, Unreachable
from provision.google.check import Administrator, Wish, check
from provision.google.judge import Finding, Status
from provision.google.places import Google
from provision.sandbox import Sandbox

Make = Callable[..., dict[str, Any]]
Look = Callable[..., dict[str, Finding]]
READY = {"enrolled": True, "appPassword": True}
ALL_IDS = [
    "google-account", "google-2sv-allowed", "google-2sv-enforced", "google-2sv-on", "google-app-password",
    "google-smtp-login", "google-smtp-send",
]  # fmt: skip


def anna(made: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in made["users"] if one["primaryEmail"].startswith("anna@"))


def statuses(findings: dict[str, Finding]) -> dict[str, str]:
    return {identity: one.status.value for identity, one in findings.items()}


def test_a_user_who_is_ready_passes_everything_and_the_test_mail_arrives(
    customer: Make, look: Look, sandbox: Sandbox
) -> None:
    made = customer(READY)
    spaced = " ".join(anna(made)["appPassword"][at : at + 4] for at in range(0, 16, 4))
    findings = look(made, password=spaced, send_to=f"boss@{made['domain']}")
    assert statuses(findings) == dict.fromkeys(ALL_IDS, "ok")
    (got,) = sandbox.google_messages(f"boss@{made['domain']}")
    assert (got["from"], got["subject"].startswith("Test of sending by SMTP")) == (f"anna@{made['domain']}", True)


@pytest.mark.parametrize(
    ("anna", "unit", "problems"),
    [
        ({}, {}, {"google-2sv-on", "google-app-password"}),
        ({}, {"allow2sv": False}, {"google-2sv-allowed", "google-2sv-on", "google-app-password"}),
        ({}, {"enforce2sv": "any"}, {"google-2sv-enforced", "google-2sv-on", "google-app-password"}),
        ({"enrolled": True}, {"enforce2sv": "securityKeys"}, {"google-2sv-enforced", "google-app-password"}),
        ({"enrolled": True}, {}, {"google-app-password"}),
        ({"enrolled": True, "advancedProtection": True}, {}, {"google-app-password"}),
        ({**READY, "suspended": True}, {}, {"google-account"}),
        (READY, {"enforce2sv": "any"}, set()),
    ],
)
def test_each_state_has_its_problems_and_each_problem_its_remedy_and_link(
    customer: Make, look: Look, anna: dict[str, Any], unit: dict[str, Any], problems: set[str]
) -> None:
    made = customer({**anna, "orgUnit": "/Office/Drivers"}, orgUnits={"/Office": unit, "/Office/Drivers": unit})
    findings = look(made)
    found = {identity for identity, one in findings.items() if one.status is Status.PROBLEM}
    assert found == problems
    for identity in problems:
        assert findings[identity].cause
        assert findings[identity].remedy
        assert findings[identity].links[0].startswith("https://")
    assert findings["google-smtp-login"].status is Status.SKIPPED


@pytest.mark.parametrize(
    ("anna", "given", "seen", "cause"),
    [
        ({"enrolled": True}, "password", "534 5.7.9", "2-Step Verification is on, and the account's own password"),
        ({}, "password", "535 5.7.8", "2-Step Verification is off, so there are no app passwords"),
        ({"enrolled": True}, "abcdabcdabcdabcd", "535 5.7.8", "The user has no app password"),
        (READY, "abcdabcdabcdabcd", "535 5.7.8", "The user name or password is wrong"),
        (READY, "not one", "535 5.7.8", "What was given is no app password"),
        ({**READY, "suspended": True}, "appPassword", "535 5.7.8", "The user is suspended."),
    ],
)
def test_a_refused_sign_in_is_explained_by_what_is_known_of_the_account(
    customer: Make, look: Look, anna: dict[str, Any], given: str, seen: str, cause: str
) -> None:
    made = customer(anna)
    user = made["users"][1]
    finding = look(made, password=user.get(given) or given)["google-smtp-login"]
    assert finding.status is Status.PROBLEM
    assert seen in finding.seen
    assert finding.cause.startswith(cause)
    assert finding.remedy


def test_without_an_administrator_the_sign_in_is_tried_all_the_same(customer: Make, look: Look) -> None:
    made = customer(READY)
    findings = look(made, password=anna(made)["appPassword"], admin=False)
    assert findings["google-smtp-login"].status is Status.OK
    skipped = [one for one in findings.values() if one.status is Status.SKIPPED]
    assert {one.id for one in skipped} == {*ALL_IDS} - {"google-smtp-login"}
    assert "--service-account-file" in findings["google-2sv-on"].remedy


def test_limits_and_a_busy_server_are_told_from_a_wrong_password(customer: Make, look: Look, sandbox: Sandbox) -> None:
    made = customer({**READY, "dailyMessages": 0})
    findings = look(made, password=anna(made)["appPassword"], send_to=f"boss@{made['domain']}")
    assert findings["google-smtp-login"].status is Status.OK
    assert "550 5.4.5" in findings["google-smtp-send"].seen
    assert "as many messages in a day" in findings["google-smtp-send"].cause
    sandbox.set_google_busy(True)
    busy = look(made, password=anna(made)["appPassword"], send_to=f"boss@{made['domain']}")["google-smtp-send"]
    assert "421 4.7.0" in busy.seen
    assert "Wait" in busy.remedy


@pytest.mark.parametrize(
    ("scopes", "unread"),
    [
        ((), {"google-account", "google-2sv-allowed", "google-2sv-enforced", "google-2sv-on", "google-app-password"}),
        (("admin.directory.user.readonly",), {"google-app-password", "google-2sv-allowed"}),
        (("admin.directory.user.readonly", "admin.directory.user.security"), {"google-2sv-allowed"}),
    ],
)
def test_what_was_not_delegated_says_what_the_administrator_does_and_hides_nothing_else(
    customer: Make, look: Look, scopes: tuple[str, ...], unread: set[str]
) -> None:
    made = customer({}, scopes=[f"https://www.googleapis.com/auth/{scope}" for scope in scopes])
    findings = look(made)
    silent = {identity for identity, one in findings.items() if one.status is Status.SKIPPED and "smtp" not in identity}
    assert silent == unread
    for identity in unread:
        assert made["serviceAccount"]["client_id"] in findings[identity].remedy
        assert "https://www.googleapis.com/auth/admin.directory.user.security" in findings[identity].remedy
        assert findings[identity].links == ("https://admin.google.com/ac/owl/domainwidedelegation",)


def test_other_reasons_not_to_be_told_are_each_their_own(customer: Make, look: Look, sandbox: Sandbox) -> None:
    made = customer({})
    assert "may not read this" in look(made, as_=f"anna@{made['domain']}")["google-account"].seen
    assert "knows no active administrator" in look(made, as_=f"nobody@{made['domain']}")["google-account"].seen
    absent = look(made, address=f"nobody@{made['domain']}")["google-account"]
    assert (absent.status, "has no user nobody@" in absent.seen) == (Status.PROBLEM, True)
    assert "Turn on Admin SDK API" in look(customer({}, apiEnabled=False))["google-account"].remedy
    other = customer({})["serviceAccount"]
    forged = {**made, "serviceAccount": {**made["serviceAccount"], "private_key": other["private_key"]}}
    assert "does not know the key" in look(forged)["google-account"].seen
    sandbox.set_faults(clock_skew=9000)
    assert "clock" in look(made)["google-account"].seen


def test_smtp_that_does_not_answer_is_a_finding_and_an_api_that_does_not_is_the_end(
    customer: Make, look: Look, google: Google, key_file: Callable[[dict[str, Any]], Any]
) -> None:
    made = customer(READY)
    closed = replace(google, smtp_port=1)
    wish = Wish(f"anna@{made['domain']}", None, "abcdabcdabcdabcd", "")
    (login,) = [one for one in check(closed, wish) if one.id == "google-smtp-login"]
    assert (login.status, "did not answer" in login.cause) == (Status.PROBLEM, True)
    away = replace(google, directory="https://localhost:1")
    with pytest.raises(Unreachable):
        check(away, Wish(f"anna@{made['domain']}", Administrator(key_file(made), f"boss@{made['domain']}")))


@pytest.mark.parametrize("content", ["{", "[]", '{"type": "authorized_user"}', '{"type": "service_account"}'])
def test_a_file_that_is_no_key_is_refused_before_anything_is_sent(google: Google, tmp_path: Any, content: str) -> None:
    file = tmp_path / "key.json"
    file.write_text(content)
    with pytest.raises(InvalidInput, match="key"):
        check(google, Wish("anna@acme.example", Administrator(file, "boss@acme.example")))
    with pytest.raises(InvalidInput, match="is no e-mail address"):
        check(google, Wish("anna", None))
