"""Builds the Pulumi CLI from its Go modules, for machines that reach a module proxy but not Pulumi's release site.

Owns: the module description (``gomodule/go.mod`` and ``go.sum``, every version and hash fixed), the compiler run, its
progress, and the two files taken from Pulumi's SDK module beside the CLI. Does not own: where the result is kept
(``cache``) and when a build is due (``toolchain``). Go verifies every module against ``go.sum``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

from provision.engine.cache import ENGINE_VERSION, engine_home, receipt_for
from provision.errors import EngineUnavailable

_PACKAGE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
_SDK_MODULE = "github.com/pulumi/pulumi/sdk/v3"
_VERSION_VARIABLE = f"{_SDK_MODULE}/go/common/version.Version"
EXECUTOR = "pulumi-language-python-exec"
"""Runs a Python program; part of Pulumi's SDK module, used by ``language_host``."""

_USUAL_PLACES = ("/usr/local/go/bin", "/opt/homebrew/bin", "/usr/lib/go/bin", "~/go/bin", "~/sdk/go/bin")
_TICK_SECONDS = 1.0


def build_engine(*, progress: Callable[[str], None], environ: Mapping[str, str] = os.environ) -> Path:
    """Builds the CLI into the cache.

    Args:
        progress: shown to the user, one line each second at most.
        environ: the settings and the PATH on which ``go`` is looked for.

    Returns:
        The engine's directory in the cache, complete with its receipt.

    Raises:
        EngineUnavailable: no Go, a Go that is too old, or the build failed.
    """
    started = time.monotonic()
    go = find_go(environ)
    home = engine_home("modules", environ)
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{home.name}.", dir=home.parent) as scratch:
        module = Path(scratch, "module")
        fresh = Path(scratch, "engine")
        binaries = fresh / "bin"
        module.mkdir()
        binaries.mkdir(parents=True)
        for name in ("go.mod", "go.sum"):
            shipped = resources.files("provision.engine").joinpath("gomodule", name)
            (module / name).write_bytes(shipped.read_bytes())
        environment = _go_environment(environ)
        go_version = _go_version(go, module, environment)
        _compile(go, module, binaries / "pulumi", environment, progress=progress, started=started)
        sdk = _ask(go, ["list", "-m", "-f", "{{.Dir}}", _SDK_MODULE], module, environment)
        shutil.copyfile(Path(sdk, "python", "cmd", EXECUTOR), binaries / EXECUTOR)
        receipt_for(binaries / "pulumi", source="modules", go_version=go_version, started=started).save(fresh)
        fresh.chmod(0o755)
        if home.exists():
            home.replace(Path(scratch, "old"))
        fresh.replace(home)
    return home


def find_go(environ: Mapping[str, str] = os.environ) -> Path:
    """The ``go`` command, on PATH or in one of its usual places.

    Raises:
        EngineUnavailable: there is none.
    """
    path = environ.get("PATH", "")
    root = environ.get("GOROOT")
    places = [*([f"{root}/bin"] if root else []), *(str(Path(place).expanduser()) for place in _USUAL_PLACES)]
    if not path:
        places = []  # an emptied PATH asks for nothing to be found
    found = shutil.which("go", path=os.pathsep.join([path, *places]))
    if found is None:
        raise EngineUnavailable(
            "No Pulumi engine is on this machine, and building one needs Go, which is missing too.",
            remedy=f"Install Pulumi {ENGINE_VERSION} or newer (https://www.pulumi.com/docs/install/) "
            "or Go 1.25.11 or newer (https://go.dev/dl/), and run the same command again.",
        )
    return Path(found)


def _go_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {**environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly -buildvcs=false"}


def _go_version(go: Path, module: Path, environment: Mapping[str, str]) -> str:
    """Go's release, as ``go1.26.8``; in the module's directory a Go that is too old refuses or fetches a newer one."""
    return _ask(go, ["env", "GOVERSION"], module, environment)


def _ask(go: Path, arguments: list[str], module: Path, environment: Mapping[str, str]) -> str:
    answer = subprocess.run(
        [str(go), *arguments], cwd=module, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise _failed(answer.stderr.strip().splitlines())
    return answer.stdout.strip()


def _compile(
    go: Path,
    module: Path,
    target: Path,
    environment: Mapping[str, str],
    *,
    progress: Callable[[str], None],
    started: float,
) -> None:
    command = [str(go), "build", "-v", "-trimpath"]
    command += ["-ldflags", f"-s -w -X {_VERSION_VARIABLE}=v{ENGINE_VERSION}", "-o", str(target), _PACKAGE]
    # `go build -v` names each package on standard error as it is compiled, and each module as it is downloaded.
    with subprocess.Popen(command, cwd=module, env=environment, stderr=subprocess.PIPE, text=True) as build:
        said: deque[str] = deque(maxlen=20)
        counts = {"modules": 0, "packages": 0}

        def read() -> None:
            if build.stderr is None:
                return
            for line in build.stderr:
                said.append(line.rstrip())
                counts["modules" if line.startswith("go: downloading") else "packages"] += 1

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            while build.poll() is None:
                progress(_how_far(counts, time.monotonic() - started))
                reader.join(_TICK_SECONDS)
        except BaseException:
            build.terminate()
            raise
        reader.join()
    if build.returncode != 0:
        raise _failed(list(said))
    progress(f"built {_how_far(counts, time.monotonic() - started).removeprefix('building ')}")


def _how_far(counts: Mapping[str, int], seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    fetched = f"{counts['modules']} modules fetched, " if counts["modules"] else ""
    return (
        f"building the Pulumi engine {ENGINE_VERSION} from Go modules: "
        f"{fetched}{counts['packages']} packages, {minutes}:{rest:02d}"
    )


def _failed(said: list[str]) -> EngineUnavailable:
    reason = next((line for line in reversed(said) if line.strip()), "no reason given").strip()
    return EngineUnavailable(
        f"Building the Pulumi engine {ENGINE_VERSION} from Go modules failed: {reason.rstrip('.')}.",
        remedy="It needs Go 1.25.11 or newer and a Go module proxy (GOPROXY); "
        f"or install Pulumi {ENGINE_VERSION} or newer (https://www.pulumi.com/docs/install/).",
    )
