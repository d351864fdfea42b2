"""The submission port in the server's event loop.

Owns: TLS, accepting connections, closing them at the end, delivering what waited. Does not own: what is said on them.
aiosmtpd is loaded with the first connection: it would lengthen the server's start by a tenth of a second.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from provision.sandbox.submission.desk import Desk
from provision.sandbox.world import World

if TYPE_CHECKING:
    from provision.sandbox.submission.session import Conversation

_POST_SECONDS = 0.5


class Submission:
    """The SMTP side of one server.

    Args:
        world: what everything stands on.
        listener: a listening socket.
        address: how clients write it, ``localhost:2587``.
        certificate: of the private authority.
        key: its private key.
    """

    def __init__(self, world: World, listener: socket.socket, *, address: str, certificate: Path, key: Path) -> None:
        self._world = world
        self._listener = listener
        self._address = address
        self._desk = Desk(world)
        self._context = _context(certificate, key)
        self._server: asyncio.Server | None = None
        self._postman: asyncio.Task[None] | None = None
        self._transports: set[asyncio.BaseTransport] = set()

    async def start(self) -> None:
        """Starts answering."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._converse, sock=self._listener)
        self._postman = loop.create_task(self._deliver_what_waited())

    def _converse(self) -> Conversation:
        from provision.sandbox.submission import session

        if self._context.sni_callback is None:
            self._context.sni_callback = session.note_name
        return session.Conversation(
            self._world,
            self._desk,
            address=self._address,
            context=self._context,
            loop=asyncio.get_running_loop(),
            open_transports=self._transports,
        )

    async def _deliver_what_waited(self) -> None:
        while True:
            await asyncio.sleep(_POST_SECONDS)
            self._desk.post.deliver_due()

    async def stop(self) -> None:
        """Hangs up on everybody; a message that is not whole yet is the client's to send again."""
        if self._postman is not None:
            self._postman.cancel()
        if self._server is not None:
            self._server.close()
        for transport in list(self._transports):
            if isinstance(transport, asyncio.Transport):
                transport.abort()


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    """For STARTTLS: TLS 1.0 and 1.1 shake hands too, so that they can be told 421 4.7.66 as Exchange Online does.

    OpenSSL has them only at security level 0; ciphers without authentication or encryption stay out.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    return context
