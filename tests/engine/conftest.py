"""The real engine, and tiny projects for it: components only, so that no plugin and no tenant is needed."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provision.engine.environment import engine_environment
from provision.engine.events import Event
from provision.engine.plugin import choose_plugin
from provision.engine.stack import StackRunner
from provision.engine.state import State, open_state
from provision.engine.toolchain import Toolchain, ensure_engine

PLAIN = """
import pulumi
pulumi.export("plain", pulumi.Config().get("plain") or "as set")
pulumi.export("hidden", pulumi.Output.secret("s3cr3t-value"))
"""

BLOCKED = """
import os, time
from pathlib import Path
import pulumi
here = Path(__file__).parent
Path(here, "running").write_text(str(os.getpid()))
while not Path(here, "go-on").exists():
    time.sleep(0.02)
pulumi.export("plain", "reached the end")
"""


@pytest.fixture(scope="session")
def engine() -> Toolchain:
    """The engine of this machine: never skipped; on a fresh machine it is built first."""
    return ensure_engine(progress=print)


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State and passphrase of each test are its own; the engine's cache is the machine's."""
    for name in [name for name in os.environ if name.startswith("PULUMI_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROVISION_DATA", str(tmp_path / "data"))


@dataclass
class Project:
    """A project on disk, and what was said while it ran."""

    root: Path
    engine: Toolchain
    events: list[Event] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def program(self) -> Path:
        return self.root / "stacks" / "tiny" / "__main__.py"

    def write(self, program: str) -> None:
        self.program.write_text(textwrap.dedent(program))

    @property
    def state(self) -> State:
        return open_state()

    @property
    def environment(self) -> dict[str, str]:
        # The stand-in is only found, never started: these programs have no azuread resources. Without it the engine
        # would try to download the plugin that the installed pulumi-azuread package asks for.
        offline = {**os.environ, "PROVISION_AZUREAD_PLUGIN": "offline"}
        plugin = choose_plugin(self.engine, metadata_host="localhost", progress=print, environ=offline)
        return engine_environment(self.engine, self.state, plugin)

    def runner(self, stack: str = "dev") -> StackRunner:
        return StackRunner(
            project=self.root,
            stack=stack,
            toolchain=self.engine,
            state=self.state,
            environment=self.environment,
            on_event=self.events.append,
            say=self.said.append,
        )


@pytest.fixture
def project(tmp_path: Path, engine: Toolchain) -> Callable[[str], Project]:
    """Makes a project around a program."""

    def make(program: str, options: str = "") -> Project:
        made = Project(tmp_path / "project", engine)
        made.program.parent.mkdir(parents=True, exist_ok=True)
        made.write(program)
        runtime = f"runtime:\n  name: python\n{options}" if options else "runtime: python\n"
        (made.root / "Pulumi.yaml").write_text(f"name: tiny\nmain: stacks/tiny\n{runtime}")
        return made

    return make
