"""Before anything is created: is this the right tenant, may we, is it allowed, and what exactly would be made?

Owns: the order of the checks and the values that the program needs from the tenant. What cannot be done but need not be
(consent) is a value; what would leave a half-made registration is a refusal. Reads only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from provision.app import ownership, rights
from provision.app.lifetime import Lifetime, lifetime
from provision.app.permissions import scope_ids
from provision.app.redirect import redirect_uri
from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, SignInFailed, StateUnavailable
from provision.microsoft.credentials import require_tenant
from provision.microsoft.graph import Graph
from provision.microsoft.objects import GRAPH_APP_ID, Application, CredentialRules, Grant
from provision.microsoft.tokens import Caller
from provision.settings.endpoints import Endpoints
from provision.settings.stack import StackSettings

_PASSING_NAME = "TERRAFORM_UPDATE_"
_NOT_SEEN = "{caller} may not read the tenant's consents (Directory.Read.All); what the last run knew of them counts."


class SeveralRegistrations(StateUnavailable):
    """A stack's tag is on several app registrations, and only a person can say which one is in use."""


@dataclass(frozen=True)
class Existing:
    """A registration that the tenant holds already."""

    object_id: str
    app_id: str
    display_name: str


@dataclass(frozen=True)
class Held:
    """What the stack's state holds of the registration, which the command knows and a program cannot read."""

    application: str | None = None
    """Object id."""
    grant: Grant | None = None


