"""The sample product takes a new client secret by a signed message, over TLS; signed by the standard's own library."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import visitor
from customer import Customer
from standardwebhooks import Webhook

from provision.sandbox import Sandbox
from provision.sandbox.product.company import Company, SettingsRefused
from provision.sandbox.product.store import Store

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NEW = "new8Q~0123456789.0123456789_0123456789-A"


@dataclass
class Shop:
    """A company at the product, and a sender that has its key."""

    http: httpx.Client
    customer: Customer
    sent: int = field(default_factory=lambda: int(datetime.now(UTC).timestamp()) - 200)
    """The next message's time; each is a second later."""

    @property
    def path(self) -> str:
        return f"/{self.customer.company}/Services/ClientSecret"

    def rotated(self, key_id: str = "k-1", value: str = NEW, **changes: Any) -> dict[str, Any]:
        known = {"tenantId": self.customer.tenant_id, "clientId": self.customer.client_id}
        message = {"event": "client-secret.rotated", **known, "keyId": key_id, "clientSecret": value}
        return {**message, "expires": "2099-01-01T00:00:00Z", **changes}

    def signed(self, message: Any, message_id: str, *, at: int | None = None, key: str = KEY) -> dict[str, Any]:
        self.sent += 1
        moment = datetime.fromtimestamp(self.sent if at is None else at, UTC)
        body = json.dumps(message)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": Webhook(key).sign(message_id, moment, body),
        }
        return {"headers": headers, "content": body}

    def post(self, request: dict[str, Any]) -> tuple[int, Any]:
        answer = self.http.post(self.path, **request)
        return answer.status_code, answer.json()

    def send(self, message: dict[str, Any], message_id: str | None = None, **options: Any) -> tuple[int, Any]:
        return self.post(self.signed(message, message_id or message.get("keyId", secrets.token_hex(8)), **options))

    def in_use(self) -> str | None:
        status, told = self.send({"event": "client-secret.status"})
        assert status == 200
        return told["keyId"]


@pytest.fixture
def shop(sandbox: Sandbox, http: httpx.Client) -> Iterator[Shop]:
    code = f"W{secrets.token_hex(4)}"
    customer = Customer(sandbox, code)
    customer.register(redirect_uri=f"{sandbox.base_url}/{code}/Services/Office365Callback.aspx", consent=True)
    customer.configure_product(webhookKey=KEY)
    yield Shop(http, customer)
    customer.close()


def stored(sandbox: Sandbox, code: str) -> dict[str, Any]:
    """What is in the product's own file."""
    file = next(sandbox.directory.rglob("product.sqlite"))
    with closing(sqlite3.connect(file)) as db:
        return json.loads(db.execute("SELECT settings FROM company WHERE code = ?", (code,)).fetchone()[0])


def connect(http: httpx.Client, customer: Customer) -> None:
    """Ada presses "Connect to Microsoft" and signs in."""
    visitor.connect(http, customer.company, *customer.user("ada"))


def test_the_next_mail_leaves_with_the_new_secret_and_the_old_one_can_go(shop: Shop, sandbox: Sandbox) -> None:
    customer, old, old_key_id = shop.customer, shop.customer.client_secret, shop.customer.secret_key_id
    connect(shop.http, customer)
    customer.new_secret()
    assert shop.send(shop.rotated(customer.secret_key_id, customer.client_secret))[0] == 200
    assert stored(sandbox, customer.company)["former_secret"] == old
    assert customer.send_headless(to=customer.user("bob")[0], subject="now").status_code == 200
    settings = stored(sandbox, customer.company)
    assert (settings["client_secret"], settings["former_secret"]) == (customer.client_secret, "")
    customer.remove_secret(old_key_id)
    assert customer.send_headless(to=customer.user("bob")[0], subject="after").status_code == 200
    assert [len(customer.inbox("bob", subject)) for subject in ("now", "after")] == [1, 1]


