"""One conversation with ``smtp.gmail.com``, on aiosmtpd's protocol, in Google's words.

Owns: what is said to a command, the lines of the request log. Does not own: reading lines, TLS, AUTH's exchange and
``DATA`` (aiosmtpd), nor any decision (``sign_in``, ``post``).
Announced are LOGIN and PLAIN alone: of Gmail's further mechanisms the local tenant serves none, nor CHUNKING.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import ssl
import time
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from provision.sandbox.google import customers, post
from provision.sandbox.google.replies import HOST, mark, reply
from provision.sandbox.google.sign_in import judge
from provision.sandbox.world import World

_SIZE = 35_882_577
"""What Gmail announces."""
_RECIPIENTS = 100
"""Recipients of one message by SMTP ("Gmail sending limits in Google Workspace")."""
_IDLE_SECONDS = 300.0
_LINE_BYTES = 65_536

_LIBRARY_WORDS: tuple[tuple[str, str], ...] = (
    ("220 Ready to start TLS", "starttls"),
    ("221", "closing"),
    ("250 OK", "flushed"),
    ("252", "verify"),
    ("354", "data"),
    ("500 Error: command", "unrecognised"),
    ("500 Command line too long", "too-long"),
    ("500 Line too long", "too-long"),
    ("500", "unrecognised"),
    ("501 5.5.2", "undecodable"),
    ("501 5.7.0", "undecodable"),
    ("501", "syntax"),
    ("502", "unrecognised"),
    ("503 Error: send", "hello-first"),
    ("503 Error: need MAIL", "mail-first"),
    ("503 Error: need RCPT", "recipient-first"),
    ("503", "unrecognised"),
    ("504", "mechanism"),
    ("530 Must", "starttls-first"),
    ("530 5.7.0 Authentication", "authentication-first"),
    ("538", "starttls-first"),
    ("552", "size"),
    ("553", "syntax"),
    ("555", "syntax"),
)
"""How a line of aiosmtpd's own begins, and the row that says it in Google's words."""

_log = logging.getLogger("provision.sandbox")


class _Handler:
    """aiosmtpd's hooks."""

    async def handle_EHLO(
        self, server: Conversation, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """The keywords, in Gmail's order."""
        del envelope, responses
        session.host_name = hostname
        peer = server.peer_address()
        keywords = [f"{HOST} at your service, [{peer}]", f"SIZE {_SIZE}", "8BITMIME"]
        keywords += ["AUTH LOGIN PLAIN"] if server.encrypted() else ["STARTTLS"]
        keywords += ["ENHANCEDSTATUSCODES", "PIPELINING", "SMTPUTF8"]
        return [f"250{'-' if word != keywords[-1] else ' '}{word}" for word in keywords]

    async def handle_MAIL(
        self, server: Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Any sender is taken: ``From`` is put right later."""
        if server.is_busy():
            return server.refuse("MAIL", "busy", "busy", command="MAIL")
        if post.over_the_limit(server.directory, server.user()):
            return server.refuse("MAIL", "daily-limit", "daily-limit")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        del session
        return server.line("ok")

    async def handle_RCPT(
        self, server: Conversation, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whoever the recipient is."""
        del session
        if len(envelope.rcpt_tos) >= _RECIPIENTS:
            return server.refuse("RCPT", "recipients", "recipients")
        if "@" not in address:
            return server.refuse("RCPT", "recipient-address", "recipient-address", address=address)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return server.line("recipient")

    async def handle_DATA(self, server: Conversation, session: Session, envelope: Envelope) -> str:
        """The message."""
        del session
        return server.take(envelope)


class Conversation(SMTP):
    """One connection.

    Args:
        world: the running server.
        address: the server's own address, for the request log.
        context: for STARTTLS; None where TLS came first.
        loop: the server's event loop.
        open_transports: where the connection notes itself while it lives.
    """

    command_size_limit = _LINE_BYTES
    line_length_limit = _LINE_BYTES

    def __init__(
        self,
        world: World,
        *,
        address: str,
        context: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        open_transports: set[asyncio.BaseTransport],
    ) -> None:
        self._mark = mark()
        super().__init__(
            _Handler(),
            data_size_limit=_SIZE,
            enable_SMTPUTF8=True,
            hostname=HOST,
            ident=f"ESMTP {self._mark} - gsmtp",
            tls_context=context,
            require_starttls=context is not None,
            auth_require_tls=context is not None,
            auth_required=True,
            authenticator=self._signed_in,
            timeout=_IDLE_SECONDS,
            loop=loop,
        )
        limits: dict[str, int] = collections.defaultdict(lambda: _LINE_BYTES)
        self.command_size_limits = limits
        self._world = world
        self._address = address
        self._open_transports = open_transports
        self._implicit = context is None
        self._user_id: str | None = None

    # What the library calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new connection, or the same one after STARTTLS: whoever signed in before did not count."""
        super().connection_made(transport)
        if self._original_transport is None:
            self._open_transports.add(transport)
        self._user_id = None

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self._open_transports.discard(self._original_transport or self.transport)
        super().connection_lost(error)

    async def push(self, status: str | bytes) -> None:
        """Says a line, the library's own in Google's words."""
        line = status.decode() if isinstance(status, bytes) else status
        if "gsmtp" not in line and not line.startswith(("250-", "235", "334")) and not line.startswith("250 SMTPUTF8"):
            line = next((self.line(name) for prefix, name in _LIBRARY_WORDS if line.startswith(prefix)), line)
        await super().push(line)
        if line.startswith("421") and self.transport is not None:
            self.transport.close()

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours: said to the log, and to the client as a passing one."""
        _log.error("a conversation with Google's SMTP failed", exc_info=error)
        return self.line("weather")

    async def smtp_AUTH(self, arg: str) -> None:
        """Names of mechanisms are read without letter case."""
        name, _, rest = (arg or "").partition(" ")
        await super().smtp_AUTH(f"{name.upper()} {rest}".strip())

    def _signed_in(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        del server, session, envelope, mechanism
        started = time.monotonic()
        try:
            name, password = data.login.decode(), data.password.decode()
        except UnicodeDecodeError:
            return AuthResult(success=False, handled=False, message=self.line("undecodable"))
        verdict = judge(self.directory, name, password)
        customer = verdict.user["customerId"] if verdict.user else None
        line = self.line(verdict.reply)
        self._record("AUTH", int(line[:3]), verdict.layer, started, customer)
        if verdict.user is not None and verdict.reply == "authenticated":
            self._user_id = verdict.user["id"]
            return AuthResult(success=True, message=line, auth_data=LoginPassword(data.login, b""))
        return AuthResult(success=False, handled=False, message=line)

    # What the hooks ask

    @property
    def directory(self) -> Any:
        """The store."""
        return self._world.directory

    def encrypted(self) -> bool:
        """Whether TLS is there."""
        upgraded = self._original_transport is not None and self.transport is not self._original_transport
        return self._implicit or upgraded

    def peer_address(self) -> str:
        """The client's address."""
        transport = self._original_transport or self.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        return str(peer[0]) if peer else "unknown"

    def user(self) -> dict[str, Any]:
        """Who signed in, as he is now."""
        found = self.directory.get(customers.REALM, customers.USER, self._user_id or "", fresh=True)
        if found is None:
            raise KeyError(self._user_id)
        return dict(found)

    def is_busy(self) -> bool:
        """Whether the control API has Gmail turn clients away."""
        return bool(self.directory.setting(post.BUSY, False))

    def line(self, name: str, **values: str) -> str:
        """A row of the table as it goes over the wire."""
        return reply(name, self._mark, **values)

    def refuse(self, verb: str, name: str, layer: str, **values: str) -> str:
        """A refusal, noted in the request log."""
        line = self.line(name, **values)
        self._record(verb, int(line[:3]), layer, time.monotonic(), self.user()["customerId"])
        return line

    def take(self, envelope: Envelope) -> str:
        """A whole message."""
        started = time.monotonic()
        user = self.user()
        content = envelope.original_content or b""
        identity = post.send(self.directory, user, envelope.rcpt_tos, content)
        self._record("DATA", 250, None, started, user["customerId"])
        del identity
        return self.line("accepted", moment=str(int(self.directory.clock.now())))

    def _record(self, verb: str, status: int, layer: str | None, started: float, customer: str | None) -> None:
        host_name = getattr(self.session, "host_name", None)
        self.directory.record_request(
            {
                "at": self.directory.clock.now(),
                "tenant": customer,
                "method": verb,
                "host": self._address,
                "path": "smtp.gmail.com",
                "status": status,
                "ms": round((time.monotonic() - started) * 1000, 2),
                "client": str(host_name or "")[:160],
                "code": layer,
                "fault": None,
            }
        )
