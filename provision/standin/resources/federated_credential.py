"""``azuread.ApplicationFederatedIdentityCredential`` against the local tenant.

Owns: its table, its requests and its shape.
Source: terraform-provider-azuread, ``application_federated_identity_credential_resource.go``.
"""

from __future__ import annotations

from provision.standin import rules
from provision.standin.fields import text, text_list
from provision.standin.planning import State
from provision.standin.resources.interface import Made, Resource, Timeouts
from provision.standin.session import Deadline, Session
from provision.standin.wire import Value

_KIND = "federatedIdentityCredential"
_NAME_LENGTH = 120


class FederatedCredential(Resource):
    """Trust in tokens of another issuer, instead of a secret."""

    token = "azuread:index/applicationFederatedIdentityCredential:ApplicationFederatedIdentityCredential"  # noqa: S105
    known_as = "azuread_application_federated_identity_credential"
    timeouts = Timeouts(create=900, read=300, update=300, delete=300)
    fields = (
        text("applicationId", rules.application_id, required=True, replaces=True),
        text_list("audiences", rules.filled, required=True, most=1),
        text("displayName", rules.length(1, _NAME_LENGTH), required=True, replaces=True),
        text("issuer", required=True),
        text("subject", required=True),
        text("description"),
        text("credentialId", output=True),
    )

    def owns_id(self, resource_id: str) -> bool:
        """``{application object id}/federatedIdentityCredential/{credential id}``."""
        parts = resource_id.split("/")
        return len(parts) == 3 and parts[1] == _KIND and rules.is_guid(parts[0]) and rules.is_guid(parts[2])

    async def create(self, session: Session, planned: State, deadline: Deadline) -> Made:
        """Posts the credential."""
        path = planned["applicationId"]
        async with session.lock(path):
            made = await session.post(f"{path}/federatedIdentityCredentials", _to_graph(planned), deadline=deadline)
        return Made(f"{path.rpartition('/')[2]}/{_KIND}/{made['id']}", {"credentialId": made["id"]})

    async def complete(self, session: Session, made: Made, planned: State, deadline: Deadline) -> None:
        """Waits until it is there."""
        del planned
        await session.wait_for(_path(made.id), deadline, "the federated credential")

    async def read(self, session: Session, resource_id: str, prior: State) -> State | None:
        """Reads the credential."""
        del prior
        document = await session.present(_path(resource_id))
        if document is None:
            return None
        object_id, _, credential_id = resource_id.split("/")
        return {
            "applicationId": f"/applications/{object_id}",
            "credentialId": credential_id,
            "audiences": document.get("audiences") or [],
            "description": document.get("description") or "",
            "displayName": document["name"],
            "issuer": document["issuer"],
            "subject": document["subject"],
        }

    async def update(
        self, session: Session, resource_id: str, planned: State, changed: frozenset[str], deadline: Deadline
    ) -> None:
        """Patches the credential; its name cannot change."""
        del changed, deadline
        body = _to_graph(planned)
        del body["name"]
        async with session.lock(planned["applicationId"]):
            await session.patch(_path(resource_id), body)

    async def delete(self, session: Session, resource_id: str, prior: State, deadline: Deadline) -> None:
        """Deletes the credential."""
        async with session.lock(prior["applicationId"]):
            await session.delete(_path(resource_id))

        await session.wait_gone(_path(resource_id), deadline)


def _to_graph(planned: State) -> dict[str, Value]:
    return {
        "name": planned["displayName"],
        "issuer": planned["issuer"],
        "subject": planned["subject"],
        "audiences": planned["audiences"],
        "description": planned.get("description") or "",
    }


def _path(resource_id: str) -> str:
    object_id, _, credential_id = resource_id.split("/")
    return f"/applications/{object_id}/federatedIdentityCredentials/{credential_id}"
