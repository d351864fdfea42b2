"""Which azuread plugin a target gets, and that the stand-in can never serve another than the local tenant."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from provision.engine.plugin import choose_plugin, is_local, package_version, user_home
from provision.engine.toolchain import Toolchain
from provision.errors import EngineUnavailable, InvalidInput


@pytest.fixture
def no_download(tmp_path: Path) -> Toolchain:
    """An engine whose `plugin install` always fails, counting the attempts."""
    fake = tmp_path / "bin/pulumi"
    fake.parent.mkdir()
    fake.write_text(
        f"#!/bin/sh\necho tried >> {tmp_path / 'attempts'}\n"
        "echo 'warning: Error downloading plugin: Get https://get.pulumi.com/x: dial tcp: no such host' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    return Toolchain(fake, "3.259.0", "path", None)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PROVISION_CACHE": str(tmp_path / "cache")}


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:8443", True),
        ("127.0.0.1", True),
        ("127.9.9.9:1", True),
        ("[::1]:8443", True),
        ("::1", True),
        ("LOCALHOST", True),
        (None, False),
        ("", False),
        ("login.microsoftonline.com", False),
        ("localhost.example.com", False),
        ("localhost.:8443", False),
        ("10.0.0.1:8443", False),
        ("[2001:db8::1]:443", False),
    ],
)
def test_only_loopback_is_local(host: str | None, local: bool) -> None:
    assert is_local(host) is local


def test_auto_takes_the_stand_in_for_the_local_tenant_and_says_so(
    no_download: Toolchain, environ: dict[str, str]
) -> None:
    choice = choose_plugin(no_download, metadata_host="localhost:8443", progress=print, environ=environ)
    assert choice.kind == "offline"
    assert "stand-in" in choice.notice
    assert choice.home is not None
    assert not choice.home.is_relative_to(user_home(environ)), "the stand-in must never lie in the user's Pulumi home"
    launcher = choice.home / f"plugins/resource-azuread-v{package_version()}/pulumi-resource-azuread"
    assert os.access(launcher, os.X_OK)
    assert "-m provision.standin" in launcher.read_text()


def test_a_target_at_microsoft_never_gets_the_stand_in(
    no_download: Toolchain, environ: dict[str, str], tmp_path: Path
) -> None:
    for setting in ({}, {"PROVISION_AZUREAD_PLUGIN": "real"}, {"PROVISION_AZUREAD_PLUGIN": "offline"}):
        with pytest.raises(EngineUnavailable):
            choose_plugin(no_download, metadata_host=None, progress=print, environ=environ | setting)
    with pytest.raises(EngineUnavailable, match="could not be downloaded: no such host"):
        choose_plugin(no_download, metadata_host=None, progress=print, environ=environ)


def test_a_failed_download_is_remembered_unless_the_real_one_is_asked_for(
    no_download: Toolchain, environ: dict[str, str], tmp_path: Path
) -> None:
    for _ in range(3):
        choose_plugin(no_download, metadata_host="localhost", progress=print, environ=environ)
    assert (tmp_path / "attempts").read_text().count("tried") == 1
    with pytest.raises(EngineUnavailable):
        choose_plugin(
            no_download,
            metadata_host="localhost",
            progress=print,
            environ=environ | {"PROVISION_AZUREAD_PLUGIN": "real"},
        )
    assert (tmp_path / "attempts").read_text().count("tried") == 2


def test_a_real_plugin_of_the_user_comes_first(no_download: Toolchain, environ: dict[str, str], tmp_path: Path) -> None:
    real = tmp_path / f".pulumi/plugins/resource-azuread-v{package_version()}/pulumi-resource-azuread"
    real.parent.mkdir(parents=True)
    real.touch()
    choice = choose_plugin(no_download, metadata_host="localhost", progress=print, environ=environ)
    assert (choice.kind, choice.notice) == ("real", "")
    assert not (tmp_path / "attempts").exists()


def test_the_stand_ins_home_is_not_taken_for_the_users(no_download: Toolchain, environ: dict[str, str]) -> None:
    """After `eval "$(provision engine env)"` PULUMI_HOME is the stand-in's; a later run must not take it for real."""
    offline = choose_plugin(no_download, metadata_host="localhost", progress=print, environ=environ)
    after = environ | {"PULUMI_HOME": str(offline.home)}
    assert user_home(after) == user_home(environ)
    with pytest.raises(EngineUnavailable):
        choose_plugin(no_download, metadata_host=None, progress=print, environ=after)


def test_the_engine_finds_the_stand_in_without_a_warning(engine: Toolchain, tmp_path: Path) -> None:
    environ = {**os.environ, "PROVISION_AZUREAD_PLUGIN": "offline"}
    choice = choose_plugin(engine, metadata_host="localhost", progress=print, environ=environ)
    listed = subprocess.run(
        [str(engine.command), "plugin", "ls"],
        env={**environ, "PULUMI_HOME": str(choice.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"azuread  resource  {package_version()}" in " ".join(listed.stdout.split("\n")).replace("   ", "  ")
    assert "warning" not in listed.stdout + listed.stderr


def test_a_setting_that_means_nothing_is_refused(no_download: Toolchain) -> None:
    with pytest.raises(InvalidInput, match="PROVISION_AZUREAD_PLUGIN is 'fake'"):
        choose_plugin(
            no_download, metadata_host="localhost", progress=print, environ={"PROVISION_AZUREAD_PLUGIN": "fake"}
        )
