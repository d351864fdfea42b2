"""Who may register and who may consent: too strict locks people out, too lax leaves a half-made registration."""

from __future__ import annotations

import pytest

from provision.app import rights
from provision.microsoft.tokens import Caller

REGISTER, CONSENT = "Application.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All"


def user(*scopes: str, roles: tuple[str, ...] = ()) -> Caller:
    return Caller("t", "o", "a", "user", "ada", scopes=scopes, directory_role_template_ids=roles)


def app(*roles: str) -> Caller:
    return Caller("t", "o", "a", "app", "CI", roles=roles)


@pytest.mark.parametrize(
    ("caller", "permission", "role", "consent"),
    [
        (user(REGISTER, CONSENT, roles=(rights.GLOBAL_ADMINISTRATOR,)), True, True, True),
        (user("Directory.AccessAsUser.All", roles=(rights.APPLICATION_ADMINISTRATOR,)), True, True, True),
        (user("Directory.AccessAsUser.All", roles=(rights.CLOUD_APPLICATION_ADMINISTRATOR,)), True, True, True),
        (user("Directory.AccessAsUser.All", roles=(rights.PRIVILEGED_ROLE_ADMINISTRATOR,)), True, False, True),
        (user("Application.ReadWrite.All", roles=(rights.APPLICATION_ADMINISTRATOR,)), True, True, False),
        (user("Directory.AccessAsUser.All"), True, False, False),
        (user("User.Read", roles=(rights.GLOBAL_ADMINISTRATOR,)), False, True, False),
        (app("Application.ReadWrite.All", "DelegatedPermissionGrant.ReadWrite.All"), True, True, True),
        (app("Application.ReadWrite.OwnedBy"), True, False, False),
        (app("Directory.ReadWrite.All"), True, True, True),
        (app("Mail.Send"), False, False, False),
    ],
)  # fmt: skip
def test_rights(caller: Caller, permission: bool, role: bool, consent: bool) -> None:
    assert rights.has_registering_permission(caller) is permission
    assert rights.has_registering_role(caller) is role
    assert rights.can_consent(caller) is consent
