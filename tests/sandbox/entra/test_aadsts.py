"""Every refusal a mail product meets, provoked over HTTP, one row each: code, status, OAuth error."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from entra_tenant import REDIRECT, SPA_REDIRECT, App, Entra, aadsts, answered

from provision.sandbox.entra.errors import TABLE

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PKCE = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ORIGIN = {"Origin": "https://spa.example"}


def assertion(app: App, entra: Entra, key: str = "k" * 32, **claims: Any) -> dict[str, str]:
    now = int(time.time())
    audience = f"{entra.sandbox.base_url}/{entra.tenant.tenant_id}/oauth2/v2.0/token"
    payload = {"iss": app.client_id, "sub": app.client_id, "aud": audience, "nbf": now, "exp": now + 300, **claims}
    token = jwt.encode(payload, key, algorithm="HS256", headers={"x5t": "AAAA"})
    return {"client_assertion": token, "client_assertion_type": ASSERTION_TYPE, "client_secret": ""}


def federated(app: App, entra: Entra, **changes: str) -> None:
    credential = {
        "name": "ci-main",
        "issuer": f"{entra.sandbox.base_url}/_oidc/github",
        "subject": "repo:contoso/mail:ref:refs/heads/main",
        "audiences": ["api://AzureADTokenExchange"],
    }
    entra.graph("POST", f"/applications/{app.object_id}/federatedIdentityCredentials", {**credential, **changes})


def with_ci_token(
    entra: Entra, app: App, subject: str = "repo:contoso/mail:ref:refs/heads/main", **options: Any
) -> Any:
    token = entra.sandbox.ci_token("github", subject, **options)
    return entra.app_only(app, client_secret="", client_assertion=token, client_assertion_type=ASSERTION_TYPE)


def replay(entra: Entra, app: App) -> httpx.Response:
    code = entra.code(app)
    assert entra.redeem(app, code).status_code == 200
    return entra.redeem(app, code)


def late(entra: Entra, app: App, seconds: float, then: Callable[[], httpx.Response]) -> httpx.Response:
    """Does something with the tenant's clock moved."""
    entra.sandbox.set_faults(clock_skew=seconds)
    return then()


def old_code(entra: Entra, app: App) -> httpx.Response:
    code = entra.code(app)
    return late(entra, app, 601, lambda: entra.redeem(app, code))


def expired_refresh_token(entra: Entra, app: App) -> httpx.Response:
    token = entra.redeem(app, entra.code(app)).json()["refresh_token"]
    return late(entra, app, 91 * 86400, lambda: refreshed(entra, app, token))


