"""Tokens as the product itself gets them: by its secret or certificate, and for a user who signed in to it.

Owns: MSAL with the registration's own values, and Entra's refusals as sentences that name the AADSTS code. Does not
own: the toolkit's own sign-in (``credentials``), what a code means to a person (``diagnose``).

What a product's registration allows: its redirect URI is the product's Web callback and public client flows are off, so
neither a device code nor a browser that comes back to this machine works with it. Two ways do: a refresh token that the
product got, and the address at which a person's browser ends (``PastedSignIn``). That address holds the code of the
sign-in; it is bound to a verifier that only this process has (RFC 7636), so neither the product nor anybody who reads
the address redeems it. Sources: "Microsoft identity platform and OAuth 2.0 authorization code flow", "Refresh tokens in
the Microsoft identity platform" (one is good for every resource that was consented to), "OAuth 2.0 device authorization
grant flow", "Redirect URI restrictions" (``http://localhost`` counts on any port).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from provision.errors import ConsentPending, InvalidInput, SignInFailed
from provision.microsoft.refusals import AADSTS
from provision.microsoft.tokens import claims_of
from provision.settings.endpoints import Endpoints, tls_context, unreachable

_SECONDS = 30.0
_NO_CONSENT = frozenset({"65001", "65004", "650056", "650057", "90094", "90095", "500011"})


@dataclass(frozen=True)
class Registration:
    """The product's registration as the product knows it; ``repr`` shows no secret."""

    tenant_id: str
    client_id: str
    secret: str | None = field(default=None, repr=False)
    redirect_uri: str | None = None
    certificate: str | None = field(default=None, repr=False)
    """The private key and the certificate (PEM), where it signs in with those."""


class UserSignIn(Protocol):
    """A user's sign-in: access tokens, for one resource after another."""

    def token(self, scope: str) -> str:
        """An access token with a delegated permission.

        Args:
            scope: the permission's full name, such as ``https://graph.microsoft.com/Mail.Send``.

        Raises:
            SignInFailed, ConsentPending: Entra refuses; the message names its code.
            Unreachable: Entra does not answer.
        """


@dataclass(frozen=True)
class GivenToken:
    """One access token, used for whatever is asked: what it is not good for, the server says."""

    value: str = field(repr=False)

    def token(self, scope: str) -> str:  # noqa: ARG002
        """The token as it was given."""
        return self.value


class RefreshToken:
    """A refresh token that the product got, redeemed with its client secret or certificate as the product does.

    Args:
        registration: whose it is.
        endpoints: the cloud.
        value: the token.
        public: whether it came by a public client flow, which is redeemed without a secret.
    """

    def __init__(self, registration: Registration, endpoints: Endpoints, value: str, *, public: bool = False) -> None:
        self._registration, self._endpoints = registration, endpoints
        self._value, self._public = value, public

    def token(self, scope: str) -> str:
        """See ``UserSignIn``."""
        with _client(self._registration, self._endpoints, public=self._public) as client:
            answer = client.acquire_token_by_refresh_token(self._value, [scope])
        granted = _granted(answer, f"redeem the sign-in for {scope}")
        self._value = str(answer.get("refresh_token") or self._value)
        return granted


