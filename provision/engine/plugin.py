"""Which azuread plugin the engine will find: the real one, or the offline stand-in against a local tenant.

Owns: the setting ``PROVISION_AZUREAD_PLUGIN`` (``auto``, ``real``, ``offline``), the bounded attempt to install the
real plugin, and the Pulumi home in which the stand-in lies. Does not own the stand-in itself (``provision.standin``,
started by name only). The engine wants a plugin of exactly the version of the installed ``pulumi-azuread`` package and
looks on PATH first (with a warning on each run), then in ``$PULUMI_HOME/plugins``: so the stand-in gets a home of its
own, and a real plugin in the user's home can never be shadowed by it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import ipaddress
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from provision.engine.cache import cache_root, write_atomically
from provision.engine.toolchain import Toolchain
from provision.errors import EngineUnavailable, InvalidInput

NAME = "azuread"
_STAND_IN = "provision.standin"
"""Started by name only."""
_EXECUTABLE = f"pulumi-resource-{NAME}"
_CHOICES = ("auto", "real", "offline")
_INSTALL_SECONDS = 180.0
_REMEMBER_SECONDS = 6 * 3600.0

STAND_IN_NOTICE = (
    "Using the offline stand-in for the azuread plugin: it serves this local tenant only, and nothing else."
)


@dataclass(frozen=True)
class PluginChoice:
    """Which plugin a run uses."""

    kind: Literal["real", "offline"]
    version: str
    """That of the installed ``pulumi-azuread`` package."""
    home: Path | None
    """The Pulumi home to run with; None leaves the user's."""
    notice: str = ""
    """One line for the user on every run; empty for the real plugin."""
    module: str | None = None
    """The Python module that serves it; None for an executable."""


