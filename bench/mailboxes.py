"""10,000 mailboxes, 100 of them wrong: ``provision smtp-auth`` against one cmdlet for each mailbox.

Both sides go through the same client and the same local tenant, whose answers come after the same delay: a network's
way to Exchange Online and back, which this machine has not. The slow side reads every mailbox by itself and sets the
wrong ones, as scripts do (by ids: the local tenant takes longer to find an address among so many); it runs on a sample,
from which its time for all is counted up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trial import PROVISION, environment, kill_tree

from provision.microsoft.credentials import sign_in
from provision.microsoft.exchange import Exchange
from provision.sandbox import Sandbox, Tenant
from provision.settings import credential
from provision.settings.endpoints import read_metadata

MANY, FEW, WRONG, SAMPLE = 10_000, 1_000, 100, 200
DELAY_SECONDS = 0.1
PAGE = 1000
SPEED_GOAL = 1 / 50
Line = Callable[[str, float, float, str], bool]


@dataclass(frozen=True)
class Run:
    """One command, measured."""

    seconds: float
    mebibytes: float
    """The most memory that it held."""
    requests: int
    """To Exchange Online."""
    document: dict[str, Any]


def mailboxes(folder: Path, line: Line) -> list[bool]:
    """Every comparison of this module.

    Args:
        folder: for the tenant and records; new.
        line: prints one and says whether its goal is met.
    """
    with Sandbox(folder / "tenant") as sandbox:
        few = _Organization(sandbox, folder / "few", FEW)
        many = _Organization(sandbox, folder / "many", MANY)
        few_status, many_status = few.run("status"), many.run("status")
        few_enable, many_enable = few.enable(), many.enable()
        many.enable("undo", "--yes")
        resumed = many.killed_and_resumed()
        many.enable("undo", "--yes")
        _delay(sandbox)
        status, enable = many.run("status"), many.enable()
        looped = many.one_by_one()
        sandbox.clear_faults()
    memory = max(many_status.mebibytes / few_status.mebibytes, many_enable.mebibytes / few_enable.mebibytes)
    pages = 2 * -(-many.mailboxes // PAGE)
    counted = (status.requests + enable.requests) / (1 + pages + pages + WRONG)
    return [
        line("mailboxes-status", status.seconds / looped.reading, SPEED_GOAL, _note(status, looped.reading)),
        line("mailboxes-enable", enable.seconds / looped.both, SPEED_GOAL, _note(enable, looped.both)),
        line(
            "mailboxes-requests",
            counted,
            1.0,
            f"{status.requests} and {enable.requests} for {pages} pages, the organization, and {WRONG} changes",
        ),
        line(
            "mailboxes-memory",
            memory,
            1.1,
            f"status {few_status.mebibytes:.0f} and {many_status.mebibytes:.0f} MiB, "
            f"enable {few_enable.mebibytes:.0f} and {many_enable.mebibytes:.0f} MiB with {FEW} and {MANY} mailboxes",
        ),
        line(
            "mailboxes-killed", resumed / WRONG, 1.0, f"{resumed} changes for {WRONG} mailboxes, killed in the middle"
        ),
    ]


def _note(run: Run, looped: float) -> str:
    return (
        f"{run.seconds:.1f} s against {looped:.0f} s, {looped / run.seconds:.0f} times as fast; "
        f"{DELAY_SECONDS:.1f} s for each request; the loop counted up from {SAMPLE} mailboxes"
    )


@dataclass(frozen=True)
class Looped:
    """How long one cmdlet for each mailbox takes, for all of them; seconds."""

    reading: float
    both: float
    """With the changes."""


class _Organization:
    """A tenant of so many mailboxes, with SMTP AUTH on in all but the wrong ones.

    Args:
        sandbox: the server.
        folder: for the record.
        count: how many.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, count: int) -> None:
        self._sandbox = sandbox
        self._tenant: Tenant = sandbox.new_tenant()
        self._environment = environment(sandbox, folder, self._tenant)
        seeded = len(self.run("enable", "--all", "--yes").document["changed"])  # the tenant's own users
        rooms = sum(1 for row in self.run("status").document["mailboxes"] if row["obstacle"])
        people = sandbox.new_people(
            self._tenant, {"count": count - WRONG - seeded - rooms, "smtpAuth": "on"}, {"count": WRONG}
        )
        self._ids = [person.mailbox_id or "" for person in people]
        self.mailboxes = len(people) + seeded + rooms

    def run(self, command: str, *arguments: str) -> Run:
        """Runs ``provision smtp-auth`` to its end."""
        since = self._arrived()
        began = time.monotonic()
        process = subprocess.Popen(
            [str(PROVISION), "smtp-auth", command, *arguments, "--json"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - began
        if process.returncode:
            sys.exit(f"provision smtp-auth {command} ended with {process.returncode}")
        return Run(seconds, usage.ru_maxrss / 1024, self._arrived() - since, json.loads(out))

    def enable(self, *arguments: str) -> Run:
        """Switches every mailbox on, or runs what is given."""
        done = self.run(*(arguments or ("enable", "--all", "--yes")))
        if len(done.document["changed"]) != WRONG:
            sys.exit(f"{len(done.document['changed'])} mailboxes were changed, not {WRONG}")
        return done

    def killed_and_resumed(self) -> int:
        """Kills ``enable`` after half of its changes, runs it again, and gives back how many changes arrived in all."""
        reads = 2 * -(-self.mailboxes // PAGE)
        rule = {
            "match": {"path": "/InvokeCommand"},
            "action": "hold_before",
            "after_n": reads + WRONG // 2,
        }
        since = self._arrived()
        self._sandbox.set_faults([rule])
        process = subprocess.Popen(
            [str(PROVISION), "smtp-auth", "enable", "--all", "--yes"],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while process.poll() is None and not self._sandbox.status()["held"]:
            time.sleep(0.02)
        kill_tree(process)
        self._sandbox.clear_faults()
        first = self._arrived() - since - reads
        second = self.run("enable", "--all", "--yes")
        carried_out = WRONG // 2 + len(second.document["changed"])
        if not WRONG // 2 <= first <= WRONG // 2 + 1:
            sys.exit(f"{first} changes before the kill, not {WRONG // 2}")
        return carried_out

    def one_by_one(self) -> Looped:
        """What scripts do, on a sample: one Get-CASMailbox for each mailbox, one Set-CASMailbox for each wrong one."""
        cloud = read_metadata(
            self._environment["ARM_METADATA_HOSTNAME"], ca_file=self._environment["SSL_CERT_FILE"], environ={}
        )
        signed_in, _ = sign_in(credential.read(environ=self._environment), cloud)
        wrong = SAMPLE * WRONG // MANY
        with Exchange(signed_in, cloud) as exchange:
            began = time.monotonic()
            for identity in self._ids[:SAMPLE]:
                exchange.first("Get-CASMailbox", {"Identity": identity}, doing="read")
            reading = time.monotonic() - began
            for identity in self._ids[:wrong]:
                parameters = {"Identity": identity, "SmtpClientAuthenticationDisabled": None}
                exchange.run("Set-CASMailbox", parameters, doing="set")
            both = time.monotonic() - began
        return Looped(reading * self.mailboxes / SAMPLE, both * self.mailboxes / SAMPLE)

    def _arrived(self) -> int:
        return sum(1 for row in self._sandbox.log() if "InvokeCommand" in row["path"])


def _delay(sandbox: Sandbox) -> None:
    sandbox.set_faults([{"match": {"path": "/InvokeCommand"}, "action": "delay", "seconds": DELAY_SECONDS}])
