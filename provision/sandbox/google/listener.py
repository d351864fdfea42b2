"""Gmail's two submission ports in the server's event loop: STARTTLS on one, TLS from the first byte on the other.

Owns: TLS, accepting and closing connections. Does not own: what is said on them. aiosmtpd is loaded with the first
connection: it would lengthen the server's start.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from provision.sandbox.world import World

if TYPE_CHECKING:
    from provision.sandbox.google.session import Conversation


class GoogleMail:
    """Google's SMTP of one server.

    Args:
        world: what everything stands on.
        starttls: a listening socket, and how clients write its address.
        implicit: likewise, for TLS from the first byte.
        certificate: of the private authority.
        key: its private key.
    """

    def __init__(
        self,
        world: World,
        *,
        starttls: tuple[socket.socket, str],
        implicit: tuple[socket.socket, str],
        certificate: Path,
        key: Path,
    ) -> None:
        self._world = world
        self._starttls = starttls
        self._implicit = implicit
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._servers: list[asyncio.Server] = []
        self._transports: set[asyncio.BaseTransport] = set()

    async def start(self) -> None:
        """Starts answering."""
        loop = asyncio.get_running_loop()
        listener, address = self._starttls
        self._servers.append(await loop.create_server(self._conversing(address, self._context), sock=listener))
        listener, address = self._implicit
        conversing = self._conversing(address, None)
        self._servers.append(await loop.create_server(conversing, sock=listener, ssl=self._context))

    def _conversing(self, address: str, context: ssl.SSLContext | None) -> Callable[[], Conversation]:
        def converse() -> Conversation:
            from provision.sandbox.google import session

            return session.Conversation(
                self._world,
                address=address,
                context=context,
                loop=asyncio.get_running_loop(),
                open_transports=self._transports,
            )

        return converse

    async def stop(self) -> None:
        """Hangs up on everybody."""
        for server in self._servers:
            server.close()
        for transport in list(self._transports):
            if isinstance(transport, asyncio.Transport):
                transport.abort()