class PastedSignIn:
    """A sign-in through the product's own redirect URI, finished by the address at which the browser ends.

    Args:
        registration: with its redirect URI.
        endpoints: the cloud.
        scope: the permission to ask for.
        user: fills in the name on the sign-in page.

    Raises:
        SignInFailed: there is no such tenant.
        Unreachable: Entra does not answer.
    """

    def __init__(self, registration: Registration, endpoints: Endpoints, *, scope: str, user: str) -> None:
        self._registration, self._endpoints = registration, endpoints
        with _client(registration, endpoints) as client, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # MSAL recommends form_post, which leaves no address to paste
            self._flow: dict[str, Any] = client.initiate_auth_code_flow(
                [scope], redirect_uri=registration.redirect_uri, login_hint=user
            )

    @property
    def address(self) -> str:
        """Where the person signs in."""
        return str(self._flow["auth_uri"])

    def finish(self, pasted: str) -> UserSignIn:
        """Redeems the code in the address at which the browser ended.

        Args:
            pasted: the whole address, with everything behind the question mark.

        Raises:
            InvalidInput: it is not that address.
            SignInFailed, ConsentPending: Entra refused the person, or refuses the code.
        """
        answer = dict(parse_qsl(urlsplit(pasted.strip()).query))
        if answer.get("state") != self._flow["state"] or not answer.keys() & {"code", "error"}:
            raise InvalidInput(
                "What was pasted is not the address at which this sign-in ended.",
                remedy="Copy the whole address from the browser, with code= and state= in it, right after signing in.",
            )
        if "error" in answer:
            raise _refusal(answer, "sign the user in")
        with _client(self._registration, self._endpoints) as client:
            granted = client.acquire_token_by_auth_code_flow(self._flow, answer)
        _granted(granted, "redeem the sign-in")
        return RefreshToken(self._registration, self._endpoints, _refresh_token(granted))


def by_device_code(
    registration: Registration, endpoints: Endpoints, *, scope: str, prompt: Callable[[str], None]
) -> UserSignIn:
    """A sign-in by device code; only a registration that allows public client flows lets it through.

    Raises:
        SignInFailed, ConsentPending, Unreachable: as ``UserSignIn.token``.
    """
    with _client(registration, endpoints, public=True) as client:
        flow = client.initiate_device_flow([scope])
        if "user_code" not in flow:
            raise _refusal(flow, "begin a sign-in by device code")
        prompt(f"To sign in, open {flow['verification_uri']} and enter the code {flow['user_code']}")
        answer = client.acquire_token_by_device_flow(flow)
    _granted(answer, "sign the user in by device code")
    return RefreshToken(registration, endpoints, _refresh_token(answer), public=True)


def by_browser(registration: Registration, endpoints: Endpoints, *, scope: str, user: str) -> UserSignIn:
    """A sign-in in this machine's browser; only a registration with the redirect URI ``http://localhost`` under
    "Mobile and desktop applications" lets it come back.

    Raises:
        SignInFailed, ConsentPending, Unreachable: as ``UserSignIn.token``.
    """
    with _client(registration, endpoints, public=True) as client:
        answer = client.acquire_token_interactive([scope], login_hint=user, timeout=300)
    _granted(answer, "sign the user in by browser")
    return RefreshToken(registration, endpoints, _refresh_token(answer), public=True)


def token_by_secret(registration: Registration, endpoints: Endpoints, scope: str | None = None) -> str:
    """An access token for the application itself.

    Args:
        registration: with its secret.
        endpoints: the cloud.
        scope: ``…/.default`` of a resource; Microsoft Graph without it.

    Raises:
        SignInFailed: Entra refuses; the message names its code.
        Unreachable: Entra does not answer.
    """
    with _client(registration, endpoints) as client:
        answer = client.acquire_token_for_client([scope or endpoints.graph_scope])
    return _granted(answer, "accept the client secret")


def authorize_url(registration: Registration, endpoints: Endpoints, *, scopes: tuple[str, ...], user: str) -> str:
    """The address by which a person can see whether the sign-in works; its end is the product's own page."""
    query = {
        "client_id": registration.client_id,
        "response_type": "code",
        "redirect_uri": registration.redirect_uri or "",
        "scope": " ".join(scopes),
        "login_hint": user,
    }
    return f"{endpoints.login}/{registration.tenant_id}/oauth2/v2.0/authorize?{urlencode(query)}"


