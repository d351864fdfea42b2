"""The environment in which the engine runs: one function for our own runs and for plain ``pulumi`` in a shell.

Owns: the variables. Both uses get the same ones, so both drive the same program, state, plugin and engine. Does not own
the azuread plugin's credential (``settings.plugin``), which is never printed.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping

from provision.engine.plugin import PluginChoice
from provision.engine.state import State
from provision.engine.toolchain import Toolchain


def engine_environment(
    toolchain: Toolchain,
    state: State,
    plugin: PluginChoice | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The variables to add to ``environ`` for the engine; none of them is a secret.

    Args:
        toolchain: the engine; goes in front of PATH.
        state: the backend, and the passphrase as a file's name.
        plugin: the azuread plugin; None leaves Pulumi's own search as it is.
        environ: the environment that is added to.
    """
    path = [str(toolchain.directory), *environ.get("PATH", "").split(os.pathsep)]
    variables = {
        "PATH": os.pathsep.join(dict.fromkeys(entry for entry in path if entry)),
        "PULUMI_BACKEND_URL": state.backend,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PROVISION_PYTHON": sys.executable,
    }
    if state.passphrase_file is not None:
        variables["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(state.passphrase_file)
    if plugin is not None and plugin.home is not None:
        variables["PULUMI_HOME"] = str(plugin.home)
    if plugin is not None and plugin.kind == "offline":
        # A plugin on PATH would be taken before the stand-in, without a word about it.
        variables["PULUMI_IGNORE_AMBIENT_PLUGINS"] = "true"
    return variables


def export_lines(variables: Mapping[str, str]) -> str:
    """The variables as lines for ``eval "$(provision engine env)"`` in a POSIX shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(variables.items()))
