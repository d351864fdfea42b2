"""Each failure that users meet is one sentence of its kind, with a remedy."""

from __future__ import annotations

import pytest

from provision.engine.events import Diagnostic
from provision.engine.refusals import refusal
from provision.errors import (
    EngineUnavailable,
    NotPermitted,
    PolicyRefuses,
    ProvisionError,
    SignInFailed,
    StateUnavailable,
    Unreachable,
)

CASES = [
    (
        "ApplicationsClient.BaseClient.Post(): clientCredentialsToken: received HTTP status 401 with response: "
        '{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided. Ensure the '
        'secret being sent in the request is the client secret value. Trace ID: 1 Correlation ID: 2"}',
        SignInFailed,
        "AADSTS7000215: Invalid client secret provided",
    ),
    (
        "could not create application: unexpected status 403 (403 Forbidden) with error: Authorization_RequestDenied: "
        "Insufficient privileges to complete the operation.",
        NotPermitted,
        "too few rights",
    ),
    (
        "adding password: unexpected status 400 with error: CredentialInvalidLifetimeAsPerAppPolicy: Credential "
        "lifetime exceeds the max value allowed as per assigned policy",
        PolicyRefuses,
        "forbids this secret or its lifetime",
    ),
    (
        "Application was not made: unexpected status 503 (503 Service Unavailable) with error: ServiceUnavailable: "
        "The service is temporarily unavailable. Please try again later.",
        Unreachable,
        "did not carry out a request of stack dev: Application was not made: unexpected status 503",
    ),
    (
        'Get "https://localhost:8443/metadata/endpoints?api-version=2022-09-01": dial tcp 127.0.0.1:8443: connect: '
        "connection refused",
        Unreachable,
        "does not answer: .*connection refused",
    ),
    (
        'Get "https://localhost:8443/metadata/endpoints": tls: failed to verify certificate: x509: certificate '
        "signed by unknown authority",
        Unreachable,
        "certificate is not trusted",
    ),
    (
        "https://localhost:1 cannot be reached: the connection is refused. Check the network, a proxy or VPN.",
        Unreachable,
        r"^https://localhost:1 cannot be reached: the connection is refused\.$",
    ),
    (
        "The TLS certificate of https://localhost:8443 is not trusted by this machine's certificates. Set it.",
        Unreachable,
        "certificate is not trusted",
    ),
    (
        "Signing in to tenant t failed: the secret is wrong (AADSTS7000215). Make a new one.",
        SignInFailed,
        r"^Signing in to tenant t failed: the secret is wrong \(AADSTS7000215\)\.$",
    ),
    (
        "no resource plugin 'pulumi-resource-azuread' found in the workspace at version v6.11.1 or on your $PATH",
        EngineUnavailable,
        "plugin is missing",
    ),
    ("failed to load checkpoint: unexpected end of JSON input", StateUnavailable, "cannot be read"),
    (
        "getting stack configuration: get stack secrets manager: incorrect passphrase",
        StateUnavailable,
        "from the keyring",
    ),
    ("the stars are wrong\nand more", ProvisionError, "could not finish stack dev: the stars are wrong"),
]


@pytest.mark.parametrize(("said", "kind", "sentence"), CASES, ids=[case[0][:30] for case in CASES])
@pytest.mark.parametrize("channel", ["diagnostic", "stderr"])
def test_each_failure_has_its_kind(said: str, kind: type[ProvisionError], sentence: str, channel: str) -> None:
    """The engine says it in an event once a run has begun, and on standard error before."""
    by_event = channel == "diagnostic"
    error = refusal(
        "" if by_event else f"warning: something else\nerror: {said}\n",
        [Diagnostic("warning", "AADSTS1: not an error"), *([Diagnostic("error", said)] if by_event else [])],
        stack="dev",
        passphrase="the keyring",
    )
    assert type(error) is kind
    import re

    assert re.search(sentence, error.message)
    assert "\n" not in str(error)
    assert error.remedy or kind is ProvisionError


@pytest.mark.parametrize(
    "said", ["AADSTS7000215: Invalid client secret provided.", "Signing in to tenant t failed: no."]
)
def test_a_sign_in_that_the_plugin_fails_names_where_its_secret_is_kept(said: str) -> None:
    diagnostics = [Diagnostic("error", said)]
    told = refusal("", diagnostics, stack="dev", passphrase="the keyring", credential="env:CONTOSO_SECRET")
    assert "credential (env:CONTOSO_SECRET)" in told.remedy
    assert "and credential;" in refusal("", diagnostics, stack="dev", passphrase="the keyring").remedy
