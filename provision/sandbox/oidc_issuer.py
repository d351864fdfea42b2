"""Stands in for a CI's OIDC issuer (GitHub Actions, GitLab, Azure DevOps), which cannot be reached from a desk.

Owns: its own signing key, its discovery document, the tokens it mints, and the question whether a token is its own.
Does not own: which subject an application trusts; that is a federatedIdentityCredential in the store.

Claims follow "OpenID Connect reference" (docs.github.com), "OpenID Connect (OIDC) in GitLab" and "Workload identity
federation" for Azure DevOps. The audience ``api://AzureADTokenExchange`` is what Entra recommends for all of them.
"""

from __future__ import annotations

import uuid
from typing import Any

import jwt
from jwt.types import Options
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from provision.sandbox.directory import Clock
from provision.sandbox.keys import SigningKeys

TOKEN_EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"  # noqa: S105 - an audience, not a secret

PROVIDERS: dict[str, str] = {
    "github": "https://token.actions.githubusercontent.com",
    "gitlab": "https://gitlab.com",
    "azure-devops": "https://vstoken.dev.azure.com/00000000-0000-0000-0000-00000000d0e5",
}
"""The public issuer that each stand-in can also speak for."""

_LIFETIME_SECONDS = 300

UNCHECKED: Options = {"verify_aud": False, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""PyJWT judges times by the machine's clock; the local tenant judges them itself, by its own."""


class NotOurs(Exception):
    """The assertion was not signed by this issuer, or its issuer is unknown."""


class OidcIssuer:
    """One issuer per provider at ``{base_url}/_oidc/{provider}``, all with one key.

    Args:
        base_url: the server's address.
        keys: the signing key, another one than Entra's.
        clock: the tenant's time.
    """

    def __init__(self, base_url: str, keys: SigningKeys, clock: Clock) -> None:
        self._base_url = base_url
        self._keys = keys
        self._clock = clock

    def issuer_of(self, provider: str) -> str:
        """The local issuer's URL; raises ValueError naming the providers for an unknown one."""
        if provider not in PROVIDERS:
            raise ValueError(f"unknown provider {provider!r}; providers: {', '.join(PROVIDERS)}")
        return f"{self._base_url}/_oidc/{provider}"

    def token(
        self,
        *,
        provider: str,
        subject: str,
        audience: str = TOKEN_EXCHANGE_AUDIENCE,
        public_issuer: bool = False,
        lifetime: int = _LIFETIME_SECONDS,
    ) -> str:
        """A signed token as the provider gives it to a job.

        Args:
            provider: one of ``PROVIDERS``.
            subject: for example ``repo:contoso/mail:ref:refs/heads/main``.
            audience: ``aud``.
            public_issuer: say the provider's public issuer in ``iss`` instead of the local address.
            lifetime: seconds; negative for an expired token.
        """
        issuer = self.issuer_of(provider)
        now = int(self._clock.now())
        claims = {
            "jti": str(uuid.uuid4()),
            "iss": PROVIDERS[provider] if public_issuer else issuer,
            "sub": subject,
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime,
        }
        return jwt.encode(claims, self._keys.private_key, algorithm="RS256", headers={"kid": self._keys.key_id})

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token of this issuer; the times are the caller's to judge.

        Raises:
            NotOurs: another signer or an issuer that this one does not speak for.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.private_key.public_key(),
                algorithms=["RS256"],
                options=UNCHECKED,
            )
        except jwt.InvalidTokenError:
            raise NotOurs("signature") from None
        known = {*PROVIDERS.values(), *(self.issuer_of(provider) for provider in PROVIDERS)}
        if claims.get("iss") not in known:
            raise NotOurs("issuer")
        return claims

    def routes(self) -> list[Route]:
        """Discovery and keys, per provider."""
        return [
            Route("/_oidc/{provider}/.well-known/openid-configuration", self._discovery),
            Route("/_oidc/{provider}/jwks", self._jwks),
        ]

    async def _discovery(self, request: Request) -> Response:
        try:
            issuer = self.issuer_of(request.path_params["provider"])
        except ValueError as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        return JSONResponse(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/jwks",
                "subject_types_supported": ["public"],
                "response_types_supported": ["id_token"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf"],
                "scopes_supported": ["openid"],
            }
        )

    async def _jwks(self, request: Request) -> Response:
        issuer = f"{self._base_url}/_oidc/{request.path_params['provider']}"
        return JSONResponse({"keys": [self._keys.jwk(issuer=issuer)]})
