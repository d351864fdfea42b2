"""SMTP with OAuth, judged by a user's own token: a real sign-in, ``SMTP.Send`` of Outlook, a real XOAUTH2."""

from __future__ import annotations

import ssl

import pytest

from provision.diagnose.judge import Diagnosis
from provision.sandbox.process import Person
from tests.diagnose.conftest import Clinic
from tests.diagnose.test_gather import defaults_on, organization
from tests.sandbox.submission.conftest import App, Office

REDIRECT = "http://localhost"


@pytest.fixture
def office(clinic: Clinic) -> Office:
    """The same tenant, by the hands that get its users tokens."""
    return Office(clinic.sandbox, clinic.tenant, ssl.create_default_context(cafile=str(clinic.sandbox.ca_file)))


@pytest.fixture
def app(clinic: Clinic, office: Office) -> App:
    """A mail program's registration with consent to SMTP.Send, complete."""
    made = office.application()
    clinic.patch(f"/applications/{made.id}", {"web": {"redirectUris": [REDIRECT]}})
    clinic.post(f"/applications/{made.id}/addPassword", {"passwordCredential": {"displayName": "one"}})
    return made


def judged(clinic: Clinic, person: Person, app: App, token: str) -> Diagnosis:
    return clinic.diagnose(person, "smtp-oauth", client_id=app.app_id, wanted_redirect=REDIRECT, token=token)


def test_a_user_s_token_is_let_in_and_what_blocks_passwords_does_not_count(
    clinic: Clinic, office: Office, app: App
) -> None:
    ada = clinic.person("patient")
    token = office.user_token(ada, app=app)
    defaults_on(clinic)
    diagnosis = judged(clinic, ada, app, token)
    assert clinic.refused_at() is None
    assert diagnosis.verdicts[0].state == "open"
    assert diagnosis.facts.token.permissions == ("SMTP.Send",)
    assert diagnosis.facts.token.user == ada.user_principal_name
    assert token not in repr(diagnosis)


def test_a_good_token_is_refused_by_the_organization_s_switch_until_the_mailbox_has_its_own(
    clinic: Clinic, office: Office, app: App
) -> None:
    """The token is not blamed; the mailbox's own switch is the way out, and it lets the same token in."""
    ada = clinic.person("patient", smtpAuth="inherit")
    token = office.user_token(ada, app=app)
    organization(True)(clinic)
    verdict = judged(clinic, ada, app, token).verdicts[0]
    assert clinic.refused_at() == "organisation-off"
    assert (verdict.state, [one.rule.id for one in verdict.causes]) == ("stopped", ["organization-smtp-off"])
    assert verdict.causes[0].confirmed == ("smtp-oauth",)
    assert any("5.7.139" in line for line in verdict.causes[0].seen)
    parameters = {"Identity": ada.user_principal_name, "SmtpClientAuthenticationDisabled": False}
    clinic.exchange.run("Set-CASMailbox", parameters, doing="switch on", recipients=True)
    assert judged(clinic, ada, app, token).verdicts[0].state == "open"