def refreshed(entra: Entra, app: App, token: str, **changes: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": app.client_id, "client_secret": app.secret}
    return entra.token(**{**form, "refresh_token": token, **changes})


def password(entra: Entra, app: App, *, tenant: str | None = None, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "password",
        "client_id": app.client_id,
        "client_secret": app.secret,
        "username": entra.upn("ada"),
        "password": entra.tenant.users[entra.upn("ada")],
        "scope": "Mail.Send",
    }
    return entra.token(tenant=tenant, **{**form, **changes})


def disabled_user(entra: Entra, app: App) -> httpx.Response:
    entra.patch_user("ada", accountEnabled=False)
    return password(entra, app)


def disabled_app(entra: Entra, app: App) -> httpx.Response:
    entra.graph("PATCH", f"/servicePrincipals/{app.principal_id}", {"accountEnabled": False})
    return entra.app_only(app)


def without_principal(entra: Entra, app: App) -> httpx.Response:
    entra.graph("DELETE", f"/servicePrincipals/{app.principal_id}")
    return entra.app_only(app)


def locked(entra: Entra, app: App) -> httpx.Response:
    for _ in range(10):
        password(entra, app, password="wrong")
    return password(entra, app)


def conditional_access(entra: Entra, control: str) -> None:
    policy = {
        "displayName": control,
        "state": "enabled",
        "conditions": {
            "clientAppTypes": ["all"],
            "users": {"includeUsers": ["All"]},
            "applications": {"includeApplications": ["All"]},
        },
        "grantControls": {"operator": "OR", "builtInControls": [control]},
    }
    entra.graph("POST", "/identity/conditionalAccess/policies", policy)


def under_policy(entra: Entra, app: App, control: str) -> httpx.Response:
    conditional_access(entra, control)
    return password(entra, app)


def under_security_defaults(entra: Entra, app: App) -> httpx.Response:
    entra.graph("PATCH", "/policies/identitySecurityDefaultsEnforcementPolicy", {"isEnabled": True})
    return password(entra, app)


def registered_second_factor(entra: Entra, app: App) -> httpx.Response:
    conditional_access(entra, "mfa")
    page = entra.sign_in(entra.authorize(app))
    entra.submit(page, otc="123456")
    return password(entra, app)


def revoked(entra: Entra, app: App) -> httpx.Response:
    token = entra.redeem(app, entra.code(app)).json()["refresh_token"]
    entra.graph("POST", f"/users/{entra.upn('ada')}/revokeSignInSessions")
    return refreshed(entra, app, token)


def spa_code(entra: Entra, app: App, **changes: str) -> str:
    return entra.code(app, redirect_uri=SPA_REDIRECT, **changes)


def redeem_spa(entra: Entra, app: App, code: str, **changes: Any) -> httpx.Response:
    form = {"redirect_uri": SPA_REDIRECT, "client_secret": None, "code_verifier": VERIFIER}
    return entra.redeem(app, code, **{**form, **changes})


def public(entra: Entra) -> App:
    app = entra.register(publicClient={"redirectUris": ["http://localhost"]}, isFallbackPublicClient=True)
    entra.consent(app)
    return app


def redeem_public_with_secret(entra: Entra, app: App) -> httpx.Response:
    client = public(entra)
    code = entra.code(client, redirect_uri="http://localhost:8400", **PKCE)
    return entra.redeem(client, code, redirect_uri="http://localhost:8400", code_verifier=VERIFIER)


def converged(entra: Entra, audience: str) -> App:
    """A registration for personal accounts, which needs access tokens of version 2."""
    return entra.register(signInAudience=audience, api={"requestedAccessTokenVersion": 2})


def secret_expired(entra: Entra, app: App) -> httpx.Response:
    return late(entra, app, 3 * 365 * 86400, lambda: entra.app_only(app))


TOKEN_ENDPOINT: dict[str, tuple[int, int, str, Callable[[Entra, App], httpx.Response]]] = {
    "no grant type": (900144, 400, "invalid_request", lambda e, a: e.token(client_id=a.client_id)),
    "no client id": (900144, 400, "invalid_request", lambda e, a: e.token(grant_type="client_credentials")),
    "unknown grant": (70003, 400, "unsupported_grant_type", lambda e, a: e.app_only(a, grant_type="magic")),
    "unknown tenant": (90002, 400, "invalid_request", lambda e, a: e.app_only(a, tenant=str(uuid.uuid4()))),
    "tenant is no name": (900023, 400, "invalid_request", lambda e, a: e.app_only(a, tenant="contoso")),
    "unknown client": (700016, 400, "unauthorized_client", lambda e, a: e.app_only(a, client_id=str(uuid.uuid4()))),
    "client credentials at common": (
        50059,
        400,
        "invalid_request",
        lambda e, a: e.app_only(e.register(signInAudience="AzureADMultipleOrgs"), tenant="organizations"),
    ),
    "single tenant at common": (50194, 400, "invalid_request", lambda e, a: e.app_only(a, tenant="common")),
    "work accounts only at consumers": (
        9002332,
        400,
        "invalid_request",
        lambda e, a: e.app_only(e.register(signInAudience="AzureADMultipleOrgs"), tenant="consumers"),
    ),
    "personal accounts only in a tenant": (
        9002346,
        400,
        "invalid_request",
        lambda e, a: e.app_only(converged(e, "PersonalMicrosoftAccount")),
    ),
    "app disabled": (7000112, 400, "unauthorized_client", disabled_app),
    "no service principal": (7000229, 401, "invalid_client", without_principal),
    "wrong secret": (7000215, 401, "invalid_client", lambda e, a: e.app_only(a, client_secret="wrong")),
    "secret id pasted": (7000215, 401, "invalid_client", lambda e, a: e.app_only(a, client_secret=a.key_id)),
    "expired secret": (7000222, 401, "invalid_client", secret_expired),
    "no secret": (7000218, 401, "invalid_client", lambda e, a: e.app_only(a, client_secret="")),
    "no scope": (90014, 400, "invalid_request", lambda e, a: e.app_only(a, scope="")),
    "scope without .default": (
        1002012,
        400,
        "invalid_scope",
        lambda e, a: e.app_only(a, scope="https://graph.microsoft.com/Mail.Send"),
    ),
    "scope is no resource": (1002012, 400, "invalid_scope", lambda e, a: e.app_only(a, scope="Mail.Send")),
    "unknown resource": (
        500011,
        400,
        "invalid_resource",
        lambda e, a: e.app_only(a, scope="https://nobody.example/.default"),
    ),
    "assertion is no token": (
        50027,
        400,
        "invalid_request",
        lambda e, a: e.app_only(a, client_secret="", client_assertion="rubbish", client_assertion_type=ASSERTION_TYPE),
    ),
    "assertion of another client": (
        700021,
        401,
        "invalid_client",
        lambda e, a: e.app_only(a, **assertion(a, e, iss=str(uuid.uuid4()))),
    ),
    "assertion by an unknown certificate": (
        700027,
        401,
        "invalid_client",
        lambda e, a: e.app_only(a, **assertion(a, e)),
    ),
    "no federated credential": (70025, 401, "invalid_client", with_ci_token),
    "other issuer": (
        700211,
        401,
        "invalid_client",
        lambda e, a: (federated(a, e, issuer="https://gitlab.com"), with_ci_token(e, a))[1],
    ),
    "other subject": (
        700213,
        401,
        "invalid_client",
        lambda e, a: (federated(a, e), with_ci_token(e, a, "repo:contoso/mail:ref:refs/heads/dev"))[1],
    ),
    "subject in other letter case": (
        7002138,
        401,
        "invalid_client",
        lambda e, a: (federated(a, e), with_ci_token(e, a, "repo:Contoso/mail:ref:refs/heads/main"))[1],
    ),
    "other audience": (
        700212,
        401,
        "invalid_client",
        lambda e, a: (federated(a, e), with_ci_token(e, a, audience="https://github.com/contoso"))[1],
    ),
    "expired CI token": (
        700024,
        401,
        "invalid_client",
        lambda e, a: (federated(a, e), with_ci_token(e, a, lifetime=-3600))[1],
    ),
    "code is rubbish": (70000, 400, "invalid_grant", lambda e, a: e.redeem(a, "rubbish")),
    "code twice": (54005, 400, "invalid_grant", replay),
    "code after ten minutes": (
        70008,
        400,
        "invalid_grant",
        old_code,
    ),
    "code with another redirect": (
        500112,
        400,
        "invalid_client",
        lambda e, a: e.redeem(a, e.code(a), redirect_uri=REDIRECT.lower()),
    ),
    "wrong verifier": (
        501481,
        400,
        "invalid_grant",
        lambda e, a: e.redeem(a, e.code(a, **PKCE), code_verifier="w" * 64),
    ),
    "no verifier": (501481, 400, "invalid_grant", lambda e, a: e.redeem(a, e.code(a, **PKCE))),
    "code of another client": (70000, 400, "invalid_grant", lambda e, a: e.redeem(e.register(), e.code(a))),
    "SPA code on a server": (
        9002327,
        400,
        "invalid_request",
        lambda e, a: redeem_spa(e, a, spa_code(e, a, **PKCE)),
    ),
    "Web code in a browser": (
        9002326,
        400,
        "invalid_request",
        lambda e, a: e.redeem(a, e.code(a), headers=ORIGIN),
    ),
    "SPA code without PKCE": (
        9002325,
        400,
        "invalid_request",
        lambda e, a: redeem_spa(e, a, spa_code(e, a), headers=ORIGIN),
    ),
    "public client with a secret": (700025, 401, "invalid_client", redeem_public_with_secret),
    "refresh without consent": (
        65001,
        400,
        "invalid_grant",
        lambda e, a: refreshed(e, a, e.redeem(a, e.code(a)).json()["refresh_token"], scope="Mail.ReadWrite"),
    ),
    "refresh token of 91 days": (700082, 400, "invalid_grant", expired_refresh_token),
    "refresh token is rubbish": (70000, 400, "invalid_grant", lambda e, a: refreshed(e, a, "rubbish")),
    "sessions revoked": (50173, 400, "invalid_grant", revoked),
    "password at common": (
        9001023,
        400,
        "invalid_request",
        lambda e, a: password(e, e.register(signInAudience="AzureADMultipleOrgs"), tenant="common"),
    ),
    "no user name": (90014, 400, "invalid_request", lambda e, a: password(e, a, username="")),
    "unknown user": (50034, 400, "invalid_grant", lambda e, a: password(e, a, username=e.upn("nobody"))),
    "wrong password": (50126, 400, "invalid_grant", lambda e, a: password(e, a, password="wrong")),
    "locked account": (50053, 400, "invalid_grant", locked),
    "disabled account": (50057, 400, "invalid_grant", disabled_user),
    "password without consent": (65001, 400, "invalid_grant", lambda e, a: password(e, e.register())),
    "blocked by Conditional Access": (53003, 400, "access_denied", lambda e, a: under_policy(e, a, "block")),
    "device not compliant": (53000, 400, "interaction_required", lambda e, a: under_policy(e, a, "compliantDevice")),
    "second factor not registered": (50079, 400, "interaction_required", lambda e, a: under_policy(e, a, "mfa")),
    "second factor needed": (50076, 400, "interaction_required", registered_second_factor),
    "security defaults": (50079, 400, "interaction_required", under_security_defaults),
    "two resources": (
        28000,
        400,
        "invalid_scope",
        lambda e, a: password(e, a, scope="Mail.Send https://outlook.office.com/SMTP.Send"),
    ),
    "unknown permission": (650053, 400, "invalid_client", lambda e, a: password(e, a, scope="Mail.Sned")),
    "no permissions registered": (
        650056,
        400,
        "invalid_client",
        lambda e, a: password(e, e.register(requiredResourceAccess=[]), scope="https://graph.microsoft.com/.default"),
    ),
    "resource not registered": (
        650057,
        400,
        "invalid_resource",
        lambda e, a: password(e, a, scope="https://outlook.office365.com/.default"),
    ),
    "device code is rubbish": (
        70018,
        400,
        "bad_verification_code",
        lambda e, a: e.token(
            grant_type="urn:ietf:params:oauth:grant-type:device_code", client_id=a.client_id, device_code="rubbish"
        ),
    ),
    "token of a stranger on behalf of": (
        50013,
        400,
        "invalid_grant",
        lambda e, a: e.app_only(
            a, grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer", assertion="a.b.c", scope="Mail.Send"
        ),
    ),
}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "oauth2/v2.0/token", "POST, OPTIONS"),
        ("PUT", "oauth2/v2.0/token", "POST, OPTIONS"),
        ("GET", "oauth2/token", "POST"),
        ("GET", "oauth2/v2.0/devicecode", "POST"),
        ("DELETE", "oauth2/devicecode", "POST"),
    ],
)
def test_endpoints_for_post_refuse_other_methods(http: httpx.Client, method: str, path: str, allowed: str) -> None:
    """What a person sees who pastes the address into a browser, whatever tenant it names."""
    answer = http.request(method, f"/nobody.onmicrosoft.com/{path}")
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (400, "invalid_request", [900561])
    sentence = f"AADSTS900561: The endpoint only accepts {allowed} requests. Received a {method} request."
    assert body["error_description"].startswith(sentence)


