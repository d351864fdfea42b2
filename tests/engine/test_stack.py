"""One operation after another on a real stack with the real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from provision.engine.events import Diagnostic, ResourceStep, Summary
from provision.engine.stack import ImportedResource
from provision.errors import Interrupted, InvalidInput, PolicyRefuses, ProvisionError, StateUnavailable

from .conftest import BLOCKED, PLAIN, Project

Make = Callable[..., Project]


def test_a_stack_lives_from_its_first_up_to_destroy(project: Make) -> None:
    """The whole life with one engine start each; the secret shows nowhere but where it is asked for."""
    tiny = project(PLAIN)
    runner = tiny.runner()

    created = runner.up()
    assert created.changes == {"create": 1}
    assert created.changed
    assert created.outputs["plain"].value == "as set"
    assert (created.outputs["hidden"].secret, created.outputs["hidden"].value) == (True, None)
    assert [type(event) for event in tiny.events if not isinstance(event, Diagnostic)] == [
        ResourceStep,
        ResourceStep,
        Summary,
    ]
    assert not runner.preview().changed
    assert "s3cr3t-value" not in f"{tiny.events}{created}{tiny.said}"

    assert runner.outputs()["hidden"].value is None
    revealed = runner.outputs(show_secrets=True)
    assert revealed["hidden"].value == "s3cr3t-value"
    assert "s3cr3t-value" not in repr(revealed)
    state = "".join(path.read_text() for path in Path(tiny.state.directory or "").rglob("*.json"))
    assert "as set" in state
    assert "s3cr3t-value" not in state

    runner.set_config({"tiny:plain": "set since"})
    assert runner.config() == {"tiny:plain": "set since"}
    assert runner.up().outputs["plain"].value == "set since"

    gone = runner.destroy()
    runner.remove()
    assert gone.changes == {"delete": 1}
    with pytest.raises(StateUnavailable, match="no stack dev"):
        runner.outputs()


def test_configuration_that_is_the_same_starts_no_engine(project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each start costs up to a second; `provision up` sets the same values every time."""
    runner = project(PLAIN).runner()
    runner.config_file.write_text("config:\n  tiny:plain: as before\n  tiny:flag: true\n")
    monkeypatch.setattr(runner, "_command", None)
    runner.set_config({"tiny:plain": "as before", "tiny:flag": "true", "tiny:absent": None})


def test_configuration_that_is_no_yaml_is_one_sentence(project: Make) -> None:
    runner = project(PLAIN).runner()
    runner.config_file.write_text("config: [\n")
    with pytest.raises(InvalidInput, match=r"Pulumi\.dev\.yaml cannot be read"):
        runner.config()


def test_the_programs_own_error_keeps_sentence_remedy_and_exit_code(project: Make) -> None:
    """A refusal inside the program must not drown in the engine's text."""
    tiny = project(
        """
        import pulumi
        from provision.app.program import guarded
        from provision.errors import PolicyRefuses
        def program():
            raise PolicyRefuses("Secrets may live 90 days.", remedy="Choose 3 months.")
        guarded(program)
        """
    )
    with pytest.raises(PolicyRefuses) as raised:
        tiny.runner().up()
    assert (raised.value.message, raised.value.remedy) == ("Secrets may live 90 days.", "Choose 3 months.")
    assert raised.value.exit_code == 10


def test_a_bug_in_the_program_is_one_sentence_with_its_place(project: Make) -> None:
    with pytest.raises(ProvisionError, match=r"failed: ZeroDivisionError: division by zero \(.*__main__\.py, line 2\)"):
        project("x = 1\nprint(1 / 0)\n").runner().up()


def test_a_wrong_passphrase_is_refused_and_nothing_is_lost(project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = project(PLAIN)
    tiny.runner().up()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "not the one")
    with pytest.raises(StateUnavailable, match="PULUMI_CONFIG_PASSPHRASE does not open the state of stack dev"):
        tiny.runner().up()
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert tiny.runner().outputs(show_secrets=True)["hidden"].value == "s3cr3t-value"


