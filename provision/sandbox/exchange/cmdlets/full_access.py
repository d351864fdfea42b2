"""``Get-``, ``Add-`` and ``Remove-MailboxPermission``: who may open a mailbox, users and service principals.

Sources: "Add-MailboxPermission" and its neighbours; "Authenticate an IMAP, POP or SMTP connection using OAuth" for
service principals. Of the rights there is ``FullAccess`` alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.sandbox.directory import Document
from provision.sandbox.exchange import permissions, recipients, roles
from provision.sandbox.exchange.call import NOTHING, START, Call, Cmdlet, Rows
from provision.sandbox.exchange.cmdlets import service_principals
from provision.sandbox.exchange.errors import ExchangeError
from provision.sandbox.exchange.parameters import IDENTITY, MANDATORY_IDENTITY, Parameter, many_of

_SELF = "NT AUTHORITY\\SELF"
_RIGHTS = many_of("FullAccess")


def _trustee(call: Call) -> tuple[str, str]:
    """The object id of the user or service principal that ``User`` names, and the name that Exchange shows."""
    identity = call.get("User")
    try:
        user = recipients.user(call, identity)
    except ExchangeError:
        principal = service_principals.require(call, identity)
        return principal["ObjectId"], principal["ObjectId"]
    return user["id"], user["userPrincipalName"]


def _row(box: Document, trustee: str) -> Document:
    return {
        "Identity": recipients.name_of(box),
        "User": trustee,
        "AccessRights": ["FullAccess"],
        "Deny": False,
        "IsInherited": False,
        "InheritanceType": "All",
    }


def get_mailbox_permission(call: Call) -> Rows:
    """Get-MailboxPermission: the mailbox's own user first."""
    box = recipients.mailbox(call, call.get("Identity"))

    def names() -> Iterator[str]:
        yield _SELF
        for identity in box["_fullAccess"]:
            user = call.directory.get(call.tenant, "user", identity, fresh=True)
            yield user["userPrincipalName"] if user else identity

    wanted = _trustee(call)[1] if "User" in call.parameters else None
    return [(START, _row(box, name)) for name in names() if wanted in {None, name}]


def add_mailbox_permission(call: Call) -> Rows:
    """Add-MailboxPermission: the permission comes back."""
    box, (identity, name) = recipients.mailbox(call, call.get("Identity")), _trustee(call)
    permissions.give(call, box, "_fullAccess", identity, name)
    return [(START, _row(box, name))]


def remove_mailbox_permission(call: Call) -> Rows:
    """Remove-MailboxPermission."""
    box, (identity, name) = recipients.mailbox(call, call.get("Identity")), _trustee(call)
    permissions.take(call, box, "_fullAccess", identity, name)
    return NOTHING


_CHANGE = {
    "Identity": MANDATORY_IDENTITY,
    "User": MANDATORY_IDENTITY,
    "AccessRights": Parameter(_RIGHTS, mandatory=True),
}

CMDLETS = (
    Cmdlet(
        "Get-MailboxPermission",
        {"Identity": MANDATORY_IDENTITY, "User": IDENTITY},
        (roles.MAIL_RECIPIENTS, roles.VIEW_RECIPIENTS),
        get_mailbox_permission,
    ),
    Cmdlet("Add-MailboxPermission", _CHANGE, (roles.MAIL_RECIPIENTS,), add_mailbox_permission),
    Cmdlet("Remove-MailboxPermission", _CHANGE, (roles.MAIL_RECIPIENTS,), remove_mailbox_permission),
)