def choose_plugin(
    toolchain: Toolchain,
    *,
    metadata_host: str | None,
    progress: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> PluginChoice:
    """Chooses the plugin for a target.

    Args:
        toolchain: the engine, which installs the real plugin where it can.
        metadata_host: where the plugin will ask for its cloud's addresses (``host[:port]``); None means Microsoft.
        progress: told what is tried, in one line.
        environ: the settings.

    Raises:
        EngineUnavailable: the real plugin is needed and cannot be had.
        InvalidInput: ``PROVISION_AZUREAD_PLUGIN`` has a value that means nothing.
    """
    wanted = environ.get("PROVISION_AZUREAD_PLUGIN") or "auto"
    if wanted not in _CHOICES:
        raise InvalidInput(
            f"PROVISION_AZUREAD_PLUGIN is {wanted!r}.", remedy=f"Use one of {', '.join(_CHOICES)}, or leave it unset."
        )
    version = package_version()
    local = is_local(metadata_host)
    if wanted == "offline":
        if not local:
            raise EngineUnavailable(
                "The offline stand-in for the azuread plugin serves local tenants only, "
                f"and this stack is for {metadata_host or 'Microsoft 365'}.",
                remedy="Unset PROVISION_AZUREAD_PLUGIN, or start a local tenant with `provision sandbox start`.",
            )
        return _stand_in(version, environ)
    failure = real_plugin_problem(toolchain, version, progress=progress, environ=environ, retry=wanted == "real")
    if failure is None:
        home = user_home(environ)
        return PluginChoice("real", version, home if environ.get("PULUMI_HOME") != str(home) else None)
    if wanted == "auto" and local:
        return _stand_in(version, environ)
    raise EngineUnavailable(
        f"The azuread plugin {version} is not installed and could not be downloaded: {failure}.",
        remedy=f"With internet access run `pulumi plugin install resource {NAME} {version}`, "
        f"or unpack its release into {user_home(environ) / 'plugins' / f'resource-{NAME}-v{version}'}.",
    )


def package_version() -> str:
    """The version of the installed ``pulumi-azuread`` package, which the plugin must have too.

    Raises:
        EngineUnavailable: the package is not installed.
    """
    package = importlib.util.find_spec("pulumi_azuread")
    if package is None or package.origin is None:
        raise EngineUnavailable(
            "The Python package pulumi-azuread is not installed.", remedy="Run `make`, or `pip install pulumi-azuread`."
        )
    described = json.loads(Path(package.origin).with_name("pulumi-plugin.json").read_text(encoding="utf-8"))
    return str(described["version"])


def is_local(metadata_host: str | None) -> bool:
    """Whether a metadata host (``host[:port]``) is this machine's loopback interface."""
    if not metadata_host:
        return False
    host = metadata_host.partition("]")[0].removeprefix("[") if metadata_host.startswith("[") else metadata_host
    host = host if host.count(":") > 1 else host.partition(":")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def user_home(environ: Mapping[str, str] = os.environ) -> Path:
    """The user's own Pulumi home (``PULUMI_HOME``, else ``~/.pulumi``), never the stand-in's."""
    home = environ.get("PULUMI_HOME")
    if not home or Path(home).is_relative_to(_stand_in_root(environ)):
        return Path(environ.get("HOME") or Path.home(), ".pulumi")
    return Path(home)


def real_plugin_problem(
    toolchain: Toolchain,
    version: str,
    *,
    progress: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
    retry: bool = False,
) -> str | None:
    """Makes sure that the real plugin is installed.

    Args:
        toolchain: the engine that downloads it.
        version: the plugin's version.
        progress: told when a download starts.
        environ: the settings.
        retry: try even when a failure of the last six hours is remembered.

    Returns:
        None when it is there; otherwise why it is not.
    """
    home = user_home(environ)
    if (home / "plugins" / f"resource-{NAME}-v{version}" / _EXECUTABLE).exists():
        return None
    if shutil.which(_EXECUTABLE, path=environ.get("PATH", "")):
        return None
    memory = cache_root(environ) / "engine" / "plugin-failed.json"
    if not retry and (remembered := _remembered(memory, version)) is not None:
        return remembered
    progress(f"downloading the azuread plugin {version}")
    reason = _install(toolchain, version, home, environ)
    if reason is not None:
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(memory, json.dumps({"at": time.time(), "version": version, "reason": reason}) + "\n")
    return reason


def _install(toolchain: Toolchain, version: str, home: Path, environ: Mapping[str, str]) -> str | None:
    command = [str(toolchain.command), "plugin", "install", "resource", NAME, version, "--non-interactive"]
    environment = {**environ, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        tried = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it took longer than {_INSTALL_SECONDS / 60:.0f} minutes"
    if tried.returncode == 0:
        return None
    # The warnings of each attempt say why; the last line only says that there were five.
    reasons = [line for line in tried.stderr.splitlines() if "Error downloading plugin" in line]
    said = (reasons or tried.stderr.splitlines() or ["no reason given"])[-1]
    return said.rpartition(": ")[2].strip().rstrip(".")


def _remembered(memory: Path, version: str) -> str | None:
    try:
        failure = json.loads(memory.read_text(encoding="utf-8"))
        recent = 0 <= time.time() - float(failure["at"]) < _REMEMBER_SECONDS and failure["version"] == version
        return str(failure["reason"]) if recent else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stand_in_root(environ: Mapping[str, str]) -> Path:
    return cache_root(environ) / "standin"


def _stand_in(version: str, environ: Mapping[str, str]) -> PluginChoice:
    """Puts the stand-in's launcher into a Pulumi home of its own, one for each Python environment."""
    place = hashlib.sha256(sys.prefix.encode()).hexdigest()[:12]
    home = _stand_in_root(environ) / place
    folder = home / "plugins" / f"resource-{NAME}-v{version}"
    launcher = folder / _EXECUTABLE
    text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m {_STAND_IN} "$@"\n'
    try:
        current = launcher.read_text(encoding="utf-8") == text
    except OSError:
        current = False
    if not current:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(launcher, text, mode=0o755)
    return PluginChoice("offline", version, home, STAND_IN_NOTICE, _STAND_IN)