@dataclass(frozen=True)
class Preflight:
    """What was found; no secrets in it, so that it may travel from ``provision up`` to the program as JSON."""

    endpoints: Endpoints
    """The cloud that was looked at; a metadata host is asked once for each run."""
    tenant_id: str
    caller: str
    """Who is signed in, for messages."""
    caller_object_id: str
    redirect_uri: str
    graph: str
    """Object id of Microsoft Graph's service principal."""
    scope_ids: dict[str, str]
    """The wanted permissions, name to id."""
    secret_end: datetime
    """When a secret made now would expire, UTC."""
    can_consent: bool
    must_own: bool
    """Whether the caller may manage only what it owns, and so must be among the owners."""
    existing: tuple[Existing, ...] = ()
    """This stack's registration, if there is one: of the last run, of one that was killed, or adopted."""
    grant_id: str | None = None
    """Its grant for the whole tenant, if there is one."""
    grant_scopes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def granted_scopes(self, settings: StackSettings) -> tuple[str, ...]:
        """What the grant is to hold: what it holds and what is wanted; empty for no grant.

        A caller who may not consent, or was told not to (``grantConsent``), leaves a grant as it is, whoever gave it:
        dropping it would stop the product's mail.
        """
        wanted = settings.scopes if settings.grant_consent and self.can_consent else ()
        return tuple(dict.fromkeys([*self.grant_scopes, *wanted]))

    def consent_pending(self, settings: StackSettings) -> tuple[str, ...]:
        """The wanted permissions that nobody will have consented to after the run."""
        return tuple(scope for scope in settings.scopes if scope not in self.granted_scopes(settings))

    def to_json(self) -> str:
        """One line for the environment."""
        return json.dumps({**asdict(self), "secret_end": self.secret_end.isoformat()})

    @classmethod
    def from_json(cls, text: str) -> Preflight:
        """Reads ``to_json``'s line.

        Raises:
            InvalidInput: it is not one.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            values["endpoints"] = Endpoints(**values["endpoints"])
            values["existing"] = [Existing(**app) for app in values["existing"]]
            values["secret_end"] = datetime.fromisoformat(values["secret_end"])
            plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            return cls(**plain)
        except (ValueError, TypeError, KeyError):
            raise InvalidInput("PROVISION_PREFLIGHT does not hold a pre-flight.", remedy="Unset it.") from None


def preflight(
    settings: StackSettings,
    endpoints: Endpoints,
    caller: Caller,
    graph: Graph,
    *,
    project: str,
    stack: str,
    held: Callable[[], Held] | None = None,
    now: datetime | None = None,
) -> Preflight:
    """Checks everything that can be checked without changing anything.

    Args:
        settings: the stack's.
        endpoints: the cloud.
        caller: who is signed in.
        graph: Microsoft Graph as the caller sees it.
        project: the Pulumi project's name.
        stack: the stack's name.
        held: what the state holds, asked only where the tenant shows too little: a registration without the stack's
            tag (somebody removed it; the stack was renamed), grants that the caller may not list.
        now: the present; by Microsoft's clock without it.

    Raises:
        InvalidInput: a redirect URI, scope or end date that cannot be.
        SignInFailed: signed in to another tenant than the intended one.
        NotPermitted: the caller may not register applications.
        PolicyRefuses: a policy of the tenant forbids client secrets.
    """
    wanted_uri = redirect_uri(settings, local=endpoints.is_local)
    if settings.tenant_id is not None:
        require_tenant(caller, settings.tenant_id, endpoints)
    publishes = graph.service_principal(GRAPH_APP_ID, with_permissions=True)
    if publishes is None:
        raise SignInFailed(
            "The tenant has no Microsoft Graph.", remedy="Check that it is a work tenant and that the cloud is right."
        )
    scopes = scope_ids(settings.scopes, publishes.permissions)
    existing = registrations_of(settings, graph, ownership.stack_tag(project, stack, settings.instance_id), held)
    grant, seen = _tenant_grant(graph, existing, publishes.object_id, held)
    _require_right_to_register(caller, graph, existing)
    now = now or graph.now()
    rules, reckoned = _secret(settings, graph, existing, now)
    return Preflight(
        endpoints=endpoints,
        tenant_id=caller.tenant_id,
        caller=caller.name,
        caller_object_id=caller.object_id,
        redirect_uri=wanted_uri,
        graph=publishes.object_id,
        scope_ids=scopes,
        secret_end=reckoned.end,
        can_consent=rights.can_consent(caller),
        must_own=not rights.has_registering_role(caller),
        existing=tuple(Existing(app.object_id, app.app_id, app.display_name) for app in existing),
        grant_id=grant.id if grant else None,
        grant_scopes=grant.scopes if grant else (),
        notes=(
            *_notes(settings, caller, rules, reckoned, grant),
            *(() if seen else (_NOT_SEEN.format(caller=caller.name),)),
        ),
    )


def finish_interrupted_create(found: Preflight, settings: StackSettings, graph: Graph) -> None:
    """Gives a registration its name back that a killed run left with the azuread plugin's passing one.

    The plugin renames a new application to ``TERRAFORM_UPDATE_<uuid>`` and back, to see that Entra has replicated it. A
    run killed in between leaves that name, and the import that follows would not fit the program.

    Args:
        found: the pre-flight.
        settings: the stack's.
        graph: Microsoft Graph.
    """
    for app in found.existing:
        if app.display_name.startswith(_PASSING_NAME):
            graph.rename(app.object_id, settings.display_name)


def registrations_of(
    settings: StackSettings, graph: Graph, tag: str, held: Callable[[], Held] | None
) -> list[Application]:
    """A stack's registration by its tag; one that was adopted and not yet changed has none.

    Args:
        settings: the stack's.
        graph: Microsoft Graph as the caller sees it.
        tag: the stack's.
        held: what the state holds, asked only when no registration carries the tag.

    Returns:
        One, or none.

    Raises:
        SeveralRegistrations: several carry the tag.
    """
    existing = graph.applications_by_tag(tag)
    if len(existing) > 1:
        raise SeveralRegistrations(
            f"The tenant holds {len(existing)} registrations of this stack: "
            f"{', '.join(app.app_id for app in existing)}; an earlier run did not finish.",
            remedy="Delete in the portal the one that is not in use, then run again.",
        )
    if existing:
        return existing
    known = held().application if held else None
    found = graph.application(known) if known else None
    if found is None and settings.adopted_client_id:
        found = graph.application_by_app_id(settings.adopted_client_id)
    return [found] if found else []


def _tenant_grant(
    graph: Graph, existing: list[Application], resource_id: str, held: Callable[[], Held] | None
) -> tuple[Grant | None, bool]:
    """The grant for the whole tenant that the existing registration has on Microsoft Graph, and whether it was seen.

    Listing grants takes Directory.Read.All ("List oauth2PermissionGrants"), which a pipeline that may change only what
    it owns has not: for it the last run's record in the state counts, or its run would drop the grant.
    """
    if not existing:
        return None, True
    principal = graph.service_principal(existing[0].app_id)
    if principal is None:
        return None, True
    try:
        return tenant_grant(graph.grants(principal.object_id), resource_id), True
    except NotPermitted:
        if held is None:
            raise
        return held().grant, False


def tenant_grant(grants: Iterable[Grant], resource_id: str) -> Grant | None:
    """Of a client's grants, the one for the whole tenant on a resource; Entra allows one."""
    return next((g for g in grants if g.consent_type == "AllPrincipals" and g.resource_id == resource_id), None)


