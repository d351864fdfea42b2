"""The whole proof: each way sends and is found again in the local tenant, and each refusal is a step with its words."""

from __future__ import annotations

import html
import re
import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from provision.diagnose.explain import explain
from provision.errors import InvalidInput, SignInFailed
from provision.mail.proving import Wish
from provision.mail.timeline import Outcome, Stage, Timeline
from provision.microsoft.product_sign_in import GivenToken, PastedSignIn, RefreshToken, by_browser, by_device_code


def outcomes(stages: list[Stage], way: str) -> list[tuple[str, str]]:
    return [(stage.name, stage.outcome.value) for stage in stages if stage.way == way]


def refused(stages: list[Stage]) -> Stage:
    (one,) = [stage for stage in stages if stage.outcome is Outcome.REFUSED]
    return one


def meaning(stage: Stage) -> str:
    return explain(stage.said).codes[0].id


def test_graph_sends_as_the_user_and_the_mail_is_found_in_both_mailboxes(office, proven):
    olga, bob = office.person(), office.entra.upn("bob")
    stages = proven(office.wish(olga, "graph", to=bob))
    assert [(stage.way, stage.name, stage.outcome.value) for stage in stages] == [
        ("secret", "client secret", "done"),
        ("graph", "token with Mail.Send", "done"),
        ("graph", "sendMail", "done"),
        ("graph", "found in Sent Items", "done"),
        ("graph", f"found in inbox of {bob}", "done"),
    ]
    assert stages[-1].said == stages[-2].said, "the same Message-ID"
    assert all(stage.seconds >= 0 for stage in stages)
    assert sum(stage.seconds for stage in stages) > 0
    rows = office.entra.graph("GET", f"/users/{bob}/mailFolders/inbox/messages")["value"]
    assert [row["from"]["emailAddress"]["address"] for row in rows] == [olga.user_principal_name]


def test_a_pasted_address_finishes_a_sign_in_through_the_products_own_redirect(office, proven):
    olga = office.person()
    scope = f"{office.endpoints.graph}/Mail.Send"
    begun = PastedSignIn(office.registration, office.endpoints, scope=scope, user=olga.user_principal_name)
    page = office.entra.http.get(begun.address)
    ended = office.entra.sign_in(page, "olga", olga.password).headers["location"]
    stages = proven(office.wish(olga, "graph", sign_in=lambda: begun.finish(f"  {ended}\n")))
    assert {stage.outcome for stage in stages} == {Outcome.DONE}
    assert stages[1].name == "user's sign-in"


def test_what_is_no_such_address_is_said_and_a_code_of_another_sign_in_is_refused(office):
    olga = office.person()
    scope = f"{office.endpoints.graph}/Mail.Send"
    begun, other = (
        PastedSignIn(office.registration, office.endpoints, scope=scope, user=olga.user_principal_name)
        for _ in range(2)
    )
    page = office.entra.http.get(begun.address)
    ended = office.entra.sign_in(page, "olga", olga.password).headers["location"]
    for pasted in ("", "nonsense", "https://my.cloudex.app/ACME/Services/Office365Callback.aspx"):
        with pytest.raises(InvalidInput, match="not the address"):
            begun.finish(pasted)
    with pytest.raises(InvalidInput, match="not the address"):
        other.finish(ended)
    denied = httpx.URL(ended).copy_with(params={"state": httpx.URL(ended).params["state"], "error": "access_denied"})
    with pytest.raises(SignInFailed, match="access_denied"):
        begun.finish(str(denied))


def test_mail_send_alone_reads_nothing_and_with_mail_read_the_user_reads_his_own(office, proven):
    olga = office.person()
    stages = proven(office.wish(olga, "graph", reader=None))
    assert outcomes(stages, "graph")[-2:] == [
        ("found in Sent Items", "skipped"),
        (f"found in inbox of {olga.user_principal_name}", "skipped"),
    ]
    assert "Look there for the subject: Test of sending by Microsoft Graph" in stages[-1].remedy
    office.withdraw()
    office.entra.consent(office.app, "Mail.Send User.Read Mail.Read")
    bob = office.entra.upn("bob")
    own = proven(office.wish(olga, "graph", reader=None, to=bob))
    assert outcomes(own, "graph")[-2:] == [("found in Sent Items", "done"), (f"found in inbox of {bob}", "skipped")]


