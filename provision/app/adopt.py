"""Taking over a registration that was clicked in the portal: what to import, and what differs from what should be.

Owns: the plan and the comparison, over facts that Graph gathered. Does not own: running the import (``onboard``) or
changing anything: differences are put right by the next ``up``. Import ids are those of the azuread provider's
documentation (``docs/resources/*.md``, "Import"); a client secret has none, because nobody can read its value again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from provision.app.component import TYPE as COMPONENT
from provision.app.preflight import tenant_grant
from provision.errors import InvalidInput
from provision.microsoft.graph import Graph
from provision.microsoft.objects import GRAPH_APP_ID, Application, Grant, RequiredAccess
from provision.settings.stack import StackSettings

APPLICATION = "azuread:index/application:Application"
SERVICE_PRINCIPAL = "azuread:index/servicePrincipal:ServicePrincipal"
GRANT = "azuread:index/servicePrincipalDelegatedPermissionGrant:ServicePrincipalDelegatedPermissionGrant"
PASSWORD = "azuread:index/applicationPassword:ApplicationPassword"  # noqa: S105 - a type's name

_DESCRIBED = {
    COMPONENT: "the component",
    APPLICATION: "the app registration",
    SERVICE_PRINCIPAL: "its enterprise application",
    GRANT: "the tenant's consent",
}


@dataclass(frozen=True)
class ImportEntry:
    """One resource to take into the state."""

    type: str
    name: str
    """As the program names it."""
    id: str = ""
    """The provider's import id; empty for the component."""
    parent: str = ""
    """The component's name; empty for the component itself."""

    @property
    def described(self) -> str:
        """In words."""
        return _DESCRIBED[self.type]


@dataclass(frozen=True)
class ImportPlan:
    """What to import, the component first; iterable."""

    entries: tuple[ImportEntry, ...]
    grant: Grant | None
    notes: tuple[str, ...]

    def __iter__(self) -> Iterator[ImportEntry]:
        return iter(self.entries)

    def extra_scopes(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Delegated permissions that the tenant has consented to and nothing asks for; adopting keeps them."""
        asked = set(wanted)
        return tuple(scope for scope in (self.grant.scopes if self.grant else ()) if scope not in asked)


@dataclass(frozen=True)
class Difference:
    """One setting in which the portal's registration is not what it should be."""

    setting: str
    portal_has: str
    should_be: str

    def row(self) -> tuple[str, str, str]:
        """For a table."""
        return self.setting, self.portal_has, self.should_be


def import_plan(application: Application, graph: Graph, *, name: str = "mail") -> ImportPlan:
    """What the state must take over of a registration.

    Args:
        application: the registration.
        graph: reads its enterprise application and grants.
        name: the component's name in the program.

    Raises:
        InvalidInput: it is a registration with personal accounts, which cannot become one that sends mail.
    """
    if "Personal" in application.sign_in_audience:
        raise InvalidInput(
            f"The registration {application.display_name} is for personal accounts ({application.sign_in_audience}); "
            "Entra does not let it become a work registration with all it has.",
            remedy="Make a new one with up.",
        )
    entries = [
        ImportEntry(COMPONENT, name),
        ImportEntry(APPLICATION, f"{name}-application", f"/applications/{application.object_id}", name),
    ]
    principal, resource = graph.service_principal(application.app_id), graph.service_principal(GRAPH_APP_ID)
    grant = None
    if principal is not None:
        identity = f"/servicePrincipals/{principal.object_id}"
        entries.append(ImportEntry(SERVICE_PRINCIPAL, f"{name}-service-principal", identity, name))
        if resource is not None:
            grant = tenant_grant(graph.grants(principal.object_id), resource.object_id)
    if grant is not None:
        entries.append(ImportEntry(GRANT, f"{name}-consent", f"/oauth2PermissionGrants/{grant.id}", name))
    return ImportPlan(tuple(entries), grant, _notes(application))


def _notes(application: Application) -> tuple[str, ...]:
    if not application.passwords:
        return ()
    count = len(application.passwords)
    secrets = "1 client secret stays as it is" if count == 1 else f"{count} client secrets stay as they are"
    return (
        f"{secrets} and the product goes on with it; nobody can read a secret's value again, so up makes one of "
        "its own. Enter that in the product, then remove the old one in the portal.",
    )


def drift(
    application: Application,
    grant: Grant | None,
    settings: StackSettings,
    *,
    redirect_uri: str,
    scope_ids: Mapping[str, str],
) -> list[Difference]:
    """In what a registration differs from what the stack asks for.

    Args:
        application: the registration.
        grant: the tenant's consent; None where there is none.
        settings: the stack's.
        redirect_uri: the one that is wanted (``app.redirect``).
        scope_ids: the wanted delegated permissions' ids by name (``app.permissions``).
    """
    product = settings.profile
    names = {identity: name for name, identity in scope_ids.items()}
    wanted_access = {RequiredAccess(GRAPH_APP_ID, identity, "Scope") for identity in scope_ids.values()}
    compared = (
        ("Name", application.display_name, settings.display_name),
        ("Supported account types", application.sign_in_audience, settings.sign_in_audience),
        ("Redirect URIs (Web)", _list(application.web_redirect_uris), redirect_uri),
        ("Redirect URIs (single-page application)", _list(application.spa_redirect_uris), "none"),
        ("Redirect URIs (public client)", _list(application.public_redirect_uris), "none"),
        ("Access tokens (implicit)", _switch(application.issue_access_tokens), _switch(product.issue_access_tokens)),
        ("ID tokens (implicit)", _switch(application.issue_id_tokens), _switch(product.issue_id_tokens)),
        ("Allow public client flows", _switch(application.is_fallback_public_client), "off"),
        (
            "API permissions",
            _list(sorted(_access_name(access, names) for access in application.required_access)),
            _list(sorted(_access_name(access, names) for access in wanted_access)),
        ),
        (
            "Admin consent",
            _list(sorted(grant.scopes)) if grant else "none",
            _list(sorted({*settings.scopes, *(grant.scopes if grant else ())})),
        ),
    )
    return [Difference(setting, has, should) for setting, has, should in compared if has != should]


def _access_name(access: RequiredAccess, names: dict[str, str]) -> str:
    known = names.get(access.permission_id) if access.resource_app_id == GRAPH_APP_ID else None
    kind = "" if access.type == "Scope" else " (application)"
    return f"{known or access.permission_id}{kind}"


def _list(values: Iterable[str]) -> str:
    return ", ".join(values) or "none"


def _switch(on: bool) -> str:
    return "on" if on else "off"