def told_by(token: str) -> tuple[str, tuple[str, ...], str]:
    """Whom a token names, its permissions, and what it is for; empty where it does not say."""
    try:
        claims = claims_of(token)
    except SignInFailed:
        return "", (), ""
    name = next((str(claims[key]) for key in ("upn", "preferred_username", "unique_name") if claims.get(key)), "")
    permissions = tuple(str(claims.get("scp", "")).split()) or tuple(str(role) for role in claims.get("roles") or ())
    return name, permissions, str(claims.get("aud", ""))


def _granted(answer: Mapping[str, Any], doing: str) -> str:
    if "access_token" not in answer:
        raise _refusal(answer, doing)
    return str(answer["access_token"])


def _refresh_token(answer: Mapping[str, Any]) -> str:
    if not answer.get("refresh_token"):
        raise SignInFailed(
            "The sign-in brought no refresh token: offline_access is missing.",
            remedy="Grant offline_access to the registration; provision up does.",
        )
    return str(answer["refresh_token"])


def _refusal(answer: Mapping[str, Any], doing: str) -> SignInFailed | ConsentPending:
    """Entra's refusal: its code and its word for it; of its text nothing, for that may repeat what was sent."""
    description = str(answer.get("error_description", ""))
    numbers = [str(number) for number in answer.get("error_codes") or ()]
    code = numbers[0] if numbers else description.partition("AADSTS")[2].partition(":")[0]
    code = code if code.isdecimal() else ""
    meaning, _ = AADSTS.get(code, ("", ""))  # its remedies are for who runs the toolkit, not for the product
    named = f"AADSTS{code}" if code else str(answer.get("error", "no reason given"))
    sentence = f"Microsoft Entra does not {doing} ({named}{f': {meaning}' if meaning else ''})."
    kind = ConsentPending if code in _NO_CONSENT else SignInFailed
    return kind(sentence)


@contextmanager
def _client(registration: Registration, endpoints: Endpoints, *, public: bool = False) -> Iterator[Any]:
    """MSAL's client over a connection that trusts what ``endpoints`` says, whatever the environment exports."""
    import msal  # type: ignore[import-untyped]

    own: dict[str, Any] = {}
    if registration.certificate:
        own = {"client_credential": _key_of(registration.certificate)}
    elif registration.secret:
        own = {"client_credential": registration.secret}
    elif not public:
        raise InvalidInput("There is no client secret.", remedy="Give --client-secret-file, or name the stack.")
    kind = msal.PublicClientApplication if public else msal.ConfidentialClientApplication
    with httpx.Client(verify=tls_context(endpoints.ca_file), timeout=_SECONDS) as http:
        try:
            yield kind(
                registration.client_id,
                authority=f"{endpoints.login}/{registration.tenant_id}",
                instance_discovery=False if endpoints.is_custom else None,
                http_client=_Line(http),
                **({} if public else own),
            )
        except httpx.TransportError as error:
            raise unreachable(endpoints.login, error, ca_file=endpoints.ca_file) from None
        except (ValueError, RuntimeError, httpx.HTTPStatusError):  # its answer to a tenant that is not there
            raise SignInFailed(
                f"{endpoints.login} knows no tenant {registration.tenant_id}, or its answer cannot be read.",
                remedy=AADSTS["90002"][1],
            ) from None


class _Line:
    """httpx for MSAL, which sends an assertion as bytes: httpx would write them as Python shows them."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, url: str, **more: Any) -> httpx.Response:
        return self._http.get(url, **more)

    def post(self, url: str, data: Mapping[str, Any], **more: Any) -> httpx.Response:
        form = {name: value.decode() if isinstance(value, bytes) else value for name, value in data.items()}
        return self._http.post(url, data=form, **more)

    def close(self) -> None:
        self._http.close()


def _key_of(pem: str) -> dict[str, str]:
    """A private key as MSAL takes it, beside the certificate's SHA-1, which names it and protects nothing."""
    thumbprint = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1()).hex()  # noqa: S303
    return {"private_key": pem, "thumbprint": thumbprint}
