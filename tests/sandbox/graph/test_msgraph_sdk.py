"""Microsoft's own client, unmodified: azure-identity and msgraph-sdk against the running local tenant."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from azure.identity.aio import ClientSecretCredential
from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.applications.item.add_password.add_password_post_request_body import AddPasswordPostRequestBody
from msgraph.generated.applications.item.remove_password.remove_password_post_request_body import (
    RemovePasswordPostRequestBody,
)
from msgraph.generated.models.application import Application
from msgraph.generated.models.o_auth2_permission_grant import OAuth2PermissionGrant
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.password_credential import PasswordCredential
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.generated.models.service_principal import ServicePrincipal
from msgraph.generated.models.web_application import WebApplication
from msgraph.generated.service_principals.service_principals_request_builder import ServicePrincipalsRequestBuilder
from msgraph.graph_request_adapter import options
from msgraph_core import GraphClientFactory

from provision.sandbox.published import GRAPH_APP_ID

Story = Callable[[GraphServiceClient], Awaitable[Any]]


@pytest.fixture
def with_sdk(sandbox, tenant, trusting) -> Callable[[Story], Any]:
    """Runs a story with the SDK pointed at the local tenant as a user would point it."""

    async def run(story: Story) -> Any:
        verify = ssl.create_default_context(cafile=str(sandbox.ca_file))
        credential = ClientSecretCredential(
            tenant.tenant_id,
            tenant.admin_client_id,
            tenant.admin_client_secret,
            authority=sandbox.base_url,
            disable_instance_discovery=True,
            connection_verify=str(sandbox.ca_file),
        )
        async with credential, httpx.AsyncClient(verify=verify) as client:
            http = GraphClientFactory.create_with_default_middleware(options=options, client=client)
            provider = AzureIdentityAuthenticationProvider(
                credential, scopes=[f"{sandbox.base_url}/.default"], allowed_hosts=["localhost"]
            )
            adapter = GraphRequestAdapter(provider, client=http)
            adapter.base_url = f"{sandbox.base_url}/v1.0"
            return await story(GraphServiceClient(request_adapter=adapter))

    return lambda story: asyncio.run(run(story))


def test_the_app_registration_path(with_sdk):
    """Create, principal, consent, secret, read back, owners, remove: what the toolkit does, with Microsoft's client."""

    async def story(graph: GraphServiceClient) -> None:
        made = await graph.applications.post(
            Application(
                display_name="CLOUDEX TMS",
                sign_in_audience="AzureADMyOrg",
                web=WebApplication(redirect_uris=["https://my.cloudex.app/ACME/Services/Office365Callback.aspx"]),
            )
        )
        assert made.web.redirect_uris == ["https://my.cloudex.app/ACME/Services/Office365Callback.aspx"]
        secret = await graph.applications.by_application_id(made.id).add_password.post(
            AddPasswordPostRequestBody(password_credential=PasswordCredential(display_name="CLOUDEX Secret"))
        )
        assert secret.secret_text
        bare = await graph.applications.by_application_id(made.id).add_password.post(AddPasswordPostRequestBody())
        assert bare.key_id != secret.key_id
        principal = await graph.service_principals.post(ServicePrincipal(app_id=made.app_id))
        query = ServicePrincipalsRequestBuilder.ServicePrincipalsRequestBuilderGetQueryParameters(
            filter=f"appId eq '{GRAPH_APP_ID}'", select=["id", "appId", "oauth2PermissionScopes"]
        )
        found = await graph.service_principals.get(
            ServicePrincipalsRequestBuilder.ServicePrincipalsRequestBuilderGetRequestConfiguration(
                query_parameters=query
            )
        )
        resource = found.value[0]
        assert "Mail.Send" in {scope.value for scope in resource.oauth2_permission_scopes}
        grant = await graph.oauth2_permission_grants.post(
            OAuth2PermissionGrant(
                client_id=principal.id, consent_type="AllPrincipals", resource_id=resource.id, scope="Mail.Send"
            )
        )
        patch = OAuth2PermissionGrant(scope="Mail.Send User.Read offline_access")
        await graph.oauth2_permission_grants.by_o_auth2_permission_grant_id(grant.id).patch(patch)
        read = await graph.oauth2_permission_grants.by_o_auth2_permission_grant_id(grant.id).get()
        assert read.scope == "Mail.Send User.Read offline_access"
        owner = ReferenceCreate(odata_id=f"{graph.request_adapter.base_url}/directoryObjects/{principal.id}")
        await graph.applications.by_application_id(made.id).owners.ref.post(owner)
        owners = await graph.applications.by_application_id(made.id).owners.get()
        assert [type(row) for row in owners.value] == [ServicePrincipal]
        await graph.applications.by_application_id(made.id).remove_password.post(
            RemovePasswordPostRequestBody(key_id=bare.key_id)
        )
        by_app_id = await graph.applications_with_app_id(made.app_id).get()
        assert [row.key_id for row in by_app_id.password_credentials] == [secret.key_id]
        await graph.applications.by_application_id(made.id).delete()
        with pytest.raises(ODataError) as gone:
            await graph.applications.by_application_id(made.id).get()
        assert gone.value.response_status_code == 404
        assert gone.value.error.code == "Request_ResourceNotFound"
        deleted = await graph.directory.deleted_items.graph_application.get()
        assert made.id in [row.id for row in deleted.value]

    with_sdk(story)


