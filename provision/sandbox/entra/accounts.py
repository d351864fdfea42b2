"""The person who signs in: finding the account, checking the password, and the roles that tokens tell."""

from __future__ import annotations

from datetime import datetime

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.authority import domain_owner
from provision.sandbox.entra.errors import EntraError

_USER_TEMPLATE = "b79fbf4d-3ef9-4689-8143-76b194e85509"
"""The "User" role template that every member's token carries in ``wids``."""
_LOCK_AFTER = 10
"""Failed attempts before smart lockout ("Protect user accounts from attacks with Microsoft Entra smart lockout")."""


def find_account(directory: Directory, username: str) -> tuple[str, Document]:
    """The tenant and the user with this sign-in name.

    Raises:
        EntraError: 50034 when nobody has it.
    """
    domain = username.rpartition("@")[2].strip().lower()
    tenant_id = domain_owner(directory, domain) if domain else None
    found = directory.find(tenant_id, "user", userPrincipalName=username.strip()) if tenant_id else []
    if not tenant_id or not found:
        raise EntraError(50034, user="{EUII Hidden}", tenant=domain or "unknown")
    return tenant_id, found[0]


def check_password(directory: Directory, tenant_id: str, user: Document, password: str) -> None:
    """Accepts the right password of an enabled, unlocked account.

    Raises:
        EntraError: 50053 locked, 50126 wrong password, 50057 disabled.
    """
    _check_unlocked(user)
    if not hashing.matches(password, user.get("_passwordHash") or ""):
        directory.replace(tenant_id, "user", {**user, "_failedSignIns": user.get("_failedSignIns", 0) + 1})
        raise EntraError(50126)
    if user.get("_failedSignIns"):
        directory.replace(tenant_id, "user", {**user, "_failedSignIns": 0})
    _check_enabled(user)


def check_unlocked_and_enabled(user: Document) -> None:
    """As ``check_password``, for an account that proved itself with something other than its password."""
    _check_unlocked(user)
    _check_enabled(user)


def _check_unlocked(user: Document) -> None:
    if user.get("_locked") or user.get("_failedSignIns", 0) >= _LOCK_AFTER:
        raise EntraError(50053)


def _check_enabled(user: Document) -> None:
    if not user.get("accountEnabled", True):
        raise EntraError(50057)


def sessions_valid_from(user: Document) -> float:
    """Since when (seconds since 1970) grants and sessions of a user count; revoking them or a new password moves it.

    ``signInSessionsValidFromDateTime`` has whole seconds, so what it stands for is kept beside it.
    """
    exact = user.get("_sessionsValidFrom")
    if exact is not None:
        return float(exact)
    shown = user.get("signInSessionsValidFromDateTime")
    return datetime.fromisoformat(str(shown).replace("Z", "+00:00")).timestamp() if shown else 0.0


def role_templates(directory: Directory, tenant_id: str, member_id: str) -> list[str]:
    """The template ids of the directory roles that a user or service principal holds."""
    roles = {role["id"]: role["roleTemplateId"] for role in directory.all(tenant_id, "directoryRole", fresh=True)}
    return [
        roles[membership["roleId"]]
        for membership in directory.find(tenant_id, "roleMembership", fresh=True, memberId=member_id)
        if membership["roleId"] in roles
    ]


def wids(directory: Directory, tenant_id: str, user: Document) -> list[str]:
    """The ``wids`` claim of a user's token."""
    return [*role_templates(directory, tenant_id, user["id"]), _USER_TEMPLATE]
