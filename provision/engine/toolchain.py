"""Finds the Pulumi engine, or gets one: on PATH, from the official installer, or built from Go modules.

Owns: that order, the setting ``PROVISION_ENGINE`` (``auto``, ``path``, ``install``, ``build``) which picks one step of
it, and the Python language host put beside a built CLI. Does not own: the single steps (``installer``, ``gobuild``),
the azuread plugin (``plugin``) and the environment of a run (``environment``).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from semver import VersionInfo

from provision.engine.cache import (
    ENGINE_VERSION,
    Receipt,
    Source,
    cache_root,
    engine_home,
    exclusively,
    sha256_of,
    write_atomically,
)
from provision.engine.gobuild import build_engine
from provision.engine.installer import install_engine
from provision.errors import EngineUnavailable, InvalidInput

_HOST = "pulumi-language-python"
_DYNAMIC = "pulumi-resource-pulumi-python"
"""Runs Pulumi's dynamic providers; the official CLI has it beside itself, too."""
_HOST_SOURCE = Path(__file__).with_name("language_host.py")  # not imported: that would load the whole SDK
_VERSION_SECONDS = 60.0
_CHOICES = ("auto", "path", "install", "build")


@dataclass(frozen=True)
class Toolchain:
    """A Pulumi CLI that works here, with a Python language host."""

    command: Path
    """The ``pulumi`` executable, absolute."""
    version: str
    """Without the leading v."""
    source: Source
    """Found on PATH, from the official installer, or built from Go modules."""
    receipt: Receipt | None
    """For what lies in the cache; None for an engine of PATH."""

    @property
    def directory(self) -> Path:
        """Where the CLI and its language hosts lie; belongs in front of PATH."""
        return self.command.parent


def ensure_engine(
    *,
    progress: Callable[[str], None],
    offline_ok: bool = True,
    environ: Mapping[str, str] = os.environ,
) -> Toolchain:
    """The engine of this machine; gets one if there is none.

    Args:
        progress: told, in one line each, what is tried and how far a build is.
        offline_ok: whether a build from Go modules may stand in for the official release.
        environ: the settings ``PROVISION_ENGINE`` and ``PROVISION_CACHE``, and PATH.

    Raises:
        EngineUnavailable: none can be had; the remedy says what to install.
        InvalidInput: ``PROVISION_ENGINE`` has a value that means nothing.
    """
    choice = environ.get("PROVISION_ENGINE") or "auto"
    if choice not in _CHOICES:
        raise InvalidInput(
            f"PROVISION_ENGINE is {choice!r}.", remedy=f"Use one of {', '.join(_CHOICES)}, or leave it unset."
        )
    if choice in ("auto", "path") and (found := engine_on_path(progress=progress, environ=environ)):
        return found
    if choice == "path":
        raise EngineUnavailable(
            f"No Pulumi {ENGINE_VERSION} or newer with a Python language host is on PATH, "
            "and PROVISION_ENGINE=path allows no other.",
            remedy="Install Pulumi (https://www.pulumi.com/docs/install/) or unset PROVISION_ENGINE.",
        )
    sources: list[Source] = ["installer"] if choice == "install" else ["modules"] if choice == "build" else []
    for source in sources or ("installer", "modules"):
        if (cached := cached_engine(source, environ=environ)) is not None:
            return cached
    with exclusively("engine", waiting=lambda: progress("waiting: another process gets the engine"), environ=environ):
        for source in sources or ("installer", "modules"):  # the other process may have got it meanwhile
            if (cached := cached_engine(source, environ=environ)) is not None:
                return cached
        if choice != "build":
            try:
                install_engine(progress=progress, environ=environ, retry=choice == "install")
                return _fresh("installer", environ)
            except EngineUnavailable as failure:
                if choice == "install" or not offline_ok:
                    raise
                progress(failure.message)
        build_engine(progress=progress, environ=environ)
        return _fresh("modules", environ)


