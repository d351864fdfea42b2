"""Facts from a running tenant, and that the judged cause is the layer at which a real SMTP session was refused."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from policies import LEGACY

from provision.diagnose.facts import NotKnown
from provision.diagnose.gather import Asked, attempted
from provision.diagnose.judge import judge
from provision.microsoft.credentials import sign_in
from provision.sandbox import Sandbox
from tests.diagnose.conftest import Clinic


def defaults_on(clinic: Clinic) -> None:
    clinic.patch("/policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": True})


def legacy_blocked(clinic: Clinic) -> None:
    clinic.post("/identity/conditionalAccess/policies", LEGACY)


def organization(disabled: bool) -> Any:
    def change(clinic: Clinic) -> None:
        parameters = {"SmtpClientAuthenticationDisabled": disabled}
        clinic.exchange.run("Set-TransportConfig", parameters, doing="change the organization", recipients=False)

    return change


def basic_blocked(clinic: Clinic) -> None:
    clinic.exchange.run("New-AuthenticationPolicy", {"Name": "Block Basic"}, doing="make a policy", recipients=False)


STORIES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "mailbox off": ({"smtpAuth": "off"}, None, "mailbox-off"),
    "organization off": ({"smtpAuth": "inherit"}, organization(True), "organisation-off"),
    "security defaults": ({}, defaults_on, "security-defaults"),
    "conditional access": ({}, legacy_blocked, "conditional-access"),
    "unlicensed": ({"licensed": False}, None, "no-mailbox"),
    "never had one": ({"mailbox": "none", "licensed": False}, None, "no-mailbox"),
    "soft-deleted": ({"mailbox": "softdeleted"}, None, "no-mailbox"),
    "room": ({"mailbox": "room", "enabled": True}, None, "mailbox-type"),
    "disabled": ({"enabled": False}, None, "credentials"),
    "everything": ({"smtpAuth": "off", "licensed": False}, defaults_on, "security-defaults"),
}


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("tried", [True, False], ids=["with a dialogue", "settings alone"])
def test_the_judged_cause_is_the_layer_that_refused(clinic: Clinic, name: str, tried: bool) -> None:
    wanted, change, layer = STORIES[name]
    ada = clinic.person("patient", **wanted)
    if change is not None:
        change(clinic)
    verdict = clinic.diagnose(ada, password=ada.password if tried else None).verdicts[0]
    if tried:
        assert clinic.refused_at() == layer
        assert verdict.causes[0].confirmed == ("smtp-basic",)
    assert verdict.layer == layer, [one.rule.id for one in verdict.causes]


def test_a_mailbox_that_may_send_is_let_in_and_said_to_be(clinic: Clinic) -> None:
    ada = clinic.person("patient")
    (verdict,) = clinic.diagnose(ada, password=ada.password).verdicts
    assert verdict.state == "open"
    assert clinic.diagnose(ada).verdicts[0].state == "free"


def test_a_wrong_password_is_told_by_the_answer_alone(clinic: Clinic) -> None:
    ada = clinic.person("patient", smtpAuth="off")
    verdict = clinic.diagnose(ada, password="not the one").verdicts[0]
    assert clinic.refused_at() == verdict.layer == "credentials"


def test_multifactor_authentication_and_the_normal_password(clinic: Clinic) -> None:
    ada = clinic.person("patient", mfa="registered", appPassword=True)
    verdict = clinic.diagnose(ada, password=ada.password).verdicts[0]
    assert clinic.refused_at() == "mfa"
    assert verdict.layer == "mfa", "the sign-in log tells it from a wrong password"
    assert clinic.diagnose(ada, password=ada.app_password).verdicts[0].state == "open"


@pytest.mark.parametrize("mfa", ["off", "required", "registered"])
def test_multifactor_authentication_is_read_before_anybody_tries(clinic: Clinic, mfa: str) -> None:
    ada = clinic.person("patient", mfa=mfa)
    diagnosis = clinic.diagnose(ada)
    known = diagnosis.facts.mailbox
    assert (known.mfa, known.mfa_registered) == (mfa != "off", mfa == "registered")
    assert diagnosis.verdicts[0].state == ("free" if mfa == "off" else "unclear")


def test_an_authentication_policy_is_found_by_its_name(clinic: Clinic) -> None:
    basic_blocked(clinic)
    ada = clinic.person("patient", authenticationPolicy="Block Basic")
    verdict = clinic.diagnose(ada, password=ada.password).verdicts[0]
    assert clinic.refused_at() == verdict.layer == "authentication-policy"
    assert "'Block Basic'" in verdict.causes[0].seen[0]


def test_a_policy_that_excludes_the_person_blocks_nobody(clinic: Clinic) -> None:
    ada = clinic.person("patient")
    users = {"includeUsers": ["All"], "excludeUsers": [ada.id]}
    clinic.post(
        "/identity/conditionalAccess/policies", {**LEGACY, "conditions": {**LEGACY["conditions"], "users": users}}
    )
    assert clinic.diagnose(ada, password=ada.password).verdicts[0].state == "open"


def place(clinic: Clinic, name: str, network: str, *, trusted: bool = False) -> str:
    """A named location; its id."""
    kind = "iPv6CidrRange" if ":" in network else "iPv4CidrRange"
    ranges = [{"@odata.type": f"#microsoft.graph.{kind}", "cidrAddress": network}]
    body = {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": name, "isTrusted": trusted}
    made = clinic.post("/identity/conditionalAccess/namedLocations", {**body, "ipRanges": ranges})
    return str(made["id"])


@pytest.mark.parametrize(("network", "refused"), [("127.0.0.0/16", False), ("203.0.113.0/24", True)])
def test_a_policy_for_other_places_may_apply_and_the_answer_tells(clinic: Clinic, network: str, refused: bool) -> None:
    """It blocks everywhere except at the office; every caller here comes from the loopback network."""
    ada = clinic.person("patient")
    office = place(clinic, "Riga office", network if refused is False else "198.51.100.0/24")
    conditions = {**LEGACY["conditions"], "locations": {"includeLocations": ["All"], "excludeLocations": [office]}}
    clinic.post("/identity/conditionalAccess/policies", {**LEGACY, "conditions": conditions})
    asked = clinic.diagnose(ada)
    assert asked.verdicts[0].state == "unclear"
    (seen,) = [one for one in asked.findings if one.rule.id == "conditional-access-legacy-perhaps"]
    assert "'Block legacy authentication', not from Riga office" in seen.seen[0]
    tried = clinic.diagnose(ada, password=ada.password).verdicts[0]
    assert clinic.refused_at() == tried.layer == ("conditional-access" if refused else None)
    assert tried.state == ("stopped" if refused else "open")
    assert [one.rule.id for one in tried.causes] == (["conditional-access-legacy-perhaps"] if refused else [])


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"locations": {"includeLocations": ["AllTrusted"]}}, "from trusted places"),
        ({"locations": {"includeLocations": ["All"], "excludeLocations": ["AllTrusted"]}}, "not from trusted places"),
        ({"platforms": {"includePlatforms": ["all"], "excludePlatforms": ["windows"]}}, "not on windows"),
        ({"platforms": {"includePlatforms": ["android", "iOS"]}}, "on android, iOS"),
        ({"signInRiskLevels": ["high"]}, "at a sign-in risk high"),
        ({"userRiskLevels": ["medium", "high"]}, "at a user risk medium, high"),
        ({"devices": {"deviceFilter": {"mode": "exclude", "rule": 'device.isCompliant -eq True'}}},
         "without a device for which device.isCompliant -eq True"),
        ({"platforms": {"includePlatforms": ["all"]}}, None),
        ({"authenticationFlows": {"transferMethods": "deviceCodeFlow"}}, ""),
    ],
)  # fmt: skip
def test_what_a_policy_depends_on_is_said_in_words(
    clinic: Clinic, conditions: dict[str, Any], words: str | None
) -> None:
    """All platforms are no condition; a policy for device codes is not about mail."""
    ada = clinic.person("patient")
    everyone = {**LEGACY["conditions"], "clientAppTypes": ["all"], **conditions}
    clinic.post("/identity/conditionalAccess/policies", {**LEGACY, "displayName": "P", "conditions": everyone})
    tenant = clinic.diagnose(ada, "graph", "smtp-basic", connect=False).facts.tenant
    may = (f"'P', {words}",) if words else ()
    assert tenant.legacy_may_be_blocked_by == tenant.modern_may_be_blocked_by == may
    assert tenant.legacy_blocked_by == tenant.modern_blocked_by == (("P",) if words is None else ())


def test_a_group_is_named_as_one(clinic: Clinic) -> None:
    group = clinic.person("sales", mailbox="group")
    verdict = clinic.diagnose(group).verdicts[0]
    assert [one.rule.id for one in verdict.causes] == ["group"]
    defaults_on(clinic)
    assert clinic.diagnose(group).verdicts[0].causes[0].rule.id == "group", "it comes before what is asked of accounts"
    tried = clinic.diagnose(group, password="whatever").verdicts[0]
    assert clinic.refused_at() == tried.layer == "credentials"
    assert (tried.causes[0].rule.id, tried.causes[0].confirmed) == ("group", ("smtp-basic",))


def test_a_graph_token_given_to_smtp_is_told_as_that(clinic: Clinic) -> None:
    ada = clinic.person("patient")
    form = {
        "grant_type": "client_credentials",
        "client_id": clinic.tenant.admin_client_id,
        "client_secret": clinic.tenant.admin_client_secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    token = clinic.api.post(f"/{clinic.tenant.tenant_id}/oauth2/v2.0/token", data=form).json()["access_token"]
    verdict = clinic.diagnose(ada, "smtp-oauth", token=token).verdicts[0]
    assert clinic.refused_at() == verdict.layer == "token"
    assert verdict.causes[0].rule.id == "token-for-graph"


def test_where_nobody_may_read_nothing_breaks(sandbox: Sandbox, clinic: Clinic) -> None:
    """Every request refused: each fact says why, no rule crashes, and nothing is claimed."""
    ada = clinic.person("patient", smtpAuth="off")
    sandbox.set_faults([{"match": {"path": "/v1.0/"}, "action": "status", "status": 403}])
    diagnosis = clinic.diagnose(ada, "graph", client_id="11111111-2222-3333-4444-555566667777")
    assert diagnosis.verdicts[0].state == "unclear"
    because = diagnosis.facts.tenant.security_defaults
    assert isinstance(because, NotKnown)
    assert "Policy.Read.All" in because.reason


def test_a_server_that_is_not_there_is_the_network(clinic: Clinic) -> None:
    ada = clinic.person("patient")
    away = replace(clinic, endpoints=replace(clinic.endpoints, smtp_port=1))
    verdict = away.diagnose(ada, password=ada.password).verdicts[0]
    assert verdict.layer == "network"


def test_a_wrong_password_over_smtp_says_nothing_of_a_token(clinic: Clinic) -> None:
    """Both are in the sign-in log, each as what it was; the token's cause is the token."""
    ada = clinic.person("patient")
    assert clinic.diagnose(ada, password="not the one").verdicts[0].layer == "credentials"
    token = clinic.api.headers["Authorization"].removeprefix("Bearer ")
    verdict = clinic.diagnose(ada, "smtp-oauth", token=token).verdicts[0]
    assert clinic.refused_at() == verdict.layer == "token"


