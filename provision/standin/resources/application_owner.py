"""``azuread.ApplicationOwner`` against the local tenant.

Owns: its table, its requests and its shape. Source: terraform-provider-azuread, ``application_owner_resource.go``.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import text
from provision.standin.planning import State
from provision.standin.resources.directory_shapes import owners_of
from provision.standin.resources.interface import Made, Refused, Resource, Timeouts
from provision.standin.session import Deadline, GraphRefusal, Session

_ID = "/applications/{applicationId}/owners/{directoryObjectId}"


class ApplicationOwner(Resource):
    """One owner of an application."""

    token = "azuread:index/applicationOwner:ApplicationOwner"  # noqa: S105 - Pulumi's word for a type's name
    known_as = "azuread_application_owner"
    timeouts = Timeouts(create=600, read=300, update=None, delete=300)
    fields = (
        text("applicationId", rules.application_id, required=True, replaces=True),
        text("ownerObjectId", rules.guid, required=True, replaces=True),
    )

    def owns_id(self, resource_id: str) -> bool:
        """``/applications/{object id}/owners/{owner's object id}``."""
        return rules.resource_id(_ID)(resource_id, "id") is None

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Adds the owner; an application that has not replicated yet is asked for again."""
        path, owner = planned["applicationId"], planned["ownerObjectId"]
        resource_id = f"{path}/owners/{owner}"
        async with session.lock(path):
            if await _is_owner(session, resource_id):
                raise Refused(
                    f'A resource with the ID "{resource_id}" already exists.', remedy="Import it, or leave it out."
                )
            await session.post(
                f"{path}/owners/$ref",
                {"@odata.id": session.reference(owner)},
                deadline=deadline,
                again=lambda refusal: refusal.not_found,
            )
        return Made(resource_id)

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until the application lists the owner."""
        del planned
        await session.wait(lambda: _is_owner(session, made.id), deadline, "the new owner to be listed")

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads whether it is an owner still."""
        del prior
        if not await _is_owner(session, resource_id):
            return None
        path, _, owner = resource_id.rpartition("/owners/")
        return {"applicationId": path, "ownerObjectId": owner}

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Takes the owner out."""
        del prior, deadline
        async with session.lock(resource_id.rpartition("/owners/")[0]):
            await session.delete(f"{resource_id}/$ref")


async def _is_owner(session: Session, resource_id: str) -> bool | None:
    path, _, owner = resource_id.rpartition("/owners/")
    try:
        return True if owner.lower() in {item.lower() for item in await owners_of(session, path)} else None
    except GraphRefusal as refusal:
        if refusal.not_found:
            return None
        raise