def _blocked_run(tiny: Project) -> subprocess.Popen[str]:
    """Plain ``pulumi up`` that is in the middle of the program when this returns."""
    tiny.runner().ensure()
    run = subprocess.Popen(
        [str(tiny.engine.command), "up", "--yes", "--skip-preview", "--stack", "dev", "--non-interactive"],
        cwd=tiny.root,
        env={**os.environ, **tiny.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _wait_for(lambda: _running(tiny))
    return run


def _running(tiny: Project) -> str:
    """The process id of the blocked program; empty until it runs."""
    file = tiny.program.with_name("running")
    return file.read_text() if file.exists() else ""


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.02)


def _gone(pid: int) -> bool:
    """Whether a process has ended (or is a zombie that nobody has waited for)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_lock_of_a_killed_run_is_taken_away_and_the_run_repeated(project: Make) -> None:
    """After SIGKILL, running again must go on, and no program of the dead run may be left working."""
    tiny = project(BLOCKED)
    run = _blocked_run(tiny)
    program = int(_running(tiny))
    run.kill()
    run.wait()
    _wait_for(lambda: _gone(program))

    tiny.write(PLAIN)
    assert tiny.runner().up().outputs["plain"].value == "as set"
    (said,) = tiny.said
    assert said.startswith("taking away the lock of a run that was killed")
    assert str(run.pid) in said


def test_a_live_lock_is_refused_and_its_holder_named(project: Make) -> None:
    tiny = project(BLOCKED)
    run = _blocked_run(tiny)
    with pytest.raises(StateUnavailable, match=rf"locked by .*\(process {run.pid}\) since"):
        tiny.runner().up()
    tiny.program.with_name("go-on").touch()
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 0, output
    assert tiny.said == []


def test_an_interrupted_run_ends_without_a_traceback(project: Make) -> None:
    """Ctrl-C in plain ``pulumi up``: the language host and the program go silently."""
    tiny = project(BLOCKED)
    run = _blocked_run(tiny)
    program = int(_running(tiny))
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Traceback" not in output
    assert _gone(program)


def test_termination_stops_the_engine_in_order(project: Make) -> None:
    """CI systems send SIGTERM: the engine must release its lock, and the error be the interrupted one."""
    tiny = project(BLOCKED)
    tiny.runner().ensure()
    script = f"""
        import os
        from pathlib import Path
        from provision.engine.stack import StackRunner
        from provision.engine.state import open_state
        from provision.engine.toolchain import ensure_engine
        from provision.errors import Interrupted
        engine, state = ensure_engine(progress=print), open_state()
        runner = StackRunner(project=Path({str(tiny.root)!r}), stack="dev", toolchain=engine, state=state,
                             environment={tiny.environment!r})
        try:
            runner.up()
        except Interrupted as stopped:
            raise SystemExit(stopped.exit_code)
    """
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True)
    _wait_for(lambda: _running(tiny))
    run.send_signal(signal.SIGTERM)
    _, stderr = run.communicate(timeout=60)
    assert (run.returncode, stderr) == (Interrupted.exit_code, "")
    tiny.write(PLAIN)
    tiny.runner().up()
    assert tiny.said == [], "the stopped run left its lock behind"


def test_components_are_imported_and_resources_forgotten(project: Make) -> None:
    """Adoption builds on this: a component comes into the state as the program names it, with nothing recreated."""
    tiny = project(
        """
        import pulumi
        class Box(pulumi.ComponentResource):
            def __init__(self, name):
                super().__init__("tiny:index:Box", name)
        Box("box")
        """
    )
    runner = tiny.runner()
    runner.import_resources([ImportedResource("tiny:index:Box", "box", component=True)])
    preview = runner.preview()
    assert preview.changes.get("create", 0) == 0, preview

    (urn,) = [resource["urn"] for resource in runner.export()["resources"] if resource["type"] == "tiny:index:Box"]
    runner.remove_from_state(urn)
    assert [resource["type"] for resource in runner.export()["resources"]] == ["pulumi:pulumi:Stack"]


def test_pending_operations_of_a_killed_run_are_listed_and_cleared(project: Make) -> None:
    """The engine writes them before it acts; who recovers must see name and inputs, but no secret."""
    tiny = project(PLAIN)
    runner = tiny.runner()
    runner.up()
    deployment = Path(tiny.state.directory or "", ".pulumi/stacks/tiny/dev.json")
    half = {
        "urn": "urn:pulumi:dev::tiny::azuread:index/application:Application::app",
        "type": "azuread:index/application:Application",
        "custom": True,
        "inputs": {
            "displayName": "Half made",
            "password": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"},
        },
    }
    whole = json.loads(deployment.read_text())
    whole["checkpoint"]["latest"]["pending_operations"] = [{"resource": half, "type": "creating"}]
    deployment.write_text(json.dumps(whole))

    (pending,) = runner.pending_operations()
    assert (pending.name, pending.kind, dict(pending.inputs)) == ("app", "creating", {"displayName": "Half made"})
    runner.clear_pending()
    assert runner.pending_operations() == ()


def test_a_checkpoint_cut_off_by_a_kill_is_replaced_by_the_one_before_it(project: Make) -> None:
    """Seen: SIGKILL in the middle of the engine's write leaves an empty file, and the state would be lost."""
    tiny = project(PLAIN)
    runner = tiny.runner()
    runner.up()
    checkpoint = next(Path(tiny.state.directory or "").glob(".pulumi/stacks/*/dev.json"))
    for rest in ("", checkpoint.read_text()[:200]):
        tiny.said.clear()
        checkpoint.write_text(rest)
        assert runner.up().outputs["plain"].value == "as set"
        assert any("cut off" in line for line in tiny.said)
    assert runner.outputs(show_secrets=True)["hidden"].value == "s3cr3t-value"


@pytest.mark.parametrize("folder", ["stacks", "history", "locks"])
def test_a_sidecar_cut_off_by_a_kill_costs_nothing(project: Make, folder: str) -> None:
    """Seen: the engine's file store leaves an empty ``.attrs``; the checkpoint beside it is whole and must stay."""
    tiny = project(PLAIN)
    runner = tiny.runner()
    runner.up()
    root = Path(tiny.state.directory or "") / ".pulumi"
    checkpoint = next(root.glob("stacks/*/dev.json"))
    whole = checkpoint.read_text()
    places = {
        "stacks": checkpoint.with_name("dev.json.attrs"),
        "history": next(root.glob("history/*/dev/*.history.json")).with_suffix(".json.attrs"),
        "locks": root / "locks" / "organization" / checkpoint.parent.name / "dev" / "gone.json.attrs",
    }
    places[folder].parent.mkdir(parents=True, exist_ok=True)
    places[folder].write_text("")
    assert runner.outputs()["plain"].value == "as set"
    assert checkpoint.read_text() == whole
    assert not runner.up().changed


def test_a_cut_off_checkpoint_is_left_alone_while_somebody_may_be_writing_it(project: Make) -> None:
    tiny = project(PLAIN)
    runner = tiny.runner()
    runner.up()
    state = Path(tiny.state.directory or "")
    checkpoint = next(state.glob(".pulumi/stacks/*/dev.json"))
    lock = state / ".pulumi/locks/organization" / checkpoint.parent.name / "dev" / "x.json"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("")
    checkpoint.write_text("")
    with pytest.raises(StateUnavailable):
        runner.outputs()
    assert checkpoint.read_text() == ""
