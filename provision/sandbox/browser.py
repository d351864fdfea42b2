"""What a browser may do with the local tenant's own pages: who may ask for them, and what they may load.

Owns: the check of ``Host`` and of the peer's address (against DNS rebinding), the check of ``Origin`` on a form, and
the security headers. Does not own: any page. The portal and the sample product use it; Entra's pages may.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names under which a page of a machine's own server may be asked for."""


def host_name(request: Request) -> str:
    """The name in the ``Host`` header in lower case, without the port; empty when it cannot be read."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def host_allowed(request: Request, hosts: Collection[str] = LOOPBACK_HOSTS) -> bool:
    """Whether the page was asked for by one of its own names; a foreign name means DNS rebinding."""
    return host_name(request) in hosts


def from_loopback(request: Request) -> bool:
    """Whether the connection comes from this machine."""
    if request.client is None:
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


def same_origin(request: Request) -> bool:
    """Whether a form was sent by a page of this very origin (browsers always send ``Origin`` with a POST)."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


def secured(
    response: Response, *, form_targets: Collection[str] = ("'self'",), extra: Collection[str] = ()
) -> Response:
    """The response with a content security policy that allows own styles and forms and nothing else.

    Args:
        response: what is about to be sent.
        form_targets: where forms may lead, redirects included (Chromium checks those too).
        extra: further directives, for example ``frame-src 'self'``.
    """
    policy = [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self' data:",
        f"form-action {' '.join(form_targets)}",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        *extra,
    ]
    # Not no-referrer: with it browsers send "Origin: null" from our own forms, which ``same_origin`` refuses.
    for name, value in {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }.items():
        response.headers.setdefault(name, value)
    return response
