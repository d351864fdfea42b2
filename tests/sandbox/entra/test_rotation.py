"""What outlives a secret: refresh tokens while secrets rotate, until somebody revokes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from entra_tenant import App, Entra, aadsts, answered

DAY = 86400


def another_secret(entra: Entra, app: App, *, hours: float | None = None) -> dict[str, str]:
    """A further secret of the application; ``hours`` is its lifetime."""
    wanted = {}
    if hours is not None:
        wanted = {"endDateTime": (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    made: dict[str, str] = entra.graph(
        "POST", f"/applications/{app.object_id}/addPassword", {"passwordCredential": wanted}
    )
    return made


def refusal(answer: httpx.Response) -> tuple[int, str, list[int]]:
    body = answer.json()
    return answer.status_code, body["error"], body["error_codes"]


def test_users_stay_signed_in_while_the_secret_rotates(entra: Entra, app: App) -> None:
    """A refresh token belongs to the application, not to the secret that began: any live one redeems it."""
    token = entra.tokens(app)["refresh_token"]
    fresh = another_secret(entra, app)
    assert entra.refresh(app, token, secret=fresh["secretText"]).status_code == 200
    entra.graph("POST", f"/applications/{app.object_id}/removePassword", {"keyId": app.key_id})
    assert refusal(entra.refresh(app, token)) == (401, "invalid_client", [7000215])
    assert entra.refresh(app, token, secret=fresh["secretText"]).status_code == 200


def test_an_expired_secret_redeems_nothing(entra: Entra, app: App) -> None:
    """The refusal tells an expired secret from an unknown one."""
    token = entra.tokens(app)["refresh_token"]
    short = another_secret(entra, app, hours=1)["secretText"]
    assert entra.refresh(app, token, secret=short).status_code == 200
    entra.sandbox.set_faults(clock_skew=2 * 3600)
    assert refusal(entra.refresh(app, token, secret=short)) == (401, "invalid_client", [7000222])
    assert refusal(entra.refresh(app, token, secret="unknown")) == (401, "invalid_client", [7000215])
    assert entra.refresh(app, token).status_code == 200


def test_a_refresh_token_lives_ninety_days_and_is_renewed_by_use(entra: Entra, app: App) -> None:
    first = entra.tokens(app)["refresh_token"]
    entra.sandbox.set_faults(clock_skew=89 * DAY)
    second = entra.refresh(app, first).json()["refresh_token"]
    entra.sandbox.set_faults(clock_skew=178 * DAY)
    assert entra.refresh(app, second).status_code == 200
    assert refusal(entra.refresh(app, first)) == (400, "invalid_grant", [700082])


def revoke(entra: Entra, authorization: dict[str, str], alias: str = "ada") -> httpx.Response:
    return entra.http.post(f"/v1.0/users/{entra.upn(alias)}/revokeSignInSessions", headers=authorization)


def as_app(entra: Entra, app: App) -> dict[str, str]:
    return {"Authorization": f"Bearer {entra.app_only(app).json()['access_token']}"}


def test_revoked_sessions_are_dead_at_once_and_new_ones_are_not(entra: Entra, app: App) -> None:
    """Refresh tokens and the browser's session end; the user signs in again in the same second."""
    token = entra.tokens(app)["refresh_token"]
    assert answered(entra.authorize(app, prompt="none"))["code"]
    answer = revoke(entra, entra.admin)
    assert (answer.status_code, answer.json()["value"]) == (200, True)
    dead = entra.refresh(app, token)
    assert refusal(dead) == (400, "invalid_grant", [50173])
    assert dead.json()["suberror"] == "bad_token"
    assert aadsts(entra.authorize(app, prompt="none")) == 50058
    assert entra.refresh(app, entra.tokens(app)["refresh_token"]).status_code == 200


def test_another_users_sessions_live_on(entra: Entra, app: App) -> None:
    token = entra.tokens(app, "bob")["refresh_token"]
    revoke(entra, entra.admin)
    assert entra.refresh(app, token).status_code == 200


def test_a_new_password_revokes_too(entra: Entra, app: App) -> None:
    token = entra.tokens(app)["refresh_token"]
    entra.patch_user("ada", passwordProfile={"password": "Another-one-1"})
    assert refusal(entra.refresh(app, token)) == (400, "invalid_grant", [50173])


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("User.RevokeSessions.All", 200),
        ("User.ReadWrite.All", 200),
        ("Directory.ReadWrite.All", 200),
        ("User.Read.All", 403),
    ],
)
def test_an_application_may_revoke_with_one_of_three_permissions(entra: Entra, role: str, status: int) -> None:
    """The least one of "user: revokeSignInSessions" is enough; reading users is not."""
    app = entra.register()
    entra.allow(app, role)
    answer = revoke(entra, as_app(entra, app))
    assert answer.status_code == status, answer.text


def test_a_user_revokes_his_own_sessions_only(entra: Entra) -> None:
    app = entra.register()
    entra.consent(app, "User.RevokeSessions.All Mail.Send User.Read")
    tokens = entra.tokens(app)
    own: dict[str, Any] = {"headers": {"Authorization": f"Bearer {tokens['access_token']}"}}
    assert revoke(entra, own["headers"], "bob").status_code == 403
    assert entra.http.post("/v1.0/me/revokeSignInSessions", **own).status_code == 200
    assert refusal(entra.refresh(app, tokens["refresh_token"])) == (400, "invalid_grant", [50173])
