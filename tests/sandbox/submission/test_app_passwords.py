"""A user makes an app password on his own page and uses it in a mail client; deleting it ends that."""

from __future__ import annotations

import html
import re
import smtplib

import httpx
import pytest

from provision.sandbox.process import Person
from tests.sandbox.submission.conftest import Connect, Office

_PAGE = "/security-info"


def _submit(http: httpx.Client, page: httpx.Response, step: str, **fields: str) -> httpx.Response:
    """Fills in the form of a step and follows the way back, as a browser does."""
    forms = re.findall(r'<form method="post" action="([^"]*)">(.*?)</form>', page.text, re.DOTALL)
    action, content = next((action, content) for action, content in forms if f'value="{step}"' in content)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', content))
    answer = http.post(html.unescape(action), data={**hidden, **fields})
    return http.get(answer.headers["location"]) if answer.status_code == 303 else answer


def _signed_in(http: httpx.Client, person: Person) -> httpx.Response:
    page = http.get(_PAGE)
    page = _submit(http, page, "login", loginfmt=person.user_principal_name, passwd=person.password or "")
    if "otc" in page.text:
        page = _submit(http, page, "second-factor", otc="123456")
    return page


def test_a_user_makes_one_and_sends_with_it(office: Office, connect: Connect, http: httpx.Client) -> None:
    person = office.person("sender", mfa="registered")
    page = _submit(http, _signed_in(http, person), "create", name="Scanner")
    found = re.search(r'<code id="made">([a-z]{16})</code>', page.text)
    assert found
    assert page.headers["cache-control"] == "no-store"
    connect().login(person.user_principal_name, found[1])
    again = http.get(_PAGE)
    assert "Scanner" in again.text
    assert found[1] not in again.text
    assert found[1] not in str(office.sandbox.log())
    _submit(http, again, "delete", choice="Scanner")
    with pytest.raises(smtplib.SMTPAuthenticationError, match="credentials were incorrect"):
        connect().login(person.user_principal_name, found[1])


def test_each_has_a_name_of_its_own(office: Office, http: httpx.Client) -> None:
    person = office.person("sender", mfa="registered")
    page = _submit(http, _signed_in(http, person), "create", name="Scanner")
    page = _submit(http, page, "create", name="scanner ")
    assert "already have an app password with this name" in page.text
    assert "Give the app password a name" in _submit(http, page, "create", name=" ").text


def test_without_mfa_there_are_none(office: Office, http: httpx.Client) -> None:
    page = _signed_in(http, office.person("sender"))
    assert "available only when multifactor authentication is turned on" in page.text
    assert "Create app password" not in page.text


def test_a_forged_form_makes_none(office: Office, http: httpx.Client) -> None:
    """Another site's page cannot post in the user's name: the form carries a mark that only this browser has."""
    person = office.person("sender", mfa="registered")
    _signed_in(http, person)
    answer = http.post(_PAGE, data={"step": "create", "canary": "forged", "name": "Scanner"})
    assert "AADSTS165000" in answer.text
    assert "Scanner" not in http.get(_PAGE).text
