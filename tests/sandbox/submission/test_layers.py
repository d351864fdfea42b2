"""Each layer that refuses a sign-in, alone and before others: its exact reply, its line in the log."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from provision.sandbox.submission.layers import LAYERS, Facts, first_refusal
from tests.sandbox.submission.conftest import Connect, Office

_VISIT = "Visit https://aka.ms/smtp_auth_disabled for more information."
_REPLIES = {
    "retired": (550, "5.7.30 Basic authentication is not supported for Client Submission."),
    "off-by-default": (535, "5.7.139 Authentication unsuccessful, basic authentication is disabled."),
    "authentication-policy": (535, "5.7.139 Authentication unsuccessful, basic authentication is disabled."),
    "locked": (535, "5.7.139 Authentication unsuccessful, the user account is locked."),
    "credentials": (535, "5.7.139 Authentication unsuccessful, the user credentials were incorrect."),
    "security-defaults": (
        535,
        "5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy. "
        "Contact your administrator.",
    ),
    "conditional-access": (
        535,
        "5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated successfully. "
        "Contact your administrator.",
    ),
    "mfa": (535, "5.7.139 Authentication unsuccessful, the user credentials were incorrect."),
    "no-mailbox": (550, "5.2.1 Mailbox cannot be accessed"),
    "mailbox-type": (550, "5.2.1 Mailbox cannot be accessed"),
    "mailbox-off": (
        535,
        f"5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. {_VISIT}",
    ),
    "organisation-off": (
        535,
        f"5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. {_VISIT}",
    ),
}
"""As public reports quote them (see ``replies.py`` for where), without the server's mark."""

_CAUSES = {
    "legacy-tls": {"legacy_tls_refused": True},
    "retired": {"stage": "removed"},
    "off-by-default": {"stage": "off_by_default"},
    "authentication-policy": {"policy_blocks": True},
    "locked": {"sign_in": "locked"},
    "credentials": {"sign_in": "credentials"},
    "security-defaults": {"sign_in": "security-defaults"},
    "conditional-access": {"sign_in": "conditional-access"},
    "mfa": {"sign_in": "mfa"},
    "token": {"token_good": False},
    "account-disabled": {"enabled": False},
    "no-mailbox": {"mailbox": None},
    "mailbox-type": {"mailbox": "RoomMailbox"},
    "mailbox-off": {"mailbox_disabled": True},
    "organisation-off": {"organisation_disabled": True},
}
"""What makes each layer refuse."""


def test_the_table_has_a_cause_for_each_layer() -> None:
    assert [layer.name for layer in LAYERS] == list(_CAUSES)


@pytest.mark.parametrize("method", ["basic", "oauth"])
def test_the_first_of_any_two_causes_is_the_one_that_is_said(method: str) -> None:
    """The order holds for every pair, and a layer that does not concern the method is silent."""
    good = Facts(method=method, sign_in="right")  # type: ignore[arg-type]
    concerned = [layer.name for layer in LAYERS if method in layer.methods]
    assert first_refusal(good) is None
    for name, cause in _CAUSES.items():
        refusal = first_refusal(replace(good, **cause))  # type: ignore[arg-type]
        assert (refusal.name if refusal else None) == (name if name in concerned else None)
        for other, second in _CAUSES.items():
            if set(cause) & set(second) or not {name, other} <= set(concerned):
                continue
            both = first_refusal(replace(good, **{**cause, **second}))  # type: ignore[arg-type]
            assert both is not None
            assert both.name == min(name, other, key=concerned.index)


def test_a_mailbox_s_own_switch_beats_the_organisation_s() -> None:
    assert first_refusal(Facts(sign_in="right", mailbox_disabled=False, organisation_disabled=True)) is None


def test_the_switch_back_ends_the_second_stage_but_not_the_last() -> None:
    assert first_refusal(Facts(sign_in="right", stage="off_by_default", reenabled=True)) is None
    last = first_refusal(Facts(sign_in="right", stage="removed", reenabled=True))
    assert last is not None
    assert last.name == "retired"


