"""No value of a client secret is anywhere but in the places that it was sent to, however closely one listens.

Every secret that the local tenant issues is a canary: the tenant tells the test each value, and all of them are looked
for in everything that the runs said, started, wrote, and removed again; runs that fail are among them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from eavesdropper import LISTENING, Eavesdropper, Heard, disguises, found_in
from tls_server import Reply, Request, TlsServer
from trial import PROVISION, Trial

from provision import errors
from provision.engine.cache import cache_root
from provision.sandbox import Sandbox

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def issued(tmp_path: Path) -> Path:
    return tmp_path / "issued"


@pytest.fixture
def telling(tmp_path: Path, issued: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A local tenant of its own, which writes down each secret that it issues."""
    monkeypatch.setenv("PYTHONPATH", str(LISTENING))
    monkeypatch.setenv("ISSUED", str(issued))
    with Sandbox(tmp_path / "tenant") as sandbox:
        monkeypatch.delenv("ISSUED")
        yield sandbox


@pytest.fixture
def trial(telling: Sandbox, tmp_path: Path) -> Iterator[Trial]:
    made = Trial(telling, tmp_path / "project")
    yield made
    made.close()


class Echo:
    """A product that takes no secret and answers with what it was sent."""

    def __call__(self, request: Request) -> Reply:
        if request.document["event"] == "client-secret.status":
            return Reply(200, {"keyId": None})
        return Reply(500, {"error": request.body.decode(), "detail": request.document})


def values(issued: Path, trial: Trial) -> set[str]:
    """Every secret issued but the administrator's own, which the user has in the environment."""
    own = trial.sandbox.first.admin_client_secret, trial.tenant.admin_client_secret
    return set(issued.read_text().split()) - set(own)


def test_a_secret_is_nowhere_but_where_it_was_sent(
    trial: Trial, telling: Sandbox, issued: Path, tmp_path: Path
) -> None:
    places = tmp_path / "places"
    places.mkdir(mode=0o700)
    ear = Eavesdropper(trial, tmp_path / "heard", cache_root())
    file, handoff = places / "mail.env", places / "handoff.txt"
    sinks = ["--sink", f"envfile:{file}", "--sink", f"file:{places}/secret"]

    def provision(*words: str, code: int = 0, **more: str) -> str:
        done = ear.run([str(PROVISION), *words, "--stack", "sweep"], **more)
        assert done.returncode == code, done.stderr[-3000:]
        return done.stdout

    def rotate(*words: str, code: int = 0, **more: str) -> str:
        return provision("rotate", "--overlap", "0s", *words, code=code, **more)

    up = ear.run([*trial.up_command(), *sinks])
    assert up.returncode == 0, up.stderr[-3000:]
    for line in ("PULUMI_DEBUG_GRPC is not passed on", "TF_LOG is not passed on", "PULUMI_OPTION_VERBOSE is 8"):
        assert up.stderr.count(line) == 1
    rotate("--now")
    provision("handoff", str(handoff))
    provision("outputs", "--json")
    telling.set_faults([{"action": "status", "status": 500, "match": {"path": "/removePassword$"}}])
    assert ear.run([str(PROVISION), "rotate", "--overlap", "0s", "--now", "--stack", "sweep"]).returncode != 0
    telling.clear_faults()
    rotate()
    provision("secrets", "move", "--to", "graph")
    rotate("--now")
    with TlsServer(Echo(), telling.directory) as echo:
        rotate(
            *("--now", *sinks, "--sink", f"webhook:{echo.url}/ACME"),
            code=errors.NotDelivered.exit_code,
            PROVISION_WEBHOOK_KEY=KEY,
        )
        assert any(b"client-secret.rotated" in request.body for request in echo.requests)
    rotate()
    telling.set_faults([{"action": "delay", "seconds": 3, "match": {"path": "/token$"}, "after_n": 1}])
    rotate("--now", code=errors.Interrupted.exit_code, stop_at="proving that it works")
    telling.set_faults([{"action": "status", "status": 403, "match": {"path": "/addPassword$"}}])
    assert ear.run([str(PROVISION), "rotate", "--now", "--stack", "sweep"]).returncode != 0
    telling.clear_faults()
    broken = ear.run([str(PROVISION), "rotate", "--now", "--overlap", "0s", "--stack", "sweep"], BREAK_SINKS="1")
    assert "nobody foresaw this" in broken.stderr
    assert "Traceback" in broken.stderr
    rotate()
    provision("secrets", "move", "--to", "state")
    provision("preview", "--expect-no-changes")
    provision("secrets", "status", "--json")

    canaries = values(issued, trial)
    assert len(canaries) >= 7
    assert file.read_text().strip().partition("=")[2] in canaries
    heard = list(ear.everything(telling.directory))
    require_that_all_was_heard(ear, heard)
    of_the_sinks = re.compile(rf"{places}/\S+( \(gone\))?")
    assert {where: n for where, n in found_in(heard, canaries).items() if not of_the_sinks.fullmatch(where)} == {}
    assert sorted(entry.name for entry in places.iterdir()) == ["handoff.txt", "mail.env", "secret"]


def require_that_all_was_heard(ear: Eavesdropper, heard: list[Heard]) -> None:
    """Silence proves nothing where nobody listened."""
    where = [one.where for one in heard]
    logged = b"".join(one.content for one in heard if Path(one.where).name.startswith("log-"))
    for library in (b"azure.identity", b"httpx", b"httpcore", b"msal", b"asyncio"):
        assert library in logged, f"{library!r} logged nothing"
    processes = [one for one in where if one.startswith("process ")]
    for program in ("pulumi --non-interactive", "pulumi-language-python", "provision.standin|pulumi-resource-azuread"):
        assert any(re.search(program, line) for line in processes), f"{program} was not seen: {processes}"
    started = b"".join(one.content for one in heard if Path(one.where).name.startswith("started-"))
    assert b"ARM_CLIENT_SECRET" in started, "the administrator's own, to the plugin: so environments are seen"
    for name in (
        "log.INFO",
        "pulumi-trace",
        "server.log",
        "tenants.sqlite",
        "provision-journal",
        ".json.bak",
        "(gone)",
    ):
        assert any(name in one for one in where), f"{name} was not searched"


@pytest.mark.parametrize("wrap", ["plain {}", '{{"v":"{}"}}', "x={}&y", "ab{}cd"])
def test_each_disguise_is_seen_through(wrap: str) -> None:
    value = "abC8Q~0123456789.0123456789_0123456789-A"
    text = wrap.format(value).encode()
    for told in (text, base64.b64encode(text), base64.urlsafe_b64encode(text), text.hex().encode()):
        assert found_in([Heard("here", told)], [value]) == {"here": 1}, told
    assert found_in([Heard("here", wrap.format(value[:-1]).encode())], [value]) == {}
    assert len(disguises(value)) >= 8