def test_authorization_without_redirect_goes_to_a_registered_one(entra: Entra, app: App) -> None:
    """Recommended, says "OpenID Connect on the Microsoft identity platform", and one is picked when it is missing."""
    assert answered(entra.sign_in(entra.authorize(app, redirect_uri=None)))["code"]


@pytest.mark.parametrize("case", TOKEN_ENDPOINT)
def test_token_endpoint_refuses_as_entra(entra: Entra, app: App, case: str) -> None:
    code, status, oauth_error, provoke = TOKEN_ENDPOINT[case]
    answer = provoke(entra, app)
    body = answer.json()
    assert (body.get("error_codes"), answer.status_code, body["error"]) == ([code], status, oauth_error), body
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    for name in ("trace_id", "correlation_id", "timestamp"):
        assert body[name] in body["error_description"]
    assert body["error_uri"].endswith(f"/error?code={code}")


def unassigned(entra: Entra, app: App) -> httpx.Response:
    entra.graph("PATCH", f"/servicePrincipals/{app.principal_id}", {"appRoleAssignmentRequired": True})
    return entra.sign_in(entra.authorize(app))


def blocked(entra: Entra, app: App) -> httpx.Response:
    conditional_access(entra, "block")
    return entra.sign_in(entra.authorize(app))


