"""``CiIdentity``: the pipeline's own application, which may rotate the mail registration's secret and nothing else.

No secret: Entra accepts the pipeline's own tokens (a federated credential). Least permissions:
Application.ReadWrite.OwnedBy on Microsoft Graph lets it change what it owns, and it is made an owner of the mail
registration only ("Microsoft Graph permissions reference", ``Application.ReadWrite.OwnedBy``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_azuread as azuread

from provision.app.rights import OWNED_ONLY
from provision.microsoft.objects import GRAPH_APP_ID
from provision.settings.ci import CiSettings

TYPE = "provision:app:CiIdentity"


@dataclass(frozen=True)
class CiIdentityArgs:
    """What the identity is made of."""

    settings: CiSettings
    audience: str
    """What the cloud expects in a federated token (``Endpoints.token_exchange_audience``)."""


class CiIdentity(pulumi.ComponentResource):
    """An application that a pipeline signs in as without a secret.

    Args:
        name: the component's name in the stack.
        args: what it is made of.
        opts: Pulumi's resource options.
    """

    client_id: pulumi.Output[str]
    tenant_id: pulumi.Output[str]

    def __init__(self, name: str, args: CiIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(TYPE, name, None, opts)
        asked, child = args.settings, pulumi.ResourceOptions(parent=self)
        lookup = pulumi.InvokeOptions(parent=self)
        graph = azuread.get_service_principal_output(client_id=GRAPH_APP_ID, opts=lookup)
        mail = azuread.get_application_output(client_id=asked.mail_application, opts=lookup)
        role = graph.app_role_ids.apply(_owned_only)
        application = azuread.Application(
            f"{name}-application",
            display_name=asked.display_name,
            sign_in_audience="AzureADMyOrg",
            required_resource_accesses=[
                azuread.ApplicationRequiredResourceAccessArgs(
                    resource_app_id=GRAPH_APP_ID,
                    resource_accesses=[
                        azuread.ApplicationRequiredResourceAccessResourceAccessArgs(id=role, type="Role")
                    ],
                )
            ],
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["owners"]),
        )
        principal = azuread.ServicePrincipal(
            f"{name}-service-principal",
            client_id=application.client_id,
            use_existing=True,
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["owners"]),
        )
        azuread.ApplicationFederatedIdentityCredential(
            f"{name}-federated",
            application_id=application.id,
            display_name=f"{asked.system}-pipeline",
            description=f"{asked.system}: {asked.subject}"[:600],
            issuer=asked.issuer,
            subject=asked.subject,
            audiences=[args.audience],
            opts=child,
        )
        azuread.AppRoleAssignment(
            f"{name}-may-change-what-it-owns",
            app_role_id=role,
            principal_object_id=principal.object_id,
            resource_object_id=graph.object_id,
            opts=child,
        )
        azuread.ApplicationOwner(
            f"{name}-owns-the-mail-registration",
            application_id=mail.object_id.apply(lambda identity: f"/applications/{identity}"),
            owner_object_id=principal.object_id,
            opts=child,
        )
        self.client_id = application.client_id
        self.tenant_id = azuread.get_client_config_output(opts=lookup).tenant_id
        self.register_outputs({"clientId": self.client_id, "tenantId": self.tenant_id})


def _owned_only(ids: Mapping[str, str]) -> str:
    return ids[OWNED_ONLY]
