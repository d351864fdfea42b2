"""Proof that a client secret, a certificate or a federated credential works: tokens, for the right tenant and app.

A secret just made is not known to every one of Entra's servers at once; a server that does not know it answers as to a
wrong one. So every refusal counts as "not yet" until the time is over ("do not branch on AADSTS numbers", Microsoft
Entra authentication and authorization error codes), and one answer alone is no proof: several in a row, each on a
connection of its own, are.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from provision.errors import ProvisionError, SignInFailed, Unreachable
from provision.microsoft.credentials import credential_for
from provision.microsoft.tokens import Caller, caller_of
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints

IN_A_ROW = 3
"""How many tokens in a row make a proof."""


def prove_secret(
    endpoints: Endpoints,
    *,
    tenant_id: str,
    client_id: str,
    value: str,
    seconds: float = 240.0,
    first_delay: float = 0.25,
    pause: Callable[[float], None] = time.sleep,
) -> Caller:
    """Gets tokens with a client secret until it is known to work.

    Args:
        endpoints: the cloud.
        tenant_id: the tenant that the token must be for.
        client_id: the application that the token must be for.
        value: the secret.
        seconds: how long to go on when Entra does not know it.
        first_delay: the first pause after a refusal, seconds; doubled each time up to 8 s, with jitter.
        pause: waits a number of seconds.

    Returns:
        Whom the tokens are for.

    Raises:
        SignInFailed: Entra still refuses it when the time is over, or a token is for another tenant or application.
        Unreachable: Entra does not answer.
    """
    setting = CredentialSetting(
        method="client-secret",
        origin="the new client secret",
        tenant_id=tenant_id,
        client_id=client_id,
        client_secret=value,
    )
    return _insist(
        _signing_in(setting, endpoints),
        "client secret",
        tenant_id=tenant_id,
        client_id=client_id,
        seconds=seconds,
        delay=first_delay,
        in_a_row=IN_A_ROW,
        pause=pause,
    )


def prove_certificate(
    endpoints: Endpoints,
    *,
    tenant_id: str,
    client_id: str,
    pem: str,
    seconds: float = 240.0,
    first_delay: float = 0.25,
    pause: Callable[[float], None] = time.sleep,
) -> Caller:
    """Gets tokens by assertions that a certificate's private key signs, until Entra knows the certificate.

    Takes and raises what ``prove_secret`` does; ``pem`` is the private key and the certificate.
    """
    setting = CredentialSetting(
        method="certificate",
        origin="the new certificate",
        tenant_id=tenant_id,
        client_id=client_id,
        certificate_pem=pem,
    )
    return _insist(
        _signing_in(setting, endpoints),
        "certificate",
        tenant_id=tenant_id,
        client_id=client_id,
        seconds=seconds,
        delay=first_delay,
        in_a_row=IN_A_ROW,
        pause=pause,
    )


def prove_federated(
    endpoints: Endpoints,
    *,
    tenant_id: str,
    client_id: str,
    token: str,
    seconds: float = 120.0,
    first_delay: float = 0.25,
    pause: Callable[[float], None] = time.sleep,
) -> Caller:
    """Gets tokens for another issuer's token, until Entra's servers know the federated credential.

    Takes and raises what ``prove_secret`` does; ``token`` is the other issuer's, which lives for minutes.
    """
    setting = CredentialSetting(
        method="workload-identity",
        origin="the token given as a proof",
        tenant_id=tenant_id,
        client_id=client_id,
        oidc_token=token,
    )
    return _insist(
        _signing_in(setting, endpoints),
        "federated credential",
        tenant_id=tenant_id,
        client_id=client_id,
        seconds=seconds,
        delay=first_delay,
        in_a_row=IN_A_ROW,
        pause=pause,
    )


def _signing_in(setting: CredentialSetting, endpoints: Endpoints) -> Callable[[], Caller]:
    def once() -> Caller:
        credential = credential_for(setting, endpoints)  # anew each time: azure-identity keeps tokens
        try:
            return caller_of(credential.get_token(endpoints.graph_scope).token)
        finally:
            credential.close()

    return once


def prove_refresh(
    endpoints: Endpoints,
    *,
    tenant_id: str,
    client_id: str,
    value: str,
    refresh_token: str,
    scopes: Sequence[str],
    seconds: float = 60.0,
    pause: Callable[[float], None] = time.sleep,
) -> Caller:
    """Redeems a user's refresh token with a client secret, as the product does for each mail ("Refresh tokens in the
    Microsoft identity platform": one stays valid when it is redeemed).

    Args:
        endpoints: the cloud.
        tenant_id: the user's tenant.
        client_id: the application that the refresh token was given to.
        value: the secret.
        refresh_token: the user's.
        scopes: delegated permissions of Microsoft Graph, by name.
        seconds: how long to go on when Entra refuses.
        pause: waits a number of seconds.

    Raises:
        SignInFailed, Unreachable: as ``prove_secret``.
    """
    import msal  # type: ignore[import-untyped]

    def once() -> Caller:
        client = msal.ConfidentialClientApplication(
            client_id,
            client_credential=value,
            authority=f"{endpoints.login}/{tenant_id}",
            instance_discovery=False if endpoints.is_custom else None,
            verify=endpoints.ca_file or True,
        )
        graph = endpoints.graph_scope.removesuffix("/.default")
        answer = client.acquire_token_by_refresh_token(refresh_token, [f"{graph}/{scope}" for scope in scopes])
        if "access_token" not in answer:
            code = f"AADSTS{answer['error_codes'][0]}" if answer.get("error_codes") else answer.get("error")
            raise SignInFailed(
                f"Entra does not redeem the refresh token with the new client secret ({code}).",
                remedy="Let the user connect again in the product, and give the new refresh token.",
            )
        return caller_of(answer["access_token"])

    return _insist(
        once,
        "refresh token",
        tenant_id=tenant_id,
        client_id=client_id,
        seconds=seconds,
        delay=0.5,
        in_a_row=1,
        pause=pause,
    )


def _insist(
    once: Callable[[], Caller],
    what: str,
    *,
    tenant_id: str,
    client_id: str,
    seconds: float,
    delay: float,
    in_a_row: int,
    pause: Callable[[float], None],
) -> Caller:
    deadline = time.monotonic() + seconds
    proofs = 0
    while True:
        try:
            caller = once()
        except (SignInFailed, Unreachable) as refused:
            proofs = 0
            wait = delay * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
            if time.monotonic() + wait > deadline:
                raise _not_proven(refused, what, seconds) from None
            pause(wait)
            delay = min(delay * 2, 8.0)
            continue
        if caller.tenant_id != tenant_id.lower() or caller.app_id.lower() != client_id.lower():
            raise SignInFailed(
                f"A token for the new {what} is for application {caller.app_id} in tenant {caller.tenant_id}, "
                f"not for {client_id} in {tenant_id}.",
                remedy="Check the tenant and the client id.",
            )
        proofs += 1
        if proofs == in_a_row:
            return caller


def _not_proven(refused: ProvisionError, what: str, seconds: float) -> ProvisionError:
    return type(refused)(
        f"The new {what} does not work after {seconds:.0f} seconds: {refused.message}",
        remedy="What is in use stays as it is. Run again in a few minutes.",
    )
