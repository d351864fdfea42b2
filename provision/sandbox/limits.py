"""Microsoft Graph's limits for identity and access: what a request costs, and who has used up what he may.

Owns: the costs, the quotas, the accounts of applications and tenants. Does not own: the wire (``graph.app`` asks before
each request, alone or out of a batch).

Source: "Microsoft Graph service-specific throttling limits", sections "Identity and access service limits" (a token
bucket for the pair of application and tenant by the tenant's size, for the application, and for the tenant) and
"Identity protection and conditional access service limits" (one request a second for a tenant, refused without a
Retry-After). That the buckets begin full and fill evenly is how a token bucket is commonly meant, not read there; and
so is Retry-After as the time until the request would pass.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from provision.sandbox.directory import Directory

COSTS: dict[tuple[str, str], int] = {
    ("GET", "/applications"): 2,
    ("POST", "/directoryObjects/getByIds"): 5,
    ("GET", "/groups/{}/members"): 3,
    ("GET", "/groups/{}/transitiveMembers"): 5,
    ("GET", "/oauth2PermissionGrants"): 2,
    ("GET", "/oauth2PermissionGrants/{}"): 2,
    ("GET", "/servicePrincipals/{}/appRoleAssignments"): 2,
    ("GET", "/subscribedSkus"): 3,
    ("GET", "/users"): 2,
    ("GET", "/users/{}/licenseDetails"): 2,
    ("GET", "/users/{}/memberOf"): 2,
    ("GET", "/users/{}/ownedObjects"): 2,
    ("GET", "/users/{}/transitiveMemberOf"): 2,
}
"""Base costs in resource units, for the paths that the local tenant answers; ``/me`` costs what ``/users/{}`` does."""
_READS = frozenset({("POST", "/directoryObjects/getByIds")})
"""Other methods than GET that write nothing."""
_IDENTITY = (
    "/applications", "/devices", "/directory", "/directoryObjects", "/directoryRoles", "/directoryRoleTemplates",
    "/domains", "/groups", "/oauth2PermissionGrants", "/organization", "/policies", "/servicePrincipals",
    "/subscribedSkus", "/users",
)  # fmt: skip
_MAIL = ("/users/{}/messages", "/users/{}/mailFolders", "/users/{}/sendMail")
_CONDITIONAL_ACCESS = ("/identity/conditionalAccess",)
_SIZES = ((50, "S", 3_500), (501, "M", 5_000), (math.inf, "L", 8_000))
"""Fewer users than this, the size, resource units of an application in such a tenant per 10 seconds."""
_COUNTED_FOR = 60.0
"""Seconds for which a tenant's size is remembered."""


class Throttled(Exception):
    """A request is over a limit.

    Args:
        scope: as ``x-ms-throttle-scope`` says it.
        reason: as ``x-ms-throttle-information`` says it.
        retry_after: seconds; None where Microsoft sends none.
    """

    def __init__(self, scope: str, reason: str, retry_after: int | None) -> None:
        super().__init__(reason)
        self.scope, self.reason, self.retry_after = scope, reason, retry_after


@dataclass(frozen=True)
class Charged:
    """What a request that may pass has cost."""

    units: int
    used: float
    """Of the pair's quota, 0 to 1."""


@dataclass
class _Bucket:
    """What somebody may still use; full at the start, filled evenly."""

    quota: float
    seconds: float
    left: float = field(init=False)
    at: float = field(init=False)

    def __post_init__(self) -> None:
        self.left, self.at = self.quota, time.monotonic()

    def wait(self, cost: float) -> float:
        """Seconds until the bucket holds ``cost``; 0 when it does."""
        now = time.monotonic()
        self.left = min(self.quota, self.left + (now - self.at) * self.quota / self.seconds)
        self.at = now
        return max(0.0, (cost - self.left) * self.seconds / self.quota)


