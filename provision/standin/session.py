"""One signed-in conversation with the local tenant's Graph.

Owns: requests as plain JSON through msgraph-sdk's adapter (its sign-in, its headers), which answers are asked again,
and waiting until the directory shows a change everywhere.
Does not own: what is asked (``resources``, ``lookups``), nor which host may be asked (``local_tenant``).

Source of what is asked again: terraform-provider-azuread's waiters and go-azure-sdk's client (408, 424, 429, 5xx but
501).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlencode

from provision.errors import ProvisionError, Unreachable
from provision.settings.retry_after import retry_after

if TYPE_CHECKING:
    import httpx
    from msgraph.graph_request_adapter import GraphRequestAdapter

Json = dict[str, Any]
Answer = TypeVar("Answer")

_ASK_AGAIN = frozenset({408, 424, 429}) | frozenset(range(500, 600)) - {501}
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_NOT_FOUND = 404
_TOO_MANY = 429
_REPEATABLE = frozenset({"GET", "PATCH", "DELETE"})
"""A POST that got a 5xx may have been carried out: repeating it could make two secrets where one was asked for."""


class GraphRefusal(ProvisionError):
    """Graph said no.

    Args:
        status: the HTTP status.
        code: Graph's ``error.code``.
        message: Graph's ``error.message``.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"unexpected status {status} with error: {code}: {message}")
        self.status = status
        self.code = code
        self.graph_message = message

    @property
    def not_found(self) -> bool:
        """Whether the object is not there (or not yet everywhere)."""
        return self.status == _NOT_FOUND


class Gone(ProvisionError):
    """A wait ended without the directory showing what was waited for."""


@dataclass(frozen=True)
class Deadline:
    """Until when to go on asking."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """So many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.at


AskAgain = Callable[[GraphRefusal], bool]


