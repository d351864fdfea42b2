"""How the engine is found, and what is said when there is none."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from provision.engine.cache import ENGINE_VERSION, Receipt, engine_home, exclusively
from provision.engine.gobuild import build_engine
from provision.engine.installer import install_engine
from provision.engine.toolchain import Toolchain, cached_engine, engine_on_path, ensure_engine, verify_engine
from provision.errors import EngineUnavailable, InvalidInput

NOWHERE = "https://127.0.0.1:1/install.sh"


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_without_go_the_build_says_what_to_install(tmp_path: Path) -> None:
    environ = {"PATH": "", "PROVISION_CACHE": str(tmp_path), "PROVISION_ENGINE": "build"}
    with pytest.raises(EngineUnavailable, match="building one needs Go, which is missing") as refused:
        ensure_engine(progress=print, environ=environ)
    assert "https://go.dev/dl/" in refused.value.remedy
    assert not engine_home("modules", environ).exists()


def test_a_go_that_is_too_old_is_refused_with_its_own_reason(tmp_path: Path) -> None:
    """The module file names the Go it needs; an older one says so, and that sentence must arrive."""
    script(
        tmp_path / "bin/go", 'echo "go: go.mod requires go >= 1.25.11 (running go 1.19; GOTOOLCHAIN=local)" >&2; exit 1'
    )
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PROVISION_CACHE": str(tmp_path / "cache")}
    with pytest.raises(EngineUnavailable, match=r"requires go >= 1\.25\.11"):
        build_engine(progress=print, environ=environ)
    assert [path.name for path in (tmp_path / "cache/engine").iterdir()] == [], "the scratch directory stayed"


def test_a_build_is_had_with_receipt_progress_and_executor(tmp_path: Path) -> None:
    """The compiler is replaced by one that writes a file; the real one takes minutes (`provision engine build`)."""
    sdk = tmp_path / "sdk"
    (sdk / "python/cmd").mkdir(parents=True)
    (sdk / "python/cmd/pulumi-language-python-exec").write_text("# executor")
    script(
        tmp_path / "bin/go",
        f"""case "$1" in
        env) echo go1.25.11;;
        list) echo {sdk};;
        build) while [ "$1" != -o ]; do shift; done
               printf 'github.com/a\\ngo: downloading b v1\\ngithub.com/c\\n' >&2; echo engine > "$2";;
        esac""",
    )
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "PROVISION_CACHE": str(tmp_path / "cache")}
    lines: list[str] = []
    home = build_engine(progress=lines.append, environ=environ)
    assert lines[-1] == (
        f"built the Pulumi engine {ENGINE_VERSION} from Go modules: 1 modules fetched, 2 packages, 0:00"
    )
    receipt = Receipt.load(home)
    assert receipt is not None
    assert (receipt.source, receipt.go_version, receipt.version) == ("modules", "go1.25.11", ENGINE_VERSION)
    engine = cached_engine("modules", environ=environ)
    assert engine is not None
    assert verify_engine(engine) == receipt.sha256
    names = {path.name for path in (home / "bin").iterdir()}
    assert names == {
        "pulumi",
        "pulumi-language-python",
        "pulumi-language-python-host.py",
        "pulumi-language-python-exec",
        "pulumi-resource-pulumi-python",
    }

    engine.command.write_text("another")
    assert cached_engine("modules", environ=environ) is None, "a changed file was taken for the one that was built"
    with pytest.raises(EngineUnavailable, match="has changed since it was made"):
        verify_engine(engine)


def test_an_unreachable_release_site_is_asked_once_in_a_while(tmp_path: Path) -> None:
    """Every run of an offline machine would otherwise wait for the network."""
    environ = {**os.environ, "PROVISION_CACHE": str(tmp_path)}
    lines: list[str] = []
    with pytest.raises(EngineUnavailable, match="could not be downloaded"):
        install_engine(progress=lines.append, environ=environ, site=NOWHERE)
    memory = tmp_path / "engine/installer-failed.json"
    kept = json.loads(memory.read_text())
    memory.write_text(json.dumps({**kept, "reason": "as remembered"}))
    with pytest.raises(EngineUnavailable, match="as remembered"):
        install_engine(progress=lines.append, environ=environ, site=NOWHERE)
    memory.write_text(json.dumps({"at": 0, "reason": "of long ago"}))
    with pytest.raises(EngineUnavailable, match="refused"):
        install_engine(progress=lines.append, environ=environ, site=NOWHERE)


@pytest.mark.parametrize(
    ("version", "with_host", "usable"),
    [("v3.259.0", True, True), ("v3.300.1", True, True), ("v3.258.9", True, False), ("v3.259.0", False, False)],
)
def test_pulumi_of_path_must_be_new_enough_and_speak_python(
    tmp_path: Path, version: str, with_host: bool, usable: bool
) -> None:
    script(tmp_path / "bin/pulumi", f"echo {version}")
    if with_host:
        script(tmp_path / "bin/pulumi-language-python", "exit 0")
    environ = {"PATH": str(tmp_path / "bin"), "PROVISION_CACHE": str(tmp_path / "cache")}
    found = engine_on_path(progress=print, environ=environ)
    assert (found is not None) is usable
    if found is not None:
        assert (found.version, found.source, found.receipt) == (version.removeprefix("v"), "path", None)


def test_a_setting_that_means_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="PROVISION_ENGINE is 'newest'"):
        ensure_engine(progress=print, environ={"PATH": "", "PROVISION_ENGINE": "newest"})


def test_only_path_is_looked_at_when_the_setting_says_so(tmp_path: Path) -> None:
    environ = {"PATH": "", "PROVISION_ENGINE": "path", "PROVISION_CACHE": str(tmp_path)}
    with pytest.raises(EngineUnavailable, match="PROVISION_ENGINE=path allows no other"):
        ensure_engine(progress=print, environ=environ)


def test_our_engine_in_front_of_path_is_known_as_ours(engine: Toolchain) -> None:
    """After `eval "$(provision engine env)"` the cached engine is on PATH; its receipt must still count."""
    if engine.source == "path":
        pytest.fail("this machine's own pulumi comes first on PATH; run with PROVISION_ENGINE=build")
    environ = {**os.environ, "PATH": f"{engine.directory}{os.pathsep}{os.environ['PATH']}"}
    assert ensure_engine(progress=print, environ=environ) == engine


def test_two_processes_do_not_build_at_once(tmp_path: Path) -> None:
    holder = (
        "from provision.engine.cache import exclusively\n"
        "with exclusively('engine', waiting=lambda: None):\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    environ = {**os.environ, "PROVISION_CACHE": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", holder], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        waited: list[str] = []

        def waiting() -> None:
            waited.append("told")
            print(file=other.stdin, flush=True)

        with exclusively("engine", waiting=waiting, environ=environ):
            assert waited == ["told"]


def test_the_language_host_beside_the_engine_is_of_this_checkout(engine: Toolchain, tmp_path: Path) -> None:
    """An engine cached by an older checkout must not go on with the older host."""
    if engine.source != "modules":
        pytest.fail("only a built engine has our language host; run with PROVISION_ENGINE=build")
    home = tmp_path / "engine" / engine.directory.parent.name
    shutil.copytree(engine.directory.parent, home, copy_function=os.link)
    host = home / "bin/pulumi-language-python-host.py"
    host.unlink()
    host.write_text("# older")
    assert cached_engine("modules", environ={"PROVISION_CACHE": str(tmp_path)}) is not None
    assert "LanguageHost" in host.read_text()


def test_the_module_file_builds_exactly_the_version_that_is_named() -> None:
    """A version bumped in one place only would build another engine than its receipt and directory say."""
    module = resources.files("provision.engine").joinpath("gomodule")
    lines = [line.strip() for line in module.joinpath("go.mod").read_text().splitlines() if line.strip()]
    assert f"require github.com/pulumi/pulumi/pkg/v3 v{ENGINE_VERSION}" in lines
    assert lines[0] == "module provision/engine"
    required = [line for line in lines if line.endswith("// indirect")]
    assert all(re.fullmatch(r"\S+\.\S+/?\S* v\S+ // indirect", line) for line in required)
    sums = module.joinpath("go.sum").read_text().splitlines()
    assert all(re.fullmatch(r"\S+ v\S+ h1:[A-Za-z0-9+/]{43}=", line) for line in sums)
    assert any(line.startswith(f"github.com/pulumi/pulumi/pkg/v3 v{ENGINE_VERSION} h1:") for line in sums)
