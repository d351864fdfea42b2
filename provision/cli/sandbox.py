"""``provision sandbox …``: the local Microsoft 365 tenant from the command line."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from provision.cli.sandbox_mail import add_mail
from provision.cli.sandbox_tenants import add_tenants
from provision.errors import InvalidInput, StateUnavailable, Unreachable, WouldOverwrite

_ENVIRONMENT: tuple[tuple[str, str], ...] = (
    ("SSL_CERT_FILE", "caFile"),
    ("REQUESTS_CA_BUNDLE", "caFile"),
    ("NODE_EXTRA_CA_CERTS", "caFile"),
    ("ARM_METADATA_HOSTNAME", "host"),
    ("AZURE_AUTHORITY_HOST", "baseUrl"),
    ("ARM_TENANT_ID", "tenantId"),
    ("AZURE_TENANT_ID", "tenantId"),
    ("ARM_CLIENT_ID", "adminClientId"),
    ("AZURE_CLIENT_ID", "adminClientId"),
    ("ARM_CLIENT_SECRET", "adminClientSecret"),
    ("AZURE_CLIENT_SECRET", "adminClientSecret"),
    ("PROVISION_SMTP_ADDRESS", "smtpAddress"),
    ("PROVISION_GOOGLE_SMTP_ADDRESS", "googleSmtpAddress"),
    ("PROVISION_GOOGLE_SMTPS_ADDRESS", "googleSmtpsAddress"),
    ("PROVISION_GOOGLE_API_URL", "googleApiUrl"),
)
"""Which variables ``env`` sets, from which entry of the ready line."""

_FOLLOW_SECONDS = 0.5


def add_commands(subparsers: Any) -> None:
    """Adds ``sandbox`` and its commands."""
    parser = subparsers.add_parser("sandbox", help="a Microsoft 365 tenant on this machine, to try everything against")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    start = _command(commands, "start", _start, "start the local tenant; Ctrl-C stops it")
    start.add_argument(
        "--port", type=_port, help="port; by default the last run's, else 8443 when free, else any free one; 0: any"
    )
    start.add_argument("--smtp-port", type=_port, help="port of SMTP submission; chosen likewise, 2587 instead of 8443")
    start.add_argument("--address", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    start.add_argument("--public-names", action="store_true", help="answer for Microsoft's own host names too")
    start.add_argument("--detach", action="store_true", help="return when ready and keep running in the background")
    start.add_argument("--json", action="store_true", help="print one JSON line when ready")
    start.add_argument("--until-stdin-ends", action="store_true", help="stop when standard input ends")

    _command(commands, "stop", _stop, "stop it; the tenants stay")
    status = _command(commands, "status", _status, "say whether it runs, and the weather")
    status.add_argument("--json", action="store_true", help="as JSON")
    _command(commands, "reset", _reset, "start over with one fresh tenant")
    log = _command(commands, "log", _log, "show the request log")
    log.add_argument("--json", action="store_true", help="one JSON object a line")
    log.add_argument("--follow", action="store_true", help="wait for more; Ctrl-C ends")
    environment = _command(commands, "env", _env, "print the lines that point a shell's tools at it")
    environment.add_argument("--unset", action="store_true", help="print the lines that undo it")

    faults = commands.add_parser("faults", help="make the weather: refusals, delays, lost answers, clock skew")
    actions = faults.add_subparsers(title="commands", metavar="COMMAND", required=True)
    shown = _command(actions, "list", _faults_list, "show rules, conditions and parked requests, as JSON")
    set_faults = _command(actions, "set", _faults_set, "replace the rules, change conditions")
    set_faults.add_argument(
        "faults", help='JSON, "-" for standard input: {"rules": […], "conditions": {…}, "limits": 1}'
    )
    for parser in (shown, set_faults):
        parser.add_argument("--tenant", metavar="TENANT", help="the rules of one tenant (its id or domain) alone")
    _command(actions, "clear", _faults_clear, "fair weather; parked requests go on")
    release = _command(actions, "release", _faults_release, "let parked requests go on")
    release.add_argument("--id", type=int, help="only this one")

    add_mail(commands, _command, _ask)

    add_tenants(commands, _command, _ask)


def _command(
    commands: Any, name: str, action: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.add_argument("--dir", type=Path, help="where the tenants live (default: the user's data directory)")
    parser.set_defaults(handler=lambda arguments: _translated(action, arguments))
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return port


def _translated(action: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Runs an action; the local tenant's own errors become the toolkit's."""
    from provision.sandbox import config

    try:
        return action(arguments)
    except config.AlreadyRunning as error:
        remedy = "`provision sandbox stop` stops it; --dir names another."
        raise WouldOverwrite(_sentence(error), remedy=remedy) from None
    except config.NotRunning as error:
        raise Unreachable(_sentence(error), remedy="`provision sandbox start` starts one.") from None
    except config.CannotListen as error:
        raise InvalidInput(_sentence(error), remedy="Choose another --port, or 0 for any free one.") from None
    except config.Refused as error:
        raise InvalidInput(_sentence(error)) from None
    except config.SandboxError as error:
        raise StateUnavailable(_sentence(error)) from None


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _directory(arguments: argparse.Namespace) -> Path:
    from provision.sandbox.config import default_directory

    chosen: Path = arguments.dir or default_directory()
    return chosen.expanduser().absolute()


