"""What workers are given to do in the tests of executors: small pieces of real trouble. Importable in a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from provision.fleet.executors.child import deadline
from provision.fleet.outcome import Failure, Outcome

_SLEEPER = "import time; time.sleep(300)"


def hand(document: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Does what the job's option ``do`` says, within the limit."""
    with deadline(limit):
        options = document["options"]
        note = _DOING[options["do"]](options)
    return Outcome(document["tenant"]["key"], document["action"], "changed", notes=(note,)).document()


def look(document: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Looks at a shard's tenants; at one whose key begins with ``kill`` nobody looks and lives."""
    with deadline(limit):
        keys = [row["key"] for row in document["tenants"]]
        if any(key.startswith("kill") for key in keys):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(key.startswith("slow") for key in keys):
            time.sleep(3)
        return {"outcomes": [_seen(key).document() for key in keys]}


def _seen(key: str) -> Outcome:
    if key.startswith("dark"):
        return Outcome(key, "audit", "failed", failure=Failure("Unreachable", "No network.", "", 7))
    return Outcome(key, "audit", "unchanged")


def _name(_options: Mapping[str, Any]) -> str:
    return str(os.getpid())


def _crash(_options: Mapping[str, Any]) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "outlived"


def _leave_an_engine(options: Mapping[str, Any]) -> str:
    """Starts what an engine's session is: a process in a session of its own, with a child in another; then as told."""
    starting = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {_SLEEPER!r}], "
    starting += "start_new_session=True); open(sys.argv[1], 'w').close(); time.sleep(300)"
    ready = Path(options["folder"], "ready")
    subprocess.Popen([sys.executable, "-c", starting, str(ready)], start_new_session=True)
    while not ready.exists():
        time.sleep(0.02)
    if options.get("then"):
        return _DOING[options["then"]](options)
    return ""


def _put_down(options: Mapping[str, Any]) -> str:
    """Puts something into a temporary folder, says where, and goes on as told."""
    place = Path(tempfile.mkdtemp(prefix="provision-a-"))
    (place / "certificate.pfx").write_text("private")
    Path(options["folder"], "place").write_text(str(place))
    return _DOING[options["next"]](options)


def _hang(_options: Mapping[str, Any]) -> str:
    time.sleep(300)
    return "outlived"


def _linger(options: Mapping[str, Any]) -> str:
    """Goes on for a while and leaves a trace in the end."""
    Path(options["folder"], "begun").touch()
    time.sleep(float(options["seconds"]))
    Path(options["folder"], "done").touch()
    return ""


def _stumble(_options: Mapping[str, Any]) -> str:
    raise OSError(28, "No space left on device")


_DOING = {
    "stumble": _stumble,
    "name": _name,
    "crash": _crash,
    "leave": _leave_an_engine,
    "hang": _hang,
    "put down": _put_down,
    "linger": _linger,
}
