"""A product that sends a mail every 100 ms while its client secret is rotated under weather: no send may fail.

``rotate-under-weather KIND rotations N sends N failed N orphaned N``. Owns: the registration, the sender, the weather
and what counts. Does not own: the rotation, which is the ``provision`` command, a new process each time.

The sample product reads the secret anew for each mail, from the env file that ``provision rotate`` writes (company
``FILE``) or as the webhook brought it (company ``HOOK``), redeems the user's refresh token with it at the token
endpoint, and calls sendMail. Nothing is kept between two mails, so a secret that does not work is a mail that fails.

What is in the weather, and for whom:

- Entra's slowness to know a new secret (``replication_delay``, another one for each rotation, 0 to 3 s: the 0 to 30 s
  that are seen, at a tenth like the overlap of 2 s) is for everybody, the product as well: this is what a rotation has
  to wait for. Four servers answer token requests in turns, each slow in its own way: one accepts what the next refuses.
- 429, 5xx, dropped requests, lost answers and slow ones hit whatever is not the product or its sender: Graph and the
  token endpoint as the command and the engine see them, and the product's webhook. The product does not get them,
  because a mail that Graph refuses with 503 says nothing about the rotation, and the sample product tries once.

A run of the command that the weather ends is run again, as a pipeline would; a rotation counts once the product's
secret is another one, the run ended with 0, and the former one is retired.
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal

import httpx
import visitor
from trial import GRAPH, NAME, PROVISION, Trial, trusting

from provision.sandbox import Sandbox

EVERY = 0.1
"""Seconds between two mails."""
VARIABLE = "MAIL_CLIENT_SECRET"
OVERLAP = 2
"""Seconds; a mail that has begun with the old secret ends within them."""
DELAY = 3.0
"""The longest time after which Entra knows a new secret, seconds."""
SERVERS = 4
"""That sign in."""
TRIES = 12
"""Runs of the command for one rotation, at most."""
SENDER = "gapless-sender"
PRODUCT = "Sample TMS"
"""How the product names itself on the wire (``provision/sandbox/product/microsoft.py``)."""
OTHERS = rf"^(?!{SENDER}|{PRODUCT})"
PLACES = r"^/(v1\.0|beta)/|/oauth2/v2\.0/token$|/Services/ClientSecret$"
_WEATHER: tuple[dict[str, Any], ...] = (
    {"action": "status", "status": 429, "retry_after": 1, "probability": 0.03},
    {"action": "status", "status": 503, "retry_after": 1, "probability": 0.02},
    {"action": "status", "status": 500, "probability": 0.01},
    {"action": "status", "status": 504, "probability": 0.01},
    {"action": "drop_before", "probability": 0.01},
    {"action": "drop_after", "probability": 0.03},
    {"action": "delay", "seconds": 0.3, "probability": 0.03},
)
Kind = Literal["graph", "stack"]


@dataclass(frozen=True)
class Sent:
    """One mail."""

    number: str
    """Its subject."""
    seconds: float
    problem: str = ""
    """Why it was not sent."""


class Sender:
    """Has the product send a mail every 100 ms, for each company in turn, whether the last one is through or not.

    A context manager; ``sent`` is complete once it is left.

    Args:
        sandbox: where the product is.
        companies: the company codes.
        to: the receiver.
    """

    def __init__(self, sandbox: Sandbox, companies: tuple[str, ...], to: str) -> None:
        self.sent: list[Sent] = []
        self._companies, self._to = companies, to
        self._http = httpx.Client(
            base_url=sandbox.base_url,
            verify=trusting(sandbox),
            trust_env=False,
            timeout=30,
            headers={"User-Agent": SENDER},
        )
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._http.close()

    def _run(self) -> None:
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            for turn in count():
                if self._ended.wait(max(0.0, began + turn * EVERY - time.monotonic())):
                    return
                company = self._companies[turn % len(self._companies)]
                pool.submit(self._send, company, f"{company} {turn}")

    def _send(self, company: str, subject: str) -> None:
        began, problem = time.monotonic(), ""
        try:
            mail = {"to": self._to, "subject": subject, "body": "Loading in Riga at 8:00."}
            answer = self._http.post(f"/_product/{company}/send", json=mail)
            problem = "" if answer.status_code == 200 else answer.text
        except Exception as failure:  # noqa: BLE001 - a mail that was not sent, whatever the reason
            problem = repr(failure)
        self.sent.append(Sent(subject, time.monotonic() - began, problem))


class Shop:
    """A registration, the product that uses it, and the command that rotates its secret.

    Args:
        sandbox: the server.
        folder: a new folder.
        kind: made by hand and rotated through Graph, its secret in a file and at the webhook; or a stack whose state
            holds it, and a file.
        plugin: PROVISION_AZUREAD_PLUGIN.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, kind: Kind, *, plugin: str = "auto") -> None:
        self.sandbox, self.kind = sandbox, kind
        self.trial = Trial(sandbox, folder, plugin=plugin)
        self.file = folder / "mail.env"
        self.companies: tuple[str, ...] = ("FILE", "HOOK") if kind == "graph" else ("ACME",)
        key = "whsec_" + base64.b64encode(os.urandom(32)).decode()
        self.trial.environment["PROVISION_WEBHOOK_KEY"] = key
        self._sinks = ["--sink", f"envfile:{self.file}"]
        if kind == "graph":
            self.client_id = self._register()
            self._words = ["--client-id", self.client_id]
        else:
            self._completed([*self.trial.up_command(), *self._sinks])
            self.client_id = str(self.trial.outputs()["clientId"])
            self._words = ["--stack", "sweep"]
        ids = {"tenantId": self.trial.tenant.tenant_id, "clientId": self.client_id}
        with self._http() as http:
            self._configure(http, self.companies[0], ids | {"secretFile": str(self.file)})
            if kind == "graph":
                self._configure(http, "HOOK", ids | {"webhookKey": key})
                self._sinks += ["--sink", f"webhook:{sandbox.base_url}/HOOK/Services/ClientSecret"]
            self._completed(self.command())
            for company in self.companies:
                visitor.connect(http, company, *self._user("ada"))

    def _configure(self, http: httpx.Client, company: str, settings: dict[str, str]) -> None:
        http.post(f"/_product/{company}/settings", json=settings).raise_for_status()

    def _http(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.sandbox.base_url,
            verify=trusting(self.sandbox),
            trust_env=False,
            headers={"User-Agent": SENDER},
        )

    def _completed(self, command: list[str]) -> None:
        done = self.trial.run(command)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.returncode} {done.stderr}")

    def _user(self, alias: str) -> tuple[str, str]:
        return next(user for user in self.trial.tenant.users.items() if user[0].startswith(f"{alias}@"))

    def _register(self) -> str:
        """A registration as the product's manual says, with the consent of an administrator and no secret yet."""
        callbacks = [f"{self.sandbox.base_url}/{code}/Services/Office365Callback.aspx" for code in self.companies]
        body = {"displayName": NAME, "signInAudience": "AzureADMyOrg", "web": {"redirectUris": callbacks}}
        app = self.trial.request("POST", "/applications", body).raise_for_status().json()
        principal = self.trial.request("POST", "/servicePrincipals", {"appId": app["appId"]}).raise_for_status().json()
        grant = {"clientId": principal["id"], "consentType": "AllPrincipals", "scope": "Mail.Send User.Read"}
        grant["resourceId"] = self.trial.get(f"/servicePrincipals?$filter=appId eq '{GRAPH}'")[0]["id"]
        self.trial.request("POST", "/oauth2PermissionGrants", grant).raise_for_status()
        return str(app["appId"])

    def command(self, *more: str) -> list[str]:
        """``provision rotate`` to the end of the overlap."""
        return [str(PROVISION), "rotate", *self._words, *self._sinks, "--overlap", f"{OVERLAP}s", "--wait", *more]

    def sender(self) -> Sender:
        """A sender of this shop's companies."""
        return Sender(self.sandbox, self.companies, self._user("bob")[0])

    def secrets(self) -> list[dict[str, Any]]:
        """The registration's client secrets."""
        app = next(a for a in self.trial.get("/applications?$top=999") if a["appId"] == self.client_id)
        listed: list[dict[str, Any]] = app["passwordCredentials"]
        return listed

    def arrived(self) -> set[str]:
        """Subjects in the receiver's inbox."""
        found: set[str] = set()
        path = f"/users/{self._user('bob')[0]}/mailFolders/inbox/messages?$select=subject&$top=999"
        while path:
            page = self.trial.request("GET", path).raise_for_status().json()
            found |= {message["subject"] for message in page["value"]}
            path = page.get("@odata.nextLink", "").partition("/v1.0")[2]
        return found

    def rotate(self, weather: random.Random) -> tuple[bool, int]:
        """One rotation in a weather of its own.

        Args:
            weather: draws it.

        Returns:
            Whether it was finished, and how often the command was run.
        """
        rules = [
            {**rule, "name": f"{rule['action']}-{rule.get('status', '')}", "match": {"client": OTHERS, "path": PLACES}}
            | {"seed": weather.randrange(2**32)}
            for rule in _WEATHER
        ]
        delay = weather.choice((0.0, weather.uniform(0, DELAY)))
        before = self.file.read_text()
        self.sandbox.clear_faults()
        self.grow_old(delay)
        self.sandbox.set_faults(
            rules, replication_delay=delay, sign_in_servers=SERVERS, sign_in_seed=weather.randrange(2**32)
        )
        for run in range(1, TRIES + 1):
            rotated = self.file.read_text() != before
            done = self.trial.run(self.command() if rotated else self.command("--now"))
            if done.returncode == 0 and self.file.read_text() != before and self.retired(done.stdout):
                return True, run
            if "Traceback" in done.stderr or done.returncode < 0:
                print(f"  run {run} ended with {done.returncode}: {done.stderr}", file=sys.stderr, flush=True)
                return False, run
            time.sleep(OVERLAP)
        print(f"  after {TRIES} runs: {done.returncode} {done.stderr}", file=sys.stderr, flush=True)
        return False, TRIES

    def retired(self, said: str) -> bool:
        """Whether the last run left no old secret for the next one."""
        return "still works, for the overlap" not in said

    def grow_old(self, delay: float) -> None:
        """Waits until every secret is older than a delay: Entra does not forget what it knew."""
        newest = max(datetime.fromisoformat(secret["startDateTime"]).timestamp() for secret in self.secrets())
        time.sleep(max(0.0, newest + 1 + delay - time.time()))


