"""How a confidential client proves who it is: a secret, a certificate's signature, or another issuer's token.

Sources: "Microsoft identity platform application authentication certificate credentials" and "Workload identity
federation" (Microsoft identity platform documentation).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import unquote

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from provision.sandbox import hashing
from provision.sandbox.directory import Directory, Document
from provision.sandbox.entra.clients import Client
from provision.sandbox.entra.errors import EntraError
from provision.sandbox.keys import base64url
from provision.sandbox.oidc_issuer import UNCHECKED, NotOurs, OidcIssuer

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEEWAY_SECONDS = 300


@dataclass(frozen=True)
class Credential:
    """The credential behind a proof, as the sign-in log names it (signIn resource type, beta).

    That a certificate's signature counts as ``clientAssertion`` there is how its name reads; no row with one was found.
    """

    kind: Literal["clientSecret", "clientAssertion", "federatedIdentityCredential"]
    key_id: str = ""
    """``keyId`` of the secret or certificate."""
    thumbprint: str = ""
    """The certificate's SHA-1, hexadecimal."""
    federated_id: str = ""


class ClientProof:
    """Checks the proofs of clients.

    Args:
        directory: the store.
        issuer: the stand-in for a CI's OIDC issuer, the only foreign issuer whose keys can be had here.
        audiences: what a client assertion may name as ``aud``: the token endpoint or the issuer.
    """

    def __init__(self, directory: Directory, issuer: OidcIssuer, audiences: frozenset[str]) -> None:
        self._directory = directory
        self._issuer = issuer
        self._audiences = audiences
        self._server = directory.replicas.answering()
        self.used: Credential | None = None
        """The credential that the client presented, once it is found; it may be refused all the same."""

    def check(
        self, client: Client, principal: Document | None, form: Mapping[str, str], basic_secret: str | None
    ) -> None:
        """Accepts the request's secret or assertion.

        Raises:
            EntraError: 7000218 when there is none, else the refusal that fits.
        """
        secret = form.get("client_secret") or basic_secret
        assertion = form.get("client_assertion")
        if assertion:
            if form.get("client_assertion_type") != ASSERTION_TYPE:
                raise EntraError(900144, name="client_assertion_type")
            self._check_assertion(client, principal, assertion)
        elif secret:
            self._check_secret(client, principal, secret)
        else:
            raise EntraError(7000218)

    def _credentials(self, client: Client, principal: Document | None, kind: str) -> list[Document]:
        """The client's credentials that the answering server has learnt of, and those whose end it has not.

        They stand on its registration and, for some, on its service principal.
        """
        owners = [client.application or {}, principal or {}]
        known = [
            credential
            for owner in owners
            for credential in (*(owner.get(kind) or ()), *(owner.get(f"_removed.{kind}") or ()))
            if self._knows(f"{credential['keyId']} made", credential.get("_createdAt", 0.0))
        ]
        return [
            credential
            for credential in known
            if "_removedAt" not in credential
            or not self._knows(f"{credential['keyId']} removed", credential["_removedAt"])
        ]

    def _knows(self, change: str, at: float) -> bool:
        """Whether the answering server has learnt of a change (seconds since 1970)."""
        lag = self._directory.replicas.lag(change, self._server, self._directory.replication_delay)
        return at <= self._directory.clock.now() - lag

    def _check_secret(self, client: Client, principal: Document | None, secret: str) -> None:
        now = self._directory.clock.now()
        for credential in self._credentials(client, principal, "passwordCredentials"):
            if not hashing.matches(secret, credential.get("_hash", "")):
                continue
            if _epoch(credential.get("startDateTime"), 0.0) > now + _LEEWAY_SECONDS:
                break
            self.used = Credential("clientSecret", credential["keyId"])
            if _epoch(credential.get("endDateTime"), float("inf")) <= now:
                raise EntraError(7000222, app=client.app_id)
            return
        raise EntraError(7000215, app=client.app_id)

    def _check_assertion(self, client: Client, principal: Document | None, assertion: str) -> None:
        try:
            header = jwt.get_unverified_header(assertion)
            claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False, **UNCHECKED})
        except jwt.InvalidTokenError:
            raise EntraError(50027) from None
        if str(claims.get("iss", "")).startswith("https://"):
            self._check_federated(client, assertion, claims)
        else:
            self._check_certificate(client, principal, assertion, header, claims)

    def _check_times(self, claims: dict[str, Any]) -> None:
        now = self._directory.clock.now()
        start, end = claims.get("nbf", claims.get("iat", 0)), claims.get("exp", 0)
        if not (isinstance(start, int | float) and isinstance(end, int | float)):
            raise EntraError(50027)
        if not start - _LEEWAY_SECONDS <= now < end + _LEEWAY_SECONDS:
            raise EntraError(700024, now=instant(now), start=instant(start), end=instant(end))

    def _check_certificate(
        self,
        client: Client,
        principal: Document | None,
        assertion: str,
        header: dict[str, Any],
        claims: dict[str, Any],
    ) -> None:
        if claims.get("iss") != client.app_id or claims.get("sub") != client.app_id:
            raise EntraError(700021)
        identity = header.get("x5t#S256") or header.get("x5t") or ""

        def refuse(reason: str) -> EntraError:
            return EntraError(700027, reason=reason, thumbprint=_hexadecimal(identity), app=client.app_id)

        found = self._certificate(client, principal, identity)
        if found is None:
            raise refuse("The key was not found.")
        key_id, certificate = found
        thumbprint = certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - names the key, proves nothing
        self.used = Credential("clientAssertion", key_id, thumbprint)
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or header.get("alg") not in {"RS256", "PS256"}:
            raise refuse("The algorithm is not supported.")
        now = datetime.fromtimestamp(self._directory.clock.now(), UTC)
        if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
            raise refuse("The key used is expired.")
        try:
            jwt.decode(assertion, key, algorithms=["RS256", "PS256"], options=UNCHECKED)
        except jwt.InvalidTokenError:
            raise refuse("Key was found, but use of the key to verify the signature failed.") from None
        if claims.get("aud") not in self._audiences:
            raise EntraError(700023)
        self._check_times(claims)

    def _certificate(
        self, client: Client, principal: Document | None, identity: str
    ) -> tuple[str, x509.Certificate] | None:
        """The key id and the certificate that the assertion's header names."""
        for credential in self._credentials(client, principal, "keyCredentials"):
            try:
                certificate = x509.load_der_x509_certificate(base64.b64decode(credential.get("_key") or ""))
            except (ValueError, binascii.Error):
                continue
            # x5t is the SHA-1 by RFC 7515 section 4.1.7; it names the key and proves nothing.
            names = {base64url(certificate.fingerprint(h)) for h in (hashes.SHA1(), hashes.SHA256())}  # noqa: S303
            if identity.rstrip("=") in names:
                return str(credential["keyId"]), certificate
        return None

    def _check_federated(self, client: Client, assertion: str, claims: dict[str, Any]) -> None:
        """Issuer, subject and audience must equal one credential's, letter case included."""
        trusted = (
            self._directory.find(
                client.home_tenant or "", "federatedIdentityCredential", _applicationId=client.application["id"]
            )
            if client.application
            else []
        )
        if not trusted:
            raise EntraError(70025, app=client.app_id, name=client.name)
        issuer, subject = str(claims.get("iss")), str(claims.get("sub"))
        audiences = claims.get("aud")
        presented = set(audiences) if isinstance(audiences, list) else {str(audiences)}
        same_issuer = [credential for credential in trusted if credential["issuer"] == issuer]
        if not same_issuer:
            raise EntraError(700211, value=issuer)
        same_subject = [credential for credential in same_issuer if credential["subject"] == subject]
        if not same_subject:
            folded = any(str(credential["subject"]).lower() == subject.lower() for credential in same_issuer)
            raise EntraError(7002138 if folded else 700213, value=subject)
        matching = [c for c in same_subject if presented & set(c.get("audiences") or [])]
        if not matching:
            raise EntraError(700212, value=", ".join(sorted(presented)))
        self.used = Credential("federatedIdentityCredential", federated_id=matching[0]["id"])
        try:
            self._issuer.verify(assertion)
        except NotOurs:
            raise EntraError(50013, reason="The key was not found or its use to verify the signature failed.") from None
        self._check_times(claims)


def basic_credentials(authorization: str | None) -> tuple[str | None, str | None]:
    """Client id and secret of an HTTP Basic header (RFC 6749 section 2.3.1), or two Nones."""
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
    except (ValueError, UnicodeDecodeError):
        return None, None
    return unquote(client_id), unquote(secret)


def _epoch(text: str | None, default: float) -> float:
    if not text:
        return default
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def instant(at: float) -> str:
    """A time (seconds since 1970) as refusals write it, to a tenth of a microsecond."""
    return datetime.fromtimestamp(max(0.0, min(at, 253402300799.0)), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _hexadecimal(identity: str) -> str:
    try:
        return base64.urlsafe_b64decode(identity + "=" * (-len(identity) % 4)).hex().upper()
    except (ValueError, binascii.Error):
        return ""
