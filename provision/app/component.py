"""``MailApp``: the app registration of one customer as one Pulumi component.

Children: the application, its service principal, the delegated grant for all principals (admin consent), up to two
secret slots, an optional federated credential. Microsoft Graph's own service principal is looked up and never managed:
managing it (``use_existing``) sends a PATCH to Microsoft's object.

Stability, so that a second ``up`` changes nothing and no ``up`` ever breaks a working product:

- A secret's end date and name are read when it is made and ignored afterwards: either one changed would replace the
  live secret. A changed lifetime counts for the next secret (the other slot's).
- Owners are set once, unless configured: whoever clicked the registration in the portal, and the CI's identity
  (``CiIdentity``), stay owners.
- Consent is given and widened, never taken away: that is for a person, in the portal. Entra drops it with the service
  principal, so nothing of it outlives ``destroy``.
- What Entra has already and the state has not (a run was killed in between; an administrator consented on the consent
  page) is taken over instead of made twice: application and grant by import, the service principal by ``use_existing``.
  An import of what the state holds already is nothing to the engine (it compares the ids).

Not here: the verified publisher. The plugin has no such resource, and Graph allows it to a signed-in user only; it is a
step of its own after ``up`` (``microsoft.graph.Graph.set_verified_publisher``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_azuread as azuread

from provision.app.layout import Layout
from provision.microsoft.objects import GRAPH_APP_ID
from provision.settings.endpoints import Endpoints
from provision.settings.profile import AUDIENCES
from provision.settings.stack import SLOTS, Slot, StackSettings

TYPE = "provision:app:MailApp"


@dataclass(frozen=True)
class SecretSlot:
    """One of the two places for a client secret."""

    end_date: str
    """When a secret made now expires, RFC 3339; of no effect on one that exists."""


@dataclass(frozen=True)
class FederatedTrust:
    """Whose tokens the registration accepts in place of a secret."""

    name: str
    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class MailAppArgs:
    """What one registration is made of."""

    display_name: str
    redirect_uri: str
    scopes: Mapping[str, str]
    """Delegated permissions of Microsoft Graph, name to id."""
    graph: str
    """Object id of Microsoft Graph's service principal in the tenant. Looked up before the run, as the permissions' ids
    are: an engine that looked it up would carry all that Microsoft Graph publishes, a third of its work."""
    slot_names: Mapping[Slot, str]
    """Display names of the slots' secrets."""
    tenant_id: str
    endpoints: Endpoints
    slots: Mapping[Slot, SecretSlot] = field(default_factory=dict)
    """The slots that exist; empty when the secret is kept elsewhere."""
    layout: Layout = field(default_factory=Layout)
    """Which slot is in use; where the secret is kept elsewhere, also its key id and expiry."""
    sign_in_audience: str = AUDIENCES[0]
    issue_access_tokens: bool = False
    issue_id_tokens: bool = False
    granted_scopes: Sequence[str] = ()
    """What to consent to for the whole tenant; empty for no consent."""
    existing_application: str | None = None
    """Object id of the registration that the tenant holds already."""
    existing_grant: str | None = None
    """Id of the grant that the tenant holds already; its scopes are among ``granted_scopes``."""
    tags: Sequence[str] = ()
    owners: Sequence[str] = ()
    """Object ids; empty leaves the owners as they are."""
    first_owners: Sequence[str] = ()
    """Owners to set when it is made, and not to manage afterwards."""
    federated: FederatedTrust | None = None


