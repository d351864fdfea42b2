"""The line to Microsoft Graph: msgraph-sdk's client, made to fit, behind plain synchronous calls.

Owns: the HTTP client (trust, timeouts), which requests may be repeated, the event loop, and handing refusals to
``microsoft.refusals``. Does not own: which calls are made (``microsoft.graph``).

Two of the SDK's defaults (kiota ``RetryHandler``) do not suit: it repeats a POST after 503 and 504, when the first may
have been carried out (two secrets where one was asked for), and it does not repeat a GET after 500, 502 or a cut
connection. ``_Repeat`` puts that right; Retry-After, the count (3) and the backoff stay the SDK's.

Addresses come from the SDK's request builders; bodies are plain JSON. The SDK's own models are not used: reading one
service principal through them loads 1,200 modules (3 to 4 seconds at each start, measured), for a dozen properties.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from provision.errors import ProvisionError, Unreachable
from provision.microsoft.clock import Clock
from provision.microsoft.credentials import Credential
from provision.microsoft.refusals import GraphRefusal, graph_refused
from provision.settings.endpoints import Endpoints, tls_context, unreachable

if TYPE_CHECKING:
    from kiota_abstractions.request_information import RequestInformation
    from msgraph.graph_service_client import GraphServiceClient

T = TypeVar("T")
Document = dict[str, Any]
Where = Callable[["GraphServiceClient"], Any]
"""Picks a request builder of the SDK, for example ``lambda client: client.applications``."""

_CONNECT_SECONDS, _ANSWER_SECONDS = 15.0, 100.0
_CUT_RETRIES = 2
_MAX_PAGES = 1000
_REPEATABLE = frozenset({429, 500, 502, 503, 504})
_SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
"""Methods whose second arrival changes nothing more; of a POST only 429 (not carried out) is repeated."""


@dataclass(frozen=True)
class _Ask:
    """One request; the fields are ``Channel.ask``'s arguments."""

    where: Where
    doing: str
    method: str
    query: Mapping[str, Any]
    body: Mapping[str, Any] | None
    needs: str
    absent: Callable[[GraphRefusal], bool] | None


class AnswerLost(Unreachable):
    """The connection broke: whether Graph carried the request out is not known."""


class Channel:
    """A Graph client with its own thread and event loop, so that it works inside Pulumi's loop too.

    Args:
        credential: gives the tokens.
        endpoints: the cloud.
        retry_delay: base of the SDK's backoff, seconds (Retry-After wins over it).
    """

    def __init__(self, credential: Credential, endpoints: Endpoints, *, retry_delay: float = 1.0) -> None:
        self._endpoints = endpoints
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="microsoft-graph", daemon=True)
        self._thread.start()
        self._http: Any = None
        self._client: GraphServiceClient | None = None
        self._credential = credential
        self._retry_delay = retry_delay
        self._clock = Clock()

    def _build(self) -> GraphServiceClient:
        import httpx
        from kiota_http.kiota_client_factory import KiotaClientFactory
        from kiota_http.middleware.options import RetryHandlerOption
        from kiota_http.middleware.retry_handler import RetryHandler
        from msgraph.graph_request_adapter import GraphRequestAdapter, options
        from msgraph.graph_service_client import GraphServiceClient
        from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]
        from msgraph_core.authentication import AzureIdentityAuthenticationProvider  # type: ignore[import-untyped]
        from msgraph_core.middleware import GraphTelemetryHandler  # type: ignore[import-untyped]

        repeat = _repeat_handler(RetryHandler, httpx.TransportError)(RetryHandlerOption(delay=self._retry_delay))
        middleware = [
            repeat if isinstance(handler, RetryHandler) else handler
            for handler in KiotaClientFactory.get_default_middleware(dict(options))
        ]
        middleware.append(GraphTelemetryHandler())
        context: ssl.SSLContext | bool = tls_context(self._endpoints.ca_file)
        self._http = GraphClientFactory.create_with_custom_middleware(
            middleware,
            client=httpx.AsyncClient(
                verify=context,
                timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
                trust_env=True,
                event_hooks={"response": [self._note_date]},
            ),
        )
        provider = AzureIdentityAuthenticationProvider(
            self._credential,
            scopes=[self._endpoints.graph_scope],
            allowed_hosts=[urlsplit(self._endpoints.graph).hostname or ""],
        )
        adapter = GraphRequestAdapter(provider, client=self._http)
        adapter.base_url = f"{self._endpoints.graph}/v1.0"
        return GraphServiceClient(request_adapter=adapter)

    @property
    def ahead(self) -> timedelta:
        """How far Microsoft's clock is ahead of this machine's, by the last answer's ``Date``; whole seconds."""
        return self._clock.ahead

    def now(self) -> datetime:
        """The present: by Microsoft's clock when this machine's differs from it by a minute or more (``ahead``)."""
        return self._clock.now()

    async def _note_date(self, answer: Any) -> None:
        self._clock.note(answer.headers.get("date"))

    def ask(
        self,
        where: Where,
        doing: str,
        *,
        method: str = "GET",
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        needs: str = "",
        absent: Callable[[GraphRefusal], bool] | None = None,
    ) -> Document | None:
        """Makes one request and waits for the answer.

        Args:
            where: the SDK's request builder of the address.
            doing: what it is for, as in "read the application"; stands in messages.
            method: GET, POST, PATCH or DELETE.
            query: OData options without their dollar sign: filter, select.
            body: JSON to send.
            needs: the permission it takes, for a 403.
            absent: which refusals mean "there is none" (the answer is then None).

        Returns:
            The answer's JSON object; None when it has no body, or by ``absent``.

        Raises:
            NotPermitted, InvalidInput, PolicyRefuses, SignInFailed, Unreachable: see ``microsoft.refusals``.
        """
        return self._wait(self._send(_Ask(where, doing, method, query or {}, body, needs, absent)))

    def ask_all(
        self,
        where: Where,
        doing: str,
        *,
        query: Mapping[str, Any] | None = None,
        needs: str = "",
        absent: Callable[[GraphRefusal], bool] | None = None,
    ) -> list[Document]:
        """Every item of a collection, following ``@odata.nextLink`` ("Paging Microsoft Graph data in your app").

        Takes and raises what ``ask`` does; ``absent`` leads to an empty list.
        """
        return self._wait(self._send_all(_Ask(where, doing, "GET", query or {}, None, needs, absent)))

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _send_all(self, ask: _Ask) -> list[Document]:
        items: list[Document] = []
        page = await self._send(ask)
        for _ in range(_MAX_PAGES):
            if page is None:
                break
            items += page.get("value", ())
            following = page.get("@odata.nextLink")
            if not following:
                break
            page = await self._send(ask, following)
        return items

    async def _send(self, ask: _Ask, address: str | None = None) -> Document | None:
        import httpx
        from kiota_abstractions.api_error import APIError

        if self._client is None:
            self._client = self._build()
        try:
            adapter: Any = self._client.request_adapter  # its annotations know no bytes
            answer = await adapter.send_primitive_async(_information(ask, self._client, address), "bytes", _error_map())
        except ProvisionError:
            raise
        except APIError as error:
            refusal = _refusal(error)
            if ask.absent is not None and ask.absent(refusal):
                return None
            raise graph_refused(refusal, ask.doing, ask.needs) from None
        except httpx.HTTPError as error:
            raise AnswerLost(
                unreachable(self._endpoints.graph, error, ca_file=self._endpoints.ca_file).message,
                remedy="Check the network, then run again.",
            ) from None
        if not isinstance(answer, bytes) or not answer:
            return None
        document = json.loads(answer)
        return document if isinstance(document, dict) else None

    def close(self) -> None:
        """Closes the connections and stops the thread."""

        async def stop() -> None:
            if self._http is not None:
                await self._http.aclose()

        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(stop(), self._loop).result(timeout=10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)
            self._loop.close()


