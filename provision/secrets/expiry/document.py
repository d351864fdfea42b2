"""The ends of secrets as a JSON document for programs; its names are promised in ``docs/expiry.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from provision.errors import ProvisionError
from provision.secrets.expiry import Entry, Registration

FORMAT = 1
"""Grows when a name goes away or changes its meaning; new names may come without."""


def document(
    registrations: Iterable[Registration],
    failures: Mapping[str, ProvisionError],
    *,
    within: timedelta,
    notes: Iterable[str],
) -> dict[str, Any]:
    """The document.

    Args:
        registrations: what was read.
        failures: the stacks or client ids that could not be read, and why.
        within: what "soon" is.
        notes: what fails nothing.
    """
    read = list(registrations)
    return {
        "format": FORMAT,
        "withinSeconds": int(within.total_seconds()),
        "registrations": [_registration(one) for one in read],
        "secrets": [_entry(one, entry) for one in read for entry in one.entries],
        "notes": list(notes),
        "failures": [
            {
                "target": target,
                "error": type(error).__name__,
                "exitCode": error.exit_code,
                "message": error.message,
                "remedy": error.remedy,
            }
            for target, error in failures.items()
        ],
    }


def _registration(one: Registration) -> dict[str, Any]:
    return {
        **_whose(one),
        "at": _written(one.at),
        "clockAheadSeconds": int(one.ahead.total_seconds()),
        "deciding": one.deciding.key_id if one.deciding else None,
        "problem": one.problem or None,
        "remedy": one.remedy or None,
    }


def _entry(one: Registration, entry: Entry) -> dict[str, Any]:
    return {
        **_whose(one),
        "kind": entry.kind,
        "name": entry.name,
        "keyId": entry.key_id,
        "starts": _written(entry.starts),
        "ends": _written(entry.ends),
        "daysLeft": one.days_left(entry),
        "slot": entry.slot,
        "inUse": entry.in_use,
        "deciding": entry is one.deciding,
        "state": entry.state,
    }


def _whose(one: Registration) -> dict[str, Any]:
    return {"stack": one.stack, "registration": one.name, "clientId": one.client_id, "tenantId": one.tenant_id}


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
