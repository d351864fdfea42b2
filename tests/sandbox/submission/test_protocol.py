"""The conversation itself, by a raw socket: sequences, injections, long lines, smuggling, slow and rude clients."""

from __future__ import annotations

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.sandbox.submission.conftest import Office


class Wire:
    """A client that writes what it is told."""

    def __init__(self, office: Office) -> None:
        host, _, port = office.sandbox.smtp_address.rpartition(":")
        self._office = office
        self.socket: socket.socket = socket.create_connection((host, int(port)), timeout=20)
        self._buffer = b""
        self.reply()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> str:
        """One line; empty when the server hung up."""
        while b"\n" not in self._buffer:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return ""
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode().rstrip("\r")

    def reply(self) -> str:
        """One reply: the last of its lines."""
        line = self.line()
        while line[3:4] == "-":
            line = self.line()
        return line

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def encrypt(self, context: ssl.SSLContext | None = None, *, host: str = "localhost") -> None:
        assert self.say("EHLO client.example").startswith("250 ")
        assert self.say("STARTTLS") == "220 2.0.0 SMTP server ready"
        self.socket = (context or self._office.context).wrap_socket(self.socket, server_hostname=host)
        self.say("EHLO client.example")

    def sign_in(self, name: str, password: str) -> str:
        assert self.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
        assert self.say(base64.b64encode(name.encode()).decode()) == "334 UGFzc3dvcmQ6"
        return self.say(base64.b64encode(password.encode()).decode())


@pytest.fixture
def wire(office: Office) -> Iterator[Wire]:
    with _wire(office) as opened:
        yield opened


@contextmanager
def _wire(office: Office) -> Iterator[Wire]:
    opened = Wire(office)
    try:
        yield opened
    finally:
        opened.socket.close()


@pytest.fixture
def signed_in(office: Office, wire: Wire) -> Wire:
    """A connection of ada2, who may send."""
    ada = office.person("ada2")
    wire.encrypt()
    assert wire.sign_in(ada.user_principal_name, ada.password or "") == "235 2.7.0 Authentication successful"
    return wire


def without_mark(reply: str) -> str:
    return reply.partition(" [")[0]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("AUTH LOGIN", "504 5.7.4 Unrecognized authentication type"),
        ("AUTH XOAUTH2 dXNlcj0=", "504 5.7.4 Unrecognized authentication type"),
        ("MAIL FROM:<a@b.example>", "451 5.7.3 STARTTLS is required to send mail"),
        ("RCPT TO:<a@b.example>", "503 5.5.2 Need mail command"),
        ("DATA", "503 5.5.2 Need mail command"),
        ("STARTTLS now", "501 5.5.4 Invalid arguments"),
        ("EHLO two words", "501 5.5.4 Invalid domain name"),
        ("VRFY ada", "252 2.1.5 Cannot VRFY user"),
        ("EXPN all", "500 5.3.3 Unrecognized command 'unknown'"),
        ("NONSENSE", "500 5.3.3 Unrecognized command 'unknown'"),
        ("NOOP", "250 2.0.0 OK"),
        ("RSET", "250 2.0.0 Resetting"),
        ("HELP", "214 HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT"),
        ("QUIT", "221 2.0.0 Service closing transmission channel"),
    ],
)
def test_before_starttls(wire: Wire, command: str, answer: str) -> None:
    wire.say("EHLO client.example")
    assert without_mark(wire.say(command)) == answer


@pytest.mark.parametrize(
    "command", ["AUTH LOGIN", "MAIL FROM:<a@b.example>", "RCPT TO:<a@b.example>", "DATA", "BDAT 0"]
)
def test_before_the_greeting(wire: Wire, command: str) -> None:
    assert without_mark(wire.say(command)) == "503 5.5.2 Send hello first"


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("AUTH PLAIN AGEAYg==", "504 5.7.4 Unrecognized authentication type"),
        ("AUTH NTLM", "504 5.7.4 Unrecognized authentication type"),
        ("AUTH", "504 5.7.4 Unrecognized authentication type"),
        ("AUTH LOGIN !!!", "501 5.5.4 Cannot decode the authentication data"),
        ("MAIL FROM:<a@b.example>", "530 5.7.57 Client not authenticated to send mail."),
        ("STARTTLS", "503 5.5.2 Only one STARTTLS command can be issued per session"),
    ],
)
def test_between_starttls_and_authentication(wire: Wire, command: str, answer: str) -> None:
    wire.encrypt()
    assert without_mark(wire.say(command)) == answer