def _information(ask: _Ask, client: GraphServiceClient, address: str | None) -> RequestInformation:
    from kiota_abstractions.method import Method
    from kiota_abstractions.request_information import RequestInformation

    builder = ask.where(client)
    information = RequestInformation(Method[ask.method], builder.url_template, builder.path_parameters)
    information.headers.try_add("Accept", "application/json")
    if address is not None:
        information.url = address
        return information
    information.query_parameters = {f"%24{name}": value for name, value in ask.query.items()}
    if ask.body is not None:
        information.set_stream_content(json.dumps(ask.body).encode(), "application/json")
    return information


def _error_map() -> dict[str, Any]:
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    return {"XXX": ODataError}


def _refusal(error: Any) -> GraphRefusal:
    inner = getattr(error, "error", None)
    return GraphRefusal(
        status=error.response_status_code or 0,
        code=getattr(inner, "code", None) or "",
        message=" ".join((getattr(inner, "message", None) or "").split())[:300],
    )


def _repeat_handler(base: type[Any], cut: type[Exception]) -> type[Any]:
    """The SDK's retry handler with the two changes that the module's docstring names."""

    class _Repeat(base):  # type: ignore[misc]
        def __init__(self, options: Any) -> None:
            super().__init__(options)
            self.retry_on_status_codes = set(_REPEATABLE)

        def should_retry(self, request: Any, options: Any, response: Any) -> bool:
            wanted: bool = super().should_retry(request, options, response)
            return wanted and (request.method in _SAFE_METHODS or response.status_code == 429)

        async def send(self, request: Any, transport: Any) -> Any:
            send: Callable[[Any, Any], Awaitable[Any]] = super().send
            for attempt in range(_CUT_RETRIES):
                try:
                    return await send(request, transport)
                except cut:
                    if request.method != "GET":
                        raise
                    await asyncio.sleep(0.2 * 2**attempt)
            return await send(request, transport)

    return _Repeat


class Line:
    """What asks Microsoft Graph over a channel of its own; synchronous, usable from any thread, closed as a context
    manager.

    Args:
        credential: from ``credentials.credential_for`` or ``sign_in``.
        endpoints: the cloud.
        retry_delay: base of the backoff after 429 and 5xx, seconds.
    """

    def __init__(self, credential: Credential, endpoints: Endpoints, *, retry_delay: float = 1.0) -> None:
        self._channel = Channel(credential, endpoints, retry_delay=retry_delay)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._channel.close()

    def now(self) -> datetime:
        """The present: by Microsoft's clock when this machine's differs from it by a minute or more; it is known once
        something was asked.
        """
        return self._channel.now()
