"""Who a token says we are: a wrong reading would let a run go into the wrong tenant."""

from __future__ import annotations

import base64
import json

import pytest

from provision.errors import SignInFailed
from provision.microsoft.tokens import caller_of


def token(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


def test_a_user() -> None:
    got = caller_of(
        token(tid="T", oid="O", appid="A", upn="ada@x", scp="User.Read Mail.Send", wids=["w"], idtyp="user")
    )
    assert (got.kind, got.name, got.tenant_id, got.object_id) == ("user", "ada@x", "t", "o")
    assert got.scopes == ("User.Read", "Mail.Send")
    assert got.directory_role_template_ids == ("w",)


def test_an_app() -> None:
    got = caller_of(token(tid="t", oid="o", appid="a", app_displayname="CI", roles=["Application.ReadWrite.OwnedBy"]))
    assert (got.kind, got.name, got.roles) == ("app", "CI", ("Application.ReadWrite.OwnedBy",))


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "a.eyJ.c", "e30.W10.x", token(oid="o")])
def test_what_is_no_token_is_one_sentence(text: str) -> None:
    with pytest.raises(SignInFailed):
        caller_of(text)
