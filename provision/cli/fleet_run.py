"""``provision fleet plan|up|audit|rotate|smtp-auth|diagnose``: one action for many tenants."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from provision.cli.diagnose import NAMED_WAYS
from provision.cli.fleet_end import print_json, print_table, verdict, write_forms
from provision.cli.fleet_progress import Shown, shown
from provision.cli.fleet_selection import add_selection, chosen, say_problems
from provision.cli.outlet import unread_output
from provision.cli.rotate import span
from provision.cli.signals import on_stop
from provision.errors import InvalidInput, Usage

if TYPE_CHECKING:
    from provision.fleet.coordinator import Ended
    from provision.fleet.executors import Executor, Lookers
    from provision.fleet.executors.dask import DaskExecutor
    from provision.fleet.outcome import Action
    from provision.fleet.source import Fleet
    from provision.fleet.store import FleetStore, Run
    from provision.fleet.tenant import Tenant

STORE = "PROVISION_FLEET_STORE"
NEWEST = "newest"
"""The value of ``--resume`` without a run's id."""
_ACTIONS: dict[Action, str] = {
    "plan": "what up would change, by Microsoft Graph alone; nothing is changed",
    "up": "make or put right every tenant's registration; what is as it should be is left alone",
    "audit": "look at every tenant: drift, missing consent, secrets that end; nothing is changed",
    "rotate": "renew every client secret that is due",
    "smtp-auth": "let the mailboxes of each row hand in mail by SMTP; all others are left as they are",
    "diagnose": "find out in every tenant why mail does not go out",
}


class _Stoppable(Protocol):
    def stop(self, *, hard: bool = False) -> None:
        """Begins no more tenants."""


def add_commands(commands: Any) -> None:
    """Adds the commands of this module."""
    for action, text in _ACTIONS.items():
        parser: argparse.ArgumentParser = commands.add_parser(
            action, help=text, description=f"{text[0].upper()}{text[1:]}."
        )
        parser.set_defaults(handler=_run, action=action)
        add_selection(parser)
        _add_what(parser, action)
        _add_how(parser, action)
        form = parser.add_argument_group("form")
        form.add_argument("--json", action="store_true", help="as one JSON object, every tenant in it")
        form.add_argument("--csv", type=Path, metavar="FILE", help="a row for each finding or failure, into a file")
        form.add_argument("--junit", type=Path, metavar="FILE", help="a JUnit report into a file, too, for CI")


def _add_what(parser: argparse.ArgumentParser, action: Action) -> None:
    what = parser.add_argument_group("what")
    if action in ("plan", "up"):
        what.add_argument(
            "--thorough", action="store_true", help="ask the engine for every tenant, however well it looks"
        )
    if action in ("plan", "audit"):
        what.add_argument("--expect-no-changes", action="store_true", help="exit code 1 when something would change")
        what.add_argument(
            "--within",
            type=span,
            default=timedelta(days=30),
            metavar="SPAN",
            help="tell a secret that ends within this time (30d)",
        )
        what.add_argument(
            "--at-once", type=_count, default=32, metavar="N", help="tenants looked at at once, by each worker (32)"
        )
    if action == "rotate":
        what.add_argument("--now", action="store_true", help="rotate although it is not due")
        what.add_argument("--compromised", action="store_true", help="rotate now, and retire what was there at once")
        what.add_argument("--overlap", type=span, metavar="SPAN", help="how long the old one goes on working (7d)")
        what.add_argument(
            "--margin",
            type=span,
            metavar="SPAN",
            help="due when less than the overlap and this are left of its life (30d)",
        )
    if action == "diagnose":
        what.add_argument(
            "--via",
            action="append",
            choices=tuple(NAMED_WAYS),
            help="a way of sending to look at (default: all); may be repeated",
        )


