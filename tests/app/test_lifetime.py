"""A secret lives as long as asked for, or as long as the tenant allows, and then it is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provision.app.lifetime import add_months, lifetime
from provision.errors import InvalidInput, PolicyRefuses
from provision.microsoft.objects import CredentialRules
from provision.settings.stack import StackSettings

NOW = datetime(2026, 11, 23, 15, 4, 5, tzinfo=UTC)
FREE = CredentialRules(allowed=True, max_lifetime=None, source="")


def settings(**own: str) -> StackSettings:
    config = {f"office365-mail:{key}": value for key, value in {"companyCode": "A", **own}.items()}
    return StackSettings.from_config(config)


@pytest.mark.parametrize(
    ("own", "end"),
    [
        ({}, "2028-11-23"),
        ({"secretMonths": "6"}, "2027-05-23"),
        ({"secretMonths": "12"}, "2027-11-23"),
        ({"secretMonths": "1"}, "2026-12-23"),
        ({"secretEndDate": "2027-02-01"}, "2027-02-01"),
    ],
)
def test_as_asked(own: dict[str, str], end: str) -> None:
    got = lifetime(settings(**own), FREE, NOW)
    assert (got.end.isoformat(), got.note) == (f"{end}T00:00:00+00:00", "")


@pytest.mark.parametrize(
    ("day", "months", "end"),
    [
        (datetime(2027, 1, 31, tzinfo=UTC), 1, datetime(2027, 2, 28, tzinfo=UTC)),
        (datetime(2026, 8, 31, tzinfo=UTC), 18, datetime(2028, 2, 29, tzinfo=UTC)),
        (datetime(2026, 12, 1, tzinfo=UTC), 12, datetime(2027, 12, 1, tzinfo=UTC)),
    ],
)
def test_months_are_the_calendars(day: datetime, months: int, end: datetime) -> None:
    assert add_months(day, months) == end


def test_the_longest_that_the_policy_allows_is_taken_and_said() -> None:
    rules = CredentialRules(allowed=True, max_lifetime=timedelta(days=180), source="the tenant's default policy")
    got = lifetime(settings(), rules, NOW)
    assert NOW + timedelta(days=179) < got.end <= NOW + timedelta(days=180)
    assert "180 days" in got.note
    assert "2028-11-23" in got.note


def test_a_policy_longer_than_asked_for_changes_nothing() -> None:
    rules = CredentialRules(allowed=True, max_lifetime=timedelta(days=1000), source="p")
    assert lifetime(settings(), rules, NOW).note == ""


def test_forbidden_secrets_are_refused_with_the_policy() -> None:
    with pytest.raises(PolicyRefuses, match="the policy 'x'"):
        lifetime(settings(), CredentialRules(allowed=False, max_lifetime=None, source="the policy 'x'"), NOW)


@pytest.mark.parametrize("day", ["2026-11-22", "2026-11-23", "2029-01-01"])
def test_an_end_in_the_past_or_too_far_is_refused(day: str) -> None:
    with pytest.raises(InvalidInput, match="24 months"):
        lifetime(settings(secretEndDate=day), FREE, NOW)
