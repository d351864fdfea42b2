"""``provision engine``: which Pulumi this machine has, how to get one, and the environment for plain ``pulumi``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from provision.cli.progress import progress
from provision.errors import EngineUnavailable, InvalidInput

_PULUMI_KEY = "azuread:metadataHost"


def add_commands(subparsers: Any) -> None:
    """Adds ``engine status|env|build|verify``."""
    engine = subparsers.add_parser("engine", help="the Pulumi engine on this machine: state, environment, build")
    commands = engine.add_subparsers(title="commands", metavar="COMMAND", required=True)

    status = commands.add_parser("status", help="which engine, plugin and state a run would use; gets nothing")
    status.add_argument("--json", action="store_true", help="as JSON")
    status.set_defaults(handler=_status)

    env = commands.add_parser(
        "env", help='the environment for plain pulumi: eval "$(provision engine env)", then pulumi up'
    )
    env.add_argument("--stack", help="read the target (local tenant or Microsoft) from this stack's configuration")
    env.add_argument("--backend", metavar="URL", help="where the state is kept, as Pulumi names it")
    env.set_defaults(handler=_env)

    build = commands.add_parser("build", help="build the engine from Go modules now, even if there is one")
    build.set_defaults(handler=_build)

    verify = commands.add_parser("verify", help="hash the cached engine and compare it with its receipt")
    verify.set_defaults(handler=_verify)


def _status(arguments: argparse.Namespace) -> int:
    from provision.engine.cache import cache_root, engine_home
    from provision.engine.plugin import NAME, package_version, user_home
    from provision.engine.state import open_state
    from provision.engine.toolchain import cached_engine, engine_on_path

    found = (
        engine_on_path(progress=progress(), environ=os.environ)
        or cached_engine("installer", environ=os.environ)
        or cached_engine("modules", environ=os.environ)
    )
    state = open_state()
    version = package_version()
    installed = (user_home() / "plugins" / f"resource-{NAME}-v{version}").is_dir()
    rows = {
        "engine": str(found.command) if found else "none yet; the first run gets one",
        "version": found.version if found else "",
        "source": found.source if found else "",
        "sha256": found.receipt.sha256 if found and found.receipt else "",
        "cache": str(cache_root()),
        "built engine": str(engine_home("modules")),
        "azuread plugin": f"{version}, {'installed' if installed else 'not installed'} in {user_home()}",
        "state": state.shown,
        "passphrase": state.passphrase_from,
    }
    if arguments.json:
        print(json.dumps({name.replace(" ", "_"): value for name, value in rows.items()}, indent=2))
    else:
        width = max(map(len, rows))
        for name, value in rows.items():
            if value:
                print(f"{name:<{width}}  {value}")
    return 0


def _env(arguments: argparse.Namespace) -> int:
    from provision.engine.environment import engine_environment, export_lines
    from provision.engine.plugin import choose_plugin
    from provision.engine.state import open_state
    from provision.engine.toolchain import ensure_engine

    show = progress()
    toolchain = ensure_engine(progress=show)
    state = open_state(arguments.backend)
    plugin = None
    try:
        plugin = choose_plugin(toolchain, metadata_host=_metadata_host(arguments.stack), progress=show)
        notice = plugin.notice
    except EngineUnavailable as missing:  # the shell may be for a stack without it, or for another target
        notice = str(missing)
    if notice:
        print(f"provision: {notice}", file=sys.stderr)
    variables = engine_environment(toolchain, state, plugin)
    # What the shell has already is not repeated: a backend's URL of the user's may hold a password.
    print(export_lines({name: value for name, value in variables.items() if os.environ.get(name) != value}), end="")
    return 0


def _metadata_host(stack: str | None) -> str | None:
    """Where the plugin will look its cloud up: the environment, else the stack's configuration."""
    import yaml

    if host := os.environ.get("ARM_METADATA_HOSTNAME"):
        return host
    file = Path(f"Pulumi.{stack}.yaml")
    if stack is None or not file.exists():
        return None
    try:
        host = ((yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("config") or {}).get(_PULUMI_KEY)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError):
        raise InvalidInput(f"{file.name} is not a stack's configuration.", remedy="Correct the file.") from None
    return str(host) if host else None


def _build(_arguments: argparse.Namespace) -> int:
    from provision.engine.cache import exclusively
    from provision.engine.gobuild import build_engine
    from provision.engine.toolchain import cached_engine, verify_engine

    show = progress()
    with exclusively("engine", waiting=lambda: show("waiting: another process gets the engine")):
        home = build_engine(progress=show)
    built = cached_engine("modules")
    print(f"{home / 'bin' / 'pulumi'}  sha256 {verify_engine(built) if built else '?'}")
    return 0


def _verify(_arguments: argparse.Namespace) -> int:
    from provision.engine.toolchain import ensure_engine, verify_engine

    toolchain = ensure_engine(progress=progress())
    digest = verify_engine(toolchain)
    against = (
        "as its receipt says" if toolchain.receipt else "not of this cache, so there is no receipt to compare with"
    )
    print(f"{toolchain.command}  sha256 {digest}  ({against})")
    return 0