def _ask(arguments: argparse.Namespace, method: str, name: str, body: Any = None) -> Any:
    from provision.sandbox.control_client import ControlClient
    from provision.sandbox.process import require_running

    return ControlClient(require_running(_directory(arguments))).ask(method, name, body)


def _start(arguments: argparse.Namespace) -> int:
    from provision.sandbox.config import ServerConfig, ServerState

    config = ServerConfig(
        _directory(arguments), arguments.port, arguments.address, arguments.public_names, arguments.smtp_port
    )

    def announce(state: ServerState) -> None:
        if arguments.json:
            print(json.dumps(state.ready_line()), flush=True)
        else:
            print(f"The local tenant {state.domain} ({state.tenant_id}) is ready at {state.base_url}")
            print(f"  its page:        {state.portal_url}")
            print(f"  takes mail at:   {state.smtp_address} (SMTP, STARTTLS)")
            print(f"  CA certificate:  {state.ca_file}")
            print('  for your shell:  eval "$(provision sandbox env)"', flush=True)

    if arguments.detach:
        from provision.sandbox.process import start_detached

        state, process = start_detached(config)
        process.returncode = 0  # it outlives this process; nobody waits for it
        announce(state)
        return 0

    from provision.sandbox.server import serve

    def ready(state: ServerState) -> None:
        announce(state)
        if not sys.stdout.isatty():
            # Whoever started the server has read the line and may be gone; later output has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    serve(config, when_ready=ready, lifeline=sys.stdin.fileno() if arguments.until_stdin_ends else None)
    return 0


def _stop(arguments: argparse.Namespace) -> int:
    from provision.sandbox.process import stop

    state = stop(_directory(arguments))
    print(f"Stopped the local tenant at {state.base_url}; its tenants stay in {_directory(arguments)}")
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from provision.sandbox.process import require_running

    state = require_running(_directory(arguments))
    status = _ask(arguments, "GET", "status")
    if arguments.json:
        ready = {name: value for name, value in state.ready_line().items() if name != "adminClientSecret"}
        print(json.dumps({**ready, **status}))
        return 0
    print(f"Running at {state.base_url} (process {state.pid}), {status['tenants']} tenant(s)")
    for rule in status["rules"]:
        print(f"  fault {rule['name']}: {rule['action']}, seen {rule['seen']}, hit {rule['hits']}")
    for name, value in status["conditions"].items():
        print(f"  {name}: {value:g} s")
    if status["limits"]:
        print(f"  Microsoft's service limits: {status['limits']:g} of each")
    if status["tenantsWithWeather"]:
        print(f"  tenants with weather of their own: {status['tenantsWithWeather']}")
    for held in status["held"]:
        print(
            f"  parked {held['id']}: {held['method']} {held['path']} ({held['phase']} the work, fault {held['rule']})"
        )
    return 0


def _reset(arguments: argparse.Namespace) -> int:
    fresh = _ask(arguments, "POST", "reset")
    print(f"A fresh tenant {fresh['domain']} ({fresh['tenant_id']}); its admin credentials are new")
    return 0


def _log(arguments: argparse.Namespace) -> int:
    since = 0
    while True:
        for line in _ask(arguments, "GET", f"log?since={since}"):
            since = line["n"]
            if arguments.json:
                print(json.dumps(line), flush=True)
            else:
                clock = time.strftime("%H:%M:%S", time.localtime(line["at"]))
                rest = " ".join(str(line[name]) for name in ("code", "fault") if line[name])
                print(f"{clock} {line['status']} {line['method']} {line['path']} {line['ms']:g} ms {rest}", flush=True)
        if not arguments.follow:
            return 0
        time.sleep(_FOLLOW_SECONDS)


def _env(arguments: argparse.Namespace) -> int:
    if arguments.unset:
        print("unset " + " ".join(name for name, _ in _ENVIRONMENT))
        return 0
    from provision.sandbox.process import require_running

    ready = require_running(_directory(arguments)).ready_line()
    ready["host"] = ready["baseUrl"].removeprefix("https://")
    for name, source in _ENVIRONMENT:
        print(f"export {name}={shlex.quote(ready[source])}")
    return 0


def _faults_of(arguments: argparse.Namespace) -> str:
    return f"tenants/{arguments.tenant}/faults" if arguments.tenant else "faults"


def _faults_list(arguments: argparse.Namespace) -> int:
    print(json.dumps(_ask(arguments, "GET", _faults_of(arguments)), indent=1))
    return 0


def _faults_set(arguments: argparse.Namespace) -> int:
    text = sys.stdin.read() if arguments.faults == "-" else arguments.faults
    try:
        faults = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"The faults are not JSON: {error}.") from None
    print(json.dumps(_ask(arguments, "PUT", _faults_of(arguments), faults), indent=1))
    return 0


def _faults_clear(arguments: argparse.Namespace) -> int:
    _ask(arguments, "DELETE", "faults")
    return 0


def _faults_release(arguments: argparse.Namespace) -> int:
    print(f"{_ask(arguments, 'POST', 'release', {'id': arguments.id})['released']} released")
    return 0