@pytest.mark.parametrize(
    ("commands", "answer"),
    [
        (["AUTH LOGIN"], "503 5.5.2 Already authenticated"),
        (["MAIL FROM <ada2@x.example>"], "501 5.5.4 Invalid arguments"),
        (["MAIL FROM:<ada2>"], "501 5.1.7 Invalid address"),
        (["MAIL FROM:<ada2@x.example> SIZE=157286401"], "552 5.3.4 Message size exceeds fixed maximum message size"),
        (["MAIL FROM:<ada2@x.example> SIZE=big"], "501 5.5.4 Invalid arguments"),
        (["MAIL FROM:<ada2@x.example> BODY=9BIT"], "501 5.5.4 Invalid arguments"),
        (["MAIL FROM:<ada2@x.example> XFORWARD=1"], "555 5.5.4 Unsupported option: XFORWARD"),
        (["MAIL FROM:<ada2@x.example> BODY=8BITMIME SIZE=1 SMTPUTF8 RET=HDRS ENVID=1"], "250 2.1.0 Sender OK"),
        (["mail from: ada2@x.example"], "250 2.1.0 Sender OK"),
        (["MAIL FROM:<>"], "250 2.1.0 Sender OK"),
        (["MAIL FROM:<ada2@x.example>", "MAIL FROM:<ada2@x.example>"], "503 5.5.2 Sender already specified"),
        (["MAIL FROM:<ada2@x.example>", "DATA"], "503 5.5.2 Need rcpt command"),
        (["MAIL FROM:<ada2@x.example>", "BDAT 0 LAST"], "503 5.5.2 Need rcpt command"),
        (["MAIL FROM:<ada2@x.example>", "RCPT TO:<nobody>"], "501 5.1.3 Invalid address"),
        (["MAIL FROM:<ada2@x.example>", "RCPT TO:<>"], "501 5.1.3 Invalid address"),
        (["MAIL FROM:<ada2@x.example>", "RCPT TO:<b@x.example> NOTIFY=SUCCESS"], "250 2.1.5 Recipient OK"),
        (["MAIL FROM:<ada2@x.example>", "RCPT TO:<b@x.example> X=1"], "555 5.5.4 Unsupported option: X"),
        (["MAIL FROM:<ada2@x.example>", "RSET", "RCPT TO:<b@x.example>"], "503 5.5.2 Need mail command"),
        (["MAIL FROM:<ada2@x.example>", "EHLO again", "RCPT TO:<b@x.example>"], "503 5.5.2 Need mail command"),
        (["MAIL FROM:<ada2@x.example>", "RCPT TO:<b@x.example>", "DATA now"], "501 5.5.4 Invalid arguments"),
        (
            ["MAIL FROM:<ada2@x.example> BODY=BINARYMIME", "RCPT TO:<b@x.example>", "DATA"],
            "503 5.5.2 BINARYMIME content needs the BDAT command",
        ),
    ],
)
def test_after_authentication(signed_in: Wire, commands: list[str], answer: str) -> None:
    *before, last = commands
    for command in before:
        assert signed_in.say(command).startswith("250 ")
    assert without_mark(signed_in.say(last)) == answer


def test_refusals_end_in_the_server_s_mark(wire: Wire) -> None:
    """Clients that match whole sentences fail here, as they would there."""
    mark = wire.say("MAIL FROM:<a@b.example>").partition(" [")[2]
    server, moment, session = mark.rstrip("]").split(" ")
    assert server.endswith(".PROD.OUTLOOK.COM")
    assert len(session) == 16
    assert int(session, 16) >= 0
    assert time.strptime(moment.partition(".")[0], "%Y-%m-%dT%H:%M:%S")


