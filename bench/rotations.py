"""Kill sweeps of rotations, of secrets and of certificates: SIGKILL at every request and write, then one more run.

Owns: a registration under rotation with its places, the points at which a run is killed, and what counts as lost. Does
not own: how the lines are printed (``sweep``), the wrapped command (``runner``).

A point is *lost* when a place's secret did not work at any moment (it is tried about ten times a second from before the
kill to the end), the next run failed, or the run after that still had something to do. *Orphaned* are client secrets
beside the one in use, and files beside the places.
"""

from __future__ import annotations

import base64
import functools
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from runner import STAGES
from trial import PROVISION, Trial, kill_tree, trusting

from provision.sandbox import Sandbox

RUNNER = Path(__file__).with_name("runner.py")
WATCHER = "sweep-watcher"
OTHERS = {"client": f"^(?!{WATCHER})"}
"""Every request but the watcher's own."""
GRAPH_POSTS = {"method": "POST", "path": r"^/(v1\.0|beta)/"}
"""The requests of a rotation that change anything."""
RIVAL = "sweep-rival"
LEASE_HELD = 8
"""The exit code of a run that finds another at work (docs/exit-codes.md)."""
_KILLED = -signal.SIGKILL
_EXPECTED = (0, LEASE_HELD, _KILLED)
_TURNS = 8
Kind = Literal["graph", "stack", "certificate"]


@dataclass(frozen=True)
class Point:
    """One kill, and what was wrong after it."""

    at: str
    lost: tuple[str, ...] = ()
    orphaned: int = 0


class Registration:
    """A registration whose secret is in an env file and in a file of its own, and is rotated without an overlap.

    Args:
        sandbox: the server.
        folder: a new folder.
        kind: made by hand and rotated through Graph, its client secret or its certificate (in two files of its own),
            or a stack with its slots in the state.
        plugin: PROVISION_AZUREAD_PLUGIN.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, kind: Kind, *, plugin: str) -> None:
        self.sandbox = sandbox
        self.trial = Trial(sandbox, folder, plugin=plugin)
        self._places = folder / "places"
        self._places.mkdir(mode=0o700)
        self._kind: Kind = kind
        self._env, self._file = self._places / "mail.env", self._places / "secret"
        first = "file" if kind == "certificate" else "envfile"
        sinks = ("--sink", f"{first}:{self._env}", "--sink", f"file:{self._file}")
        self._words: tuple[str, ...] = ("rotate", "--stack", "sweep", "--overlap", "0s")
        if kind == "graph":
            self.client_id = self.trial.click()
            self._words = ("rotate", "--client-id", self.client_id, "--overlap", "0s", *sinks)
        elif kind == "certificate":
            self.client_id = self.trial.click()
            self.trial.add_certificate(self.client_id, "clicked")
            self._words = ("credential", "certificate", "--client-id", self.client_id, "--overlap", "0s", *sinks)
        else:
            self.trial.run([*self.trial.up_command(), *sinks]).check_returncode()
            self.client_id = str(self.trial.outputs()["clientId"])
        self._foreign = set[str]() if kind == "stack" else {"clicked"}
        self.again().check_returncode()

    def close(self) -> None:
        """Removes the folder."""
        self.trial.close()

    def words(self, *more: str) -> list[str]:
        """The command's words after the program."""
        return [*self._words, *more]

    def command(self, *more: str) -> list[str]:
        """The command."""
        return [str(PROVISION), *self.words(*more)]

    def again(self) -> subprocess.CompletedProcess[str]:
        """The run after a kill: the same command, and nobody asks for another rotation."""
        return self.trial.run(self.command())

    def settle(self) -> None:
        """Rotates once to the end when the journal still looks for a lost secret, so that each point begins alike."""
        for journal in (self.trial.project / "data").glob("**/provision-journal/**/*.json"):
            body = json.loads(journal.read_text())["document"]["body"]
            if body.get("certificate", body)["suspects"] is not None:
                self.trial.run(self.command("--now")).check_returncode()

    def values(self) -> list[str]:
        """The secret as each place has it now."""
        if self._kind == "certificate":
            return [file.read_text().strip() for file in (self._env, self._file)]
        lines = self._env.read_text().splitlines()
        return [lines[-1].removeprefix("MAIL_CLIENT_SECRET="), self._file.read_text().strip()]

    def credentials(self) -> list[str]:
        """The names of what the registration has of the kind that is rotated."""
        app = next(a for a in self.trial.get("/applications?$top=999") if a["appId"] == self.client_id)
        held = app["keyCredentials" if self._kind == "certificate" else "passwordCredentials"]
        return [one["displayName"] for one in held]

    def proof(self, value: str) -> dict[str, str]:
        """What a client shows at the token endpoint for one of ``values``."""
        if self._kind != "certificate":
            return {"client_secret": value}
        login = f"{self.sandbox.base_url}/{self.trial.tenant.tenant_id}"
        return assertion(value, self.client_id, f"{login}/oauth2/v2.0/token")

    def leftovers(self) -> int:
        """Secrets of ours beside one, and files beside the places."""
        ours = [name for name in self.credentials() if name not in self._foreign]
        files = [file for file in self._places.iterdir() if file not in (self._env, self._file)]
        return len(ours) - 1 + len(files)

    def troubles(self) -> Iterator[str]:
        """What is wrong once the run after the kill has ended."""
        settled = self.again()
        if settled.returncode or not settled.stdout.startswith("not due: "):
            yield f"the run after that said: {settled.stdout.strip()} {settled.stderr.strip()}"
        if self._foreign - set(self.credentials()):
            yield "a secret that somebody else made is gone"
        if self._kind == "stack":
            told = self.trial.outputs()
            if told["secretSlots"] != [told["secretSlot"]] or {told["clientSecret"]} != set(self.values()):
                yield f"the stack's outputs name {told['secretSlots']}, {told['secretSlot']} in use"


