"""Microsoft's refusals are one sentence, the right exit code, and something to do."""

from __future__ import annotations

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError

from provision.errors import InvalidInput, NotPermitted, PolicyRefuses, ProvisionError, SignInFailed, Unreachable
from provision.microsoft import publisher
from provision.microsoft.refusals import AADSTS, GraphRefusal, Throttled, graph_refused, sign_in_failed
from provision.settings.credential import CredentialSetting
from provision.settings.endpoints import of_cloud

CLOUD = of_cloud("public")
SETTING = CredentialSetting("client-secret", "contoso.com", "1111", "env:CONTOSO_SECRET")


@pytest.mark.parametrize("code", AADSTS)
def test_every_entra_code_has_a_sentence_and_a_remedy(code: str) -> None:
    for setting in (None, CredentialSetting("client-secret", "contoso.com"), SETTING):
        error = sign_in_failed(
            ClientAuthenticationError(f"AADSTS{code}: long text\nTrace ID: 1"), CLOUD, setting=setting
        )
        assert isinstance(error, SignInFailed)
        assert f"AADSTS{code}" in error.message
        assert error.remedy
        assert not any(sign in str(error) for sign in "\n{}")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("7000215", "the client secret in env:CONTOSO_SECRET is wrong"),
        ("7000222", "the client secret in env:CONTOSO_SECRET has expired"),
        ("700027", "the certificate in env:CONTOSO_SECRET is not the application's"),
        ("700016", "Check the client id 1111 and the tenant."),
        ("50173", "az login --tenant contoso.com"),
    ],
)
def test_what_is_wrong_is_named_by_where_it_is_kept(code: str, says: str) -> None:
    error = sign_in_failed(ClientAuthenticationError(f"AADSTS{code}: no"), CLOUD, setting=SETTING)
    assert says in str(error)
    assert "ARM_" not in str(error)


def test_an_unknown_code_leads_to_microsofts_page() -> None:
    error = sign_in_failed(ClientAuthenticationError("AADSTS99999: new"), CLOUD)
    assert error.remedy == "See https://login.microsoftonline.com/error?code=99999."


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (CredentialUnavailableError("Azure CLI not found on path"), SignInFailed, "not installed"),
        (CredentialUnavailableError("Please run 'az login' to set up an account"), SignInFailed, "not signed in"),
        (ServiceRequestError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), Unreachable, "not trusted"),
        (ServiceRequestError("Connection refused"), Unreachable, "refused"),
        (ServiceRequestError("Name or service not known"), Unreachable, "no such host"),
        (ValueError("something odd"), SignInFailed, "docs/credentials.md"),
    ],
)
def test_failures_without_a_code(raised: Exception, kind: type[ProvisionError], says: str) -> None:
    error = sign_in_failed(raised, CLOUD)
    assert type(error) is kind
    assert says in str(error)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "InvalidAuthenticationToken", SignInFailed),
        (403, "Authorization_RequestDenied", NotPermitted),
        (403, "CredentialTypeNotAllowedAsPerAppPolicy", PolicyRefuses),
        (400, "CredentialInvalidLifetimeAsPerAppPolicy", PolicyRefuses),
        (400, "Request_BadRequest", InvalidInput),
        (404, "Request_ResourceNotFound", InvalidInput),
        (409, "Request_MultipleObjectsWithSameKeyValue", InvalidInput),
        (429, "TooManyRequests", Throttled),
        (503, "ServiceUnavailable", Unreachable),
        (418, "Teapot", ProvisionError),
    ],
)
def test_graphs_refusals(status: int, code: str, kind: type[ProvisionError]) -> None:
    error = graph_refused(GraphRefusal(status, code, "m"), "read the application", "Application.Read.All")
    assert type(error) is kind
    assert "read the application" in error.message or status == 401
    if status == 403 and kind is NotPermitted:
        assert "Application.Read.All" in error.remedy


def test_publisher_reasons_come_as_a_code_or_at_the_head_of_the_message() -> None:
    for refusal in (
        GraphRefusal(400, "PublisherDomainMismatch", "text"),
        GraphRefusal(400, "Request_BadRequest", "PublisherDomainMismatch: text"),
    ):
        assert publisher.is_known(refusal)
        error = publisher.refused(refusal, "7086574")
        assert isinstance(error, InvalidInput)
        assert "7086574" in error.message
    assert not publisher.is_known(GraphRefusal(403, "Authorization_RequestDenied", "no"))