def test_a_mailbox_of_another_tenant_is_not_read(office, proven):
    stages = proven(office.wish(office.person(), "graph", to="somebody@elsewhere.example"))
    assert [outcome for _, outcome in outcomes(stages, "graph")] == ["done", "done", "done", "skipped"]


def test_a_wrong_an_expired_and_an_unknown_secret(office, proven):
    from dataclasses import replace

    olga = office.person()
    wish = office.wish(olga)
    wrong = proven(replace(wish, registration=replace(office.registration, secret="wrong")))
    assert meaning(refused(wrong)) == "AADSTS7000215"
    elsewhere = proven(replace(wish, registration=replace(office.registration, client_id=olga.id)))
    assert meaning(refused(elsewhere)) == "AADSTS700016"
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    body = {"passwordCredential": {"displayName": "short", "endDateTime": soon}}
    secret = office.entra.graph("POST", f"/applications/{office.app.object_id}/addPassword", body)["secretText"]
    office.entra.sandbox.set_faults(clock_skew=7200)
    expired = proven(replace(wish, registration=replace(office.registration, secret=secret)))
    assert meaning(refused(expired)) == "AADSTS7000222"
    assert secret not in repr(expired)


def test_missing_consent_is_refused_when_the_token_is_asked_for(office, proven):
    olga = office.person()
    wish = office.wish(olga, "graph")
    office.withdraw()
    stages = proven(wish)
    assert (refused(stages).name, meaning(refused(stages))) == ("token with Mail.Send", "AADSTS65001")


def test_a_device_code_is_refused_by_a_registration_without_public_client_flows(office, proven):
    olga = office.person()
    said: list[str] = []

    def sign_in():
        return by_device_code(
            office.registration, office.endpoints, scope=f"{office.endpoints.graph}/Mail.Send", prompt=said.append
        )

    stages = proven(office.wish(olga, "graph", sign_in=sign_in))
    assert meaning(refused(stages)) == "AADSTS7000218"
    assert outcomes(stages, "graph") == [("one mail", "skipped")]


@pytest.fixture
def public(office):
    """The registration with public client flows, and with a redirect to this machine."""
    body = {"isFallbackPublicClient": True, "publicClient": {"redirectUris": ["http://localhost"]}}
    office.entra.graph("PATCH", f"/applications/{office.app.object_id}", body)
    return office


def test_a_device_code_works_where_the_registration_allows_it(public, proven):
    olga, entra = public.person(), public.entra

    def approve(line: str) -> None:
        words = line.split()
        page = entra.http.get(words[words.index("open") + 1], params={"otc": words[-1]})
        entra.submit(entra.sign_in(page, "olga", olga.password), choice="continue")

    scope = f"{public.endpoints.graph}/Mail.Send"
    stages = proven(
        public.wish(
            olga,
            "graph",
            sign_in=lambda: by_device_code(public.registration, public.endpoints, scope=scope, prompt=approve),
        )
    )
    assert {stage.outcome for stage in stages} == {Outcome.DONE}, stages


def test_a_browser_comes_back_where_the_registration_lists_this_machine(public, proven, monkeypatch):
    olga, entra = public.person(), public.entra

    def visit(url: str) -> None:
        page = entra.sign_in(entra.http.get(url), "olga", olga.password)
        action = html.unescape(re.search(r'action="([^"]*)"', page.text)[1])  # the answer comes by form_post
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        httpx.post(action, data={name: html.unescape(value) for name, value in fields}, trust_env=False)

    def opened(url: str, *_: object) -> bool:
        threading.Thread(target=visit, args=(url,), daemon=True).start()
        return True

    monkeypatch.setattr("webbrowser.open", opened)
    scope = f"{public.endpoints.graph}/Mail.Send"
    name = olga.user_principal_name
    stages = proven(
        public.wish(
            olga, "graph", sign_in=lambda: by_browser(public.registration, public.endpoints, scope=scope, user=name)
        )
    )
    assert {stage.outcome for stage in stages} == {Outcome.DONE}, stages


def test_graph_refuses_another_users_mailbox(office, proven):
    from dataclasses import replace

    wish = replace(office.wish(office.person(), "graph"), user=office.entra.upn("bob"), to=office.entra.upn("bob"))
    assert (refused(proven(wish)).name, meaning(refused(proven(wish)))) == ("sendMail", "graph-ErrorAccessDenied")


