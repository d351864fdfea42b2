"""``Get-``, ``New-``, ``Set-`` and ``Remove-AuthenticationPolicy``: which protocols still take a user name and
password.

Sources: "New-AuthenticationPolicy" and its neighbours: a new policy blocks Basic authentication for every protocol
that its ``AllowBasicAuth…`` switch does not name. Which management role the cmdlets need was not read at a source.
"""

from __future__ import annotations

from provision.sandbox.directory import Document
from provision.sandbox.exchange import errors, mailboxes, propagation, recipients, roles
from provision.sandbox.exchange.call import NOTHING, Call, Cmdlet, Rows, listed, one
from provision.sandbox.exchange.parameters import IDENTITY, MANDATORY_IDENTITY, SWITCH

KIND = "authenticationPolicy"
_PROTOCOLS = tuple(
    f"AllowBasicAuth{protocol}"
    for protocol in (
        "ActiveSync",
        "Autodiscover",
        "Imap",
        "Mapi",
        "OfflineAddressBook",
        "OutlookService",
        "Pop",
        "Powershell",
        "ReportingWebServices",
        "Rpc",
        "Smtp",
        "WebServices",
    )
)


def find(call: Call, name: str) -> Document | None:
    """The policy with a name, GUID or distinguished name."""
    plain = name.partition(",")[0].removeprefix("CN=").removeprefix("cn=")
    found = call.directory.find(call.tenant, KIND, fresh=True, Name=plain)
    return found[0] if found else call.directory.get(call.tenant, KIND, plain, fresh=True)


def require(call: Call, name: str) -> Document:
    """As ``find``; refuses when there is none."""
    found = find(call, name)
    if found is None:
        raise errors.not_found(name)
    return found


def _show(call: Call, policy: Document) -> Document:
    return {
        **{name: policy[name] for name in _PROTOCOLS},
        **recipients.naming(call.organization, policy["Name"], policy["id"]),
        "WhenCreated": policy["_created"],
    }


def get_authentication_policy(call: Call) -> Rows:
    """Get-AuthenticationPolicy."""
    if "Identity" in call.parameters:
        return one(_show(call, require(call, call.get("Identity"))))
    return listed(_show(call, row) for row in call.directory.all(call.tenant, KIND, fresh=True))


def new_authentication_policy(call: Call) -> Rows:
    """New-AuthenticationPolicy: the policy comes back."""
    name = call.get("Name")
    if call.directory.find(call.tenant, KIND, fresh=True, Name=name):
        raise errors.already_exists(name)
    document = {"Name": name, **{row: call.get(row, False) for row in _PROTOCOLS}, "_created": call.now()}
    return one(_show(call, call.directory.insert(call.tenant, KIND, document, visible_at_once=True)))


def set_authentication_policy(call: Call) -> Rows:
    """Set-AuthenticationPolicy."""
    policy = require(call, call.get("Identity"))
    changes = call.given(_PROTOCOLS)
    if all(policy[name] == value for name, value in changes.items()):
        call.nothing_changed(policy["Name"])
        return NOTHING
    call.directory.replace(call.tenant, KIND, propagation.changed(policy, changes))
    return NOTHING


def remove_authentication_policy(call: Call) -> Rows:
    """Remove-AuthenticationPolicy: whoever had it has none."""
    policy = require(call, call.get("Identity"))
    name = policy["Name"]
    for box in call.directory.find(call.tenant, mailboxes.KIND, fresh=True, AuthenticationPolicy=name):
        call.directory.replace(call.tenant, mailboxes.KIND, propagation.changed(box, {"AuthenticationPolicy": None}))
    for user in call.directory.find(call.tenant, "user", fresh=True, _authenticationPolicy=name):
        call.directory.replace(call.tenant, "user", {**user, "_authenticationPolicy": None})
    for row in call.directory.all(call.tenant, "organizationConfig", fresh=True):
        if row["DefaultAuthenticationPolicy"] == name:
            changed = propagation.changed(row, {"DefaultAuthenticationPolicy": None})
            call.directory.replace(call.tenant, "organizationConfig", changed)
    call.directory.remove(call.tenant, KIND, policy["id"])
    return NOTHING


_SWITCHES = dict.fromkeys(_PROTOCOLS, SWITCH)
_WRITE = (roles.CLIENT_ACCESS, roles.ORGANIZATION_CONFIGURATION)

CMDLETS = (
    Cmdlet(
        "Get-AuthenticationPolicy",
        {"Identity": IDENTITY},
        (*_WRITE, roles.VIEW_CONFIGURATION),
        get_authentication_policy,
    ),
    Cmdlet("New-AuthenticationPolicy", {"Name": MANDATORY_IDENTITY, **_SWITCHES}, _WRITE, new_authentication_policy),
    Cmdlet(
        "Set-AuthenticationPolicy", {"Identity": MANDATORY_IDENTITY, **_SWITCHES}, _WRITE, set_authentication_policy
    ),
    Cmdlet("Remove-AuthenticationPolicy", {"Identity": MANDATORY_IDENTITY}, _WRITE, remove_authentication_policy),
)
