"""Reading a little of many tenants: one token and one ``$batch`` for each, over one pool of connections.

Owns: tokens and batches as coroutines, what is asked again (throttled, cut), counting requests, and the sentence for
each refusal. Does not own: what is read (``fleet.audit``). It only reads: every request of a batch is a GET, so that a
batch may be repeated whole.

Tokens come from azure-identity's own coroutines, which ask the token endpoint alone; its synchronous credentials ask
for the authority's configuration first, which would double the requests of an audit. Batches: "Combine multiple HTTP
requests using JSON batching": at most 20 requests; each has a status of its own, and a throttled one is to be asked
again after its own ``Retry-After``. Microsoft's limits count the requests in a batch, not the batch ("Microsoft Graph
throttling guidance", "Throttling and batching").
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from provision.errors import ProvisionError, Unreachable
from provision.microsoft.clock import Clock
from provision.microsoft.credentials import APPLICATIONS, credential_for
from provision.microsoft.refusals import GraphRefusal, graph_refused, sign_in_failed
from provision.microsoft.tokens import Caller, caller_of
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints, tls_context, unreachable
from provision.settings.retry_after import retry_after

if TYPE_CHECKING:
    import aiohttp

Document = dict[str, Any]

LIMIT = 20
"""Requests in a batch."""
_TRIES = 5
_LONGEST_WAIT = 120.0
"""Seconds; a longer Retry-After is not waited for: the tenant is told as throttled."""
_CONNECT_SECONDS, _ANSWER_SECONDS = 15.0, 100.0
_TRY_AGAIN = frozenset({429, 500, 502, 503, 504})

_counted: contextvars.ContextVar[list[int] | None] = contextvars.ContextVar("requests", default=None)


@dataclass(frozen=True)
class Read:
    """One GET of a batch."""

    id: str
    url: str
    """Below ``/v1.0``, with its query, encoded."""
    doing: str
    """What it is for, as in "list applications"; stands in messages."""
    needs: str
    """The permission that it takes."""


@dataclass
class Visit:
    """One tenant, signed in to."""

    caller: Caller
    token: str = field(repr=False)
    _pool: Pool = field(repr=False)

    async def read(self, reads: Iterable[Read]) -> dict[str, Document | ProvisionError]:
        """Asks for several things at once.

        Args:
            reads: at most 20.

        Returns:
            For each id its document, or why Graph refuses it.

        Raises:
            SignInFailed: Graph does not accept the token.
            Throttled, Unreachable: no answer to the batch itself.
        """
        return await self._pool.batch(self.token, list(reads))


@contextlib.contextmanager
def counting() -> Iterator[list[int]]:
    """Counts the HTTP requests that the pools make for whoever is inside, repeated ones included: a list of one."""
    count = [0]
    before = _counted.set(count)
    try:
        yield count
    finally:
        _counted.reset(before)


class Pool:
    """Connections to one cloud that all tenants of a run share; an asynchronous context manager.

    Args:
        endpoints: the cloud.
        at_once: how many requests may be under way.
        pause: waits a number of seconds.
    """

    def __init__(
        self, endpoints: Endpoints, *, at_once: int = 32, pause: Callable[[float], Any] = asyncio.sleep
    ) -> None:
        self._endpoints = endpoints
        self._at_once = at_once
        self._pause = pause
        self._session: aiohttp.ClientSession | None = None
        self._clock = Clock()

    async def __aenter__(self) -> Self:
        import aiohttp

        tracing = aiohttp.TraceConfig()
        tracing.on_request_start.append(_count)
        tracing.on_request_end.append(self._note_date)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._at_once, ssl=tls_context(self._endpoints.ca_file)),
            timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS, sock_connect=_CONNECT_SECONDS),
            trace_configs=[tracing],
            trust_env=True,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def ahead(self) -> timedelta:
        """How far Microsoft's clock is ahead of this machine's, by the last answer's ``Date``; whole seconds."""
        return self._clock.ahead

    async def _note_date(self, _session: object, _context: object, told: Any) -> None:
        self._clock.note(told.response.headers.get("Date"))

    async def visit(self, setting: CredentialSetting) -> Visit:
        """Signs in to the setting's tenant.

        Raises:
            SignInFailed: Entra refuses.
            Unreachable: Entra does not answer, or its certificate is not trusted.
        """
        token = await self._token(setting)
        return Visit(caller_of(token), token, self)

    async def _token(self, setting: CredentialSetting) -> str:
        scope = self._endpoints.graph_scope
        if setting.method not in APPLICATIONS:  # a person's, or the machine's own: azure-identity has threads for those
            kept = credential_for(setting, self._endpoints)
            return (await asyncio.to_thread(kept.get_token, scope)).token
        import azure.identity.aio
        from azure.core.exceptions import AzureError
        from azure.core.pipeline.transport import AioHttpTransport

        options: dict[str, Any] = {
            "authority": self._endpoints.login,
            "disable_instance_discovery": True,
            "transport": AioHttpTransport(session=self._session, session_owner=False),
        }
        if self._endpoints.ca_file:
            options["connection_verify"] = self._endpoints.ca_file
        if setting.method == "workload-identity":
            options["audience"] = self._endpoints.token_exchange_audience
        try:
            credential = APPLICATIONS[setting.method](azure.identity.aio, setting, options)
            return str((await credential.get_token(scope)).token)
        except ProvisionError:
            raise
        except (AzureError, ValueError, OSError) as error:
            raise sign_in_failed(error, self._endpoints, setting=setting) from None

    async def batch(self, token: str, reads: list[Read]) -> dict[str, Document | ProvisionError]:
        """See ``Visit.read``."""
        answers: dict[str, Document | ProvisionError] = {}
        left = {read.id: read for read in reads}
        for attempt in range(_TRIES):
            wait = 0.0
            items = {str(item.get("id")): item for item in await self._send(token, list(left.values()))}
            for read in left.values():
                item = items.get(read.id, {})
                status, body = item.get("status"), item.get("body")
                document: Document | None = body if isinstance(body, dict) else None
                if isinstance(status, int) and status >= 300:
                    answers[read.id] = graph_refused(_refusal(status, document or {}), read.doing, read.needs)
                    if status in _TRY_AGAIN:
                        wait = max(wait, _asked_to_wait(item.get("headers"), attempt))
                elif isinstance(status, int) and document is not None:
                    answers[read.id] = document
                else:
                    answers[read.id] = _unanswered(read)
                    wait = max(wait, _backoff(attempt))
            left = {id_: read for id_, read in left.items() if isinstance(answers[id_], Unreachable)}
            if not left or wait > _LONGEST_WAIT:
                break
            if attempt + 1 < _TRIES:
                await self._pause(wait)
        return answers

    async def _send(self, token: str, reads: list[Read]) -> list[Document]:
        """One batch's answers; asked again while Graph asks to wait or the connection is cut."""
        import aiohttp

        if self._session is None:
            raise RuntimeError("the pool is not open")
        rows = [{"id": read.id, "method": "GET", "url": read.url} for read in reads]
        for attempt in range(_TRIES):
            last = attempt + 1 == _TRIES
            try:
                async with self._session.post(
                    f"{self._endpoints.graph}/v1.0/$batch",
                    json={"requests": rows},
                    headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
                ) as answer:
                    text = await answer.read()
                    if answer.status == 200:
                        return _responses(text)
                    wait = _asked_to_wait(answer.headers, attempt)
                    if answer.status not in _TRY_AGAIN or last or wait > _LONGEST_WAIT:
                        raise graph_refused(_refusal(answer.status, _object(text)), "read the tenant", "")
            except (aiohttp.ClientError, TimeoutError) as error:
                if last:
                    raise unreachable(self._endpoints.graph, error, ca_file=self._endpoints.ca_file) from None
                wait = _backoff(attempt)
            await self._pause(wait)
        raise AssertionError("unreachable")


async def _count(*_: object) -> None:
    if (count := _counted.get()) is not None:
        count[0] += 1


def _unanswered(read: Read) -> Unreachable:
    """For a request that a batch's answer leaves out, or answers with something that Graph does not say."""
    return Unreachable(
        f"Microsoft Graph does not answer the request to {read.doing}.",
        remedy="Run again; see whether a proxy answers in its place.",
    )


def _responses(text: bytes) -> list[Document]:
    found = _object(text).get("responses")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _object(text: bytes) -> Document:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refusal(status: int, body: Document) -> GraphRefusal:
    error = body.get("error")
    error = error if isinstance(error, dict) else {}
    message = " ".join(str(error.get("message") or "").split())[:300]
    return GraphRefusal(status, str(error.get("code") or ""), message)


def _asked_to_wait(headers: Mapping[str, object] | None, attempt: int) -> float:
    """Seconds by ``Retry-After``; a growing pause without one, or without headers, as in a batch."""
    return (retry_after(headers) if isinstance(headers, Mapping) else None) or _backoff(attempt)


def _backoff(attempt: int) -> float:
    return float(2**attempt) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