def of_another_tenant(entra: Entra, app: App) -> httpx.Response:
    other = entra.sandbox.new_tenant()
    upn = f"ada@{other.domain}"
    return entra.submit(entra.authorize(app), loginfmt=upn, passwd=other.users[upn])


def at_consumers(entra: Entra, app: App) -> httpx.Response:
    """No personal account can be had here, and the session of a work account counts for nothing there."""
    entra.code(app)
    return entra.sign_in(entra.authorize(converged(entra, "AzureADandPersonalMicrosoftAccount"), tenant="consumers"))


PAGES: dict[str, tuple[int, Callable[[Entra, App], httpx.Response]]] = {
    "redirect in other letter case": (50011, lambda e, a: e.authorize(a, redirect_uri=REDIRECT.lower())),
    "redirect with a slash": (50011, lambda e, a: e.authorize(a, redirect_uri=REDIRECT + "/")),
    "redirect that is no address": (50011, lambda e, a: e.authorize(a, redirect_uri="http://[::1")),
    "no redirect registered": (
        500113,
        lambda e, a: e.authorize(e.register(web={"redirectUris": []}, spa={"redirectUris": []})),
    ),
    "no redirect at all": (
        900971,
        lambda e, a: e.authorize(e.register(web={"redirectUris": []}, spa={"redirectUris": []}), redirect_uri=None),
    ),
    "work account at consumers": (50034, at_consumers),
    "unknown client": (700016, lambda e, a: e.authorize(a, client_id=str(uuid.uuid4()))),
    "no client": (900144, lambda e, a: e.authorize(a, client_id=None)),
    "unknown tenant": (90002, lambda e, a: e.authorize(a, tenant="nobody.onmicrosoft.com")),
    "single tenant at common": (50194, lambda e, a: e.authorize(a, tenant="common")),
    "user of another tenant": (50020, of_another_tenant),
    "user not assigned": (50105, unassigned),
    "blocked by Conditional Access": (53003, blocked),
    "consent is the administrator's": (
        90094,
        lambda e, a: e.sign_in(e.authorize(a, scope="Mail.Send Directory.Read.All")),
    ),
    "wrong password": (50126, lambda e, a: e.sign_in(e.authorize(a), password="wrong")),
    "unknown user": (50034, lambda e, a: e.submit(e.authorize(a), loginfmt=e.upn("nobody"), passwd="x")),
    "forged form": (
        165000,
        lambda e, a: e.submit(e.authorize(a), canary="forged", loginfmt=e.upn("ada"), passwd="x"),
    ),
    "forged form with other letters": (
        165000,
        lambda e, a: e.submit(e.authorize(a), canary="förged", loginfmt=e.upn("ada"), passwd="x"),
    ),
}


