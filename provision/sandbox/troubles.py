"""What is wrong with a customer until somebody puts it right: states that administrators, not networks, bring about.

Owns: bringing a tenant into such a state and back, and remembering in which it is. Does not own: the refusals that
follow (Entra's and Graph's own), weather that passes by itself (``faults``).

A new kind is one more entry of ``KINDS``. ``begin`` returns what ``end`` needs to put back, as JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provision.sandbox.directory import Directory, Document
from provision.sandbox.faults import TROUBLE, BadRule, Weather

_KEPT = "troubles"


@dataclass(frozen=True)
class Customer:
    """The tenant that is brought into trouble, and the application that suffers."""

    directory: Directory
    weather: Weather
    tenant: str
    app_id: str
    options: Document = field(default_factory=dict)

    @property
    def application(self) -> Document:
        """The registration, which must be in this tenant."""
        found = self.directory.find(self.tenant, "application", fresh=True, appId=self.app_id)
        if not found:
            raise BadRule(f"the tenant {self.tenant} has no application {self.app_id}")
        return found[0]

    @property
    def principal(self) -> Document:
        """The service principal in this tenant; the registration may be a partner's."""
        found = self.directory.find(self.tenant, "servicePrincipal", fresh=True, appId=self.app_id)
        if not found:
            raise BadRule(f"the tenant {self.tenant} has no service principal of {self.app_id}")
        return found[0]


@dataclass(frozen=True)
class Kind:
    """One way in which a customer can be in trouble."""

    about: str
    """What it is and how it shows."""
    begin: Callable[[Customer], Any]
    end: Callable[[Customer, Any], None]
    options: tuple[str, ...] = ()
    """What else the request may say."""


