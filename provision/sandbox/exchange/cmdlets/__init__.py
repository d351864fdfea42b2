"""The cmdlets: one entry each, in the module of what it is about.

A newcomer adds a cmdlet by an entry in a module's ``CMDLETS``; a new module is named in ``_MODULES``. An entry says
which parameters there are, with their types, which management roles let a caller run it, and which function does it.
Parameters of Exchange that nothing here would honour are left out, so that they are refused and not ignored.
"""

from __future__ import annotations

from provision.sandbox.exchange.call import Cmdlet
from provision.sandbox.exchange.cmdlets import (
    authentication_policies,
    blocked_senders,
    client_access,
    domains,
    full_access,
    group_members,
    mailbox,
    organization,
    role_assignments,
    role_groups,
    send_as,
    service_principals,
    transport,
    users,
)

_MODULES = (
    authentication_policies,
    blocked_senders,
    client_access,
    domains,
    full_access,
    group_members,
    mailbox,
    organization,
    role_assignments,
    role_groups,
    send_as,
    service_principals,
    transport,
    users,
)

CMDLETS: dict[str, Cmdlet] = {cmdlet.name.lower(): cmdlet for module in _MODULES for cmdlet in module.CMDLETS}
"""All cmdlets, by name in lower case."""
