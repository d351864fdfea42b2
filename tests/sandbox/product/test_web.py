"""The sample product's pages and JSON endpoints, as far as they go without Microsoft."""

from __future__ import annotations

import socket
import uuid
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from provision.sandbox.product import PUBLIC_HOST
from provision.sandbox.product.microsoft import Cloud
from provision.sandbox.product.store import Mailbox, Store
from provision.sandbox.product.web import Product

ORIGIN = "https://localhost:8443"
VALUES = {"tenantId": str(uuid.uuid4()), "clientId": str(uuid.uuid4()), "clientSecret": "s3cr3t~value"}


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(tmp_path / "product.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def client(store: Store) -> TestClient:
    """A product whose Microsoft is a port of this machine where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"https://localhost:{free.getsockname()[1]}"
    product = Product(store, Cloud(nowhere, nowhere), (PUBLIC_HOST,))
    return TestClient(Starlette(routes=product.routes()), base_url=ORIGIN, follow_redirects=False)


def test_settings_by_form_then_setup_page_shows_the_redirect_and_no_secret(client: TestClient) -> None:
    saved = client.post("/ACME/Services/Settings", data=VALUES, headers={"Origin": ORIGIN})
    assert (saved.status_code, saved.headers["location"]) == (303, "/ACME/Services/Office365Setup.aspx")
    for page in ("Office365Setup.aspx", "Settings", "Profile.aspx"):
        shown = client.get(f"/ACME/Services/{page}")
        assert shown.status_code == 200
        assert VALUES["clientSecret"] not in shown.text
    setup = client.get("/ACME/Services/Office365Setup.aspx").text
    assert f"{ORIGIN}/ACME/Services/Office365Callback.aspx" in setup
    assert "Connect to Microsoft" in setup


def test_empty_secret_in_the_form_keeps_the_stored_one(client: TestClient, store: Store) -> None:
    client.post("/ACME/Services/Settings", data=VALUES)
    changed = {**VALUES, "clientSecret": "", "clientId": str(uuid.uuid4())}
    client.post("/ACME/Services/Settings", data=changed)
    company = store.company("ACME")
    assert company is not None
    assert (company.client_id, company.client_secret) == (changed["clientId"], VALUES["clientSecret"])


def test_refused_form_says_why_and_keeps_what_was_typed(client: TestClient) -> None:
    answer = client.post("/ACME/Services/Settings", data={**VALUES, "clientId": "my-app"})
    assert answer.status_code == 400
    assert "ClientId must be the Application (client) ID" in answer.text
    assert 'value="my-app"' in answer.text
    assert VALUES["clientSecret"] not in answer.text


def test_json_settings_and_description(client: TestClient) -> None:
    saved = client.post("/_product/ACME/settings", json=VALUES)
    assert saved.json() == {
        "status": "saved",
        "redirectUri": f"{ORIGIN}/ACME/Services/Office365Callback.aspx",
    }
    described = client.get("/_product/ACME")
    assert described.json()["configured"] is True
    assert VALUES["clientSecret"] not in described.text
    assert client.get("/_product/acme").json()["configured"] is False


def test_public_address_stands_in_the_redirect(client: TestClient) -> None:
    saved = client.post("/_product/ACME/settings", json={**VALUES, "publicUrl": "https://my.cloudex.app"})
    assert saved.json()["redirectUri"] == "https://my.cloudex.app/ACME/Services/Office365Callback.aspx"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ACME/Services/office365callback.aspx", 404),
        ("/ACME/services/Office365Callback.aspx", 404),
        ("/A!ME/Services/Profile.aspx", 404),
        ("/ACME/Services/Profile.aspx", 200),
    ],
)
def test_paths_are_case_sensitive(client: TestClient, path: str, status: int) -> None:
    assert client.get(path).status_code == status


def test_foreign_host_name_is_not_answered(client: TestClient) -> None:
    """A page of the internet whose name resolves to 127.0.0.1 must not read or change the product."""
    for host in ("evil.example", "my.cloudex.app.evil.example", "localhost.evil.example:8443"):
        assert client.get("/ACME/Services/Settings", headers={"Host": host}).status_code == 421
        assert client.post("/_product/ACME/settings", json=VALUES, headers={"Host": host}).status_code == 421
    assert client.get("/ACME/Services/Settings", headers={"Host": PUBLIC_HOST}).status_code == 200
    assert client.get("/ACME/Services/Settings", headers={"Host": "[::1]:8443"}).status_code == 200


def test_forms_and_json_of_another_site_are_refused(client: TestClient, store: Store) -> None:
    """Cross-site request forgery: a foreign page can send a form, and text/plain without a preflight."""
    forged = client.post("/ACME/Services/Settings", data=VALUES, headers={"Origin": "https://evil.example"})
    assert forged.status_code == 403
    plain = client.post("/_product/ACME/settings", content="{}", headers={"Content-Type": "text/plain"})
    assert plain.status_code == 415
    assert store.company("ACME") is None


def test_every_page_carries_a_strict_policy(client: TestClient) -> None:
    for path in ("/_product/", "/ACME/Services/Profile.aspx", "/ACME/Services/Settings", "/_product/ACME"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_what_microsoft_sends_back_is_shown_as_text_never_as_markup(client: TestClient, store: Store) -> None:
    """The callback's query is anyone's; it must not become markup."""
    client.post("/_product/ACME/settings", json=VALUES)
    store.begin_sign_in("ACME", "key", {"state": "s"})
    client.cookies.set("sample_tms_sign_in", "key", path="/ACME/Services/")
    query = {"state": "s", "error": "access_denied", "error_description": "AADSTS65004: <script>alert(1)</script>"}
    page = client.get("/ACME/Services/Office365Callback.aspx", params=query)
    assert page.status_code == 400
    assert "AADSTS65004" in page.text
    assert "<script" not in page.text


def test_callback_without_a_sign_in_of_this_browser_is_refused(client: TestClient) -> None:
    client.post("/_product/ACME/settings", json=VALUES)
    page = client.get("/ACME/Services/Office365Callback.aspx", params={"code": "c", "state": "s"})
    assert page.status_code == 400
    assert "was not begun in this browser" in page.text


def test_send_before_set_up_and_before_connect_says_which(client: TestClient) -> None:
    mail = {"to": "bob@contoso.com", "subject": "s", "body": "b"}
    first = client.post("/_product/ACME/send", json=mail)
    assert (first.status_code, first.json()["error"]) == (409, "not_configured")
    client.post("/_product/ACME/settings", json=VALUES)
    second = client.post("/_product/ACME/send", json=mail)
    assert (second.status_code, second.json()["error"]) == (409, "not_connected")
    assert client.post("/_product/ACME/send", json={"to": "x"}).status_code == 400


def test_unreachable_microsoft_is_one_sentence(client: TestClient, store: Store) -> None:
    client.post("/_product/ACME/settings", json=VALUES)
    store.save_mailbox("ACME", Mailbox("ada@contoso.com", "Ada", "refresh~token"))
    answer = client.post("/_product/ACME/send", json={"to": "b@c.d", "subject": "s", "body": "b"})
    assert (answer.status_code, answer.json()["error"]) == (502, "unreachable")
    assert "does not answer" in answer.json()["detail"]
    assert "refresh~token" not in answer.text
    page = client.post("/ACME/Services/Office365Connect.aspx")
    assert page.status_code == 400
    assert "does not answer" in page.text
