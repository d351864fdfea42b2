"""How the switches of SMTP AUTH, plans and outcomes are shown: lines and tables, JSON, CSV."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.errors import InvalidInput

if TYPE_CHECKING:
    from provision.mailbox.listing import BadRow
    from provision.mailbox.planning import Change, Plan, Refused
    from provision.mailbox.record import Noted
    from provision.mailbox.values import Mailbox, Organization

SHOWN = 40
"""Rows of a table on the screen; --json and --csv-out hold all."""
GRAPH = "Sending by Microsoft Graph (Mail.Send) needs no SMTP AUTH."
CALENDAR = (
    "Passwords (Basic) end: off by default from the end of December 2026, the last date is due in the second half of "
    "2027. OAuth (SMTP.Send) and Microsoft Graph stay."
)


def status_row(mailbox: Mailbox, organization: Organization, obstacle: str, notes: dict[str, Noted]) -> dict[str, Any]:
    """One mailbox of ``status``, the same in every form."""
    noted = notes.get(mailbox.id)
    return {
        "address": mailbox.address,
        "name": mailbox.name,
        "smtpAuth": mailbox.switch.value,
        "effective": "on" if mailbox.switch.allows(organization) and not obstacle else "off",
        "obstacle": obstacle,
        "until": iso(noted.until) if noted is not None and noted.after is mailbox.switch else None,
    }


def print_status(
    organization: Organization, kept: list[dict[str, Any]], counts: dict[str, int], absent: list[Refused]
) -> None:
    """``status`` for people: the organization, counts, the mailboxes worth showing, and notes on standard error."""
    print(organization_text(organization))
    total = counts["on"] + counts["off"] + counts["inherits"]
    print(
        f"{count_of(total)}: {counts['on']} on, {counts['off']} off, {counts['inherits']} as the organization; "
        f"{counts['effectivelyOn']} may use SMTP AUTH, {counts['cannot']} cannot have it"
    )
    if kept:
        headers = ("Mailbox", "Name", "SMTP AUTH", "Effective", "Cannot have it", "Until (UTC)")
        print(f"\n{report.table(headers, [tuple(row.values()) for row in kept])}")
    if len(kept) == SHOWN:
        print(f"… at most {SHOWN} are shown; --json and --csv-out hold all")
    print_refused(absent)
    for line in (*advice(organization), GRAPH, CALENDAR):
        say(f"note: {line}")


def plan_text(plan: Plan, bad: tuple[BadRow, ...]) -> str:
    """A plan for people."""
    until = f" until {last_day(plan.wish.until)}" if plan.wish.until else ""
    lines = [
        f"SMTP AUTH {plan.wish.switch}{until}: {count_of(len(plan.changes))} to change, {plan.as_wanted} as wanted "
        f"already, {len(plan.refused)} cannot have it" + (f", {len(bad)} bad rows" if bad else "")
    ]
    if plan.changes:
        lines.append(changes_text(plan.changes))
    lines += [f"left as it is: {refused.name} {refused.reason}. {refused.remedy}" for refused in plan.refused]
    return "\n".join(lines)


def changes_text(changes: list[Change] | tuple[Change, ...]) -> str:
    """Mailboxes with their values now and then; the first ``SHOWN`` of them."""
    rows = [(change.mailbox.address, change.mailbox.switch, change.switch) for change in changes[:SHOWN]]
    more = f"\n… and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
    return report.table(("Mailbox", "Now", "Then"), rows) + more


def print_refused(refused: list[Refused] | tuple[Refused, ...]) -> None:
    """What is left as it is, each with its reason."""
    for one in refused:
        print(f"left as it is: {one.name} {one.reason}. {one.remedy}")


def change_json(change: Change) -> dict[str, str]:
    """One change for programs."""
    return {"address": change.mailbox.address, "before": change.mailbox.switch.value, "after": change.switch.value}


def refused_json(refused: Refused) -> dict[str, str]:
    """One mailbox that is left as it is, for programs."""
    return {
        "name": refused.name,
        "obstacle": refused.obstacle,
        "reason": f"{refused.name} {refused.reason}.",
        "remedy": refused.remedy,
    }


def bad_json(bad: tuple[BadRow, ...]) -> list[dict[str, Any]]:
    """Bad rows for programs."""
    return [{"line": row.line, "text": row.text} for row in bad]


def organization_text(organization: Organization) -> str:
    """The organization's values in a line."""
    smtp_auth = "on" if organization.smtp_auth else "off"
    legacy = "on" if organization.legacy_tls else "off"
    return f"organization: SMTP AUTH {smtp_auth} for mailboxes that inherit, legacy TLS {legacy}"


def organization_json(organization: Organization) -> dict[str, str]:
    """The organization's values for programs."""
    return {
        "smtpAuth": "on" if organization.smtp_auth else "off",
        "legacyTls": "on" if organization.legacy_tls else "off",
    }


def advice(organization: Organization) -> Iterator[str]:
    """What would be better than the organization's values."""
    if organization.smtp_auth:
        yield (
            "Every mailbox that inherits may use SMTP AUTH. Recommended: switch on the mailboxes that need it "
            "(provision smtp-auth enable), then the organization off (provision smtp-auth org --smtp-auth off)."
        )
    if organization.legacy_tls:
        yield "TLS 1.0 and 1.1 are let in; provision smtp-auth org --legacy-tls off ends that."


def put_outcome_csv(file: Path | None, changes: list[Change], refused: list[Refused], done: str) -> None:
    """A row for each mailbox of a plan or an outcome."""
    rows = [
        *((one.mailbox.address, done, one.mailbox.switch.value, one.switch.value, "") for one in changes),
        *((one.name, "left", "", "", one.reason) for one in refused),
    ]
    put_csv(file, ("address", "result", "before", "after", "reason"), rows)


def put_csv(file: Path | None, headings: Any, rows: Any) -> None:
    """Writes a whole table, if a file is named."""
    with csv_rows(file) as write:
        if write is not None:
            write(tuple(headings))
            for row in rows:
                write(tuple(row))


@contextmanager
def csv_rows(file: Path | None) -> Iterator[Callable[[tuple[object, ...]], None] | None]:
    """Takes rows into a file as they come.

    Raises:
        InvalidInput: the file cannot be written.
    """
    from provision.mailbox.listing import cell

    if file is None:
        yield None
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            yield lambda row: writer.writerow([cell(value) for value in row])
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be written: {error.strerror}.", remedy="Name a file in a folder that is there and yours."
        ) from None


def count_of(count: int) -> str:
    """A number of mailboxes in words."""
    return f"{count} mailbox{'' if count == 1 else 'es'}"


def iso(moment: datetime | None) -> str | None:
    """A moment for programs."""
    return None if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def last_day(end: datetime) -> str:
    """The last day of an exception that ends at a moment."""
    return f"{end - timedelta(seconds=1):%Y-%m-%d}"


def say(line: str) -> None:
    """One line on standard error."""
    print(line, file=sys.stderr, flush=True)