# SMTP


def test_smtp_with_oauth_sends_where_the_registration_has_smtp_send(office, proven):
    olga, bob = office.person(), office.entra.upn("bob")
    office.grant("SMTP.Send")
    stages = proven(office.wish(olga, "smtp", to=bob))
    assert [name for name, _ in outcomes(stages, "smtp")] == [
        "token with SMTP.Send",
        "connection",
        "STARTTLS",
        "AUTH XOAUTH2",
        "MAIL FROM",
        "RCPT TO",
        "DATA",
        "found in Sent Items",
        f"found in inbox of {bob}",
    ]
    assert {stage.outcome for stage in stages} == {Outcome.DONE}
    assert stages[-1].said.endswith(f"@{office.entra.tenant.domain}>"), "the letter's own Message-ID"


def test_a_registration_with_graphs_mail_send_alone_is_said_plainly(office, proven):
    one = refused(proven(office.wish(office.person(), "smtp")))
    assert "has no SMTP.Send" in one.said
    assert "Microsoft Graph's, which SMTP does not take" in one.said
    assert one.remedy.startswith("Send through Microsoft Graph")


def test_a_token_for_graph_on_smtp_is_the_classic_mistake(office, proven):
    olga = office.person()
    wish = office.wish(olga, "smtp")
    graph = wish.session.token(f"{office.endpoints.graph}/Mail.Send")
    stages = proven(office.wish(olga, "smtp", session=GivenToken(graph)))
    one = refused(stages)
    assert (one.name, meaning(one), one.exact) == ("AUTH XOAUTH2", "smtp-5.7.3", True)
    assert "The token is for" in one.remedy
    assert "Mail.Send" in one.remedy
    assert graph not in repr(stages)


@pytest.mark.parametrize(
    ("wanted", "spoiled", "means"),
    [
        ({"smtpAuth": "inherit"}, False, "smtp-tenant-off"),
        ({"smtpAuth": "off"}, False, "smtp-mailbox-off"),
        ({}, True, "smtp-credentials"),
        ({"mfa": "registered"}, False, "smtp-credentials"),
    ],
    ids=["organisation off", "mailbox off", "wrong password", "normal password with MFA"],
)
def test_smtp_by_password_is_refused_in_exchanges_words(office, proven, wanted, spoiled, means):
    olga = office.person(**wanted)
    one = refused(proven(office.wish(olga, "smtp", password="wrong" if spoiled else olga.password)))
    assert (one.name, meaning(one)) == ("AUTH with the password", means)
    assert not one.exact


def test_an_app_password_sends_with_mfa_on(office, proven):
    olga = office.person(mfa="registered", appPassword=True)
    stages = proven(office.wish(olga, "smtp", password=olga.app_password))
    assert [outcome for _, outcome in outcomes(stages, "smtp")] == ["done"] * 8
    assert olga.app_password not in repr(stages)


def test_the_organisations_switch_stops_oauth_too(office, proven):
    olga = office.person(smtpAuth="inherit")
    office.grant("SMTP.Send")
    assert meaning(refused(proven(office.wish(olga, "smtp")))) == "smtp-tenant-off"


def test_one_way_that_is_refused_leaves_the_other(office, proven):
    stages = proven(office.wish(office.person(), "graph", "smtp"))
    assert outcomes(stages, "smtp") == [("token with SMTP.Send", "refused")]
    assert {outcome for _, outcome in outcomes(stages, "graph")} == {"done"}


def test_without_a_sign_in_nothing_is_tried_and_that_is_told(office):
    from datetime import date

    from provision.mail.proving import prove

    timeline = Timeline()
    wish = Wish(ways=("graph", "smtp"), user=office.entra.upn("ada"), how_to_sign_in="Sign in.")
    assert prove(wish, office.endpoints, timeline, today=date(2026, 11, 25)) == ("graph", "smtp")
    assert {stage.outcome for stage in timeline.stages} == {Outcome.SKIPPED}


def test_secrets_have_no_repr(office):
    olga = office.person()
    wish = office.wish(olga, "smtp", password="pass-4711")
    token = RefreshToken(office.registration, office.endpoints, "refresh-4711")
    for value in (wish, office.registration, token, GivenToken("access-4711")):
        assert "4711" not in repr(value)
        assert office.app.secret not in repr(value)
