"""A product takes a secret over by itself: the sample product over TLS, and products that answer otherwise."""

from __future__ import annotations

import base64
import logging
import re
import secrets
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook
from tls_server import Reply, Request, TlsServer

from provision.errors import InvalidInput, NotDelivered, NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.sandbox import Sandbox
from provision.secrets.sinks import Delivery, Sink, open_sink
from provision.secrets.sinks.webhook import fingerprint

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = "whsec_" + base64.b64encode(b"o" * 24).decode()
TENANT, CLIENT = "5bbefd2a-d2c8-415c-87fc-29918a56b5cd", "0c0df0e2-4f1c-4d53-9d27-6d2b5a3f4f1e"
EXPIRES = datetime(2099, 1, 1, 12, 30, tzinfo=UTC)


def delivery(value: str = VALUE, key_id: str = "k-1", client: str = CLIENT) -> Delivery:
    return Delivery(TENANT, client, key_id, EXPIRES, value)


@pytest.fixture
def environ(sandbox: Sandbox) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(sandbox.ca_file), "PROVISION_WEBHOOK_KEY": KEY}


@pytest.fixture
def product(sandbox: Sandbox, http: httpx.Client) -> str:
    """A company at the sample product; its address."""
    code = f"S{secrets.token_hex(4)}"
    values = {"tenantId": TENANT, "clientId": CLIENT, "webhookKey": KEY}
    http.post(f"/_product/{code}/settings", json=values).raise_for_status()
    return f"{sandbox.base_url}/{code}/Services/ClientSecret"


@pytest.fixture
def sink(product: str, environ: dict[str, str]) -> Sink:
    return open_sink(f"webhook:{product}", environ)


class Other:
    """A product whose answer a test decides; it checks each signature with the standard's own library."""

    def __init__(self, directory: Path) -> None:
        self.reply: Callable[[Request], Reply] = lambda _request: Reply(200, {"keyId": None})
        self.events: list[dict[str, Any]] = []
        self.server = TlsServer(self._answer, directory)

    def _answer(self, request: Request) -> Reply:
        self.events.append(Webhook(KEY).verify(request.body, dict(request.headers)))
        return self.reply(request)

    @property
    def environ(self) -> dict[str, str]:
        return {"SSL_CERT_FILE": str(self.server.ca_file), "PROVISION_WEBHOOK_KEY": KEY}

    @property
    def sink(self) -> Sink:
        return open_sink(f"webhook:{self.server.url}/hook", self.environ)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    made = Other(tmp_path / "tls")
    with made.server:
        yield made


def test_the_product_takes_one_secret_after_another(sink: Sink, product: str, sandbox: Sandbox) -> None:
    sink.check()
    assert sink.stored() is None
    for key_id, value in (("k-1", VALUE), ("k-2", "b" * 40)):
        sink.write(delivery(value, key_id))
        sink.write(delivery(value, key_id))
        stored = sink.stored() or pytest.fail()
        assert (stored.value, stored.key_id, stored.changed) == (None, key_id, fingerprint(key_id, value))
    file = next(sandbox.directory.rglob("product.sqlite"))
    with closing(sqlite3.connect(file)) as db:
        code = product.split("/")[3]
        settings = db.execute("SELECT settings FROM company WHERE code = ?", (code,)).fetchone()[0]
    assert "b" * 40 in settings
    sink.remove()
    assert sink.stored() is None
    sink.remove()
    assert sink.address == f"webhook:{product}"


def test_a_wrong_key_and_a_wrong_client_are_told_apart(product: str, environ: dict[str, str], sink: Sink) -> None:
    stranger = open_sink(f"webhook:{product}", environ | {"PROVISION_WEBHOOK_KEY": OTHER_KEY})
    with pytest.raises(SignInFailed, match=r"does not accept the signature \(wrong_signature\)"):
        stranger.check()
    with pytest.raises(NotPermitted, match=r"\(wrong_client\): it is set up for another tenant or client id"):
        sink.write(delivery(client="11111111-2222-3333-4444-555555555555"))
    nobody = product.replace("/S", "/Nobody", 1)
    with pytest.raises(InvalidInput, match=r"Nothing takes client secrets at .*no_webhook"):
        open_sink(f"webhook:{nobody}", environ).check()


def test_two_keys_sign_while_the_products_key_is_changed(product: str, environ: dict[str, str]) -> None:
    both = open_sink(f"webhook:{product}", environ | {"PROVISION_WEBHOOK_KEY": f"{OTHER_KEY} {KEY}"})
    both.write(delivery())
    assert (both.stored() or pytest.fail()).key_id == "k-1"