class Limits:
    """The accounts of one server.

    Args:
        directory: tells how many users a tenant has.
        share: of the documented quotas; 0 switches the limits off.
    """

    def __init__(self, directory: Directory, share: float) -> None:
        self._directory = directory
        self.share = share
        self._buckets: dict[tuple[str, ...], _Bucket] = {}
        self._sizes: dict[str, tuple[float, int]] = {}

    def charge(self, method: str, template: str, *, application: str, tenant: str, options: Options) -> Charged | None:
        """Takes a request's cost from every account that it falls under.

        Args:
            method: of HTTP.
            template: the operation's path, variable segments as ``{…}``.
            application: the caller's client id.
            tenant: the tenant's id.
            options: which query options change the cost.

        Returns:
            None where no limit applies.

        Raises:
            Throttled: one account does not suffice; nothing is taken then.
        """
        path = _normal(template)
        if not self.share:
            return None
        if path.startswith(_CONDITIONAL_ACCESS):
            self._take([(("conditional access", tenant), 1, 1, 1, f"Tenant/ReadWrite/{application}/{tenant}", False)])
            return None
        if not path.startswith(_IDENTITY) or path.startswith(_MAIL):
            return None
        units, writes = cost(method, path, options), int(method != "GET" and (method, path) not in _READS)
        pair = f"Tenant_Application/{{}}/{application}/{tenant}"
        rows: list[_Row] = [
            (("units", application, tenant), units, self._units(tenant), 10, pair.format("ReadWrite"), True),
            (("units", application), units, 150_000, 20, f"Application/ReadWrite/{application}/{tenant}", True),
        ]
        if writes:
            rows += [
                (("writes", application, tenant), 1, 3_000, 150, pair.format("Write"), True),
                (("writes", application), 1, 35_000, 300, f"Application/Write/{application}/{tenant}", True),
                (("writes", "", tenant), 1, 18_000, 300, f"Tenant/Write/{application}/{tenant}", True),
            ]
        self._take(rows)
        bucket = self._buckets[rows[0][0]]
        return Charged(units, 1 - bucket.left / bucket.quota)

    def _take(self, rows: list[_Row]) -> None:
        found = []
        for key, amount, quota, seconds, scope, told in rows:
            allowed = max(quota * self.share, 1.0) if told else float(quota)
            if (bucket := self._buckets.get(key)) is None or bucket.quota != allowed:
                bucket = self._buckets[key] = _Bucket(allowed, seconds)
            if (wait := bucket.wait(min(amount, allowed))) > 0:
                reason = "WriteLimitExceeded" if key[0] == "writes" else "ResourceUnitLimitExceeded"
                raise Throttled(scope, reason, max(1, math.ceil(wait)) if told else None)
            found.append((bucket, amount))
        for bucket, amount in found:
            bucket.left -= amount

    def _units(self, tenant: str) -> int:
        now = time.monotonic()
        known = self._sizes.get(tenant)
        if known is None or known[0] < now:
            users = self._directory.count(tenant, "user")
            known = (now + _COUNTED_FOR, next(quota for below, _, quota in _SIZES if users < below))
            self._sizes[tenant] = known
        return known[1]


_Row = tuple[tuple[str, ...], int, float, float, str, bool]
"""The account, what is taken, quota and seconds, its name for the client, whether that is told when to retry."""


@dataclass(frozen=True)
class Options:
    """The query options that change what a request costs."""

    select: bool = False
    expand: bool = False
    top: int | None = None


def cost(method: str, path: str, options: Options) -> int:
    """A request's resource units: at least 1."""
    units = COSTS.get((method, path), 1)
    if path == "/directoryObjects/getByIds" and options.select:
        return 2
    return max(1, units - options.select + options.expand - (options.top is not None and options.top < 20))


def _normal(template: str) -> str:
    parts = ["{}" if part.startswith("{") else part for part in template.strip("/").split("/")]
    return "/" + "/".join(["users", "{}", *parts[1:]] if parts[0] == "me" else parts)
