"""What an audit reads of one tenant, in one ``$batch`` where earlier runs know its ids, in two where they do not.

Owns: which requests those are, and turning the answers into facts. Does not own: what they mean (``judge``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from provision.app import ownership
from provision.app.preflight import tenant_grant
from provision.errors import NotPermitted, ProvisionError, SignInFailed, Unreachable
from provision.fleet.audit import beyond as _beyond
from provision.fleet.audit.beyond import Beyond
from provision.fleet.kept import Kept
from provision.microsoft.batch import Document, Read, Visit
from provision.microsoft.graph import APP_FIELDS, CERTIFICATE_FIELDS, quoted
from provision.microsoft.objects import GRAPH_APP_ID, Application, Grant, Permission, ServicePrincipal
from provision.microsoft.reading import application_of, grant_of, service_principal_of
from provision.settings.stack import StackSettings

_READ_APPS = "Application.Read.All"
_READ_GRANTS = "Directory.Read.All"


@dataclass(frozen=True)
class Facts:
    """One tenant's registration as Graph shows it."""

    tenant_id: str
    registrations: tuple[Application, ...]
    """The stack's own: one, none, or several where a run went wrong."""
    principal: ServicePrincipal | None
    """Its enterprise application."""
    grant: Grant | None
    """The consent for the whole tenant on Microsoft Graph."""
    consent_seen: bool = True
    """Whether the caller may read consents; where not, nothing is said about them."""
    beyond: tuple[Beyond, ...] = ()
    """What else is not as the engine makes it."""

    @property
    def application(self) -> Application | None:
        """The registration, where there is just one."""
        return self.registrations[0] if len(self.registrations) == 1 else None


def published(answer: Document) -> tuple[Permission, ...]:
    """The delegated permissions that Microsoft Graph publishes, from the answer to ``publishing``."""
    return service_principal_of(_only(answer)).permissions


def publishing() -> Read:
    """Asks which delegated permissions Microsoft Graph publishes: the same in every tenant of a cloud."""
    return _select(
        "published",
        f"servicePrincipals?$filter=appId eq {quoted(GRAPH_APP_ID)}&$select=id,appId,oauth2PermissionScopes",
        "look up Microsoft Graph",
        _READ_APPS,
    )


async def gather(
    visit: Visit, settings: StackSettings, kept: Kept, *, project: str, stack: str, audience: str
) -> Facts:
    """Reads a tenant.

    Args:
        visit: signed in to it.
        settings: the stack's.
        kept: what earlier runs know of it; the ids in it spare a request.
        project: the Pulumi project's name.
        stack: the stack's name.
        audience: of the cloud's federated credentials.

    Raises:
        NotPermitted: the caller may not read app registrations.
        SignInFailed, Throttled, Unreachable: as the names say.
    """
    instance = settings.instance_id or kept.instance_id
    tag = ownership.stack_tag(project, stack, instance)
    adopted = settings.adopted_client_id
    reads = [_applications(f"tags/any(t:t eq {quoted(tag)})"), _principal("graph", GRAPH_APP_ID)]
    if adopted:
        reads.append(_applications(f"appId eq {quoted(adopted)}", "adopted"))
    if kept.client_id:
        reads.append(_applications(f"appId eq {quoted(kept.client_id)}", "known"))  # its tags may be gone
        reads.append(_principal("principal", kept.client_id))
    if kept.service_principal:
        reads.append(_grants(kept.service_principal))
    answers = await visit.read(reads)
    ways = ("applications", "adopted", "known")
    found: list[Document] = next((rows for way in ways if way in answers and (rows := _all(answers[way]))), [])
    registrations = tuple(application_of(row) for row in found)
    principal, grants, seen = None, answers.get("grants"), True
    beyond: list[Beyond] = []
    if len(registrations) == 1:
        client_id = registrations[0].app_id
        if client_id != kept.client_id:
            answers |= await visit.read([_principal("principal", client_id)])
        row = _first(answers["principal"])
        principal = service_principal_of(row) if row else None
        wanted = ownership.tags(project, stack, instance)
        beyond = [*_beyond.tags(registrations[0].tags, wanted), *_unasked(found[0], row)]
        beyond += await _deeper(visit, settings, registrations[0], principal, audience)
        if principal is not None and (grants is None or principal.object_id != kept.service_principal):
            grants = (await visit.read([_grants(principal.object_id)]))["grants"]
    grant = None
    if isinstance(grants, NotPermitted):
        seen = False
    elif grants is not None:
        resource = _only(answers["graph"])["id"]
        grant = tenant_grant((grant_of(row) for row in _all(grants)), str(resource))
    return Facts(visit.caller.tenant_id, registrations, principal, grant, seen, tuple(beyond))


