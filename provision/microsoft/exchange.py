"""Exchange Online's cmdlets over HTTPS: the line that Exchange Online PowerShell itself uses, without PowerShell.

Owns: one cmdlet as one request, paging, which answers are asked for again, and handing refusals to
``microsoft.refusals``. Does not own: which cmdlets are run and what their rows mean (``mailbox``, ``diagnose``).

``POST /adminapi/beta/{tenant}/InvokeCommand`` is not documented and not supported by Microsoft; it may change without
notice. Microsoft's own Exchange Admin API has neither CASMailbox nor TransportConfig ("Exchange Admin API endpoints
reference", preview). What is documented is PowerShell: ``mailbox.powershell`` writes the same work as a script. Sources
of the request, its headers and its answers: michev.info ("All you need to know about Exchange Online Admin API"), the
public clients ExoHelper (PowerShell Gallery) and CIPP-API (``New-ExoRequest.ps1``), and Microsoft's module
ExchangeOnlineManagement (its constants: five more tries, 2 s doubled each time, after 401, 429, 503 and 504;
Retry-After wins; a page of 1,000).
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from provision.errors import InvalidInput, ProvisionError, Unreachable
from provision.microsoft.channel import AnswerLost
from provision.microsoft.credentials import Credential
from provision.microsoft.refusals import ExchangeRefusal, exchange_refused
from provision.microsoft.tokens import caller_of
from provision.settings.endpoints import Endpoints, tls_context, unreachable
from provision.settings.retry_after import retry_after

if TYPE_CHECKING:
    import httpx

Row = dict[str, Any]

PAGE_SIZE = 1000
_CONNECT_SECONDS, _ANSWER_SECONDS = 15.0, 300.0
"""The module itself waits 16 minutes, one more than the server takes; five are enough for a page of rows."""
_TRIES = 6
_CUT_TRIES = 3
_LONGEST_WAIT = 300.0
"""Seconds; whoever is asked to wait for longer is better off running again later."""
_MAX_ANSWER_BYTES = 64_000_000
_MAX_PAGES = 10_000

_BUSY = frozenset({429, 500, 502, 503, 504})
_TRANSIENT_400 = (
    "Cmdlet needs proxy",  # the request was not routed to the mailbox's server; public clients ask again
    "CmdletProxyNotAvailableException",
    "ADTransientException",
    "DatabaseUnavailable",
    "ServerBusy",
)
"""Words in a 400 that mean "not now". The first two are in public clients; the others are the names of Exchange's
transient exceptions, of which no list was found at a source.
"""
_SAFE_VERBS = ("Get-", "Set-", "Test-")
"""Cmdlets whose second arrival changes nothing more: Set- puts the same value again. New- or Add- would do it twice."""
_SYSTEM_MAILBOX = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}"
"""The mailbox that stands for the organization when a request is routed (ExoHelper, CIPP)."""


class Absent(InvalidInput):
    """What a cmdlet names is not there."""


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    """Names in any letter case."""
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def _nothing(_: str) -> None:
    """Listens to nobody."""


class Exchange:
    """Exchange Online as one caller sees it; synchronous, closed as a context manager.

    Args:
        credential: from ``credentials.credential_for`` or ``sign_in``.
        endpoints: the cloud.
        warn: hears each warning that a cmdlet gives, once.
        retry_delay: base of the growing pauses, seconds.
        pause: waits a number of seconds.
    """

    def __init__(
        self,
        credential: Credential,
        endpoints: Endpoints,
        *,
        warn: Callable[[str], None] = _nothing,
        retry_delay: float = 2.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._credential = credential
        self._endpoints = endpoints
        self._warn = warn
        self._retry_delay = retry_delay
        self._pause = pause
        self._connection = str(uuid.uuid4())
        self._client: httpx.Client | None = None
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        if self._client is not None:
            self._client.close()

    def rows(
        self,
        cmdlet: str,
        parameters: Mapping[str, object] | None = None,
        *,
        doing: str,
        select: Sequence[str] = (),
        recipients: bool = True,
    ) -> Iterator[Row]:
        """What a Get- cmdlet lists, page by page: only one page is in memory.

        Args:
            cmdlet: its name, such as ``Get-CASMailbox``.
            parameters: by name; None stands for ``$null``.
            doing: what it is for, as in "read the mailboxes"; stands in messages.
            select: the properties wanted; all without it.
            recipients: whether it is about recipients alone, for the sentence of a 403.

        Raises:
            NotPermitted, InvalidInput, SignInFailed, Unreachable: see ``microsoft.refusals``.
        """
        address: str | None = None
        for _ in range(_MAX_PAGES):
            answer = self._ask(cmdlet, parameters or {}, doing, select, recipients, address=address)
            yield from answer.get("value") or ()
            address = answer.get("@odata.nextLink")
            if not address:
                return
            if _origin(address) != _origin(self._endpoints.exchange):
                raise Unreachable(f"Exchange Online names a next page at {_origin(address)}, which is not its own.")
        raise Unreachable(f"Exchange Online does not come to an end when asked to {doing}.", remedy="Run again.")

    def first(
        self,
        cmdlet: str,
        parameters: Mapping[str, object] | None = None,
        *,
        doing: str,
        select: Sequence[str] = (),
        recipients: bool = True,
    ) -> Row | None:
        """The first row of a Get- cmdlet; None when what it names is not there. Takes and raises what ``rows`` does."""
        try:
            return next(self.rows(cmdlet, parameters, doing=doing, select=select, recipients=recipients), None)
        except Absent:
            return None

    def run(
        self,
        cmdlet: str,
        parameters: Mapping[str, object],
        *,
        doing: str,
        mailbox: str | None = None,
        recipients: bool = True,
    ) -> list[Row]:
        """Runs a cmdlet that changes something.

        A lost answer to a Set- cmdlet is asked for again, for it puts the same value; any other is not.

        Args:
            cmdlet: its name, such as ``Set-CASMailbox``.
            parameters: by name; None stands for ``$null``.
            doing: what it is for; stands in messages.
            mailbox: the address of the mailbox that is changed: the request is routed to that mailbox's server.
            recipients: whether it is about recipients alone, for the sentence of a 403.

        Raises:
            AnswerLost: whether it was done is not known.
            Absent: what it names is not there.
            NotPermitted, InvalidInput, SignInFailed, Unreachable: see ``microsoft.refusals``.
        """
        answer = self._ask(cmdlet, parameters, doing, (), recipients, mailbox=mailbox)
        return list(answer.get("value") or ())

    def _ask(
        self,
        cmdlet: str,
        parameters: Mapping[str, object],
        doing: str,
        select: Sequence[str],
        recipients: bool,
        *,
        mailbox: str | None = None,
        address: str | None = None,
    ) -> Row:
        sent = {name: _typed(value) for name, value in parameters.items()}
        body = json.dumps({"CmdletInput": {"CmdletName": cmdlet, "Parameters": sent}}).encode()
        safe = cmdlet.startswith(_SAFE_VERBS)
        cuts, signed_in_again = 0, False
        for turn in range(_TRIES):
            last = turn == _TRIES - 1
            try:
                answer = self._send(cmdlet, body, select, mailbox, address)
            except AnswerLost:
                cuts += 1
                if not safe or last or cuts == _CUT_TRIES:
                    raise
                self._pause(self._growing(turn) / 10)
                continue
            if 200 <= answer.status < 300:
                return self._read(answer)
            refusal = _refusal(answer)
            if refusal.status == 401 and not signed_in_again and not last:
                signed_in_again = True
                self._credential.forget()
                continue
            wait = self._wait(answer, refusal, turn, safe, doing)
            if wait is None or last:
                raise _refused(refusal, doing, recipients)
            self._pause(wait)
        raise AssertionError("unreachable")  # the last turn returns or raises

    def _send(
        self, cmdlet: str, body: bytes, select: Sequence[str], mailbox: str | None, address: str | None
    ) -> _Answer:
        import httpx

        token = self._credential.get_token(self._endpoints.exchange_scope).token
        caller = caller_of(token)
        if self._client is None:
            self._client = httpx.Client(
                verify=tls_context(self._endpoints.ca_file),
                timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
                follow_redirects=False,
            )
        if address is None:
            address = f"{self._endpoints.exchange}/adminapi/beta/{caller.tenant_id}/InvokeCommand"
            address += f"?$select={quote(','.join(select), safe=',')}" if select else ""
        organization = f"APP:{_SYSTEM_MAILBOX}@{caller.tenant_id}" if caller.kind == "app" else f"UPN:{caller.name}"
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Content-Type": "application/json; charset=utf-8",
            "Prefer": f"odata.maxpagesize={PAGE_SIZE}",
            "X-AnchorMailbox": f"UPN:{mailbox}".encode("ascii", "ignore").decode() if mailbox else organization,
            "X-ClientApplication": "ExoManagementModule",
            "X-CmdletName": cmdlet,
            "X-ResponseFormat": "json",
            "X-SerializationLevel": "Partial",
            "connection-id": self._connection,
            "client-request-id": str(uuid.uuid4()),
        }
        try:
            with self._client.stream("POST", address, content=body, headers=headers) as answer:
                return _Answer(answer.status_code, answer.headers, _bounded(answer.iter_bytes()))
        except httpx.HTTPError as error:
            raise AnswerLost(
                unreachable(self._endpoints.exchange, error, ca_file=self._endpoints.ca_file).message,
                remedy="Check the network, then run again.",
            ) from None

    def _read(self, answer: _Answer) -> Row:
        document = answer.document if answer.body else {}
        if not isinstance(document, dict):
            raise Unreachable(
                f"{self._endpoints.exchange} answers with something that is not Exchange Online's.",
                remedy="Check the address and a proxy in between.",
            )
        for warning in document.get("@adminapi.warnings") or ():
            if str(warning) not in self._warned:
                self._warned.add(str(warning))
                self._warn(str(warning))
        return document

    def _wait(self, answer: _Answer, refusal: ExchangeRefusal, turn: int, safe: bool, doing: str) -> float | None:
        """Seconds before the next try; None when there is none."""
        told = f"{refusal.kind} {refusal.message}"
        transient = refusal.status == 400 and any(word in told for word in _TRANSIENT_400)
        if not transient and not (refusal.status in _BUSY and (safe or refusal.status == 429)):
            return None
        asked = retry_after(answer.headers)
        if asked is not None and asked > _LONGEST_WAIT:
            raise Unreachable(
                f"Exchange Online asks to wait for {asked:.0f} seconds before the next request to {doing}.",
                remedy="Run again after that; what is done is recorded.",
            )
        return asked or self._growing(turn)

    def _growing(self, turn: int) -> float:
        jitter = random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
        return float(self._retry_delay * 2**turn * jitter)


def _refused(refusal: ExchangeRefusal, doing: str, recipients: bool) -> ProvisionError:
    if refusal.is_absent:
        return Absent(f"Exchange Online does not know it: {refusal.message or doing}", remedy="Check the name.")
    return exchange_refused(refusal, doing, recipients=recipients)


def _refusal(answer: _Answer) -> ExchangeRefusal:
    """Reads an error as ExchangeOnlineManagement does: the first detail, ``id|exception|sentence``, tells most."""
    kind = answer.headers.get("x-exceptiontype", "")
    try:
        error = (answer.document or {})["error"]
        details = error.get("details") or [{}]
        inner = (error.get("innererror") or {}).get("internalexception") or {}
        message = details[0].get("message") or inner.get("message") or error.get("message") or ""
    except (KeyError, TypeError, IndexError, AttributeError):
        message = ""
    parts = str(message).split("|", 2)
    if len(parts) == 3:
        kind, message = parts[1], parts[2]
    return ExchangeRefusal(
        answer.status, str(kind).rsplit(".", 1)[-1], " ".join(str(message).split())[:300].rstrip(".")
    )


def _typed(value: Any) -> Any:
    """A parameter as it travels: a hash table carries its type (ExoHelper)."""
    if isinstance(value, Mapping):
        return {"@odata.type": "#Exchange.GenericHashTable", **{name: _typed(item) for name, item in value.items()}}
    return value


def _bounded(chunks: Iterator[bytes]) -> bytes:
    """The whole body.

    Raises:
        Unreachable: it is larger than a page can be.
    """
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise Unreachable("Exchange Online answers with more than was asked for.", remedy="Run again.")
    return bytes(body)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
