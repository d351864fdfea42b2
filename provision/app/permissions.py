"""Permissions by name: looked up in what Microsoft Graph itself publishes, never by ids written down here.

A delegated permission (scope) and an application permission (role) may bear the same name and have different ids
("Microsoft Graph permissions reference"); mixing them up makes consent fail, or grants an app every mailbox.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from provision.errors import InvalidInput
from provision.microsoft.objects import Permission

OIDC_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
"""Asked for in the authorization request, whether or not the registration lists them."""


def scope_ids(names: Iterable[str], published: Iterable[Permission]) -> dict[str, str]:
    """The ids of delegated permissions.

    Args:
        names: for example ``Mail.Send``, letter case as published.
        published: what Microsoft Graph's service principal publishes.

    Returns:
        name to id, in the order given.

    Raises:
        InvalidInput: there is no such delegated permission; the message says whether it is an application permission,
            differs in letter case, is switched off, or which name is close.
    """
    everything = list(published)
    scopes = {p.value: p for p in everything if p.type == "Scope"}
    roles = {p.value for p in everything if p.type == "Role"}
    found: dict[str, str] = {}
    for name in names:
        if name not in scopes:
            raise _no_such(name, scopes, roles)
        if not scopes[name].is_enabled:
            raise InvalidInput(f"Microsoft Graph has switched the delegated permission {name} off.")
        found[name] = scopes[name].id
    return found


def _no_such(name: str, scopes: Iterable[str], roles: Iterable[str]) -> InvalidInput:
    spelled = next((scope for scope in scopes if scope.lower() == name.lower()), None)
    if spelled is not None:
        return InvalidInput(
            f"The delegated permission {name} is spelled {spelled}.", remedy="Correct the profile's scopes."
        )
    if name in set(roles):
        return InvalidInput(
            f"{name} is an application permission of Microsoft Graph, not a delegated one.",
            remedy="Name a delegated permission; an application permission would reach every mailbox.",
        )
    close = difflib.get_close_matches(name, scopes, n=1)
    return InvalidInput(
        f"Microsoft Graph publishes no delegated permission {name}.",
        remedy=f"Did you mean {close[0]}?" if close else "See the Microsoft Graph permissions reference.",
    )
