"""What the tenant's app management policies say about client secrets.

Source: "Microsoft Entra application management policies API overview", "passwordCredentialConfiguration resource type"
(Microsoft Graph docs). Exemptions of single callers (``excludeActors``) cannot be told from outside, so do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from provision.microsoft.objects import PasswordRules


def password_rules(assigned: Sequence[Any], tenant: Any, created: datetime) -> PasswordRules:
    """The rules for one application's secrets.

    Args:
        assigned: the SDK's ``appManagementPolicy`` objects of the application; they win over the tenant's.
        tenant: the SDK's ``tenantAppManagementPolicy``, or None when the caller may not read it.
        created: when the application was made; a restriction may spare older ones.
    """
    for policy in assigned:
        if policy.is_enabled is False:
            continue
        restrictions = getattr(policy.restrictions, "password_credentials", None)
        if restrictions:
            return _judged(restrictions, created, f"the app management policy {policy.display_name!r}")
    if tenant is None:
        return PasswordRules(allowed=True, max_lifetime=None, source="", known=False)
    restrictions = getattr(tenant.application_restrictions, "password_credentials", None)
    if not tenant.is_enabled or not restrictions:
        return PasswordRules(allowed=True, max_lifetime=None, source="")
    return _judged(restrictions, created, "the tenant's default app management policy")


def _judged(restrictions: Sequence[Any], created: datetime, source: str) -> PasswordRules:
    in_force = [restriction for restriction in restrictions if _applies(restriction, created)]
    kinds = {_word(restriction.restriction_type) for restriction in in_force}
    lifetimes: list[timedelta] = [
        restriction.max_lifetime
        for restriction in in_force
        if _word(restriction.restriction_type) == "passwordLifetime" and restriction.max_lifetime is not None
    ]
    forbidden = "passwordAddition" in kinds
    return PasswordRules(
        allowed=not forbidden,
        max_lifetime=min(lifetimes, default=None),
        source=source if forbidden or lifetimes else "",
    )


def _applies(restriction: Any, created: datetime) -> bool:
    if _word(restriction.state) == "disabled":
        return False
    since: datetime | None = restriction.restrict_for_apps_created_after_date_time
    return since is None or created >= since


def _word(value: Any) -> str:
    return str(getattr(value, "value", value) or "")
