"""Each change is told once, by a signed webhook and by mail over STARTTLS, whatever dies meanwhile."""

from __future__ import annotations

import base64
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from sqlalchemy import update
from standardwebhooks import Webhook as Standard
from tls_server import Reply, Request, TlsServer

from provision.errors import InvalidInput, NotDelivered, SignInFailed, Unreachable
from provision.fleet import watch
from provision.fleet.alerts import Alert, Message, Webhook, open_mail, open_webhooks
from provision.fleet.coordinator import Ended
from provision.fleet.outcome import Failure, Finding, Outcome
from provision.fleet.store import FleetStore, LeaseLost, Run, open_fleet_store
from provision.fleet.store.tables import RUNS
from provision.fleet.tenant import Tenant
from provision.fleet.watch import State, Watcher, changes
from provision.sandbox import Sandbox
from provision.sandbox.tls import Certificates

NOW = datetime(2026, 11, 26, tzinfo=UTC)
MONTH = timedelta(days=30)
WORD = "0123456789abcdef"
"""In the webhook's address: the right to send."""
KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
WEB = Finding("redirect-web", "error", "The redirect is another.", "provision fleet up --only a")
NAME = Finding("name", "warning", "The name is another.")
REFUSED = Failure("SignInFailed", "The secret has expired.", "Make another.", 4)


