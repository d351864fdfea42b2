"""AUTH XOAUTH2: which tokens open which mailboxes, and which refusals pass a token by."""

from __future__ import annotations

import smtplib
from collections.abc import Callable

import pytest

from provision.sandbox.process import Person
from tests.sandbox.submission.conftest import EXCHANGE, Connect, Office
from tests.sandbox.submission.test_layers import block_legacy, security_defaults
from tests.sandbox.submission.test_sending import letter

_UNSUCCESSFUL = "5.7.3 Authentication unsuccessful"
_DISABLED = "5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for"
_OUTLOOK = "https://outlook.office.com"


def _try(connect: Connect, name: str, token: str, *, initial: bool = True) -> tuple[int, str]:
    """Signs in by XOAUTH2; code and sentence of the answer."""
    client = connect()
    blob = f"user={name}\x01auth=Bearer {token}\x01\x01"
    try:
        code, text = client.auth("XOAUTH2", lambda challenge=None: blob, initial_response_ok=initial)
    except smtplib.SMTPAuthenticationError as error:
        code, text = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
    return code, text.decode().partition(" [")[0]


@pytest.mark.parametrize("initial", [True, False], ids=["initial response", "asked with an empty 334"])
@pytest.mark.parametrize("resource", [_OUTLOOK, "https://outlook.office365.com", EXCHANGE])
def test_a_token_of_outlook_with_smtp_send_opens_the_mailbox(
    office: Office, connect: Connect, resource: str, initial: bool
) -> None:
    person = office.person("sender")
    token = office.user_token(person, f"{resource}/SMTP.Send")
    assert _try(connect, person.user_principal_name, token, initial=initial) == (
        235,
        "2.7.0 Authentication successful",
    )
    assert office.log("AUTH") == [(235, None)]


def test_a_refreshed_token_does_too(office: Office, connect: Connect) -> None:
    person, app = office.person("sender"), office.application()
    path = f"/{office.tenant.tenant_id}/oauth2/v2.0/token"
    first = {
        "grant_type": "password",
        "client_id": app.app_id,
        "username": person.user_principal_name,
        "password": person.password,
        "scope": f"{_OUTLOOK}/SMTP.Send offline_access",
    }
    refresh = office.http("POST", path, data=first).json()["refresh_token"]
    second = {"grant_type": "refresh_token", "client_id": app.app_id, "refresh_token": refresh}
    token = office.http("POST", path, data=second).json()["access_token"]
    assert _try(connect, person.user_principal_name, token)[0] == 235


def _graph_token(office: Office, person: Person) -> str:
    """The classic: SMTP.Send of Microsoft Graph, whose tokens Exchange does not take."""
    found = office.graph("GET", "/servicePrincipals?$filter=appId eq '00000003-0000-0000-c000-000000000000'")
    app = office.application()
    grant = {"clientId": app.principal_id, "consentType": "AllPrincipals", "scope": "SMTP.Send"}
    office.graph("POST", "/oauth2PermissionGrants", json={**grant, "resourceId": found["value"][0]["id"]})
    return office.user_token(person, "https://graph.microsoft.com/SMTP.Send", app)


def _another_scope(office: Office, person: Person) -> str:
    app = office.application("IMAP.AccessAsUser.All")
    return office.user_token(person, f"{_OUTLOOK}/IMAP.AccessAsUser.All", app)


def _expired(office: Office, person: Person) -> str:
    token = office.user_token(person)
    office.sandbox.set_faults(clock_skew=4000)
    return token


def _of_somebody_else(office: Office, person: Person) -> str:
    return office.user_token(office.person("other"))


def _changed(office: Office, person: Person) -> str:
    head, body, signature = office.user_token(person).split(".")
    return f"{head}.{body}.{signature[:-8]}AAAAAAAA"


def _not_a_token(office: Office, person: Person) -> str:
    return "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA"


_TOKENS = [_graph_token, _another_scope, _expired, _of_somebody_else, _changed, _not_a_token]


@pytest.mark.parametrize("make", _TOKENS, ids=lambda make: make.__name__)
def test_other_tokens_are_refused_with_one_sentence(
    office: Office, connect: Connect, make: Callable[[Office, Person], str]
) -> None:
    person = office.person("sender")
    assert _try(connect, person.user_principal_name, make(office, person)) == (535, _UNSUCCESSFUL)
    assert office.log("AUTH") == [(535, "token")]


@pytest.mark.parametrize("blob", ["", "user=a@b.example", "user=a@b.example\x01auth=Basic x\x01\x01", "\x01\x01"])
def test_what_is_no_xoauth2_is_refused_the_same_way(connect: Connect, blob: str) -> None:
    client = connect()
    with pytest.raises(smtplib.SMTPAuthenticationError, match=_UNSUCCESSFUL):
        client.auth("XOAUTH2", lambda challenge=None: blob, initial_response_ok=bool(blob))


