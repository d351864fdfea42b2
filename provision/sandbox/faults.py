"""The weather of the local tenant: which requests are delayed, refused, dropped or parked, and the global conditions.

Owns: the rules as data, their counters, what is parked. Does not own: the wire (``weather_middleware`` acts on it).
Rules and conditions live in the store's settings, so they outlive the process; counters and parked requests do not.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from provision.sandbox.directory import Directory
from provision.sandbox.limits import Limits
from provision.sandbox.replicas import Replicas

ACTIONS: dict[str, str] = {
    "status": "answer with this HTTP status instead (429 and 503 carry Retry-After)",
    "delay": "wait before the request is handled",
    "drop_before": "close the connection; nothing has happened",
    "drop_after": "do the work, then close the connection without an answer",
    "hold_before": "park the request until released; nothing has happened yet",
    "hold_after": "do the work, then park the answer until released",
    "hang": "never answer; the client gives up",
}
"""What a rule can do; the control API refuses any other name."""

_MATCH_KEYS = ("method", "path", "host", "client", "tenant")
_RULE_KEYS = (
    "name", "match", "action", "status", "retry_after", "seconds", "probability", "seed", "after_n", "count",
)  # fmt: skip
_CONDITIONS: dict[str, float] = {
    "replication_delay": 0.0,
    "exchange_delay": 0.0,
    "clock_skew": 0.0,
    "token_lifetime": 3599.0,
    "sign_in_servers": 1.0,
    "sign_in_seed": 0.0,
}
_COUNTS = {"sign_in_servers": 1, "sign_in_seed": 0}
"""Conditions that are whole numbers, with the least of each; all others are seconds."""
_SETTING_RULES = "weather.rules"
_SETTING_LIMITS = "weather.limits"
_SETTING_CONDITIONS = "weather.conditions"


OWN, TROUBLE = "weather", "trouble.weather"
"""Under which names the rules of one tenant are kept beside it: those that were set, and those of its troubles."""


class BadRule(ValueError):
    """A rule or condition that the local tenant does not understand; the message names what is allowed."""


@dataclass
class Rule:
    """One fault.

    ``match`` narrows by ``method``, ``path`` and ``client`` and ``host`` (the last three are regular expressions,
    searched, letter case ignored), and by ``tenant``, an id or a domain: whose address or token the request bears.
    ``after_n`` matching requests pass first, then ``count`` are hit (None: all), each with ``probability`` drawn from a
    generator seeded with ``seed``.
    """

    name: str
    action: str
    match: dict[str, str] = field(default_factory=dict)
    status: int = 503
    retry_after: int | None = None
    seconds: float = 0.0
    probability: float = 1.0
    seed: int = 0
    after_n: int = 0
    count: int | None = None
    seen: int = field(default=0, compare=False)
    hits: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - reproducible weather, not a secret

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Rule:
        """A rule from its JSON form; raises BadRule naming the bad key and the valid ones."""
        for key in data:
            if key not in _RULE_KEYS:
                raise BadRule(f"a fault has no {key!r}; it has: {', '.join(_RULE_KEYS)}")
        for key in data.get("match", {}):
            if key not in _MATCH_KEYS:
                raise BadRule(f"a fault cannot match {key!r}; it can match: {', '.join(_MATCH_KEYS)}")
        if data.get("action") not in ACTIONS:
            raise BadRule(f"unknown action {data.get('action')!r}; actions: {', '.join(ACTIONS)}")
        for key, pattern in data.get("match", {}).items():
            if key == "tenant":
                continue
            try:
                re.compile(pattern)
            except re.error as error:
                raise BadRule(f"match {key} is not a regular expression: {error}") from None
        return cls(**{"name": data.get("name") or data["action"], **data})

    def describe(self) -> dict[str, Any]:
        """The JSON form, with the counters."""
        return {key: getattr(self, key) for key in _RULE_KEYS} | {"seen": self.seen, "hits": self.hits}

    def applies(self, *, method: str, path: str, host: str, client: str) -> bool:
        """Counts the request when it matches and says whether this rule hits it."""
        values = {"method": method, "path": path, "host": host, "client": client}
        for key, pattern in self.match.items():
            if key == "tenant":
                continue  # ``Weather`` has seen to that
            if key == "method":
                if values[key].upper() != pattern.upper():
                    return False
            elif not re.search(pattern, values[key], re.IGNORECASE):
                return False
        self.seen += 1
        if self.seen <= self.after_n or (self.count is not None and self.hits >= self.count):
            return False
        if self.probability < 1 and self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True


@dataclass
class Held:
    """A parked request: the client waits (or was killed meanwhile) until somebody releases it."""

    id: int
    rule: str
    phase: str
    method: str
    path: str
    since: float
    released: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def describe(self) -> dict[str, Any]:
        """The JSON form for ``status``."""
        return {k: getattr(self, k) for k in ("id", "rule", "phase", "method", "path", "since")}


class Weather:
    """The current faults and conditions of one server.

    Args:
        directory: the store; both delays, the clock's skew and the sign-in servers are applied to it.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.rules = [Rule.parse(data) for data in directory.setting(_SETTING_RULES, [])]
        self._of_tenant: dict[str, dict[str, list[Rule]]] = {}
        for name in (OWN, TROUBLE):
            for tenant, rules in directory.of_tenants(name).items():
                self._of_tenant.setdefault(tenant, {})[name] = [Rule.parse(data) for data in rules]
        self.limits = Limits(directory, directory.setting(_SETTING_LIMITS, 0.0))
        self.conditions: dict[str, float] = {**_CONDITIONS, **directory.setting(_SETTING_CONDITIONS, {})}
        self.held: dict[int, Held] = {}
        self._next_held = 1
        self._apply()

    def _apply(self) -> None:
        self._directory.replication_delay = self.conditions["replication_delay"]
        self._directory.exchange_delay = self.conditions["exchange_delay"]
        self._directory.clock.skew = self.conditions["clock_skew"]
        self._directory.replicas = Replicas(
            int(self.conditions["sign_in_servers"]), int(self.conditions["sign_in_seed"])
        )

    @property
    def token_lifetime(self) -> int:
        """Seconds an access token lives."""
        return int(self.conditions["token_lifetime"])

    def set_rules(self, rules: list[dict[str, Any]]) -> None:
        """Replaces all rules (counters start again); raises BadRule and changes nothing when one is wrong."""
        parsed = [Rule.parse(data) for data in rules]
        self._directory.set_setting(_SETTING_RULES, rules)
        self.rules = parsed

    def set_tenant_rules(self, tenant: str, rules: list[dict[str, Any]], name: str = OWN) -> None:
        """Replaces the rules of one tenant, which come before those for all; raises BadRule when one is wrong.

        Args:
            tenant: its id.
            rules: without ``tenant`` in their ``match``; none for fair weather.
            name: ``OWN`` or ``TROUBLE``.
        """
        parsed = [Rule.parse(data) for data in rules]
        if any("tenant" in rule.match for rule in parsed):
            raise BadRule("the rules of one tenant cannot match another")
        self._directory.keep_of_tenant(tenant, name, rules or None)
        kept = self._of_tenant.setdefault(tenant, {})
        kept[name] = parsed
        if not any(kept.values()):
            del self._of_tenant[tenant]

    def tenant_rules(self, tenant: str) -> list[dict[str, Any]]:
        """The rules of one tenant with their counters, those of its troubles too."""
        return [rule.describe() for rules in self._of_tenant.get(tenant, {}).values() for rule in rules]

    def set_limits(self, share: float) -> None:
        """Switches Microsoft's service limits: 0 off, 1 as documented, 0.1 a tenth of each; raises BadRule."""
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise BadRule(f"limits is a number from 0 (off) to 1 (as Microsoft documents them), not {share!r}")
        self._directory.set_setting(_SETTING_LIMITS, share)
        self.limits = Limits(self._directory, float(share))

    def set_conditions(self, conditions: dict[str, float]) -> None:
        """Changes the named conditions; raises BadRule for an unknown name or a bad value."""
        for name, value in conditions.items():
            if name not in _CONDITIONS:
                raise BadRule(f"unknown condition {name!r}; conditions: {', '.join(_CONDITIONS)}")
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise BadRule(f"{name} is a number{'' if name in _COUNTS else ' of seconds'}, not {value!r}")
            if name in _COUNTS and (value != int(value) or value < _COUNTS[name]):
                raise BadRule(f"{name} is a whole number, {_COUNTS[name]} or more, not {value!r}")
        self.conditions.update({name: float(value) for name, value in conditions.items()})
        self._directory.set_setting(_SETTING_CONDITIONS, self.conditions)
        self._apply()

    def clear(self) -> None:
        """Fair weather: no rules, default conditions, no limits, everything parked released; troubles stay."""
        self.set_rules([])
        for tenant in list(self._of_tenant):
            self.set_tenant_rules(tenant, [])
        self.set_limits(0)
        self.conditions = dict(_CONDITIONS)
        self._directory.set_setting(_SETTING_CONDITIONS, {})
        self._apply()
        self.release()

    def hit(
        self, *, method: str, path: str, host: str, client: str, tenant: Callable[[], str | None] = lambda: None
    ) -> Rule | None:
        """The first rule that hits this request, counted: its tenant's rules, then those for all; None in fair weather.

        ``tenant`` tells the id or domain that the request names; it is asked only where that makes a difference.
        """
        rules = self.rules
        if self._of_tenant or any("tenant" in rule.match for rule in rules):
            named = tenant()
            found = self._directory.tenant(named, gone=True) if named else None
            identity = str(found["id"]) if found else ""
            own = [rule for kept in self._of_tenant.get(identity, {}).values() for rule in kept]
            rules = own + [rule for rule in rules if self._is_for(rule, identity)]
        return next((r for r in rules if r.applies(method=method, path=path, host=host, client=client)), None)

    def _is_for(self, rule: Rule, tenant: str) -> bool:
        if "tenant" not in rule.match:
            return True
        found = self._directory.tenant(rule.match["tenant"], gone=True)
        return found is not None and found["id"] == tenant

    async def park(self, rule: Rule, *, phase: str, method: str, path: str) -> None:
        """Waits until the request is released."""
        held = Held(self._next_held, rule.name, phase, method, path, time.time())
        self._next_held += 1
        self.held[held.id] = held
        try:
            await held.released.wait()
        finally:
            self.held.pop(held.id, None)

    def release(self, held_id: int | None = None) -> int:
        """Lets parked requests go on (one, or all) and says how many."""
        chosen = [h for h in self.held.values() if held_id in {None, h.id}]
        for held in chosen:
            held.released.set()
        return len(chosen)

    def describe(self) -> dict[str, Any]:
        """The JSON form: rules with counters, conditions, parked requests."""
        return {
            "rules": [rule.describe() for rule in self.rules],
            "conditions": self.conditions,
            "limits": self.limits.share,
            "tenantsWithWeather": len(self._of_tenant),
            "held": [held.describe() for held in self.held.values()],
        }
