"""One request to a place that keeps client secrets: verified TLS, no redirects, a bounded answer.

Owns: the HTTP client's settings, which answers are asked for again, and the sentence for a connection that fails. Does
not own: what is asked and what an answer means (each sink). Nothing of a request's body is ever logged or told.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from provision.errors import Unreachable
from provision.settings.endpoints import tls_context, unreachable
from provision.settings.retry_after import retry_after

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 20.0
"""Standard Webhooks recommends 15 to 30 seconds for an answer ("Request timeouts")."""
_BUSY = frozenset({429, 502, 503, 504})
"""Asked for again; 429 only when Retry-After says how soon: whoever counts requests would count that one too."""
_WAITS = (0.5, 1.5)
"""Seconds before each further try; Retry-After wins, as far as it is short."""
_LONGEST_WAIT = 5.0
_MAX_ANSWER_BYTES = 1_000_000


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names in any letter case."""
    body: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_redirect(self) -> bool:
        """Whether the status is 3xx."""
        return 300 <= self.status < 400

    @property
    def is_busy(self) -> bool:
        """Whether the place may do it later."""
        return self.status == 429 or self.status >= 500

    @property
    def document(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def ask(
    method: str,
    url: str,
    *,
    environ: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
    body: object = None,
    sign: Callable[[bytes], Mapping[str, str]] | None = None,
    repeat: bool = True,
) -> Answer:
    """Makes one request; an answer that says "busy" is asked for again twice. Proxies are those of the process.

    Args:
        method: the HTTP method.
        url: where to; its query is part of it.
        environ: names the certificate authorities to trust (``SSL_CERT_FILE``, else ``REQUESTS_CA_BUNDLE``).
        headers: sent as they are.
        body: sent as compact JSON; nothing when None.
        sign: further headers for these bytes, made anew for each try.
        repeat: whether the request may arrive twice: a gateway that says "busy" may have passed the first one on.

    Raises:
        Unreachable: no connection, a certificate that is not trusted, or no answer in time.
        InvalidInput: the certificate file cannot be used.
    """
    ca_file = environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE")
    content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
    sent = {"Accept": "application/json", "User-Agent": "provision", **(headers or {})}
    if content is not None:
        sent["Content-Type"] = "application/json"
    timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    try:
        with httpx.Client(verify=tls_context(ca_file), timeout=timeout, follow_redirects=False) as client:
            for wait in (*(_WAITS if repeat else ()), None):
                answer = _once(client, method, url, content, {**sent, **(sign(content or b"") if sign else {})})
                longer = _wait_for(answer, wait)
                if longer is None:
                    break
                time.sleep(longer)
            return answer
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(origin(url), error, ca_file=ca_file) from None


def _once(client: httpx.Client, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
    with client.stream(method, url, content=content, headers=headers) as response:
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > _MAX_ANSWER_BYTES:
                raise Unreachable(f"{origin(url)} answers with more than was asked for.", remedy="Check the address.")
        return Answer(response.status_code, response.headers, body)


def _wait_for(answer: Answer, wait: float | None) -> float | None:
    """Seconds before the next try; None when there is none."""
    if wait is None or answer.status not in _BUSY:
        return None
    asked = retry_after(answer.headers)
    if asked is None:
        return None if answer.status == 429 else wait
    return asked if asked <= _LONGEST_WAIT else None


def origin(url: str) -> str:
    """Scheme, host and port of an address, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
