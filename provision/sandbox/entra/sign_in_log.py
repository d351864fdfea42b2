"""The tenant's sign-in log: one entry for each sign-in that was tried, as ``/auditLogs/signIns`` shows it.

Owns: what an entry says and which sign-ins get one. Does not own: reading the log (``graph.sign_ins``).
Sources: the signIn resource type of Microsoft Graph (beta), whose properties that v1.0 lacks are kept apart under
``_beta``; for the values of a success ("Other.") and of empty places, rows of real tenants in public repositories.
Places, devices and risks are unknown to a local tenant; ``hidden`` is what a tenant without Entra ID P2 gets for risks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Literal

from starlette.requests import Request

from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.credentials import Credential
from provision.sandbox.entra.errors import EntraError, Incident
from provision.sandbox.world import World

Kind = Literal["interactiveUser", "nonInteractiveUser", "servicePrincipal"]
Protocol = Literal["none", "oAuth2", "ropc", "deviceCode"]
_BY_CONDITIONAL_ACCESS = frozenset({53000, 53003})


@dataclass
class SignInEvent:
    """What is known of a sign-in so far; filled in on the way, so that a refusal finds what was known by then."""

    kind: Kind
    client: Client | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    resource: Document | None = None
    resource_name: str | None = None
    """The resource of an earlier step, as the client wrote it then."""
    credential: Credential | None = None
    """How the client proved itself; also one that was refused for its age."""
    protocol: Protocol = "none"
    user_name: str = ""
    """What the person typed."""
    client_app_used: str = "Mobile Apps and Desktop clients"
    started: float = field(default_factory=time.monotonic)

    def of_user(self, tenant_id: str, user_id: str, resource_name: str | None = None) -> None:
        """Names the user whose sign-in it is, and to what it was so far."""
        self.tenant_id, self.user_id, self.resource_name = tenant_id, user_id, resource_name


@dataclass(frozen=True)
class Peer:
    """Where a sign-in came from."""

    address: str
    agent: str = ""
    """The user agent, where the protocol has one."""


def record(request: Request, event: SignInEvent, incident: Incident, error: EntraError | None = None) -> None:
    """Writes the entry of a sign-in that came over HTTP and ended (see ``record_from``)."""
    peer = Peer(request.client.host if request.client else "", request.headers.get("user-agent", ""))
    record_from(request.app.state.world, peer, event, incident, error)


def record_from(
    world: World, peer: Peer, event: SignInEvent, incident: Incident, error: EntraError | None = None
) -> None:
    """Writes the entry of a sign-in that ended; none when its tenant, its client or its user stayed unknown.

    Args:
        world: the running server.
        peer: whose address and user agent the entry names.
        event: what is known.
        incident: its request id is the entry's id.
        error: why it was refused; None for a success.
    """
    tenant_id, client = event.tenant_id, event.client
    if tenant_id is None or client is None or (event.kind != "servicePrincipal" and event.user_id is None):
        return
    actor, actor_in_beta = _actor(world.directory, tenant_id, event, client)
    resource = event.resource or {}
    entry = {
        "id": incident.trace_id,
        "createdDateTime": world.directory.clock.iso(),
        "appId": client.app_id,
        "appDisplayName": client.name,
        "ipAddress": peer.address,
        "userAgent": peer.agent,
        "correlationId": incident.correlation_id,
        "conditionalAccessStatus": "failure" if error and error.code in _BY_CONDITIONAL_ACCESS else "notApplied",
        "appliedConditionalAccessPolicies": [],
        "authenticationAppDeviceDetails": None,
        "isInteractive": event.kind == "interactiveUser",
        "resourceDisplayName": resource.get("displayName", ""),
        "resourceId": resource.get("appId", ""),
        "resourceTenantId": event.tenant_id,
        "riskDetail": "hidden",
        "riskEventTypes": [],
        "riskEventTypes_v2": [],
        "riskLevelAggregated": "hidden",
        "riskLevelDuringSignIn": "hidden",
        "riskState": "none",
        "status": {
            "errorCode": error.code if error else 0,
            "failureReason": error.reason if error else "Other.",
            "additionalDetails": None,
        },
        "deviceDetail": {
            "deviceId": "",
            "displayName": "",
            "operatingSystem": "",
            "browser": "",
            "isCompliant": False,
            "isManaged": False,
            "trustType": "",
        },
        "location": {
            "city": "",
            "state": "",
            "countryOrRegion": "",
            "geoCoordinates": {"altitude": None, "latitude": None, "longitude": None},
        },
        "_beta": {
            "authenticationProtocol": event.protocol,
            "clientCredentialType": event.credential.kind if event.credential else "none",
            "crossTenantAccessType": "none",
            "flaggedForReview": False,
            "isTenantRestricted": False,
            "originalRequestId": incident.trace_id,
            "processingTimeInMilliseconds": round((time.monotonic() - event.started) * 1000),
            "resourceServicePrincipalId": resource.get("id", ""),
            "signInEventTypes": [event.kind],
            "tokenIssuerName": "",
            "tokenIssuerType": "AzureAD",
            **actor_in_beta,
        },
        **actor,
    }
    world.directory.insert(tenant_id, "signIn", entry)


def _actor(directory: Directory, tenant_id: str, event: SignInEvent, client: Client) -> tuple[Document, Document]:
    """Who signed in, in v1.0 and what beta has besides; the places of the other kind of actor are empty."""
    if event.kind != "servicePrincipal":
        user = directory.get(tenant_id, "user", event.user_id or "", fresh=True) or {}
        name = str(user.get("userPrincipalName") or "").lower()
        return {
            "userId": event.user_id,
            "userDisplayName": user.get("displayName") or "",
            "userPrincipalName": name,
            "homeTenantId": tenant_id,
            "clientAppUsed": event.client_app_used,
            "servicePrincipalId": "",
            "servicePrincipalName": "",
        }, {**_credential(None), "signInIdentifier": event.user_name or name, "userType": "member"}
    found = directory.find(tenant_id, "servicePrincipal", fresh=True, appId=client.app_id)
    return {
        "userId": "",
        "userDisplayName": "",
        "userPrincipalName": "",
        "homeTenantId": "",
        "clientAppUsed": None,
        "servicePrincipalId": found[0]["id"] if found else "",
        "servicePrincipalName": client.name,
    }, {**_credential(event.credential), "signInIdentifier": "", "userType": None}


def _credential(credential: Credential | None) -> Document:
    return {
        "servicePrincipalCredentialKeyId": credential.key_id if credential else "",
        "servicePrincipalCredentialThumbprint": credential.thumbprint if credential else "",
        "federatedCredentialId": credential.federated_id if credential else "",
    }