def test_a_secret_that_entra_does_not_know_does_not_end_the_mail(shop: Shop, sandbox: Sandbox) -> None:
    """As in the minutes in which Microsoft's servers learn of a new one: mails go on with the one before."""
    customer = shop.customer
    connect(shop.http, customer)
    shop.send(shop.rotated("k-1", NEW))
    assert customer.send_headless(to=customer.user("bob")[0], subject="still").status_code == 200
    assert stored(sandbox, customer.company)["former_secret"] == customer.client_secret
    shop.send(shop.rotated("k-2", "x" * 40))
    assert stored(sandbox, customer.company)["former_secret"] == customer.client_secret, "the one that works"
    assert customer.send_headless(to=customer.user("bob")[0], subject="still").status_code == 200


def test_a_company_may_begin_without_a_secret(shop: Shop) -> None:
    customer = shop.customer
    customer.configure_product(webhookKey=KEY, clientSecret="")
    described = shop.http.get(f"/_product/{customer.company}").json()
    assert (described["configured"], described["secretFrom"]) == (True, None)
    refused = shop.http.post(f"/{customer.company}/Services/Office365Connect.aspx")
    assert "the webhook has not brought one" in refused.text
    shop.send(shop.rotated(customer.secret_key_id, customer.client_secret))
    assert shop.http.get(f"/_product/{customer.company}").json()["secretFrom"] == "webhook"
    connect(shop.http, customer)


def test_what_is_in_use_is_told_by_key_id_and_fingerprint_never_by_value(shop: Shop) -> None:
    assert shop.in_use() is None, "typed in by a person"
    answer = shop.http.post(shop.path, **shop.signed(shop.rotated(), "k-1"))
    assert answer.json()["keyId"] == "k-1"
    assert len(answer.json()["fingerprint"]) == 64
    assert NEW not in answer.text
    assert shop.in_use() == "k-1"


def test_a_repeated_message_changes_nothing_and_succeeds(shop: Shop, sandbox: Sandbox) -> None:
    request = shop.signed(shop.rotated(), "k-1")
    first = shop.post(request)
    before = stored(sandbox, shop.customer.company)
    assert shop.post(request) == first == shop.send(shop.rotated())
    assert stored(sandbox, shop.customer.company) == before


def test_a_message_from_before_brings_no_old_secret_back(shop: Shop) -> None:
    first = shop.signed(shop.rotated("k-1"), "k-1")
    held_back = shop.signed(shop.rotated("k-0", "h" * 40), "k-0")
    shop.post(first)
    shop.send(shop.rotated("k-2", "b" * 40))
    for old in (first, held_back):
        assert shop.post(old) == (409, {"error": "replayed"})
    asked = shop.signed({"event": "client-secret.status"}, "status-1")
    assert shop.post(asked)[0] == 200
    assert shop.post(asked) == (409, {"error": "replayed"})
    assert shop.in_use() == "k-2"


def test_two_changes_within_one_second_are_told_apart(shop: Shop) -> None:
    now = int(datetime.now(UTC).timestamp())
    first = shop.signed(shop.rotated("k-1"), "k-1", at=now)
    shop.post(first)
    assert shop.send(shop.rotated("k-2", "b" * 40), at=now)[0] == 200
    assert shop.post(first) == (409, {"error": "replayed"})
    assert shop.in_use() == "k-2"


def test_a_secret_taken_back_leaves_the_one_before(shop: Shop, sandbox: Sandbox) -> None:
    shop.send(shop.rotated("k-1"))
    other = {"event": "client-secret.removed", "keyId": "k-other"}
    assert shop.send(other, "removed-k-other")[1]["keyId"] == "k-1"
    assert shop.send({**other, "keyId": "k-1"}, "removed-k-1") == (200, {"keyId": None})
    assert stored(sandbox, shop.customer.company)["client_secret"] == shop.customer.client_secret
    assert shop.send(shop.rotated("k-1"))[1]["keyId"] == "k-1", "the same one may come again"