@dataclass
class Session:
    """A signed-in conversation.

    Args:
        adapter: msgraph-sdk's adapter, already pointed at the local tenant.
        graph: Graph's address, no trailing slash.
        tenant_id: the tenant signed in to.
        client_id: the application signed in as.
        object_id: the caller's object id.
    """

    adapter: GraphRequestAdapter
    graph: str
    tenant_id: str
    client_id: str
    object_id: str
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    def lock(self, object_id: str) -> asyncio.Lock:
        """One writer at a time for one object: Graph answers 409 to concurrent changes of an application."""
        return self._locks.setdefault(object_id.lower(), asyncio.Lock())

    def reference(self, object_id: str) -> str:
        """An object's address, as ``@odata.id`` and ``@odata.bind`` want it."""
        return f"{self.graph}/v1.0/directoryObjects/{object_id}"

    async def get(self, path: str, *, beta: bool = False, **query: str) -> Json:
        """Reads one object. Raises GraphRefusal, Unreachable."""
        return await self._call("GET", path, beta=beta, query=query)

    async def present(self, path: str) -> Json | None:
        """Reads one object; None when it is not there. Raises GraphRefusal, Unreachable."""
        try:
            return await self.get(path)
        except GraphRefusal as refusal:
            if refusal.not_found:
                return None
            raise

    async def find(self, path: str, filter_: str) -> list[Json]:
        """Reads all objects that match a filter, page by page. Raises GraphRefusal, Unreachable."""
        return await self._pages(path, {"$filter": filter_})

    async def all(self, path: str) -> list[Json]:
        """Reads a whole collection, page by page. Raises GraphRefusal, Unreachable."""
        return await self._pages(path, {})

    async def post(
        self, path: str, body: Json, *, deadline: Deadline | None = None, again: AskAgain | None = None
    ) -> Json:
        """Creates or acts. ``again`` says which refusals mean "not replicated yet", asked again until ``deadline``."""
        return await self._call("POST", path, body=body, deadline=deadline, again=again)

    async def patch(self, path: str, body: Json, *, beta: bool = False) -> None:
        """Changes one object. Raises GraphRefusal, Unreachable."""
        await self._call("PATCH", path, body=body, beta=beta)

    async def delete(self, path: str) -> None:
        """Deletes one object or link. Raises GraphRefusal, Unreachable."""
        await self._call("DELETE", path)

    async def wait(self, probe: Callable[[], Awaitable[Answer | None]], deadline: Deadline, what: str) -> Answer:
        """Asks until there is an answer.

        Args:
            probe: gives None while the directory does not show it yet.
            deadline: when to give up.
            what: what is waited for, for the refusal.

        Raises:
            Gone: the time was up, or the engine cancelled the run.
        """
        pause = _FIRST_PAUSE
        while (answer := await probe()) is None:
            await self._pause(pause, deadline, what)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return answer

    async def wait_for(self, path: str, deadline: Deadline, what: str) -> Json:
        """Waits until an object is there. Raises Gone, GraphRefusal, Unreachable."""
        return await self.wait(lambda: self.present(path), deadline, f"{what} to be replicated")

    async def wait_gone(self, path: str, deadline: Deadline) -> None:
        """Waits until an object is there no more. Raises Gone, GraphRefusal, Unreachable."""

        async def gone() -> bool | None:
            return True if await self.present(path) is None else None

        await self.wait(gone, deadline, f"deletion of {path}")

    async def _pages(self, path: str, query: dict[str, str]) -> list[Json]:
        page = await self._call("GET", path, query=query)
        found: list[Json] = list(page["value"])
        while link := page.get("@odata.nextLink"):
            page = await self._call("GET", "", url=link)
            found += page["value"]
        return found

    async def _call(
        self,
        method: str,
        path: str,
        *,
        url: str = "",
        query: dict[str, str] | None = None,
        body: Json | None = None,
        beta: bool = False,
        deadline: Deadline | None = None,
        again: AskAgain | None = None,
    ) -> Json:
        where = url or f"{self.graph}/{'beta' if beta else 'v1.0'}{path}"
        if query:
            where += "?" + urlencode(query, quote_via=quote, safe="$,")
        until = deadline or Deadline.after(60)
        pause = _FIRST_PAUSE
        while True:
            response = await self._send(method, where, body)
            if response.is_success:
                return cast("Json", response.json()) if response.content else {}
            refusal = _refusal(response)
            harmless = method in _REPEATABLE or response.status_code == _TOO_MANY
            if not (harmless and response.status_code in _ASK_AGAIN) and not (again is not None and again(refusal)):
                raise refusal
            waits = retry_after(response.headers) or pause
            if time.monotonic() + waits > until.at:
                raise refusal
            await self._pause(waits, until, f"{method} {path}")
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _send(self, method: str, url: str, body: Json | None) -> httpx.Response:
        import httpx
        from kiota_abstractions.method import Method
        from kiota_abstractions.native_response_handler import NativeResponseHandler
        from kiota_abstractions.request_information import RequestInformation
        from kiota_http.middleware.options import ResponseHandlerOption

        request = RequestInformation(Method(method))
        request.url = url
        request.headers.try_add("Accept", "application/json")
        if body is not None:
            request.headers.try_add("Content-Type", "application/json")
            request.content = json.dumps(body).encode()
        request.add_request_options([ResponseHandlerOption(NativeResponseHandler())])
        try:
            answer = await self.adapter.send_primitive_async(request, "bytes", {})
        except httpx.TransportError as error:
            raise Unreachable(f"{self.graph} did not answer {method}: {error or type(error).__name__}.") from None
        return cast("httpx.Response", answer)

    async def _pause(self, seconds: float, deadline: Deadline, what: str) -> None:
        if deadline.passed:
            raise Gone(f"Timed out whilst waiting for {what}.")
        try:
            await asyncio.wait_for(self.cancelled.wait(), seconds)
        except TimeoutError:
            return
        raise Gone(f"Cancelled whilst waiting for {what}.")


def _refusal(response: httpx.Response) -> GraphRefusal:
    try:
        error = response.json()["error"]
        return GraphRefusal(response.status_code, error["code"], error["message"])
    except (ValueError, KeyError, TypeError):
        return GraphRefusal(response.status_code, response.reason_phrase, "no explanation in Graph's form")
