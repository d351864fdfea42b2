"""Mending a real tenant: the plan first, the flag for what lowers security, and afterwards a real session gets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provision.cli import run
from provision.diagnose.fix import FIXES, Plan, Renewal, carry_out, plan
from provision.diagnose.fix_flags import FLAGS
from provision.diagnose.gather import Asked
from provision.diagnose.judge import judge
from provision.diagnose.rules import RULES
from provision.microsoft.credentials import sign_in
from tests.diagnose.cases import CALLBACK, GOOD, STORIES
from tests.diagnose.conftest import Clinic
from tests.diagnose.test_gather import basic_blocked, defaults_on, legacy_blocked, organization
from tests.diagnose.test_judge import with_facts

MENDED: dict[str, tuple[dict[str, Any], Any, str | None]] = {
    "mailbox off": ({"smtpAuth": "off"}, None, None),
    "organization off": ({"smtpAuth": "inherit"}, organization(True), None),
    "security defaults": ({}, defaults_on, "--allow-security-defaults-off"),
    "conditional access": ({}, legacy_blocked, "--allow-policy-exclusion"),
    "authentication policy": ({"authenticationPolicy": "Block Basic"}, basic_blocked, "--allow-basic-authentication"),
}


def mend(clinic: Clinic, journal: Path, asked: Asked, allowed: list[str]) -> list[str]:
    """Plans and carries out; gives back what was left alone."""
    from provision.diagnose.gather import gather

    credential, caller = sign_in(clinic.admin, clinic.endpoints)
    diagnosis = judge(gather(asked, clinic.endpoints, credential, caller.tenant_id, say=lambda _: None), asked.ways)
    wanted = plan(diagnosis, asked, allowed)
    carry_out(
        wanted,
        diagnosis,
        asked,
        endpoints=clinic.endpoints,
        credential=credential,
        tenant_id=caller.tenant_id,
        journal=f"file://{journal}",
        say=lambda _: None,
    )
    return [one.rule.id for one, _ in wanted.left]


@pytest.mark.parametrize("name", MENDED)
def test_what_is_mended_lets_a_real_session_in_and_only_with_its_flag(
    clinic: Clinic, tmp_path: Path, name: str
) -> None:
    wanted, change, flag = MENDED[name]
    if name == "authentication policy":
        change(clinic)
    ada = clinic.person("patient", **wanted)
    if change is not None and name != "authentication policy":
        change(clinic)
    asked = Asked(("smtp-basic",), mailbox=ada.user_principal_name, password=ada.password, dns=False)
    assert clinic.diagnose(ada, password=ada.password).verdicts[0].state == "stopped"
    left = mend(clinic, tmp_path, asked, [])
    assert bool(left) == (flag is not None)
    if flag is not None:
        assert clinic.diagnose(ada, password=ada.password).verdicts[0].state == "stopped", "nothing without the flag"
        mend(clinic, tmp_path, asked, [flag])
    assert clinic.diagnose(ada, password=ada.password).verdicts[0].state == "open"
    assert mend(clinic, tmp_path, asked, [flag] if flag else []) == [], "a second run finds nothing to do"


@pytest.mark.parametrize("wanted", [{"mailbox": "room", "enabled": True}, {"licensed": False}])
def test_security_is_not_lowered_for_who_could_not_send_all_the_same(
    clinic: Clinic, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    """Nor is a switch turned that such a mailbox does not have; the plan says what comes first."""
    patient = clinic.person("patient", smtpAuth="off", **wanted)
    defaults_on(clinic)
    asked = Asked(("smtp-basic",), mailbox=patient.user_principal_name, password=patient.password, dns=False)
    left = mend(clinic, tmp_path, asked, list(FLAGS))
    assert {"security-defaults", "mailbox-smtp-off"} < set(left)
    after = clinic.diagnose(patient, password=patient.password)
    assert after.facts.tenant.security_defaults is True
    assert after.facts.mailbox.smtp_disabled is True


def test_a_registration_gets_its_redirect_and_its_consent(clinic: Clinic, tmp_path: Path) -> None:
    ada = clinic.person("patient")
    made = clinic.post(
        "/applications",
        {
            "displayName": "CLOUDEX TMS Email Integration",
            "signInAudience": "AzureADMyOrg",
            "spa": {"redirectUris": [CALLBACK]},
            "web": {
                "redirectUris": [CALLBACK.replace("ACME", "acme"), "https://other.example/cb"],
                "implicitGrantSettings": {"enableIdTokenIssuance": True, "enableAccessTokenIssuance": True},
            },
        },
    )
    clinic.post(f"/applications/{made['id']}/addPassword", {"passwordCredential": {"displayName": "one"}})
    asked = Asked(
        ("graph", "smtp-oauth"),
        mailbox=ada.user_principal_name,
        client_id=made["appId"],
        wanted_redirect=CALLBACK,
        connect=False,
        dns=False,
    )
    before = clinic.diagnose(ada, *asked.ways, client_id=asked.client_id, wanted_redirect=CALLBACK, connect=False)
    assert [verdict.layer for verdict in before.verdicts] == ["registration", "registration"]
    assert mend(clinic, tmp_path, asked, []) == []
    for _ in range(2):  # a grant that only now can be seen
        mend(clinic, tmp_path, asked, [])
    after = clinic.diagnose(ada, *asked.ways, client_id=asked.client_id, wanted_redirect=CALLBACK, connect=False)
    assert [verdict.state for verdict in after.verdicts] == ["free", "free"], [
        one.rule.id for one in after.findings if one.rule.severity == "stops"
    ]
    assert after.facts.registration.web_redirects == ("https://other.example/cb", CALLBACK)
    assert after.facts.registration.spa_redirects == ()
    assert after.facts.registration.issues_tokens == (True, True), "the rest of web is kept"


def test_the_requests_to_graph_that_a_remedy_names_mend_what_it_is_for(clinic: Clinic) -> None:
    """For whoever has no stack and no portal: ``az rest`` sends them as they stand."""
    ada = clinic.person("patient")
    made = clinic.post(
        "/applications",
        {"displayName": "mail", "signInAudience": "AzureADMultipleOrgs", "isFallbackPublicClient": True},
    )
    clinic.post(
        "/servicePrincipals", {"appId": made["appId"], "accountEnabled": False, "appRoleAssignmentRequired": True}
    )
    named = {rule.id for rule in RULES if rule.remedy.graph}
    found = clinic.diagnose(ada, "graph", client_id=made["appId"], connect=False).findings
    assert named == {one.rule.id for one in found if one.remedy.graph}
    for one in found:
        for line in one.remedy.graph:
            method, path, body = line.split(" ", 2)
            answer = clinic.api.request(method, f"/v1.0{path}", json=json.loads(body))
            assert answer.is_success, answer.text
    after = clinic.diagnose(ada, "graph", client_id=made["appId"], connect=False).findings
    assert not named & {one.rule.id for one in after}


def test_every_fix_is_named_by_a_rule_and_every_flag_by_one_too() -> None:
    assert {rule.fix for rule in RULES if rule.fix} == set(FIXES)
    assert {rule.flag for rule in RULES if rule.flag} == set(FLAGS)


def test_nothing_that_lowers_security_is_in_a_plan_without_its_flag() -> None:
    asked = Asked(("smtp-basic",), mailbox="ada@contoso.com")
    for name in ("security-defaults", "conditional-access-legacy", "authentication-policy"):
        diagnosis = judge(with_facts(GOOD, **STORIES[name]), asked.ways)
        assert plan(diagnosis, asked, []).steps == ()
        (flag,) = {rule.flag for rule in RULES if rule.id == name}
        assert len(plan(diagnosis, asked, [str(flag)]).steps) == 1
        others = [other for other in FLAGS if other != flag]
        assert plan(diagnosis, asked, others).steps == ()


@pytest.mark.parametrize(
    ("story", "way", "of", "up"),
    [
        ("redirect-single-page", "graph", "registration_stack", "provision up --stack acme"),
        ("consent-missing-graph", "graph", "registration_stack", "provision up --stack acme"),
        ("consent-missing-smtp-oauth", "smtp-oauth", "registration_stack", None),
        ("mailbox-smtp-off", "smtp-oauth", "mailbox_stack", "provision up --stack acme"),
        ("mailbox-smtp-off", "smtp-oauth", "registration_stack", None),
    ],
)
def test_what_a_stack_owns_is_left_to_its_program(story: str, way: Any, of: str, up: str | None) -> None:
    """Whose settings somebody changed by hand: the state must see that first, or ``up`` finds nothing to do."""
    asked = Asked((way,), mailbox="ada@contoso.com", wanted_redirect=CALLBACK)
    alone = judge(with_facts(GOOD, **STORIES[story]), asked.ways)
    assert len(plan(alone, asked, []).steps) == 1
    stacked = plan(judge(with_facts(GOOD, **STORIES[story], **{of: "acme"}), asked.ways), asked, [])
    said = f"the stack owns it; put it right by: provision refresh --stack acme && {up}"
    assert [reason for _, reason in stacked.left] == ([said] if up else [])
    assert (stacked.steps == ()) == (up is not None)


@pytest.mark.parametrize("story", ["secret-missing", "secret-expired", "secret-expires-soon", "secret-refused"])
def test_a_secret_is_renewed_where_its_place_is_known_and_else_the_command_is_said(story: str) -> None:
    """One that ends within days too, although it stops nothing yet."""
    asked = Asked(("graph",), mailbox="ada@contoso.com")
    diagnosis = judge(with_facts(GOOD, **STORIES[story]), asked.ways)
    (step,) = plan(diagnosis, asked, [], Renewal(("write it to envfile:/srv/mail.env",), lambda: None)).steps
    assert (step.rules, step.parts) == ((story,), ("write it to envfile:/srv/mail.env",))
    wanted = plan(diagnosis, asked, [], "provision rotate does it")
    assert (wanted.steps, [reason for _, reason in wanted.left]) == ((), ["provision rotate does it"])
    well = judge(GOOD, asked.ways)
    assert plan(well, asked, [], Renewal((), lambda: None)) == Plan((), ()), "nothing is renewed without a cause"


def test_the_command_shows_its_plan_and_changes_nothing_unconfirmed(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], trusting: Path
) -> None:
    ada = clinic.person("patient", smtpAuth="off")
    secret = tmp_path / "password"
    secret.write_text(f"{ada.password}\n")
    values = {
        "ARM_METADATA_HOSTNAME": clinic.sandbox.base_url.removeprefix("https://"),
        "PROVISION_SMTP_ADDRESS": clinic.sandbox.smtp_address,
        "ARM_TENANT_ID": clinic.tenant.tenant_id,
        "ARM_CLIENT_ID": clinic.tenant.admin_client_id,
        "ARM_CLIENT_SECRET": clinic.tenant.admin_client_secret,
        "PROVISION_JOURNAL": f"file://{tmp_path}",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdin", (tmp_path / "password").open())
    command = ["diagnose", "--mailbox", ada.user_principal_name, "--via", "smtp-basic", "--password-file", str(secret)]
    assert run(command) == 15
    assert run([*command, "--fix"]) == 2, "what was typed is not yes"
    assert "would switch Authenticated SMTP on" in capsys.readouterr().err
    assert run(command) == 15
    assert run([*command, "--fix", "--yes"]) == 0
    shown = capsys.readouterr()
    assert "mail is let in" in shown.out
    assert shown.err.index("needs no SMTP AUTH") < shown.err.rindex("would switch")
    assert str(ada.password) not in shown.out + shown.err
