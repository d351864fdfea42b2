"""One conversation over SMTP, on aiosmtpd's protocol, in Exchange Online's words.

Owns: which command may come when, and what is said to it; the weather on the commands; the lines of the request log.
Does not own: reading lines, the TLS upgrade and ``DATA`` (aiosmtpd: it discards what was sent in plain text behind
STARTTLS, CVE-2024-34083, and ends a message only at CR LF dot CR LF, CVE-2024-27305), nor any decision (``desk``).

``AUTH PLAIN`` is refused like an unknown mechanism, as Exchange Online does: it announces LOGIN and XOAUTH2 alone.
Not acted out: Exchange waits some seconds before it refuses a sign-in.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import collections
import logging
import re
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from weakref import WeakKeyDictionary

from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as LibraryEnvelope
from aiosmtpd.smtp import Session as LibrarySession

from provision.sandbox.entra.sign_in_log import Peer
from provision.sandbox.faults import Rule
from provision.sandbox.submission.desk import Answer, Desk, Envelope, SignedIn
from provision.sandbox.submission.gather import Login
from provision.sandbox.submission.limits import ANNOUNCED_BYTES, RECIPIENTS_A_MESSAGE
from provision.sandbox.submission.replies import FRONT_END, TABLE, banner, reply
from provision.sandbox.world import World

LINE_BYTES = 65_536
"""The longest line, of a command (access tokens are long) and of a message."""
IDLE_SECONDS = 300.0
"""Silence after which the server hangs up (``ConnectionInactivityTimeout`` of Set-ReceiveConnector)."""
_ERRORS = 5
"""Protocol errors after which it hangs up (``MaxProtocolErrors``)."""
_LOGON_FAILURES = 3
"""Refused sign-ins after which it hangs up (``MaxLogonFailures``)."""
_CHUNK_READ = 65_536
_OLD_TLS = frozenset({"TLSv1", "TLSv1.1"})
_LEGACY_HOSTS = frozenset({"smtp-legacy.office365.com", "smtp-legacy.partner.outlook.cn"})
_HTTP_TROUBLE = frozenset({429, 500, 502, 503, 504})
"""Statuses that a fault rule says for HTTP; here they mean that the service is not available."""
_LIBRARY_WORDS: dict[str, str] = {
    "220 Ready to start TLS": "starttls",
    "354 End data with <CR><LF>.<CR><LF>": "data",
    "500 Command line too long": "too-long",
    "500 Line too long (see RFC5321 4.5.3.1.6)": "too-long",
    "552 Error: Too much mail data": "size",
    "500 Error: bad syntax": "unrecognised",
    "554 Command refused due to lack of security": "unavailable",
}
"""What aiosmtpd says by itself, and the row that says it in Exchange's words."""
_LOGIN_CHALLENGES = (b"Username:", b"Password:")
_OAUTH = re.compile(rb"user=(?P<user>[^\x01]*)\x01auth=Bearer (?P<token>[^\x01]+)\x01\x01", re.IGNORECASE)
_MAIL = re.compile(r"FROM:\s*(?P<address><[^>]*>|[^\s<>]+)(?P<options>(?:\s.*)?)", re.IGNORECASE | re.DOTALL)
_RECIPIENT = re.compile(r"TO:\s*(?P<address><[^>]*>|[^\s<>]+)(?P<options>(?:\s.*)?)", re.IGNORECASE | re.DOTALL)
_ADDRESS = re.compile(r"[^\s@<>\"]+@[^\s@<>\"\[\]]+\.?[^\s@<>\"\[\]]*")
_MAIL_OPTIONS = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "AUTH"})
_RECIPIENT_OPTIONS = frozenset({"NOTIFY", "ORCPT"})
_CLIENT_LENGTH = 160

_log = logging.getLogger("provision.sandbox")

_names_asked: WeakKeyDictionary[ssl.SSLObject, str] = WeakKeyDictionary()
"""The host name that each TLS client asked for (SNI)."""


