"""The Python language host: the ``pulumi-language-python`` that the Pulumi engine starts for Python programs.

Owns: saying which plugins a program's packages need, and running the program in its own interpreter with Pulumi's own
executor (``pulumi-language-python-exec`` of the Go SDK module), so that logs and errors look as everywhere. Exists
because the official host is a Go module that module mirrors do not carry. Does not own: creating environments or
installing packages (``make`` does), policy packs, and providers written as Python programs. Methods bear the names of
the protocol (pulumi/language.proto).

This file is copied beside the engine and started by path, so it imports nothing of ``provision``.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Protocol


def _only_the_protocol(name: str) -> None:
    """Registers a package without running it: the SDK takes a second to load, and only its protocol is needed."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        sys.exit("pulumi-language-python: the Pulumi SDK is not installed in " + sys.executable)
    package = ModuleType(name)
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules[name] = package


if __name__ == "__main__":
    _only_the_protocol("pulumi")
    _only_the_protocol("pulumi.runtime")
    _only_the_protocol("pulumi.runtime.proto")

import grpc  # type: ignore[import-untyped]  # noqa: E402
from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]  # noqa: E402
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2  # noqa: E402

EXECUTOR = "pulumi-language-python-exec"
MESSAGE_ALREADY_SHOWN = 32
"""The executor's exit code when it has reported the program's error itself."""

_WINDOWS = os.name == "nt"


class NoEnvironment(Exception):
    """The project names a virtual environment that is not there."""


def interpreter_of(info: Any) -> Path:
    """The interpreter of a program: the one of its ``virtualenv`` option, else the one that runs this host.

    Args:
        info: the engine's ``ProgramInfo``; ``virtualenv`` is relative to the directory of ``Pulumi.yaml``.

    Raises:
        NoEnvironment: with a sentence for the user.
    """
    virtualenv = MessageToDict(info.options).get("virtualenv")
    if not virtualenv:
        return Path(sys.executable)
    place = Path(info.root_directory, str(virtualenv))
    python = place / ("Scripts/python.exe" if _WINDOWS else "bin/python")
    if not python.exists():
        raise NoEnvironment(
            f"Pulumi.yaml names the virtual environment {virtualenv}, but {place} has no interpreter: "
            "create it and install the project's requirements into it."
        )
    return python


def packages_of(python: Path) -> list[str]:
    """The directories in which an interpreter's packages lie."""
    if python == Path(sys.executable):
        return sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    pattern = "Lib/site-packages" if _WINDOWS else "lib*/python3*/site-packages"
    return sorted(str(path) for path in python.parent.parent.glob(pattern))


def plugins_of(python: Path) -> Iterator[dict[str, Any]]:
    """The Pulumi plugins that installed packages ask for in their ``pulumi-plugin.json``."""
    for folder in packages_of(python):
        for described in sorted(Path(folder).glob("*/pulumi-plugin.json")):
            plugin = json.loads(described.read_text(encoding="utf-8"))
            if plugin.get("resource"):
                yield {"name": described.parent.name.removeprefix("pulumi_"), **plugin}


