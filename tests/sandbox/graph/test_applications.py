"""App registrations: shapes, limits, secrets, policies, deletion; as people in the portal and clients meet them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from provision.sandbox import hashing, published

NOBODY = "11111111-2222-3333-4444-555555555555"


def test_a_new_application_has_the_complete_shape(graph):
    """Clients read nested objects and lists without asking whether they are there."""
    made = graph.ok("POST", "/applications", json={"displayName": "x"})
    assert made["signInAudience"] == "AzureADandPersonalMicrosoftAccount"
    assert made["api"]["requestedAccessTokenVersion"] == 2
    assert made["web"]["implicitGrantSettings"] == {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False}
    assert made["verifiedPublisher"] == {"displayName": None, "verifiedPublisherId": None, "addedDateTime": None}
    assert made["passwordCredentials"] == made["keyCredentials"] == made["identifierUris"] == []
    assert made["publisherDomain"] == "contoso.example"
    assert not [name for name in made if name.startswith("_")]
    read = graph.ok("GET", f"/applications/{made['id']}")
    assert read == made


def test_the_body_of_a_generated_go_client_is_taken(graph):
    """The azuread provider sends annotations, explicit nulls, empty lists and the caller as owner."""
    caller = jwt.decode(graph.token, options={"verify_signature": False})["oid"]
    made = graph.ok(
        "POST",
        "/applications",
        json={
            "@odata.type": "#microsoft.graph.application",
            "displayName": "x",
            "description": None,
            "groupMembershipClaims": None,
            "identifierUris": [],
            "info": {"marketingUrl": None, "supportUrl": None},
            "optionalClaims": None,
            "api": {"knownClientApplications": [], "oauth2PermissionScopes": [], "requestedAccessTokenVersion": 1},
            "signInAudience": "AzureADMyOrg",
            "web": {"redirectUris": ["https://my.cloudex.app/ACME/Services/Office365Callback.aspx"], "logoutUrl": None},
            "owners@odata.bind": [f"https://localhost:8443/v1.0/directoryObjects/{caller}"],
        },
    )
    owners = graph.ok("GET", f"/applications/{made['id']}/owners")["value"]
    assert [(o["@odata.type"], o["id"]) for o in owners] == [("#microsoft.graph.servicePrincipal", caller)]
    assert graph.call("DELETE", f"/applications/{made['id']}/owners/{caller}/$ref").status_code == 204
    assert graph.ok("GET", f"/applications/{made['id']}/owners")["value"] == []
    assert graph.call("DELETE", f"/applications/{made['id']}/owners/{caller}/$ref").status_code == 404


def test_beta_shows_the_two_properties_that_the_azuread_provider_reads(graph):
    made = graph.new_application()
    principal = graph.new_principal(made)
    beta = {"version": "beta"}
    read = graph.ok("GET", f"/applications/{made['id']}?$select=oauth2RequirePostResponse", **beta)
    assert read["oauth2RequirePostResponse"] is False
    assert "samlMetadataUrl" in graph.ok("GET", f"/servicePrincipals/{principal['id']}?$select=samlMetadataUrl", **beta)


def test_a_patch_changes_what_it_names_and_mirrors_in_the_service_principal(graph):
    made = graph.new_application(web={"redirectUris": ["https://a.example/One"]})
    principal = graph.new_principal(made)
    body = {"displayName": "Renamed", "web": {"redirectUris": ["https://a.example/Two"]}}
    assert graph.call("PATCH", f"/applications/{made['id']}", json=body).status_code == 204
    read = graph.ok("GET", f"/applications/{made['id']}")
    assert read["displayName"] == "Renamed"
    assert read["web"]["redirectUris"] == ["https://a.example/Two"]
    assert read["web"]["implicitGrantSettings"] == made["web"]["implicitGrantSettings"]
    mirrored = graph.ok("GET", f"/servicePrincipals/{principal['id']}")
    assert (mirrored["displayName"], mirrored["replyUrls"]) == ("Renamed", ["https://a.example/Two"])


def test_redirects_keep_their_case_and_may_be_loopback_http(graph):
    uris = ["https://my.cloudex.app/AcMe/Services/Office365Callback.aspx", "http://localhost:8400/cb"]
    assert graph.new_application(web={"redirectUris": uris})["web"]["redirectUris"] == uris


def test_unique_name_is_a_key_that_even_a_deleted_application_holds(graph):
    made = graph.new_application(uniqueName="mail-app")
    assert graph.ok("GET", "/applications(uniqueName='mail-app')")["id"] == made["id"]
    graph.call("DELETE", f"/applications/{made['id']}")
    again = graph.call("POST", "/applications", json={"displayName": "y", "uniqueName": "mail-app"})
    assert again.status_code == 400
    assert again.json()["error"]["details"][0]["code"] == "ObjectConflict"


def test_upsert_by_unique_name_creates_once(graph):
    headers = {"Prefer": "create-if-missing"}
    body = {"displayName": "x", "signInAudience": "AzureADMyOrg"}
    assert graph.call("PATCH", "/applications(uniqueName='u')", json=body, headers=headers).status_code == 201
    assert graph.call("PATCH", "/applications(uniqueName='u')", json=body, headers=headers).status_code == 204


def test_a_secret_is_shown_once_and_lives_two_years(graph):
    made = graph.new_application()
    secret = graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})
    start, end = (datetime.fromisoformat(secret[n]) for n in ("startDateTime", "endDateTime"))
    assert end.year == start.year + 2
    assert secret["secretText"].startswith(secret["hint"])
    assert len(secret["secretText"]) == 40
    listed = graph.ok("GET", f"/applications/{made['id']}")["passwordCredentials"]
    assert [(row["keyId"], row["secretText"]) for row in listed] == [(secret["keyId"], None)]
    stored = graph.directory.get(graph.tenant, "application", made["id"])["passwordCredentials"][0]
    assert hashing.matches(secret["secretText"], stored["_hash"])
    assert secret["secretText"] not in str(stored)


def test_removing_a_secret_needs_a_key_id_that_exists(graph):
    made = graph.new_application()
    secret = graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})
    path = f"/applications/{made['id']}/removePassword"
    assert graph.call("POST", path, json={"keyId": NOBODY}).status_code == 400
    assert graph.call("POST", path, json={}).status_code == 400
    assert graph.call("POST", path, json={"keyId": secret["keyId"]}).status_code == 204
    assert graph.ok("GET", f"/applications/{made['id']}")["passwordCredentials"] == []


@pytest.mark.parametrize(
    "dates",
    [
        {"startDateTime": "2030-01-01T00:00:00Z", "endDateTime": "2029-01-01T00:00:00Z"},
        {"endDateTime": "2020-01-01T00:00:00Z"},
        {"endDateTime": "soon"},
    ],
)
def test_impossible_dates_are_refused(graph, dates):
    made = graph.new_application()
    answer = graph.call("POST", f"/applications/{made['id']}/addPassword", json={"passwordCredential": dates})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_BadRequest")


def test_an_application_for_personal_accounts_holds_two_secrets(graph):
    made = graph.ok("POST", "/applications", json={"displayName": "x"})
    for _ in range(2):
        graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})
    third = graph.call("POST", f"/applications/{made['id']}/addPassword", json={})
    assert (third.status_code, third.json()["error"]["code"]) == (400, "TooManyAppPasswords")
    assert third.json()["error"]["details"][0]["target"] == "passwordCredentials"


def _default_policy(graph, *rules, on=True):
    body = {"isEnabled": on, "applicationRestrictions": {"passwordCredentials": list(rules)}}
    assert graph.call("PATCH", "/policies/defaultAppManagementPolicy", json=body).status_code == 204


def test_the_tenants_policy_limits_the_lifetime(graph):
    _default_policy(graph, {"restrictionType": "passwordLifetime", "maxLifetime": "P180D"})
    made = graph.new_application()
    path = f"/applications/{made['id']}/addPassword"
    refused = graph.call("POST", path, json={})
    assert refused.json()["error"]["code"] == "CredentialInvalidLifetimeAsPerAppPolicy"
    end = (datetime.now(UTC) + timedelta(days=179)).isoformat()
    graph.ok("POST", path, json={"passwordCredential": {"endDateTime": end}})


def test_an_older_application_is_spared_by_its_date(graph):
    made = graph.new_application()
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    rule = {"restrictionType": "passwordAddition", "restrictForAppsCreatedAfterDateTime": later}
    _default_policy(graph, rule)
    graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})


def test_a_policy_of_its_own_wins_over_the_tenants(graph):
    _default_policy(graph, {"restrictionType": "passwordAddition", "maxLifetime": None})
    made = graph.new_application()
    path = f"/applications/{made['id']}/addPassword"
    assert graph.call("POST", path, json={}).json()["error"]["code"] == "CredentialTypeNotAllowedAsPerAppPolicy"
    body = {
        "displayName": "Exemption",
        "isEnabled": True,
        "restrictions": {"passwordCredentials": [{"restrictionType": "passwordAddition", "state": "disabled"}]},
    }
    policy = graph.ok("POST", "/policies/appManagementPolicies", json=body)
    link = {"@odata.id": f"https://localhost:8443/v1.0/policies/appManagementPolicies/{policy['id']}"}
    assert graph.call("POST", f"/applications/{made['id']}/appManagementPolicies/$ref", json=link).status_code == 204
    applied = graph.ok("GET", f"/policies/appManagementPolicies/{policy['id']}/appliesTo")["value"]
    assert [row["id"] for row in applied] == [made["id"]]
    graph.ok("POST", path, json={})


def test_deleting_an_application_takes_its_principal_and_grants_along_and_can_be_undone(graph):
    made = graph.new_application()
    principal = graph.new_principal(made)
    grant = {"clientId": principal["id"], "consentType": "AllPrincipals", "resourceId": graph.resource()["id"]}
    graph.ok("POST", "/oauth2PermissionGrants", json={**grant, "scope": "Mail.Send"})
    assert graph.call("DELETE", f"/applications/{made['id']}").status_code == 204
    assert graph.call("GET", f"/servicePrincipals/{principal['id']}").status_code == 404
    assert graph.ok("GET", f"/oauth2PermissionGrants?$filter=clientId eq '{principal['id']}'")["value"] == []
    listed = graph.ok("GET", "/directory/deletedItems/microsoft.graph.application")["value"]
    assert [row["id"] for row in listed] == [made["id"]]
    assert listed[0]["deletedDateTime"]
    restored = graph.ok("POST", f"/directory/deletedItems/{made['id']}/restore")
    assert restored["deletedDateTime"] is None
    assert graph.ok("GET", f"/applications/{made['id']}")["displayName"] == made["displayName"]
    graph.call("DELETE", f"/applications/{made['id']}")
    assert graph.call("DELETE", f"/directory/deletedItems/{made['id']}").status_code == 204
    assert graph.call("GET", f"/directory/deletedItems/{made['id']}").status_code == 404


def test_an_enabled_scope_is_disabled_before_it_goes(graph):
    scope = {
        "id": NOBODY,
        "value": "read",
        "type": "User",
        "isEnabled": True,
        "adminConsentDisplayName": "Read",
        "adminConsentDescription": "Read",
    }
    made = graph.new_application(api={"oauth2PermissionScopes": [scope]})
    path = f"/applications/{made['id']}"
    refused = graph.call("PATCH", path, json={"api": {"oauth2PermissionScopes": []}})
    assert "cannot be deleted or updated unless disabled first" in refused.json()["error"]["message"]
    assert graph.call(
        "PATCH", path, json={"api": {"oauth2PermissionScopes": [{**scope, "isEnabled": False}]}}
    ).is_success
    assert graph.call("PATCH", path, json={"api": {"oauth2PermissionScopes": []}}).is_success


def test_a_federated_credential_lives_by_name_and_is_unique(graph):
    made = graph.new_application()
    path = f"/applications/{made['id']}/federatedIdentityCredentials"
    body = {
        "name": "github-main",
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": "repo:octo/mail:ref:refs/heads/main",
        "audiences": ["api://AzureADTokenExchange"],
    }
    credential = graph.ok("POST", path, json=body)
    assert graph.ok("GET", f"{path}/github-main")["id"] == credential["id"]
    again = graph.call("POST", path, json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "Request_MultipleObjectsWithSameKeyValue")
    twin = graph.call("POST", path, json={**body, "name": "other"})
    assert twin.json()["error"]["code"] == "InvalidFederatedIdentityCredentialValue"
    assert graph.call("PATCH", f"{path}/{credential['id']}", json={"description": "CI"}).status_code == 204
    expanded = graph.ok("GET", f"/applications/{made['id']}?$expand=federatedIdentityCredentials&$select=id")
    assert [row["name"] for row in expanded["federatedIdentityCredentials"]] == ["github-main"]
    assert graph.call("DELETE", f"{path}/github-main").status_code == 204
    assert graph.ok("GET", path)["value"] == []


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        (
            "mail/refs-heads-main",
            "InvalidFederatedIdentityCredentialValue",
            "The specified Name value is not a valid URI last segment. paramName: FederatedIdentityCredential.Name, "
            "paramValue: mail/refs-heads-main, objectType: Microsoft.Online.DirectoryServices.Application",
        ),
        ("GitHub main", "InvalidFederatedIdentityCredentialValue", "valid URI last segment"),
        ("-main", "InvalidFederatedIdentityCredentialValue", "valid URI last segment"),
        ("ci", "Request_BadRequest", "Invalid value specified for property 'name'"),
        ("x" * 121, "Request_BadRequest", "Invalid value specified for property 'name'"),
        ("", "Request_BadRequest", "A value is required for property 'name'"),
        ("ci1", None, None),
        ("X_-" * 40, None, None),
    ],
    ids=["slash", "space", "dash first", "too short", "too long", "empty", "shortest", "longest"],
)
def test_the_name_of_a_federated_credential_fits_into_a_path(graph, name, code, sentence):
    path = f"/applications/{graph.new_application()['id']}/federatedIdentityCredentials"
    body = {"name": name, "issuer": "https://a.example", "subject": "s", "audiences": ["api://AzureADTokenExchange"]}
    answer = graph.call("POST", path, json=body)
    if code is None:
        assert answer.json()["name"] == name
        return
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert sentence in answer.json()["error"]["message"]
    assert graph.ok("GET", path)["value"] == []


def _certificate(days=30):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return key, base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


def test_a_certificate_comes_by_patch_and_a_second_one_needs_proof_of_the_first(graph):
    key, first = _certificate()
    _, second = _certificate()
    entry = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": first}
    made = graph.new_application(keyCredentials=[entry])
    listed = graph.ok("GET", f"/applications/{made['id']}")["keyCredentials"]
    assert listed[0]["key"] is None
    assert graph.ok("GET", f"/applications/{made['id']}?$select=keyCredentials")["keyCredentials"][0]["key"] == first
    body = {"keyCredential": {**entry, "key": second}, "passwordCredential": None}
    path = f"/applications/{made['id']}/addKey"
    assert graph.call("POST", path, json={**body, "proof": "no"}).status_code == 401
    now = datetime.now(UTC)
    claims = {"aud": "00000002-0000-0000-c000-000000000000", "iss": made["id"], "exp": now + timedelta(minutes=9)}
    proof = jwt.encode(claims, key, algorithm="RS256")
    added = graph.ok("POST", path, json={**body, "proof": proof})
    assert graph.call(
        "POST", f"/applications/{made['id']}/removeKey", json={"keyId": added["keyId"], "proof": proof}
    ).is_success
    assert graph.ok("GET", f"/applications/{made['id']}")["keyCredentials"] == listed


def test_a_patch_of_certificates_leaves_what_was_sent_and_changes_none_that_is_there(graph):
    _, first = _certificate()
    _, second = _certificate()
    entry = {"type": "AsymmetricX509Cert", "usage": "Verify", "key": first}
    made = graph.new_application(keyCredentials=[entry])
    path = f"/applications/{made['id']}"
    (listed,) = graph.ok("GET", path)["keyCredentials"]
    for change in (
        {"customKeyIdentifier": None},
        {"endDateTime": listed["startDateTime"]},
        {"usage": "Sign"},
        {"key": second},
    ):
        refused = graph.call("PATCH", path, json={"keyCredentials": [{**listed, **change}]})
        assert refused.status_code == 400
        assert refused.json()["error"]["message"] == (
            f"Update to existing credential with KeyId '{listed['keyId']}' is not allowed."
        )
        assert refused.json()["error"]["details"][0]["code"] == "KeyNotUpdatable"
    chosen = "5d6f1ed5-48bd-44da-8cf6-3b5d5b516ed8"
    both = {"keyCredentials": [listed, {**entry, "key": second, "keyId": chosen}]}
    assert graph.call("PATCH", path, json=both).is_success
    assert [row["keyId"] for row in graph.ok("GET", path)["keyCredentials"]] == [listed["keyId"], chosen]
    assert graph.call("PATCH", path, json={"keyCredentials": [{**listed, "key": first}]}).is_success
    assert graph.ok("GET", path)["keyCredentials"] == [listed]


def test_a_new_certificate_is_listed_once_it_is_replicated_and_lost_to_a_writer_who_did_not_see_it(graph):
    made = graph.new_application()
    with graph.directory.transaction():
        graph.directory._db.execute("UPDATE object SET created = created - 60 WHERE id = ?", (made["id"],))
    path = f"/applications/{made['id']}"
    entry = {"type": "AsymmetricX509Cert", "usage": "Verify"}
    graph.directory.replication_delay = 30.0
    first, second = ({**entry, "key": _certificate()[1]} for _ in range(2))
    assert graph.call("PATCH", path, json={"keyCredentials": [first]}).is_success
    stale = graph.ok("GET", path)["keyCredentials"]
    assert stale == []
    assert graph.call("PATCH", path, json={"keyCredentials": [*stale, second]}).is_success
    graph.directory.replication_delay = 0.0
    assert len(graph.ok("GET", path)["keyCredentials"]) == 1


def test_a_tenant_that_wants_trusted_authorities_takes_no_certificate_that_signed_itself(graph):
    made = graph.new_application()
    rule = {"restrictionType": "trustedCertificateAuthority"}
    (policy,) = graph.directory.find(graph.tenant, "defaultAppManagementPolicy")  # v1.0 has no word for it
    policy |= {"isEnabled": True, "applicationRestrictions": {"keyCredentials": [rule]}}
    graph.directory.replace(graph.tenant, "defaultAppManagementPolicy", policy)
    body = {"keyCredentials": [{"type": "AsymmetricX509Cert", "usage": "Verify", "key": _certificate()[1]}]}
    refused = graph.call("PATCH", f"/applications/{made['id']}", json=body)
    assert refused.json()["error"]["code"] == "CredentialTypeNotAllowedAsPerAppPolicy"


def test_verified_publisher_is_for_people_and_for_an_own_domain(graph):
    made = graph.new_application(signInAudience="AzureADMultipleOrgs")
    path = f"/applications/{made['id']}/setVerifiedPublisher"
    body = {"verifiedPublisherId": "7086574"}
    assert graph.call("POST", path, json=body).status_code == 403
    admin = graph.user_token("admin", "Application.ReadWrite.All")
    missing = graph.call("POST", path, json={"verifiedPublisherId": ""}, token=admin)
    assert missing.json()["error"]["code"] == "MPNIdWasNotProvided"
    wrong = graph.call("POST", path, json={"verifiedPublisherId": "abc"}, token=admin)
    assert wrong.json()["error"]["code"] == "MPNAccountNotFoundOrNoAccess"
    assert graph.call("POST", path, json=body, token=admin).status_code == 204
    assert graph.ok("GET", f"/applications/{made['id']}")["verifiedPublisher"]["verifiedPublisherId"] == "7086574"
    assert graph.call("POST", f"/applications/{made['id']}/unsetVerifiedPublisher", token=admin).status_code == 204


@pytest.mark.parametrize("app_id", [published.GRAPH_APP_ID, published.EXCHANGE_APP_ID])
def test_every_published_permission_can_be_asked_for(graph, app_id):
    rows = published.permissions(app_id)
    access = [{"id": p.scope_id, "type": "Scope"} for p in rows if p.scope_id]
    access += [{"id": p.role_id, "type": "Role"} for p in rows if p.role_id]
    for start in range(0, len(access), 400):
        asked = [{"resourceAppId": app_id, "resourceAccess": access[start : start + 400]}]
        assert graph.new_application(requiredResourceAccess=asked)["requiredResourceAccess"] == asked


def _changed(graph, path, **body):
    assert graph.call("PATCH", path, json=body).status_code == 204
    return graph.ok("GET", path)


def test_optional_claims_and_saml_settings_are_written_as_a_whole(graph):
    """The azuread provider takes them away by sending an empty object."""
    email, upn = {"name": "email", "essential": True}, {"name": "upn", "essential": False}
    made = graph.new_application(optionalClaims={"idToken": [email], "accessToken": [upn]})
    assert made["optionalClaims"]["saml2Token"] == []
    path = f"/applications/{made['id']}"
    claims = _changed(graph, path, optionalClaims={"saml2Token": [upn]})["optionalClaims"]
    assert [len(claims[token]) for token in ("idToken", "accessToken", "saml2Token")] == [0, 0, 1]
    empty = {"idToken": [], "accessToken": [], "saml2Token": []}
    assert _changed(graph, path, optionalClaims={})["optionalClaims"] == empty
    assert _changed(graph, path, optionalClaims=None)["optionalClaims"] is None
    path = f"/servicePrincipals/{graph.new_principal(made)['id']}"
    with_state = _changed(graph, path, samlSingleSignOnSettings={"relayState": "/home"})
    assert with_state["samlSingleSignOnSettings"] == {"relayState": "/home"}
    assert _changed(graph, path, notes="x")["samlSingleSignOnSettings"] == {"relayState": "/home"}
    assert _changed(graph, path, samlSingleSignOnSettings={})["samlSingleSignOnSettings"] == {"relayState": None}


def test_the_platforms_and_the_api_of_an_application_are_changed_in_part(graph):
    """The azuread provider has a resource for the redirect URIs alone, and one for the known clients alone."""
    uri = "https://my.cloudex.app/cb"
    made = graph.new_application(
        web={"redirectUris": [uri], "logoutUrl": uri, "implicitGrantSettings": {"enableIdTokenIssuance": True}},
        info={"supportUrl": uri},
        api={"requestedAccessTokenVersion": 2},
    )
    after = _changed(
        graph,
        f"/applications/{made['id']}",
        web={"implicitGrantSettings": {"enableAccessTokenIssuance": True}, "logoutUrl": None},
        info={"termsOfServiceUrl": uri},
        api={"knownClientApplications": [NOBODY]},
        spa={},
    )
    assert after["web"]["redirectUris"] == [uri]
    assert after["web"]["logoutUrl"] is None
    assert after["web"]["implicitGrantSettings"] == {"enableAccessTokenIssuance": True, "enableIdTokenIssuance": True}
    assert (after["info"]["supportUrl"], after["info"]["termsOfServiceUrl"]) == (uri, uri)
    assert after["api"]["requestedAccessTokenVersion"] == 2
    assert after["api"]["knownClientApplications"] == [NOBODY]


def test_a_secret_made_within_the_replication_delay_is_not_listed_yet(graph):
    """The azuread provider polls for exactly this."""
    made = graph.new_application()
    graph.directory.replication_delay = 30.0
    graph.directory.replace(
        graph.tenant, "application", graph.directory.get(graph.tenant, "application", made["id"], fresh=True)
    )
    assert graph.call("GET", f"/applications/{made['id']}").status_code == 404
    graph.directory.replication_delay = 0.0
    graph.ok("POST", f"/applications/{made['id']}/addPassword", json={})
    from provision.sandbox.graph import credentials

    class Late:
        directory = graph.directory

    graph.directory.replication_delay = 30.0
    stored = graph.directory.get(graph.tenant, "application", made["id"], fresh=True)
    assert credentials.without_unreplicated(Late(), stored)["passwordCredentials"] == []
