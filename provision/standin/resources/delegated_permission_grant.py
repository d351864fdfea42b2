"""``azuread.ServicePrincipalDelegatedPermissionGrant`` (consent) against the local tenant.

Owns: its table, its requests and its shape.
Source: terraform-provider-azuread, ``service_principal_delegated_permission_grant_resource.go``.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import text, texts
from provision.standin.planning import State
from provision.standin.resources.interface import Made, Resource, Timeouts
from provision.standin.session import Deadline, GraphRefusal, Json, Session

_ID = "/oauth2PermissionGrants/{oAuth2PermissionGrantId}"
_NOT_YET = "does not exist or one of its queried reference-property objects are not present"


class DelegatedPermissionGrant(Resource):
    """Consent to delegated permissions, for one user or for all."""

    token = "azuread:index/servicePrincipalDelegatedPermissionGrant:ServicePrincipalDelegatedPermissionGrant"  # noqa: S105
    known_as = "azuread_service_principal_delegated_permission_grant"
    timeouts = Timeouts(create=300, read=300, update=300, delete=300)
    schema_version = 1
    fields = (
        texts("claimValues", rules.filled, required=True, least=1),
        text("resourceServicePrincipalObjectId", rules.guid, required=True, replaces=True),
        text("servicePrincipalObjectId", rules.guid, required=True, replaces=True),
        text("userObjectId", rules.guid, replaces=True),
    )

    def owns_id(self, resource_id: str) -> bool:
        """``/oauth2PermissionGrants/{grant id}``."""
        return rules.resource_id(_ID)(resource_id, "id") is None

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Posts the grant; a service principal that has not replicated yet is asked for again."""
        user = planned.get("userObjectId") or None
        body: Json = {
            "clientId": planned["servicePrincipalObjectId"],
            "resourceId": planned["resourceServicePrincipalObjectId"],
            "scope": " ".join(planned["claimValues"]),
            "consentType": "Principal" if user else "AllPrincipals",
        }
        if user:
            body["principalId"] = user
        made = await session.post("/oauth2PermissionGrants", body, deadline=deadline, again=_not_replicated)
        return Made(f"/oauth2PermissionGrants/{made['id']}")

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until it is there."""
        del planned
        await session.wait_for(made.id, deadline, "the grant")

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the grant."""
        del prior
        document = await session.present(resource_id)
        if document is None:
            return None
        return {
            "claimValues": (document.get("scope") or "").split(),
            "resourceServicePrincipalObjectId": document["resourceId"],
            "servicePrincipalObjectId": document["clientId"],
            "userObjectId": document.get("principalId") or "",
        }

    async def update(
        self, session: Session, resource_id: str, planned: State, changed: frozenset[str], deadline: Deadline
    ) -> None:
        """Patches the scopes."""
        del changed, deadline
        await session.patch(resource_id, {"scope": " ".join(planned["claimValues"])})

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Deletes the grant."""
        del prior, deadline
        await session.delete(resource_id)


def _not_replicated(refusal: GraphRefusal) -> bool:
    return refusal.not_found or _NOT_YET in refusal.graph_message