def _add_how(parser: argparse.ArgumentParser, action: Action) -> None:
    how = parser.add_argument_group("how")
    how.add_argument("--store", metavar="URL", help=f"the record of runs: postgres://… or sqlite:///… ({STORE})")
    how.add_argument(
        "--resume",
        nargs="?",
        const=NEWEST,
        metavar="RUN",
        help="go on with the last run of this action, if it was not ended; or with the one that is named",
    )
    if action != "audit":
        how.add_argument("--workers", type=_count, metavar="N", help="processes on this machine (default: its cores)")
        how.add_argument("--time-limit", type=_seconds, default=900.0, metavar="SECONDS", help="for one tenant (900)")
        how.add_argument("--attempts", type=_count, default=6, metavar="N", help="tries of one tenant (6)")
    how.add_argument("--scheduler", metavar="URL", help="a Dask cluster instead: tcp://HOST:8786 or tls://…")
    for name, text in (("ca", "its authority"), ("cert", "our certificate"), ("key", "the certificate's key")):
        how.add_argument(f"--tls-{name}", type=Path, metavar="FILE", help=f"with tls://: {text} (PEM)")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 1 to 1000")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} must be seconds, from 1 to 86400")
    return float(text)


# Handlers


def _run(arguments: argparse.Namespace) -> int:
    from provision.fleet.store import open_fleet_store

    _refuse_contradictions(arguments)
    fleet, tenants = chosen(arguments)
    say_problems(fleet)
    store = open_fleet_store(arguments.store)
    # Before a run is begun, so that a wrong address leaves none behind to go on with.
    cluster = _cluster(arguments)
    run = _begun(arguments, store, fleet, tenants)
    with shown(f"fleet {arguments.action}") as show:
        ended = _looked(arguments, store, run, fleet, show, lookers=cluster)
        if ended is None:
            ended = _worked(arguments, store, run, cluster or _processes(arguments, fleet, run), show)
        elif cluster is not None:
            cluster.close(hard=True)
    with unread_output():
        if arguments.json:
            print_json(store, run, ended, fleet.problems)
        else:
            print_table(store, run, ended)
    write_forms(store, run, csv=arguments.csv, junit=arguments.junit)
    return verdict(
        ended,
        fleet.problems,
        action=arguments.action,
        expect_no_changes=getattr(arguments, "expect_no_changes", False),
    )


def _begun(arguments: argparse.Namespace, store: FleetStore, fleet: Fleet, tenants: tuple[Tenant, ...]) -> Run:
    """The run that is worked on: the one before, where it goes on, else a new one."""
    unfinished = store.unfinished(fleet.name, arguments.action)
    before = _before(arguments, store, fleet.name, unfinished)
    if before is not None:
        left = len(store.left(before))
        tenants_are = "tenant is" if left == 1 else "tenants are"
        _say(f"going on with run {before.id}: {left} {tenants_are} left; rows are those of its beginning")
        return before
    if unfinished is not None:
        _say(f"note: run {unfinished.id} was not ended; --resume goes on with it, and this is a new one")
    elif arguments.resume:
        _say(f"note: {_no_run_to_go_on_with(store, fleet.name, arguments.action)}; this is a new one")
    from provision.fleet.profiles import own_profiles

    options = {
        "profiles": own_profiles(fleet.path.resolve().parent),
        "thorough": getattr(arguments, "thorough", None) or None,
        "now": getattr(arguments, "now", None) or None,
        "compromised": getattr(arguments, "compromised", None) or None,
        "via": list(dict.fromkeys(way for name in getattr(arguments, "via", None) or () for way in NAMED_WAYS[name]))
        or None,
        "overlap": _total(getattr(arguments, "overlap", None)),
        "margin": _total(getattr(arguments, "margin", None)),
    }
    return store.begin(
        fleet.name, arguments.action, tenants, {key: value for key, value in options.items() if value is not None}
    )


def _before(arguments: argparse.Namespace, store: FleetStore, fleet: str, newest: Run | None) -> Run | None:
    """The run that is gone on with; None: a new one is begun.

    Raises:
        InvalidInput: the run that is named is none of the fleet and the action, or has ended.
    """
    if arguments.resume in (None, NEWEST):
        return newest if arguments.resume else None
    named = store.run(arguments.resume)
    if named is None or (named.fleet, named.action) != (fleet, arguments.action):
        raise InvalidInput(
            f"There is no run {arguments.resume} of fleet {arguments.action} over {fleet} in {store.shown}.",
            remedy="provision fleet runs lists those that are there.",
        )
    if named.ended is not None:
        raise InvalidInput(
            f"The run {named.id} has ended: nothing is left of it.",
            remedy=f"provision fleet {arguments.action} begins a new one.",
        )
    return named


