"""The resource types that the stand-in serves, by their tokens.

Owns: the list. Does not own: what each type does (one file each).
"""

from __future__ import annotations

from provision.standin.resources.app_role_assignment import AppRoleAssignment
from provision.standin.resources.application import Application
from provision.standin.resources.application_owner import ApplicationOwner
from provision.standin.resources.application_password import ApplicationPassword
from provision.standin.resources.delegated_permission_grant import DelegatedPermissionGrant
from provision.standin.resources.federated_credential import FederatedCredential
from provision.standin.resources.interface import Resource
from provision.standin.resources.service_principal import ServicePrincipal

RESOURCES: dict[str, Resource] = {
    resource.token: resource
    for resource in (
        Application(),
        ServicePrincipal(),
        ApplicationPassword(),
        DelegatedPermissionGrant(),
        FederatedCredential(),
        ApplicationOwner(),
        AppRoleAssignment(),
    )
}
