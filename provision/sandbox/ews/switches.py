"""The settings of Exchange Web Services by the control API: quicker than the cmdlets that an administrator uses.

Owns: checking and storing what ``Set-OrganizationConfig`` and ``Set-CASMailbox`` store. Does not own: how they act
(``cloud``).
"""

from __future__ import annotations

from provision.sandbox.directory import Directory, Document
from provision.sandbox.exchange import mailboxes, organization
from provision.sandbox.exchange.propagation import changed

POLICIES = (None, "EnforceAllowList", "EnforceBlockList")
_ORGANIZATION = {
    "enabled": "EwsEnabled",
    "allowedAppIds": "EwsAllowedAppIDs",
    "applicationAccessPolicy": "EwsApplicationAccessPolicy",
    "allowList": "EwsAllowList",
    "blockList": "EwsBlockList",
}


def put(directory: Directory, tenant: str, wanted: Document) -> Document:
    """Sets what is named and leaves the rest.

    Args:
        directory: the store.
        tenant: the tenant's id.
        wanted: ``enabled`` (true, false, null), ``allowedAppIds``, ``applicationAccessPolicy``, ``allowList``,
            ``blockList`` of the organisation; ``mailboxes``: address to true, false or null; ``fullAccess``: address to
            the user principal names of those who may open the mailbox (what Add-MailboxPermission gives).

    Returns:
        The organisation's settings afterwards.

    Raises:
        ValueError: an unknown name, value or address; nothing was changed.
    """
    if unknown := sorted(set(wanted) - {*_ORGANIZATION, "mailboxes", "fullAccess"}):
        raise ValueError(
            f"unknown key {unknown[0]!r}; EWS is set by: {', '.join(_ORGANIZATION)}, mailboxes, fullAccess"
        )
    switches = dict(wanted.get("mailboxes") or {})
    for value in (wanted.get("enabled"), *switches.values()):
        if value not in (True, False, None):
            raise ValueError(f"a switch of EWS is true, false or null, not {value!r}")
    if wanted.get("applicationAccessPolicy") not in POLICIES:
        raise ValueError(f"applicationAccessPolicy is null, {POLICIES[1]} or {POLICIES[2]}")
    changes_of: dict[str, Document] = {address: {"EwsEnabled": value} for address, value in switches.items()}
    for address, names in (wanted.get("fullAccess") or {}).items():
        changes_of.setdefault(address, {})["_fullAccess"] = [_user_id(directory, tenant, name) for name in names]
    rows = {address: _mailbox(directory, tenant, address) for address in changes_of}
    stored = organization.organization_config(directory, tenant)
    changes = {_ORGANIZATION[name]: value for name, value in wanted.items() if name in _ORGANIZATION}
    with directory.transaction():
        after = directory.replace(tenant, "organizationConfig", changed(stored, changes))
        for address, row in rows.items():
            directory.replace(tenant, mailboxes.KIND, changed(row, changes_of[address]))
    return {name: after[stored_as] for name, stored_as in _ORGANIZATION.items()}


def _mailbox(directory: Directory, tenant: str, address: str) -> Document:
    found = mailboxes.by_address(directory, tenant, address)
    if found is None:
        raise ValueError(f"there is no mailbox {address}")
    return found


def _user_id(directory: Directory, tenant: str, name: str) -> str:
    found = directory.find(tenant, "user", fresh=True, userPrincipalName=name)
    if not found:
        raise ValueError(f"there is no user {name}")
    return str(found[0]["id"])