class MailApp(pulumi.ComponentResource):
    """An app registration that sends mail as its users.

    Args:
        name: the component's name in the stack; its children's names begin with it.
        args: what it is made of.
        opts: Pulumi's resource options.
    """

    tenant_id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    client_secret: pulumi.Output[str | None]
    """Secret; None when it is kept elsewhere."""
    secret_expires: pulumi.Output[str | None]
    secret_key_id: pulumi.Output[str | None]
    secret_slot: pulumi.Output[str]
    """The slot in use (``app.layout``)."""
    secret_slots: pulumi.Output[Sequence[str]]
    """The slots that exist."""
    redirect_uri: pulumi.Output[str]
    admin_consent_url: pulumi.Output[str]
    scopes: pulumi.Output[Sequence[str]]
    consent_granted: pulumi.Output[bool]
    """Whether the whole tenant's consent covers every scope asked for."""

    def __init__(self, name: str, args: MailAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE, name, None, opts)
        application = self._application(name, args)
        principal = self._service_principal(name, args, application)
        if args.granted_scopes:
            azuread.ServicePrincipalDelegatedPermissionGrant(
                f"{name}-consent",
                service_principal_object_id=principal.object_id,
                resource_service_principal_object_id=args.graph,
                claim_values=list(args.granted_scopes),
                opts=pulumi.ResourceOptions(
                    parent=self,
                    import_=f"/oauth2PermissionGrants/{args.existing_grant}" if args.existing_grant else None,
                    retain_on_delete=True,
                ),
            )
        if args.federated is not None:
            azuread.ApplicationFederatedIdentityCredential(
                f"{name}-federated",
                application_id=application.id,
                display_name=args.federated.name,
                issuer=args.federated.issuer,
                subject=args.federated.subject,
                audiences=[args.federated.audience],
                opts=pulumi.ResourceOptions(parent=self),
            )
        passwords = {slot: self._password(name, args, application, slot) for slot in args.slots}
        self._outputs(args, application, passwords.get(args.layout.active))

    def _application(self, name: str, args: MailAppArgs) -> azuread.Application:
        return azuread.Application(
            f"{name}-application",
            display_name=args.display_name,
            sign_in_audience=args.sign_in_audience,
            fallback_public_client_enabled=False,
            web=azuread.ApplicationWebArgs(
                redirect_uris=[args.redirect_uri],
                implicit_grant=azuread.ApplicationWebImplicitGrantArgs(
                    access_token_issuance_enabled=args.issue_access_tokens,
                    id_token_issuance_enabled=args.issue_id_tokens,
                ),
            ),
            required_resource_accesses=[
                azuread.ApplicationRequiredResourceAccessArgs(
                    resource_app_id=GRAPH_APP_ID,
                    resource_accesses=[
                        azuread.ApplicationRequiredResourceAccessResourceAccessArgs(id=scope, type="Scope")
                        for scope in args.scopes.values()
                    ],
                )
            ],
            tags=list(args.tags) or None,
            owners=_owners(args),
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=_unmanaged(args),
                import_=f"/applications/{args.existing_application}" if args.existing_application else None,
            ),
        )

    def _service_principal(
        self, name: str, args: MailAppArgs, application: azuread.Application
    ) -> azuread.ServicePrincipal:
        return azuread.ServicePrincipal(
            f"{name}-service-principal",
            client_id=application.client_id,
            use_existing=True,
            owners=_owners(args),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=_unmanaged(args)),
        )

    def _password(
        self, name: str, args: MailAppArgs, application: azuread.Application, slot: Slot
    ) -> azuread.ApplicationPassword:
        return azuread.ApplicationPassword(
            f"{name}-secret-{slot}",
            application_id=application.id,
            display_name=args.slot_names[slot],
            end_date=args.slots[slot].end_date,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["displayName", "endDate"]),
        )

    def _outputs(
        self, args: MailAppArgs, application: azuread.Application, password: azuread.ApplicationPassword | None
    ) -> None:
        elsewhere = args.layout
        self.tenant_id = pulumi.Output.from_input(args.tenant_id)
        self.client_id = application.client_id
        self.client_secret = (
            pulumi.Output.secret(password.value) if password is not None else pulumi.Output.from_input(None)
        )
        self.secret_expires = pulumi.Output.from_input(elsewhere.expires if password is None else password.end_date)
        self.secret_key_id = pulumi.Output.from_input(elsewhere.key_id if password is None else password.key_id)
        self.secret_slot = pulumi.Output.from_input(args.layout.active)
        self.secret_slots = pulumi.Output.from_input(list(args.slots) or [args.layout.active])
        self.redirect_uri = pulumi.Output.from_input(args.redirect_uri)
        self.admin_consent_url = application.client_id.apply(
            lambda client_id: args.endpoints.admin_consent_url(args.tenant_id, client_id)
        )
        self.scopes = pulumi.Output.from_input(list(args.scopes))
        self.consent_granted = pulumi.Output.from_input(set(args.scopes) <= set(args.granted_scopes))
        self.register_outputs(self.outputs())

    def outputs(self) -> dict[str, pulumi.Output[Any]]:
        """The stack's outputs, by the names that the commands and the docs use."""
        return {
            "tenantId": self.tenant_id,
            "clientId": self.client_id,
            "clientSecret": self.client_secret,
            "secretExpires": self.secret_expires,
            "secretKeyId": self.secret_key_id,
            "secretSlot": self.secret_slot,
            "secretSlots": self.secret_slots,
            "redirectUri": self.redirect_uri,
            "adminConsentUrl": self.admin_consent_url,
            "scopes": self.scopes,
            "consentGranted": self.consent_granted,
        }


def slot_display_names(settings: StackSettings) -> tuple[str, ...]:
    """The names of our secrets in the portal, by which an interrupted run's are told from foreign ones."""
    return tuple(settings.profile.slot_name(slot) for slot in SLOTS)


def _owners(args: MailAppArgs) -> list[str] | None:
    return list(dict.fromkeys([*args.owners, *args.first_owners])) or None


def _unmanaged(args: MailAppArgs) -> list[str]:
    return [] if args.owners else ["owners"]
