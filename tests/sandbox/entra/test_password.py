"""User name and password (ROPC), by unmodified MSAL.

MSAL asks for the account's realm at the authority's host without its port, so at 443. Here port 443 is reached through
a proxy that leads to the local tenant, which MSAL takes as any other proxy; TLS goes through it from end to end.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import msal
import pytest
from entra_tenant import App, Entra

from provision.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("trusting")


class PortProxy:
    """An HTTP proxy that tunnels to the local tenant whichever port is asked for, and remembers what was.

    Args:
        port: the local tenant's.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: set[str] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            asked = re.match(rb"CONNECT (\S+) ", head)
            assert asked, head
            self.asked.add(asked[1].decode())
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[PortProxy]:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = PortProxy(sandbox.state.port)
    yield made
    made.close()


Client = msal.PublicClientApplication | msal.ConfidentialClientApplication


@pytest.fixture
def msal_client(entra: Entra, proxy: PortProxy) -> Callable[..., Client]:
    """MSAL for an application of the tenant; a secret makes it confidential."""

    def make(app: App, *, secret: str | None = None) -> Client:
        options = {
            "authority": f"{entra.sandbox.base_url}/{entra.tenant.tenant_id}",
            "instance_discovery": False,
            "proxies": {"https": proxy.url},
        }
        if secret is None:
            return msal.PublicClientApplication(app.client_id, **options)
        return msal.ConfidentialClientApplication(app.client_id, client_credential=secret, **options)

    return make


def signed_in(
    client: Client, entra: Entra, *, password: str | None = None, scope: str = "Mail.Send"
) -> dict[str, object]:
    upn = entra.upn("ada")
    answer: dict[str, object] = client.acquire_token_by_username_password(
        upn, password or entra.tenant.users[upn], [scope]
    )
    return answer


def public(entra: Entra) -> App:
    app = entra.register(isFallbackPublicClient=True)
    entra.consent(app)
    return app


@pytest.mark.filterwarnings("ignore:This API has been deprecated for public client flows:DeprecationWarning")
def test_public_client(entra: Entra, proxy: PortProxy, msal_client: Callable[..., Client]) -> None:
    """The realm is asked for at port 443, the token at the local tenant's: why MSAL needs 443 or a proxy here."""
    client = msal_client(public(entra))
    answer = signed_in(client, entra)
    assert "access_token" in answer, answer
    assert proxy.asked == {"localhost:443", f"localhost:{entra.sandbox.state.port}"}
    (account,) = client.get_accounts()
    renewed = client.acquire_token_silent(["Mail.Send"], account, force_refresh=True)
    assert renewed and renewed["access_token"] != answer["access_token"]


def test_confidential_client(entra: Entra, app: App, msal_client: Callable[..., Client]) -> None:
    """It proves itself for the token and again for each refresh."""
    client = msal_client(app, secret=app.secret)
    assert "access_token" in signed_in(client, entra)
    (account,) = client.get_accounts()
    renewed = client.acquire_token_silent(["Mail.Send"], account, force_refresh=True)
    assert renewed and "access_token" in renewed, renewed


def second_factor(entra: Entra) -> None:
    """The user registers one, then a policy asks for it."""
    policy = {
        "displayName": "mfa",
        "state": "enabled",
        "conditions": {
            "clientAppTypes": ["all"],
            "users": {"includeUsers": ["All"]},
            "applications": {"includeApplications": ["All"]},
        },
        "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
    }
    entra.graph("POST", "/identity/conditionalAccess/policies", policy)
    entra.submit(entra.sign_in(entra.authorize(public(entra))), otc="123456")


@pytest.mark.filterwarnings("ignore:This API has been deprecated for public client flows:DeprecationWarning")
@pytest.mark.parametrize(
    ("code", "oauth_error"),
    [
        (7000218, "invalid_client"),
        (50126, "invalid_grant"),
        (50076, "interaction_required"),
        (65001, "invalid_grant"),
        (7000215, "invalid_client"),
    ],
)
def test_refusals_reach_the_program(
    entra: Entra, app: App, msal_client: Callable[..., Client], code: int, oauth_error: str
) -> None:
    """Confidential without a secret, wrong password, second factor, no consent, a public one's wrong secret."""
    if code == 50076:
        second_factor(entra)
    answer = {
        7000218: lambda: signed_in(msal_client(app), entra),
        50126: lambda: signed_in(msal_client(public(entra)), entra, password="wrong"),
        50076: lambda: signed_in(msal_client(public(entra)), entra),
        65001: lambda: signed_in(msal_client(public(entra)), entra, scope="Mail.ReadWrite"),
        7000215: lambda: signed_in(msal_client(public(entra), secret="wrong"), entra),
    }[code]()
    assert (answer["error_codes"], answer["error"]) == ([code], oauth_error), answer


def test_every_account_is_managed_by_entra(http: httpx.Client, entra: Entra) -> None:
    """MSAL would go to the identity provider of a federated one."""
    parameters = {"api-version": "1.0"}
    known = http.get(f"/common/userrealm/{entra.upn('ada')}", params=parameters).json()
    stranger = http.get("/common/userrealm/ada@nobody.example", params=parameters).json()
    assert (known["account_type"], stranger["account_type"]) == ("Managed", "Unknown")


def test_multi_tenant_client_at_organizations(entra: Entra) -> None:
    """The account's name tells its tenant."""
    app = entra.register(isFallbackPublicClient=True, signInAudience="AzureADMultipleOrgs")
    entra.consent(app)
    upn = entra.upn("ada")
    form = {"grant_type": "password", "client_id": app.client_id, "scope": "Mail.Send"}
    answer = entra.token(**form, username=upn, password=entra.tenant.users[upn], tenant="organizations")
    assert answer.status_code == 200, answer.text
