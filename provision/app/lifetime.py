"""Until when a client secret or a certificate lives: what was asked for, or the longest that the policy allows."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from provision.errors import InvalidInput, PolicyRefuses
from provision.microsoft.objects import CredentialRules
from provision.settings.stack import StackSettings

MAX_MONTHS = 24
"""The portal offers no more ("Add and manage application credentials in Microsoft Entra ID")."""

LONGEST_CERTIFICATE = timedelta(days=366)
"""``endDateTime`` "can be a maximum of one year from the startDateTime" ("Add a certificate to an app using Microsoft
Graph")."""

_MARGIN = timedelta(minutes=10)
"""Between our clock and Entra's, and between this reckoning and the request."""
_SHORTEST = timedelta(days=1)


@dataclass(frozen=True)
class Lifetime:
    """When a new secret expires, and what there is to say about it."""

    end: datetime
    note: str = ""
    """Why it is shorter than asked for; empty when it is not."""


def add_months(day: datetime, months: int) -> datetime:
    """The same day some months later, or the last one of a shorter month."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return day.replace(year=year, month=month, day=min(day.day, calendar.monthrange(year, month)[1]))


def lifetime(settings: StackSettings, rules: CredentialRules, now: datetime) -> Lifetime:
    """When a secret made now expires.

    Args:
        settings: the stack's ``secret_end_date``, or its ``secret_months`` counted from today, to midnight UTC.
        rules: what the tenant's policies allow.
        now: the present, UTC.

    Raises:
        InvalidInput: the day asked for is not in the next two years.
        PolicyRefuses: a policy forbids client secrets.
    """
    if not rules.allowed:
        raise PolicyRefuses(
            f"No client secret can be made: {rules.source} forbids them.",
            remedy="Ask an administrator for an exemption of this application (App registrations > policies).",
        )
    wanted = settings.secret_end_date or add_months(_midnight(now), settings.secret_months)
    if not now + _SHORTEST <= wanted <= add_months(_midnight(now), MAX_MONTHS) + timedelta(days=1):
        raise InvalidInput(
            f"The secret's end {wanted:%Y-%m-%d} is not a day of the next {MAX_MONTHS} months.",
            remedy="Correct office365-mail:secretEndDate.",
        )
    if rules.max_lifetime is None or wanted <= now + rules.max_lifetime:
        return Lifetime(wanted)
    longest = (now + rules.max_lifetime - _MARGIN).replace(second=0, microsecond=0)
    note = (
        f"{rules.source[:1].upper()}{rules.source[1:]} allows client secrets for at most {_days(rules.max_lifetime)}: "
        f"this one expires on {longest:%Y-%m-%d} instead of {wanted:%Y-%m-%d}."
    )
    return Lifetime(longest, note)


def certificate_lifetime(asked: timedelta | None, rules: CredentialRules, now: datetime) -> Lifetime:
    """When a certificate made now expires.

    Args:
        asked: how long it shall live; None for a year, or as long as the policy allows.
        rules: what the tenant's policies allow.
        now: the present, UTC.

    Raises:
        InvalidInput: it is not between a day and a year.
        PolicyRefuses: a policy forbids certificates that sign themselves, or one that lives as long as was asked for.
    """
    if not rules.allowed:
        raise PolicyRefuses(
            f"No certificate can be made here: {rules.source} takes only those of the tenant's trusted authorities.",
            remedy="Ask an administrator for an exemption of this application, or use provision credential federated.",
        )
    if asked is not None and not _SHORTEST <= asked <= LONGEST_CERTIFICATE:
        raise InvalidInput(
            f"A certificate cannot live {_days(asked)}: Microsoft takes a day to a year.",
            remedy="For example --days 90.",
        )
    if rules.max_lifetime is None or (asked or LONGEST_CERTIFICATE) <= rules.max_lifetime:
        return Lifetime(now + (asked or timedelta(days=365)))
    if asked is not None:
        raise PolicyRefuses(
            f"The certificate shall live {_days(asked)}: {rules.source} allows at most {_days(rules.max_lifetime)}.",
            remedy=f"Ask for less: --days {max(1, rules.max_lifetime.days)}",
        )
    longest = now + rules.max_lifetime - _MARGIN
    source = f"{rules.source[:1].upper()}{rules.source[1:]}"
    note = (
        f"{source} allows certificates for at most {_days(rules.max_lifetime)}: this one expires on {longest:%Y-%m-%d}."
    )
    return Lifetime(longest, note)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _days(span: timedelta) -> str:
    return f"{span.days} days" if span.days != 1 else "1 day"
