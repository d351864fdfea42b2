"""How a fleet's run ended, as a table, as JSON and CSV, and as an exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provision import report
from provision.cli.files import PRIVATE, put
from provision.errors import Interrupted, PartlyFailed, ProblemsFound, ProvisionError

if TYPE_CHECKING:
    from provision.fleet.breaker import Cause
    from provision.fleet.coordinator import Ended
    from provision.fleet.source import Problem
    from provision.fleet.store import FleetStore, Run

SHOWN = 50
"""Rows of the table; a thousand failures are for a program to read."""
_ALL = "--json, or provision fleet report --html FILE"
_ORDER = ("failed", "not-tried", "pending", "changed", "unchanged")


def print_table(store: FleetStore, run: Run, ended: Ended) -> None:
    """The tenants that changed, failed, or want something, and the count of all."""
    from provision.fleet.forms import why

    rows: dict[str, list[tuple[str, ...]]] = {status: [] for status in _ORDER if status != "unchanged"}
    told = 0
    for outcome in store.outcomes(run):
        found = rows.get(outcome.status)
        if found is not None:
            told += 1
            if len(found) < SHOWN:
                found.append((outcome.key, outcome.status, why(outcome)))
    table = [row for found in rows.values() for row in found][:SHOWN]
    if table:
        print(report.table(("Tenant", "Status", ""), table))
    if told > len(table):
        print(f"and {told - len(table)} more")
    counts = [f"{ended.counts[status]} {status}" for status in reversed(_ORDER) if ended.counts.get(status)]
    print(f"run {run.id}: {', '.join(counts) or 'nothing was left to do'}")


def print_json(store: FleetStore, run: Run, ended: Ended, problems: tuple[Problem, ...]) -> None:
    """One JSON object; tenants one by one, so that any number of them takes no memory."""
    head: dict[str, Any] = {
        "fleet": run.fleet,
        "run": run.id,
        "action": run.action,
        "complete": ended.complete,
        "counts": dict(ended.counts),
        "causes": [{"kind": cause.kind, "scope": cause.scope, "message": why.message} for cause, why in ended.causes],
        "badRows": [
            {"line": one.line, "where": one.where, "message": one.message, "remedy": one.remedy} for one in problems
        ],
    }
    print(json.dumps(head, ensure_ascii=False)[:-1] + ', "tenants": [', end="")
    separator = "\n  "
    for outcome in store.outcomes(run):
        print(separator + json.dumps(outcome.document(), ensure_ascii=False), end="")
        separator = ",\n  "
    print("\n]}")


def write_forms(store: FleetStore, run: Run, *, csv: Path | None, junit: Path | None) -> None:
    """The run's outcomes into the files that were asked for, each its owner's alone: they name customers.

    Raises:
        InvalidInput: one cannot be written.
    """
    from provision.fleet import forms

    if csv is not None:
        text = io.StringIO()
        forms.write_csv(store.outcomes(run), text)
        put(csv, text.getvalue(), mode=PRIVATE)
    if junit is not None:
        put(junit, forms.junit(f"provision fleet {run.action}", store.outcomes(run)), mode=PRIVATE)


def verdict(ended: Ended, problems: tuple[Problem, ...], *, action: str, expect_no_changes: bool = False) -> int:
    """0 when all is as it should be.

    Raises:
        ProvisionError: what stopped the run, or ``Interrupted``, ``PartlyFailed``, ``ProblemsFound``; pending changes
            that were not expected.
    """
    untried = ended.counts.get("not-tried", 0)
    goes_on = f"provision fleet {action} --resume goes on."
    if ended.interrupted:
        raise Interrupted(f"Stopped; {_tenants(untried)} not tried.", remedy=f"Nothing is lost: {goes_on}")
    if ended.broken is not None:
        raise ended.broken
    for cause, why in ended.causes:
        raise _stopping(why.exit_code)(
            f"{_shared(cause, untried)} {why.message}",
            remedy=f"{why.remedy} Then {goes_on}".strip(),
        )
    failed = ended.counts.get("failed", 0)
    if failed or untried or problems:
        parts = [f"{_tenants(failed)} failed"] * bool(failed) + [f"{_tenants(untried)} not tried"] * bool(untried)
        parts += [f"bad rows left out ({len(problems)} mistake{'s' * (len(problems) != 1)})"] * bool(problems)
        others = sum(ended.counts.values()) - failed - untried
        raise PartlyFailed(
            f"{', '.join(parts)}{'; the others are done' if others else ''}.",
            remedy="Each one's cause stands above; correct it, run again. What to do about each: "
            + (_ALL if failed or untried else "provision fleet validate"),
        )
    pending = ended.counts.get("pending", 0)
    if pending and expect_no_changes:
        raise ProvisionError(
            f"{_tenants(pending)} would change.", remedy="They stand above; provision fleet up makes them."
        )
    if pending and action in ("audit", "diagnose", "smtp-auth"):
        raise ProblemsFound(
            f"{_tenants(pending)} {'is not as it' if pending == 1 else 'are not as they'} should be.",
            remedy=f"A finding of each stands above. All of them, and what to do: {_ALL}",
        )
    return 0


def _shared(cause: Cause, untried: int) -> str:
    whom = f"every tenant with the credential {cause.scope}" if cause.scope else "every tenant"
    if not untried:
        return f"One cause hits {whom} ({cause.kind})."
    return f"The run was stopped because one cause hits {whom} ({cause.kind}); {_tenants(untried)} not tried."


def _stopping(code: int) -> type[ProvisionError]:
    found = [kind for kind in ProvisionError.__subclasses__() if kind.exit_code == code]
    return found[0] if found else ProvisionError


def _tenants(count: int) -> str:
    return f"{count} tenant{'' if count == 1 else 's'}"
