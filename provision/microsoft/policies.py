"""What the tenant's app management policies say about client secrets and certificates.

Source: "Microsoft Entra application management policies API overview", "passwordCredentialConfiguration resource type",
"keyCredentialConfiguration resource type" (Microsoft Graph docs; ``trustedCertificateAuthority`` is of its beta page).
Exemptions of single callers (``excludeActors``) cannot be told from outside, so do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from provision.microsoft.objects import CredentialRules
from provision.microsoft.reading import Document, moment


@dataclass(frozen=True)
class _Restrictions:
    """How Graph calls what it can restrict for one kind of credential."""

    collection: str
    addition: tuple[str, ...]
    """The restrictions under which none of ours can be added."""
    lifetime: str


_PASSWORDS = _Restrictions("passwordCredentials", ("passwordAddition",), "passwordLifetime")
_CERTIFICATES = _Restrictions(
    "keyCredentials", ("trustedCertificateAuthority", "unknownFutureValue"), "asymmetricKeyLifetime"
)
"""v1.0 names no other restriction than the lifetime; the beta page's one more is what it can only call unknown."""


def password_rules(assigned: Sequence[Document], tenant: Document | None, created: datetime) -> CredentialRules:
    """The rules for one application's secrets.

    Args:
        assigned: the ``appManagementPolicy`` objects of the application; they win over the tenant's.
        tenant: the ``tenantAppManagementPolicy``, or None when the caller may not read it.
        created: when the application was made; a restriction may spare older ones.
    """
    return _rules(_PASSWORDS, assigned, tenant, created)


def certificate_rules(assigned: Sequence[Document], tenant: Document | None, created: datetime) -> CredentialRules:
    """The rules for one application's certificates that sign themselves; takes what ``password_rules`` does."""
    return _rules(_CERTIFICATES, assigned, tenant, created)


def _rules(
    kind: _Restrictions, assigned: Sequence[Document], tenant: Document | None, created: datetime
) -> CredentialRules:
    for policy in assigned:
        restrictions = (policy.get("restrictions") or {}).get(kind.collection)
        if policy.get("isEnabled") is not False and restrictions:
            return _judged(kind, restrictions, created, f"the app management policy {policy.get('displayName')!r}")
    if tenant is None:
        return CredentialRules(allowed=True, max_lifetime=None, source="", known=False)
    restrictions = (tenant.get("applicationRestrictions") or {}).get(kind.collection)
    if not tenant.get("isEnabled") or not restrictions:
        return CredentialRules(allowed=True, max_lifetime=None, source="")
    return _judged(kind, restrictions, created, "the tenant's default app management policy")


def _judged(kind: _Restrictions, restrictions: Sequence[Document], created: datetime, source: str) -> CredentialRules:
    in_force = [restriction for restriction in restrictions if _applies(restriction, created)]
    lifetimes: list[timedelta] = [
        _duration(restriction["maxLifetime"])
        for restriction in in_force
        if restriction["restrictionType"] == kind.lifetime and restriction.get("maxLifetime")
    ]
    forbidden = any(restriction["restrictionType"] in kind.addition for restriction in in_force)
    return CredentialRules(
        allowed=not forbidden,
        max_lifetime=min(lifetimes, default=None),
        source=source if forbidden or lifetimes else "",
    )


def _applies(restriction: Document, created: datetime) -> bool:
    if restriction.get("state") == "disabled":
        return False
    since = moment(restriction.get("restrictForAppsCreatedAfterDateTime"))
    return since is None or created >= since


def _duration(text: str) -> timedelta:
    """An ISO 8601 duration, as Graph's ``maxLifetime`` is one; a month counts 30 days."""
    from kiota_abstractions.date_utils import parse_timedelta_string

    parsed: Any = parse_timedelta_string(text)
    return timedelta(seconds=parsed.total_seconds())
