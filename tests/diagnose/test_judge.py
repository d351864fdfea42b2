"""Causes from hand-given facts: the first refusal first, what answers confirm, what is skipped, and what is not
said.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest

from provision.diagnose import facts as facts_
from provision.diagnose.codes import BY_ID
from provision.diagnose.explain import explain
from provision.diagnose.facts import Answer, Facts, NotKnown
from provision.diagnose.forms.text import text
from provision.diagnose.judge import advice, judge
from provision.diagnose.layers import WAYS, Way, of_way, position
from provision.diagnose.rules import RULES
from tests.diagnose.cases import GOOD, NOW, STORIES


def with_facts(base: Facts = GOOD, **changes: Any) -> Facts:
    """The good case with flat names changed."""
    for name, value in changes.items():
        subject, _, rest = name.partition("_")
        base = replace(base, **{subject: replace(getattr(base, subject), **{rest: value}) if rest else value})
    return base


def refused(text: str, way: Way | str = "smtp-basic", where: str = "SMTP") -> Answer:
    return Answer(where, way, text, tuple(code.id for code in explain(text).codes))


def first(facts: Facts, way: Way) -> str | None:
    (verdict,) = judge(facts, [way]).verdicts
    return verdict.causes[0].rule.id if verdict.causes else None


@pytest.mark.parametrize("way", WAYS)
def test_where_all_is_well_nothing_stops(way):
    assert judge(GOOD, [way]).verdicts[0].state == "free"


ALL_WRONG = with_facts(
    tenant_security_defaults=True,
    tenant_legacy_blocked_by=("Block legacy",),
    tenant_smtp_disabled=True,
    mailbox_smtp_disabled=None,
    mailbox_policy_blocks="Block Basic",
    mailbox_mfa=True,
)
IN_ORDER = [
    ("mailbox_policy_blocks", None, "authentication-policy"),
    ("tenant_security_defaults", False, "security-defaults"),
    ("tenant_legacy_blocked_by", (), "conditional-access-legacy"),
    ("tenant_smtp_disabled", False, "organization-smtp-off"),
]


def test_of_many_causes_the_one_that_refuses_first_comes_first():
    facts = ALL_WRONG
    for name, mended, expected in IN_ORDER:
        assert first(facts, "smtp-basic") == expected
        facts = with_facts(facts, **{name: mended})
    assert first(facts, "smtp-basic") is None


def test_oauth_meets_only_the_switches_and_not_what_is_about_passwords():
    assert first(ALL_WRONG, "smtp-oauth") == "organization-smtp-off"
    assert first(ALL_WRONG, "graph") is None


def test_the_mailbox_s_own_switch_wins_over_the_organization():
    assert first(with_facts(tenant_smtp_disabled=True, mailbox_smtp_disabled=False), "smtp-basic") is None
    assert first(with_facts(tenant_smtp_disabled=False, mailbox_smtp_disabled=True), "smtp-basic") == "mailbox-smtp-off"


def test_what_the_server_said_comes_before_what_only_settings_show():
    said = "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
    diagnosis = judge(with_facts(ALL_WRONG, attempt_answers=(refused(said),)), ["smtp-basic"])
    cause = diagnosis.verdicts[0].causes[0]
    assert cause.rule.id == "organization-smtp-off"
    assert cause.confirmed == ("smtp-basic",)
    assert any(said in line for line in cause.seen)
    assert "smtp-tenant-off" not in {one.rule.id for one in diagnosis.findings}, "one cause is told once"


def test_an_answer_that_no_setting_explains_is_the_cause_itself():
    said = refused("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.")
    assert first(with_facts(attempt_answers=(said,)), "smtp-basic") == "smtp-credentials"
    later = with_facts(tenant_security_defaults=True, mailbox_smtp_disabled=True, attempt_answers=(said,))
    assert first(later, "smtp-basic") == "smtp-credentials"


def test_an_answer_with_several_meanings_is_decided_by_the_settings():
    said = refused("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.")
    assert first(with_facts(mailbox_mfa=True, attempt_answers=(said,)), "smtp-basic") == "mfa-normal-password"
    assert first(with_facts(mailbox_account_enabled=False, attempt_answers=(said,)), "smtp-basic") == "account-disabled"


def test_the_sign_in_log_decides_what_the_smtp_answer_leaves_open():
    said = refused("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.")
    log = refused("AADSTS50126", where="sign-in log")
    facts = with_facts(mailbox_mfa=True, attempt_answers=(said, log))
    assert first(facts, "smtp-basic") == "AADSTS50126"
    factor = refused("AADSTS50076", where="sign-in log")
    assert first(with_facts(mailbox_mfa=True, attempt_answers=(said, factor)), "smtp-basic") == "mfa-normal-password"


def test_the_bare_5_7_3_of_a_token_is_decided_by_the_token():
    said = refused("535 5.7.3 Authentication unsuccessful", "smtp-oauth")
    graph = with_facts(
        token_audience="https://graph.microsoft.com",
        token_permissions=("Mail.Send",),
        token_ends=NOW + timedelta(hours=1),
        token_user="ada@contoso.com",
        attempt_answers=(said,),
    )
    assert first(graph, "smtp-oauth") == "token-for-graph"


def test_an_answer_about_one_way_says_nothing_about_another():
    said = refused("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.")
    facts = with_facts(attempt_answers=(said,))
    assert first(facts, "smtp-basic") == "smtp-basic-disabled"
    assert first(facts, "smtp-oauth") is None


def test_what_may_stop_mail_leaves_it_open_until_an_answer_says_the_same():
    """A password may be an app password; no setting shows which one the product has."""
    mfa = with_facts(mailbox_mfa=True, mailbox_mfa_registered=False)
    (verdict,) = judge(mfa, ["smtp-basic"]).verdicts
    assert (verdict.state, verdict.causes, verdict.layer) == ("unclear", (), None)
    assert "takes no normal password" in verdict.missing[0]
    assert "a second factor must be registered first" in text(judge(mfa, ["smtp-basic"]))
    said = refused("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect.")
    (verdict,) = judge(with_facts(mfa, attempt_answers=(said,)), ["smtp-basic"]).verdicts
    assert (verdict.state, verdict.layer) == ("stopped", "mfa")
    (verdict,) = judge(with_facts(mfa, attempt_works=("smtp-basic",)), ["smtp-basic"]).verdicts
    assert (verdict.state, verdict.missing) == ("open", ())
    assert judge(mfa, ["graph"]).verdicts[0].state == "free"


def test_what_may_stop_mail_comes_after_what_does():
    both = with_facts(mailbox_mfa=True, mailbox_smtp_disabled=True)
    diagnosis = judge(both, ["smtp-basic"])
    assert [one.rule.id for one in diagnosis.verdicts[0].causes] == ["mailbox-smtp-off"]
    found = [one.rule.id for one in diagnosis.findings]
    assert found.index("mailbox-smtp-off") < found.index("mfa-normal-password") < found.index("basic-smtp-ends")


def test_multifactor_authentication_that_nobody_may_read_is_said_to_be_that():
    because = NotKnown("Microsoft Graph refuses to read it: it takes Policy.Read.All")
    dark = judge(with_facts(mailbox_mfa=because, mailbox_mfa_registered=because), ["smtp-basic"])
    assert because.reason in text(dark)
    assert dark.verdicts[0].state == "free", "the answer of an attempt shows it"
    half = judge(with_facts(mailbox_mfa=because, mailbox_mfa_registered=True), ["smtp-basic"])
    assert [one.rule.id for one in half.findings if one.rule.id.startswith("mfa")] == ["mfa-not-read"]
    assert half.verdicts[0].state == "free"


def test_an_attempt_that_got_through_beats_every_setting():
    (verdict,) = judge(with_facts(ALL_WRONG, attempt_works=("smtp-basic",)), ["smtp-basic"]).verdicts
    assert (verdict.state, verdict.causes) == ("open", ())


def test_a_permission_that_is_missing_is_said_and_makes_nobody_sure():
    because = NotKnown("Microsoft Graph refuses to read the policies: it takes Policy.Read.All")
    diagnosis = judge(with_facts(tenant_security_defaults=because), ["smtp-basic", "graph"])
    basic, graph = diagnosis.verdicts
    assert (basic.state, graph.state) == ("unclear", "free")
    assert basic.missing == (because.reason,)
    skipped = [one.rule.id for one in diagnosis.skipped if "tenant_security_defaults" in one.missing]
    assert skipped == ["security-defaults"]
    found = judge(with_facts(tenant_security_defaults=because, mailbox_smtp_disabled=True), ["smtp-basic"])
    assert found.verdicts[0].state == "stopped", "a cause that is there needs no other fact"


def test_nothing_known_is_no_crash_and_no_verdict():
    diagnosis = judge(Facts(now=NOW), WAYS)
    assert all(verdict.state == "unclear" for verdict in diagnosis.verdicts)
    assert not diagnosis.can_send
    assert not diagnosis.is_stopped


@pytest.mark.parametrize(
    ("today", "kept", "expected"),
    [
        (datetime(2026, 12, 30, 23, tzinfo=UTC), False, None),
        (datetime(2026, 12, 31, tzinfo=UTC), False, "basic-smtp-off-by-default"),
        (datetime(2027, 3, 1, tzinfo=UTC), True, None),
    ],
)
def test_the_calendar_counts_by_today_s_date(today, kept, expected):
    assert first(with_facts(now=today, tenant_basic_kept=kept), "smtp-basic") == expected


def test_ews_ends_in_two_steps():
    on = with_facts(tenant_ews_enabled=True, mailbox_ews_enabled=True)
    assert first(on, "ews") is None
    assert first(with_facts(on, now=datetime(2027, 4, 1, tzinfo=UTC)), "ews") == "ews-retired"
    assert first(with_facts(on, tenant_ews_enabled=None), "ews") == "ews-organization-off"
    assert first(with_facts(on, tenant_ews_enabled=None, now=datetime(2026, 9, 30, tzinfo=UTC)), "ews") is None


def test_the_better_way_out_is_told_before_anything_that_lowers_security():
    lines = advice(judge(ALL_WRONG, ["smtp-basic"]))
    assert "needs no SMTP AUTH" in lines[0]
    assert "SMTP.Send" in lines[1]
    assert "2026-12-31" in lines[2]


def test_remedies_name_this_tenant_s_own_mailbox():
    (verdict,) = judge(with_facts(mailbox_smtp_disabled=True), ["smtp-basic"]).verdicts
    lines = verdict.causes[0].remedy.powershell
    assert lines[0] == "Set-CASMailbox -Identity ada@contoso.com -SmtpClientAuthenticationDisabled $false"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_is_whole(rule):
    """What a newcomer's entry must have; a parameter's type is the fact's own."""
    assert rule.title
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".")
    assert rule.remedy.say
    assert rule.docs.startswith("https://")
    assert rule.layer is not None or rule.severity != "stops" or rule.id in BY_ID
    for way in rule.ways:
        if rule.layer is not None and rule.id not in BY_ID:
            assert rule.layer in {layer.id for layer in of_way(way)}, f"{way} never meets {rule.layer}"
    assert "SmtpClientAuthenticationEnabled $" not in " ".join([rule.remedy.say, *rule.remedy.powershell])
    lowers = {"security-defaults-off", "exclude-from-policy", "allow-basic-by-policy"}
    assert (rule.flag is not None) == (rule.fix in lowers)
    assert rule.flag is None or rule.remedy.better
    hints = get_type_hints(rule.check)
    for name in rule.takes:
        subject, _, rest = name.partition("_")
        owner = get_type_hints(Facts)[subject]
        whole = get_type_hints(owner)[rest] if rest else owner
        known = get_args(whole)[0] if get_args(whole)[1:] == (NotKnown,) else whole
        assert set(_parts(hints[name])) - {NotKnown} == set(_parts(known)) - {NotKnown}, name