@dataclass
class Outcome:
    """What a trial showed."""

    rotations: int = 0
    runs: int = 0
    sent: list[Sent] = field(default_factory=list)
    lost: int = 0
    """Mails that the product calls sent and that did not arrive."""
    orphaned: int = 0
    """Client secrets beside the one in use."""

    @property
    def problems(self) -> list[str]:
        """Why mails failed."""
        return [f"{mail.number}: {mail.problem}" for mail in self.sent if mail.problem]

    @property
    def failed(self) -> int:
        """Mails that were not sent, or did not arrive."""
        return len(self.problems) + self.lost


def under_weather(kind: Kind, rotations: int, folder: Path, *, seed: int, plugin: str = "auto") -> Outcome:
    """Rotates again and again while the product sends.

    Args:
        kind: of the registration.
        rotations: how many.
        folder: where to work.
        seed: of the weather.
        plugin: PROVISION_AZUREAD_PLUGIN.
    """
    outcome, weather = Outcome(), random.Random(seed)
    with Sandbox(folder / "tenant") as sandbox:
        shop = Shop(sandbox, folder / "shop", kind, plugin=plugin)
        with shop.sender() as sender:
            for _ in range(rotations):
                finished, runs = shop.rotate(weather)
                outcome.rotations += finished
                outcome.runs += runs
            sandbox.clear_faults()
        outcome.sent = sender.sent
        shop.trial.run(shop.command())  # looks once more for what a lost answer left
        outcome.orphaned = len(shop.secrets()) - 1
        outcome.lost = len({mail.number for mail in sender.sent if not mail.problem} - shop.arrived())
        shop.trial.close()
    return outcome


def main() -> int:
    """Runs the trial; exit code 1 when a mail failed, a secret was left over, or a rotation did not end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rotations", type=int, default=200)
    parser.add_argument("--kind", choices=("graph", "stack"), default="graph")
    parser.add_argument("--plugin", default="auto", choices=("auto", "real", "offline"))
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gapless-") as folder:
        found = under_weather(
            arguments.kind, arguments.rotations, Path(folder), seed=arguments.seed, plugin=arguments.plugin
        )
    for problem in found.problems[:20]:
        print(f"  {problem}", file=sys.stderr)
    took = sorted(mail.seconds for mail in found.sent)
    times = f"a send takes {took[len(took) // 2]:.2f} s, the slowest {took[-1]:.2f} s"
    print(
        f"rotate-under-weather {arguments.kind} rotations {found.rotations} sends {len(found.sent)} "
        f"failed {found.failed} orphaned {found.orphaned}  ({found.runs} runs; {times})",
        flush=True,
    )
    return 0 if found.rotations == arguments.rotations and not found.failed and not found.orphaned else 1


if __name__ == "__main__":
    sys.exit(main())