@pytest.mark.parametrize("case", PAGES)
def test_browser_keeps_the_user_on_a_page(entra: Entra, app: App, case: str) -> None:
    code, provoke = PAGES[case]
    page = provoke(entra, app)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert aadsts(page) == code
    assert ("having trouble signing you in." in page.text) == (code not in {50126, 50034})


def declined(entra: Entra, app: App) -> httpx.Response:
    page = entra.sign_in(entra.authorize(app, prompt="consent", scope="User.Read"))
    return entra.submit(page, choice="cancel")


def silently(entra: Entra, app: App, **changes: str) -> httpx.Response:
    entra.code(app)
    return entra.authorize(app, prompt="none", **changes)


REDIRECTS: dict[str, tuple[int, str, Callable[[Entra, App], httpx.Response]]] = {
    "token not enabled": (
        700051,
        "unsupported_response_type",
        lambda e, a: e.authorize(a, response_type="token", response_mode="fragment"),
    ),
    "id_token not enabled": (
        700054,
        "unsupported_response_type",
        lambda e, a: e.authorize(a, response_type="code id_token", response_mode="fragment"),
    ),
    "tokens in the query": (
        70007,
        "unsupported_response_mode",
        lambda e, a: e.authorize(a, response_type="id_token", response_mode="query"),
    ),
    "no scope": (900144, "invalid_request", lambda e, a: e.authorize(a, scope=None)),
    "scope is no scope": (70011, "invalid_scope", lambda e, a: e.authorize(a, scope="openid x/y")),
    "unknown permission": (
        650053,
        "invalid_client",
        lambda e, a: e.sign_in(e.authorize(a, scope="Mail.Sned")),
    ),
    "declined": (65004, "access_denied", declined),
    "silent without a session": (50058, "login_required", lambda e, a: e.authorize(a, prompt="none")),
    "silent without consent": (
        65001,
        "consent_required",
        lambda e, a: silently(e, a, scope="Mail.ReadWrite"),
    ),
}


@pytest.mark.parametrize("case", REDIRECTS)
def test_browser_takes_the_refusal_back_to_the_client(entra: Entra, app: App, case: str) -> None:
    code, oauth_error, provoke = REDIRECTS[case]
    back = provoke(entra, app)
    assert back.headers["location"].startswith(REDIRECT)
    answer = answered(back)
    assert (aadsts(back), answer["error"], answer["state"]) == (code, oauth_error, "s1")


def test_every_row_of_the_table_says_where_its_sentence_is_from() -> None:
    assert not [code for code, row in TABLE.items() if not row.source]
