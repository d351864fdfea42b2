"""The browser half of signing in, by form posts: password, second factor, consent, answers in every mode."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import jwt
import pytest
from entra_tenant import GRAPH, REDIRECT, SPA_REDIRECT, App, Entra, aadsts, answered

from provision.sandbox import Sandbox

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def claims(token: str) -> dict[str, object]:
    decoded: dict[str, object] = jwt.decode(token, options={"verify_signature": False})
    return decoded


def grants(entra: Entra, app: App) -> list[dict[str, str]]:
    found: list[dict[str, str]] = entra.graph(
        "GET", f"/oauth2PermissionGrants?$filter=clientId eq '{app.principal_id}'"
    )["value"]
    return found


def test_code_becomes_tokens_that_mail_can_be_sent_with(entra: Entra, app: App) -> None:
    """The whole path of the product: sign in, redeem, call Graph as the user, refresh."""
    tokens = entra.redeem(app, entra.code(app, code_challenge=CHALLENGE, code_challenge_method="S256"),
                          code_verifier=VERIFIER).json()  # fmt: skip
    access, identity = claims(tokens["access_token"]), claims(tokens["id_token"])
    assert set(str(access["scp"]).split()) >= {"Mail.Send", "User.Read", "openid"}
    assert (access["ver"], access["aud"], access["upn"]) == ("1.0", GRAPH, entra.upn("ada"))
    assert (identity["ver"], identity["aud"], identity["nonce"]) == ("2.0", app.client_id, "n1")
    assert identity["iss"] == f"{entra.sandbox.base_url}/{entra.tenant.tenant_id}/v2.0"
    me = entra.http.get("/v1.0/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.json()["userPrincipalName"] == entra.upn("ada")
    form = {"grant_type": "refresh_token", "client_id": app.client_id, "client_secret": app.secret}
    again = entra.token(**form, refresh_token=tokens["refresh_token"]).json()
    assert again["refresh_token"] != tokens["refresh_token"]
    assert set(str(claims(again["access_token"])["scp"]).split()) >= {"Mail.Send", "User.Read"}


def test_without_offline_access_there_is_no_refresh_token(entra: Entra, app: App) -> None:
    tokens = entra.redeem(app, entra.code(app, scope="openid Mail.Send")).json()
    assert "refresh_token" not in tokens


def test_signatures_verify_against_the_published_keys(entra: Entra, app: App) -> None:
    token = entra.app_only(app).json()["access_token"]
    keys = entra.http.get(f"/{entra.tenant.tenant_id}/discovery/v2.0/keys").json()["keys"]
    key = next(key for key in keys if key["kid"] == jwt.get_unverified_header(token)["kid"])
    jwt.decode(token, jwt.PyJWK(key).key, algorithms=["RS256"], audience="https://graph.microsoft.com")


def test_user_consents_for_himself_once(entra: Entra) -> None:
    """A consent page comes up once; the grant it makes is the user's own."""
    app = entra.register()
    page = entra.sign_in(entra.authorize(app, scope="openid User.Read"))
    assert "User.Read" in page.text
    assert "Consent on behalf" not in page.text
    assert "code" in answered(entra.submit(page, choice="accept"))
    (grant,) = grants(entra, app)
    assert (grant["consentType"], set(grant["scope"].split())) == ("Principal", {"User.Read", "openid"})
    assert "code" in answered(entra.authorize(app, scope="openid User.Read"))


def test_administrator_consents_for_the_organisation(entra: Entra) -> None:
    app = entra.register()
    page = entra.sign_in(entra.authorize(app), "admin")
    entra.submit(page, choice="accept", organization="1")
    (grant,) = grants(entra, app)
    assert (grant["consentType"], grant["principalId"]) == ("AllPrincipals", None)
    entra.http.cookies.clear()
    assert "code" in answered(entra.sign_in(entra.authorize(app), "bob"))


def test_user_may_not_consent_to_what_is_not_low_impact(entra: Entra) -> None:
    """The tenant's default consent policy; this is what a customer's user meets before the administrator acted."""
    assert aadsts(entra.sign_in(entra.authorize(entra.register()))) == 90094


def test_admin_consent_address_grants_everything_registered(entra: Entra) -> None:
    app = entra.register()
    query = {"client_id": app.client_id, "redirect_uri": REDIRECT, "state": "s1"}
    path = f"/{entra.tenant.tenant_id}/adminconsent"
    page = entra.sign_in(entra.http.get(path, params=query), "admin")
    back = answered(entra.submit(page, choice="accept"))
    assert (back["admin_consent"], back["tenant"], back["state"]) == ("True", entra.tenant.tenant_id, "s1")
    (grant,) = grants(entra, app)
    assert (grant["consentType"], set(grant["scope"].split())) == ("AllPrincipals", {"Mail.Send", "User.Read"})


def test_admin_consent_is_refused_to_others(entra: Entra) -> None:
    app = entra.register()
    query = {"client_id": app.client_id, "redirect_uri": REDIRECT}
    page = entra.http.get(f"/{entra.tenant.tenant_id}/adminconsent", params=query)
    assert aadsts(entra.sign_in(page, "bob")) == 90094
    assert grants(entra, app) == []