@pytest.mark.parametrize(
    ("wanted", "answer", "layer"),
    [
        ({"smtpAuth": "off"}, f"{_DISABLED} the Mailbox. ", "mailbox-off"),
        ({"smtpAuth": "inherit"}, f"{_DISABLED} the Tenant. ", "organisation-off"),
        ({"licensed": False}, "5.2.1 Mailbox cannot be accessed", "no-mailbox"),
        ({"mailbox": "room", "enabled": True}, "5.2.1 Mailbox cannot be accessed", "mailbox-type"),
    ],
)
def test_the_switches_hold_for_tokens_too(
    office: Office, connect: Connect, wanted: dict[str, object], answer: str, layer: str
) -> None:
    person = office.person("sender", **wanted)
    assert _try(connect, person.user_principal_name, office.user_token(person))[1].startswith(answer)
    assert [row[1] for row in office.log("AUTH")] == [layer]


def test_what_blocks_basic_passes_a_token_by(office: Office, connect: Connect) -> None:
    """The stage, Security Defaults and MFA acted when the token was issued, or not at all."""
    person = office.person("sender")
    token = office.user_token(person)
    office.sandbox.set_mail(office.tenant, basicSmtpStage="removed")
    security_defaults(office)
    assert _try(connect, person.user_principal_name, token)[0] == 235
    other = Office(office.sandbox, office.sandbox.new_tenant(), office.context)
    second = other.person("sender")
    token = other.user_token(second)
    block_legacy(other)
    assert _try(connect, second.user_principal_name, token)[0] == 235


def test_the_token_of_a_disabled_account_is_refused(office: Office, connect: Connect) -> None:
    person = office.person("sender")
    token = office.user_token(person)
    office.graph("PATCH", f"/users/{person.id}", json={"accountEnabled": False})
    assert _try(connect, person.user_principal_name, token) == (535, _UNSUCCESSFUL)
    assert office.log("AUTH") == [(535, "account-disabled")]


def test_a_shared_mailbox_is_opened_by_those_who_have_full_access(office: Office, connect: Connect) -> None:
    """The user name is the shared mailbox's address, the token that of a person (Microsoft's own description)."""
    ada, bob = office.person("ada2"), office.person("bob2")
    shared = office.person("info", mailbox="shared", fullAccess=[ada.user_principal_name])
    assert _try(connect, shared.user_principal_name, office.user_token(bob)) == (535, _UNSUCCESSFUL)
    client = connect()
    blob = f"user={shared.user_principal_name}\x01auth=Bearer {office.user_token(ada)}\x01\x01"
    client.auth("XOAUTH2", lambda challenge=None: blob)
    client.send_message(letter(shared.user_principal_name, bob.user_principal_name))
    assert office.folder(bob)[0]["from"]["emailAddress"]["address"] == shared.user_principal_name
    assert len(office.folder(shared, "sentitems")) == 1


def test_an_application_needs_the_role_the_registration_and_the_mailbox(office: Office, connect: Connect) -> None:
    """SMTP.SendAsApp, New-ServicePrincipal, Add-MailboxPermission: each alone is not enough."""
    person, app = office.person("sender"), office.application()
    secret = office.graph("POST", f"/applications/{app.id}/addPassword", json={})["secretText"]

    def token() -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": app.app_id,
            "client_secret": secret,
            "scope": "https://outlook.office365.com/.default",
        }
        answer = office.http("POST", f"/{office.tenant.tenant_id}/oauth2/v2.0/token", data=form)
        return str(answer.json()["access_token"])

    def refused() -> bool:
        return _try(connect, person.user_principal_name, token()) == (535, _UNSUCCESSFUL)

    assert refused()
    role = {"principalId": app.principal_id, "resourceId": app.exchange_id}
    role["appRoleId"] = "7146a1f0-8703-45b3-9eae-527a64c00995"
    office.graph("POST", f"/servicePrincipals/{app.principal_id}/appRoleAssignments", json=role)
    assert refused()
    office.cmdlet("New-ServicePrincipal", AppId=app.app_id, ObjectId=app.principal_id)
    assert refused()
    right = {"Identity": person.user_principal_name, "User": app.principal_id, "AccessRights": "FullAccess"}
    office.cmdlet("Add-MailboxPermission", **right)
    assert office.cmdlet("Get-MailboxPermission", Identity=person.id)[1]["User"] == app.principal_id
    assert _try(connect, person.user_principal_name, token())[0] == 235
    office.cmdlet("Remove-MailboxPermission", **right)
    assert refused()