def good(key: str = "a", days: int = 300) -> Outcome:
    ends = (NOW + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Outcome(key, "audit", "unchanged", verdict="unchanged", secret_ends=ends)


def drifted(key: str = "a", *findings: Finding) -> Outcome:
    return Outcome(key, "audit", "pending", verdict="drifted", findings=findings or (WEB,))


def failed(key: str = "a", failure: Failure = REFUSED) -> Outcome:
    return Outcome(key, "audit", "failed", failure=failure)


def told(*rounds: Outcome, before: State | None = None) -> list[list[str]]:
    """The kinds that each of several audits of one tenant makes known."""
    state: State = before or {}
    kinds = []
    for outcome in rounds:
        alerts, state = changes(state, [outcome], within=MONTH, now=NOW)
        kinds.append([alert.kind for alert in alerts])
    return kinds


THROTTLED = failed(failure=Failure("Throttled", "Later.", "", 7, throttled=True))


@pytest.mark.parametrize(
    ("rounds", "kinds"),
    [
        ([good(), good()], [[], []]),
        ([drifted(), drifted(), good(), good()], [["drift"], [], ["recovered"], []]),
        ([drifted(), drifted("a", WEB, NAME), drifted("a", NAME, WEB)], [["drift"], ["drift"], []]),
        ([failed(), failed(), drifted(), good()], [["failed"], [], ["drift"], ["recovered"]]),
        ([failed(), failed(failure=Failure("NotPermitted", "x", "", 5))], [["failed"], ["failed"]]),
        ([drifted(), THROTTLED, Outcome("a", "audit", "not-tried"), drifted()], [["drift"], [], [], []]),
        ([good(days=31), good(days=30), good(days=30)], [[], ["secret-ends"], []]),
        ([good(days=5), failed(), good(days=5)], [["secret-ends"], ["failed"], ["recovered"]]),
        ([good(days=5), good(days=-1), good(days=400)], [["secret-ends"], ["secret-ended"], ["recovered"]]),
    ],
    ids=range(9),
)
def test_only_changes_are_told(rounds: list[Outcome], kinds: list[list[str]]) -> None:
    assert told(*rounds) == kinds


def test_a_tenant_that_the_audit_did_not_have_is_as_it_was() -> None:
    _, state = changes({}, [drifted("a"), drifted("b")], within=MONTH, now=NOW)
    alerts, after = changes(state, [drifted("b")], within=MONTH, now=NOW)
    assert (alerts, after) == ([], state)


# Rounds on a real store; what the audit sees is each test's.


@dataclass
class Told:
    """A channel that remembers."""

    name: str = "one"
    messages: list[Message] = field(default_factory=list)
    before: Callable[[Message], None] = lambda _message: None
    after: Callable[[Message], None] = lambda _message: None

    def send(self, message: Message) -> None:
        self.before(message)
        self.messages.append(message)
        self.after(message)

    @property
    def kinds(self) -> list[list[tuple[str, str]]]:
        return [[(alert.key, alert.kind) for alert in message.alerts] for message in self.messages]


@dataclass
class Fleet:
    """A fleet whose audits see what a test says."""

    store: FleetStore
    seen: list[Outcome] = field(default_factory=list)
    ended: Ended | None = None
    lines: list[str] = field(default_factory=list)
    keys: str = "ab"

    def rows(self) -> Sequence[Tenant]:
        return [Tenant(key, f"{key}.example") for key in self.keys]

    def look(self, run: Run) -> Ended:
        self.store.record(run.id, self.seen)
        return self.ended or Ended({outcome.status: 1 for outcome in self.seen})

    def watcher(self, *channels: Any, **options: Any) -> Watcher:
        return Watcher(
            self.store, "north", self.rows, self.look, channels, within=MONTH, say=self.lines.append, **options
        )


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(open_fleet_store(f"sqlite://{tmp_path}/fleet.db", environ={}))


def test_what_was_told_is_known_to_the_next_watcher(fleet: Fleet) -> None:
    channel = Told()
    fleet.seen = [drifted("a"), good("b")]
    for _ in range(2):
        with fleet.watcher(channel) as watcher:
            watcher.round()
    assert channel.kinds == [[("a", "drift")]]
    assert sum("a: drift" in line for line in fleet.lines) == 1
    fleet.seen = [good("a"), failed("b")]
    with fleet.watcher(channel) as watcher:
        watcher.round()
    assert channel.kinds[1:] == [[("a", "recovered"), ("b", "failed")]]
    assert all(run.ended for run in fleet.store.runs("north"))


def test_audits_stay_as_long_as_was_asked_and_what_others_did_stays(fleet: Fleet) -> None:
    up = fleet.store.begin("north", "up", fleet.rows(), {})
    fleet.store.end(up)
    fleet.seen = [good("a"), good("b")]
    with fleet.watcher(keep=timedelta(days=30)) as watcher:
        first, second = watcher.round(), watcher.round()
    assert [run.id for run in fleet.store.runs("north")] == [second.run, first.run, up.id]
    with fleet.watcher(keep=timedelta(0)) as watcher:
        third = watcher.round()
    assert [run.id for run in fleet.store.runs("north")] == [third.run, up.id]


def test_a_channel_that_fails_is_told_later_and_the_others_not_twice(fleet: Fleet) -> None:
    def refuse(_message: Message) -> None:
        raise Unreachable("no answer")

    well, ill = Told("well"), Told("ill", before=refuse)
    fleet.seen = [drifted("a")]
    with fleet.watcher(well, ill) as watcher:
        assert [name for name, _ in watcher.round().undelivered] == ["ill"]
        fleet.seen = [good("a")]
        watcher.round()
    ill.before = lambda _message: None
    with fleet.watcher(well, ill) as watcher:
        assert watcher.round().undelivered == []
    assert well.kinds == ill.kinds == [[("a", "drift")], [("a", "recovered")]]


def test_what_could_not_be_told_for_a_month_is_given_up_in_one_line(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_message: Message) -> None:
        raise NotDelivered("nobody of that name")

    gone, well = Told("gone", before=refuse), Told("well")
    fleet.seen = [drifted("a")]
    with fleet.watcher(gone, well) as watcher:
        watcher.round()
        assert len(watcher.round().undelivered) == 1
        assert not [line for line in fleet.lines if "given up" in line]
        monkeypatch.setattr(watch, "LONGEST_TRIED", timedelta(0))
        watcher.round()
        assert watcher.round().undelivered == []
    (line,) = [line for line in fleet.lines if "given up" in line]
    assert line.startswith("gone could not be told")
    assert well.kinds == [[("a", "drift")]]
    assert fleet.store.watching.take("north").document["outbox"] == []


def test_a_watcher_that_is_killed_after_sending_sends_the_same_message_again(fleet: Fleet) -> None:
    class Killed(BaseException):
        pass

    def die(_message: Message) -> None:
        raise Killed

    channel = Told(after=die)
    fleet.seen = [drifted("a")]
    with pytest.raises(Killed), fleet.watcher(channel) as watcher:
        watcher.round()
    channel.after = lambda _message: None
    with fleet.watcher(channel) as watcher:
        watcher.round()
        watcher.round()
    assert channel.kinds == [[("a", "drift")]] * 2
    assert len({message.id for message in channel.messages}) == 1


def test_a_cause_that_hits_all_is_one_change(fleet: Fleet) -> None:
    from provision.fleet.breaker import Cause

    channel = Told()
    offline = Failure("Unreachable", "No network.", "", 7)
    fleet.seen = [good("a"), failed("b", offline)]
    fleet.ended = Ended({"failed": 1, "not-tried": 1}, causes=((Cause("Unreachable", ""), offline),))
    with fleet.watcher(channel) as watcher:
        watcher.round()
        watcher.round()
        fleet.ended, fleet.seen = None, [good("a"), failed("b", REFUSED)]
        watcher.round()
    assert channel.kinds == [[("", "failed")], [("b", "failed"), ("", "recovered")]]


def test_a_fleet_file_that_cannot_be_read_is_told_and_the_watching_goes_on(fleet: Fleet) -> None:
    channel = Told()
    fleet.seen = [good("a")]
    rows = fleet.rows

    def broken() -> Sequence[Tenant]:
        raise InvalidInput("tenants.yaml is no YAML.")

    fleet.rows = broken  # type: ignore[method-assign]
    with fleet.watcher(channel) as watcher:
        assert watcher.round().run is None
        watcher._rows = rows
        watcher.round()
    assert channel.kinds == [[("", "failed")], [("", "recovered")]]


def test_a_row_that_is_gone_is_nobodys_concern_any_more(fleet: Fleet) -> None:
    channel = Told()
    fleet.seen = [drifted("a"), drifted("b")]
    with fleet.watcher(channel) as watcher:
        watcher.round()
        fleet.keys, fleet.seen = "b", [drifted("b")]
        watcher.round()
        fleet.keys, fleet.seen = "ab", [drifted("a"), drifted("b")]
        watcher.round()
    assert channel.kinds == [[("a", "drift"), ("b", "drift")], [("a", "drift")]]


def test_many_changes_are_several_messages(fleet: Fleet) -> None:
    channel = Told()
    fleet.rows = lambda: [Tenant(f"k{n:03}", f"k{n}.example") for n in range(450)]  # type: ignore[method-assign]
    fleet.seen = [drifted(f"k{n:03}") for n in range(450)]
    with fleet.watcher(channel) as watcher:
        watcher.round()
    assert [len(message.alerts) for message in channel.messages] == [200, 200, 50]


def test_rounds_follow_each_other_until_it_is_stopped(fleet: Fleet) -> None:
    channel = Told()
    fleet.seen = [drifted("a")]
    with fleet.watcher(channel) as watcher:
        threading.Timer(1.5, watcher.stop).start()
        watcher.every(timedelta(seconds=0.3))
    assert 3 <= len(fleet.store.runs("north")) <= 6
    assert channel.kinds == [[("a", "drift")]]


def test_what_could_not_be_told_is_tried_between_two_audits(fleet: Fleet) -> None:
    calls: list[float] = []

    def refuse_twice(_message: Message) -> None:
        calls.append(time.monotonic())
        if len(calls) < 3:
            raise Unreachable("no answer")

    channel = Told(before=refuse_twice)
    fleet.seen = [drifted("a")]
    watch.LONGEST_WAIT, before = timedelta(seconds=0.2), watch.LONGEST_WAIT
    try:
        with fleet.watcher(channel) as watcher:
            channel.after = lambda _message: watcher.stop()
            watcher.every(timedelta(minutes=5))
    finally:
        watch.LONGEST_WAIT = before
    assert (len(calls), channel.kinds, len(fleet.store.runs("north"))) == (3, [[("a", "drift")]], 1)


def test_a_watcher_that_another_has_followed_tells_nothing_more(fleet: Fleet) -> None:
    channel = Told()
    fleet.seen = [drifted("a")]
    look = fleet.look

    def followed(run: Run) -> Ended:
        fleet.store.watching.leave(watcher._watch)
        fleet.store.watching.take("north")
        return look(run)

    fleet.look = followed  # type: ignore[method-assign]
    with pytest.raises(LeaseLost), fleet.watcher(channel) as watcher:
        watcher.every(timedelta(seconds=0.1))
    assert channel.messages == []
    assert len(fleet.store.runs("north")) == 1


# The ways to tell, over real connections.


class Relay:
    """A mail relay that asks for TLS and a sign-in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        certificates = Certificates(folder)
        certificates.ensure("127.0.0.1")
        self.ca_file = certificates.ca_file
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server_file, certificates.server_key_file)
        self.letters: list[EmailMessage] = []
        self.refuse: str | None = None
        self.stranger = ""
        """Whom it does not know."""
        self.parting = "221 Bye"
        self.controller = Controller(
            self,
            hostname="127.0.0.1",
            port=_free_port(),
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=self._authenticate,
        )

    @staticmethod
    def _authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=(data.login, data.password) == (b"watch", b"pass word"), handled=False)

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:
        if address == self.stranger:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuse:
            return self.refuse
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:
        return self.parting

    @property
    def url(self) -> str:
        return f"smtp://localhost:{self.controller.port}"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "SSL_CERT_FILE": str(self.ca_file),
            "PROVISION_ALERT_SMTP_USER": "watch",
            "PROVISION_ALERT_SMTP_PASSWORD": "pass word",
        }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[Relay]:
    made = Relay(tmp_path / "relay")
    made.controller.start()
    yield made
    made.controller.stop()


MESSAGE = Message(
    "fleet-1",
    "north",
    "2026-11-26T09:00:00Z",
    (Alert("a", "drift", "Another\r\nBcc: all@example.com", "provision fleet up"), Alert("b", "recovered", "Well.")),
)


def test_mail_goes_over_tls_with_a_sign_in_and_nothing_becomes_a_header(relay: Relay) -> None:
    (mail,) = open_mail(relay.url, "watch@msp.example", ["ops@msp.example"], relay.environ)
    mail.send(MESSAGE)
    (letter,) = relay.letters
    assert letter["Subject"] == "Fleet north: 1 drift, 1 recovered"
    assert letter["Message-ID"] == "<fleet-1@msp.example>"
    assert letter["Bcc"] is None
    assert "a: drift: Another Bcc: all@example.com provision fleet up\r\n" in letter.get_content()
    assert "pass word" not in repr(mail)


@pytest.mark.parametrize(
    ("change", "refuse", "error"),
    [
        ({"PROVISION_ALERT_SMTP_PASSWORD": "wrong"}, None, SignInFailed),
        ({"SSL_CERT_FILE": ""}, None, Unreachable),
        ({}, "554 5.7.1 not from you", NotDelivered),
        ({}, "451 4.3.0 later", Unreachable),
    ],
)
def test_a_relay_that_refuses_ends_in_one_sentence(
    relay: Relay, change: dict[str, str], refuse: str | None, error: type[Exception]
) -> None:
    relay.refuse = refuse
    environ = {name: value for name, value in {**relay.environ, **change}.items() if value}
    with pytest.raises(error, match="localhost"):
        open_mail(relay.url, "watch@msp.example", ["ops@msp.example"], environ)[0].send(MESSAGE)
    assert relay.letters == []


def test_a_relay_that_goes_down_after_it_has_taken_a_letter_has_taken_it(relay: Relay) -> None:
    relay.parting = "421 4.3.2 going down"
    (mail,) = open_mail(relay.url, "watch@msp.example", ["ops@msp.example"], relay.environ)
    mail.send(MESSAGE)
    assert len(relay.letters) == 1


def test_a_recipient_who_is_refused_is_tried_again_alone(fleet: Fleet, relay: Relay) -> None:
    """Those whose mail was taken have been told; nobody gets the same letter twice."""
    to = ["first@msp.example", "new@msp.example", "last@msp.example"]
    relay.stranger = "new@msp.example"
    fleet.seen = [drifted("a")]
    for _ in range(2):
        with fleet.watcher(*open_mail(relay.url, "watch@msp.example", to, relay.environ)) as watcher:
            ((name, why),) = watcher.round().undelivered
        assert name == "mail new@msp.example"
        assert isinstance(why, NotDelivered)
        assert "550 5.1.1 nobody of that name" in why.message
    assert sorted(letter["To"] for letter in relay.letters) == ["first@msp.example", "last@msp.example"]
    relay.stranger = ""
    with fleet.watcher(*open_mail(relay.url, "watch@msp.example", to, relay.environ)) as watcher:
        assert watcher.round().undelivered == []
    assert sorted(letter["To"] for letter in relay.letters) == sorted(to)
    assert len({letter["Message-ID"] for letter in relay.letters}) == 1


@pytest.mark.parametrize(
    ("relay_url", "sender", "environ"),
    [
        ("http://relay", "a@b.example", {}),
        ("smtp://user:secret@relay", "a@b.example", {}),
        ("smtp://relay:x", "a@b.example", {}),
        ("smtp://relay", "a@b.example\r\nBcc: c@d.example", {}),
        ("smtp://relay", "a@b.example", {"PROVISION_ALERT_SMTP_USER": "u"}),
    ],
)
def test_a_wrong_relay_is_refused_before_anything_is_watched(
    relay_url: str, sender: str, environ: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_mail(relay_url, sender, ["x@y.example"], environ)
    assert "secret" not in str(refused.value)


class Receiver:
    """A webhook that checks each signature by the standard's own library."""

    def __init__(self, folder: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.ids: list[str] = []
        self.status = [200]
        self.arrived: Callable[[], None] = lambda: None
        self.server = TlsServer(self._answer, folder)

    def _answer(self, request: Request) -> Reply:
        status = self.status.pop(0) if len(self.status) > 1 else self.status[0]
        self.ids.append(request.headers["webhook-id"])
        self.arrived()
        self.events.append(Standard(KEY).verify(request.body, dict(request.headers)))
        return Reply(status)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path / "tls")
    with made.server:
        yield made


def open_webhook(place: str, environ: dict[str, str]) -> Webhook:
    (opened,) = open_webhooks([place], environ)
    return opened


def test_a_webhook_takes_a_signed_message_and_is_asked_again_when_busy(receiver: Receiver) -> None:
    environ = {"SSL_CERT_FILE": str(receiver.server.ca_file), "PROVISION_ALERT_KEY": KEY}
    hook = open_webhook(f"{receiver.server.url}/hook", environ)
    receiver.status = [503, 204]
    hook.send(MESSAGE)
    assert receiver.ids == ["fleet-1", "fleet-1"]
    data = receiver.events[-1]["data"]
    assert (data["fleet"], [(one["key"], one["kind"]) for one in data["changes"]]) == (
        "north",
        [("a", "drift"), ("b", "recovered")],
    )
    for status, error in ((401, SignInFailed), (404, NotDelivered), (302, NotDelivered)):
        receiver.status = [status]
        with pytest.raises(error):
            hook.send(MESSAGE)
    with pytest.raises(InvalidInput):
        open_webhook("http://plain.example/hook", environ)
    with pytest.raises(InvalidInput):
        open_webhook("https://there.example/hook", {})


def test_a_webhooks_name_tells_one_address_from_another_and_no_secret_in_it() -> None:
    """It is kept in the store and told to whoever reads the log."""

    def opened(word: str) -> Webhook:
        environ = {"PROVISION_ALERT_KEY": KEY, "HOOK": f"https://there.example/hook/{word}?sig={word}"}
        return open_webhook("env:HOOK", environ)

    one, same, other = (opened(word).name for word in ("hush", "hush", "hu5h"))
    assert one == same != other
    assert one.startswith("webhook https://there.example ")
    assert "hush" not in one + repr(opened("hush"))


SLACK = "https://hooks.slack.example/services/T0123/B0123/aB3dE5gH7jK9mN1pQ3sT5vW7"


def test_an_address_comes_from_the_environment_or_a_private_file(tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text(f"{SLACK}\nhttps://second.example/x?sig=1\n")
    file.chmod(0o600)
    environ = {"PROVISION_ALERT_KEY": KEY, "HOOK": SLACK}
    assert [one.url for one in open_webhooks(["env:HOOK"], environ)] == [SLACK]
    both = [SLACK, "https://second.example/x?sig=1"]
    assert [one.url for one in open_webhooks([f"file:{file}", "env:HOOK"], environ)] == both
    assert [one.url for one in open_webhooks([], environ | {"PROVISION_ALERT_WEBHOOK_FILE": str(file)})] == both
    given = environ | {"PROVISION_ALERT_WEBHOOK": both[1]}
    assert [one.url for one in open_webhooks(["https://plain.example/fleet"], given)] == [
        "https://plain.example/fleet",
        both[1],
    ]
    assert open_webhooks([], environ) == []


@pytest.mark.parametrize(
    "place",
    [
        SLACK,
        "https://prod-1.logic.example/workflows/x?sig=hush",
        "https://me:hush@there.example/",
        "https://there.example/hook/7f9c2ba4-0d1e-4c57-9c43-6f2f0a3b8f11",
        "https://discord.example/api/webhooks/1/a_1-aB3dE5gH7jK9mN1pQ3sT5vW7",
        "env:MISSING",
        "env:https://there.example/hush",
        "env:",
        "file:https://there.example/hush?sig=hush",
        "file:/nowhere/hook",
        "there.example/hush",
        "https://[hush",
        "https://there.example:hush/",
        "http://there.example/hush",
        "",
    ],
)
def test_an_address_that_is_not_right_or_not_in_its_place_is_refused_and_not_told(place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        open_webhooks([place], {"PROVISION_ALERT_KEY": KEY})
    assert "hush" not in str(refused.value)
    assert "aB3dE5" not in str(refused.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(SLACK)
    (tmp_path / "hook").chmod(0o644)
    with pytest.raises(InvalidInput, match="can be read or written by others"):
        open_webhooks([f"file:{tmp_path}/hook"], {"PROVISION_ALERT_KEY": KEY})


# The command, against the local tenant.


@pytest.fixture
def project(sandbox: Sandbox, tmp_path: Path, receiver: Receiver, relay: Relay) -> dict[str, str]:
    """A fleet file of two tenants; the environment of its command."""
    both = tmp_path / "both.pem"
    both.write_text("".join(file.read_text() for file in (sandbox.ca_file, receiver.server.ca_file, relay.ca_file)))
    environ = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "share"), "SSL_CERT_FILE": str(both)}
    environ |= relay.environ | {"SSL_CERT_FILE": str(both), "PROVISION_ALERT_KEY": KEY}
    environ["HOOK"] = f"{receiver.server.url}/hook/{WORD}"
    environ["PROVISION_FLEET_STORE"] = f"sqlite://{tmp_path}/fleet.db"
    rows, credentials = [], {}
    for key in ("a", "b"):
        local = sandbox.new_tenant()
        environ[f"SECRET_{key.upper()}"] = local.admin_client_secret
        secret = f"env:SECRET_{key.upper()}"
        credentials[key] = {"method": "client-secret", "clientId": local.admin_client_id, "secret": secret}
        rows.append({"key": key, "tenant": local.tenant_id, "companyCode": f"C{key}", "credential": key})
    host = sandbox.base_url.removeprefix("https://")
    document = {"fleet": "north", "defaults": {"metadataHost": host}, "credentials": credentials, "tenants": rows}
    (tmp_path / "tenants.yaml").write_text(yaml.safe_dump(document))
    return environ


def command(relay: Relay, *more: str) -> list[str]:
    mail = ["--mail-relay", relay.url, "--mail-from", "watch@msp.example", "--mail-to", "ops@msp.example"]
    return [
        *(sys.executable, "-m", "provision", "fleet", "watch", "--webhook", "env:HOOK"),
        *(*mail, *more),
    ]


def test_the_command_tells_what_changed_between_two_audits(
    project: dict[str, str], tmp_path: Path, receiver: Receiver, relay: Relay
) -> None:
    def once(**environ: str) -> tuple[int, str]:
        done = subprocess.run(
            command(relay, "--once"),
            cwd=tmp_path,
            env={**project, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    code, out = once()
    assert code == 0, out
    assert [(one["key"], one["kind"]) for one in receiver.events[-1]["data"]["changes"]] == [
        ("a", "drift"),
        ("b", "drift"),
    ]
    assert [letter["Subject"] for letter in relay.letters] == ["Fleet north: 2 drift"]
    store = open_fleet_store(environ={"PROVISION_FLEET_STORE": project["PROVISION_FLEET_STORE"]})
    (old,) = store.runs("north")
    aged = update(RUNS).values(ended=RUNS.c.ended - timedelta(days=31).total_seconds())
    store._database.write(lambda connection, _again: connection.execute(aged) and None)
    code, out = once()
    assert (code, len(receiver.events), len(relay.letters)) == (0, 1, 1), out
    assert old.id not in {run.id for run in store.runs("north")}, "a watch that nobody tends grows for ever"
    code, out = once(SECRET_B="wrong")
    assert code == 0, out
    (change,) = receiver.events[-1]["data"]["changes"]
    assert (change["key"], change["kind"]) == ("b", "failed")
    relay.refuse = "451 4.3.0 later"
    code, out = once()
    assert code == NotDelivered.exit_code, out
    relay.refuse = None
    assert once()[0] == 0
    assert [letter["Subject"] for letter in relay.letters][2:] == ["Fleet north: 1 drift"]
    assert KEY not in out
    assert "pass word" not in out
    assert WORD not in out
    told = b"".join(file.read_bytes() for file in tmp_path.glob("fleet.db*"))
    assert told
    assert WORD.encode() not in told


def test_an_address_with_a_word_on_the_command_line_is_refused(
    project: dict[str, str], tmp_path: Path, receiver: Receiver
) -> None:
    words = [sys.executable, "-m", "provision", "fleet", "watch", "--once", "--webhook", project["HOOK"]]
    done = subprocess.run(words, cwd=tmp_path, env=project, capture_output=True, text=True, check=False)
    assert done.returncode == InvalidInput.exit_code, done.stderr
    assert "PROVISION_ALERT_WEBHOOK" in done.stderr
    assert WORD not in done.stderr + done.stdout
    assert receiver.ids == []


def test_the_watcher_is_one_and_ends_by_sigterm(
    project: dict[str, str], tmp_path: Path, receiver: Receiver, relay: Relay
) -> None:
    words = command(relay, "--every", "1m")
    watcher = subprocess.Popen(
        words, cwd=tmp_path, env=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        until = time.monotonic() + 60
        while not relay.letters and time.monotonic() < until:
            time.sleep(0.1)
        second = subprocess.run(words, cwd=tmp_path, env=project, capture_output=True, text=True, check=False)
        assert second.returncode == 8, second.stderr
        assert "is watched already: by process" in second.stderr
        watcher.send_signal(signal.SIGTERM)
        out, err = watcher.communicate(timeout=20)
    finally:
        watcher.kill()
    assert watcher.returncode == 0, err
    assert "audited 2 pending; 2 changed" in out
    assert "Traceback" not in err


def test_a_watcher_killed_while_it_tells_tells_the_same_again_and_nothing_is_lost(
    project: dict[str, str], tmp_path: Path, receiver: Receiver, relay: Relay
) -> None:
    """SIGKILL when the webhook has the message and the watcher has no answer yet; the mail was noted before."""
    process: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        process[0].kill()

    receiver.arrived = kill
    words = command(relay, "--once")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process.append(subprocess.Popen(words, cwd=tmp_path, env=project, **quiet))
    assert process[0].wait(timeout=60) == -signal.SIGKILL
    assert (len(receiver.ids), len(relay.letters)) == (1, 1)
    receiver.arrived = lambda: None
    for _ in range(2):
        done = subprocess.run(words, cwd=tmp_path, env=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1
    assert [letter["Message-ID"] for letter in relay.letters] == [f"<{receiver.ids[0]}@msp.example>"]
    runs = open_fleet_store(environ={"PROVISION_FLEET_STORE": project["PROVISION_FLEET_STORE"]}).runs("north")
    assert all(run.ended for run in runs)
