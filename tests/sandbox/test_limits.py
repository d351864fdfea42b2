"""Microsoft's documented limits for identity and access: what is charged, to whom, and what a refusal says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from provision.sandbox import Sandbox, SandboxError, Tenant
from provision.sandbox.directory import Directory
from provision.sandbox.limits import Limits, Options, Throttled, cost

T = "7c23c221-e123-41c0-8001-9abbff8ff5d4"


@pytest.mark.parametrize(
    ("method", "path", "options", "units"),
    [
        ("GET", "/applications", Options(), 2),
        ("GET", "/applications", Options(select=True), 1),
        ("GET", "/applications", Options(select=True, top=5), 1),
        ("GET", "/applications", Options(top=20), 2),
        ("GET", "/applications", Options(expand=True), 3),
        ("GET", "/applications/{}", Options(select=True), 1),
        ("GET", "/subscribedSkus", Options(), 3),
        ("GET", "/users/{}/memberOf", Options(), 2),
        ("POST", "/directoryObjects/getByIds", Options(), 5),
        ("POST", "/directoryObjects/getByIds", Options(select=True), 2),
        ("POST", "/applications", Options(), 1),
    ],
)
def test_a_request_costs_what_the_table_says(method: str, path: str, options: Options, units: int) -> None:
    assert cost(method, path, options) == units


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    store = Directory(tmp_path / "tenants.sqlite")
    store.add_tenant(T, "contoso.onmicrosoft.com", {})
    yield store
    store.close()


def charge(limits: Limits, method: str = "GET", path: str = "/users/{user}", app: str = "a", tenant: str = T) -> None:
    limits.charge(method, path, application=app, tenant=tenant, options=Options())


def until_refused(limits: Limits, most: int, **request: str) -> tuple[int, Throttled]:
    for passed in range(most):
        try:
            charge(limits, **request)
        except Throttled as throttled:
            return passed, throttled
    pytest.fail("never refused")


@pytest.mark.parametrize(("users", "quota"), [(0, 35), (49, 35), (50, 50), (500, 50), (501, 80)])
def test_an_application_has_more_in_a_larger_tenant(directory: Directory, users: int, quota: int) -> None:
    directory.insert_many(T, "user", [{"id": str(number)} for number in range(users)])
    passed, throttled = until_refused(Limits(directory, 0.01), 200)
    assert quota <= passed <= quota + 2  # the bucket fills meanwhile
    assert throttled.scope == f"Tenant_Application/ReadWrite/a/{T}"
    assert (throttled.reason, throttled.retry_after) == ("ResourceUnitLimitExceeded", 1)


def test_writes_have_a_quota_of_their_own(directory: Directory) -> None:
    limits = Limits(directory, 0.002)
    passed, throttled = until_refused(limits, 20, method="POST", path="/applications")
    assert passed == 6
    assert throttled.scope == f"Tenant_Application/Write/a/{T}"
    assert throttled.reason == "WriteLimitExceeded"
    assert throttled.retry_after in range(20, 27), "a write each 25 seconds"
    charge(limits, "GET")
    charge(limits, "POST", "/applications", app="b")


def test_a_refused_request_costs_nothing_and_the_bucket_fills(directory: Directory) -> None:
    limits = Limits(directory, 0.01)
    until_refused(limits, 100)
    for _ in range(50):
        with pytest.raises(Throttled):
            limits.charge("POST", "/directoryObjects/getByIds", application="a", tenant=T, options=Options())
    time.sleep(0.4)  # 1.4 units of 3.5 a second
    charge(limits)


def test_one_tenants_quota_is_not_another_ones(directory: Directory) -> None:
    limits = Limits(directory, 0.01)
    until_refused(limits, 100)
    charge(limits, tenant="another")


def test_mail_is_not_identity_and_costs_nothing_here(directory: Directory) -> None:
    limits = Limits(directory, 0.001)
    for _ in range(50):
        charge(limits, "POST", "/me/sendMail")
        charge(limits, "GET", "/users/{user}/messages")


@pytest.fixture
def limited(sandbox: Sandbox) -> Iterator[Sandbox]:
    sandbox.set_limits(0.002)
    yield sandbox
    sandbox.clear_faults()


def test_a_throttled_answer_names_scope_reason_and_time(limited: Sandbox, api: httpx.Client, tenant: Tenant) -> None:
    answers = [api.get("/v1.0/users?$select=id") for _ in range(12)]
    assert [answer.status_code for answer in answers[:7]] == [200] * 7
    assert answers[0].headers["x-ms-resource-unit"] == "1"
    assert "x-ms-throttle-limit-percentage" not in answers[0].headers
    assert 0.8 < float(answers[6].headers["x-ms-throttle-limit-percentage"]) <= 1.0
    refused = answers[-1]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "TooManyRequests")
    assert refused.headers["retry-after"] == "2", "a unit each 1.4 seconds"
    scope = f"Tenant_Application/ReadWrite/{tenant.admin_client_id}/{tenant.tenant_id}"
    assert refused.headers["x-ms-throttle-scope"] == scope
    assert refused.headers["x-ms-throttle-information"] == "ResourceUnitLimitExceeded"


def test_each_request_of_a_batch_is_charged_and_refused_by_itself(limited: Sandbox, api: httpx.Client) -> None:
    requests = [{"id": str(number), "method": "GET", "url": "/users?$select=id"} for number in range(12)]
    answer = api.post("/v1.0/$batch", json={"requests": requests})
    assert answer.status_code == 200
    responses = answer.json()["responses"]
    assert [one["status"] for one in responses[:7]] == [200] * 7
    assert (responses[-1]["status"], responses[-1]["headers"]["Retry-After"]) == (429, "2")


def test_conditional_access_allows_one_request_a_second_and_says_no_time(limited: Sandbox, api: httpx.Client) -> None:
    answers = [api.get("/v1.0/identity/conditionalAccess/policies") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert "retry-after" not in answers[1].headers


@pytest.mark.parametrize("share", [-1, 1.5, "1", True])
def test_limits_are_a_share(sandbox: Sandbox, share: object) -> None:
    with pytest.raises(SandboxError, match="limits is a number from 0"):
        sandbox.control.ask("PUT", "faults", {"limits": share})
