"""Who gets in and what he may run: tokens, tenants, directory roles, role groups. A refused cmdlet is a bare 403."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from provision.sandbox import seed
from provision.sandbox.exchange import organization, roles
from provision.sandbox.exchange.cmdlets import CMDLETS

from .conftest import BASE, MANAGE


def test_the_admin_application_of_a_new_tenant_may_do_everything(exchange):
    for cmdlet in CMDLETS.values():
        response = exchange.call(cmdlet.name, {})
        assert response.status_code != 403, cmdlet.name


@pytest.mark.parametrize("audience", ["https://outlook.office365.com", "https://outlook.office.com/"])
def test_both_names_of_exchange_are_its_audience(exchange, audience):
    token = exchange.app_token(MANAGE, audience=audience)
    assert exchange.call("Get-TransportConfig", token=token).status_code == 200


@pytest.mark.parametrize(
    ("token", "category"),
    [
        (lambda e: e.app_token(MANAGE, audience="https://graph.microsoft.com"), "invalid_token"),
        (lambda e: e.app_token(MANAGE, extra={"exp": 1}), "invalid_token"),
        (lambda e: e.app_token(MANAGE)[:-8] + "AAAAAAAA", "invalid_token"),
        (lambda e: e.app_token(), "invalid_grant"),
        (lambda e: e.app_token("full_access_as_app"), "invalid_grant"),
        (lambda e: e.user_token("admin", "EWS.AccessAsUser.All"), "invalid_grant"),
        (lambda e: e.app_token(MANAGE, extra={"tid": "00000000-0000-4000-8000-000000000000"}), "invalid_tenant"),
        (lambda e: "no.token.here", "invalid_token"),
    ],
)
def test_a_token_that_does_not_do_is_401_with_an_empty_body(exchange, token, category):
    response = exchange.call("Get-Mailbox", token=token(exchange))
    assert (response.status_code, response.content) == (401, b"")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]
    assert f'error_category="{category}"' in response.headers["x-ms-diagnostics"]


def test_no_token_at_all_is_challenged(exchange):
    response = exchange.call("Get-Mailbox", token="")
    assert (response.status_code, response.content) == (401, b"")
    assert response.headers["www-authenticate"].startswith('Bearer client_id="00000002-0000-0ff1-ce00-000000000000"')


def test_the_tenant_in_the_path_is_the_tokens_by_id_or_domain_in_any_letter_case(exchange):
    for name in (exchange.tenant.upper(), exchange.seeded.domain, "contoso.example"):
        assert exchange.call("Get-TransportConfig", url=exchange.url(name)).status_code == 200
    for name in ("fabrikam.onmicrosoft.com", "00000000-0000-4000-8000-000000000000"):
        response = exchange.call("Get-TransportConfig", url=exchange.url(name))
        assert (response.status_code, response.content) == (403, b"")
    odd = f"{BASE}/AdminApi/BETA/{exchange.tenant}/invokecommand"
    assert exchange.call("Get-TransportConfig", url=odd).status_code == 200


def test_a_token_of_one_tenant_opens_no_other(exchange):
    other = seed.create_tenant(exchange.directory, domain="fabrikam.onmicrosoft.com", base_url=BASE)
    for name in (other.tenant_id, other.domain):
        response = exchange.call("Set-TransportConfig", {"AllowLegacyTLSClients": True}, url=exchange.url(name))
        assert (response.status_code, response.content) == (403, b"")
    for tenant in (other.tenant_id, exchange.tenant):
        assert organization.transport_config(exchange.directory, tenant)["AllowLegacyTLSClients"] is None


def test_only_beta_answers_invoke_command_and_only_by_post(exchange):
    assert exchange.call("Get-Mailbox", url=exchange.url().replace("beta", "v1.0")).status_code == 405
    assert exchange.send("GET", exchange.url()).status_code == 405
    assert exchange.call("Get-Mailbox", url=f"{BASE}/adminapi/beta/{exchange.tenant}/Nothing").status_code == 404


def test_a_deleted_or_disabled_caller_is_401_although_his_token_lives(exchange):
    token = exchange.user_token("admin", "Exchange.Manage")
    assert exchange.call("Get-Mailbox", token=token).status_code == 200
    exchange.directory.replace(exchange.tenant, "user", {**exchange.user("admin"), "accountEnabled": False})
    assert exchange.call("Get-Mailbox", token=token).status_code == 401


_RECIPIENTS_ONLY = ("Get-Mailbox", "Get-CASMailbox", "Set-CASMailbox", "Set-User", "Add-RecipientPermission")
_CONFIGURATION = ("Get-TransportConfig", "Set-TransportConfig", "Set-OrganizationConfig", "New-AuthenticationPolicy")
_READS = ("Get-Mailbox", "Get-CASMailbox", "Get-TransportConfig", "Get-AuthenticationPolicy", "Get-ServicePrincipal")
_WRITES = ("Set-CASMailbox", "Set-TransportConfig", "New-ServicePrincipal", "Remove-BlockedSenderAddress")


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("Exchange Administrator", (*_RECIPIENTS_ONLY, *_CONFIGURATION), ()),
        ("Global Administrator", (*_RECIPIENTS_ONLY, *_CONFIGURATION), ()),
        ("Exchange Recipient Administrator", _RECIPIENTS_ONLY, (*_CONFIGURATION, "New-ServicePrincipal")),
        ("Global Reader", _READS, _WRITES),
        ("Security Administrator", ("Remove-BlockedSenderAddress", "Get-Mailbox"), ("Set-CASMailbox",)),
        ("User Administrator", (), (*_READS, *_WRITES)),
        (None, (), (*_READS, *_WRITES)),
    ],
)
@pytest.mark.parametrize("who", ["application", "person"])
def test_directory_roles_are_enforced_for_each_cmdlet(exchange, role, may, may_not, who):
    """Permission in the token is not enough, and a right to read gives none to write."""
    principal = exchange.principal() if who == "application" else exchange.user("ada")
    exchange.take_roles(principal["id"])
    if role:
        exchange.give_role(role, principal["id"])
    token = exchange.app_token(MANAGE) if who == "application" else exchange.user_token("ada", "Exchange.Manage")
    for cmdlet in may:
        assert exchange.call(cmdlet, {}, token=token).status_code != 403, cmdlet
    for cmdlet in may_not:
        response = exchange.call(cmdlet, {}, token=token)
        assert (response.status_code, response.content) == (403, b""), cmdlet


def test_a_refused_cmdlet_changes_nothing(exchange):
    exchange.take_roles(exchange.principal()["id"])
    exchange.give_role("Global Reader", exchange.principal()["id"])
    parameters = {"Identity": f"ada@{exchange.seeded.domain}", "SmtpClientAuthenticationDisabled": False}
    assert exchange.call("Set-CASMailbox", parameters).status_code == 403
    assert exchange.mailbox("ada")["SmtpClientAuthenticationDisabled"] is None


def test_a_cmdlet_that_does_not_exist_is_refused_like_one_that_is_not_allowed(exchange):
    for name in ("Get-Nothing", "Set-CASMailbox2", "Invoke-Expression"):
        response = exchange.call(name)
        assert (response.status_code, response.content) == (403, b"")


def test_a_custom_role_group_lets_an_application_run_its_cmdlets_only(exchange):
    """App-only authentication, step 5: the way with the least rights."""
    app = exchange.new_application("auditor")
    principal = exchange.principal(app)
    token = exchange.app_token(MANAGE, app=app)
    assert exchange.call("Get-CASMailbox", token=token).status_code == 403
    exchange.run("New-ServicePrincipal", AppId=app["appId"], ObjectId=principal["id"], DisplayName="auditor")
    exchange.run("New-RoleGroup", Name="Auditors", Roles=["view-only recipients"])
    exchange.run("Add-RoleGroupMember", Identity="Auditors", Member=principal["id"])
    assert exchange.call("Get-CASMailbox", token=token).status_code == 200
    stranger = exchange.app_token(MANAGE, app=exchange.new_application("stranger"))
    assert exchange.call("Get-CASMailbox", token=stranger).status_code == 403
    assert exchange.call("Set-CASMailbox", {"Identity": "ada"}, token=token).status_code == 403
    assert exchange.call("Get-TransportConfig", token=token).status_code == 403
    assert [row["Name"] for row in exchange.run("Get-RoleGroupMember", Identity="Auditors")] == [principal["id"]]
    exchange.run("Remove-RoleGroupMember", Identity="Auditors", Member="auditor")
    assert exchange.call("Get-CASMailbox", token=token).status_code == 403


def test_role_groups_are_listed_and_refuse_what_is_not_there(exchange):
    names = [row["Name"] for row in exchange.run("Get-RoleGroup")]
    assert names == list(roles.BUILT_IN_GROUPS)
    assert exchange.refusal("New-RoleGroup", Name="X", Roles=["Nonsense"])[0] == 404
    assert exchange.refusal("New-RoleGroup", Name="organization management")[0] == 409
    assert exchange.refusal("Remove-RoleGroup", Identity="Organization Management")[0] == 404


def test_every_cmdlet_names_roles_that_exist_and_somebody_has(exchange):
    given = {role for held in roles.BUILT_IN_GROUPS.values() for role in held}
    for cmdlet in CMDLETS.values():
        assert cmdlet.roles
        assert set(cmdlet.roles) <= given, cmdlet.name


def test_the_docs_list_every_cmdlet_and_no_other():
    """In the docs' short form: `Get-`, `Set-User` are two cmdlets."""
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
    table = page.partition("| about | cmdlets |")[2].partition("\n\n")[0]
    named, verbs = set(), []
    for word in re.findall(r"`([A-Za-z-]+)`", table):
        verbs.append(word.partition("-")[0])
        if not word.endswith("-"):
            named |= {f"{verb}-{word.partition('-')[2]}" for verb in verbs}
            verbs = []
    assert named == {cmdlet.name for cmdlet in CMDLETS.values()}
