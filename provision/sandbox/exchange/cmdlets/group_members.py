"""``Get-DistributionGroupMember`` and ``Get-UnifiedGroupLinks``: the members of a group, to switch them together.

Sources: the cmdlets' pages. A Microsoft 365 group is no distribution group, so each cmdlet finds its own kind only.
"""

from __future__ import annotations

from collections.abc import Iterator

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, mailboxes, recipients, roles
from provision.sandbox.exchange.call import START, Call, Cmdlet, Place, Rows
from provision.sandbox.exchange.cmdlets.mailbox import show_group, show_recipient
from provision.sandbox.exchange.parameters import MANDATORY_IDENTITY, RESULT_SIZE, Parameter, one_of


def _group(call: Call, *, unified: bool) -> Document:
    identity = call.get("Identity")
    found = [row for row in recipients.groups(call, identity) if ("Unified" in row["groupTypes"]) is unified]
    if not found:
        raise errors.not_found(identity)
    if len(found) > 1:
        raise errors.ambiguous(identity)
    return found[0]


def _members(call: Call, identities: list[str]) -> Rows:
    def read() -> Iterator[tuple[Place, Document]]:
        for number in range((call.after or START)[1], len(identities)):
            row = _member(call, identities[number])
            if row is not None:
                yield (0, number + 1), row

    return read()


def _member(call: Call, identity: str) -> Document | None:
    box = mailboxes.of_user(call.directory, call.tenant, identity)
    if box is not None:
        return show_recipient(call, box)
    group = call.directory.get(call.tenant, "group", identity, fresh=True)
    if group is not None and group["mailEnabled"]:
        return show_group(call, group)
    user = call.directory.get(call.tenant, "user", identity, fresh=True)
    if user is None:
        return None
    return {
        "Alias": user["mailNickname"],
        "DisplayName": user["displayName"],
        "ExternalDirectoryObjectId": user["id"],
        "PrimarySmtpAddress": "",
        "RecipientType": "User",
        "RecipientTypeDetails": "User",
        "WindowsLiveID": user["userPrincipalName"],
        **recipients.naming(call.organization, user["id"], user["id"]),
    }


def get_distribution_group_member(call: Call) -> Rows:
    """Get-DistributionGroupMember: direct members."""
    return _members(call, _group(call, unified=False)["_members"])


def get_unified_group_links(call: Call) -> Rows:
    """Get-UnifiedGroupLinks: members or owners."""
    group = _group(call, unified=True)
    return _members(call, group["_owners" if call.get("LinkType") == "Owners" else "_members"])


_READ = (roles.MAIL_RECIPIENTS, roles.DISTRIBUTION_GROUPS, roles.VIEW_RECIPIENTS)

CMDLETS = (
    Cmdlet(
        "Get-DistributionGroupMember",
        {"Identity": MANDATORY_IDENTITY, "ResultSize": RESULT_SIZE},
        _READ,
        get_distribution_group_member,
    ),
    Cmdlet(
        "Get-UnifiedGroupLinks",
        {
            "Identity": MANDATORY_IDENTITY,
            "LinkType": Parameter(one_of("Members", "Owners"), mandatory=True),
            "ResultSize": RESULT_SIZE,
        },
        _READ,
        get_unified_group_links,
    ),
)