def note_name(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG001
    """An SSL context's ``sni_callback``."""
    if name and isinstance(tls, ssl.SSLObject):
        _names_asked[tls] = name.lower()


class _Refused(Exception):
    """The command ends with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reply)
        self.answer = answer


class _Handler:
    """aiosmtpd's hook for a whole message."""

    async def handle_DATA(self, server: Conversation, session: LibrarySession, envelope: LibraryEnvelope) -> str:  # noqa: ARG002
        """Hands the message over; the returned line is what the client hears."""
        return await server.take(envelope.original_content or b"")


class Conversation(SMTP):
    """One connection.

    Args:
        world: the running server.
        desk: the decisions.
        address: the server's own address, for the request log (``localhost:2587``).
        context: for STARTTLS.
        loop: the server's event loop.
        open_transports: where the connection notes itself while it lives.
    """

    command_size_limit = LINE_BYTES
    line_length_limit = LINE_BYTES

    def __init__(
        self,
        world: World,
        desk: Desk,
        *,
        address: str,
        context: ssl.SSLContext,
        loop: asyncio.AbstractEventLoop,
        open_transports: set[asyncio.BaseTransport],
    ) -> None:
        super().__init__(
            _Handler(),
            data_size_limit=ANNOUNCED_BYTES,
            enable_SMTPUTF8=True,
            hostname=FRONT_END,
            ident=banner(world.directory.clock.now()),
            tls_context=context,
            timeout=IDLE_SECONDS,
            loop=loop,
        )
        self.command_size_limits = collections.defaultdict(lambda: LINE_BYTES)
        self._world = world
        self._desk = desk
        self._address = address
        self._open_transports = open_transports
        self._id = secrets.token_hex(8).upper()
        self._client = ""
        self._login: Login | None = None
        self._errors = 0
        self._logon_failures = 0
        self._keeping = False
        self._answer = Answer("noop")
        self._new_transaction()

    def _new_transaction(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._named: set[str] = set()
        self._report: list[str] = []
        self._binary = False
        self._chunks: bytearray | None = None

    # What the library calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new connection, or the same one after STARTTLS: nothing that was said before counts any more."""
        super().connection_made(transport)
        if self._original_transport is None:
            self._open_transports.add(transport)
        self._client, self._login = "", None
        self._new_transaction()

    def connection_lost(self, error: Exception | None) -> None:
        """The end."""
        self._open_transports.discard(self._original_transport or self.transport)
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Whoever still sends is not idle."""
        self._reset_timeout()
        super().data_received(data)

    def _timeout_cb(self) -> None:
        if self.transport is not None:
            self._write(self._line(Answer("timeout")))
            self.transport.close()

    async def push(self, status: str | bytes) -> None:
        """Says a line, the library's own in Exchange's words; while ``DATA`` runs, its end is kept back."""
        line = status.decode() if isinstance(status, bytes) else status
        name = _LIBRARY_WORDS.get(line)
        if line.startswith(('500 Error: command "', "502 5.5.1 Too many unrecognized commands")):
            name = "unrecognised"
        if name is not None:
            line = self._line(Answer(name))
            if TABLE[name].code >= 500:
                if self._keeping:
                    self._answer = Answer(name, "message-size" if name == "size" else "line")
                    return
                await self._count_error(line)
                return
        if not self._keeping or line.startswith("3"):
            await super().push(line)

    async def handle_exception(self, error: Exception) -> str:
        """A fault of ours: said to the log, and to the client as a passing one."""
        _log.error("an SMTP conversation failed", exc_info=error)
        self._keeping = False
        return self._line(Answer("weather"))

    # Saying

    def _line(self, answer: Answer) -> str:
        return reply(answer.reply, session=self._id, now=self._world.directory.clock.now(), **answer.values)

    def _write(self, line: str) -> None:
        self._writer.write(line.encode() + b"\r\n")

    async def _say(self, answer: Answer) -> None:
        line = self._line(answer)
        if TABLE[answer.reply].code >= 500 and answer.layer is None:
            await self._count_error(line)
            return
        await super().push(line)
        if TABLE[answer.reply].code == 421:
            self._hang_up()

    async def _count_error(self, line: str) -> None:
        """Says an error of protocol; the client that makes too many is sent away."""
        self._errors += 1
        await super().push(line)
        if self._errors >= _ERRORS:
            await super().push(self._line(Answer("errors")))
            self._hang_up()

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.close()

    # The commands

    async def smtp_EHLO(self, hostname: str) -> None:
        """The keywords, in Exchange Online's order; STARTTLS gives way to AUTH."""
        if not await self._greeted(hostname):
            return
        keywords = [
            f"{FRONT_END} Hello [{self._peer_address()}]",
            f"SIZE {ANNOUNCED_BYTES}",
            "PIPELINING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "AUTH LOGIN XOAUTH2" if self._encrypted() else "STARTTLS",
            "8BITMIME",
            "BINARYMIME",
            "CHUNKING",
            "SMTPUTF8",
        ]
        for keyword in keywords[:-1]:
            self._write(f"250-{keyword}")
        await super().push(f"250 {keywords[-1]}")

    async def smtp_HELO(self, hostname: str) -> None:
        """The old greeting."""
        if await self._greeted(hostname):
            await super().push(f"250 {FRONT_END} Hello [{self._peer_address()}]")

    async def _greeted(self, hostname: str | None) -> bool:
        if not hostname or not re.fullmatch(r"\S+", hostname):
            await self._say(Answer("domain-name"))
            return False
        if self._old_tls() and self._host() not in _LEGACY_HOSTS:
            await self._say(Answer("legacy-tls", "legacy-tls"))
            return False
        self._client = hostname
        self._new_transaction()
        return True

    async def smtp_STARTTLS(self, arg: str) -> None:
        """The upgrade, once."""
        if arg:
            await self._say(Answer("arguments"))
        elif self._encrypted():
            await self._say(Answer("starttls-again"))
        else:
            await super().smtp_STARTTLS(arg)

    async def smtp_NOOP(self, arg: str) -> None:  # noqa: ARG002
        """Nothing."""
        await self._say(Answer("noop"))

    async def smtp_RSET(self, arg: str) -> None:  # noqa: ARG002
        """Forgets the message, not the sign-in."""
        self._new_transaction()
        await self._say(Answer("reset"))

    async def smtp_QUIT(self, arg: str) -> None:  # noqa: ARG002
        """Ends."""
        await self._say(Answer("closing"))
        self._hang_up()

    async def smtp_VRFY(self, arg: str) -> None:
        """Never tells who exists."""
        await self._say(Answer("verify" if arg else "arguments"))

    async def smtp_EXPN(self, arg: str) -> None:  # noqa: ARG002
        """Exchange does not know it."""
        await self._say(Answer("unrecognised"))

    async def smtp_HELP(self, arg: str) -> None:  # noqa: ARG002
        """The commands."""
        self._write("214-This server supports the following commands:")
        await super().push("214 HELO EHLO STARTTLS RCPT DATA RSET MAIL QUIT HELP AUTH BDAT")

    async def smtp_AUTH(self, arg: str) -> None:
        """Signing in."""
        await self._under_weather("AUTH", lambda: self._sign_in(arg or ""))

    async def smtp_MAIL(self, arg: str | None) -> None:
        """The envelope's sender."""
        await self._under_weather("MAIL", lambda: self._mail(arg or ""))

    async def smtp_RCPT(self, arg: str | None) -> None:
        """One recipient."""
        await self._under_weather("RCPT", lambda: self._rcpt(arg or ""))

    async def smtp_DATA(self, arg: str) -> None:
        """The message, up to a line with a dot."""
        await self._under_weather("DATA", lambda: self._data(arg or ""))

    async def smtp_BDAT(self, arg: str) -> None:
        """A part of the message, counted (RFC 3030)."""
        await self._under_weather("BDAT", lambda: self._bdat(arg or ""))

    # Weather and log around them

    async def _under_weather(self, verb: str, work: Callable[[], Awaitable[Answer]]) -> None:
        """Runs a command under the first rule that hits it, says its answer and writes its line of the log."""
        started = time.monotonic()
        weather = self._world.weather
        rule = weather.hit(
            method=verb,
            path=self._path(),
            host=self._host(),
            client=self._client,
            tenant=lambda: (self._name or "").rpartition("@")[2] or None,
        )
        stop = await self._before(rule, verb) if rule is not None else None
        if stop is not None:
            self._record(verb, stop, started, rule)
            return
        try:
            answer = await work()
        except _Refused as refused:
            answer = refused.answer
        code = TABLE[answer.reply].code
        if rule is not None and rule.action == "drop_after":
            self._record(verb, 0, started, rule, answer.layer)
            self._abort()
            return
        if rule is not None and rule.action == "hold_after":
            await weather.park(rule, phase="after", method=verb, path=self._path())
        self._record(verb, code, started, rule, answer.layer)
        await self._say(answer)
        if self._leaving:
            self._hang_up()

    async def _before(self, rule: Rule, verb: str) -> int | None:
        """What a rule does before the work; the status when that was all."""
        if rule.action == "delay":
            await asyncio.sleep(rule.seconds)
        elif rule.action == "hold_before":
            await self._world.weather.park(rule, phase="before", method=verb, path=self._path())
        elif rule.action == "hang":
            await asyncio.get_running_loop().create_future()  # ends with the connection
        elif rule.action == "drop_before":
            self._abort()
            return 0
        elif rule.action == "status":
            status = 421 if rule.status in _HTTP_TROUBLE else rule.status
            name = "unavailable" if status == 421 else "weather"
            line = self._line(Answer(name))
            row = TABLE[name]
            enhanced = f"{str(status)[0]}{row.enhanced[1:]}"
            await super().push(line.replace(f"{row.code} {row.enhanced}", f"{status} {enhanced}", 1))
            if status == 421:
                self._hang_up()
            return status
        return None

    def _abort(self) -> None:
        transport = self._original_transport or self.transport
        if isinstance(transport, asyncio.Transport):
            transport.abort()

    def _record(self, verb: str, status: int, started: float, rule: Rule | None, layer: str | None = None) -> None:
        self._world.directory.record_request(
            {
                "at": self._world.directory.clock.now(),
                "tenant": self._tenant,
                "method": verb,
                "host": self._host(),
                "path": self._path(),
                "status": status,
                "ms": round((time.monotonic() - started) * 1000, 2),
                "client": self._client[:_CLIENT_LENGTH],
                "code": layer,
                "fault": rule.name if rule else None,
            }
        )

    # What they do

    async def _sign_in(self, arg: str) -> Answer:
        if not self._client:
            return Answer("hello-first")
        mechanism, _, initial = arg.partition(" ")
        if not self._encrypted() or mechanism.upper() not in {"LOGIN", "XOAUTH2"}:
            return Answer("mechanism", "mechanism")
        if self._login is not None:
            return Answer("authenticated-already")
        if self._sender is not None:
            return Answer("sender-again")
        legacy = self._old_tls()
        if mechanism.upper() == "LOGIN":
            name = _text(_decoded(initial) if initial else await self._challenge(_LOGIN_CHALLENGES[0]))
            self._name = name
            password = _text(await self._challenge(_LOGIN_CHALLENGES[1]))
            ended = self._desk.with_password(name, password, Peer(self._peer_address()), legacy_tls=legacy)
        else:
            found = _OAUTH.fullmatch(_decoded(initial) if initial else await self._challenge(b""))
            if found is None:
                return Answer("unsuccessful", "token")
            self._name = _text(found["user"])
            ended = self._desk.with_token(self._name, _text(found["token"]), legacy_tls=legacy)
        return self._signed_in(ended)

    def _signed_in(self, ended: SignedIn) -> Answer:
        self._tenant, self._login = ended.tenant_id, ended.login
        if ended.login is None:
            self._logon_failures += 1
            if self._logon_failures >= _LOGON_FAILURES and self.loop.is_running():
                self.loop.call_soon(self._send_away)
        return ended.answer

    def _send_away(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._write(self._line(Answer("errors")))
            self._hang_up()

    async def _challenge(self, question: bytes) -> bytes:
        """Asks with 334 and reads the answer.

        Raises:
            _Refused: the client cancelled, or what it sent is not base64.
        """
        await super().push("334 " + base64.b64encode(question).decode())
        try:
            line = (await self._reader.readuntil(b"\n")).strip()
        except asyncio.LimitOverrunError as error:
            await self._reader.read(error.consumed)
            raise _Refused(Answer("too-long")) from None
        if line == b"*":
            raise _Refused(Answer("cancelled", "cancelled"))
        return _decoded(line.decode("latin-1"))

    async def _mail(self, arg: str) -> Answer:
        if not self._client:
            return Answer("hello-first")
        if not self._encrypted():
            return Answer("starttls-first", "starttls")
        if self._login is None:
            return Answer("authentication-first", "authentication")
        if self._sender is not None:
            return Answer("sender-again")
        found = _MAIL.fullmatch(arg)
        if found is None:
            return Answer("arguments")
        address = found["address"].strip("<>")
        if address and not _ADDRESS.fullmatch(address):
            return Answer("sender-address")
        options = _options(found["options"], _MAIL_OPTIONS)
        size, body = options.get("SIZE", "0"), options.get("BODY", "7BIT").upper()
        if not size.isdigit() or body not in {"7BIT", "8BITMIME", "BINARYMIME"}:
            return Answer("arguments")
        if int(size) > ANNOUNCED_BYTES:
            return Answer("size", "message-size")
        self._sender, self._binary = address, body == "BINARYMIME"
        return Answer("sender")

    async def _rcpt(self, arg: str) -> Answer:
        if not self._client:
            return Answer("hello-first")
        if self._sender is None:
            return Answer("mail-first")
        found = _RECIPIENT.fullmatch(arg)
        if found is None:
            return Answer("arguments")
        address = found["address"].strip("<>")
        if not _ADDRESS.fullmatch(address):
            return Answer("recipient-address")
        options = _options(found["options"], _RECIPIENT_OPTIONS)
        if len(self._recipients) >= RECIPIENTS_A_MESSAGE:
            return Answer("recipients", "recipients-of-a-message")
        if address.lower() not in self._named:
            self._named.add(address.lower())
            self._recipients.append(address)
            if "SUCCESS" in options.get("NOTIFY", "").upper().split(","):
                self._report.append(address)
        return Answer("recipient")

    def _ready_for_content(self) -> Answer | None:
        if not self._client:
            return Answer("hello-first")
        if self._sender is None or self._login is None:
            return Answer("mail-first")
        return None if self._recipients else Answer("recipient-first")

    async def _data(self, arg: str) -> Answer:
        refusal = self._ready_for_content() or (Answer("arguments") if arg else None)
        if refusal is None and (self._binary or self._chunks is not None):
            refusal = Answer("chunks-only")
        if refusal is not None:
            return refusal
        if self.envelope is None or self._login is None:
            raise RuntimeError("no transaction")
        self.envelope.rcpt_tos = list(self._recipients)
        if self.session is not None:
            self.session.host_name = self._client
        self._answer, self._keeping = Answer("too-long", "line"), True
        with self._desk.room(self._login) as self._free:
            try:
                await super().smtp_DATA("")
            finally:
                self._keeping = False
        self._new_transaction()
        return self._answer

    async def _bdat(self, arg: str) -> Answer:
        size, _, last = arg.partition(" ")
        if not size.isdigit() or last.strip().upper() not in {"", "LAST"}:
            self._leaving = True  # how much follows is unknown
            return Answer("arguments")
        refusal = self._ready_for_content()
        chunks = bytearray() if self._chunks is None else self._chunks
        left = int(size)
        while left:
            piece = await self._reader.readexactly(min(left, _CHUNK_READ))
            left -= len(piece)
            if refusal is None and len(chunks) <= ANNOUNCED_BYTES:
                chunks += piece
        if refusal is not None:
            return refusal
        if len(chunks) > ANNOUNCED_BYTES:
            self._new_transaction()
            return Answer("size", "message-size")
        if not last:
            self._chunks = chunks
            return Answer("chunk", None, {"size": size})
        if self._login is None:
            raise RuntimeError("no transaction")
        with self._desk.room(self._login) as free:
            self._free = free
            await self.take(bytes(chunks))
        self._new_transaction()
        return self._answer

    async def take(self, content: bytes) -> str:
        """Hands a whole message to the desk; returns the answer's line and keeps the answer."""
        if self._login is None or self._sender is None:
            raise RuntimeError("no transaction")
        envelope = Envelope(self._sender, tuple(self._recipients), tuple(self._report), content)
        self._answer = self._desk.submit(self._login, envelope, room=self._free)
        return self._line(self._answer)

    # What is known of the other side

    _leaving = False
    _tenant: str | None = None
    _name = ""
    _free = True

    def _encrypted(self) -> bool:
        return self._tls_protocol is not None

    def _tls(self) -> ssl.SSLObject | None:
        found = self.session.ssl.get("ssl_object") if self.session is not None and self.session.ssl else None
        return found if isinstance(found, ssl.SSLObject) else None

    def _old_tls(self) -> bool:
        tls = self._tls()
        return tls is not None and tls.version() in _OLD_TLS

    def _host(self) -> str:
        """The host that the client asked for, else the server's own address."""
        tls = self._tls()
        asked = _names_asked.get(tls, "") if tls is not None else ""
        return asked if asked not in {"", "localhost"} else self._address

    def _path(self) -> str:
        return f"smtp://{self._host()}/{self._name}"

    def _peer_address(self) -> str:
        peer = self.session.peer if self.session is not None else None
        return str(peer[0]) if peer else ""


def _decoded(text: str) -> bytes:
    if text == "=":
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _Refused(Answer("undecodable", "undecodable")) from None


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _options(text: str, allowed: frozenset[str]) -> dict[str, str]:
    """The parameters behind an address.

    Raises:
        _Refused: one that this server does not know.
    """
    found: dict[str, str] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        if name.upper() not in allowed:
            raise _Refused(Answer("parameters", None, {"option": name}))
        found[name.upper()] = value
    return found
