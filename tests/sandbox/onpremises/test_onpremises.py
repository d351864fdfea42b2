"""The customer's own Exchange as unmodified exchangelib meets it: Basic, NTLM, hybrid OAuth, autodiscover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ews_tenant import Ews
from exchangelib import BASIC, DELEGATE, NTLM, Account, Configuration, Credentials, Mailbox, Message
from exchangelib.protocol import FailFast

Open = Callable[..., Account]


@pytest.fixture
def people(ews: Ews) -> dict[str, dict[str, str]]:
    made = ews.sandbox.new_accounts(
        ews.entra.tenant,
        {"alias": "ada"},
        {"alias": "olga", "displayName": "Olga Ozola"},
        {"alias": "bob", "mailbox": "remote"},
        {"alias": "gone", "enabled": False},
        {"alias": "robot", "mailbox": "none", "impersonates": True},
    )
    return {one["alias"]: one for one in made}


@pytest.fixture
def url(ews: Ews) -> str:
    return f"{ews.sandbox.base_url}/_onpremises/EWS/Exchange.asmx"


@pytest.fixture
def opened(url: str, people: dict[str, dict[str, str]]) -> Open:
    def open_mailbox(alias: str, auth: str | None, *, name: str = "domainUser", **more: Any) -> Account:
        person = people[more.pop("by", alias)]
        credentials = Credentials(person[name], more.pop("password", person["password"]))
        config = Configuration(
            service_endpoint=url,
            credentials=credentials,
            auth_type=auth,
            retry_policy=FailFast(),
            **more.pop("config", {}),
        )
        kind = more.pop("access", DELEGATE)
        return Account(people[alias]["mail"], config=config, autodiscover=False, access_type=kind)

    return open_mailbox


@pytest.mark.parametrize("auth", [BASIC, NTLM, None])
def test_a_message_goes_from_one_local_mailbox_to_another(
    opened: Open, people: dict[str, dict[str, str]], auth: str | None
) -> None:
    ada, olga = opened("ada", auth), opened("olga", auth, name="userPrincipalName")
    to = [Mailbox(email_address=people["olga"]["mail"])]
    Message(account=ada, subject="From the own server", body="At 8", to_recipients=to).send_and_save()
    assert [str(one.sender.email_address) for one in olga.inbox.filter(subject="From the own server")] == [
        people["ada"]["mail"]
    ]
    assert ada.sent.filter(subject="From the own server").count() == 1
    assert str(ada.version.build).startswith("15.2.")
