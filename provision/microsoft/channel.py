"""The line to Microsoft Graph: msgraph-sdk's client, made to fit, behind plain synchronous calls.

Owns: the HTTP client (trust, timeouts), which requests may be repeated, the event loop, and handing refusals to
``microsoft.refusals``. Does not own: which calls are made (``microsoft.graph``).

Two of the SDK's defaults (kiota ``RetryHandler``) do not suit: it repeats a POST after 503 and 504, when the first may
have been carried out (two secrets where one was asked for), and it does not repeat a GET after 500, 502 or a cut
connection. ``_Repeat`` puts that right; Retry-After, the count (3) and the backoff stay the SDK's.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from provision.errors import ProvisionError, Unreachable
from provision.microsoft.credentials import Credential
from provision.microsoft.refusals import GraphRefusal, graph_refused
from provision.settings.endpoints import Endpoints, tls_context, unreachable

if TYPE_CHECKING:
    from msgraph.graph_service_client import GraphServiceClient

T = TypeVar("T")

_CONNECT_SECONDS, _ANSWER_SECONDS = 15.0, 100.0
_CUT_RETRIES = 2
_MAX_PAGES = 1000
_REPEATABLE = frozenset({429, 500, 502, 503, 504})
_SAFE_METHODS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
"""Methods whose second arrival changes nothing more; of a POST only 429 (not carried out) is repeated."""


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
                verify=context, timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS), trust_env=True
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

    def call(
        self,
        request: Callable[[GraphServiceClient], Coroutine[Any, Any, T]],
        doing: str,
        *,
        needs: str = "",
        absent: Callable[[GraphRefusal], bool] | None = None,
    ) -> T | None:
        """Makes one request and waits for the answer.

        Args:
            request: makes the SDK's coroutine.
            doing: what it is for, as in "read the application"; stands in messages.
            needs: the permission it takes, for a 403.
            absent: which refusals mean "there is none" (the answer is then None).

        Raises:
            NotPermitted, InvalidInput, PolicyRefuses, SignInFailed, Unreachable: see ``microsoft.refusals``.
        """
        future = asyncio.run_coroutine_threadsafe(self._send(request, doing, needs, absent), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def _send(
        self,
        request: Callable[[GraphServiceClient], Coroutine[Any, Any, T]],
        doing: str,
        needs: str,
        absent: Callable[[GraphRefusal], bool] | None,
    ) -> T | None:
        import httpx
        from kiota_abstractions.api_error import APIError

        if self._client is None:
            self._client = self._build()
        try:
            return await request(self._client)
        except ProvisionError:
            raise
        except APIError as error:
            refusal = _refusal(error)
            if absent is not None and absent(refusal):
                return None
            raise graph_refused(refusal, doing, needs) from None
        except httpx.HTTPError as error:
            raise AnswerLost(
                unreachable(self._endpoints.graph, error, ca_file=self._endpoints.ca_file).message,
                remedy="Check the network, then run again.",
            ) from None

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


def query_of(parameters: Any) -> Any:
    """The SDK's request configuration with these query parameters."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration

    return RequestConfiguration(query_parameters=parameters)


async def all_pages(builder: Any, get: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """Every item of a collection, following ``@odata.nextLink`` ("Paging Microsoft Graph data in your app")."""
    items: list[Any] = []
    page = await get(builder)
    for _ in range(_MAX_PAGES):
        if page is None:
            break
        items += page.value or []
        if not page.odata_next_link:
            break
        page = await builder.with_url(page.odata_next_link).get()
    return items