def test_what_is_sent_is_what_the_page_for_developers_says(other: Other) -> None:
    other.sink.write(delivery())
    request = other.server.requests[0]
    assert (request.method, request.target) == ("POST", "/hook")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["webhook-id"] == "k-1"
    assert request.document == {
        "event": "client-secret.rotated",
        "tenantId": TENANT,
        "clientId": CLIENT,
        "keyId": "k-1",
        "expires": "2099-01-01T12:30:00Z",
        "clientSecret": VALUE,
    }
    other.sink.check()
    other.sink.check()
    ids = [one.headers["webhook-id"] for one in other.server.requests[1:]]
    assert len(set(ids)) == 2, "a question that is asked again is not a repeated message"
    assert other.events[1:] == [{"event": "client-secret.status"}] * 2


def test_a_key_in_a_private_file(other: Other, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    environ = {"SSL_CERT_FILE": str(other.server.ca_file), "PROVISION_WEBHOOK_KEY_FILE": str(file)}
    file.chmod(0o640)
    sink = open_sink(f"webhook:{other.server.url}/hook", environ)
    with pytest.raises(InvalidInput, match=r"others \(mode 0640\)"):
        sink.check()
    file.chmod(0o600)
    sink.check()
    file.write_bytes(b"\xff\xff")
    with pytest.raises(InvalidInput, match="PROVISION_WEBHOOK_KEY_FILE does not hold a webhook's key"):
        sink.check()
    file.unlink()
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        sink.check()


@pytest.mark.parametrize(
    "key", ["", "secret", KEY.removeprefix("whsec_"), "whsec_AAAA", "whsec_" + "A" * 200, "whsec_é"]
)
def test_a_key_that_is_none_is_refused_and_never_shown(other: Other, key: str) -> None:
    sink = open_sink(f"webhook:{other.server.url}/hook", other.environ | {"PROVISION_WEBHOOK_KEY": key})
    with pytest.raises(InvalidInput) as caught:
        sink.check()
    assert not key or key not in str(caught.value)
    assert other.server.requests == []


def test_both_ways_to_give_a_key_are_one_too_many(other: Other) -> None:
    environ = other.environ | {"PROVISION_WEBHOOK_KEY_FILE": "/run/key"}
    with pytest.raises(InvalidInput, match="either in PROVISION_WEBHOOK_KEY or in the file"):
        open_sink(f"webhook:{other.server.url}/hook", environ).check()


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (
            Reply(302, None, {"Location": "https://elsewhere.example/"}),
            InvalidInput,
            r"redirect \(HTTP 302\), which is",
        ),
        (Reply(308, None, {"Location": "/hook2"}), InvalidInput, "redirect"),
        (Reply(401, {"error": "wrong_timestamp"}), SignInFailed, r"signature \(wrong_timestamp\)"),
        (Reply(403, {"error": VALUE}), NotPermitted, "refuses the message:"),
        (Reply(404), InvalidInput, r"Nothing takes client secrets at .* \(HTTP 404\)"),
        (Reply(410), InvalidInput, "HTTP 410"),
        (Reply(409, {"error": "replayed"}), NotDelivered, r"HTTP 409 \(replayed\)"),
        (Reply(400, {"error": {"message": VALUE}}), NotDelivered, "HTTP 400[.]"),
        (Reply(422, [VALUE]), NotDelivered, "HTTP 422[.]"),
        (Reply(500, {"error": f"oops {VALUE}"}), Unreachable, "cannot take it now: HTTP 500[.]"),
        (Reply(429, None, {"Retry-After": "3600"}), Unreachable, "HTTP 429"),
    ],
    ids=lambda case: str(case.status) if isinstance(case, Reply) else None,
)
def test_a_refusal_is_one_sentence_without_the_value(
    other: Other, reply: Reply, kind: type[ProvisionError], says: str
) -> None:
    other.reply = lambda _request: reply
    with pytest.raises(kind, match=says) as caught:
        other.sink.write(delivery())
    assert type(caught.value) is kind
    assert VALUE not in str(caught.value)
    assert len(other.server.requests) == 1, "neither followed nor repeated"


def test_an_overload_is_waited_out_with_a_new_signature_each_time(other: Other) -> None:
    busy = [Reply(503), Reply(429, None, {"Retry-After": "1"})]
    other.reply = lambda _request: busy.pop(0) if busy else Reply(204)
    other.sink.write(delivery())
    tries = [(one.headers["webhook-id"], one.headers["webhook-timestamp"]) for one in other.server.requests]
    assert [message_id for message_id, _ in tries] == ["k-1"] * 3
    assert tries[2][1] > tries[0][1]
    other.reply = lambda _request: Reply(503)
    with pytest.raises(Unreachable, match="HTTP 503"):
        other.sink.check()


