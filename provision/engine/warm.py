"""The engine without its start-up costs: programs and plugins come from a process that has everything loaded.

Owns: the template process of this process, the language host that runs programs in its children, and telling the engine
where that host and the plugins are (``--client`` and ``PULUMI_DEBUG_PROVIDERS``, as Pulumi's own Automation API and its
debugging do). Program, state, plugin and errors are the same as without it; only where a program is started differs.
Does not own: the fork (``template``), the host's protocol (``language_host``) and which plugin serves (``plugin``).

Linux only, where a process of one thread may fork at will; elsewhere everything starts as usual.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import language_pb2_grpc

from provision.engine.language_host import EXECUTOR, MESSAGE_ALREADY_SHOWN, LanguageHost, Program
from provision.engine.template import Order
from provision.errors import EngineUnavailable

POSSIBLE = sys.platform == "linux"
RUN_PROGRAMS = frozenset({"up", "preview"})
"""Commands of the CLI that run the stack's program."""
_USE_PLUGINS = RUN_PROGRAMS | {"refresh", "destroy", "import"}
_READY_SECONDS = 60.0
_LAST_WORDS = 4096
"""Bytes."""
_LOOPBACK = "127.0.0.1"
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""What the template needs of this process's environment; a credential that stands there is not for it."""

Say = Callable[[str], None]


