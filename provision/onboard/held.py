"""What the stack's state says about its registration: the last word where the tenant shows too little.

A registration may have lost its tag, and a pipeline's caller with Application.ReadWrite.OwnedBy may not list grants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provision.app.adopt import APPLICATION, GRANT
from provision.app.preflight import Held
from provision.microsoft.objects import Grant


def held(deployment: Mapping[str, Any]) -> Held:
    """Reads Pulumi's deployment (``pulumi stack export``).

    Args:
        deployment: secrets in it may be encrypted; none is looked at. Empty when there is no stack.
    """
    made = {one["type"]: one for one in deployment.get("resources") or () if one.get("id")}
    grant = made.get(GRANT)
    return Held(
        application=_object_id(made[APPLICATION]) if APPLICATION in made else None,
        grant=_grant(grant) if grant else None,
    )


def _grant(resource: Mapping[str, Any]) -> Grant:
    asked = resource["inputs"]
    return Grant(
        id=_object_id(resource),
        client_id=str(asked.get("servicePrincipalObjectId", "")),
        resource_id=str(asked.get("resourceServicePrincipalObjectId", "")),
        consent_type="AllPrincipals",
        scopes=tuple(asked.get("claimValues") or ()),
    )


def _object_id(resource: Mapping[str, Any]) -> str:
    return str(resource["id"]).rpartition("/")[2]
