"""The weather on the wire: what a client sees when the cloud refuses, drops, parks or is slow to replicate."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from provision.sandbox import Sandbox, SandboxError, Tenant


@pytest.fixture
def weather(sandbox: Sandbox) -> Iterator[Sandbox]:
    yield sandbox
    sandbox.clear_faults()


def token(http: httpx.Client, tenant: Tenant) -> httpx.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.admin_client_id,
        "client_secret": tenant.admin_client_secret,
        "scope": "https://graph.microsoft.com/.default",
    }
    return http.post(f"/{tenant.tenant_id}/oauth2/v2.0/token", data=form)


@pytest.fixture
def bearer(http: httpx.Client, tenant: Tenant) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(http, tenant).json()['access_token']}"}


def held(sandbox: Sandbox) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.status()["held"]
    return found


def names(http: httpx.Client, bearer: dict[str, str]) -> set[str]:
    return {app["displayName"] for app in http.get("/v1.0/applications", headers=bearer).json()["value"]}


def test_graph_refuses_in_its_own_words_and_counts(
    weather: Sandbox, http: httpx.Client, bearer: dict[str, str]
) -> None:
    """The second and third matching requests are throttled, no other."""
    rule = {"action": "status", "status": 429, "retry_after": 7, "match": {"path": "^/v1.0/users"}}
    weather.set_faults([{**rule, "name": "throttled", "after_n": 1, "count": 2}])
    answers = [http.get("/v1.0/users", headers=bearer) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 429, 429, 200]
    assert answers[1].headers["retry-after"] == "7"
    assert answers[1].json()["error"]["code"] == "TooManyRequests"
    (described,) = weather.status()["rules"]
    assert (described["seen"], described["hits"]) == (4, 2)
    assert [line["fault"] for line in weather.log()[-4:]] == [None, "throttled", "throttled", None]


def test_token_endpoint_refuses_in_its_own_words(weather: Sandbox, http: httpx.Client, tenant: Tenant) -> None:
    weather.set_faults([{"action": "status", "status": 503, "match": {"path": "/oauth2/"}}])
    answer = token(http, tenant)
    assert (answer.status_code, answer.json()["error_codes"]) == (503, [90033])


@pytest.mark.parametrize(("action", "done"), [("drop_before", False), ("drop_after", True)])
def test_dropped_connection(
    weather: Sandbox, http: httpx.Client, bearer: dict[str, str], action: str, done: bool
) -> None:
    """The client cannot know which of the two happened; a kill sweep needs both."""
    weather.set_faults([{"action": action, "count": 1, "match": {"method": "POST", "path": "/applications$"}}])
    with pytest.raises(httpx.TransportError):
        http.post("/v1.0/applications", json={"displayName": "dropped"}, headers=bearer)
    assert ("dropped" in names(http, bearer)) == done


@pytest.mark.parametrize(("action", "done"), [("hold_before", False), ("hold_after", True)])
def test_parked_request_goes_on_when_released(
    weather: Sandbox, http: httpx.Client, bearer: dict[str, str], action: str, done: bool
) -> None:
    weather.set_faults([{"action": action, "count": 1, "match": {"method": "POST", "path": "/applications$"}}])
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(http.post, "/v1.0/applications", json={"displayName": "parked"}, headers=bearer)
        while not held(weather):
            assert not waiting.done()
        with httpx.Client(base_url=http.base_url, verify=context(weather), trust_env=False) as other:
            assert ("parked" in names(other, bearer)) == done
        assert weather.release() == 1
        assert waiting.result().status_code == 201
    assert held(weather) == []


def context(sandbox: Sandbox) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(sandbox.ca_file))


def test_client_killed_while_parked_leaves_the_work_done(
    weather: Sandbox, http: httpx.Client, bearer: dict[str, str]
) -> None:
    """The kill sweeps' instrument: SIGKILL between the effect and its answer."""
    weather.set_faults([{"action": "hold_after", "count": 1, "match": {"method": "POST", "path": "/applications$"}}])
    program = (
        "import httpx, ssl, sys; url, ca, token = sys.argv[1:]; "
        "httpx.post(url, json={'displayName': 'orphan'}, headers={'Authorization': token}, "
        "verify=ssl.create_default_context(cafile=ca), trust_env=False)"
    )
    url = f"{weather.base_url}/v1.0/applications"
    client = subprocess.Popen([sys.executable, "-c", program, url, str(weather.ca_file), bearer["Authorization"]])
    while not held(weather):
        assert client.poll() is None
    client.kill()
    client.wait()
    weather.release()
    assert "orphan" in names(http, bearer)


