"""The commands ``smtp-auth …``: which mailboxes may hand in mail by SMTP, shown, planned, set and put back."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.progress import bar
from provision.cli.switches import (
    GRAPH,
    SHOWN,
    advice,
    bad_json,
    change_json,
    changes_text,
    count_of,
    csv_rows,
    iso,
    last_day,
    organization_json,
    organization_text,
    plan_text,
    print_refused,
    print_status,
    put_csv,
    put_outcome_csv,
    refused_json,
    say,
    status_row,
)
from provision.errors import InvalidInput, Usage

if TYPE_CHECKING:
    from provision.mailbox.applying import Outcome, Selection, Switching, Undoing
    from provision.mailbox.listing import BadRow
    from provision.mailbox.planning import Plan, Refused, Wish
    from provision.mailbox.record import Noted
    from provision.mailbox.tenant import Tenant
    from provision.mailbox.values import Organization

Subparsers = Any  # argparse does not name the type of add_subparsers()

_BETTER = (
    "Leave the organization off and switch single mailboxes on (provision smtp-auth enable MAILBOX); "
    "better still, send by Microsoft Graph, which needs no SMTP AUTH. To lower it all the same, add --lower-security."
)


def add_commands(subparsers: Subparsers) -> None:
    """Adds the commands of this module."""
    text = "which mailboxes may hand in mail by SMTP (SMTP AUTH): show, switch, put back"
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "smtp-auth", help=text, description=f"{text[0].upper()}{text[1:]}. {GRAPH}"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_status(commands)
    for name, value, help_ in (
        ("enable", "on", "let mailboxes use SMTP AUTH, whatever the organization says"),
        ("disable", "off", "keep mailboxes from using SMTP AUTH, whatever the organization says"),
        ("inherit", "inherits", "let the organization's switch count for mailboxes"),
    ):
        _add_switch(commands, name, value, help_)
    _add_organization(commands)
    _add_undo(commands)
    _add_sweep(commands)


def _add_status(commands: Subparsers) -> None:
    parser = _command(commands, "status", "what is switched on and off; nothing is changed", _status)
    _add_selection(parser, otherwise="all mailboxes")
    _add_where(parser)
    parser.add_argument("--changes", action="store_true", help="what this toolkit has changed, and when it ends")
    _add_forms(parser)


def _add_switch(commands: Subparsers, name: str, value: str, help_: str) -> None:
    parser = _command(commands, name, help_, _switch)
    parser.set_defaults(value=value)
    _add_selection(parser)
    parser.add_argument(
        "--until", type=_day, metavar="DATE", help="the last day (UTC) of an exception, like 2027-01-31; then sweep"
    )
    _add_where(parser)
    _add_consent(parser)
    parser.add_argument(
        "--powershell", action="store_true", help="print a script for Exchange Online PowerShell instead; no sign-in"
    )
    _add_forms(parser)


def _add_organization(commands: Subparsers) -> None:
    parser = _command(commands, "org", "the organization's own switches: shown, or set", _organization)
    parser.add_argument("--smtp-auth", choices=("on", "off"), help="what mailboxes that inherit get")
    parser.add_argument("--legacy-tls", choices=("on", "off"), help="TLS 1.0 and 1.1 at smtp-legacy.office365.com")
    parser.add_argument("--lower-security", action="store_true", help="allow what lowers security for everybody")
    _add_where(parser)
    _add_consent(parser)
    parser.add_argument(
        "--powershell", action="store_true", help="print a script for Exchange Online PowerShell instead; no sign-in"
    )
    parser.add_argument("--json", action="store_true", help="the outcome as one JSON object")


def _add_undo(commands: Subparsers) -> None:
    parser = _command(commands, "undo", "put back the values before the last run", _undo)
    parser.add_argument("mailbox", nargs="*", help="only these, before their last change (default: the whole last run)")
    parser.add_argument("--lower-security", action="store_true", help="allow what lowers security for everybody")
    _add_where(parser)
    _add_consent(parser)
    _add_forms(parser)


def _add_sweep(commands: Subparsers) -> None:
    parser = _command(commands, "sweep", "end the exceptions whose last day (--until) is over", _sweep)
    _add_where(parser)
    _add_consent(parser)
    _add_forms(parser)


def _command(
    commands: Subparsers, name: str, help_: str, handler: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help_, description=f"{help_[0].upper()}{help_[1:]}. {GRAPH}"
    )
    parser.set_defaults(handler=handler)
    return parser


def _add_selection(parser: argparse.ArgumentParser, *, otherwise: str = "") -> None:
    which = parser.add_argument_group("which mailboxes" + (f" (default: {otherwise})" if otherwise else ""))
    which.add_argument("mailbox", nargs="*", help="addresses")
    which.add_argument("--csv", type=Path, metavar="FILE", help="addresses in a CSV file; bad rows are listed")
    which.add_argument("--group", metavar="NAME", help="a group's members, by its address, name or object id")
    which.add_argument("--all", action="store_true", help="every mailbox of the organization")


def _add_where(parser: argparse.ArgumentParser) -> None:
    where = parser.add_argument_group("where and as whom")
    where.add_argument("--tenant", help="the Microsoft 365 tenant's id or domain")
    where.add_argument("--metadata-host", help="host:port of another cloud or of the local tenant")
    where.add_argument("--environment", help="a national cloud: usgovernment, dod, china (default: ARM_ENVIRONMENT)")
    where.add_argument("--credential", help="how to sign in (docs/credentials.md); default: the first that is there")
    where.add_argument(
        "--journal", help="where values before are kept (default: PROVISION_JOURNAL, else beside Pulumi's state)"
    )


def _add_consent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do it without asking; needed where there is no terminal")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done; nothing is changed")


def _add_forms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument("--csv-out", type=Path, metavar="FILE", help="one row for each mailbox into a CSV file, too")


def _day(text: str) -> datetime:
    """The moment at which a day is over (UTC)."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a day like 2027-01-31") from None
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    if end <= datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text} is over already")
    return end


