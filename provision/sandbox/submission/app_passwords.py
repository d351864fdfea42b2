"""App passwords: sixteen letters that stand for the password of a user with per-user MFA in clients that cannot ask.

Owns: making one, recognising one. Does not own: the page where a user makes one, whether legacy sign-ins are blocked.
Source: "Enforce Microsoft Entra multifactor authentication with legacy applications using app passwords": made by the
user, one for each client, dead when MFA is turned off; blocked like any legacy sign-in where legacy sign-ins are.
"""

from __future__ import annotations

import secrets
import string

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.accounts import check_unlocked_and_enabled

_LENGTH = 16
MOST = 40
"""A user has at most forty of them, says the source."""


class NotAllowed(Exception):
    """The user cannot have one (more); the message says why."""


def accepts(user: Document, password: str) -> bool:
    """Whether the password is one of the user's app passwords, and these count."""
    if user.get("_mfa", "off") == "off":
        return False
    given = password.replace(" ", "")
    return any(hashing.matches(given, entry["hash"]) for entry in user.get("_appPasswords") or [])


def check_account(user: Document) -> None:
    """Refuses a locked or disabled account; raises as ``check_password`` does."""
    check_unlocked_and_enabled(user)


def create(directory: Directory, tenant_id: str, user: Document, name: str) -> str:
    """Makes an app password and returns it; it cannot be shown again.

    Raises:
        NotAllowed: MFA is off for the user, the name is taken, or there are too many.
    """
    existing = list(user.get("_appPasswords") or [])
    if user.get("_mfa", "off") == "off":
        raise NotAllowed("App passwords are available only when multifactor authentication is turned on for you.")
    if not name.strip():
        raise NotAllowed("Give the app password a name.")
    if any(entry["name"].lower() == name.strip().lower() for entry in existing):
        raise NotAllowed("You already have an app password with this name.")
    if len(existing) >= MOST:
        raise NotAllowed("You have the most app passwords that you can have. Delete one first.")
    made = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LENGTH))
    entry = {"name": name.strip(), "hash": hashing.hash_secret(made), "created": directory.clock.iso()}
    directory.replace(tenant_id, "user", {**user, "_appPasswords": [*existing, entry]})
    return made


def remove(directory: Directory, tenant_id: str, user: Document, name: str) -> bool:
    """Removes an app password by its name; False when there is none."""
    existing = list(user.get("_appPasswords") or [])
    kept = [entry for entry in existing if entry["name"] != name]
    if len(kept) == len(existing):
        return False
    directory.replace(tenant_id, "user", {**user, "_appPasswords": kept})
    return True