def test_plain_text_behind_starttls_is_discarded(office: Office, wire: Wire) -> None:
    """The injection of CVE-2011-0411: what came before the encryption must not be answered within it."""
    wire.say("EHLO client.example")
    wire.send(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<a@b.example>\r\n")
    assert wire.reply() == "220 2.0.0 SMTP server ready"
    wire.socket = office.context.wrap_socket(wire.socket, server_hostname="localhost")
    assert wire.say("NOOP") == "250 2.0.0 OK"
    assert without_mark(wire.say("MAIL FROM:<a@b.example>")) == "503 5.5.2 Send hello first"


def test_a_dot_between_bare_line_feeds_ends_no_message(office: Office, signed_in: Wire) -> None:
    """SMTP smuggling: only CR LF dot CR LF is the end."""
    bob, sender = office.person("bob2"), office.address("ada2")
    signed_in.say(f"MAIL FROM:<{sender}>")
    signed_in.say(f"RCPT TO:<{bob.user_principal_name}>")
    assert signed_in.say("DATA") == "354 Start mail input; end with <CRLF>.<CRLF>"
    head = f"From: {sender}\r\nSubject: outer\r\n\r\nfirst"
    smuggled = f"MAIL FROM:<boss@{office.tenant.domain}>\r\nDATA\r\nSubject: smuggled\r\n\r\n"
    for end in ("\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n\0.\r\n"):
        signed_in.send((head + end + smuggled).encode())
        head = ""
    signed_in.send(b"last\r\n.\r\n")
    assert signed_in.reply().startswith("250 2.0.0 OK ")
    assert signed_in.say("NOOP") == "250 2.0.0 OK"
    (arrived,) = office.folder(bob)
    assert arrived["subject"] == "outer"
    assert arrived["body"]["content"].count("Subject: smuggled") == 5


def test_leading_dots_are_the_message_s_own(office: Office, signed_in: Wire) -> None:
    bob, sender = office.person("bob2"), office.address("ada2")
    signed_in.say(f"MAIL FROM:<{sender}>")
    signed_in.say(f"RCPT TO:<{bob.user_principal_name}>")
    signed_in.say("DATA")
    assert signed_in.say(f"From: {sender}\r\nSubject: dots\r\n\r\n..\r\n...x\r\n.").startswith("250 ")
    assert office.folder(bob)[0]["body"]["content"].splitlines() == [".", "..x"]


def test_pipelined_commands_are_answered_in_order(office: Office, signed_in: Wire) -> None:
    sender = office.address("ada2")
    signed_in.send(
        f"MAIL FROM:<{sender}>\r\nRCPT TO:<broken\r\nRCPT TO:<{sender}>\r\nDATA\r\n".encode()
        + f"From: {sender}\r\nSubject: all at once\r\n\r\nx\r\n.\r\nNOOP\r\n".encode()
    )
    codes = [signed_in.reply()[:3] for _ in range(6)]
    assert codes == ["250", "501", "250", "354", "250", "250"]


def test_chunks_carry_bytes_that_no_line_could(office: Office, signed_in: Wire) -> None:
    """BDAT with BINARYMIME: a body of any bytes, without dots doubled or lines ended."""
    bob, sender = office.person("bob2"), office.address("ada2")
    body = bytes(range(256)) * 40 + b"\r\n.\r\nQUIT\r\n"
    head = (
        f"From: {sender}\r\nTo: {bob.user_principal_name}\r\nSubject: binary\r\nMIME-Version: 1.0\r\n"
        'Content-Type: application/octet-stream; name="b.bin"\r\nContent-Transfer-Encoding: binary\r\n'
        "Content-Disposition: attachment\r\n\r\n"
    ).encode()
    signed_in.say(f"MAIL FROM:<{sender}> BODY=BINARYMIME")
    signed_in.say(f"RCPT TO:<{bob.user_principal_name}>")
    signed_in.send(f"BDAT {len(head)}\r\n".encode() + head)
    assert signed_in.reply() == f"250 2.6.0 CHUNK received OK, {len(head)} octets"
    assert without_mark(signed_in.say("DATA")) == "503 5.5.2 BINARYMIME content needs the BDAT command"
    signed_in.send(f"BDAT {len(body)} LAST\r\n".encode() + body)
    assert signed_in.reply().startswith("250 2.0.0 OK ")
    (arrived,) = office.folder(bob)
    attachments = office.graph("GET", f"/users/{bob.id}/messages/{arrived['id']}?$expand=attachments")["attachments"]
    assert base64.b64decode(attachments[0]["contentBytes"]) == body


def test_refused_chunks_are_not_taken_for_commands(signed_in: Wire) -> None:
    signed_in.send(b"BDAT 12 LAST\r\nQUIT\r\nQUIT\r\n")
    assert without_mark(signed_in.reply()) == "503 5.5.2 Need mail command"
    assert signed_in.say("NOOP") == "250 2.0.0 OK"


def test_chunks_of_unknown_length_end_the_connection(signed_in: Wire) -> None:
    assert without_mark(signed_in.say("BDAT many")) == "501 5.5.4 Invalid arguments"
    assert signed_in.reply() == ""


def test_a_line_beyond_the_limit_is_refused_and_the_next_one_heard(signed_in: Wire) -> None:
    assert without_mark(signed_in.say("NOOP " + "x" * 70_000)) == "500 5.3.3 Line too long"
    assert signed_in.say("NOOP") == "250 2.0.0 OK"


def test_a_message_with_a_line_beyond_the_limit_is_refused_whole(office: Office, signed_in: Wire) -> None:
    sender = office.address("ada2")
    signed_in.say(f"MAIL FROM:<{sender}>")
    signed_in.say(f"RCPT TO:<{sender}>")
    signed_in.say("DATA")
    assert without_mark(signed_in.say("x" * 200_000 + "\r\n.")) == "500 5.3.3 Line too long"
    assert signed_in.say("NOOP") == "250 2.0.0 OK"
    assert office.log("DATA") == [(500, "line")]


def test_long_lines_within_it_are_taken(office: Office, signed_in: Wire) -> None:
    """Mail with lines of more than 998 octets is common, and Exchange Online takes it."""
    sender = office.address("ada2")
    signed_in.say(f"MAIL FROM:<{sender}>")
    signed_in.say(f"RCPT TO:<{sender}>")
    signed_in.say("DATA")
    assert signed_in.say(f"From: {sender}\r\nSubject: long\r\n\r\n" + "y" * 20_000 + "\r\n.").startswith("250 ")


def test_too_many_errors_end_the_connection(wire: Wire) -> None:
    for _ in range(5):
        assert wire.say("NONSENSE").startswith("500 5.3.3 ")
    assert without_mark(wire.reply()) == "421 4.7.0 Too many errors on this connection, closing transmission channel"
    assert wire.reply() == ""


def test_too_many_wrong_passwords_end_the_connection(office: Office, wire: Wire) -> None:
    ada = office.person("ada2")
    wire.encrypt()
    for _ in range(3):
        assert wire.sign_in(ada.user_principal_name, "wrong").startswith("535 5.7.139 ")
    assert wire.reply().startswith("421 4.7.0 ")
    assert wire.reply() == ""


def test_a_sign_in_can_be_cancelled(wire: Wire) -> None:
    wire.encrypt()
    assert wire.say("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert wire.say("*").startswith("501 5.7.0 ")
    assert wire.say("AUTH XOAUTH2") == "334 "
    assert wire.say("*").startswith("501 5.7.0 ")


def test_a_client_that_sends_byte_by_byte_is_served(office: Office, signed_in: Wire) -> None:
    for byte in b"MAIL FROM:<x@y.example>\r\n":
        signed_in.send(bytes([byte]))
        time.sleep(0.002)
    assert signed_in.reply() == "250 2.1.0 Sender OK"


def test_a_client_that_leaves_in_the_middle_of_a_message_leaves_nothing(office: Office, signed_in: Wire) -> None:
    bob, sender = office.person("bob2"), office.address("ada2")
    signed_in.say(f"MAIL FROM:<{sender}>")
    signed_in.say(f"RCPT TO:<{bob.user_principal_name}>")
    signed_in.say("DATA")
    signed_in.send(b"Subject: half\r\n\r\nhalf a message\r\n")
    signed_in.socket.close()
    with _wire(office) as another:
        assert another.say("NOOP") == "250 2.0.0 OK"
    assert office.folder(bob) == []


def test_no_password_reaches_the_request_log(office: Office, wire: Wire) -> None:
    ada = office.person("ada2")
    wire.encrypt()
    wire.sign_in(ada.user_principal_name, ada.password or "")
    wire.say(base64.b64encode((ada.password or "").encode()).decode())
    stored = str(office.sandbox.log()) + (office.sandbox.directory / "server.log").read_text()
    assert ada.password
    assert ada.password not in stored
    assert base64.b64encode(ada.password.encode()).decode() not in stored
