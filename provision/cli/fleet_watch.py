"""``provision fleet watch``: audits on a schedule, and word of what has changed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from provision.cli.fleet_selection import add_selection, chosen, say_problems
from provision.cli.outlet import unread_output
from provision.cli.rotate import span
from provision.cli.signals import on_stop
from provision.errors import Interrupted, NotDelivered, Unreachable, Usage

if TYPE_CHECKING:
    from provision.fleet.alerts import Channel
    from provision.fleet.coordinator import Ended
    from provision.fleet.looking import Looking
    from provision.fleet.store import FleetStore, Run
    from provision.fleet.tenant import Tenant
    from provision.fleet.watch import Round

_SHORTEST = timedelta(minutes=1)
KEEP = timedelta(days=30)
"""How long audits stay: four a day are 84 KiB a tenant then (``bench/store.py``)."""


def add_commands(commands: Any) -> None:
    """Adds the command of this module."""
    text = "audit on a schedule and tell what has changed: drift, failures, secrets that end, recovery"
    parser: argparse.ArgumentParser = commands.add_parser("watch", help=text, description=text[0].upper() + text[1:])
    parser.set_defaults(handler=_watch)
    add_selection(parser)
    when = parser.add_argument_group("when")
    when.add_argument(
        "--every",
        type=_interval,
        default=timedelta(hours=6),
        metavar="SPAN",
        help="between two audits (6h), give or take",
    )
    when.add_argument("--once", action="store_true", help="one audit, for cron, a systemd timer or a CronJob")
    what = parser.add_argument_group("what")
    what.add_argument("--store", metavar="URL", help="the record of runs (default: PROVISION_FLEET_STORE, else a file)")
    what.add_argument(
        "--within",
        type=span,
        default=timedelta(days=30),
        metavar="SPAN",
        help="tell a secret that ends within this time (30d)",
    )
    what.add_argument("--at-once", type=int, default=32, choices=range(1, 257), metavar="N", help="tenants (32)")
    what.add_argument(
        "--keep",
        type=_kept,
        default=KEEP,
        metavar="SPAN",
        help="how long audits stay in the record of runs (30d); `all` takes none away",
    )
    whom = parser.add_argument_group("who is told, besides standard output (docs/fleet-watch.md)")
    whom.add_argument(
        "--webhook",
        action="append",
        default=[],
        metavar="PLACE",
        help="a signed message to the address in env:NAME or file:/path, or to https://… where it is no secret; may be "
        "repeated (default: PROVISION_ALERT_WEBHOOK)",
    )
    whom.add_argument("--mail-to", action="append", default=[], metavar="ADDRESS", help="mail; may be repeated")
    whom.add_argument("--mail-from", metavar="ADDRESS", help="the sender")
    whom.add_argument("--mail-relay", metavar="URL", help="smtp://host:587 (STARTTLS) or smtps://host:465")


def _interval(text: str) -> timedelta:
    found = span(text)
    if found < _SHORTEST:
        raise argparse.ArgumentTypeError(f"{text!r} is less than a minute")
    return found


def _kept(text: str) -> timedelta | None:
    return None if text == "all" else span(text)


def _watch(arguments: argparse.Namespace) -> int:
    from provision.fleet.store import open_fleet_store
    from provision.fleet.watch import Watcher

    channels = _channels(arguments)
    fleet, _ = chosen(arguments)
    store = open_fleet_store(arguments.store)
    looking: list[Looking] = []

    def rows() -> Sequence[Tenant]:
        read, tenants = chosen(arguments)
        say_problems(read)
        return tenants

    def look(run: Run) -> Ended:
        looking[:] = [_looking(arguments, store, run)]
        if watcher.stopping:
            looking[0].stop()
        return looking[0].work()

    def stop() -> None:
        watcher.stop()
        for one in looking:
            one.stop()

    watcher = Watcher(store, fleet.name, rows, look, channels, within=arguments.within, say=_say, keep=arguments.keep)
    with watcher, on_stop(stop):
        if arguments.once:
            done = watcher.round()
            if watcher.stopping:
                raise Interrupted("Stopped; not every tenant was looked at.", remedy="The next round looks at all.")
            return _verdict(done)
        watcher.every(arguments.every)
    _warn("stopped; the next watcher goes on from here")
    return 0


def _looking(arguments: argparse.Namespace, store: FleetStore, run: Run) -> Looking:
    from provision.fleet.looking import Looking

    return Looking(
        store,
        run,
        environ=os.environ,
        at_once=arguments.at_once,
        within=arguments.within,
        profiles=arguments.file.resolve().parent,
    )


def _channels(arguments: argparse.Namespace) -> list[Channel]:
    from provision.fleet.alerts import open_mail, open_webhooks

    mail = (arguments.mail_from, arguments.mail_relay)
    if any(mail) != bool(arguments.mail_to) or any(mail) != all(mail):
        raise Usage(
            "Mail needs a relay, a sender and at least one recipient.", remedy="--mail-relay, --mail-from, --mail-to."
        )
    channels: list[Channel] = [*open_webhooks(arguments.webhook)]
    if arguments.mail_to:
        channels += open_mail(arguments.mail_relay, arguments.mail_from, arguments.mail_to)
    return channels


def _verdict(done: Round) -> int:
    """0 when the audit was made and everybody was told.

    Raises:
        NotDelivered: somebody could not be told; the next round tries again.
        Unreachable: the audit could not be made.
    """
    for name, why in done.undelivered:
        raise NotDelivered(
            f"{name} could not be told: {why.message}", remedy=f"The next round tries again. {why.remedy}"
        )
    if done.run is None:
        raise Unreachable("The audit could not be made.", remedy="Its cause stands above.")
    return 0


def _say(line: str) -> None:
    with unread_output():  # who is alerted is not who reads these lines
        print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}", flush=True)


def _warn(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
