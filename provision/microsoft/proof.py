"""Proof that a client secret, a certificate or a federated credential works: tokens, for the right tenant and app.

A credential just made is not known to every one of Entra's servers at once ("Designing for Eventual Consistency for
Microsoft Entra": replicas learn of a write one after the other); a server that does not know it answers as to a wrong
one. So every refusal counts as "not yet" until the time is over ("do not branch on AADSTS numbers", Microsoft Entra
authentication and authorization error codes), and one answer alone is no proof: 32 in a row are, each on a connection
of its own. Eight, which HashiCorp's provider for Terraform asks for what its Vault makes in Entra
(``num_sequential_successes`` of ``vault_azure_access_credentials``), are too few: of four servers of which one lags
they miss it once in ten times (``bench/gapless.py`` saw 3 mails fail in 50 rotations), and that this is not rare is
what hashicorp/terraform-provider-vault#2079 reports (and #881 of servers that took turns in accepting and refusing);
32 miss it once in ten thousand times. Where servers were seen to lag, they are spread over as long a time as the lag
has lasted so far: 4 to 18 seconds are seen (microsoftgraph/microsoft-graph-docs#17966).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from provision.errors import ProvisionError, SignInFailed, Unreachable
from provision.microsoft.credentials import credential_for
from provision.microsoft.product_sign_in import RefreshToken, Registration
from provision.microsoft.tokens import Caller, caller_of
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import Endpoints

Means = Literal["client-secret", "certificate", "workload-identity"]
"""What is proven, as a ``CredentialSetting`` names its method."""

IN_A_ROW = 32
"""How many tokens in a row make a proof."""
REFRESH_SECONDS = 60.0
"""How long a user's refresh token is tried with a credential that is proven already."""
_LONGEST_WATCH = 30.0
"""The longest time over which they are spread where servers lag, seconds."""
_LONGEST_PAUSE = 8.0

_WORDS: dict[Means, tuple[str, str]] = {
    "client-secret": ("client secret", "client_secret"),
    "certificate": ("certificate", "certificate_pem"),
    "workload-identity": ("federated credential", "oidc_token"),
}
"""How sentences call it, and where a ``CredentialSetting`` holds it."""


def prove(
    endpoints: Endpoints,
    means: Means,
    value: str,
    *,
    tenant_id: str,
    client_id: str,
    seconds: float = 240.0,
    delay: float = 0.25,
    pause: Callable[[float], None] = time.sleep,
) -> Caller:
    """Gets tokens with a credential until it is known to work.

    Args:
        endpoints: the cloud.
        means: what it is.
        value: the client secret; the private key and the certificate (PEM); or another issuer's token, which lives for
            minutes.
        tenant_id: the tenant that the token must be for.
        client_id: the application that the token must be for.
        seconds: how long to go on when Entra does not know it.
        delay: the first pause after a refusal, seconds; doubled each time up to 8 s, with jitter.
        pause: waits a number of seconds.

    Returns:
        Whom the tokens are for.

    Raises:
        SignInFailed: Entra still refuses it when the time is over, or a token is for another tenant or application.
        Unreachable: Entra does not answer.
    """
    what, field = _WORDS[means]
    given: dict[str, Any] = {"tenant_id": tenant_id, "client_id": client_id, field: value}
    setting = CredentialSetting(method=means, origin=f"the new {what}", **given)

    def once() -> Caller:
        credential = credential_for(setting, endpoints)  # anew each time: azure-identity keeps tokens
        try:
            return caller_of(credential.get_token(endpoints.graph_scope).token)
        finally:
            credential.close()

    return _insist(
        once,
        what,
        tenant_id=tenant_id,
        client_id=client_id,
        seconds=seconds,
        delay=delay,
        in_a_row=IN_A_ROW,
        pause=pause,
    )


def prove_refresh(
    endpoints: Endpoints,
    means: Literal["client-secret", "certificate"],
    value: str,
    *,
    tenant_id: str,
    client_id: str,
    refresh_token: str,
    scopes: Sequence[str],
    seconds: float | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Caller:
    """Redeems a user's refresh token with a credential, as the product does for each mail ("Refresh tokens in the
    Microsoft identity platform": one stays valid when it is redeemed).

    Args:
        endpoints: the cloud.
        means: what it is.
        value: the client secret, or the private key and the certificate (PEM); proven already.
        tenant_id: the user's tenant.
        client_id: the application that the refresh token was given to.
        refresh_token: the user's.
        scopes: delegated permissions of Microsoft Graph, by name; each is asked for.
        seconds: how long to go on when Entra refuses; ``REFRESH_SECONDS`` without it.
        pause: waits a number of seconds.

    Raises:
        ConsentPending: nobody consented to a permission.
        SignInFailed, Unreachable: as ``prove``.
    """
    what, _ = _WORDS[means]
    given = {"certificate" if means == "certificate" else "secret": value}
    registration = Registration(tenant_id, client_id, **given)
    graph = endpoints.graph_scope.removesuffix("/.default")

    def once() -> Caller:
        sign_in = RefreshToken(registration, endpoints, refresh_token)
        return [caller_of(sign_in.token(f"{graph}/{scope}")) for scope in scopes][-1]

    return _insist(
        once,
        f"{what} with the user's refresh token",
        tenant_id=tenant_id,
        client_id=client_id,
        seconds=REFRESH_SECONDS if seconds is None else seconds,
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
    began = time.monotonic()
    proofs, apart = 0, 0.0
    while True:
        try:
            caller = once()
        except (SignInFailed, Unreachable) as refused:
            lag = time.monotonic() - began
            if isinstance(refused, SignInFailed):  # no answer says nothing about what a server knows
                proofs, apart = 0, min(lag, _LONGEST_WATCH) / in_a_row
            wait = delay * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret
            if lag + wait > seconds:
                raise _not_proven(refused, what, seconds) from None
            pause(wait)
            delay = min(delay * 2, _LONGEST_PAUSE)
            continue
        if caller.tenant_id != tenant_id.lower() or caller.app_id.lower() != client_id.lower():
            raise SignInFailed(
                f"A token for the new {what} is for application {caller.app_id} in tenant {caller.tenant_id}, "
                f"not for {client_id} in {tenant_id}.",
                remedy="Check the tenant and the client id.",
            )
        proofs += 1
        if proofs >= in_a_row:
            return caller
        if apart:
            pause(apart)


def _not_proven(refused: ProvisionError, what: str, seconds: float) -> ProvisionError:
    return type(refused)(
        f"The new {what} does not work after {seconds:.0f} seconds: {refused.message}",
        remedy="What is in use stays as it is. Run again in a few minutes.",
    )
