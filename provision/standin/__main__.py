"""``python -m provision.standin ENGINE_ADDRESS``: serves the stand-in as a Pulumi plugin does, its port on the first
line.

Owns: the process: its port, its end (a signal, or the engine that started it is gone), no noise on the way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys

import grpc.aio  # type: ignore[import-untyped]
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc

from provision.standin.servicer import Servicer

_LOOK_FOR_PARENT_SECONDS = 1.0
_GRACE_SECONDS = 1.0


async def serve(engine_address: str) -> None:
    """Serves until a signal comes or the parent process is gone.

    Args:
        engine_address: ``host:port`` of the engine; may be empty.
    """
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(engine_address), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    parent = os.getppid()
    while not stopped.is_set() and os.getppid() == parent:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), _LOOK_FOR_PARENT_SECONDS)
    await server.stop(_GRACE_SECONDS)


def main() -> None:
    """The plugin's entry: the engine gives its address as the last argument."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    asyncio.run(serve(addresses[-1] if addresses else ""))


if __name__ == "__main__":
    main()