def _secret(
    settings: StackSettings, graph: Graph, existing: list[Application], now: datetime
) -> tuple[CredentialRules, Lifetime]:
    """The rules and the end for the next secret; an application that exists may have rules of its own."""
    known = existing[0] if existing else None
    rules = graph.password_rules(known.object_id if known else None, created=known.created if known else now)
    try:
        return rules, lifetime(settings, rules, now)
    except (InvalidInput, PolicyRefuses):
        if known is None or not known.passwords:
            raise
        # A secret is there and goes on working: policies bind new credentials only, and so does the end asked for.
        return rules, Lifetime(max(password.end or now for password in known.passwords))


def _require_right_to_register(caller: Caller, graph: Graph, existing: list[Application]) -> None:
    if not rights.has_registering_permission(caller):
        kind = "delegated" if caller.kind == "user" else "application"
        raise NotPermitted(
            f"{caller.name} is signed in without the {kind} permission Application.ReadWrite.All.",
            remedy="Sign in with the Azure CLI as an Application Administrator, or give the application that permission"
            f" (or {rights.OWNED_ONLY}) and admin consent.",
        )
    if caller.kind == "app" or rights.has_registering_role(caller):
        return
    if existing and all(caller.object_id in graph.owners(app.object_id) for app in existing):
        return
    if graph.users_may_register() is False or existing:
        raise NotPermitted(
            f"{caller.name} holds no role that may register applications in this tenant.",
            remedy="Ask for the role Application Administrator or Cloud Application Administrator.",
        )


def _notes(
    settings: StackSettings,
    caller: Caller,
    rules: CredentialRules,
    reckoned: Lifetime,
    grant: Grant | None,
) -> list[str]:
    notes = []
    extra = [scope for scope in grant.scopes if scope not in settings.scopes] if grant else []
    if extra:
        notes.append(f"The tenant's consent also covers {', '.join(extra)}, which is kept; nothing here asks for it.")
    if grant and not settings.grant_consent:
        notes.append(
            f"grantConsent is false: the tenant's consent for {', '.join(grant.scopes)} stays as it is. Revoke it in "
            f"the Entra admin center: Enterprise applications, {settings.display_name}, Permissions, Admin consent."
        )
    if settings.secret_in_state and reckoned.note:
        notes.append(reckoned.note)
    if not rules.known:
        notes.append(
            f"{caller.name} may not read the tenant's app management policy; if it limits client secrets, "
            "Microsoft Graph will say so when the secret is made."
        )
    if (
        settings.grant_consent
        and not rights.can_consent(caller)
        and not set(settings.scopes) <= set(grant.scopes if grant else ())
    ):
        notes.append(
            f"{caller.name} may not consent for the whole tenant; an administrator must open the consent page."
        )
    if settings.sign_in_audience == "AzureADMultipleOrgs":
        mpn = f" ({settings.mpn_id})" if settings.mpn_id else ""
        notes.append(
            "Multitenant: users of other tenants can consent only when the registration has a verified publisher"
            f"{mpn}, which only the vendor's own tenant can have."
        )
    return notes