def test_a_product_that_cut_the_value_off_is_found_out_at_once(other: Other) -> None:
    other.reply = lambda _request: Reply(200, {"keyId": "k-1", "fingerprint": fingerprint("k-1", VALUE[:32])})
    with pytest.raises(NotDelivered, match="holds another value than the one sent"):
        other.sink.write(delivery())
    other.reply = lambda _request: Reply(200, {"keyId": "k-1", "fingerprint": fingerprint("k-1", VALUE).upper()})
    other.sink.write(delivery())


@pytest.mark.parametrize("told", [None, [], {}, "k-1", {"keyId": 7}, {"keyId": ""}, {"keyId": "x" * 129}])
def test_an_answer_that_names_no_key_id_is_no_status(other: Other, told: Any) -> None:
    other.reply = lambda _request: Reply(200, told)
    with pytest.raises(Unreachable, match="does not say which client secret it uses"):
        other.sink.check()


def test_a_certificate_that_is_not_trusted_ends_it_before_anything_is_sent(other: Other, sandbox: Sandbox) -> None:
    environ = other.environ | {"SSL_CERT_FILE": str(sandbox.ca_file)}
    with pytest.raises(Unreachable, match=r"TLS certificate of https://localhost:.* is not trusted"):
        open_sink(f"webhook:{other.server.url}/hook", environ).write(delivery())
    assert other.server.requests == []


def test_a_product_that_is_not_there(tmp_path: Path) -> None:
    with TlsServer(lambda _request: Reply(200), tmp_path / "gone") as gone:
        environ = {"SSL_CERT_FILE": str(gone.ca_file), "PROVISION_WEBHOOK_KEY": KEY}
    with pytest.raises(Unreachable, match="cannot be reached: the connection is refused"):
        open_sink(f"webhook:{gone.url}/hook", environ).check()


def test_neither_value_nor_key_is_in_a_log_or_repr(other: Other, caplog: pytest.LogCaptureFixture) -> None:
    sink = other.sink
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.write(delivery())
        other.reply = lambda _request: Reply(400, {"error": VALUE}, {"X-Echo": "no"})
        with pytest.raises(NotDelivered):
            sink.write(delivery())
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    for hidden in (VALUE, KEY, KEY.removeprefix("whsec_")):
        assert hidden not in caplog.text
        assert hidden not in repr((sink, delivery()))


@pytest.mark.parametrize(
    "rest",
    [
        "http://my.cloudex.app/hook",
        "my.cloudex.app/hook",
        "https:///hook",
        "https://user:word@my.cloudex.app/hook",
        "https://my.cloudex.app/hook?token=x",
        "https://my.cloudex.app/hook?",
        "https://my.cloudex.app/hook#x",
        "https://my.cloudex.app:99999/hook",
        "https://my.cloudex.app/a b",
        "https://[::1",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_it(rest: str) -> None:
    """It may hold a password or a token."""
    with pytest.raises(InvalidInput, match="not https:// with a host and a path alone") as caught:
        open_sink(f"webhook:{rest}", {})
    assert rest not in str(caught.value)


def test_a_hosts_letter_case_means_nothing_and_a_paths_does() -> None:
    assert open_sink("webhook:https://My.Cloudex.App/ACME/x", {}).address == "webhook:https://my.cloudex.app/ACME/x"


def test_the_example_on_the_page_for_developers_is_right() -> None:
    page = (Path(__file__).parents[3] / "docs/webhook.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```text\n(key .*?)```", page, re.DOTALL)
    told = dict(line.split(maxsplit=1) for line in example.splitlines())
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    headers = {f"webhook-{name}": told[name] for name in ("id", "timestamp", "signature")}
    moment = datetime.fromtimestamp(int(told["timestamp"]), UTC)
    assert Webhook(told["key"]).sign(told["id"], moment, told["body"]) == told["signature"]
    for body, seconds, genuine in ((told["body"], 0, True), (told["body"] + " ", 0, False), (told["body"], 301, False)):
        found = names["is_genuine"](told["key"], headers, body.encode(), moment.timestamp() + seconds)
        assert found is genuine


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "standardwebhooks", None)
    with pytest.raises(InvalidInput, match="standardwebhooks") as caught:
        open_sink("webhook:https://my.cloudex.app/x", {})
    assert caught.value.remedy == "pip install 'provision[webhook]'"
