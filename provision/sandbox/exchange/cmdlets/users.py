"""``Get-User`` and ``Set-User``: the person behind a mailbox, and the authentication policy.

Sources: "Get-User", "Set-User"; "Disable Basic authentication in Exchange Online": a policy works within 24 hours,
and within 30 minutes after ``Set-User -STSRefreshTokensValidFrom``, which here makes it work at once. Of people
without a mailbox the policy is kept with the user and taken over by the mailbox that they get.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.sandbox.directory import Document
from provision.sandbox.exchange import mailboxes, propagation, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Place, Rows, one
from provision.sandbox.exchange.cmdlets.authentication_policies import require
from provision.sandbox.exchange.filters import Filter
from provision.sandbox.exchange.parameters import (
    IDENTITY,
    MANDATORY_IDENTITY,
    NULLABLE_TEXT,
    RESULT_SIZE,
    TEXT,
    Parameter,
    many_of,
    moment,
)

_FILTERABLE = (
    "AccountDisabled",
    "AuthenticationPolicy",
    "DisplayName",
    "ExternalDirectoryObjectId",
    "Guid",
    "Id",
    "Name",
    "RecipientType",
    "RecipientTypeDetails",
    "UserPrincipalName",
    "WindowsEmailAddress",
    "WindowsLiveID",
)
_POLICY = "AuthenticationPolicy"


def show(call: Call, user: Document) -> Document:
    """A user as ``Get-User`` shows him."""
    box = mailboxes.of_user(call.directory, call.tenant, user["id"])
    return {
        "AccountDisabled": not user["accountEnabled"],
        _POLICY: box[_POLICY] if box else user.get("_authenticationPolicy"),
        "DisplayName": user["displayName"],
        "ExternalDirectoryObjectId": user["id"],
        "FirstName": user["givenName"] or "",
        "LastName": user["surname"] or "",
        "MicrosoftOnlineServicesID": user["userPrincipalName"],
        "RecipientType": "UserMailbox" if box else "User",
        "RecipientTypeDetails": box["RecipientTypeDetails"] if box else "User",
        "SKUAssigned": mailboxes.licensed(user),
        "StsRefreshTokensValidFrom": user["signInSessionsValidFromDateTime"],
        "UserPrincipalName": user["userPrincipalName"],
        "WindowsEmailAddress": box["PrimarySmtpAddress"] if box else "",
        "WindowsLiveID": user["userPrincipalName"],
        **recipients.naming(call.organization, user["id"], user["id"]),
        "WhenCreated": user["createdDateTime"],
    }


def get_user(call: Call) -> Rows:
    """Get-User: everybody in the directory, with or without a mailbox."""
    text = call.get("Filter")
    chosen = Filter(text, _FILTERABLE) if text else None
    kinds = call.get("RecipientTypeDetails")
    if "Identity" in call.parameters:
        return one(show(call, recipients.user(call, call.get("Identity"))))

    def read() -> Iterator[tuple[Place, Document]]:
        for place, user in call.pages("user"):
            row = show(call, user)
            if (chosen is None or chosen.matches(row)) and (not kinds or row["RecipientTypeDetails"] in kinds):
                yield place, row

    return read()


def set_user(call: Call) -> Rows:
    """Set-User."""
    user = recipients.user(call, call.get("Identity"))
    before = show(call, user)
    box = mailboxes.of_user(call.directory, call.tenant, user["id"])
    changed = False
    if _POLICY in call.parameters:
        policy = call.get(_POLICY)
        name = require(call, policy)["Name"] if policy else None
        changed = name != before[_POLICY]
        if box is not None:
            box = propagation.changed(box, {_POLICY: name})
        else:
            user = {**user, "_authenticationPolicy": name}
    if "STSRefreshTokensValidFrom" in call.parameters:
        since = call.get("STSRefreshTokensValidFrom")
        user = {
            **user,
            "signInSessionsValidFromDateTime": call.directory.clock.iso(since),
            "_sessionsValidFrom": since,
        }
        changed = True
        box = propagation.hastened(box, [_POLICY]) if box is not None else None
    if not changed:
        call.nothing_changed(user["id"])
        return NOTHING
    call.directory.replace(call.tenant, "user", user)
    if box is not None:
        call.directory.replace(call.tenant, mailboxes.KIND, box)
    return NOTHING


CMDLETS = (
    Cmdlet(
        "Get-User",
        {
            "Identity": IDENTITY,
            "Filter": TEXT,
            "RecipientTypeDetails": Parameter(many_of(*mailboxes.TYPES, "User", "MailUser", "DisabledUser")),
            "ResultSize": RESULT_SIZE,
        },
        (roles.MAIL_RECIPIENTS, roles.VIEW_RECIPIENTS),
        get_user,
    ),
    Cmdlet(
        "Set-User",
        {
            "Identity": MANDATORY_IDENTITY,
            _POLICY: NULLABLE_TEXT,
            "STSRefreshTokensValidFrom": Parameter(moment),
        },
        (roles.MAIL_RECIPIENTS,),
        set_user,
    ),
)
