"""Gets the official Pulumi release through the Automation API's ``PulumiCommand.install``.

Owns: bounding that download (it knows no time limits itself) and remembering that it did not work, so that a machine
without the internet does not try on each run. Does not own: what is done instead (``toolchain``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from provision.engine.cache import ENGINE_VERSION, cache_root, engine_home, receipt_for, write_atomically
from provision.errors import EngineUnavailable

RELEASE_SITE = "https://get.pulumi.com/install.sh"
"""Where ``PulumiCommand.install`` downloads its script from (pulumi/automation/_cmd.py)."""

_CONNECT_SECONDS = 15.0
_INSTALL_SECONDS = 600.0
_REMEMBER_SECONDS = 6 * 3600.0

# Runs in a process of its own, because only a process can be given a time limit.
_INSTALL = (
    "import sys; from semver import VersionInfo; from pulumi.automation import PulumiCommand; "
    "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
)


def install_engine(
    *,
    progress: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
    retry: bool = False,
    site: str = RELEASE_SITE,
) -> Path:
    """Downloads the official release into the cache.

    Args:
        progress: shown to the user.
        environ: the settings.
        retry: try even when a failure of the last six hours is remembered.
        site: the release site's address.

    Returns:
        The engine's directory in the cache, complete with its receipt.

    Raises:
        EngineUnavailable: the site does not answer, or the installer failed.
    """
    started = time.monotonic()
    memory = cache_root(environ) / "engine" / "installer-failed.json"
    remembered = None if retry else _remembered(memory)
    if remembered is not None:
        raise _unavailable(remembered)
    home = engine_home("installer", environ)
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        urllib.request.urlopen(site, timeout=_CONNECT_SECONDS).close()  # noqa: S310 - a constant of ours
        progress(f"downloading Pulumi {ENGINE_VERSION} from its release site")
        with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as scratch:
            fresh = Path(scratch, "engine")
            _run_installer(fresh, environ)
            receipt_for(fresh / "bin" / "pulumi", source="installer", started=started).save(fresh)
            fresh.chmod(0o755)
            if home.exists():
                home.replace(Path(scratch, "old"))
            fresh.replace(home)
    except (OSError, subprocess.SubprocessError) as failure:
        reason = _reason(failure)
        write_atomically(memory, json.dumps({"at": time.time(), "reason": reason}) + "\n")
        raise _unavailable(reason) from None
    memory.unlink(missing_ok=True)
    return home


def _run_installer(target: Path, environ: Mapping[str, str]) -> None:
    command = [sys.executable, "-c", _INSTALL, str(target), ENGINE_VERSION]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as install:
        try:
            code = install.wait(timeout=_INSTALL_SECONDS)
        except BaseException:
            if sys.platform == "win32":
                install.kill()
            else:
                os.killpg(install.pid, 9)
            raise
    if code != 0:
        raise subprocess.CalledProcessError(code, "the official installer")


def _remembered(memory: Path) -> str | None:
    try:
        failure = json.loads(memory.read_text(encoding="utf-8"))
        recent = 0 <= time.time() - float(failure["at"]) < _REMEMBER_SECONDS
        return str(failure["reason"]) if recent else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _reason(failure: Exception) -> str:
    if isinstance(failure, subprocess.TimeoutExpired):
        return f"it took longer than {_INSTALL_SECONDS / 60:.0f} minutes"
    if isinstance(failure, urllib.error.URLError) and not isinstance(failure, urllib.error.HTTPError):
        return str(failure.reason)
    return str(failure)


def _unavailable(reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"The official Pulumi release could not be downloaded: {reason}.",
        remedy=f"Install Pulumi {ENGINE_VERSION} or newer yourself (https://www.pulumi.com/docs/install/), "
        "or let it be built from Go modules (PROVISION_ENGINE=build).",
    )
