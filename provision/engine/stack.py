"""Drives one stack of a project: up, preview, refresh, destroy, outputs, import, and what a killed run left behind.

Owns: one operation = one engine start, with typed events and results; making the stack when it is not there; taking
away the lock of a run that was killed on this machine. Does not own: the program (``stacks/``), its credential (the
caller puts it into ``environment``) and what is done about half-made resources (``onboard``).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pulumi import automation
from pulumi.automation._stack import ImportResource

from provision.engine.command import EngineCommand, LeanStack
from provision.engine.events import SECRET_MARK, STACK_TYPE, Collector, Diagnostic, Event, Output, RunResult
from provision.engine.locks import Lock, locks_in, locks_under
from provision.engine.refusals import locked, refusal
from provision.engine.state import State
from provision.engine.toolchain import Toolchain
from provision.errors import ERROR_FILE, InvalidInput, ProvisionError, StateUnavailable
from provision.settings.credential import ORIGIN

if TYPE_CHECKING:
    from provision.engine.warm import Warm

_CHECKPOINT_VERSION = 3
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the value by which Pulumi tags a secret
_CUT_OFF = re.compile(r"\bEOF\b|unexpected end of JSON input")
_Result = TypeVar("_Result")


class NoStack(StateUnavailable):
    """The state has no stack of that name."""


@dataclass(frozen=True)
class ImportedResource:
    """A resource that exists and is to be taken into the state."""

    type: str
    """Pulumi's type token, e.g. ``azuread:index/application:Application``."""
    name: str
    """The name that the program gives it."""
    id: str = ""
    """The provider's import id; empty for a component."""
    parent: str = ""
    """The name of the component it belongs to, if any."""
    component: bool = False


@dataclass(frozen=True)
class PendingOperation:
    """An operation that the engine had begun when it was killed; nobody knows whether it took effect."""

    urn: str
    type: str
    name: str
    kind: str
    """creating, updating, deleting, reading or importing."""
    inputs: Mapping[str, Any]
    """The resource's inputs; secret ones are absent."""