def test_reads_that_diagnosis_needs_parse_into_the_sdks_models(with_sdk):
    async def story(graph: GraphServiceClient) -> None:
        organization = (await graph.organization.get()).value[0]
        assert {domain.is_initial for domain in organization.verified_domains} == {True, False}
        skus = (await graph.subscribed_skus.get()).value
        assert skus[0].prepaid_units.enabled > 0
        users = (await graph.users.get()).value
        assert len(users) == 7
        details = await graph.users.by_user_id(users[0].id).license_details.get()
        assert details.value[0].service_plans[0].service_plan_name == "EXCHANGE_S_STANDARD"
        assert (await graph.policies.identity_security_defaults_enforcement_policy.get()).is_enabled is False
        default = await graph.policies.default_app_management_policy.get()
        assert default.application_restrictions.password_credentials == []
        assert (await graph.policies.authorization_policy.get()).default_user_role_permissions.allowed_to_create_apps
        assert (await graph.identity.conditional_access.policies.get()).value == []
        roles = (await graph.directory_roles.get()).value
        assert "Global Administrator" in {role.display_name for role in roles}
        assert (await graph.role_management.directory.role_assignments.get()).value
        assert (await graph.audit_logs.sign_ins.get()).value is not None

    with_sdk(story)


def test_a_duplicate_speaks_microsofts_words_to_the_sdk(with_sdk):
    async def story(graph: GraphServiceClient) -> ODataError:
        made = await graph.applications.post(Application(display_name="x", sign_in_audience="AzureADMyOrg"))
        await graph.service_principals.post(ServicePrincipal(app_id=made.app_id))
        with pytest.raises(ODataError) as refused:
            await graph.service_principals.post(ServicePrincipal(app_id=made.app_id))
        return refused.value

    error = with_sdk(story)
    assert error.response_status_code == 409
    assert error.error.code == "Request_MultipleObjectsWithSameKeyValue"
    assert error.error.inner_error.request_id


def test_changes_are_followed_by_their_links(with_sdk):
    """A first round, then only what came after it, with the links that Microsoft's client reads."""

    async def story(graph: GraphServiceClient) -> None:
        known = await graph.applications.delta.get()
        made = await graph.applications.post(Application(display_name="new", sign_in_audience="AzureADMyOrg"))
        assert made.id not in {row.id for row in known.value}
        news = await graph.applications.delta.with_url(known.odata_delta_link).get()
        assert [row.id for row in news.value] == [made.id]
        await graph.applications.by_application_id(made.id).delete()
        news = await graph.applications.delta.with_url(news.odata_delta_link).get()
        assert [(row.id, row.additional_data["@removed"]) for row in news.value] == [(made.id, {"reason": "changed"})]

    with_sdk(story)


def test_the_sign_in_log(with_sdk, http, tenant):
    """A wrong password at the Azure CLI's client, read back as objects."""
    form = {
        "grant_type": "password",
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "scope": "User.Read.All",
        "username": f"ada@{tenant.domain}",
        "password": "wrong",
    }
    assert http.post(f"/{tenant.tenant_id}/oauth2/v2.0/token", data=form).status_code == 400

    async def story(graph):
        return (await graph.audit_logs.sign_ins.get()).value

    (entry,) = with_sdk(story)
    assert (entry.app_display_name, entry.user_principal_name) == ("Microsoft Azure CLI", form["username"])
    assert (entry.status.error_code, entry.is_interactive, entry.ip_address) == (50126, True, "127.0.0.1")
    assert (datetime.now(UTC) - entry.created_date_time).total_seconds() < 300
