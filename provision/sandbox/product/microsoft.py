"""How the sample product talks to Microsoft: MSAL for tokens, HTTPS for Graph, nothing else.

Owns: sign-in, redeeming the code, refreshing, sendMail. Does not own: what is remembered between them (``store``).
Everything here blocks; handlers run it in a thread. Each call makes its own client, so a changed secret, tenant or CA
is in use at once. Flow: "Microsoft identity platform and OAuth 2.0 authorization code flow"; mail: "user: sendMail".
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import httpx
import msal  # type: ignore[import-untyped]

from provision.sandbox.product.company import Company, SettingsRefused
from provision.sandbox.product.refusal import Refused, from_entra, from_graph

SCOPES = ["Mail.Send", "User.Read"]
"""What the product asks for; MSAL adds ``offline_access openid profile``."""
_SECONDS = 30.0
_NAME = {"User-Agent": "Sample TMS"}
"""Every request says whose it is, so that sign-in and request logs do."""
_UNKNOWN_TO_ENTRA = "AADSTS7000215"
"""Entra does not know the secret: also for a little while after it was made, until every server has it."""


@dataclass(frozen=True)
class Cloud:
    """Where Microsoft is.

    ``authority`` and ``graph`` are addresses without a trailing slash; ``ca_file`` is the CA to trust, None: the
    machine's.
    """

    authority: str = "https://login.microsoftonline.com"
    graph: str = "https://graph.microsoft.com"
    ca_file: Path | None = None


@dataclass(frozen=True)
class SignedIn:
    """Who connected, and what the product may use from now on."""

    username: str
    name: str
    refresh_token: str


class Connection:
    """One company's way to Microsoft.

    Args:
        company: its three values; the secret is read when it is needed.
        cloud: where Microsoft is.
        worked: told the newest secret when Microsoft has accepted it.

    Every method raises Refused with what was received, as it was received.
    """

    def __init__(
        self, company: Company, cloud: Cloud, *, worked: Callable[[str], object] = lambda _secret: None
    ) -> None:
        self._company = company
        self._cloud = cloud
        self._worked = worked

    def begin(self, redirect_uri: str, login_hint: str | None = None) -> dict[str, Any]:
        """Begins the authorization code flow (state, nonce, PKCE); ``auth_uri`` in the result is where to go."""
        with self._client(self._secrets()[0]) as client:
            flow = client.initiate_auth_code_flow(SCOPES, redirect_uri=redirect_uri, login_hint=login_hint)
            return cast("dict[str, Any]", flow)

    def redeem(self, flow: dict[str, Any], answer: Mapping[str, str]) -> SignedIn:
        """Redeems the code of a callback for tokens, with the client secret."""
        if "error" in answer:
            raise from_entra("sign-in", answer)
        result = self._token(lambda client: client.acquire_token_by_auth_code_flow(flow, dict(answer)))
        if "refresh_token" not in result:
            raise Refused("token", "no_refresh_token", "The answer holds no refresh token: offline_access is missing.")
        claims = result.get("id_token_claims", {})
        username = claims.get("preferred_username") or claims.get("oid") or claims["sub"]
        return SignedIn(username, claims.get("name") or username, result["refresh_token"])

    def send(self, refresh_token: str, *, to: str, subject: str, body: str) -> str:
        """Sends one mail as the signed-in user; returns the newest refresh token, to be kept."""
        result = self._token(lambda client: client.acquire_token_by_refresh_token(refresh_token, SCOPES))
        message = {
            "message": {
                "subject": subject,
                "body": {"contentType": "Text", "content": body},
                "toRecipients": [{"emailAddress": {"address": to}}],
            },
            "saveToSentItems": True,
        }
        with self._http() as http, _reaching(self._cloud.graph):
            response = http.post(
                f"{self._cloud.graph}/v1.0/me/sendMail",
                json=message,
                headers={"Authorization": f"Bearer {result['access_token']}"},
            )
        if response.status_code != httpx.codes.ACCEPTED:
            raise from_graph(_json(response), response.status_code)
        return str(result.get("refresh_token") or refresh_token)

    def admin_consent_url(self, redirect_uri: str) -> str:
        """Where an administrator consents for the whole tenant ("Admin consent on the Microsoft identity platform")."""
        query = urlencode({"client_id": self._company.client_id, "redirect_uri": redirect_uri})
        return f"{self._cloud.authority}/{self._company.tenant_id}/adminconsent?{query}"

    def _http(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=self._cloud.ca_file)
        return httpx.Client(verify=context, trust_env=False, timeout=_SECONDS, headers=_NAME)

    def _secrets(self) -> tuple[str, ...]:
        try:
            return self._company.secrets()
        except SettingsRefused as problem:
            raise Refused("settings", "settings", str(problem)) from None

    def _token(self, ask: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Tokens with the newest secret; with the one before while Microsoft does not know the newest."""
        secrets = self._secrets()
        for secret in secrets:
            with self._client(secret) as client:
                result = ask(client)
            if "access_token" in result:
                if secret == secrets[0]:
                    self._worked(secret)
                return result
            refused = from_entra("token", result)
            if refused.code != _UNKNOWN_TO_ENTRA:
                break
        raise refused

    @contextmanager
    def _client(self, secret: str) -> Iterator[Any]:
        """MSAL's client. What MSAL rewords or drops (its own ValueErrors) is told in Microsoft's words instead."""
        last: list[httpx.Response] = []

        def remember(response: httpx.Response) -> None:
            response.read()
            last[:] = [response]

        authority = f"{self._cloud.authority}/{self._company.tenant_id}"
        with self._http() as http, _reaching(self._cloud.authority):
            http.event_hooks = {"response": [remember]}
            try:
                yield msal.ConfidentialClientApplication(
                    self._company.client_id,
                    client_credential=secret,
                    authority=authority,
                    instance_discovery=False,
                    http_client=http,
                )
            except (ValueError, RuntimeError, httpx.HTTPStatusError) as problem:
                if last and last[0].is_error:
                    body = _json(last[0])
                    stage = "token" if last[0].request.method == "POST" else "authority"
                    answer = body if isinstance(body, dict) else {"error": f"HTTP {last[0].status_code}"}
                    raise from_entra(stage, answer, last[0].status_code) from None
                raise Refused("sign-in", type(problem).__name__, str(problem)) from None


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


@contextmanager
def _reaching(address: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        reason = str(error) or type(error).__name__
        raise Refused("reach", "unreachable", f"{address} does not answer: {reason}.") from None
