"""What a new local tenant holds, and that the published ids are whole."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from provision.sandbox import hashing, published, seed
from provision.sandbox.directory import Directory
from provision.sandbox.graph.permissions import RULES


@pytest.fixture
def directory(tmp_path: Path):
    made = Directory(tmp_path / "tenant.sqlite")
    yield made
    made.close()


def test_the_admin_application_holds_what_it_is_said_to_hold(directory):
    """The first client anybody uses must be able to do everything the toolkit does."""
    made = seed.create_tenant(directory, base_url="https://localhost:8443")
    (application,) = directory.find(made.tenant_id, "application", appId=made.admin_client_id)
    assert hashing.matches(made.admin_client_secret, application["passwordCredentials"][0]["_hash"])
    (principal,) = directory.find(made.tenant_id, "servicePrincipal", appId=made.admin_client_id)
    held = {
        row["appRoleId"] for row in directory.find(made.tenant_id, "appRoleAssignment", principalId=principal["id"])
    }
    wanted = {published.role_id(published.GRAPH_APP_ID, name) for name in seed.ADMIN_APP_ROLES}
    assert held == wanted | {published.role_id(published.EXCHANGE_APP_ID, "Exchange.ManageAsApp")}


def test_no_secret_is_in_the_store_or_the_repr(directory):
    made = seed.create_tenant(directory, base_url="https://localhost:8443")
    stored = str([directory.all(made.tenant_id, kind) for kind in ("application", "user")])
    for value in (made.admin_client_secret, *made.users.values()):
        assert value not in stored
        assert value not in repr(made)


def test_everybody_who_can_sign_in_has_a_password_and_the_roles_are_given(directory):
    made = seed.create_tenant(directory, base_url="https://localhost:8443")
    people = {row["userPrincipalName"]: row for row in directory.all(made.tenant_id, "user")}
    assert set(made.users) == {name for name, row in people.items() if row["accountEnabled"]}
    for name, password in made.users.items():
        assert hashing.matches(password, people[name]["_passwordHash"])
    (role,) = directory.find(made.tenant_id, "directoryRole", roleTemplateId=published.ROLE["Global Administrator"])
    (holder,) = directory.find(made.tenant_id, "roleMembership", roleId=role["id"])
    assert holder["memberId"] == people["admin@contoso.onmicrosoft.com"]["id"]
    types = {row["_userId"]: row["RecipientTypeDetails"] for row in directory.all(made.tenant_id, "mailbox")}
    assert {types.get(row["id"]) for row in people.values()} == {None, "UserMailbox", "SharedMailbox", "RoomMailbox"}


def test_licences_in_use_are_counted(directory):
    made = seed.create_tenant(directory, base_url="https://localhost:8443")
    users = directory.all(made.tenant_id, "user")
    for sku in directory.all(made.tenant_id, "subscribedSku"):
        used = sum(sku["skuId"] == licence["skuId"] for user in users for licence in user["assignedLicenses"])
        assert sku["consumedUnits"] == used


def test_a_second_tenant_shares_nothing_but_what_microsoft_publishes(directory):
    first = seed.create_tenant(directory, base_url="https://localhost:8443")
    second = seed.create_tenant(directory, domain="fabrikam.onmicrosoft.com", base_url="https://localhost:8443")
    ids = [{row["id"] for row in directory.all(t.tenant_id, "servicePrincipal")} for t in (first, second)]
    assert not ids[0] & ids[1]
    with pytest.raises(ValueError, match=r"already a tenant fabrikam\.onmicrosoft\.com"):
        seed.create_tenant(directory, domain="fabrikam.onmicrosoft.com", base_url="https://localhost:8443")


@pytest.mark.parametrize("app_id", [published.GRAPH_APP_ID, published.EXCHANGE_APP_ID])
def test_published_permissions_are_guids_and_unique(app_id):
    rows = published.permissions(app_id)
    for ids in ([row.scope_id for row in rows if row.scope_id], [row.role_id for row in rows if row.role_id]):
        assert len(set(ids)) == len(ids)
        assert all(str(uuid.UUID(i)) == i for i in ids)
    assert len({row.value for row in rows}) == len(rows)
    assert all(row.scope_id or row.role_id for row in rows)


@pytest.mark.parametrize(
    ("name", "delegated", "application"),
    [
        ("Mail.Send", "e383f46e-2787-4529-855e-0e479a3ffac0", "b633e1c5-b582-4048-a93e-9f11b44c7e96"),
        ("User.Read", "e1fe6dd8-ba31-4d61-89e7-88639da4683d", None),
        ("offline_access", "7427e0e9-2fba-42fe-b0c0-848c9e6a8182", None),
        ("openid", "37f7f235-527c-4136-accd-4a02d197296e", None),
        ("Mail.Send.Shared", "a367ab51-6b49-43bf-a716-a1fb06d2a174", None),
    ],
)
def test_the_ids_that_the_mail_application_asks_for(name, delegated, application):
    """Two independent sources: the permission list of Microsoft Graph and public application manifests."""
    assert published.scope_id(published.GRAPH_APP_ID, name) == delegated
    if application:
        assert published.role_id(published.GRAPH_APP_ID, name) == application


def test_every_permission_that_an_operation_asks_for_can_be_granted():
    """A rule that names a permission nobody can hold would be a wall; each name must be in the list, in its form."""
    published_names = {
        True: {p.value.lower() for p in published.permissions(published.GRAPH_APP_ID) if p.scope_id},
        False: {p.value.lower() for p in published.permissions(published.GRAPH_APP_ID) if p.role_id},
    }
    for name, rule in RULES.items():
        assert rule.delegated <= published_names[True], name
        assert rule.application <= published_names[False], name


def test_first_party_clients_hold_only_scopes_that_graph_publishes():
    for client in published.FIRST_PARTY_CLIENTS:
        for name in client.preauthorized_scopes:
            assert published.scope_id(published.GRAPH_APP_ID, name)