def test_multi_tenant_app_gets_its_service_principal_by_consent(entra: Entra, sandbox: Sandbox) -> None:
    """The vendor's app in a customer's tenant: nothing there before the customer's administrator agrees."""
    app = entra.register(signInAudience="AzureADMultipleOrgs")
    customer = sandbox.new_tenant()
    admin = f"admin@{customer.domain}"
    page = entra.submit(entra.authorize(app, tenant="common"), loginfmt=admin, passwd=customer.users[admin])
    code = answered(entra.submit(page, choice="accept", organization="1"))["code"]
    tokens = entra.redeem(app, code, tenant="common").json()
    assert claims(tokens["access_token"])["tid"] == customer.tenant_id


@pytest.mark.parametrize("mode", ["query", "fragment", "form_post"])
def test_answers_in_every_response_mode(entra: Entra, app: App, mode: str) -> None:
    back = entra.sign_in(entra.authorize(app, response_mode=mode))
    if mode == "form_post":
        assert f'action="{REDIRECT}"' in back.text
        assert re.search(r'name="state" value="s1"', back.text)
    else:
        assert ("#" in back.headers["location"]) == (mode == "fragment")
        assert answered(back)["state"] == "s1"


def test_hybrid_answer_only_where_the_registration_allows(entra: Entra) -> None:
    """CLOUDEX's registration has both kinds of issuance on; the ID token is bound to the code and token beside it."""
    both = {"enableAccessTokenIssuance": True, "enableIdTokenIssuance": True}
    app = entra.register(web={"redirectUris": [REDIRECT], "implicitGrantSettings": both})
    entra.consent(app)
    back = answered(entra.sign_in(entra.authorize(app, response_type="code id_token token")))
    identity = claims(back["id_token"])
    assert identity["nonce"] == "n1"
    assert {"c_hash", "at_hash"} <= set(identity)
    assert "Mail.Send" in str(claims(back["access_token"])["scp"])


def test_single_page_application_redeems_in_the_browser(entra: Entra, app: App) -> None:
    code = entra.code(app, redirect_uri=SPA_REDIRECT, code_challenge=CHALLENGE, code_challenge_method="S256")
    form = {"redirect_uri": SPA_REDIRECT, "client_secret": None, "code_verifier": VERIFIER}
    answer = entra.redeem(app, code, headers={"Origin": "https://spa.example"}, **form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"


def test_second_factor_by_conditional_access(entra: Entra, app: App) -> None:
    """The page shows the local tenant's code; a wrong one does not pass."""
    policy = {
        "displayName": "mfa",
        "state": "enabled",
        "conditions": {
            "clientAppTypes": ["browser"],
            "users": {"includeUsers": ["All"]},
            "applications": {"includeApplications": ["All"]},
        },
        "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
    }
    entra.graph("POST", "/identity/conditionalAccess/policies", policy)
    page = entra.sign_in(entra.authorize(app))
    assert "More information required" in page.text
    wrong = entra.submit(page, otc="000000")
    assert "expected verification code" in wrong.text
    code = answered(entra.submit(wrong, otc="123456"))["code"]
    assert claims(entra.redeem(app, code).json()["access_token"])["amr"] == ["pwd", "mfa"]


def test_session_spares_the_password_and_prompt_login_asks_again(entra: Entra, app: App) -> None:
    entra.code(app)
    assert "code" in answered(entra.authorize(app, prompt="none"))
    assert 'name="passwd"' in entra.authorize(app, prompt="login").text
    assert "Pick an account" in entra.authorize(app, prompt="select_account").text
    entra.http.get(f"/{entra.tenant.tenant_id}/oauth2/v2.0/logout")
    assert 'name="passwd"' in entra.authorize(app).text


def test_session_cookie_is_for_this_server_and_no_script(entra: Entra, app: App) -> None:
    page = entra.authorize(app)
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text))
    fields = {**hidden, "loginfmt": entra.upn("ada"), "passwd": entra.tenant.users[entra.upn("ada")]}
    answer = entra.http.post(str(page.url), data=fields)
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("ESTSAUTH="))
    assert all(attribute in cookie for attribute in ("HttpOnly", "Secure", "SameSite=lax"))


def test_pages_escape_what_the_request_says(entra: Entra, app: App) -> None:
    page = entra.authorize(app, login_hint='"><script>alert(1)</script>')
    assert "<script>" not in page.text


def test_localhost_redirect_takes_any_port(entra: Entra) -> None:
    app = entra.register(publicClient={"redirectUris": ["http://localhost"]}, isFallbackPublicClient=True)
    entra.consent(app)
    assert "code" in answered(entra.sign_in(entra.authorize(app, redirect_uri="http://localhost:8400")))
    assert aadsts(entra.authorize(app, redirect_uri="http://localhost:8400/other")) == 50011


def test_userinfo_names_the_user(entra: Entra, app: App) -> None:
    token = entra.redeem(app, entra.code(app)).json()["access_token"]
    answer = entra.http.get("/oidc/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["email"] == entra.upn("ada")
    assert entra.http.get("/oidc/userinfo").status_code == 401


def test_request_log_keeps_no_secret(entra: Entra, app: App, sandbox: Sandbox) -> None:
    """Codes travel in query strings; the log must not keep them, nor any token."""
    code = entra.code(app)
    entra.http.get("/", params={"code": code, "state": "s1"})
    tokens = entra.redeem(app, code).json()
    log = json.dumps(sandbox.log())
    assert not [
        secret for secret in (code, app.secret, tokens["access_token"], tokens["refresh_token"]) if secret in log
    ]
    assert "code=[redacted]" in log