def test_the_calendar_is_read_by_microsoft_s_clock(sandbox: Sandbox, clinic: Clinic) -> None:
    """Also where this machine's stands wrong, and no registration is named."""
    ada = clinic.person("patient")
    sandbox.set_faults(clock_skew=(datetime(2027, 1, 15, tzinfo=UTC) - datetime.now(UTC)).total_seconds())
    verdict = clinic.diagnose(ada, connect=False).verdicts[0]
    assert (verdict.layer, verdict.causes[0].rule.id) == ("off-by-default", "basic-smtp-off-by-default")


def test_another_sign_in_is_tried_without_reading_the_settings_again(clinic: Clinic) -> None:
    ada = clinic.person("patient")
    facts = clinic.diagnose(ada, connect=False).facts
    before = clinic.sandbox.log()[-1]["n"]
    credential, _ = sign_in(clinic.admin, clinic.endpoints)
    asked = Asked(ways=("smtp-basic",), mailbox=ada.user_principal_name, password="not the one", dns=False)
    again = attempted(facts, asked, clinic.endpoints, credential, say=lambda _: None)
    assert judge(again, asked.ways).verdicts[0].layer == "credentials"
    assert (again.mailbox, again.tenant) == (facts.mailbox, facts.tenant)
    assert not [row for row in clinic.sandbox.log(before) if "InvokeCommand" in row["path"]]


