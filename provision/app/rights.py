"""Who may register an application and who may consent, as far as a token tells.

Sources: "Microsoft Entra built-in roles" (role template ids), and the permission tables of "Create application" and
"Create oAuth2PermissionGrant" (Microsoft Graph docs). Graph has the last word; this only spares a half-done run.
"""

from __future__ import annotations

from provision.microsoft.tokens import Caller

GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"
APPLICATION_ADMINISTRATOR = "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"
CLOUD_APPLICATION_ADMINISTRATOR = "158c047a-c907-4556-b7ef-446551a6b5f7"
PRIVILEGED_ROLE_ADMINISTRATOR = "e8611ab8-c189-46e8-94e1-60213ab1f814"

_REGISTERING_ROLES = {GLOBAL_ADMINISTRATOR, APPLICATION_ADMINISTRATOR, CLOUD_APPLICATION_ADMINISTRATOR}
_CONSENTING_ROLES = _REGISTERING_ROLES | {PRIVILEGED_ROLE_ADMINISTRATOR}

OWNED_ONLY = "Application.ReadWrite.OwnedBy"
_REGISTERING_PERMISSIONS = {"Application.ReadWrite.All", "Directory.ReadWrite.All"}
_CONSENTING_PERMISSIONS = {"DelegatedPermissionGrant.ReadWrite.All", "Directory.ReadWrite.All"}
_AS_THE_USER = "Directory.AccessAsUser.All"


def has_registering_permission(caller: Caller) -> bool:
    """Whether the token's permissions cover registering applications (a user needs a role, or leave, besides)."""
    if caller.kind == "app":
        return bool({OWNED_ONLY, *_REGISTERING_PERMISSIONS} & set(caller.roles))
    return bool({_AS_THE_USER, *_REGISTERING_PERMISSIONS} & set(caller.scopes))


def has_registering_role(caller: Caller) -> bool:
    """Whether the caller may manage every application, not only its own."""
    if caller.kind == "app":
        return bool(_REGISTERING_PERMISSIONS & set(caller.roles))
    return bool(_REGISTERING_ROLES & set(caller.directory_role_template_ids))


def can_consent(caller: Caller) -> bool:
    """Whether the caller may consent to delegated permissions for the whole tenant."""
    if caller.kind == "app":
        return bool(_CONSENTING_PERMISSIONS & set(caller.roles))
    permitted = {_AS_THE_USER, *_CONSENTING_PERMISSIONS} & set(caller.scopes)
    return bool(permitted) and bool(_CONSENTING_ROLES & set(caller.directory_role_template_ids))
