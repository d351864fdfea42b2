"""The server process: one store, listening sockets for HTTPS and SMTP, every room of the local tenant behind.

Owns: assembling, the sockets, readiness, the state file, stopping.
Does not own: starting a process (``process``), what any address answers.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

import uvicorn

from provision.sandbox.app import build_app
from provision.sandbox.config import (
    DEFAULT_GOOGLE_SMTP_PORT,
    DEFAULT_GOOGLE_SMTPS_PORT,
    DEFAULT_PORT,
    DEFAULT_SMTP_PORT,
    AlreadyRunning,
    CannotListen,
    SandboxError,
    ServerConfig,
    ServerState,
    port_of,
)
from provision.sandbox.directory import Directory
from provision.sandbox.faults import Weather
from provision.sandbox.google import GoogleMail
from provision.sandbox.keys import SigningKeys, write_private
from provision.sandbox.submission import Submission
from provision.sandbox.tenancy import MailAddresses, Tenancy
from provision.sandbox.tls import Certificates
from provision.sandbox.world import World

_GRACE_SECONDS = 2


class _Server(uvicorn.Server):
    """Uvicorn that tells when it is ready and takes a signal as an ordinary end (exit code 0)."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        mail: Sequence[Submission | GoogleMail],
        weather: Weather,
        when_ready: Callable[[], None],
        lifeline: int | None,
    ) -> None:
        super().__init__(config)
        self._mail = mail
        self._weather = weather
        self._when_ready = when_ready
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts listening, then tells."""
        await super().startup(sockets)
        for side in self._mail:
            await side.start()
        if self._lifeline is not None:
            asyncio.get_running_loop().add_reader(self._lifeline, self._lifeline_pulled)
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops all sides."""
        for side in self._mail:
            await side.stop()
        await super().shutdown(sockets)

    def _lifeline_pulled(self) -> None:
        if self._lifeline is not None and not os.read(self._lifeline, 1024):
            asyncio.get_running_loop().remove_reader(self._lifeline)
            self.handle_exit(signal.SIGTERM, None)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Stops; parked requests are let go, or they would hold the end up."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        self._weather.release()


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise AlreadyRunning(
                f"a local tenant already runs on {path.parent} (process {lock.read().strip() or 'unknown'})"
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        yield lock


def _listen(config: ServerConfig, asked: int | None, last: int | None, default: int) -> socket.socket:
    """A listening socket on the port asked for, or on the first that is free of: last run's, the default, any."""
    candidates = [asked] if asked is not None else [*filter(None, [last]), default, 0]
    family = socket.AF_INET6 if ":" in config.address else socket.AF_INET
    for port in candidates:
        # asyncio sets TCP_NODELAY only on sockets that name their protocol; without it each answer waits 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.address, port))
        except OSError as error:
            listener.close()
            if port == candidates[-1]:
                raise CannotListen(f"cannot listen on {config.address}:{port}: {error.strerror}") from None
        else:
            listener.listen(256)
            return listener
    raise CannotListen(f"cannot listen on {config.address}")


def _listen_for_google(config: ServerConfig, last: str | None, default: int) -> tuple[socket.socket, str]:
    """A listening socket for Gmail's SMTP, and its address."""
    listener = _listen(config, None, port_of(last), default)
    return listener, f"{_host(config)}:{listener.getsockname()[1]}"


def _host(config: ServerConfig) -> str:
    """The server's host as clients write it; loopback is called localhost, which every client accepts."""
    host = "localhost" if config.address in {"127.0.0.1", "::1", "0.0.0.0", "::", "localhost"} else config.address  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _base_url(config: ServerConfig, port: int) -> str:
    return f"https://{_host(config)}" if port == 443 else f"https://{_host(config)}:{port}"


def serve(config: ServerConfig, *, when_ready: Callable[[ServerState], None], lifeline: int | None = None) -> None:
    """Runs the server until SIGINT or SIGTERM.

    Args:
        config: where and how to listen.
        when_ready: called once, when requests are answered.
        lifeline: a file descriptor whose end of file ends the server too, so that it never outlives a killed parent.

    Raises:
        AlreadyRunning: another server works on the directory.
        CannotListen: the address or port cannot be had.
        SandboxError: the directory cannot be written.
    """
    layout = config.layout
    os.umask(0o077)
    try:
        layout.directory.mkdir(parents=True, exist_ok=True)
        layout.directory.chmod(0o700)
    except OSError as error:
        raise SandboxError(f"{layout.directory} cannot be used for the local tenant: {error.strerror}") from None
    with _locked(layout.lock_file):
        last = ServerState.read(layout.state_file)
        listener = _listen(config, config.port, last.port if last else None, DEFAULT_PORT)
        port: int = listener.getsockname()[1]
        smtp_listener = _listen(config, config.smtp_port, last.smtp_port if last else None, DEFAULT_SMTP_PORT)
        smtp_address = f"{_host(config)}:{smtp_listener.getsockname()[1]}"
        starttls = _listen_for_google(config, last.google_smtp_address if last else None, DEFAULT_GOOGLE_SMTP_PORT)
        implicit = _listen_for_google(config, last.google_smtps_address if last else None, DEFAULT_GOOGLE_SMTPS_PORT)
        certificates = Certificates(layout.directory)
        certificates.ensure(config.address)
        directory = Directory(layout.store_file)
        world = World(
            directory=directory,
            base_url=_base_url(config, port),
            keys=SigningKeys.load(layout.signing_key_file),
            weather=Weather(directory),
            public_names=config.public_names,
        )
        mail_addresses = MailAddresses(smtp_address, starttls[1], implicit[1])
        tenancy = Tenancy(world, layout, port=port, mail_addresses=mail_addresses, ca_file=certificates.ca_file)
        app = build_app(world, tenancy, issuer_keys=SigningKeys.load(layout.issuer_key_file))
        uvicorn_config = uvicorn.Config(
            app,
            ssl_certfile=str(certificates.server_file),
            ssl_keyfile=str(certificates.server_key_file),
            access_log=False,
            log_level=logging.WARNING,
            lifespan="off",
            ws="none",
            server_header=False,
            date_header=False,  # every answer is dated by the tenant's clock
            timeout_keep_alive=75,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        state = tenancy.state()
        write_private(layout.state_file, state.to_json())
        submission = Submission(
            world,
            smtp_listener,
            address=smtp_address,
            certificate=certificates.server_file,
            key=certificates.server_key_file,
        )
        google = GoogleMail(
            world,
            starttls=starttls,
            implicit=implicit,
            certificate=certificates.server_file,
            key=certificates.server_key_file,
        )
        server = _Server(
            uvicorn_config,
            mail=(submission, google),
            weather=world.weather,
            when_ready=lambda: when_ready(state),
            lifeline=lifeline,
        )
        try:
            asyncio.run(server.serve(sockets=[listener]))
        finally:
            directory.close()
