"""One customer's weather and lasting troubles: that tenant alone is hit, in Microsoft's words, and mended as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from provision.sandbox import Sandbox, SandboxError, Tenant
from provision.sandbox.troubles import KINDS


@pytest.fixture
def troubled(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.clear_faults()
    for tenant, kinds in sandbox.control.ask("GET", "troubles")["tenants"].items():
        for kind in kinds:
            sandbox.end_trouble(tenant, kind)


@pytest.fixture
def other(sandbox: Sandbox) -> Tenant:
    return sandbox.new_tenant()


def token(http: httpx.Client, tenant: Tenant, *, by: str = "", **options: Any) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.admin_client_id,
        "client_secret": tenant.admin_client_secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    return http.post(f"/{by or tenant.tenant_id}/oauth2/v2.0/token", data=form, **options)


def read(http: httpx.Client, tenant: Tenant, access: str = "", path: str = "/v1.0/users") -> httpx.Response:
    access = access or token(http, tenant).json()["access_token"]
    return http.get(path, headers={"Authorization": f"Bearer {access}"})


def test_rules_of_one_tenant_hit_it_by_id_by_domain_and_by_token(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant, other: Tenant
) -> None:
    access = token(http, tenant).json()["access_token"]
    troubled.set_tenant_faults(tenant, [{"action": "status", "status": 503}])
    custom = tenant.domain.partition(".")[0] + ".example"
    for by in (tenant.tenant_id, tenant.tenant_id.upper(), tenant.domain, custom):
        assert token(http, tenant, by=by).status_code == 503
    assert read(http, tenant, access).json()["error"]["code"] == "ServiceUnavailable"
    assert read(http, other).status_code == 200
    assert token(http, other, by=other.domain).status_code == 200
    troubled.set_tenant_faults(tenant)
    assert read(http, tenant, access).status_code == 200


def test_a_rule_for_all_can_name_one_tenant(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant, other: Tenant
) -> None:
    match = {"tenant": tenant.domain, "path": "/token$"}
    troubled.set_faults([{"action": "status", "status": 429, "match": match}])
    assert token(http, tenant).status_code == 429
    assert token(http, other).status_code == 200
    (rule,) = troubled.status()["rules"]
    assert (rule["seen"], rule["hits"]) == (1, 1), "another tenant's requests do not count"


def test_a_tenants_rules_come_first_and_cannot_be_another_ones(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant
) -> None:
    troubled.set_faults([{"action": "status", "status": 503}])
    troubled.set_tenant_faults(tenant, [{"action": "status", "status": 429, "retry_after": 9}])
    assert token(http, tenant).headers["retry-after"] == "9"
    with pytest.raises(SandboxError, match="cannot match another"):
        troubled.set_tenant_faults(tenant, [{"action": "hang", "match": {"tenant": "contoso.onmicrosoft.com"}}])
    with pytest.raises(SandboxError, match="there is no tenant"):
        troubled.set_tenant_faults("nobody.example", [])


def code(answer: httpx.Response) -> object:
    body = answer.json()
    return body["error_codes"][0] if "error_codes" in body else body["error"]["code"]


SIGN_IN = {
    "secret-expired": (7000222, 401, "invalid_client"),
    "principal-disabled": (7000112, 400, "unauthorized_client"),
    "tenant-gone": (90002, 400, "invalid_request"),
}


@pytest.mark.parametrize("kind", SIGN_IN)
def test_a_customer_that_cannot_be_signed_in_to(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant, other: Tenant, kind: str
) -> None:
    troubled.begin_trouble(tenant, kind)
    troubled.begin_trouble(tenant, kind)
    for by in (tenant.tenant_id, tenant.domain):
        answer = token(http, tenant, by=by)
        assert (code(answer), answer.status_code, answer.json()["error"]) == SIGN_IN[kind]
    assert read(http, other).status_code == 200
    troubled.clear_faults()
    assert token(http, tenant).status_code != 200, "clearing the weather mends no customer"
    troubled.end_trouble(tenant, kind)
    assert read(http, tenant).status_code == 200


def test_a_token_from_before_serves_no_tenant_that_is_gone(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant
) -> None:
    access = token(http, tenant).json()["access_token"]
    troubled.begin_trouble(tenant, "tenant-gone")
    assert read(http, tenant, access).status_code == 401


def test_a_customer_that_took_consent_away(troubled: Sandbox, http: httpx.Client, tenant: Tenant) -> None:
    troubled.begin_trouble(tenant, "consent-revoked")
    answer = read(http, tenant)
    assert (answer.status_code, code(answer)) == (403, "Authorization_RequestDenied")
    troubled.end_trouble(tenant, "consent-revoked")
    assert read(http, tenant).status_code == 200


def test_a_customer_whose_policy_forbids_secrets(troubled: Sandbox, http: httpx.Client, tenant: Tenant) -> None:
    bearer = {"Authorization": f"Bearer {token(http, tenant).json()['access_token']}"}
    made = http.post("/v1.0/applications", headers=bearer, json={"displayName": "Mail"}).json()["id"]

    def add() -> httpx.Response:
        return http.post(f"/v1.0/applications/{made}/addPassword", headers=bearer, json={})

    troubled.begin_trouble(tenant, "secrets-forbidden")
    refused = add()
    assert refused.status_code in (400, 403)
    assert "polic" in refused.json()["error"]["message"].lower()
    troubled.end_trouble(tenant, "secrets-forbidden")
    assert add().status_code == 200


def test_a_customer_that_is_always_throttled(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant, other: Tenant
) -> None:
    troubled.begin_trouble(tenant, "throttled", retryAfter=120)
    for _ in range(3):
        answer = read(http, tenant)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "120")
    assert read(http, other).status_code == 200
    with pytest.raises(SandboxError, match="retryAfter is a number"):
        troubled.begin_trouble(other, "throttled", retryAfter="soon")


def test_a_customer_whose_connections_hang(
    troubled: Sandbox, http: httpx.Client, tenant: Tenant, other: Tenant
) -> None:
    troubled.begin_trouble(tenant, "hanging")
    with pytest.raises(httpx.ReadTimeout):
        token(http, tenant, timeout=0.5)
    assert token(http, other).status_code == 200
    assert troubled.status()["held"] == [], "nothing is kept for whoever gave up"


def test_several_troubles_are_put_back_each_by_itself(troubled: Sandbox, http: httpx.Client, tenant: Tenant) -> None:
    for kind in ("throttled", "hanging", "principal-disabled"):
        troubled.begin_trouble(tenant, kind)
    told = troubled.control.ask("GET", f"tenants/{tenant.tenant_id}/faults")
    assert told["troubles"] == ["hanging", "principal-disabled", "throttled"]
    troubled.end_trouble(tenant, "hanging")
    assert code(token(http, tenant)) == 7000112
    troubled.end_trouble(tenant, "principal-disabled")
    assert read(http, tenant).status_code == 429
    troubled.end_trouble(tenant, "throttled")
    assert read(http, tenant).status_code == 200


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda s, t: s.begin_trouble(t, "bankrupt"), "there is no trouble 'bankrupt'; there are: secret-expired"),
        (lambda s, t: s.begin_trouble(t, "hanging", retryAfter=1), "hanging has no 'retryAfter'"),
        (lambda s, t: s.begin_trouble(t, "secret-expired", clientId="x"), "has no application x"),
        (lambda s, t: s.begin_trouble(t, "consent-revoked", clientId="x"), "has no service principal of x"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    troubled: Sandbox, tenant: Tenant, ask: Callable[[Sandbox, Tenant], None], sentence: str
) -> None:
    with pytest.raises(SandboxError, match=sentence):
        ask(troubled, tenant)


def test_every_trouble_says_what_it_is() -> None:
    assert all(kind.about for kind in KINDS.values())