def _no_run_to_go_on_with(store: FleetStore, fleet: str, action: Action) -> str:
    runs = [run for run in store.runs(fleet) if run.action == action]
    older = next((run for run in runs if run.ended is None), None)
    if older is None:
        return "no run was left unfinished"
    return (
        f"run {older.id} was not ended, but run {runs[0].id} is newer and has ended, so the older one's rows may be "
        f"out of date (--resume {older.id} goes on with it all the same)"
    )


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    """Before a run is begun, which nobody would end.

    Raises:
        Usage: options that do not go together.
    """
    if _elsewhere(arguments) and getattr(arguments, "workers", None):
        raise Usage("--workers are processes of this machine; a cluster has its own.", remedy="Leave out one of both.")
    if not _elsewhere(arguments) and any(getattr(arguments, f"tls_{name}", None) for name in ("ca", "cert", "key")):
        raise Usage("--tls-… belong to --scheduler tls://….", remedy="Leave them out.")


def _elsewhere(arguments: argparse.Namespace) -> bool:
    return getattr(arguments, "scheduler", None) is not None


def _total(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _looked(
    arguments: argparse.Namespace, store: FleetStore, run: Run, fleet: Fleet, show: Shown, *, lookers: Lookers | None
) -> Ended | None:
    """What can be done by looking alone: the whole run, or the tenants that need nothing; None: there is more to do."""
    if arguments.action not in ("audit", "plan", "up") or run.options.get("thorough"):
        return None
    from provision.fleet.looking import Looking

    looking = Looking(
        store,
        run,
        environ=os.environ,
        at_once=getattr(arguments, "at_once", 32),
        within=getattr(arguments, "within", timedelta(days=30)),
        profiles=fleet.path.resolve().parent,
        lookers=lookers,
        ended=show.ended,
        tell=show.tell,
    )
    with _stopped_by_signals(looking, show):
        if arguments.action != "up":
            return looking.work()
        first = looking.first()
        return first if first.interrupted or first.broken else None


def _worked(arguments: argparse.Namespace, store: FleetStore, run: Run, executor: Executor, show: Shown) -> Ended:
    from provision.fleet.coordinator import Coordinator

    hard = True
    try:
        executor.require(run)
        coordinator = Coordinator(store, run, executor, attempts=arguments.attempts, ended=show.ended, tell=show.tell)
        with _stopped_by_signals(coordinator, show):
            ended = coordinator.work()
        hard = coordinator.hard
    finally:
        executor.close(hard=hard)
    return ended


def _cluster(arguments: argparse.Namespace) -> DaskExecutor | None:
    """The Dask cluster that the options name; None: processes of this machine do the work.

    Raises:
        InvalidInput, Unreachable: see ``DaskExecutor``; or its package is not installed.
    """
    if not _elsewhere(arguments):
        return None
    tls = {
        f"tls_{name}": str(value)
        for name, value in (
            ("ca_file", arguments.tls_ca),
            ("client_cert", arguments.tls_cert),
            ("client_key", arguments.tls_key),
        )
        if value is not None
    }
    try:
        from provision.fleet.executors.dask import DaskExecutor
        from provision.fleet.executors.local import TIME_LIMIT
    except ModuleNotFoundError as missing:
        raise InvalidInput(
            f"A cluster needs the Python package {missing.name}, which is not installed.",
            remedy="pip install 'provision[fleet,dask]'",
        ) from None
    return DaskExecutor(arguments.scheduler, limit=getattr(arguments, "time_limit", TIME_LIMIT), tls=tls)


def _processes(arguments: argparse.Namespace, fleet: Fleet, run: Run) -> Executor:
    from provision.fleet.executors import LocalExecutor
    from provision.fleet.jobs import run_logs

    return LocalExecutor(
        arguments.workers or os.cpu_count() or 1,
        limit=arguments.time_limit,
        settings={STORE: arguments.store} if arguments.store else {},
        log=run_logs(fleet.name, run.id, environ=os.environ) / "workers.txt",
    )


@contextmanager
def _stopped_by_signals(work: _Stoppable, show: Shown) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops in order, the second at once."""
    heard = 0

    def stop() -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            show.say("stopping: the tenants at work are finished first (once more to stop at once)")
        work.stop(hard=heard > 1)

    with on_stop(stop):
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
