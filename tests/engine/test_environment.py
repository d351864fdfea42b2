"""The environment for our runs and for plain ``pulumi`` is the same, and shows no secret."""

from __future__ import annotations

import subprocess
from pathlib import Path

from provision.engine.environment import engine_environment, export_lines
from provision.engine.plugin import PluginChoice
from provision.engine.state import open_state
from provision.engine.toolchain import Toolchain

TOOLCHAIN = Toolchain(Path("/opt/pulumi dir/bin/pulumi"), "3.259.0", "modules", None)


def test_the_passphrase_is_named_never_shown(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "PROVISION_DATA": str(tmp_path)}
    state = open_state(environ=environ)
    variables = engine_environment(TOOLCHAIN, state, environ=environ)
    assert state.passphrase_file is not None
    assert variables["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(state.passphrase_file)
    assert state.passphrase_file.read_text() not in export_lines(variables)
    assert "PULUMI_HOME" not in variables, "the user's own Pulumi home stays"


def test_a_passphrase_of_the_users_is_left_alone(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", "PROVISION_DATA": str(tmp_path), "PULUMI_CONFIG_PASSPHRASE": "hunter2"}
    variables = engine_environment(TOOLCHAIN, open_state(environ=environ), environ=environ)
    assert not [name for name in variables if "PASSPHRASE" in name]
    assert "hunter2" not in str(variables)


def test_the_stand_in_is_not_beaten_by_a_plugin_of_path(tmp_path: Path) -> None:
    plugin = PluginChoice("offline", "6.11.1", tmp_path / "home")
    environ = {"PATH": "/bin", "PROVISION_DATA": str(tmp_path)}
    variables = engine_environment(TOOLCHAIN, open_state(environ=environ), plugin, environ=environ)
    assert (variables["PULUMI_HOME"], variables["PULUMI_IGNORE_AMBIENT_PLUGINS"]) == (str(tmp_path / "home"), "true")


def test_a_shell_reads_the_lines_back(tmp_path: Path) -> None:
    """Quotes, blanks and a second evaluation must not change what pulumi sees."""
    environ = {"PATH": "/usr/bin:/bin", "PROVISION_DATA": str(tmp_path / "it's here")}
    variables = engine_environment(TOOLCHAIN, open_state(environ=environ), environ=environ)
    script = export_lines(variables) * 2 + 'printf "%s\\n" "$PATH" "$PULUMI_CONFIG_PASSPHRASE_FILE"'
    shell = subprocess.run(["sh", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert shell.stdout.splitlines() == [
        "/opt/pulumi dir/bin:/usr/bin:/bin",
        str(tmp_path / "it's here" / "passphrase"),
    ]
    twice = engine_environment(TOOLCHAIN, open_state(environ=environ), environ=environ | variables)
    assert twice["PATH"] == variables["PATH"]