# Handlers


def _status(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as tenant:
        if arguments.changes:
            return _changes(arguments, tenant)
        selection, bad = _selection(arguments, tenant, otherwise=True)
        organization = tenant.reader.organization()
        notes = _notes(arguments, tenant)
        absent: list[Refused] = []
        if selection.everyone:
            mailboxes, obstacles = tenant.reader.all(), tenant.reader.obstacles()
        else:
            found, missing = tenant.reader.named(selection.names)
            mailboxes, obstacles = iter(found), tenant.reader.obstacles(found)
            absent = _absent(tenant, missing)
        rows = (
            status_row(mailbox, organization, obstacles[mailbox.id].id if mailbox.id in obstacles else "", notes)
            for mailbox in mailboxes
        )
        _show_status(arguments, organization, rows, absent)
    _say_bad(bad)
    return _verdict(len(absent), len(bad), "left out of the answer")


def _changes(arguments: argparse.Namespace, tenant: Tenant) -> int:
    tops = _switching(arguments, tenant).record.tops()
    rows = [
        {
            "address": noted.address,
            "before": noted.before.value,
            "after": noted.after.value,
            "until": iso(noted.until),
            "run": noted.run,
        }
        for noted in sorted(tops.values(), key=lambda noted: (noted.run, noted.address))
    ]
    put_csv(arguments.csv_out, list(rows[0]) if rows else ["address"], (list(row.values()) for row in rows))
    if arguments.json:
        print(json.dumps({"tenantId": tenant.tenant_id, "changes": rows}, indent=2, ensure_ascii=False))
    elif rows:
        headers = ("Mailbox", "Before", "Set to", "Until (UTC)", "Run")
        print(report.table(headers, [tuple(row.values()) for row in rows]))
    else:
        print("nothing is on record")
    return 0


def _switch(arguments: argparse.Namespace) -> int:
    from provision.mailbox.planning import Wish
    from provision.mailbox.values import Switch

    wish = Wish(Switch(arguments.value), arguments.until)
    if arguments.powershell:
        return _print_mailbox_script(arguments, wish)
    with _opened(arguments) as tenant:
        selection, bad = _selection(arguments, tenant)
        switching = _switching(arguments, tenant)
        plan = switching.plan(selection, wish)
        print(plan_text(plan, bad), file=sys.stderr if arguments.json else sys.stdout)
        if arguments.dry_run or not (plan.changes or plan.settled):
            _give_plan(arguments, plan, bad)
        else:
            if plan.changes:
                _confirm(arguments, f"Change {count_of(len(plan.changes))}?")
            with bar(len(plan.changes), "setting") as tick:
                outcome = switching.carry_out(plan, tick)
            _give_outcome(arguments, outcome, bad, as_wanted=plan.as_wanted)
            refused = _counting(outcome.refused, selection)
            return _verdict(refused, len(bad), "left as they are; the others are done")
    return _verdict(_counting(plan.refused, selection), len(bad), "left as they are")


def _organization(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    wanted = {
        name: value == "on"
        for name, value in (("smtp_auth", arguments.smtp_auth), ("legacy_tls", arguments.legacy_tls))
        if value is not None
    }
    if any(wanted.values()) and not arguments.lower_security:
        what = "SMTP AUTH for every mailbox" if wanted.get("smtp_auth") else "TLS 1.0 and 1.1"
        raise Usage(f"Allowing {what} lowers the security of the whole organization.", remedy=_BETTER)
    if arguments.powershell:
        return _print_organization_script(arguments, wanted)
    with _opened(arguments) as tenant:
        before = tenant.reader.organization()
        after = replace(before, **wanted)
        if before != after:
            for note in _organization_warnings(before, after, tenant):
                say(note)
            if not arguments.dry_run:
                _confirm(arguments, f"Set the organization: {organization_text(after)}?")
                _switching(arguments, tenant).set_organization(before, after)
    shown = before if arguments.dry_run else after
    if arguments.json:
        changed = before != after and not arguments.dry_run
        print(json.dumps({**organization_json(shown), "changed": changed}, indent=2))
    else:
        print(organization_text(shown))
        for line in advice(shown):
            say(f"note: {line}")
    return 0


def _undo(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as tenant:
        switching = _switching(arguments, tenant)
        if not arguments.mailbox:
            noted = switching.organization_undoing()
            if noted is not None and noted.run == switching.last_run():
                return _undo_organization(arguments, switching, tenant)
        return _return(arguments, switching, switching.undoing(arguments.mailbox))


def _undo_organization(arguments: argparse.Namespace, switching: Switching, tenant: Tenant) -> int:
    noted = switching.organization_undoing()
    assert noted is not None  # noqa: S101 - the caller has looked
    now = tenant.reader.organization()
    lowers = (noted.before.smtp_auth and not now.smtp_auth) or (noted.before.legacy_tls and not now.legacy_tls)
    if lowers and not arguments.lower_security:
        raise Usage(
            f"To put back {organization_text(noted.before)} lowers the organization's security.", remedy=_BETTER
        )
    print(f"put back: {organization_text(noted.before)}", file=sys.stderr if arguments.json else sys.stdout)
    if not arguments.dry_run:
        _confirm(arguments, "Put the organization's switches back?")
        if not switching.put_back_organization(noted, now):
            raise InvalidInput(
                f"The organization was set to {organization_text(now)} by somebody else since, and stays so.",
                remedy="Set it with provision smtp-auth org.",
            )
    if arguments.json:
        print(json.dumps({**organization_json(noted.before), "changed": not arguments.dry_run}, indent=2))
    return 0


def _sweep(arguments: argparse.Namespace) -> int:
    with _opened(arguments) as tenant:
        switching = _switching(arguments, tenant)
        return _return(arguments, switching, switching.overdue())


def _return(arguments: argparse.Namespace, switching: Switching, undoing: Undoing) -> int:
    from provision.mailbox.applying import Outcome

    if not arguments.json:
        print(changes_text(undoing.changes) if undoing.changes else "nothing to put back")
        print_refused(undoing.left)
    if arguments.dry_run:
        outcome = Outcome(refused=list(undoing.left))
        if arguments.json:
            print(json.dumps({"wouldChange": [change_json(change) for change in undoing.changes]}, indent=2))
        return 0
    if undoing.changes:
        _confirm(arguments, f"Put back {count_of(len(undoing.changes))}?")
    with bar(len(undoing.changes), "putting back") as tick:
        outcome = switching.put_back(undoing, tick)
    _give_outcome(arguments, outcome, ())
    failed = [refused for refused in outcome.refused if refused.obstacle == "refused"]
    return _verdict(len(failed), 0, "not put back")


# Selecting


@contextmanager
def _opened(arguments: argparse.Namespace) -> Iterator[Tenant]:
    from provision.mailbox.tenant import Where, opened

    names = Where.__dataclass_fields__
    where = Where(**{name: getattr(arguments, name) for name in names if hasattr(arguments, name)})
    with opened(where, say=say) as tenant:
        yield tenant


def _switching(arguments: argparse.Namespace, tenant: Tenant) -> Switching:
    from provision.engine.state import backend_url
    from provision.mailbox.tenant import switching
    from provision.onboard.rotating import journal_address

    return switching(tenant, journal_address(backend_url(), arguments.journal))


def _notes(arguments: argparse.Namespace, tenant: Tenant) -> dict[str, Noted]:
    """What is on record; nothing where no record can be kept (Pulumi Cloud), for looking is possible there, too."""
    try:
        switching = _switching(arguments, tenant)
    except InvalidInput as none:
        say(f"note: the ends of exceptions are not shown: {none.message}")
        return {}
    return switching.record.tops()


def _selection(
    arguments: argparse.Namespace, tenant: Tenant, *, otherwise: bool = False
) -> tuple[Selection, tuple[BadRow, ...]]:
    """Which mailboxes are meant; a group and a file and names add up."""
    from provision.mailbox.applying import Selection

    names, bad = _named(arguments)
    if arguments.group:
        names += tenant.graph.group_members(arguments.group)
    several = names or bad or arguments.group or arguments.csv
    if arguments.all and several:
        raise Usage("--all are all mailboxes already.", remedy="Leave out the names, or --all.")
    if arguments.all or (otherwise and not several):
        return Selection(everyone=True), ()
    if not several:
        raise Usage("No mailbox is named.", remedy="Give addresses, --csv FILE, --group NAME or --all.")
    return Selection(tuple(dict.fromkeys(names))), bad


def _named(arguments: argparse.Namespace) -> tuple[list[str], tuple[BadRow, ...]]:
    from provision.mailbox.listing import check_address, read_addresses

    names = [check_address(name) for name in arguments.mailbox]
    if arguments.csv is None:
        return names, ()
    listing = read_addresses(arguments.csv)
    return [*names, *listing.addresses], listing.bad


def _absent(tenant: Tenant, missing: list[str]) -> list[Refused]:
    from provision.mailbox.planning import Refused

    found = tenant.reader.why_absent(missing) if missing else {}
    return [Refused.by(obstacle, name) for name, obstacle in found.items()]


def _print_mailbox_script(arguments: argparse.Namespace, wish: Wish) -> int:
    from provision.mailbox.powershell import Targets, mailbox_script

    if wish.until is not None:
        raise Usage("A script of PowerShell does not come back to end an exception.", remedy="Leave out --until.")
    names, bad = _named(arguments)
    targets = Targets(tuple(dict.fromkeys(names)), arguments.group, arguments.all)
    if sum(map(bool, (targets.names, targets.group, targets.everyone))) != 1:
        raise Usage("A script is for addresses, for one group or for all.", remedy="Give one of the three.")
    print(mailbox_script(targets, wish.switch, exchange=_exchange(arguments)), end="")
    _say_bad(bad)
    return _verdict(0, len(bad), "left out of the script")


def _print_organization_script(arguments: argparse.Namespace, wanted: dict[str, bool]) -> int:
    from provision.mailbox.powershell import organization_script

    script = organization_script(
        smtp_auth=wanted.get("smtp_auth"), legacy_tls=wanted.get("legacy_tls"), exchange=_exchange(arguments)
    )
    print(script, end="")
    return 0


def _exchange(arguments: argparse.Namespace) -> str:
    """The cloud's Exchange Online; a metadata host is not asked for a script that somebody else runs."""
    import os

    from provision.settings.endpoints import of_cloud

    return of_cloud(arguments.environment or os.environ.get("ARM_ENVIRONMENT") or "public").exchange


def _confirm(arguments: argparse.Namespace, question: str) -> None:
    """Asks, unless --yes was given.

    Raises:
        Usage: there is nobody to ask, or the answer is no.
    """
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise Usage(
            "This was not confirmed: there is no terminal to ask at.", remedy="Look at the plan, then add --yes."
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Usage("Nothing was changed.", remedy="Answer y, or add --yes.")


# Forms


def _show_status(
    arguments: argparse.Namespace, organization: Organization, rows: Iterator[dict[str, Any]], absent: list[Refused]
) -> None:
    """Shows rows as they come: whatever the organization's size, only one page and the table's rows are kept."""
    counts = {"on": 0, "off": 0, "inherits": 0, "effectivelyOn": 0, "cannot": 0}
    kept: list[dict[str, Any]] = []

    def counted() -> Iterator[dict[str, Any]]:
        for row in rows:
            counts[row["smtpAuth"]] += 1
            counts["effectivelyOn"] += row["effective"] == "on"
            counts["cannot"] += bool(row["obstacle"])
            if len(kept) < SHOWN and (row["smtpAuth"] != "inherits" or not _is_everyone(arguments)):
                kept.append(row)
            yield row

    stream = counted()
    with csv_rows(arguments.csv_out) as write:
        if write is not None:
            write(("address", "name", "smtpAuth", "effective", "obstacle", "until"))
        if arguments.json:
            print(f'{{"organization": {json.dumps(organization_json(organization))}, "mailboxes": [', end="")
        separator = "\n  "
        for row in stream:
            if write is not None:
                write(tuple(row.values()))
            if arguments.json:
                print(separator + json.dumps(row, ensure_ascii=False), end="")
                separator = ",\n  "
    if arguments.json:
        refused = json.dumps([refused_json(one) for one in absent], ensure_ascii=False)
        print(f'\n], "absent": {refused}, "counts": {json.dumps(counts)}}}')
        return
    print_status(organization, kept, counts, absent)


def _give_plan(arguments: argparse.Namespace, plan: Plan, bad: tuple[BadRow, ...]) -> None:
    if arguments.json:
        document = {
            "wouldChange": [change_json(change) for change in plan.changes],
            "asWanted": plan.as_wanted,
            "refused": [refused_json(refused) for refused in plan.refused],
            "badRows": bad_json(bad),
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))
    put_outcome_csv(arguments.csv_out, plan.changes, plan.refused, "to change")
    _say_bad(bad)


def _give_outcome(
    arguments: argparse.Namespace, outcome: Outcome, bad: tuple[BadRow, ...], *, as_wanted: int = 0
) -> None:
    if arguments.json:
        document = {
            "changed": [change_json(change) for change in outcome.changed],
            "asWanted": as_wanted,
            "refused": [refused_json(refused) for refused in outcome.refused],
            "badRows": bad_json(bad),
            "movedEnds": [{"address": noted.address, "until": iso(noted.until)} for noted in outcome.moved],
        }
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print(f"changed {count_of(len(outcome.changed))}")
        print_refused([refused for refused in outcome.refused if refused.obstacle == "refused"])
        for noted in outcome.moved:
            end = "no longer ends" if noted.until is None else f"now ends after {last_day(noted.until)}"
            print(f"the exception of {noted.address} {end}")
    put_outcome_csv(arguments.csv_out, outcome.changed, outcome.refused, "changed")
    _say_bad(bad)


def _organization_warnings(before: Organization, after: Organization, tenant: Tenant) -> Iterator[str]:
    if before.smtp_auth and not after.smtp_auth:
        inheriting = sum(1 for mailbox in tenant.reader.all() if mailbox.switch.value == "inherits")
        yield (
            f"note: {count_of(inheriting)} inherit; those of them that send by SMTP AUTH stop. Switch them on first: "
            "the report SMTP AUTH clients in the Exchange admin center names them."
        )


def _is_everyone(arguments: argparse.Namespace) -> bool:
    return not (arguments.mailbox or arguments.csv or arguments.group)


def _say_bad(bad: tuple[BadRow, ...]) -> None:
    from provision.mailbox.listing import lines

    for line in lines(bad):
        say(f"bad row: {line}")


def _counting(refused: list[Refused], selection: Selection) -> int:
    """How many count as not dealt with: of all mailboxes, rooms and the like are no mistake of whoever asks."""
    return sum(1 for one in refused if not selection.everyone or one.obstacle == "refused")


def _verdict(refused: int, bad: int, what: str) -> int:
    """Exit code 0 when all that was named is dealt with.

    Raises:
        InvalidInput: it is not.
    """
    if not refused and not bad:
        return 0
    told = [count_of(refused)] * bool(refused) + [f"{bad} row{'' if bad == 1 else 's'}"] * bool(bad)
    raise InvalidInput(f"{' and '.join(told)} {what}.", remedy="The reasons stand above.")
