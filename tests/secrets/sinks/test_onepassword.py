"""A field of a 1Password item is set, and beside it which client secret it is, in one request."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from onepassword_connect import Connect, Token
from tls_server import Reply

from provision.errors import (
    InvalidInput,
    NotDelivered,
    NotPermitted,
    ProvisionError,
    SignInFailed,
    Unreachable,
    WouldOverwrite,
)
from provision.secrets.sinks import Delivery, Sink, open_sink

VALUE = "abc8Q~0123456789.0123456789_0123456789-A"
ADDRESS = "onepassword:Mail/TMS%20Office365#client-secret"


def delivery(value: str = VALUE, key_id: str = "k-1") -> Delivery:
    return Delivery("tenant-1", "client-1", key_id, datetime(2099, 1, 1, tzinfo=UTC), value)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    with Connect(tmp_path / "tls") as server:
        yield server


@pytest.fixture
def sink(connect: Connect) -> Sink:
    return open_sink(ADDRESS, connect.environ)


def values(item: dict[str, Any]) -> dict[str, Any]:
    return {one.get("label", one["id"]): one.get("value") for one in item["fields"]}


def test_an_item_is_made_written_again_and_removed(connect: Connect, sink: Sink) -> None:
    sink.check()
    assert sink.stored() is None
    sink.write(delivery())
    (item,) = connect.items.values()
    assert (item["title"], item["category"], item["tags"]) == ("TMS Office365", "API_CREDENTIAL", ["provision"])
    assert [one["type"] for one in item["fields"] if one.get("label") == "client-secret"] == ["CONCEALED"]
    sink.check()
    before = sink.stored() or pytest.fail()
    assert (before.value, before.key_id, before.changed) == (VALUE, "k-1", "1")
    sink.write(delivery("b" * 40, "k-2"))
    after = sink.stored() or pytest.fail()
    assert (after.value, after.key_id, after.changed) == ("b" * 40, "k-2", "2")
    assert len(item["fields"]) == 3
    sink.remove()
    assert connect.items == {}
    sink.remove()
    assert sink.address == ADDRESS


def test_of_a_persons_item_only_the_field_changes(connect: Connect, sink: Sink) -> None:
    password = {"id": "password", "label": "password", "type": "CONCEALED", "purpose": "PASSWORD", "value": "theirs"}
    item = connect.add("TMS Office365", password, {"label": "host", "value": "smtp.office365.com"})
    sink.check()
    assert item["version"] == 1, "a change of nothing"
    assert sink.stored() is None
    for key_id in ("k-1", "k-2"):
        sink.write(delivery(key_id=key_id))
    theirs = {"password": "theirs", "host": "smtp.office365.com"}
    assert values(item) == theirs | {"client-secret": VALUE, "client-secret key id": "k-2"}
    sink.remove()
    assert values(item) == theirs


def test_a_logins_own_password_field_can_be_the_place(connect: Connect) -> None:
    password = {"id": "password", "label": "Passwort", "type": "CONCEALED", "purpose": "PASSWORD"}
    item = connect.add("TMS", password)
    sink = open_sink("onepassword:Mail/TMS#password", connect.environ)
    sink.write(delivery())
    sink.write(delivery("b" * 40))
    assert values(item) == {"Passwort": "b" * 40, "password key id": "k-1"}
    sink.remove()
    assert values(item) == {"Passwort": None}


def test_a_field_that_is_not_ours_is_not_removed(connect: Connect, sink: Sink) -> None:
    item = connect.add("TMS Office365", {"label": "client-secret", "type": "CONCEALED", "value": "theirs"})
    stored = sink.stored() or pytest.fail()
    assert (stored.value, stored.key_id) == ("theirs", None)
    sink.remove()
    assert values(item) == {"client-secret": "theirs"}


def test_an_item_of_ours_that_people_extended_is_kept(connect: Connect, sink: Sink) -> None:
    sink.write(delivery())
    (item,) = connect.items.values()
    item["fields"].append({"id": "x", "label": "who to call", "type": "STRING", "value": "Ada"})
    sink.remove()
    assert values(item) == {"notesPlain": None, "who to call": "Ada"}


def test_ids_serve_as_names_do(connect: Connect) -> None:
    item = connect.add("TMS", {"id": "f1", "label": "client-secret", "type": "CONCEALED", "value": "old"})
    sink = open_sink(f"onepassword:{connect.mail}/{item['id']}#f1", connect.environ)
    assert (sink.stored() or pytest.fail()).value == "old"
    missing = open_sink(f"onepassword:{connect.mail}/{'0' * 26}#f1", connect.environ)
    with pytest.raises(NotPermitted, match=r"does not give .* out \(item 0{26} not found\)"):
        missing.check()


def test_what_is_there_twice_has_to_be_named_by_its_id(connect: Connect, sink: Sink) -> None:
    item = connect.add("TMS Office365", {"label": "client-secret"}, {"label": "client-secret"})
    with pytest.raises(InvalidInput, match="has 2 fields client-secret"):
        sink.check()
    del item["fields"][1]
    connect.add("TMS Office365")
    with pytest.raises(InvalidInput, match="1Password has 2 of the name: item Mail/TMS Office365"):
        sink.check()
    connect.items.clear()
    connect.vaults["1" * 26] = "Mail"
    connect.tokens["eyJ.token"].vaults.add("1" * 26)
    with pytest.raises(InvalidInput, match="1Password has 2 of the name: vault Mail"):
        sink.check()


def test_an_archived_item_is_not_written(connect: Connect, sink: Sink) -> None:
    item = connect.add("TMS Office365", {"label": "client-secret", "value": "old"}, state="ARCHIVED")
    assert sink.stored() is None
    with pytest.raises(InvalidInput, match="is archived or deleted"):
        open_sink(f"onepassword:Mail/{item['id']}#client-secret", connect.environ).check()


def test_a_field_of_another_kind_is_not_overwritten(connect: Connect, sink: Sink) -> None:
    connect.add("TMS Office365", {"label": "client-secret", "type": "OTP", "value": "otpauth://x"})
    with pytest.raises(WouldOverwrite, match="is of the type OTP and holds no secret"):
        sink.check()


def test_a_token_that_may_only_read_is_found_out_before_a_secret_is_made(connect: Connect, sink: Sink) -> None:
    connect.add("TMS Office365", {"label": "client-secret", "value": "old"})
    connect.tokens["eyJ.token"] = Token({connect.mail}, writes=False)
    assert sink.stored() is not None
    with pytest.raises(NotPermitted, match=r"vault [0-9a-z]{26} is not in scope") as refused:
        sink.check()
    assert "read and write access" in refused.value.remedy


def test_a_wrong_token_none_and_a_vault_out_of_reach(connect: Connect, sink: Sink) -> None:
    with pytest.raises(NotPermitted, match="shows no vault Other"):
        open_sink("onepassword:Other/TMS#f", connect.environ).check()
    with pytest.raises(NotPermitted, match="is not in scope"):
        open_sink(f"onepassword:{connect.other}/TMS#f", connect.environ).check()
    connect.tokens.clear()
    for doing in (sink.check, sink.stored, sink.remove, lambda: sink.write(delivery())):
        with pytest.raises(SignInFailed, match="Invalid token signature"):
            doing()
    with pytest.raises(SignInFailed, match="no sign-in to 1Password Connect"):
        open_sink(ADDRESS, connect.environ | {"OP_CONNECT_TOKEN": ""}).check()


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (Reply(400, {"status": 400, "message": f"{VALUE} is bad"}), NotDelivered, r"HTTP 400\."),
        (Reply(400, {"status": 400, "message": "Unable to parse Item"}), NotDelivered, "Unable to parse Item"),
        (Reply(307, None, {"Location": "https://x.example"}), InvalidInput, "leads to another address"),
        (Reply(503), Unreachable, "is out of order: HTTP 503"),
        (Reply(200, []), Unreachable, "does not answer as 1Password Connect does"),
        (Reply(200, {"id": "x"}), Unreachable, "does not answer as 1Password Connect does"),
        (Reply(418), Unreachable, "does not answer as 1Password Connect does"),
    ],
    ids=lambda case: str(case.status) if isinstance(case, Reply) else None,
)
def test_a_refusal_is_one_sentence_without_the_value(
    connect: Connect, reply: Reply, kind: type[ProvisionError], says: str
) -> None:
    sink = open_sink(f"onepassword:{connect.mail}/TMS#f", connect.environ)
    connect.weather = [Reply(200, []), reply]
    with pytest.raises(kind, match=says) as caught:
        sink.write(delivery())
    assert type(caught.value) is kind
    assert VALUE not in str(caught.value)
    assert len(connect.requests) == 2, "an item may have been made: it is not made twice"


def test_neither_value_nor_token_is_in_a_log_or_repr(
    connect: Connect, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore"):
            caplog.set_level(logging.DEBUG, logger=name)
        sink.write(delivery())
        stored = sink.stored()
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    for hidden in (VALUE, "eyJ.token"):
        assert hidden not in caplog.text + repr((sink, stored))


@pytest.mark.parametrize(
    "rest",
    ["Mail/TMS", "Mail#f", "Mail/TMS#", "/TMS#f", "Mail/#f", "a/b/c#f", "Mail/a%22b#f", "Mail/a%5Cb#f", "M/%20#f"],
)
def test_an_address_that_is_none_is_refused(rest: str) -> None:
    with pytest.raises(InvalidInput, match="is not a vault, an item and a field"):
        open_sink(f"onepassword:{rest}", {})


@pytest.mark.parametrize(
    "host",
    ["", "http://connect.example:8080", "http://10.0.0.1", "https://u:p@c.example", "connect", "ftp://localhost"],
)
def test_the_value_goes_through_tls_or_stays_on_this_machine(host: str) -> None:
    sink = open_sink(ADDRESS, {"OP_CONNECT_HOST": host, "OP_CONNECT_TOKEN": "t"})
    with pytest.raises(InvalidInput, match="neither an https address nor an http address of this machine"):
        sink.check()


def test_connect_beside_the_toolkit_may_speak_plain_http() -> None:
    """As 1Password's own compose file starts it; here nobody listens."""
    for host in ("http://localhost:1", "http://127.0.0.1:1/"):
        with pytest.raises(Unreachable, match="connection is refused"):
            open_sink(ADDRESS, {"OP_CONNECT_HOST": host, "OP_CONNECT_TOKEN": "t"}).check()