def assertion(pem: str, client_id: str, audience: str) -> dict[str, str]:
    """A signed client assertion, as a product makes it from a private key and its certificate."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    thumbprint = base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "nbf": now,
        "exp": now + 300,
        "jti": str(uuid.uuid4()),
    }
    signed = jwt.encode(
        claims, pem.partition("-----BEGIN CERT")[0], algorithm="PS256", headers={"x5t#S256": thumbprint}
    )
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return {"client_assertion": signed, "client_assertion_type": kind}


@dataclass
class Watch:
    """Tries the secret of each place again and again, in a thread; a context manager.

    A secret that is refused counts only when the place still holds it after the refusal: a reader that comes in the
    moment of a rotation without an overlap reads once more.
    """

    registration: Registration
    gaps: list[str] = field(default_factory=list)

    def __enter__(self) -> Watch:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        sandbox = self.registration.sandbox
        headers = {"user-agent": WATCHER}
        try:
            with httpx.Client(
                base_url=sandbox.base_url, verify=trusting(sandbox), headers=headers, trust_env=False
            ) as client:
                while not self._ended.wait(0.05):
                    self.look(client)
        except BaseException as failure:
            self.gaps.append(f"the watch ended: {failure!r}")
            raise

    def look(self, client: httpx.Client) -> None:
        """One look at every place."""
        before = self.registration.values()
        for place, value in enumerate(before):
            if not self._works(client, value) and self.registration.values()[place] == value:
                self.gaps.append(f"the secret of place {place} does not work")

    def _works(self, client: httpx.Client, value: str) -> bool:
        trial = self.registration.trial
        form = {"grant_type": "client_credentials", "client_id": self.registration.client_id}
        form |= {"scope": f"{trial.sandbox.base_url}/.default", **self.registration.proof(value)}
        return client.post(f"/{trial.tenant.tenant_id}/oauth2/v2.0/token", data=form).status_code == 200


Kill = Callable[[Registration], bool]
"""Starts a rotation and kills it; False when it ended before."""


def at_requests(action: str, match: dict[str, str]) -> Iterator[tuple[str, Kill]]:
    """A kill at each HTTP request in turn: ``hold_before`` it took effect, or ``hold_after``, its answer lost.

    Args:
        action: which of the two.
        match: which requests count.
    """
    for at in count():
        rule = {"name": "kill", "action": action, "match": match, "after_n": at, "count": 1}
        yield f"{action} request {at}", functools.partial(_killed_at_request, rule=rule)


def _killed_at_request(one: Registration, rule: dict[str, Any]) -> bool:
    return one.trial.killed_at(one.command("--now"), one.trial.environment, rule)


def at_writes(stage: str) -> Iterator[tuple[str, Kill]]:
    """A kill at each write of the journal and of the places in turn."""
    for at in count():
        yield f"{stage} write {at}", functools.partial(_killed_at_write, stage=stage, at=at)


def _killed_at_write(one: Registration, stage: str, at: int) -> bool:
    done = subprocess.run(
        [sys.executable, str(RUNNER), "kill", stage, str(at), *one.words("--now")],
        cwd=one.trial.project,
        env=one.trial.environment,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == _KILLED:
        return True
    if done.returncode or int(done.stdout.split()[-1]) > at:
        raise AssertionError(f"{stage} write {at}: ended with {done.returncode}: {done.stdout} {done.stderr}")
    return False


def lane_points(kind: Kind, lane: str) -> Iterator[tuple[str, Kill]]:
    """The points of one of ``LANES``.

    A stack's rotation takes four engine runs, so there a request that changes nothing is a point once, after it: before
    it, everything is the same.
    """
    if lane in STAGES:
        return at_writes(lane)
    return at_requests(lane, GRAPH_POSTS if kind == "stack" and lane == "hold_before" else OTHERS)


LANES = ("hold_before", "hold_after", *STAGES)
"""Where a run is killed, each a sequence of points."""


def points(kind: Kind, lane: str, folder: Path, *, plugin: str) -> Iterator[Point]:
    """Kills a rotation at each point of a lane in turn, on one registration that lives on from point to point.

    Args:
        kind: of the registration.
        lane: one of ``LANES``.
        folder: where to work.
        plugin: PROVISION_AZUREAD_PLUGIN.
    """
    with Sandbox(folder / "tenant") as sandbox:
        one: Registration | None = None
        for number, (at, kill) in enumerate(lane_points(kind, lane)):
            one = one or Registration(sandbox, folder / f"{lane}-{number}", kind, plugin=plugin)
            one.settle()
            with Watch(one) as watch:
                if not kill(one):
                    break
                again = one.again()
            point = judged(one, at, watch, again)
            if point.lost or point.orphaned:
                one.close()
                one = None
            yield point
        if one is not None:
            one.close()


def judged(one: Registration, at: str, watch: Watch, again: subprocess.CompletedProcess[str]) -> Point:
    """What a point left after the next run."""
    lost = list(dict.fromkeys(watch.gaps))
    if again.returncode:
        lost.append(f"the next run ended with {again.returncode}: {again.stderr.strip()}")
    else:
        lost += one.troubles()
    return Point(at, tuple(lost), one.leftovers())


def races(kind: Kind, action: str, folder: Path, *, plugin: str) -> Iterator[Point]:
    """Two runners at the same moment; one of them is killed at each of its requests in turn.

    Which of them gets the lease is left to chance. Where the one that is to be killed ended early because the other had
    it, what they left is judged, and the same is tried again with a little more of a start.

    Args:
        kind: of the registration.
        action: ``hold_before`` or ``hold_after``.
        folder: where to work.
        plugin: PROVISION_AZUREAD_PLUGIN.
    """
    with Sandbox(folder / "tenant") as sandbox:
        one: Registration | None = None
        at, turn, rival = 0, 0, LEASE_HELD
        while rival != 0:  # else it had fewer requests
            one = one or Registration(sandbox, folder / f"{action}-{at}-{turn}", kind, plugin=plugin)
            one.settle()
            rule = {"name": "kill", "action": action, "match": {"client": RIVAL}, "after_n": at, "count": 1}
            with Watch(one) as watch:
                rival, other = raced(one, rule, start=turn * 0.15)
                again = one.again()
            point = judged(one, f"{action} request {at} of a race", watch, again)
            unexpected = [f"a runner ended with {code}" for code in (rival, other) if code not in _EXPECTED]
            if turn == _TURNS:
                unexpected.append(f"in {_TURNS} races the one to be killed had ended before")
            point = Point(point.at, (*unexpected, *point.lost), point.orphaned)
            if rival == _KILLED or point.lost or point.orphaned:
                yield point
                at, turn = at + 1, 0
            else:
                turn += 1
            if point.lost or point.orphaned:
                one.close()
                one = None
        if one is not None:
            one.close()


def raced(one: Registration, rule: dict[str, Any], *, start: float) -> tuple[int, int]:
    """Starts both, kills the rival where the rule parks it, and waits for the other: their exit codes.

    Args:
        one: the registration.
        rule: parks one of the rival's requests.
        start: how much earlier the rival starts, seconds.
    """
    one.sandbox.set_faults([rule])

    def started(command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=one.trial.project,
            env=one.trial.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    try:
        rival = started([sys.executable, str(RUNNER), "name", RIVAL, *one.words("--now")])
        time.sleep(start)
        other = started([sys.executable, str(RUNNER), "name", "sweep-other", *one.words("--now")])
        while rival.poll() is None:
            if one.sandbox.status()["held"]:
                kill_tree(rival)
            else:
                time.sleep(0.02)
    finally:
        one.sandbox.clear_faults()
    return rival.wait(), other.wait()
