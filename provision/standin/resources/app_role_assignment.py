"""``azuread.AppRoleAssignment`` (application permissions, assignments) against the local tenant.

Owns: its table, its requests and its shape. Source: terraform-provider-azuread, ``app_role_assignment_resource.go``.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import text
from provision.standin.planning import State
from provision.standin.resources.interface import Made, Resource, Timeouts
from provision.standin.session import Deadline, GraphRefusal, Session

_ID = "/servicePrincipals/{servicePrincipalId}/appRoleAssignedTo/{appRoleAssignmentId}"
_NOT_YET = "Not a valid reference update"


class AppRoleAssignment(Resource):
    """An app role given to a user, a group or an application."""

    token = "azuread:index/appRoleAssignment:AppRoleAssignment"  # noqa: S105 - Pulumi's word for a type's name
    known_as = "azuread_app_role_assignment"
    timeouts = Timeouts(create=300, read=300, update=None, delete=300)
    schema_version = 1
    fields = (
        text("appRoleId", rules.guid, required=True, replaces=True),
        text("principalObjectId", rules.guid, required=True, replaces=True),
        text("resourceObjectId", rules.guid, required=True, replaces=True),
        text("principalDisplayName", output=True),
        text("principalType", output=True),
        text("resourceDisplayName", output=True),
    )

    def owns_id(self, resource_id: str) -> bool:
        """``/servicePrincipals/{resource's object id}/appRoleAssignedTo/{assignment id}``."""
        return rules.resource_id(_ID)(resource_id, "id") is None

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Posts the assignment; a principal that has not replicated yet is asked for again."""
        path = f"/servicePrincipals/{planned['resourceObjectId']}/appRoleAssignedTo"
        body = {
            "appRoleId": planned["appRoleId"],
            "principalId": planned["principalObjectId"],
            "resourceId": planned["resourceObjectId"],
        }
        made = await session.post(path, body, deadline=deadline, again=_not_replicated)
        return Made(f"{path}/{made['id']}")

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until it is there."""
        del planned
        await session.wait_for(made.id, deadline, "the assignment")

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the assignment."""
        del prior
        document = await session.present(resource_id)
        if document is None:
            return None
        return {
            "appRoleId": document["appRoleId"],
            "principalDisplayName": document.get("principalDisplayName") or "",
            "principalObjectId": document["principalId"],
            "principalType": document.get("principalType") or "",
            "resourceDisplayName": document.get("resourceDisplayName") or "",
            "resourceObjectId": document["resourceId"],
        }

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Deletes the assignment."""
        del prior, deadline
        await session.delete(resource_id)


def _not_replicated(refusal: GraphRefusal) -> bool:
    return refusal.not_found or _NOT_YET in refusal.graph_message