@pytest.mark.parametrize(
    ("stage", "reenabled", "layer"),
    [
        ("removed", False, "retired"),
        ("off_by_default", False, "off-by-default"),
        ("available", False, None),
        ("off_by_default", True, None),
    ],
)
def test_microsoft_s_calendar_as_the_server_lives_it(clinic: Clinic, stage: str, reenabled: bool, layer: str) -> None:
    """The server's answer tells the stage although today's date does not."""
    ada = clinic.person("patient")
    clinic.sandbox.set_mail(clinic.tenant, basicSmtpStage=stage, basicSmtpReenabled=reenabled)
    verdict = clinic.diagnose(ada, password=ada.password).verdicts[0]
    assert verdict.layer == layer
    assert clinic.refused_at() == layer


KINDS: tuple[dict[str, Any], ...] = (
    {"mailbox": "user"},
    {"mailbox": "user", "licensed": False},
    {"mailbox": "user", "enabled": False},
    {"mailbox": "user", "locked": True},
    {"mailbox": "shared", "enabled": True},
    {"mailbox": "room", "enabled": True},
    {"mailbox": "none", "licensed": False},
    {"mailbox": "softdeleted"},
)


@pytest.mark.parametrize("tenant_wide", [None, defaults_on, legacy_blocked], ids=["open", "defaults", "access"])
def test_a_sample_of_all_combinations_is_judged_as_the_server_refused(clinic: Clinic, tenant_wide: Any) -> None:
    """Mailbox, switch, second factor, policy and password at random, by a fixed seed; ``make matrix`` takes
    them all.
    """
    chance = random.Random(20261125)
    basic_blocked(clinic)
    organization(chance.choice((True, False)))(clinic)
    if tenant_wide is not None:
        tenant_wide(clinic)
    every = itertools.product(
        KINDS,
        ("on", "off", "inherit"),
        ("off", "registered", "required"),
        ({}, {"authenticationPolicy": "Block Basic"}),
        ("right", "wrong", "app"),
    )
    for number, (kind, switch, mfa, policy, secret) in enumerate(chance.sample(list(every), 16)):
        wanted = {**kind, **policy, "smtpAuth": switch, "mfa": mfa, "appPassword": True}
        person = clinic.person(f"patient{number}", **wanted)
        password = {"right": person.password, "wrong": "Not-this-1", "app": person.app_password}[secret]
        verdict = clinic.diagnose(person, password=password).verdicts[0]
        assert verdict.layer == clinic.refused_at(), (wanted, secret)
        assert (verdict.state == "open") == (verdict.layer is None)