def _expire(customer: Customer) -> Document:
    application = customer.application
    day = customer.directory.clock.now() - 86400
    ends = {row["keyId"]: row["endDateTime"] for row in application["passwordCredentials"]}
    _set_ends(customer, dict.fromkeys(ends, datetime.fromtimestamp(day, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")))
    return ends


def _set_ends(customer: Customer, ends: Document) -> None:
    application = customer.application
    rows = [
        {**row, "endDateTime": ends.get(row["keyId"], row["endDateTime"])} for row in application["passwordCredentials"]
    ]
    customer.directory.replace(customer.tenant, "application", {**application, "passwordCredentials": rows})


def _revoke(customer: Customer) -> list[Document]:
    held = customer.directory.find(
        customer.tenant, "appRoleAssignment", fresh=True, principalId=customer.principal["id"]
    )
    for row in held:
        customer.directory.remove(customer.tenant, "appRoleAssignment", row["id"])
    return held


def _grant(customer: Customer, held: list[Document]) -> None:
    customer.directory.insert_many(customer.tenant, "appRoleAssignment", held)


def _enable(customer: Customer, *, enabled: bool) -> None:
    customer.directory.replace(customer.tenant, "servicePrincipal", {**customer.principal, "accountEnabled": enabled})


def _forbid(customer: Customer) -> Document:
    (policy,) = customer.directory.all(customer.tenant, "defaultAppManagementPolicy", fresh=True)
    rule = {
        "restrictionType": "passwordAddition",
        "state": "enabled",
        "maxLifetime": None,
        "restrictForAppsCreatedAfterDateTime": "2020-01-01T00:00:00Z",
    }
    restrictions = {**policy["applicationRestrictions"], "passwordCredentials": [rule]}
    changed = {**policy, "isEnabled": True, "applicationRestrictions": restrictions}
    customer.directory.replace(customer.tenant, "defaultAppManagementPolicy", changed)
    return policy


def _allow(customer: Customer, policy: Document) -> None:
    customer.directory.replace(customer.tenant, "defaultAppManagementPolicy", policy)


def _weather(customer: Customer, name: str, **rule: Any) -> None:
    others = [one for one in customer.directory.of_tenant(customer.tenant, TROUBLE, []) if one["name"] != name]
    added = [{"name": name, **rule}] if rule else []
    customer.weather.set_tenant_rules(customer.tenant, [*others, *added], TROUBLE)


def _throttle(customer: Customer) -> None:
    seconds = customer.options.get("retryAfter", 10)
    if type(seconds) is not int or not 0 <= seconds <= 3600:
        raise BadRule(f"retryAfter is a number of seconds from 0 to 3600, not {seconds!r}")
    match = {"path": "^/(v1\\.0|beta|adminapi)/"}
    _weather(customer, "throttled", action="status", status=429, retry_after=seconds, match=match)


KINDS: dict[str, Kind] = {
    "secret-expired": Kind(
        "the application's secrets ended a day ago: AADSTS7000222",
        _expire,
        _set_ends,
    ),
    "consent-revoked": Kind(
        "the application's permissions were taken away: tokens without roles, Graph refuses with 403", _revoke, _grant
    ),
    "principal-disabled": Kind(
        "sign-in is disabled for the enterprise application: AADSTS7000112",
        lambda customer: _enable(customer, enabled=False),
        lambda customer, _: _enable(customer, enabled=True),
    ),
    "tenant-gone": Kind(
        "the customer has given up the tenant: AADSTS90002",
        lambda customer: customer.directory.set_gone(customer.tenant, True),
        lambda customer, _: customer.directory.set_gone(customer.tenant, False),
    ),
    "secrets-forbidden": Kind("the app management policy forbids new secrets", _forbid, _allow),
    "throttled": Kind(
        "Graph and Exchange answer everything with 429 and a Retry-After",
        _throttle,
        lambda customer, _: _weather(customer, "throttled"),
        ("retryAfter",),
    ),
    "hanging": Kind(
        "connections are taken and never answered, sign-in too",
        lambda customer: _weather(customer, "hanging", action="hang"),
        lambda customer, _: _weather(customer, "hanging"),
    ),
}


class Troubles:
    """The troubles of a server's tenants; they outlive the process and clearing the weather."""

    def __init__(self, directory: Directory, weather: Weather) -> None:
        self._directory = directory
        self._weather = weather

    def of(self, tenant: str) -> list[str]:
        """The kinds of trouble that a tenant (its id) has."""
        return sorted(self._directory.of_tenant(tenant, _KEPT, {}))

    def all(self) -> dict[str, list[str]]:
        """Every tenant's id that has any, with their kinds."""
        return {tenant: sorted(kept) for tenant, kept in self._directory.of_tenants(_KEPT).items()}

    def begin(self, tenant: str, kind: str, client_id: str | None, options: Document) -> None:
        """Brings a tenant into trouble; nothing when it is in that one already.

        Args:
            tenant: its id.
            kind: one of ``KINDS``.
            client_id: of the application that suffers; the tenant's admin application when None.
            options: what the kind takes.

        Raises:
            BadRule: one of them cannot be.
        """
        chosen = _kind(kind)
        if unknown := sorted(set(options) - set(chosen.options)):
            raise BadRule(f"{kind} has no {unknown[0]!r}; it has: {', '.join(('clientId', *chosen.options))}")
        kept = self._directory.of_tenant(tenant, _KEPT, {})
        if kind in kept:
            return
        app_id = client_id or self._directory.of_tenant(tenant, "seeded", {}).get("admin_client_id", "")
        with self._directory.transaction():
            before = chosen.begin(Customer(self._directory, self._weather, tenant, app_id, options))
            self._directory.keep_of_tenant(tenant, _KEPT, {**kept, kind: {"appId": app_id, "before": before}})

    def end(self, tenant: str, kind: str) -> None:
        """Puts everything back as it was; nothing when the tenant is not in that trouble.

        Raises:
            BadRule: there is no such kind.
        """
        chosen = _kind(kind)
        kept = self._directory.of_tenant(tenant, _KEPT, {})
        if kind not in kept:
            return
        with self._directory.transaction():
            customer = Customer(self._directory, self._weather, tenant, kept[kind]["appId"])
            chosen.end(customer, kept[kind]["before"])
            left = {name: value for name, value in kept.items() if name != kind}
            self._directory.keep_of_tenant(tenant, _KEPT, left or None)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise BadRule(f"there is no trouble {name!r}; there are: {', '.join(KINDS)}")
    return KINDS[name]