class Program(Protocol):
    """A running program."""

    def wait(self) -> int:
        """Waits for its end and gives its exit code, negative for a signal."""

    def kill(self) -> None:
        """Kills it; nothing when it has ended."""


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers the engine.

    Args:
        engine: its address, passed on to programs.
        executor: Pulumi's own script that runs a program; the one beside this file without it.
        environment: what programs get beside their configuration.
    """

    def __init__(
        self,
        engine: str,
        *,
        executor: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._engine = engine
        self._executor = executor or Path(__file__).with_name(EXECUTOR)
        self._environment = environment
        self._programs: set[Program] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def stop(self) -> None:
        """Ends every running program; the engine that would hear of it is gone or has given up."""
        with self._lock:
            self._stopping = True
            for program in self._programs:
                program.kill()

    def Handshake(self, _request: Any, _context: Any) -> Any:
        """Called first by newer engines."""
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, _request: Any, _context: Any) -> Any:
        """This host has no version of its own."""
        return plugin_pb2.PluginInfo()

    def GetRequiredPackages(self, request: Any, _context: Any) -> Any:
        """Which plugins the program needs, at which version."""
        try:
            python = interpreter_of(request.info)
        except NoEnvironment:
            return language_pb2.GetRequiredPackagesResponse()  # Run says it
        return language_pb2.GetRequiredPackagesResponse(
            packages=[
                plugin_pb2.PackageDependency(
                    name=plugin["name"],
                    kind="resource",
                    version=plugin.get("version", ""),
                    server=plugin.get("server", ""),
                )
                for plugin in plugins_of(python)
            ]
        )

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        """The same for engines that do not ask for packages."""
        packages = self.GetRequiredPackages(request, context).packages
        return language_pb2.GetRequiredPluginsResponse(
            plugins=[
                plugin_pb2.PluginDependency(name=p.name, kind=p.kind, version=p.version, server=p.server)
                for p in packages
            ]
        )

    def About(self, _request: Any, _context: Any) -> Any:
        """For ``pulumi about``."""
        return language_pb2.AboutResponse(executable=sys.executable, version=sys.version.split()[0])

    def GetProgramDependencies(self, request: Any, _context: Any) -> Any:
        """For ``pulumi about`` and the update's record."""
        try:
            folders = packages_of(interpreter_of(request.info))
        except NoEnvironment:
            folders = []
        found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions(path=folders)}
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version) for name, version in sorted(found.items())
            ]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Iterator[Any]:
        """For ``pulumi install``: says whether the environment is there, and makes none."""
        try:
            python = interpreter_of(request.info)
        except NoEnvironment as missing:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(missing))
        yield language_pb2.InstallDependenciesResponse(stdout=f"Using {python}\n".encode())

    def RuntimeOptionsPrompts(self, _request: Any, _context: Any) -> Any:
        """``pulumi new`` has nothing to ask."""
        return language_pb2.RuntimeOptionsResponse()

    def Run(self, request: Any, context: Any) -> Any:
        """Runs the program once, for a preview or an update."""
        try:
            python = interpreter_of(request.info)
        except NoEnvironment as missing:
            return language_pb2.RunResponse(error=str(missing))
        environment = {
            **self._environment,
            "PYTHONUNBUFFERED": "1",
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
        }
        with self._lock:
            if self._stopping:
                return language_pb2.RunResponse(error="stopped")
            program = self.start(python, self._arguments(request), environment, request.pwd or None)
            self._programs.add(program)
        context.add_callback(program.kill)  # the engine gave the call up, or it is over and this does nothing
        code = program.wait()
        with self._lock:
            self._programs.discard(program)
            if self._stopping or code == 0:
                return language_pb2.RunResponse()
        if code == MESSAGE_ALREADY_SHOWN:
            return language_pb2.RunResponse(bail=True)
        how = f"was killed by signal {-code}" if code < 0 else f"exited with non-zero exit code: {code}"
        return language_pb2.RunResponse(error=f"Program {how}")

    def start(self, python: Path, arguments: list[str], environment: dict[str, str], folder: str | None) -> Program:
        """Starts the interpreter.

        A session of its own: the engine interrupts this host's process group at the end of each run, and a program hit
        by that would print a traceback.
        """
        return subprocess.Popen(
            [str(python), *arguments],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _arguments(self, request: Any) -> list[str]:
        values = {
            "monitor": request.monitor_address,
            "engine": self._engine,
            "project": request.project,
            "root_directory": request.info.root_directory,
            "stack": request.stack,
            "pwd": request.pwd,
            "dry_run": "true" if request.dryRun else "",
            "parallel": str(request.parallel),
            "organization": request.organization,
        }
        flags = [word for name, value in values.items() if value for word in (f"--{name}", value)]
        return ["-u", str(self._executor), *flags, request.info.entry_point or ".", *request.args]


def serve(engine: str) -> None:
    """Serves until the engine interrupts this process or is gone (end of standard input, which it holds).

    Args:
        engine: the engine's address, passed on to programs.
    """
    over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    host = LanguageHost(engine)
    server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.max_receive_message_length", 400 << 20)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    def watch_engine() -> None:
        while os.read(0, 4096):
            pass
        over.set()

    threading.Thread(target=watch_engine, daemon=True).start()
    over.wait()
    host.stop()
    server.stop(grace=None)
    sys.stdout.flush()
    # Threads of gRPC and the reader of standard input may still be inside C code; nothing is left to clean up.
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[-1] if len(sys.argv) > 1 else "")
