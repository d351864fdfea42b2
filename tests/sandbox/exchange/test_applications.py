"""RBAC for Applications: scopes really limit what Graph lets an application do, and an unscoped grant defeats them."""

from __future__ import annotations

import pytest

ROLE = "Application Mail.Send"


class App:
    """An application without any permission in Entra."""

    def __init__(self, exchange) -> None:
        self.exchange = exchange
        self.application = exchange.new_application("CLOUDEX TMS")
        self.principal = exchange.principal(self.application)

    def known(self) -> App:
        self.exchange.run(
            "New-ServicePrincipal", AppId=self.application["appId"], ObjectId=self.principal["id"], DisplayName="TMS"
        )
        return self

    def token(self, *roles: str) -> str:
        return self.exchange.app_token(*roles, app=self.application, audience="https://graph.microsoft.com")

    def send(self, alias: str, *roles: str):
        url = f"https://localhost:8443/v1.0/users/{alias}@{self.exchange.seeded.domain}/sendMail"
        to = [{"emailAddress": {"address": f"bob@{self.exchange.seeded.domain}"}}]
        body = {"message": {"subject": "x", "toRecipients": to}}
        headers = {"Authorization": f"Bearer {self.token(*roles)}"}
        return self.exchange.send("POST", url, graph=True, json=body, headers=headers)


@pytest.fixture
def app(exchange) -> App:
    return App(exchange)


@pytest.fixture
def invoices(exchange, app) -> App:
    """May send as mailboxes whose first custom attribute is Invoices: dispatch."""
    app.known()
    exchange.run("Set-Mailbox", Identity="dispatch", CustomAttribute1="Invoices")
    exchange.run("New-ManagementScope", Name="Invoices", RecipientRestrictionFilter="CustomAttribute1 -eq 'invoices'")
    exchange.run("New-ManagementRoleAssignment", App="TMS", Role=ROLE, CustomResourceScope="Invoices")
    return app


def test_without_any_permission_nothing_is_sent(app):
    refused = app.send("dispatch")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Authorization_RequestDenied")


def test_a_scope_lets_in_and_keeps_out(invoices):
    assert invoices.send("dispatch").status_code == 202
    refused = invoices.send("ada")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "ErrorAccessDenied")


def test_a_scope_follows_the_mailbox(exchange, invoices):
    exchange.run("Set-Mailbox", Identity="dispatch", CustomAttribute1="Other")
    exchange.run("Set-Mailbox", Identity="ada", CustomAttribute1="Invoices")
    assert [invoices.send(alias).status_code for alias in ("dispatch", "ada")] == [403, 202]


def test_an_unscoped_grant_in_entra_defeats_the_scope(invoices):
    assert invoices.send("ada", "Mail.Send").status_code == 202


def test_the_role_to_send_gives_no_right_to_read(invoices):
    url = f"https://localhost:8443/v1.0/users/dispatch@{invoices.exchange.seeded.domain}/messages"
    headers = {"Authorization": f"Bearer {invoices.token()}"}
    assert invoices.exchange.send("GET", url, graph=True, headers=headers).status_code == 403
    invoices.exchange.run(
        "New-ManagementRoleAssignment", App="TMS", Role="Application Mail.Read", CustomResourceScope="Invoices"
    )
    assert invoices.exchange.send("GET", url, graph=True, headers=headers).status_code == 200
    other = url.replace("dispatch@", "ada@")
    assert invoices.exchange.send("GET", other, graph=True, headers=headers).status_code == 403


def test_without_a_scope_the_role_is_for_every_mailbox(exchange, app):
    app.known()
    exchange.run("New-ManagementRoleAssignment", App=app.application["appId"], Role="application mail full access")
    assert [app.send(alias).status_code for alias in ("dispatch", "ada")] == [202, 202]


def test_members_of_a_group_can_be_the_scope(exchange, app):
    app.known()
    exchange.people({"alias": "senders", "mailbox": "group", "members": [f"ada@{exchange.seeded.domain}"]})
    group = exchange.run("Get-Recipient", Identity="senders")[0]["DistinguishedName"]
    exchange.run("New-ManagementScope", Name="Senders", RecipientRestrictionFilter=f"MemberOfGroup -eq '{group}'")
    exchange.run("New-ManagementRoleAssignment", App="TMS", Role=ROLE, CustomResourceScope="Senders")
    assert [app.send(alias).status_code for alias in ("ada", "bob")] == [202, 403]


