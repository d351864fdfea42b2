"""Starting the Pulumi CLI through the Automation API, as few times as the work needs.

Owns: two small specialisations of the Automation API. ``EngineCommand`` does not ask the CLI for the version it already
knows, and passes an interruption on to the engine instead of leaving it behind. ``LeanStack`` leaves out the engine
starts (select, outputs twice, history) that the Automation API adds to each operation: what they would say is in the
event stream. Does not own: what is run and what a failure means (``stack``, ``refusals``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from pulumi import automation
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

from provision.engine.toolchain import Toolchain
from provision.errors import Interrupted
from provision.settings.credential import OF_THE_STATE

if TYPE_CHECKING:
    from provision.engine.warm import Warm

_TELL_ALL = ("PULUMI_DEBUG_GRPC", "TF_LOG")
"""Beginnings of variables that have the engine or a plugin write whole messages to a log, client secrets in clear:
Pulumi's gRPC log (seen), and the azuread plugin's log of Graph's answers (hashicorp/terraform-provider-azuread#1502).
"""
_VERBOSE, _LOUDEST = "PULUMI_OPTION_VERBOSE", 8
"""From 9 on Pulumi 3.259 logs each property that it marshals, secret ones in clear (seen)."""
_WITHOUT_PAYLOADS = {"PULUMI_TRACING_NO_PAYLOADS": "true"}
"""Leaves out of a trace (``PULUMI_OPTION_TRACING``) what the messages hold: client secrets in clear, too (seen)."""


class EngineCommand(automation.PulumiCommand):
    """The CLI of a toolchain.

    Args:
        toolchain: which one.
        say: given single lines for the user.
        environ: what ``additional_env`` of each run is added to.
        warm: where programs and plugins come from; the engine starts them without it.
        state: the sign-in to the state. Where ``environ`` has another, or none, it is the engine's alone: what is
            started warm does not get it, and what the engine starts itself is told to pass over it.
    """

    def __init__(
        self,
        toolchain: Toolchain,
        *,
        say: Callable[[str], None],
        environ: Mapping[str, str] = os.environ,
        warm: Warm | None = None,
        state: Mapping[str, str] | None = None,
    ) -> None:
        # Not calling super().__init__: it starts the CLI to ask for the version.
        self.command = str(toolchain.command)
        self.version = VersionInfo.parse(toolchain.version)
        self._say = say
        self._environ = environ
        self._warm = warm
        alone = {name: value for name, value in (state or {}).items() if environ.get(name) != value}
        self._engines_own = {**alone, OF_THE_STATE: " ".join(alone)} if alone else {}
        self._said: set[str] = set()

    def _discreet(self, environment: Mapping[str, str]) -> dict[str, str]:
        """An environment in which no log gets a secret, whatever the user's own asks for; what is left out is said."""
        withheld = {name for name, value in environment.items() if name.startswith(_TELL_ALL) and value}
        discreet = {name: value for name, value in environment.items() if name not in withheld} | _WITHOUT_PAYLOADS
        for name in sorted(withheld):
            self._say_once(f"{name} is not passed on to the engine: it writes client secrets in clear to a log")
        if environment.get(_VERBOSE, "") not in {"", *map(str, range(_LOUDEST + 1))}:
            discreet[_VERBOSE] = str(_LOUDEST)
            self._say_once(f"{_VERBOSE} is {_LOUDEST} for the engine: above, it logs client secrets in clear")
        return discreet

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
        *,
        given: str | None = None,
    ) -> automation.CommandResult:
        """Runs the CLI to its end.

        Args:
            args: its arguments; never a secret.
            cwd: the project's directory.
            additional_env: added to ``environ``; may hold secrets.
            on_output: given each line of standard output.
            on_error: given each line of standard error.
            given: what the CLI reads from its standard input; may hold secrets.

        Raises:
            automation.CommandError: the CLI failed.
            Interrupted: this process was interrupted; the engine has finished what it had begun.
        """
        environment = self._discreet({**self._environ, **additional_env, "PULUMI_AUTOMATION_API": "true"})
        if self._warm is None:
            return self._run(args, cwd, {**environment, **self._engines_own}, (on_output, on_error), given)
        engine = Path(self.command).parent
        with self._warm.beside(args[0], engine, environment, cwd, self._say) as (further, variables):
            whole = {**environment, **variables, **self._engines_own}
            return self._run([*args, *further], cwd, whole, (on_output, on_error), given)

    def _run(
        self,
        args: list[str],
        cwd: str,
        environment: Mapping[str, str],
        on_line: tuple[Callable[[str], Any] | None, Callable[[str], Any] | None],
        given: str | None,
    ) -> automation.CommandResult:
        # A process group of its own: an interruption of ours must reach the engine once, and through us.
        with subprocess.Popen(
            [self.command, "--non-interactive", *args],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as engine:
            stdout, stderr = _Lines(engine.stdout, on_line[0]), _Lines(engine.stderr, on_line[1])
            interrupted = False
            if engine.stdin is not None:
                with contextlib.suppress(BrokenPipeError), engine.stdin:  # why it ended early, its own words will say
                    engine.stdin.write(given or "")
            with _termination_interrupts():
                while True:
                    try:
                        code = engine.wait()
                        stdout.join()
                        stderr.join()
                        break
                    except KeyboardInterrupt:
                        if interrupted:
                            engine.kill()
                            continue
                        interrupted = True
                        self._say("stopping: the engine finishes what it has begun (interrupt again to stop it hard)")
                        engine.send_signal(signal.SIGINT)
        if interrupted:
            raise Interrupted(
                "Stopped; what was done until then is in the state.", remedy="Running the same command again goes on."
            )
        result = automation.CommandResult(stdout=stdout.text, stderr=stderr.text, code=code)
        if code != 0:
            raise create_command_error(result)
        return result


class _Lines:
    """Reads a stream to its end on a thread."""

    def __init__(self, stream: IO[str] | None, on_line: Callable[[str], Any] | None) -> None:
        self._stream = stream
        self._on_line = on_line
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        for line in self._stream or ():
            self._lines.append(line.rstrip())
            if self._on_line is not None:
                self._on_line(self._lines[-1])

    def join(self) -> None:
        self._thread.join()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """SIGTERM, which CI systems send, stops a run as an interrupt from the keyboard does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class LeanStack(automation.Stack):
    """A stack whose operations start the engine once."""

    def __init__(self, name: str, workspace: automation.LocalWorkspace) -> None:
        # Not calling super().__init__: it starts the engine to select the stack; --stack names it on each run.
        self.name = name
        self.workspace = workspace

    def __repr__(self) -> str:
        return f"LeanStack({self.name!r})"  # the workspace's repr would show the environment

    def outputs(self) -> automation.OutputMap:
        """Nothing: the caller has them from the events."""
        return {}

    def info(self, show_secrets: bool = False) -> automation.UpdateSummary:  # noqa: ARG002 - the base class asks for it
        """Nothing: the caller has it from the events."""
        return automation.UpdateSummary(
            kind="update",
            start_time=datetime.now(UTC),
            message="",
            environment={},
            config={},
            result="succeeded",
        )
