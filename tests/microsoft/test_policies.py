"""The tenant's policies, turned into what a secret may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provision.microsoft.policies import certificate_rules, password_rules

CREATED = datetime(2026, 11, 23, tzinfo=UTC)


def restriction(kind: str, **more: Any) -> dict[str, Any]:
    return {"restrictionType": kind, "state": "enabled", "restrictForAppsCreatedAfterDateTime": None, **more}


def tenant(*restrictions: dict[str, Any], enabled: bool = True) -> Any:
    rules = {"passwordCredentials": list(restrictions)}
    return {"isEnabled": enabled, "applicationRestrictions": rules}


def assigned(*restrictions: dict[str, Any], enabled: bool = True) -> Any:
    rules = {"passwordCredentials": list(restrictions)}
    return {"displayName": "lenient", "isEnabled": enabled, "restrictions": rules}


LIFETIME = restriction("passwordLifetime", maxLifetime="P180D")


@pytest.mark.parametrize(
    ("policies", "default", "allowed", "days"),
    [
        ([], tenant(), True, None),
        ([], tenant(LIFETIME), True, 180),
        ([], tenant(LIFETIME, restriction("passwordLifetime", maxLifetime="P90D")), True, 90),
        ([], tenant(restriction("passwordAddition")), False, None),
        ([], tenant(restriction("customPasswordAddition")), True, None),
        ([], tenant(restriction("passwordAddition"), enabled=False), True, None),
        ([], tenant({**restriction("passwordAddition"), "state": "disabled"}), True, None),
        ([], tenant({**LIFETIME, "restrictForAppsCreatedAfterDateTime": "2027-01-01T00:00:00Z"}), True, None),
        ([], tenant({**LIFETIME, "restrictForAppsCreatedAfterDateTime": "2020-01-01T00:00:00Z"}), True, 180),
        ([assigned(restriction("passwordLifetime", maxLifetime="P365D"))], tenant(LIFETIME), True, 365),
        ([assigned(restriction("passwordAddition"), enabled=False)], tenant(LIFETIME), True, 180),
    ],
)
def test_rules(policies: list[Any], default: Any, allowed: bool, days: int | None) -> None:
    got = password_rules(policies, default, CREATED)
    assert (got.allowed, got.max_lifetime, got.known) == (allowed, days and timedelta(days=days), True)
    assert bool(got.source) == (not allowed or days is not None)


def test_a_policy_that_may_not_be_read_is_no_refusal() -> None:
    got = password_rules([], None, CREATED)
    assert (got.allowed, got.known) == (True, False)


@pytest.mark.parametrize(
    ("restrictions", "allowed", "days"),
    [
        ([], True, None),
        ([restriction("asymmetricKeyLifetime", maxLifetime="P180D")], True, 180),
        ([restriction("trustedCertificateAuthority")], False, None),
        ([restriction("unknownFutureValue")], False, None),
        ([restriction("asymmetricKeyLifetime", maxLifetime="P30D", state="disabled")], True, None),
    ],
)
def test_certificates_have_rules_of_their_own(
    restrictions: list[dict[str, Any]], allowed: bool, days: int | None
) -> None:
    rules = {"passwordCredentials": [restriction("passwordAddition")], "keyCredentials": restrictions}
    got = certificate_rules([], {"isEnabled": True, "applicationRestrictions": rules}, CREATED)
    assert (got.allowed, got.max_lifetime) == (allowed, days and timedelta(days=days))
    assert not password_rules([], {"isEnabled": True, "applicationRestrictions": rules}, CREATED).allowed