def test_another_tenants_or_clients_secret_is_refused(shop: Shop, sandbox: Sandbox) -> None:
    before = stored(sandbox, shop.customer.company)
    stranger = "11111111-2222-3333-4444-555555555555"
    assert shop.send(shop.rotated(tenantId=stranger)) == (403, {"error": "wrong_tenant"})
    assert shop.send(shop.rotated(clientId=stranger)) == (403, {"error": "wrong_client"})
    assert stored(sandbox, shop.customer.company) == before
    upper = {"tenantId": shop.customer.tenant_id.upper(), "clientId": shop.customer.client_id.upper()}
    assert shop.send(shop.rotated(**upper))[0] == 200


NOW = int(datetime.now(UTC).timestamp())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"webhook-id": ""}, "no_signature"),
        ({"webhook-id": "k-2"}, "wrong_signature"),
        ({"webhook-id": "k.1"}, "no_signature"),
        ({"webhook-timestamp": ""}, "no_signature"),
        ({"webhook-timestamp": "1e9"}, "no_signature"),
        ({"webhook-timestamp": "-1"}, "no_signature"),
        ({"webhook-timestamp": str(NOW)}, "wrong_signature"),
        ({"webhook-signature": ""}, "wrong_signature"),
        ({"webhook-signature": "v1"}, "wrong_signature"),
        ({"webhook-signature": "v1,"}, "wrong_signature"),
        ({"webhook-signature": "v1,AAAA v1a,AAAA"}, "wrong_signature"),
    ],
)
def test_a_header_that_was_changed_is_refused(shop: Shop, change: dict[str, str], error: str) -> None:
    request = shop.signed(shop.rotated(), "k-1")
    request["headers"] |= change
    assert shop.post(request) == (401, {"error": error})
    assert shop.in_use() is None


def test_a_body_that_was_changed_or_signed_by_another_is_refused(shop: Shop) -> None:
    request = shop.signed(shop.rotated(), "k-1")
    request["content"] = request["content"].replace(NEW, "x" * 40)
    assert shop.post(request) == (401, {"error": "wrong_signature"})
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    assert shop.send(shop.rotated(), key=other) == (401, {"error": "wrong_signature"})
    both = shop.signed(shop.rotated(), "k-1")
    both["headers"]["webhook-signature"] = "v1,AAAA " + both["headers"]["webhook-signature"]
    assert shop.post(both)[0] == 200, "a key is being changed: one of two signatures is enough"


@pytest.mark.parametrize(("seconds", "status"), [(-330, 401), (-270, 200), (270, 200), (330, 401)])
def test_a_message_is_good_for_five_minutes(shop: Shop, seconds: int, status: int) -> None:
    at = int((datetime.now(UTC) + timedelta(seconds=seconds)).timestamp())
    assert shop.send(shop.rotated(), at=at)[0] == status


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"event": "client-secret.stolen"}, "unknown_event"),
        ({"event": 1}, "unknown_event"),
        ({"clientSecret": None}, "missing_field"),
        ({"clientSecret": ""}, "missing_field"),
        ({"clientSecret": "two words"}, "wrong_secret"),
        ({"clientSecret": "x" * 257}, "wrong_secret"),
        ({"keyId": "another"}, "wrong_id"),
        ({"expires": "2001-01-01T00:00:00Z"}, "wrong_expiry"),
        ({"expires": "2099-01-01"}, "wrong_expiry"),
        ({"expires": "soon"}, "wrong_expiry"),
    ],
)
def test_a_message_that_cannot_be_used_changes_nothing(shop: Shop, change: dict[str, Any], error: str) -> None:
    assert shop.send({**shop.rotated(), **change}, "k-1") == (400, {"error": error})
    assert shop.in_use() is None


def test_what_is_no_message_at_all(shop: Shop) -> None:
    assert shop.post(shop.signed([1], "m-1")) == (400, {"error": "unknown_event"})
    assert shop.post({**shop.signed({}, "m-2"), "content": "{" * 30_000}) == (413, {"error": "too_large"})
    assert shop.http.get(shop.path).status_code == 405
    plain = shop.signed(shop.rotated(), "k-1")
    plain["headers"]["content-type"] = "text/plain"
    assert shop.http.post(shop.path, **plain).status_code == 415


