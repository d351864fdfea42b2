"""``azuread.ApplicationPassword`` against the local tenant.

Owns: its table, its requests and its shape. Source: terraform-provider-azuread, ``application_password_resource.go``.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import mapping, text
from provision.standin.planning import State
from provision.standin.resources.interface import Made, Refused, Resource, Timeouts, carried
from provision.standin.session import Deadline, GraphRefusal, Json, Session
from provision.standin.wire import contains_unknown

_KIND = "password"


class ApplicationPassword(Resource):
    """A client secret. Microsoft gives its value once, so it cannot be imported."""

    token = "azuread:index/applicationPassword:ApplicationPassword"  # noqa: S105 - Pulumi's word for a type's name
    known_as = "azuread_application_password"
    timeouts = Timeouts(create=900, read=300, update=300, delete=300)
    schema_version = 1
    importable = False
    fields = (
        text("applicationId", rules.application_id, required=True, replaces=True),
        text("displayName", computed=True, replaces=True),
        text("startDate", rules.date, computed=True, replaces=True),
        text("endDate", rules.date, computed=True, replaces=True, conflicts=("endDateRelative",)),
        text(
            "endDateRelative",
            replaces=True,
            conflicts=("endDate",),
            cannot="the real plugin (6.x) takes it but never sends it: the secret would live two years; set endDate",
        ),
        mapping("rotateWhenChanged", replaces=True),
        text("keyId", output=True),
        text("value", output=True, secret=True),
    )

    def owns_id(self, resource_id: str) -> bool:
        """``{application object id}/password/{key id}``."""
        return _parts(resource_id) is not None

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Has Microsoft make the secret; its value is in this one answer only."""
        path = planned["applicationId"]
        sent = {"displayName": "displayName", "startDate": "startDateTime", "endDate": "endDateTime"}
        credential = {
            graph: planned[name]
            for name, graph in sent.items()
            if planned[name] and not contains_unknown(planned[name])
        }
        async with session.lock(path):
            made = await session.post(f"{path}/addPassword", {"passwordCredential": credential}, deadline=deadline)
        resource_id = f"{path.rpartition('/')[2]}/{_KIND}/{made['keyId']}"
        return Made(resource_id, {"keyId": made["keyId"], "value": made["secretText"]})

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until the application lists the secret."""
        del planned
        await session.wait(lambda: _credential(session, made.id), deadline, "the new password to be listed")

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the secret's dates; the value stays as it was given."""
        credential = await _credential(session, resource_id)
        if credential is None:
            return None
        object_id, key_id = _id_of(resource_id)
        return {
            "applicationId": f"/applications/{object_id}",
            "displayName": credential.get("displayName") or "",
            "startDate": credential.get("startDateTime") or "",
            "endDate": credential.get("endDateTime") or "",
            "keyId": key_id,
            **carried(prior, "endDateRelative", "rotateWhenChanged", "value"),
        }

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Removes the secret."""
        del prior
        object_id, key_id = _id_of(resource_id)
        path = f"/applications/{object_id}"
        async with session.lock(path):
            await session.post(f"{path}/removePassword", {"keyId": key_id}, deadline=deadline)

        async def gone() -> bool | None:
            return True if await _credential(session, resource_id) is None else None

        await session.wait(gone, deadline, f"deletion of password credential {key_id}")


def _parts(resource_id: str) -> tuple[str, str] | None:
    parts = resource_id.split("/")
    if len(parts) == 3 and parts[1] == _KIND and rules.is_guid(parts[0]) and rules.is_guid(parts[2]):
        return parts[0], parts[2]
    return None


def _id_of(resource_id: str) -> tuple[str, str]:
    parts = _parts(resource_id)
    if parts is None:
        raise Refused(f'"{resource_id}" is not the id of a password: expected {{objectId}}/{_KIND}/{{keyId}}.')
    return parts


async def _credential(session: Session, resource_id: str) -> Json | None:
    object_id, key_id = _id_of(resource_id)
    try:
        document = await session.get(f"/applications/{object_id}")
    except GraphRefusal as refusal:
        if refusal.not_found:
            return None
        raise
    return next((item for item in document["passwordCredentials"] if item["keyId"].lower() == key_id.lower()), None)
