"""Whether Gmail's SMTP lets somebody in by name and password.

Owns: the decision and the counting of failures. Does not own: the words (``replies``).
Sources: "Sign in with app passwords", "Transition from less secure apps to OAuth" (a plain password opens nothing since
2025, an app password does), ``534-5.7.9`` and ``535-5.7.8`` in clients' logs. Not read at a source: that a suspended
user is told the same as one with a wrong password, after how many failures Gmail says 454 4.7.0, and for how long.
Reports disagree whether Gmail takes an app password with the blanks that its page shows; here it does not.
"""

from __future__ import annotations

from typing import NamedTuple

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.google import customers

FAILURES, FAILURE_SECONDS = 10, 600.0


class Verdict(NamedTuple):
    """How a sign-in ended: a row of ``replies.TABLE``, the layer that decided, and the user where it is known."""

    reply: str
    layer: str | None
    user: Document | None = None


def judge(directory: Directory, name: str, password: str) -> Verdict:
    """Decides, and keeps what it has to remember."""
    user = customers.find_user(directory, name.strip())
    if user is None:
        return Verdict("credentials", "credentials")
    now = directory.clock.now()
    failures = [at for at in user["_failedSignIns"] if at > now - FAILURE_SECONDS]
    if len(failures) >= FAILURES:
        return Verdict("too-many-logins", "too-many-logins", user)
    verdict = _judge(directory, user, password)
    if verdict.reply == "credentials":
        directory.replace(customers.REALM, customers.USER, {**user, "_failedSignIns": [*failures, now]})
    return verdict


def _judge(directory: Directory, user: Document, password: str) -> Verdict:
    if user["suspended"]:
        return Verdict("credentials", "suspended", user)
    customer = customers.customer_of(directory, user)
    for entry in user["_appPasswords"]:
        if hashing.matches(password, entry["hash"]):
            if not customers.may_have_app_passwords(customer, user):
                return Verdict("credentials", "app-passwords-off", user)
            used = {**entry, "lastTimeUsed": int(directory.clock.now())}
            kept = [used if one is entry else one for one in user["_appPasswords"]]
            changed = {**user, "_appPasswords": kept, "_failedSignIns": []}
            return Verdict("authenticated", None, directory.replace(customers.REALM, customers.USER, changed))
    if not hashing.matches(password, user["_passwordHash"]):
        return Verdict("credentials", "credentials", user)
    if user["enrolled"]:
        return Verdict("app-password-required", "second-factor", user)
    return Verdict("credentials", "less-secure-apps", user)
