"""One live SMTP dialogue: what the server said to each command, and after how long.

Owns: connect, EHLO, STARTTLS, AUTH (a password or an access token), MAIL, RCPT, DATA, on the standard library's client.
Does not own: what a reply means (``diagnose``). A refusal is a step like any other, not an exception; after it the
dialogue ends politely. Of what this side sends only the commands' names are kept, so no secret is in a dialogue.

Sources: RFC 5321, RFC 3207 (STARTTLS), RFC 4954 (AUTH); "Authenticate an IMAP, POP or SMTP connection using OAuth"
(Microsoft: XOAUTH2); "OAuth 2.0 Mechanism" (Google: a refused token is explained in a 334 that wants an empty answer).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from provision.errors import InvalidInput
from provision.mail.letter import Letter
from provision.settings.endpoints import tls_context, unreachable

TIMEOUT_SECONDS = 30.0
"""For the connection and each reply; Exchange Online delays the 31st message of a minute by less."""

Name = Literal["connect", "hello", "starttls", "auth", "sender", "recipient", "data"]
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})\s+")


@dataclass(frozen=True)
class Password:
    """Basic authentication: a user name with a password or an app password; ``repr`` shows none."""

    user: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Token:
    """OAuth: an access token for this mailbox; ``repr`` shows none."""

    user: str
    value: str = field(repr=False)


Login = Password | Token


@dataclass(frozen=True)
class Step:
    """One step of the dialogue."""

    name: Name
    seconds: float
    code: int | None = None
    """The reply's code; None when there was no reply."""
    enhanced: str = ""
    """The enhanced status code (RFC 3463), such as ``5.7.139``."""
    text: str = ""
    """What the server said, or why there was no reply; one line."""
    accepted: bool = True

    @property
    def reply(self) -> str:
        """Code and text as a person would paste them."""
        return " ".join(part for part in (str(self.code or ""), self.enhanced, self.text) if part)


@dataclass(frozen=True)
class Dialogue:
    """What was said, up to the first refusal."""

    address: str
    """``host:port``."""
    steps: tuple[Step, ...]
    tls: str = ""
    """The TLS version in use, such as ``TLSv1.3``; empty without TLS."""
    mechanisms: tuple[str, ...] = ()
    """What AUTH offers once TLS stands."""

    @property
    def refused(self) -> Step | None:
        """The step that was refused; None when all that was asked for was done."""
        return next((step for step in self.steps if not step.accepted), None)


def converse(
    host: str,
    port: int,
    *,
    login: Login | None = None,
    letter: Letter | None = None,
    ca_file: str | None = None,
    implicit_tls: bool = False,
    timeout: float = TIMEOUT_SECONDS,
) -> Dialogue:
    """Talks to a server as far as it allows and as was asked for.

    Args:
        host: the server's name; its certificate must carry it.
        port: usually 587.
        login: how to sign in; without it the dialogue ends after the second EHLO.
        letter: what to send then; without it nothing is sent.
        ca_file: certificate authorities to trust instead of the machine's, one PEM file.
        implicit_tls: TLS from the first byte (port 465) instead of STARTTLS.
        timeout: seconds for the connection and for each reply.

    Raises:
        InvalidInput: the CA file cannot be read, or a user name, password or address cannot be sent over SMTP.
    """
    return _Conversation(host, port, tls_context(ca_file), ca_file, timeout).held(login, letter, implicit_tls)


class _Refused(Exception):
    """The dialogue is over; the last step says why."""