def test_without_a_key_nobody_may_hand_anything_in(shop: Shop) -> None:
    shop.customer.configure_product()
    assert shop.send(shop.rotated()) == (404, {"error": "no_webhook"})


def test_a_secret_that_a_person_types_is_not_the_webhooks(shop: Shop) -> None:
    shop.send(shop.rotated())
    shop.customer.configure_product(webhookKey=KEY)
    assert shop.in_use() is None


def test_the_form_shows_no_key_and_keeps_what_is_left_empty(shop: Shop, sandbox: Sandbox) -> None:
    shop.send(shop.rotated())
    page = f"/{shop.customer.company}/Services/Settings"
    shown = shop.http.get(page).text
    assert KEY not in shown
    assert NEW not in shown
    form = {"tenantId": shop.customer.tenant_id, "clientId": shop.customer.client_id}
    assert shop.http.post(page, data=form).status_code == 303
    settings = stored(sandbox, shop.customer.company)
    assert (settings["webhook_key"], settings["key_id"], settings["client_secret"]) == (KEY, "k-1", NEW)
    assert shop.in_use() == "k-1"
    refused = shop.http.post(page, data={**form, "webhookKey": KEY, "tenantId": "contoso.com"})
    assert refused.status_code == 400
    assert KEY not in refused.text


def test_another_client_id_typed_in_leaves_no_key_id_of_the_former(shop: Shop) -> None:
    shop.send(shop.rotated())
    page = f"/{shop.customer.company}/Services/Settings"
    form = {"tenantId": shop.customer.tenant_id, "clientId": "11111111-2222-3333-4444-555555555555"}
    shop.http.post(page, data=form)
    assert shop.in_use() is None


GUID = "0c0df0e2-4f1c-4d53-9d27-6d2b5a3f4f1e"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"webhookKey": "secret"}, "whsec_ and 24 to 64 bytes"),
        ({"webhookKey": "whsec_AAAA"}, "whsec_ and 24 to 64 bytes"),
        ({"webhookKey": KEY.removeprefix("whsec_")}, "whsec_ and 24 to 64 bytes"),
        ({"webhookKey": KEY, "clientSecret": "", "secretFile": "/run/secret"}, "in a file no webhook is needed"),
        ({"webhookKey": KEY, "tenantId": "common"}, "Directory .tenant. ID"),
    ],
)
def test_a_key_that_could_not_serve_is_refused_when_it_is_typed(values: dict[str, str], sentence: str) -> None:
    given = {"tenantId": GUID, "clientId": GUID, "clientSecret": "s", **values}
    with pytest.raises(SettingsRefused, match=sentence):
        Company.parse("ACME", {name: value for name, value in given.items() if value})


def test_no_repr_shows_a_value_or_the_key() -> None:
    company = Company("ACME", GUID, GUID, client_secret=NEW, webhook_key=KEY, former_secret="before~it")
    for hidden in (NEW, KEY, "before~it"):
        assert hidden not in repr(company) + repr(company.shown())


def test_a_secret_that_was_answered_for_is_on_disk(tmp_path: Path) -> None:
    """Another process, which opens the file anew, reads it at once: nothing waits in memory."""
    from provision.sandbox.product.webhook import ROTATED, Message

    store = Store(tmp_path / "product.sqlite")
    store.save_company(Company("ACME", GUID, GUID, client_secret="old", webhook_key=KEY))
    values = {"tenantId": GUID, "clientId": GUID, "keyId": "k", "expires": "", "clientSecret": NEW}
    store.take("ACME", Message("k", 1000, ROTATED, values))
    with closing(sqlite3.connect(tmp_path / "product.sqlite")) as other:
        assert NEW in other.execute("SELECT settings FROM company").fetchone()[0]
    store.forget_former_secret("ACME", "old")
    assert (store.company("ACME") or pytest.fail()).former_secret == "old", "the old one worked, not the new"
    store.close()