class StackRunner:
    """One stack of one project.

    Args:
        project: the directory of ``Pulumi.yaml``.
        stack: the stack's name.
        toolchain: the engine.
        state: the backend and passphrase.
        environment: added to ``environ`` for the engine: ``engine_environment(…)`` and the plugin's credential. It may
            hold secrets; it is neither logged nor shown.
        on_event: given each event of a run, on other threads but one at a time for each run.
        say: given single lines for the user (a stale lock taken away, the run being stopped).
        is_dead: whether the run that holds a lock is known to be dead, where the lock does not show it: in a backend
            that several machines share.
        environ: the environment that the engine gets beside that.
        warm: where programs and plugins come from; the engine starts them without it.
    """

    def __init__(
        self,
        *,
        project: Path,
        stack: str,
        toolchain: Toolchain,
        state: State,
        environment: Mapping[str, str],
        on_event: Callable[[Event], None] = lambda _event: None,
        say: Callable[[str], None] = lambda _line: None,
        is_dead: Callable[[Lock], bool] = lambda _lock: False,
        environ: Mapping[str, str] = os.environ,
        warm: Warm | None = None,
    ) -> None:
        self._project = project
        self._name = stack
        self._state = state
        self._on_event = on_event
        self._say = say
        self._is_dead = is_dead
        self._environment = dict(environment)
        self._exported: str | None = None
        """What a shared backend's state was at the last look, until something is done; each look starts the engine."""
        self._command = EngineCommand(toolchain, say=say, environ=environ, warm=warm, state=state.sign_in)

    def __repr__(self) -> str:
        return f"StackRunner({self._name!r}, project={str(self._project)!r})"

    def add_environment(self, variables: Mapping[str, str]) -> None:
        """Adds to the engine's environment, for the runs that follow."""
        self._environment.update(variables)

    # Operations ---------------------------------------------------------------------------------------------------

    def up(self, *, targets: Sequence[str] = (), refresh: bool = False) -> RunResult:
        """Brings the stack to what the program says; makes it if it is not there.

        Args:
            targets: URNs to restrict the run to; all when empty.
            refresh: read the resources back before comparing.

        Raises:
            ProvisionError: one of its kinds, see ``refusals``.
        """
        return self._operate(
            lambda stack, collector: stack.up(
                target=list(targets), refresh=refresh or None, color="never", on_event=collector, show_secrets=False
            ),
            create=True,
        )

    def preview(self, *, refresh: bool = False, config: Mapping[str, str] | None = None) -> RunResult:
        """What ``up`` would do; changes nothing but makes the stack if it is not there.

        Args:
            refresh: read the resources back before comparing.
            config: plain configuration (full key to value) that counts for this run and is not kept.
        """
        with tempfile.TemporaryDirectory(prefix="provision-preview-") as folder:
            file = Path(folder, self.config_file.name)
            if config is not None:
                document = self._config_document()
                document["config"] = {**(document.get("config") or {}), **config}
                file.write_text(yaml.safe_dump(document), encoding="utf-8")  # secrets in it stay encrypted
            return self._operate(
                lambda stack, collector: stack.preview(
                    refresh=refresh or None,
                    color="never",
                    on_event=collector,
                    config_file=None if config is None else str(file),
                ),
                create=True,
            )

    def refresh(self) -> RunResult:
        """Reads every resource back into the state."""
        return self._operate(
            lambda stack, collector: stack.refresh(color="never", on_event=collector, show_secrets=False)
        )

    def destroy(self) -> RunResult:
        """Deletes every resource; the stack stays, empty (see ``remove``)."""
        return self._operate(
            lambda stack, collector: stack.destroy(color="never", on_event=collector, show_secrets=False)
        )

    def remove(self) -> None:
        """Removes the empty stack and its history; its configuration file stays."""
        self._ask("stack", "rm", "--yes", "--preserve-config")

    def import_resources(self, resources: Sequence[ImportedResource]) -> RunResult:
        """Takes existing resources into the state as they are; nothing is created on the other side.

        Args:
            resources: components before their children; a parent is named by its ``name``.

        Raises:
            ProvisionError: a resource is not there, or its provider refuses the id.
        """
        entries: list[ImportResource] = []
        for resource in resources:
            entry = ImportResource(type=resource.type, name=resource.name)
            if resource.component:
                entry["component"] = True
            else:
                entry["id"] = resource.id
            if resource.parent:
                entry["parent"] = resource.parent
            entries.append(entry)
        return self._operate(
            lambda stack, _collector: stack.import_resources(
                resources=entries, protect=False, generate_code=False, show_secrets=False
            ),
            create=True,
        )

    def remove_from_state(self, urn: str) -> None:
        """Forgets a resource without deleting it on the other side; the resources under it are forgotten too."""
        self._ask("state", "delete", urn, "--yes", "--target-dependents")

    def keep_secret_resource(self, resource: Mapping[str, Any]) -> None:
        """Takes a resource with all its properties into the state, as if the engine had made it.

        For what a provider cannot import, a client secret above all: nobody but its holder knows its value. The value
        goes to the engine through a pipe, which encrypts it; a resource of that URN is replaced.

        Args:
            resource: as in a deployment; secret properties as ``secret_property`` writes them.
        """
        whole = json.loads(self._ask("stack", "export", "--show-secrets"))
        resources = whole["deployment"]["resources"]
        resources[:] = [*(one for one in resources if one["urn"] != resource["urn"]), dict(resource)]
        self._ask("stack", "import", given=json.dumps(whole))

    def cancel(self) -> None:
        """Takes away every lock of the stack, whoever holds it: only for runs that are known to be dead."""
        self._ask("cancel", "--yes")

    # What the state says ------------------------------------------------------------------------------------------

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Output]:
        """The stack's outputs, from the state alone.

        Args:
            show_secrets: decrypt secret ones; without it their value is None.

        Raises:
            StateUnavailable: no such stack, wrong passphrase.
        """
        for resource in self.export(show_secrets=show_secrets).get("resources", ()):
            if resource["type"] == STACK_TYPE:
                return {name: _output(value) for name, value in resource.get("outputs", {}).items()}
        return {}

    def outputs_as_kept(self) -> dict[str, Any]:
        """The stack's outputs as the state keeps them, secret ones encrypted; empty for a stack that is not there."""
        for resource in self.export_if_made().get("resources") or ():
            if resource["type"] == STACK_TYPE:
                return dict(resource.get("outputs") or {})
        return {}

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The deployment as Pulumi keeps it.

        Args:
            show_secrets: with secrets decrypted; otherwise they stay encrypted.
        """
        said = self._ask("stack", "export", *(["--show-secrets"] if show_secrets else []))
        deployment: dict[str, Any] = json.loads(said).get("deployment") or {}
        return deployment

    def export_if_made(self) -> dict[str, Any]:
        """The deployment without decrypted secrets; empty when the stack is not there yet.

        In a ``file://`` backend the checkpoint is read as it lies there, which spares an engine start; what cannot be
        read so (compressed, or of another version) is left to the engine. What the engine said counts until this runner
        does something, or is told to look again.
        """
        directory = self._state.directory
        if directory is not None:
            if self._is_missing():
                return {}
            file = directory / ".pulumi" / "stacks" / self.project_name / f"{self._name}.json"
            try:
                checkpoint = json.loads(file.read_text(encoding="utf-8"))
                if checkpoint["version"] == _CHECKPOINT_VERSION:
                    return dict(checkpoint["checkpoint"].get("latest") or {})
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                pass
        if self._exported is None:
            try:
                self._exported = json.dumps(self.export())
            except NoStack:
                self._exported = "{}"
        known: dict[str, Any] = json.loads(self._exported)
        return known

    def others(self) -> list[str]:
        """The project's stacks that the state has, by name; none where it does not tell."""
        line, project = ["stack", "ls", "--json"], str(self._project)
        try:
            listed = self._command.run(line, project, self._environment).stdout
            return sorted(str(stack["name"]) for stack in json.loads(listed))
        except (automation.CommandError, ValueError, KeyError, TypeError):
            return []

    def look_again(self) -> None:
        """Has the next look at the state ask the backend: somebody else may have been at work."""
        self._exported = None

    @property
    def project_name(self) -> str:
        """The project's name as ``Pulumi.yaml`` has it.

        Raises:
            InvalidInput: it is not a project.
        """
        try:
            return str(yaml.safe_load((self._project / "Pulumi.yaml").read_text(encoding="utf-8"))["name"])
        except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
            raise InvalidInput(
                f"{self._project / 'Pulumi.yaml'} is not a Pulumi project.", remedy="Restore it from the repository."
            ) from None

    def pending_operations(self) -> tuple[PendingOperation, ...]:
        """What a killed run had begun: each may or may not have taken effect on the other side."""
        return tuple(
            PendingOperation(
                urn=pending["resource"]["urn"],
                type=pending["resource"]["type"],
                name=pending["resource"]["urn"].rpartition("::")[2],
                kind=pending["type"],
                inputs={
                    name: value
                    for name, value in pending["resource"].get("inputs", {}).items()
                    if not (isinstance(value, dict) and SECRET_MARK in value)
                },
            )
            for pending in self.export().get("pending_operations") or ()
        )

    def clear_pending(self) -> None:
        """Forgets the pending operations, after what they left has been adopted or removed."""
        whole = json.loads(self._ask("stack", "export"))
        whole.get("deployment", {}).pop("pending_operations", None)
        with tempfile.TemporaryDirectory(prefix="provision-state-") as folder:
            file = Path(folder, "deployment.json")  # secrets in it stay encrypted
            file.write_text(json.dumps(whole), encoding="utf-8")
            self._ask("stack", "import", "--file", str(file))

    # Configuration ------------------------------------------------------------------------------------------------

    @property
    def config_file(self) -> Path:
        """The stack's configuration file beside ``Pulumi.yaml``."""
        return self._project / f"Pulumi.{self._name}.yaml"

    def config(self) -> dict[str, str]:
        """The stack's plain configuration by full key (``office365-mail:companyCode``); encrypted values are absent.

        Raises:
            InvalidInput: the file is not YAML as Pulumi writes it.
        """
        values = self._config_document().get("config") or {}
        return {
            str(key): str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in values.items()
            if not isinstance(value, (dict, list)) and value is not None
        }

    def _config_document(self) -> dict[str, Any]:
        try:
            found = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
            raise InvalidInput(
                f"{self.config_file.name} cannot be read: {str(failure).splitlines()[0]}.", remedy="Correct the file."
            ) from None
        document: Any = found or {}
        if not isinstance(document, dict) or not isinstance(document.get("config") or {}, dict):
            raise InvalidInput(f"{self.config_file.name} is not a stack's configuration.", remedy="Correct the file.")
        return document

    def set_config(self, values: Mapping[str, str | None]) -> None:
        """Sets plain configuration as ``pulumi config set`` does; starts the engine only if something differs.

        Args:
            values: full key to value; None removes the key. Never a secret: it would be seen in the process list.
        """
        current = self.config()
        removed = [key for key, value in values.items() if value is None and key in current]
        changed = {key: value for key, value in values.items() if value is not None and current.get(key) != value}
        if changed:
            pairs = [word for key, value in changed.items() for word in ("--plaintext", f"{key}={value}")]
            self._ask("config", "set-all", *pairs, create=True)
        if removed:
            self._ask("config", "rm-all", *removed)

    # How ----------------------------------------------------------------------------------------------------------

    def ensure(self) -> None:
        """Makes the stack if it is not there, and selects it for plain ``pulumi``."""
        self._ask("stack", "select", "--create")

    def _ask(self, *words: str, create: bool = False, given: str | None = None) -> str:
        """Runs one CLI command on the stack and returns what it printed."""
        if words[:2] != ("stack", "export"):
            self._exported = None
        line, project = [*words, "--stack", self._name], str(self._project)
        return self._guarded(
            lambda _collector: self._command.run(line, project, self._environment, given=given).stdout, create=create
        )[0]

    def _operate(self, operation: Callable[[LeanStack, Collector], object], *, create: bool = False) -> RunResult:
        started = time.monotonic()
        self._exported = None

        def run(collector: Collector) -> None:
            workspace = automation.LocalWorkspace(
                work_dir=str(self._project), env_vars=self._environment, pulumi_command=self._command
            )
            operation(LeanStack(self._name, workspace), collector)

        _, collector = self._guarded(run, create=create)
        collector.wait()
        return RunResult(
            changes=collector.changes,
            outputs=collector.outputs,
            seconds=time.monotonic() - started,
            steps=tuple(collector.steps),
            diagnostics=tuple(collector.diagnostics),
        )

    def _guarded(self, run: Callable[[Collector], _Result], *, create: bool) -> tuple[_Result, Collector]:
        """Runs something; makes a missing stack, takes away a dead run's lock, and gives a failure its meaning."""
        may_create, may_unlock, may_restore = create, True, True
        if may_create and self._is_missing():
            may_create = False
            self.ensure()
        while True:
            collector = Collector(self._on_event)
            with _ErrorFile(self._environment) as error_file:
                try:
                    return run(collector), collector
                except automation.StackNotFoundError:
                    if not may_create:
                        raise NoStack(
                            f"There is no stack {self._name} in {self._state.shown}.",
                            remedy=f"Make it with `provision up --stack {self._name}`, or check PULUMI_BACKEND_URL.",
                        ) from None
                except automation.CommandError as failure:
                    collector.wait()
                    if may_restore and self._restored(str(failure)):
                        may_restore = False
                    elif may_unlock and self._unlocked(str(failure)):
                        may_unlock = False
                    else:
                        raise self._meaning(failure, collector.diagnostics, error_file) from None
                    continue
            may_create = False
            self.ensure()

    def _is_missing(self) -> bool:
        """Whether it is known, without an engine, that the stack is not there: in a directory, by its name."""
        directory = self._state.directory
        if directory is None:
            return False
        stacks = directory / ".pulumi" / "stacks" / self.project_name
        return not any(stacks.glob(f"{self._name}.json*"))

    def _meaning(
        self, failure: automation.CommandError, diagnostics: Sequence[Diagnostic], error_file: Path
    ) -> ProvisionError:
        own = ProvisionError.read(error_file)
        if own is not None:
            return own
        _, _, stderr = str(failure).partition("\n stderr: ")
        return refusal(
            stderr,
            diagnostics,
            stack=self._name,
            passphrase=self._state.passphrase_from,
            credential=self._environment.get(ORIGIN, ""),
        )

    def _restored(self, failure: str) -> bool:
        """Whether the failure was a file that a kill cut off, and the state can be read again.

        The engine's file store writes a small sidecar (``.attrs``) before each file, in place: cut off, it makes the
        file beside it unreadable ("EOF"), and without it the file is read as it is. A checkpoint that is itself cut off
        is replaced by the copy of the one before (``.bak``): the engine writes what it is about to do before it does
        it, so what the cut-off one said had not begun. Only in a directory on this machine, and only when nobody who
        lives may be writing it.
        """
        directory = self._state.directory
        if directory is None or not _CUT_OFF.search(failure):
            return False
        project = self.project_name
        if not all(lock.stale for lock in locks_under(directory, project, self._name)):
            return False
        root = directory / ".pulumi"
        checkpoint = root / "stacks" / project / f"{self._name}.json"
        sidecars = [
            *checkpoint.parent.glob(f"{self._name}.json*.attrs"),
            *root.glob(f"*/**/{project}/{self._name}/*.attrs"),
        ]
        broken = [sidecar for sidecar in sidecars if not _is_json(sidecar)]
        for sidecar in broken:
            sidecar.unlink(missing_ok=True)
        former = checkpoint.with_name(f"{checkpoint.name}.bak")
        if checkpoint.exists() and not _is_json(checkpoint) and _is_json(former):
            former.replace(checkpoint)
            broken.append(checkpoint)
        if broken:
            self._say("the state's last write was cut off by a kill; went back to the one before it")
        return bool(broken)

    def _unlocked(self, failure: str) -> bool:
        """Whether the failure was a lock, and every such lock was left by a killed run and is gone now.

        Raises:
            StateUnavailable: somebody who lives holds one.
        """
        locks = locks_in(failure)
        if not locks:
            return False
        if not all(lock.stale or self._is_dead(lock) for lock in locks):
            raise locked(failure, stack=self._name)
        for lock in locks:
            self._say(f"taking away the lock of a run that was killed: {lock}")
            if lock.file is not None:
                lock.file.unlink(missing_ok=True)
        if any(lock.file is None for lock in locks):
            line, project = ["cancel", "--yes", "--stack", self._name], str(self._project)
            self._command.run(line, project, self._environment)
        return True


class _ErrorFile(AbstractContextManager[Path]):
    """A private place for the program's own error, named to the engine's children for the time of one run."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._folder = tempfile.TemporaryDirectory(prefix="provision-run-")  # 0700

    def __enter__(self) -> Path:
        file = Path(self._folder.name, "error.json")
        self._environment[ERROR_FILE] = str(file)
        return file

    def __exit__(self, *_: object) -> None:
        self._environment.pop(ERROR_FILE, None)
        self._folder.cleanup()


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def secret_property(value: str) -> dict[str, str]:
    """A secret text as a deployment with shown secrets has it (sdk/go/common/apitype, ``SecretV1``)."""
    return {SECRET_MARK: _SECRET, "plaintext": json.dumps(value)}


def _output(value: Any) -> Output:
    if isinstance(value, dict) and SECRET_MARK in value:
        return Output(json.loads(value["plaintext"]) if "plaintext" in value else None, secret=True)
    return Output(value)
