"""A credential is proven when no server of Entra's is left that does not know it, as far as tokens can tell."""

from __future__ import annotations

import time

import httpx
import pytest
from entra_tenant import App, Entra

from provision.errors import SignInFailed
from provision.microsoft import proof
from provision.sandbox import Sandbox, Tenant
from provision.settings.endpoints import Endpoints


@pytest.fixture
def entra(http: httpx.Client, tenant: Tenant, sandbox: Sandbox) -> Entra:
    return Entra(http, tenant, sandbox)


def another_secret(entra: Entra, app: App) -> str:
    return str(entra.graph("POST", f"/applications/{app.object_id}/addPassword", {})["secretText"])


def tokens_asked_for(sandbox: Sandbox, since: int) -> int:
    return sum(line["path"].endswith("/oauth2/v2.0/token") for line in sandbox.log(since))


def test_where_no_server_lags_a_proof_is_a_row_of_tokens_and_no_pause(
    entra: Entra, sandbox: Sandbox, endpoints: Endpoints
) -> None:
    app = entra.register()
    paused: list[float] = []
    before = len(sandbox.log())
    whose = {"tenant_id": entra.tenant.tenant_id, "client_id": app.client_id}
    caller = proof.prove(endpoints, "client-secret", app.secret, **whose, pause=paused.append)
    assert (caller.tenant_id, caller.app_id) == (entra.tenant.tenant_id, app.client_id)
    assert tokens_asked_for(sandbox, before) == proof.IN_A_ROW
    assert paused == []


@pytest.mark.parametrize("seed", range(3))
def test_a_secret_is_not_proven_before_the_last_server_knows_it(
    entra: Entra, sandbox: Sandbox, endpoints: Endpoints, seed: int
) -> None:
    app = entra.register()
    time.sleep(1.1)  # before the weather: no server forgets the registration
    paused: list[tuple[float, float]] = []

    def pause(seconds: float) -> None:
        paused.append((time.monotonic(), seconds))
        time.sleep(seconds)

    sandbox.set_faults(replication_delay=1.0, sign_in_servers=4, sign_in_seed=seed)
    try:
        value, began = another_secret(entra, app), time.monotonic()
        whose = {"tenant_id": entra.tenant.tenant_id, "client_id": app.client_id}
        proof.prove(endpoints, "client-secret", value, **whose, delay=0.02, pause=pause)
        codes = {entra.app_only(app, client_secret=value).status_code for _ in range(40)}
    finally:
        sandbox.clear_faults()
    assert codes == {200}, "the product asks any of the servers"
    assert len(paused) >= proof.IN_A_ROW
    last_refusal, *watched = paused[-proof.IN_A_ROW :]
    assert sum(seconds for _, seconds in watched) >= 0.9 * (last_refusal[0] - began), "for as long as servers lagged"


def test_a_secret_that_no_server_ever_knows_ends_in_one_sentence(entra: Entra, endpoints: Endpoints) -> None:
    app = entra.register()
    whose = {"tenant_id": entra.tenant.tenant_id, "client_id": app.client_id}
    with pytest.raises(SignInFailed, match="The new client secret does not work after 1 seconds"):
        proof.prove(endpoints, "client-secret", "x" * 40, **whose, seconds=1)


def test_a_refresh_token_is_redeemed_with_the_new_secret(entra: Entra, endpoints: Endpoints) -> None:
    app = entra.register()
    entra.consent(app)
    token = entra.tokens(app)["refresh_token"]
    value = another_secret(entra, app)
    whose = {"tenant_id": entra.tenant.tenant_id, "client_id": app.client_id}
    more = {"refresh_token": token, "scopes": ("Mail.Send",)}
    caller = proof.prove_refresh(endpoints, "client-secret", value, **whose, **more)
    assert caller.app_id == app.client_id
    with pytest.raises(SignInFailed, match=r"client secret with the user's refresh token .*\(AADSTS7000215"):
        proof.prove_refresh(endpoints, "client-secret", "x" * 40, **whose, **more, seconds=0)
