"""Policies of a tenant that benchmarks and tests set, as bodies for Microsoft Graph."""

from __future__ import annotations

from typing import Any

LEGACY: dict[str, Any] = {
    "displayName": "Block legacy authentication",
    "state": "enabled",
    "conditions": {
        "clientAppTypes": ["exchangeActiveSync", "other"],
        "applications": {"includeApplications": ["All"]},
        "users": {"includeUsers": ["All"]},
    },
    "grantControls": {"operator": "OR", "builtInControls": ["block"]},
}
"""The Conditional Access policy of "Block legacy authentication with Conditional Access", for everybody."""