def test_new_objects_take_their_time_to_replicate(weather: Sandbox, http: httpx.Client, bearer: dict[str, str]) -> None:
    weather.set_faults(replication_delay=3600)
    made = http.post("/v1.0/applications", json={"displayName": "late"}, headers=bearer)
    assert made.status_code == 201
    path = f"/v1.0/applications/{made.json()['id']}"
    assert http.get(path, headers=bearer).status_code == 404
    weather.clear_faults()
    assert http.get(path, headers=bearer).status_code == 200


def test_tokens_live_as_long_as_the_weather_says(
    weather: Sandbox, http: httpx.Client, tenant: Tenant, bearer: dict[str, str]
) -> None:
    weather.set_faults(token_lifetime=60)
    assert token(http, tenant).json()["expires_in"] == 60
    weather.set_faults(clock_skew=7200)
    refused = http.get("/v1.0/users", headers=bearer)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


def test_seeded_chance_repeats(weather: Sandbox, http: httpx.Client) -> None:
    """A probability is drawn from the rule's seed, so a failing run can be run again."""
    rule = {"action": "status", "status": 503, "probability": 0.5, "seed": 7, "match": {"path": "^/robots"}}
    seen = []
    for _ in range(2):
        weather.set_faults([rule])
        seen.append([http.get("/robots.txt").status_code for _ in range(12)])
    assert seen[0] == seen[1]
    assert set(seen[0]) == {200, 503}


@pytest.mark.parametrize(
    ("rule", "named"),
    [({"action": "explode"}, "drop_after"), ({"action": "delay", "speed": 1}, "seconds"),
     ({"action": "delay", "match": {"body": "x"}}, "path"), ({"action": "delay", "match": {"path": "("}}, "path")],
)  # fmt: skip
def test_bad_rule_is_refused_and_names_what_is_valid(weather: Sandbox, rule: dict[str, Any], named: str) -> None:
    with pytest.raises(SandboxError, match=named):
        weather.set_faults([rule])
    assert weather.status()["rules"] == []


@pytest.mark.parametrize("wrong", [{"sign_in_servers": 0}, {"sign_in_servers": 1.5}, {"sign_in_seed": -1}])
def test_a_count_that_is_none_is_refused(weather: Sandbox, wrong: dict[str, float]) -> None:
    with pytest.raises(SandboxError, match=f"{next(iter(wrong))} is a whole number"):
        weather.set_faults(**wrong)
    assert weather.status()["conditions"]["sign_in_servers"] == 1


def test_a_secret_lives_on_at_some_servers_after_it_is_removed(
    weather: Sandbox, http: httpx.Client, tenant: Tenant, bearer: dict[str, str]
) -> None:
    """And Graph, which has removed it, never shows what is kept of it."""
    app = http.post("/v1.0/applications", json={"displayName": "Mail"}, headers=bearer).json()
    http.post("/v1.0/servicePrincipals", json={"appId": app["appId"]}, headers=bearer).raise_for_status()
    path = f"/v1.0/applications/{app['id']}"
    made = http.post(f"{path}/addPassword", json={}, headers=bearer).json()

    def accepted(requests: int) -> set[bool]:
        form = {
            "grant_type": "client_credentials",
            "client_id": app["appId"],
            "client_secret": made["secretText"],
            "scope": "https://graph.microsoft.com/.default",
        }
        url = f"/{tenant.tenant_id}/oauth2/v2.0/token"
        return {http.post(url, data=form).status_code == 200 for _ in range(requests)}

    assert accepted(1) == {True}
    time.sleep(1.5)  # before the weather: no server forgets what it knew
    weather.set_faults(replication_delay=1.4, sign_in_servers=4, sign_in_seed=1)
    http.post(f"{path}/removePassword", json={"keyId": made["keyId"]}, headers=bearer).raise_for_status()
    assert True in accepted(8)
    shown = http.get(path, headers=bearer)
    assert shown.json()["passwordCredentials"] == []
    assert "_removed" not in shown.text
    time.sleep(1.5)
    assert accepted(20) == {False}
