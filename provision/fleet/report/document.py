"""A fleet's view as JSON, in pieces, so that any number of tenants takes little memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from provision.fleet.report.view import Ran, Row, View
from provision.fleet.store.values import Recorded


def document(view: View) -> Iterator[str]:
    """The parts of one JSON object: ``tenants`` last, one a line."""
    head = {
        "fleet": view.fleet,
        "made": _time(view.made),
        "run": view.run.id if view.run else None,
        "counts": view.counts,
        "drifted": [row.key for row in view.drifted],
        "rules": [
            {
                "rule": one.rule,
                "severity": one.severity,
                "example": one.example.message,
                "remedy": one.example.remedy,
                "tenants": one.keys,
            }
            for one in view.rules()
        ],
        "failures": [
            {
                "action": cause.action,
                "kind": cause.failure.kind,
                "message": cause.failure.message,
                "remedy": cause.failure.remedy,
                "tenants": cause.keys,
            }
            for cause in view.causes()
        ],
        "secretsEnd": [{"when": span.label, "soon": span.soon, "tenants": span.keys} for span in view.timeline()],
        "runs": [_ran(ran) for ran in view.runs],
    }
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "tenants": ['
    separator = "\n  "
    for row in view.rows:
        yield separator + json.dumps(_row(row), ensure_ascii=False)
        separator = ",\n  "
    yield "\n]}\n"


def _row(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "tenant": row.tenant,
        "profile": row.profile,
        "groups": row.groups,
        "state": row.state,
        "verdict": row.verdict,
        "secretEnds": _time(row.secret_ends),
        "trail": row.trail,
        "standing": [one.outcome.action for one in row.standing],
        "latest": [_said(one) for one in row.latest],
    }


def _said(one: Recorded) -> dict[str, Any]:
    return {"run": one.run, "at": _time(one.at), "outcome": one.outcome.document()}


def _ran(ran: Ran) -> dict[str, Any]:
    return {
        "run": ran.run.id,
        "action": ran.run.action,
        "begun": _time(ran.run.begun),
        "ended": _time(ran.run.ended),
        "counts": ran.counts,
        "better": ran.better,
        "worse": ran.worse,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
