"""A live SMTP dialogue, with the local tenant's own server and with servers that break off."""

from __future__ import annotations

import socket
import threading

import pytest

from provision.errors import InvalidInput
from provision.mail.letter import Letter
from provision.mail.smtp import Dialogue, Login, Password, Token, converse
from provision.sandbox import Sandbox, Tenant


def talk(sandbox: Sandbox, login: Login | None = None, letter: Letter | None = None) -> Dialogue:
    host, _, port = (sandbox.state.smtp_address or "").partition(":")
    return converse(host, int(port), login=login, letter=letter, ca_file=str(sandbox.ca_file))


def test_a_letter_is_handed_over_by_someone_who_may(sandbox: Sandbox, tenant: Tenant) -> None:
    person = sandbox.new_people(tenant, {"alias": "sender", "smtpAuth": "on"})[0]
    name = person.user_principal_name
    told = talk(sandbox, Password(name, person.password or ""), Letter.written(name, name, "SMTP"))
    assert told.refused is None
    assert [step.name for step in told.steps] == [
        *("connect", "hello", "starttls", "hello", "auth", "sender", "recipient", "data")
    ]
    assert told.tls.startswith("TLSv1.")
    assert told.mechanisms == ("LOGIN", "XOAUTH2")


def test_a_refusal_is_a_step_and_holds_no_secret(sandbox: Sandbox, tenant: Tenant) -> None:
    person = sandbox.new_people(tenant, {"alias": "sender", "smtpAuth": "off"})[0]
    told = talk(sandbox, Password(person.user_principal_name, person.password or ""))
    assert told.refused is not None
    assert (told.refused.name, told.refused.code, told.refused.enhanced) == ("auth", 535, "5.7.139")
    assert "SmtpClientAuthentication is disabled for the Mailbox" in told.refused.text
    assert person.password
    assert person.password not in repr(told)


def test_a_token_that_is_none_is_refused_in_other_words(sandbox: Sandbox, tenant: Tenant) -> None:
    person = sandbox.new_people(tenant, {"alias": "sender", "smtpAuth": "on"})[0]
    told = talk(sandbox, Token(person.user_principal_name, "not.a.token"))
    assert told.refused is not None
    assert told.refused.reply.startswith("535 5.7.3 Authentication unsuccessful")


def test_without_a_login_nothing_is_sent(sandbox: Sandbox) -> None:
    told = talk(sandbox)
    assert told.refused is None
    assert [step.name for step in told.steps] == ["connect", "hello", "starttls", "hello"]


def test_a_certificate_that_is_not_trusted_ends_it_before_any_secret(sandbox: Sandbox) -> None:
    host, _, port = (sandbox.state.smtp_address or "").partition(":")
    told = converse(host, int(port), login=Password("a@b.example", "secret"))
    assert told.refused is not None
    assert told.refused.name == "starttls"
    assert "is not trusted" in told.refused.text


def saying(*lines: bytes) -> int:
    """The port of a server that says these lines, one at first and one for each line it hears, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with listener, peer, peer.makefile("rb") as heard:
            for line in lines:
                peer.sendall(line)
                heard.readline()

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def test_no_password_is_sent_to_a_server_without_tls() -> None:
    told = converse("localhost", saying(b"220 here\r\n", b"250-here\r\n250 AUTH LOGIN\r\n"), login=Password("a", "b"))
    assert told.refused is not None
    assert (told.refused.name, told.refused.code) == ("starttls", None)
    assert "does not offer STARTTLS" in told.refused.text


@pytest.mark.parametrize(
    ("lines", "step", "said"),
    [
        ((b"554 5.7.1 go away\r\n",), "connect", "go away"),
        ((b"220 here\r\n",), "hello", "closes the connection without a reply"),
        ((b"not smtp at all\r\n",), "connect", ""),
    ],
)
def test_a_server_that_breaks_off_is_no_traceback(lines: tuple[bytes, ...], step: str, said: str) -> None:
    told = converse("localhost", saying(*lines), timeout=5)
    assert told.refused is not None
    assert told.refused.name == step
    assert said in told.refused.text


def test_nobody_there_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    told = converse("localhost", port)
    assert told.refused is not None
    assert told.refused.text == f"localhost:{port} cannot be reached: the connection is refused."


def test_a_password_that_smtp_cannot_carry_is_said(sandbox: Sandbox, tenant: Tenant) -> None:
    with pytest.raises(InvalidInput, match="plain ASCII"):
        talk(sandbox, Password(f"ada@{tenant.domain}", "p\u00e4ssword"))


def test_a_letter_is_found_by_its_mark() -> None:
    one, other = (Letter.written("ada@contoso.example", "bob@contoso.example", "SMTP") for _ in range(2))
    assert one.mark != other.mark
    assert one.mark in one.subject
    assert one.message()["Message-ID"] == f"<{one.mark}@contoso.example>"
