"""A partner's multitenant application: one secret, certificate or token, at each customer's own token endpoint."""

from __future__ import annotations

import httpx
import jwt
import pytest
from azure.identity import ClientAssertionCredential, ClientSecretCredential

from provision.microsoft.tokens import caller_of
from provision.sandbox import Partner, Sandbox, SandboxError, Tenant


def token(http: httpx.Client, partner: Partner, tenant: str, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": partner.client_id,
        "client_secret": partner.client_secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    return http.post(f"/{tenant}/oauth2/v2.0/token", data=form | changes)


def graph(http: httpx.Client, answer: httpx.Response, path: str) -> httpx.Response:
    return http.get(f"/v1.0{path}", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})


def test_one_secret_signs_in_to_each_customer_that_consented(sandbox: Sandbox, http: httpx.Client) -> None:
    partner = sandbox.partner()
    assert sandbox.partner() == partner
    customers = sandbox.new_tenants(3, "customer", customers=True)
    for customer in customers:
        answer = token(http, partner, customer.domain)
        caller = caller_of(answer.json()["access_token"])
        assert (caller.tenant_id, caller.app_id) == (customer.tenant_id, partner.client_id)
        assert "Application.ReadWrite.All" in caller.roles
        (shown,) = graph(http, answer, "/organization").json()["value"]
        assert shown["id"] == customer.tenant_id
        (principal,) = graph(http, answer, f"/servicePrincipals?$filter=appId eq '{partner.client_id}'").json()["value"]
        assert principal["appOwnerOrganizationId"] == partner.tenant_id
        assert graph(http, answer, f"/applications?$filter=appId eq '{partner.client_id}'").json()["value"] == []


def test_azure_identity_signs_in_as_the_partner(sandbox: Sandbox, tenant: Tenant, trusting: object) -> None:
    partner = sandbox.partner()
    sandbox.consent(partner, tenant)
    credential = ClientSecretCredential(
        tenant.tenant_id,
        partner.client_id,
        partner.client_secret,
        authority=sandbox.base_url,
        disable_instance_discovery=True,
    )
    assert caller_of(credential.get_token(f"{sandbox.base_url}/.default").token).tenant_id == tenant.tenant_id


def test_a_customer_who_has_not_consented_or_no_longer_does(
    sandbox: Sandbox, http: httpx.Client, tenant: Tenant
) -> None:
    partner = sandbox.partner()
    refused = token(http, partner, tenant.tenant_id)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    assert refused.json()["error_description"].startswith(
        f"AADSTS7000229: The client application {partner.client_id} is missing service principal in the tenant "
        f"{tenant.tenant_id}."
    )
    sandbox.consent(partner, tenant)
    sandbox.consent(partner, tenant)
    assert token(http, partner, tenant.tenant_id).status_code == 200
    sandbox.withdraw(partner, tenant)
    assert token(http, partner, tenant.tenant_id).json()["error_codes"] == [7000229]


def test_a_customer_can_disable_the_partner_or_take_his_permissions(
    sandbox: Sandbox, http: httpx.Client, tenant: Tenant
) -> None:
    partner = sandbox.partner()
    sandbox.consent(partner, tenant)
    sandbox.begin_trouble(tenant, "principal-disabled", clientId=partner.client_id)
    assert token(http, partner, tenant.tenant_id).json()["error_codes"] == [7000112]
    sandbox.end_trouble(tenant, "principal-disabled")
    sandbox.begin_trouble(tenant, "consent-revoked", clientId=partner.client_id)
    answer = token(http, partner, tenant.tenant_id)
    assert graph(http, answer, "/applications").status_code == 403
    sandbox.end_trouble(tenant, "consent-revoked")
    assert graph(http, token(http, partner, tenant.tenant_id), "/applications").status_code == 200
    assert token(http, partner, partner.tenant_id).status_code == 200


def test_a_pipelines_token_stands_for_the_partners_secret(
    sandbox: Sandbox, http: httpx.Client, tenant: Tenant, trusting: object
) -> None:
    """The federated credential is in the partner's tenant; the token endpoint is the customer's."""
    home = sandbox.new_tenant()
    partner = sandbox.partner(home)
    sandbox.consent(partner, tenant)
    access = token(http, partner, home.tenant_id)
    (registered,) = graph(http, access, f"/applications?$filter=appId eq '{partner.client_id}'").json()["value"]
    assertion = sandbox.ci_token("github", "repo:msp/fleet:ref:refs/heads/main")
    claims = jwt.decode(assertion, options={"verify_signature": False})
    answer = http.post(
        f"/v1.0/applications/{registered['id']}/federatedIdentityCredentials",
        headers={"Authorization": f"Bearer {access.json()['access_token']}"},
        json={"name": "fleet", "issuer": claims["iss"], "subject": claims["sub"], "audiences": [claims["aud"]]},
    )
    assert answer.status_code == 201, answer.text
    credential = ClientAssertionCredential(
        tenant.tenant_id,
        partner.client_id,
        lambda: assertion,
        authority=sandbox.base_url,
        disable_instance_discovery=True,
    )
    assert caller_of(credential.get_token(f"{sandbox.base_url}/.default").token).tenant_id == tenant.tenant_id


def test_an_application_of_one_tenant_alone_is_no_partners(sandbox: Sandbox, tenant: Tenant) -> None:
    other = sandbox.new_tenant()
    alone = Partner(other.tenant_id, other.admin_client_id, other.admin_client_secret)
    with pytest.raises(SandboxError, match="there is no multitenant application"):
        sandbox.consent(alone, tenant)


def test_the_partner_reads_whom_he_may_administer(sandbox: Sandbox, http: httpx.Client) -> None:
    home = sandbox.new_tenant()
    partner = sandbox.partner(home)
    customers = [sandbox.new_tenant() for _ in range(3)]
    sandbox.consent(partner, *customers)
    sandbox.consent(partner, customers[0])
    access = token(http, partner, home.tenant_id)
    relationships = graph(http, access, "/tenantRelationships/delegatedAdminRelationships").json()["value"]
    assert {row["customer"]["tenantId"] for row in relationships} == {one.tenant_id for one in customers}
    assert {(row["status"], row["autoExtendDuration"]) for row in relationships} == {("active", "PT0S")}
    wanted = f"$filter=customer/tenantId eq '{customers[1].tenant_id}'"
    (one,) = graph(http, access, f"/tenantRelationships/delegatedAdminRelationships?{wanted}").json()["value"]
    again = graph(http, access, f"/tenantRelationships/delegatedAdminRelationships/{one['id']}").json()
    assert again["accessDetails"] == one["accessDetails"]
    listed = graph(http, access, "/tenantRelationships/delegatedAdminCustomers?$top=2&$select=id,tenantId").json()
    assert len(listed["value"]) == 2
    assert "@odata.nextLink" in listed
    own = graph(http, access, f"/tenantRelationships/delegatedAdminCustomers/{customers[2].tenant_id}").json()
    assert own["displayName"].lower() == customers[2].domain.partition(".")[0]
    assert graph(http, access, "/tenantRelationships/delegatedAdminCustomers?$top=301").status_code == 400
    in_the_customers = token(http, partner, customers[0].tenant_id)
    assert graph(http, in_the_customers, "/tenantRelationships/delegatedAdminCustomers").status_code == 403