class _Conversation:
    def __init__(self, host: str, port: int, context: ssl.SSLContext, ca_file: str | None, timeout: float) -> None:
        self._host, self._port = host, port
        self._context, self._ca_file = context, ca_file
        self._timeout = timeout
        self._steps: list[Step] = []
        self._tls = ""
        self._mechanisms: tuple[str, ...] = ()
        self._client: smtplib.SMTP | None = None

    def held(self, login: Login | None, letter: Letter | None, implicit_tls: bool) -> Dialogue:
        with contextlib.suppress(_Refused):
            self._greet(implicit_tls)
            if login is not None:
                self._sign_in(login)
            if letter is not None:
                self._hand_over(letter)
        if self._client is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self._client.quit()
            self._client.close()
        return Dialogue(f"{self._host}:{self._port}", tuple(self._steps), self._tls, self._mechanisms)

    def _greet(self, implicit_tls: bool) -> None:
        name, context = socket.gethostname(), self._context
        client = (
            smtplib.SMTP_SSL(timeout=self._timeout, local_hostname=name, context=context)
            if implicit_tls
            else smtplib.SMTP(timeout=self._timeout, local_hostname=name)
        )
        self._client = client
        vars(client)["_host"] = self._host  # smtplib names it for TLS only when its constructor connects
        self._step("connect", lambda: client.connect(self._host, self._port), wanted=(220,))
        self._step("hello", client.ehlo)
        if not implicit_tls:
            if not client.has_extn("starttls"):
                self._end("starttls", "the server does not offer STARTTLS, so no password or token is sent to it")
            self._step("starttls", lambda: client.starttls(context=self._context), wanted=(220,))
            self._step("hello", client.ehlo)
        if isinstance(client.sock, ssl.SSLSocket):
            self._tls = client.sock.version() or ""
        self._mechanisms = tuple(client.esmtp_features.get("auth", "").upper().split())

    def _sign_in(self, login: Login) -> None:
        client = self._connected()
        if isinstance(login, Token):
            self._offered("XOAUTH2")
            text = f"user={login.user}\x01auth=Bearer {login.value}\x01\x01"
            self._step("auth", lambda: self._auth("XOAUTH2", lambda challenge=None: _bearer(text, challenge)))
            return
        client.user, client.password = login.user, login.value
        mechanism = "LOGIN" if "LOGIN" in self._mechanisms else "PLAIN"
        self._offered(mechanism)
        # Exchange Online asks for the user name of its own accord; one that comes with the command is refused.
        answers = client.auth_login if mechanism == "LOGIN" else client.auth_plain
        self._step("auth", lambda: self._auth(mechanism, answers, at_once=mechanism == "PLAIN"))

    def _auth(self, mechanism: str, answers: Any, *, at_once: bool = True) -> tuple[int, bytes]:
        try:
            return self._connected().auth(mechanism, answers, initial_response_ok=at_once)
        except UnicodeEncodeError:
            raise InvalidInput(
                "A user name or password that is not plain ASCII cannot be sent over SMTP.",
                remedy="Use an app password, or OAuth.",
            ) from None

    def _offered(self, mechanism: str) -> None:
        if mechanism not in self._mechanisms:
            offer = ", ".join(self._mechanisms) or "nothing"
            self._end("auth", f"the server does not offer AUTH {mechanism}; it offers {offer}")

    def _hand_over(self, letter: Letter) -> None:
        client = self._connected()
        try:
            content = letter.message().as_bytes()
        except ValueError as error:
            raise InvalidInput(f"The test mail cannot be addressed: {error}.", remedy="Check the addresses.") from None
        self._step("sender", lambda: client.mail(letter.sender))
        self._step("recipient", lambda: client.rcpt(letter.recipient), wanted=(250, 251))
        self._step("data", lambda: client.data(content))

    def _connected(self) -> smtplib.SMTP:
        if self._client is None:
            raise AssertionError("nobody is connected")
        return self._client

    def _step(self, name: Name, work: Callable[[], tuple[int, bytes]], *, wanted: tuple[int, ...] = (235, 250)) -> None:
        """Takes a step and notes it; ends the dialogue when it is refused or unanswered."""
        began = time.monotonic()
        try:
            code, said = work()
        except smtplib.SMTPResponseException as refusal:
            code, said = refusal.smtp_code, _as_bytes(refusal.smtp_error)
        except (smtplib.SMTPException, OSError) as error:
            self._end(name, self._why(error), time.monotonic() - began)
        text = " ".join(said.decode("utf-8", "replace").split())
        found = _ENHANCED.match(text)
        enhanced = found.group(1) if found else ""
        # A multi-line reply repeats the enhanced code on each line; once is enough.
        text = text.replace(f"{enhanced} ", "") if enhanced else text
        if name == "hello":
            text = text[:200]
        self._steps.append(Step(name, time.monotonic() - began, code, enhanced, text, code in wanted))
        if code not in wanted:
            raise _Refused

    def _end(self, name: Name, text: str, seconds: float = 0.0) -> None:
        self._steps.append(Step(name, seconds, text=text, accepted=False))
        raise _Refused

    def _why(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPServerDisconnected):
            return "the server closes the connection without a reply"
        return unreachable(f"{self._host}:{self._port}", error, ca_file=self._ca_file).message


def _bearer(text: str, challenge: object) -> str:
    """The token at once; to a 334 that explains a refusal, nothing."""
    return text if challenge is None else ""


def _as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
