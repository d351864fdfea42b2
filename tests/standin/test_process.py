"""The plugin's process: a port on the first line, a quiet end, and never an orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import grpc
import psutil
import pytest
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

COMMAND = [sys.executable, "-m", "provision.standin", "127.0.0.1:1"]


@pytest.fixture
def plugin() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def channel_to(process: subprocess.Popen[str]) -> grpc.Channel:
    assert process.stdout
    return grpc.insecure_channel(f"127.0.0.1:{int(process.stdout.readline())}")


def test_it_goes_by_the_installed_package_s_version(plugin: subprocess.Popen[str]) -> None:
    """The engine refuses a plugin of another version than the program's package asks for."""
    from importlib.metadata import version

    with channel_to(plugin) as channel:
        info = provider_pb2_grpc.ResourceProviderStub(channel).GetPluginInfo(empty_pb2.Empty())
    assert info.version == version("pulumi-azuread")


def test_it_refuses_microsoft_by_name(plugin: subprocess.Popen[str]) -> None:
    with channel_to(plugin) as channel, pytest.raises(grpc.RpcError) as refusal:
        provider_pb2_grpc.ResourceProviderStub(channel).Configure(provider_pb2.ConfigureRequest())
    assert "local tenant only" in refusal.value.details()
    assert "Traceback" not in refusal.value.details()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_word(plugin: subprocess.Popen[str], number: signal.Signals) -> None:
    channel_to(plugin).close()
    plugin.send_signal(number)
    _, errors = plugin.communicate(timeout=10)
    assert (plugin.returncode, errors) == (0, "")


def test_it_ends_when_the_engine_is_gone() -> None:
    """A killed engine tells nobody; a plugin that stayed would hold the user's sign-in in memory for ever."""
    script = (
        f"import subprocess, time; p = subprocess.Popen({COMMAND!r}, stdout=subprocess.PIPE); p.stdout.readline(); \
print(p.pid, flush=True); time.sleep(60)"
    )
    engine = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert engine.stdout
    orphan = int(engine.stdout.readline())
    os.kill(engine.pid, signal.SIGKILL)
    engine.communicate()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(orphan) and psutil.Process(orphan).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the plugin outlived its engine"
        time.sleep(0.05)
