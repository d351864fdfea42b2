"""``python -m provision.standin ENGINE_ADDRESS``: serves the stand-in as a Pulumi plugin does, its port on the first
line.

Owns: the process: its port, its end (a signal, or the engine that started it is gone), no noise on the way out.
"""

# ruff: noqa: E402 - the Pulumi SDK must be kept from loading before anything imports its protocol
from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
import threading
from types import ModuleType


def _only_the_protocol(name: str) -> None:
    """Registers a package without running it: the SDK takes a second to load, and only its protocol is needed."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("pulumi-resource-azuread: the Pulumi SDK is not installed in " + sys.executable)
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package


_NOT_NEEDED = ("httpx._main", "trio")
"""httpx's command line (it loads rich) and httpcore's other event loop: both are optional and cost half a second."""

if __name__ == "__main__":
    sys.modules.update(dict.fromkeys(_NOT_NEEDED))  # type: ignore[arg-type]
    for package_name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        _only_the_protocol(package_name)

import grpc.aio  # type: ignore[import-untyped]
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2_grpc

from provision.standin.servicer import Servicer
from provision.standin.signing_in import load_sdk

_LOOK_FOR_PARENT_SECONDS = 1.0
_GRACE_SECONDS = 1.0


async def serve(engine_address: str) -> None:
    """Serves until a signal comes or the parent process is gone.

    Args:
        engine_address: ``host:port`` of the engine; may be empty.
    """
    loading = threading.Thread(target=load_sdk, daemon=True)
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(engine_address, loading.join), server)
    port = server.add_insecure_port("127.0.0.1:0")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    parent = os.getppid()
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    loading.start()
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