def engine_on_path(*, progress: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Toolchain | None:
    """The ``pulumi`` of PATH, if it is new enough and can run Python programs."""
    path = environ.get("PATH", "")
    found = shutil.which("pulumi", path=path)
    if found is None:
        return None
    command = Path(found).absolute()
    for source in ("installer", "modules"):
        if command.parent == engine_home(source, environ) / "bin":
            return cached_engine(source, environ=environ)
    version = _version_of(command, environ)
    if version is None or version < VersionInfo.parse(ENGINE_VERSION):
        progress(f"{command} is Pulumi {version or 'of an unknown version'}; {ENGINE_VERSION} or newer is needed")
        return None
    if not (command.resolve().with_name(_HOST).exists() or shutil.which(_HOST, path=path)):
        progress(f"{command} has no {_HOST} beside it or on PATH")
        return None
    return Toolchain(command=command, version=str(version), source="path", receipt=None)


def cached_engine(source: Source, *, environ: Mapping[str, str] = os.environ) -> Toolchain | None:
    """The engine of the cache, if it is there and its file is the one that was hashed."""
    home = engine_home(source, environ)
    receipt = Receipt.load(home)
    command = home / "bin" / "pulumi"
    if receipt is None or not receipt.matches(command):
        return None
    if source == "modules":
        _put_language_host(command.parent)
    return Toolchain(command=command, version=receipt.version, source=source, receipt=receipt)


def verify_engine(toolchain: Toolchain) -> str:
    """Hashes the cached engine again.

    Returns:
        Its SHA-256, hexadecimal.

    Raises:
        EngineUnavailable: the file is not the one that the receipt describes.
    """
    digest = sha256_of(toolchain.command)
    if toolchain.receipt is not None and digest != toolchain.receipt.sha256:
        raise EngineUnavailable(
            f"{toolchain.command} has changed since it was made: its SHA-256 is {digest}, "
            f"the receipt says {toolchain.receipt.sha256}.",
            remedy=f"Delete {toolchain.command.parent.parent} and run `provision engine build`.",
        )
    return digest


def _fresh(source: Source, environ: Mapping[str, str]) -> Toolchain:
    toolchain = cached_engine(source, environ=environ)
    if toolchain is None:
        raise EngineUnavailable(
            f"The engine that was just put into {engine_home(source, environ)} cannot be read.",
            remedy="Check the directory's permissions and free space, or set PROVISION_CACHE to another place.",
        )
    return toolchain


def _version_of(command: Path, environ: Mapping[str, str]) -> VersionInfo | None:
    """Asks the CLI for its version, once for each file: starting it takes up to a second."""
    memory = cache_root(environ) / "engine" / "versions.json"
    found = command.stat()
    key = f"{command}:{found.st_size}:{found.st_mtime_ns}"
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(known, dict) and key in known:
            return VersionInfo.parse(str(known[key]))
    except (OSError, ValueError):
        pass
    try:
        said = subprocess.run(
            [str(command), "version"],
            env={**environ, "PULUMI_SKIP_UPDATE_CHECK": "true"},
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS,
            check=True,
        )
        version = VersionInfo.parse(said.stdout.strip().removeprefix("v"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    memory.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(memory, json.dumps({key: str(version)}) + "\n")
    return version


def _put_language_host(binaries: Path) -> None:
    """Puts this checkout's language host beside the CLI; writes only what differs."""
    body = _HOST_SOURCE.read_text(encoding="utf-8")
    files = (
        (f"{_HOST}-host.py", body, 0o644),
        (_HOST, _launcher(_HOST, '"${0%/*}/pulumi-language-python-host.py"'), 0o755),
        (_DYNAMIC, _launcher(_DYNAMIC, "-u -m pulumi.dynamic"), 0o755),
    )
    for name, text, mode in files:
        place = binaries / name
        try:
            if place.read_text(encoding="utf-8") == text:
                continue
        except OSError:
            pass
        write_atomically(place, text, mode=mode)


def _launcher(name: str, what: str) -> str:
    """A shell script that runs something with the interpreter of the run, the one that made it, or the project's.

    The interpreter that made it may be gone (a deleted checkout).
    """
    return (
        "#!/bin/sh\n"
        f'for python in "$PROVISION_PYTHON" {shlex.quote(sys.executable)} "$PWD/.venv/bin/python"; do\n'
        f'  [ -x "$python" ] && exec "$python" {what} "$@"\n'
        "done\n"
        f'echo "{name}: no Python interpreter with the Pulumi SDK; run make, then try again" >&2\n'
        "exit 1\n"
    )