def _unasked(registration: Document, principal: Document | None) -> Iterator[Beyond]:
    yield from _beyond.unasked(registration, _beyond.APPLICATION, "Registration")
    yield from _beyond.unasked(principal or {}, _beyond.PRINCIPAL, "Enterprise application")


async def _deeper(
    visit: Visit, settings: StackSettings, registration: Application, principal: ServicePrincipal | None, audience: str
) -> list[Beyond]:
    """What has lists of its own, read only where the row asks for it: one batch more."""
    reads = []
    owned = {"Registration": f"applications/{registration.object_id}"}
    if principal is not None:
        owned["Enterprise application"] = f"servicePrincipals/{principal.object_id}"
    if settings.owners:
        reads += [
            _select(whose, f"{path}/owners?$select=id", "list the owners", _READ_APPS) for whose, path in owned.items()
        ]
    if settings.federated_name:
        path = f"{owned['Registration']}/federatedIdentityCredentials?$select=name,issuer,subject,audiences"
        reads.append(_select("federated", path, "list the federated credentials", _READ_APPS))
    found: list[Beyond] = []
    answers = await visit.read(reads) if reads else {}
    for id_, answer in answers.items():
        rows = _all(answer)
        if id_ == "federated":
            found += _beyond.federated(rows, settings, audience)
        else:
            present = (str(row.get("id")) for row in rows)
            found += _beyond.owners(present, settings, id_, caller=visit.caller.object_id)
    return found


def _select(id_: str, url: str, doing: str, needs: str) -> Read:
    path, _, query = url.partition("?")
    return Read(id_, f"/{path}?{quote(query, safe='$=&,()')}", doing, needs)


def _applications(condition: str, id_: str = "applications") -> Read:
    fields = ",".join(dict.fromkeys([*APP_FIELDS, *CERTIFICATE_FIELDS, *_beyond.fields(_beyond.APPLICATION)]))
    return _select(id_, f"applications?$filter={condition}&$select={fields}", "list applications", _READ_APPS)


def _principal(id_: str, app_id: str) -> Read:
    fields = ",".join(("id", "appId", "displayName", "accountEnabled", "tags", *_beyond.fields(_beyond.PRINCIPAL)))
    return _select(
        id_,
        f"servicePrincipals?$filter=appId eq {quoted(app_id)}&$select={fields}",
        "look up the enterprise application",
        _READ_APPS,
    )


def _grants(principal: str) -> Read:
    # Each user's own consent is a grant, too: thousands of pages, of which the first need not have the tenant's.
    condition = f"clientId eq {quoted(principal)} and consentType eq 'AllPrincipals'"
    return _select("grants", f"oauth2PermissionGrants?$filter={condition}", "list the grants", _READ_GRANTS)


def _all(answer: Document | ProvisionError) -> list[Document]:
    if isinstance(answer, ProvisionError):
        raise answer
    found = answer.get("value")
    if not isinstance(found, list):  # never "there is none": that would be a registration to make
        raise Unreachable(
            "Microsoft Graph answers without the list that it was asked for.",
            remedy="Run again; see whether a proxy answers in its place.",
        )
    return found


def _first(answer: Document | ProvisionError) -> Document | None:
    return next(iter(_all(answer)), None)


def _only(answer: Document | ProvisionError) -> Document:
    found = _first(answer)
    if found is None:
        raise SignInFailed(
            "The tenant has no Microsoft Graph.", remedy="Check that it is a work tenant and that the cloud is right."
        )
    return found