class Child:
    """A program in a child of the template; used like ``subprocess.Popen``.

    Args:
        end: the reading end of the pipe that is told its process id and its exit code.
    """

    def __init__(self, end: int) -> None:
        self._end = os.fdopen(end, "r")
        self.pid = int(self._end.readline() or 0)
        """0 when it was not started: the template is gone."""
        self._handle: int | None = None
        self._lock = threading.Lock()
        if not self.pid:
            self._end.close()
            return
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(self.pid)

    def wait(self) -> int:
        """Waits for its end and gives its exit code, negative for a signal; called once."""
        said = self._end.readline()
        with self._lock:
            self._end.close()
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None
        return int(said or -signal.SIGKILL)  # without a word the template was killed, and its children with it

    def kill(self) -> None:
        """Kills it; nothing when it has ended."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._handle is not None:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)


class Template:
    """The process that has everything loaded; started when it is first needed, and again when it is gone.

    Args:
        modules: what it loads.
        environment: variables for it, beside those that Python needs; never a secret. Programs do not see them.
    """

    def __init__(self, modules: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._modules = tuple(modules)
        self._environment = dict(environment or {})
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._owner = 0

    def start(self, order: Order, *, out: int, err: int) -> Child:
        """Starts a program.

        Args:
            order: which, and with what.
            out: its standard output.
            err: its standard error.

        Raises:
            EngineUnavailable: the template cannot be started.
        """
        for _ in range(2):
            with self._lock:
                line = self._ready()
                end, told = os.pipe()
                with contextlib.suppress(OSError):  # it was killed: nobody says anything into the pipe
                    message = order.message()
                    sent = socket.send_fds(line, [message], (out, err, told))
                    line.sendall(message[sent:])
                os.close(told)
            child = Child(end)
            if child.pid:
                return child
            with self._lock:
                if self._line is line:
                    self._line = None  # what it may have started is killed with it; the next one is as good
            line.close()
        raise EngineUnavailable("The process that starts programs has ended.", remedy="Run again.")

    def prepare(self) -> None:
        """Starts the process, so that the first run need not wait for it.

        Raises:
            EngineUnavailable: it cannot be started.
        """
        with self._lock:
            self._ready()

    def close(self) -> None:
        """Ends the process, and every program that it has started."""
        with self._lock:
            line, self._line, process, self._process = self._line, None, self._process, None
        if line is not None:
            line.close()
        if process is not None and self._owner == os.getpid():
            process.wait()

    def _ready(self) -> socket.socket:
        if self._line is not None and self._owner == os.getpid():
            return self._line
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "provision.engine.template", *self._modules],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in _INHERITED if name in os.environ} | self._environment,
            )
        ours.settimeout(_READY_SECONDS)
        try:
            said = ours.recv(1)
        except OSError:
            said = b""
        if not said:
            ours.close()
            self._process.kill()
            _, words = self._process.communicate()
            reason = (words.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
            raise EngineUnavailable(
                f"The process that starts programs does not start: {reason}.", remedy="Run without it: --cold."
            )
        ours.settimeout(None)
        self._line, self._owner = ours, os.getpid()
        return ours


@dataclass(frozen=True)
class Warm:
    """How one stack's runs are started warm."""

    template: Template
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Providers that are attached, the engine's name for each and the module that serves it; the engine starts all
    others itself."""

    @contextlib.contextmanager
    def beside(
        self, command: str, engine: Path, environment: Mapping[str, str], folder: str, say: Say
    ) -> Iterator[tuple[list[str], dict[str, str]]]:
        """Serves one run of the CLI.

        Args:
            command: the CLI's first argument.
            engine: the folder of the CLI.
            environment: what the engine gets; programs and plugins get the same, as they would from the engine.
            folder: the project's.
            say: told what a program that broke off said last.

        Yields:
            Arguments and variables for the CLI beside its own.
        """
        arguments: list[str] = []
        variables: dict[str, str] = {}
        with contextlib.ExitStack() as closing:
            if command in _USE_PLUGINS and self.plugins:
                ports = [
                    f"{name}:{closing.enter_context(self._plugin(module, environment, folder))}"
                    for name, module in self.plugins.items()
                ]
                variables["PULUMI_DEBUG_PROVIDERS"] = ",".join(ports)
            if command in RUN_PROGRAMS:
                host = _Host(self.template, engine / EXECUTOR, environment, say)
                arguments.append(f"--client={closing.enter_context(_served(host))}")
            yield arguments, variables

    @contextlib.contextmanager
    def _plugin(self, module: str, environment: Mapping[str, str], folder: str) -> Iterator[int]:
        """A plugin, as long as the run lasts; its port is the first thing that it says, as every Pulumi plugin does."""
        order = Order(module=module, environment=dict(environment), folder=folder)
        said, out = os.pipe()
        with os.fdopen(said) as lines, Path(os.devnull).open("wb") as nothing:
            try:
                child = self.template.start(order, out=out, err=nothing.fileno())
            finally:
                os.close(out)
            try:
                port = lines.readline().strip()
                if not port.isdigit():
                    raise EngineUnavailable(f"The plugin {module} does not start.", remedy="Run again.")
                yield int(port)
            finally:
                child.kill()
                child.wait()


class _Host(LanguageHost):
    """The language host of one run: as the one beside the engine, but a program starts in a child of the template."""

    def __init__(self, template: Template, executor: Path, environment: Mapping[str, str], say: Say) -> None:
        super().__init__("", executor=executor, environment=environment)
        self._template = template
        self._say = say

    def Run(self, request: Any, context: Any) -> Any:
        """Takes the engine's address, without which nothing that a program says would arrive.

        To a host that it did not start the engine gives it as the first argument (Pulumi's own Automation API,
        ``_server.py``).
        """
        if request.args:
            self._engine = request.args.pop(0)
        return super().Run(request, context)

    def start(self, python: Path, arguments: list[str], environment: dict[str, str], folder: str | None) -> Program:
        """Starts the executor; ``python`` is this process's own."""
        del python
        # As the interpreter's own options do: -u, and the executor's path before its arguments.
        script, *rest = arguments[1:]
        order = Order(file=script, arguments=tuple(rest), environment=environment, folder=folder or "/")
        with tempfile.TemporaryFile() as words:
            child = self._template.start(order, out=words.fileno(), err=words.fileno())
            return _Telling(child, os.dup(words.fileno()), self._say)


class _Telling:
    """A program whose last words are told when it breaks off."""

    def __init__(self, child: Child, words: int, say: Say) -> None:
        self._child = child
        self._words = words
        self._say = say

    def wait(self) -> int:
        code = self._child.wait()
        with os.fdopen(self._words, "rb") as words:
            if code not in (0, MESSAGE_ALREADY_SHOWN):
                words.seek(0)
                for line in words.read()[-_LAST_WORDS:].decode(errors="replace").splitlines():
                    self._say(f"program: {line}")
        return code

    def kill(self) -> None:
        self._child.kill()


@contextlib.contextmanager
def _served(host: _Host) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.max_receive_message_length", 400 << 20)])
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port(f"{_LOOPBACK}:0")
    server.start()
    try:
        yield f"{_LOOPBACK}:{port}"
    finally:
        host.stop()
        server.stop(grace=None)