def test_the_password_is_not_looked_at_where_an_earlier_layer_refuses() -> None:
    assert first_refusal(Facts()) is None
    assert first_refusal(Facts(policy_blocks=True)) is not None


def security_defaults(office: Office) -> None:
    office.graph("PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", json={"isEnabled": True})


def block_legacy(
    office: Office, control: str = "block", client_app_types: Sequence[str] = ("exchangeActiveSync", "other")
) -> None:
    office.graph(
        "POST",
        "/identity/conditionalAccess/policies",
        json={
            "displayName": "Block legacy authentication",
            "state": "enabled",
            "conditions": {
                "clientAppTypes": list(client_app_types),
                "users": {"includeUsers": ["All"]},
                "applications": {"includeApplications": ["All"]},
            },
            "grantControls": {"operator": "OR", "builtInControls": [control]},
        },
    )


@pytest.mark.parametrize(
    ("layer", "wanted"),
    [
        ("retired", {}),
        ("off-by-default", {}),
        ("authentication-policy", {"authenticationPolicy": "No basic"}),
        ("authentication-policy", {}),
        ("locked", {"locked": True}),
        ("credentials", {"enabled": False}),
        ("security-defaults", {}),
        ("conditional-access", {}),
        ("mfa", {"mfa": "required"}),
        ("mfa", {"mfa": "registered"}),
        ("no-mailbox", {"licensed": False}),
        ("no-mailbox", {"mailbox": "none"}),
        ("no-mailbox", {"mailbox": "softdeleted"}),
        ("mailbox-type", {"mailbox": "room", "enabled": True}),
        ("mailbox-type", {"mailbox": "equipment", "enabled": True}),
        ("mailbox-off", {"smtpAuth": "off"}),
        ("organisation-off", {"smtpAuth": "inherit"}),
    ],
)
def test_each_layer_refuses_in_a_real_session(office: Office, connect: Connect, layer: str, wanted: dict) -> None:  # type: ignore[type-arg]
    if layer == "retired":
        office.sandbox.set_mail(office.tenant, basicSmtpStage="removed")
    elif layer == "off-by-default":
        office.sandbox.set_mail(office.tenant, basicSmtpStage="off_by_default")
    elif layer == "authentication-policy":
        office.cmdlet("New-AuthenticationPolicy", Name="No basic")
        if not wanted:
            office.cmdlet("Set-OrganizationConfig", DefaultAuthenticationPolicy="No basic")
    elif layer == "security-defaults":
        security_defaults(office)
    elif layer == "conditional-access":
        block_legacy(office)
    person = office.person("sender", **wanted)
    with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        connect(person)
    code, text = refused.value.smtp_code, refused.value.smtp_error
    sentence, _, mark = (text if isinstance(text, bytes) else text.encode()).decode().partition(" [")
    assert (code, sentence) == _REPLIES[layer]
    assert ".PROD.OUTLOOK.COM " in mark
    assert office.log("AUTH") == [(code, layer)]


@pytest.mark.parametrize("wanted", [{}, {"mailbox": "shared", "enabled": True}, {"mailbox": "restored"}])
def test_these_may_send(office: Office, connect: Connect, wanted: dict) -> None:  # type: ignore[type-arg]
    connect(office.person("sender", **wanted))
    assert office.log("AUTH") == [(235, None)]


def test_the_calendar_turns_basic_off_at_the_end_of_2026(office: Office, connect: Connect) -> None:
    """The tenant's clock decides; the switch that Microsoft has not described yet brings it back."""
    person = office.person("sender")
    until = 1798675200 - office.sandbox.log()[-1]["at"] if office.sandbox.log() else 0
    office.sandbox.set_faults(clock_skew=until + 86400)
    with pytest.raises(smtplib.SMTPAuthenticationError, match="basic authentication is disabled"):
        connect(person)
    office.sandbox.set_mail(office.tenant, basicSmtpReenabled=True)
    connect(person)