def test_the_test_cmdlet_says_what_graph_does(exchange, invoices):
    for alias, inside in (("dispatch", "True"), ("ada", "False")):
        (row,) = exchange.run("Test-ServicePrincipalAuthorization", Identity="TMS", Resource=alias)
        assert row == {
            "RoleName": ROLE,
            "GrantedPermissions": "Mail.Send",
            "AllowedResourceScope": "Invoices",
            "ScopeType": "CustomRecipientScope",
            "InScope": inside,
        }
    assert exchange.run("Test-ServicePrincipalAuthorization", Identity="TMS")[0]["InScope"] == "Not Run"
    assert exchange.refusal("Test-ServicePrincipalAuthorization", Identity="TMS", Resource="nobody")[0] == 404


def test_taking_the_assignment_or_the_principal_ends_it(exchange, invoices):
    scope_in_use = exchange.refusal("Remove-ManagementScope", Identity="Invoices")
    assert "being used by the role assignment" in scope_in_use[2]
    (row,) = exchange.run("Get-ManagementRoleAssignment", RoleAssignee="TMS")
    assert (row["Role"], row["CustomResourceScope"], row["RoleAssigneeType"]) == (ROLE, "Invoices", "ServicePrincipal")
    exchange.run("Remove-ServicePrincipal", Identity=invoices.principal["id"])
    assert invoices.send("dispatch").status_code == 403
    assert exchange.run("Get-ManagementRoleAssignment") == []
    exchange.run("Remove-ManagementScope", Identity="Invoices")
    assert exchange.run("Get-ManagementScope") == []


@pytest.mark.parametrize(
    ("cmdlet", "parameters", "status"),
    [
        ("New-ServicePrincipal", {"AppId": "x", "ObjectId": "y"}, 400),
        ("New-ManagementScope", {"Name": "S", "RecipientRestrictionFilter": "Nonsense -eq 'x'"}, 400),
        ("New-ManagementScope", {"Name": "S"}, 400),
        ("New-ManagementRoleAssignment", {"App": "TMS", "Role": ROLE}, 404),
        ("Get-ServicePrincipal", {"Identity": "TMS"}, 404),
    ],
)
def test_what_is_not_there_cannot_be_named(exchange, cmdlet, parameters, status):
    assert exchange.refusal(cmdlet, **parameters)[0] == status


def test_the_app_registrations_id_is_not_the_enterprise_applications(exchange, app):
    """The most common mistake: -ObjectId takes the service principal's, not the app registration's."""
    ids = {"AppId": app.application["appId"], "ObjectId": app.application["id"]}
    assert exchange.refusal("New-ServicePrincipal", **ids)[0] == 400


def test_names_are_taken_once(exchange, invoices):
    ids = {"AppId": invoices.application["appId"], "ObjectId": invoices.principal["id"]}
    assert exchange.refusal("New-ServicePrincipal", **ids)[0] == 409
    scope = {"Name": "invoices", "RecipientRestrictionFilter": "Alias -eq 'x'"}
    assert exchange.refusal("New-ManagementScope", **scope)[0] == 409
    again = {"App": "TMS", "Role": ROLE, "CustomResourceScope": "Invoices"}
    assert exchange.refusal("New-ManagementRoleAssignment", **again)[0] == 409
    assert exchange.refusal("New-ManagementRoleAssignment", **{**again, "Role": "Application Nonsense"})[0] == 404
    assert exchange.refusal("New-ManagementRoleAssignment", **{**again, "CustomResourceScope": "None"})[0] == 404


def test_names_of_service_principals_change(exchange, invoices):
    exchange.run("Set-ServicePrincipal", Identity="TMS", DisplayName="CLOUDEX")
    assert exchange.run("Get-ServicePrincipal", Identity="CLOUDEX")[0]["AppId"] == invoices.application["appId"]
    assert exchange.refusal("Get-ServicePrincipal", Identity="TMS")[0] == 404