def _parts(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of anything else, itself."""
    return get_args(hint) if isinstance(hint, UnionType) else (hint,)


@pytest.mark.parametrize("name", [rule.id for rule in RULES if rule.remedy.up is not None])
def test_a_stack_s_remedy_reads_the_tenant_before_it_changes_it(name: str) -> None:
    """``provision up`` alone compares with what Pulumi last saw, and finds nothing to do after a change by hand."""
    rule = next(rule for rule in RULES if rule.id == name)
    facts = with_facts(**STORIES[name])
    (alone,) = [one for one in judge(facts, rule.ways).findings if one.rule is rule]
    assert "refresh" not in alone.remedy.command
    assert alone.remedy.portal or alone.remedy.graph, "it can be mended without a stack"
    stacked = with_facts(facts, registration_stack="acme", mailbox_stack="acme")
    (owned,) = [one for one in judge(stacked, rule.ways).findings if one.rule is rule]
    assert owned.remedy.command.startswith("provision refresh --stack acme && provision up --stack acme")
    assert "--fix" not in text(judge(stacked, rule.ways)).split(f"[{name}]")[1].split("\n\n")[0]


def test_a_rule_for_a_fact_that_does_not_exist_is_refused_loudly():
    with pytest.raises(KeyError, match="there is no fact 'tenant_colour'"):
        GOOD.get("tenant_colour")


def test_each_layer_that_a_way_passes_has_a_cause_that_can_stop_it():
    known = {layer for rule in RULES for layer in (BY_ID[rule.id].layers if rule.id in BY_ID else (rule.layer,))}
    for way in WAYS:
        for layer in of_way(way):
            assert layer.id in known, f"{way}: nothing tells of {layer.id}"
    assert position("security-defaults") < position("mailbox-off")


def test_every_fact_is_used_by_a_rule_or_names_something():
    used = {name for rule in RULES for name in rule.takes}
    names = {"tenant_id", "registration_client_id", "registration_name", "domain_name", "attempt_works"}
    assert set(facts_.NAMES) - used <= names | {"registration_stack", "mailbox_stack"}


def test_a_switch_that_is_off_on_the_mailbox_is_not_told_twice():
    found = judge(with_facts(tenant_smtp_disabled=True, mailbox_smtp_disabled=True), ["smtp-basic"]).findings
    assert "mailbox-smtp-off" in {one.rule.id for one in found}
    assert "organization-smtp-off" not in {one.rule.id for one in found}


def test_a_cause_that_the_more_exact_answer_rules_out_is_not_called_confirmed():
    vague = refused("535 5.7.139 the request did not meet the criteria to be authenticated successfully")
    exact = refused("AADSTS50076", where="sign-in log")
    facts = with_facts(mailbox_mfa=True, mailbox_smtp_disabled=True, attempt_answers=(exact, vague))
    by_rule = {one.rule.id: one for one in judge(facts, ["smtp-basic"]).findings}
    assert by_rule["mfa-normal-password"].confirmed == ("smtp-basic",)
    assert by_rule["mailbox-smtp-off"].confirmed == ()