def test_wrong_passwords_lock_the_account_for_the_web_too(office: Office, connect: Connect) -> None:
    """Smart lockout is one counter; the sign-in log names each try as Authenticated SMTP."""
    person = office.person("sender")
    for _ in range(5):
        client = connect()
        for _ in range(2):
            with pytest.raises(smtplib.SMTPAuthenticationError, match="credentials were incorrect"):
                client.login(person.user_principal_name, "wrong")
    with pytest.raises(smtplib.SMTPAuthenticationError, match="the user account is locked"):
        connect(person)
    rows = office.graph("GET", f"/auditLogs/signIns?$filter=userId eq '{person.id}'")["value"]
    assert {row["clientAppUsed"] for row in rows} == {"Authenticated SMTP"}
    assert [row["status"]["errorCode"] for row in rows].count(50126) == 10
    assert [row["status"]["errorCode"] for row in rows].count(50053) == 1
    form = {
        "grant_type": "password",
        "client_id": office.tenant.admin_client_id,
        "client_secret": office.tenant.admin_client_secret,
        "username": person.user_principal_name,
        "password": person.password,
        "scope": "https://graph.microsoft.com/User.Read",
    }
    answer = office.http("POST", f"/{office.tenant.tenant_id}/oauth2/v2.0/token", data=form)
    assert answer.json()["error_codes"] == [50053]


def test_an_unknown_name_and_an_unknown_domain_read_like_a_wrong_password(office: Office, connect: Connect) -> None:
    client = connect()
    for name in (office.address("nobody"), "somebody@elsewhere.example"):
        with pytest.raises(smtplib.SMTPAuthenticationError, match="credentials were incorrect"):
            client.login(name, "secret")


def test_an_authentication_policy_acts_before_the_password_is_looked_at(office: Office, connect: Connect) -> None:
    """Nothing is counted, nothing logged by Entra; a policy that allows it is none."""
    office.cmdlet("New-AuthenticationPolicy", Name="No basic")
    office.cmdlet("New-AuthenticationPolicy", Name="Mail may", AllowBasicAuthSmtp=True)
    person = office.person("sender", authenticationPolicy="No basic")
    client = connect()
    for _ in range(2):
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(person.user_principal_name, "wrong")
    assert office.graph("GET", f"/auditLogs/signIns?$filter=userId eq '{person.id}'")["value"] == []
    office.cmdlet("Set-User", Identity=person.user_principal_name, AuthenticationPolicy="Mail may")
    connect(person)


def test_a_changed_switch_takes_its_time(office: Office, connect: Connect) -> None:
    """``exchange_delay``: read back at once by a cmdlet, known to the server that takes mail later."""
    person = office.person("sender", smtpAuth="inherit")
    office.sandbox.set_faults(exchange_delay=600)
    office.cmdlet("Set-CASMailbox", Identity=person.user_principal_name, SmtpClientAuthenticationDisabled=False)
    with pytest.raises(smtplib.SMTPAuthenticationError, match="disabled for the Tenant"):
        connect(person)
    office.sandbox.clear_faults()
    connect(person)


def test_a_locked_account_s_app_password_is_locked_too(office: Office, connect: Connect) -> None:
    person = office.person("sender", mfa="registered", appPassword=True, locked=True)
    with pytest.raises(smtplib.SMTPAuthenticationError, match="the user account is locked"):
        connect().login(person.user_principal_name, person.app_password or "")


def test_a_policy_that_asks_for_a_second_factor_stops_who_cannot_be_asked(office: Office, connect: Connect) -> None:
    """Conditional Access with MFA for all clients: a legacy client can never meet it, an app password neither."""
    block_legacy(office, "mfa", client_app_types=["all"])
    person = office.person("sender", mfa="registered", appPassword=True)
    for password in (person.password, person.app_password):
        with pytest.raises(smtplib.SMTPAuthenticationError, match="did not meet the criteria"):
            connect().login(person.user_principal_name, password or "")
