"""The Python language host through the engine: what users see of good and bad programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from provision.engine.plugin import package_version

from .conftest import PLAIN, Project

Make = Callable[..., Project]


def plain_pulumi(tiny: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Plain ``pulumi`` in the environment that `provision engine env` prints."""
    return subprocess.run(
        ["pulumi", *arguments, "--non-interactive"],
        cwd=tiny.root,
        env={**os.environ, **tiny.environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_plain_pulumi_drives_the_same_program_and_state(project: Make) -> None:
    """Who evaluates `provision engine env` and types `pulumi up` must find what `provision up` left, quietly."""
    tiny = project(PLAIN)
    tiny.runner().up()
    again = plain_pulumi(tiny, "up", "--yes", "--stack", "dev")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 unchanged" in again.stdout
    assert "hidden: [secret]" in again.stdout
    assert not [word for word in ("warning", "Traceback", "s3cr3t") if word in again.stdout + again.stderr]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import pulumi\nthis is no Python\n", "SyntaxError: invalid syntax"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import pulumi\nraise pulumi.RunError('the sentence')\n", "the sentence"),
        ("import sys\nsys.exit(7)\n", "exited with non-zero exit code: 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "was killed by signal 9"),
    ],
)
def test_a_bad_program_is_told_as_in_stock_pulumi(project: Make, program: str, said: str) -> None:
    tiny = project(program)
    tiny.runner().ensure()
    run = plain_pulumi(tiny, "preview", "--stack", "dev")
    assert run.returncode != 0
    assert said in run.stdout + run.stderr
    assert "language_host" not in run.stdout + run.stderr


def test_the_program_runs_in_its_virtual_environment(project: Make) -> None:
    """Pulumi.yaml's option counts, not the interpreter that installed the engine; its packages name the plugins."""
    tiny = project(
        "import sys, pulumi\npulumi.export('prefix', sys.prefix)\n",
        options=f"  options:\n    virtualenv: {sys.prefix}\n",
    )
    assert tiny.runner().up().outputs["prefix"].value == sys.prefix
    about = plain_pulumi(tiny, "about", "--json", "--stack", "dev").stdout
    assert package_version() in about


def test_a_missing_virtual_environment_is_one_sentence(project: Make) -> None:
    tiny = project(PLAIN, options="  options:\n    virtualenv: .absent\n")
    tiny.runner().ensure()
    run = plain_pulumi(tiny, "preview", "--stack", "dev")
    assert "names the virtual environment .absent, but" in run.stdout + run.stderr
    assert "Traceback" not in run.stdout + run.stderr


def test_the_program_gets_configuration_and_arguments_but_no_secret_in_its_command_line(project: Make) -> None:
    tiny = project(
        """
        import pathlib, pulumi
        config = pulumi.Config()
        line = pathlib.Path("/proc/self/cmdline").read_text()
        pulumi.export("told", config.require("told"))
        pulumi.export("leaked", config.require("token") in line)
        pulumi.export("secret", config.require_secret("token"))
        pulumi.export("names", [pulumi.get_project(), pulumi.get_stack()])
        """
    )
    runner = tiny.runner()
    runner.set_config({"tiny:told": "a value"})
    plain_pulumi_with = subprocess.run(
        ["pulumi", "config", "set", "--secret", "tiny:token", "--stack", "dev", "--non-interactive"],
        cwd=tiny.root,
        env={**os.environ, **tiny.environment},
        input="t0ken-value",
        capture_output=True,
        text=True,
        check=True,
    )
    assert plain_pulumi_with.returncode == 0
    outputs = runner.up().outputs
    assert (outputs["told"].value, outputs["leaked"].value) == ("a value", False)
    assert outputs["names"].value == ["tiny", "dev"]
    assert outputs["secret"].secret
    assert "t0ken-value" not in repr(tiny.events)
    assert "tiny:token" not in runner.config(), "an encrypted value is not plain configuration"
