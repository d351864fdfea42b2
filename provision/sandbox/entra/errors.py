"""Entra's refusals: one table of code, OAuth error, HTTP status and sentence, and how they look on the wire.

Owns: the words. Does not own: when a refusal applies.

Sources: "ref" is "Microsoft Entra authentication and authorization error codes" (MicrosoftDocs/entra-docs,
docs/identity-platform/reference-error-codes.md); the others are public threads that quote the sentence verbatim.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from starlette.responses import HTMLResponse, JSONResponse, Response

from provision.sandbox.directory import Clock
from provision.sandbox.entra.pages import render


class Refusal(NamedTuple):
    """One row: the OAuth error, the status at the token endpoint, the sentence with placeholders, where it is from."""

    oauth_error: str
    status: int
    text: str
    source: str = "ref"
    suberror: str | None = None


_FIC = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
_CERTIFICATES = (
    "Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials"
)
_INSTALLED = (
    "This can happen if the application has not been installed by the administrator of the tenant or consented to by "
    "any user in the tenant. You m{may} have sent your authentication request to the wrong tenant."
)

TABLE: dict[int, Refusal] = {
    16000: Refusal(
        "interaction_required",
        400,
        "Either multiple user identities are available for the current request or selected account is not supported "
        "for the scenario.",
    ),
    28000: Refusal(
        "invalid_scope",
        400,
        "Provided value for the input parameter scope is not valid because it contains more than one resource. "
        "Scope {scope} is not valid.",
        "AzureAD/microsoft-authentication-library-for-js#1446",
    ),
    50011: Refusal(
        "invalid_request",
        400,
        "The redirect URI '{redirect}' specified in the request does not match the redirect URIs configured for the "
        "application '{app}'. Make sure the redirect URI sent in the request matches one added to your application in "
        "the Azure portal. Navigate to https://aka.ms/redirectUriMismatchError to learn more about how to "
        "troubleshoot this error.",
    ),
    50013: Refusal("invalid_grant", 400, "Assertion failed signature validation. [Reason - {reason}]"),
    50020: Refusal(
        "invalid_request",
        400,
        "User account '{user}' from identity provider '{idp}' does not exist in tenant '{tenant}' and cannot access "
        "the application '{app}'({name}) in that tenant. The account needs to be added as an external user in the "
        "tenant first. Sign out and sign in again with a different Azure Active Directory user account.",
    ),
    50027: Refusal("invalid_request", 400, "JWT token is invalid or malformed."),
    50034: Refusal(
        "invalid_grant",
        400,
        "The user account {user} does not exist in the {tenant} directory. To sign into this application, the account "
        "must be added to the directory.",
    ),
    50053: Refusal(
        "invalid_grant",
        400,
        "The account is locked, you've tried to sign in too many times with an incorrect user ID or password.",
    ),
    50057: Refusal("invalid_grant", 400, "The user account is disabled."),
    50058: Refusal(
        "login_required",
        400,
        "A silent sign-in request was sent but no user is signed in.",
    ),
    50059: Refusal(
        "invalid_request",
        400,
        "No tenant-identifying information found in either the request or implied by any provided credentials.",
    ),
    50072: Refusal(
        "interaction_required",
        400,
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
        "enroll in multi-factor authentication to access '{resource}'.",
        suberror="basic_action",
    ),
    50076: Refusal(
        "interaction_required",
        400,
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
        "use multi-factor authentication to access '{resource}'.",
        suberror="basic_action",
    ),
    50079: Refusal(
        "interaction_required",
        400,
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
        "enroll in multi-factor authentication to access '{resource}'.",
        suberror="basic_action",
    ),
    50105: Refusal(
        "interaction_required",
        400,
        "Your administrator has configured the application {name} ('{app}') to block users unless they are "
        "specifically granted ('assigned') access to the application. The signed-in user '{user}' is blocked because "
        "they are not a direct member of a group with access, nor had access directly assigned by an administrator. "
        "Please contact your administrator to assign access to this application.",
    ),
    50126: Refusal("invalid_grant", 400, "Error validating credentials due to invalid username or password."),
    50173: Refusal(
        "invalid_grant",
        400,
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
        "changed or reset their password. The grant was issued on '{issued}' and the TokensValidFrom date (before "
        "which tokens are not valid) for this user is '{valid_from}'.",
        suberror="bad_token",
    ),
    50194: Refusal(
        "invalid_request",
        400,
        "Application '{app}'({name}) is not configured as a multi-tenant application. Usage of the /common endpoint "
        "is not supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the "
        "application to be multi-tenant.",
    ),
    53000: Refusal(
        "interaction_required",
        400,
        "Device is not in required device state: {state}. Conditional Access policy requires a compliant device, and "
        "the device is not compliant. The user must enroll their device with an approved MDM provider like Intune.",
        suberror="message_only",
    ),
    53003: Refusal(
        "access_denied",
        400,
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
        suberror="message_only",
    ),
    54005: Refusal(
        "invalid_grant",
        400,
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing "
        "refresh token.",
        "AzureAD/microsoft-identity-web#2328",
    ),
    65001: Refusal(
        "invalid_grant",
        400,
        "The user or administrator has not consented to use the application with ID '{app}' named '{name}'. Send an "
        "interactive authorization request for this user and resource.",
        suberror="consent_required",
    ),
    65004: Refusal("access_denied", 400, "User declined to consent to access the app."),
    70000: Refusal("invalid_grant", 400, "The provided value for the '{name}' parameter is not valid."),
    70003: Refusal("unsupported_grant_type", 400, "The app requested an unsupported grant type '{grant}'."),
    70007: Refusal(
        "unsupported_response_mode",
        400,
        "'{mode}' is not a supported value of 'response_mode' when requesting a token.",
    ),
    70008: Refusal(
        "invalid_grant",
        400,
        "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive "
        "authorization request for this user and resource.",
    ),
    70011: Refusal(
        "invalid_scope",
        400,
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        "'scope' is not valid. The scope {scope} is not valid.{reason}",
        "Azure/azure-powershell#22180",
    ),
    70016: Refusal(
        "authorization_pending",
        400,
        "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
    ),
    70018: Refusal("bad_verification_code", 400, "Invalid verification code."),
    70020: Refusal(
        "expired_token",
        400,
        "The provided value for the input parameter 'device_code' is not valid. This device code has expired.",
    ),
    70025: Refusal(
        "invalid_client", 401, "The client '{app}'({name}) has no configured federated identity credentials."
    ),
    90002: Refusal(
        "invalid_request",
        400,
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    90014: Refusal(
        "invalid_request",
        400,
        "The required field '{name}' is missing from the credential. Ensure that you have all the necessary "
        "parameters for the login request.",
    ),
    90023: Refusal("invalid_request", 400, "The authentication service request is not valid: {reason}."),
    90094: Refusal(
        "access_denied",
        400,
        "Admin consent is required for the permissions requested by this application. An admin has to grant consent "
        "to '{app}'({name}).",
    ),
    165000: Refusal(
        "invalid_request",
        400,
        "Invalid Request: Request tokens do not match the user context. Do not copy the user context values (cookies; "
        "form fields; headers) between different requests or user sessions; always maintain the ALL of the supplied "
        "values across a complete single user flow.",
        "MicrosoftDocs/azure-docs#47121",
    ),
    500011: Refusal(
        "invalid_resource",
        400,
        "The resource principal named {resource} was not found in the tenant named {tenant}. "
        + _INSTALLED.replace("{may}", "ight"),
        "rootinc/laravel-azure-middleware#51",
    ),
    500112: Refusal(
        "invalid_client",
        400,
        "The reply address '{redirect}' does not match the reply address '{expected}' provided when requesting "
        "Authorization code.",
    ),
    500113: Refusal(
        "invalid_request",
        400,
        "No reply address is registered for the application.",
        "OneDrive/onedrive-sample-apibrowser-dotnet#27",
    ),
    501481: Refusal(
        "invalid_grant",
        400,
        "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
    ),
    530035: Refusal("access_denied", 400, "Access has been blocked by security defaults."),
    650053: Refusal(
        "invalid_client",
        400,
        "The application '{name}' asked for scope '{scope}' that doesn't exist on the resource '{resource}'. Contact "
        "the app vendor.",
    ),
    650056: Refusal(
        "invalid_client",
        400,
        "Misconfigured application. This could be due to one of the following: the client has not listed any "
        "permissions for '{resource}' in the requested permissions in the client's application registration. Or, the "
        "admin has not consented in the tenant. Or, check the application identifier in the request to ensure it "
        "matches the configured client application identifier. Or, check the certificate in the request to ensure "
        "it's valid. Please contact your admin to fix the configuration or consent on behalf of the tenant. Client "
        "app ID: {app}.",
    ),
    650057: Refusal(
        "invalid_resource",
        400,
        "Invalid resource. The client has requested access to a resource which is not listed in the requested "
        "permissions in the client's application registration. Client app ID: {app}({name}). Resource value from "
        "request: {value}. Resource app ID: {resource}. List of valid resources from app registration: {valid}.",
    ),
    700016: Refusal(
        "unauthorized_client",
        400,
        "Application with identifier '{app}' was not found in the directory '{tenant}'. "
        + _INSTALLED.replace("{may}", "ay"),
    ),
    700021: Refusal(
        "invalid_client",
        401,
        "Client assertion application identifier doesn't match 'client_id' parameter. " + _CERTIFICATES + ".",
    ),
    700023: Refusal(
        "invalid_client", 401, "Client assertion audience claim does not match Realm issuer. " + _CERTIFICATES + "."
    ),
    700024: Refusal(
        "invalid_client",
        401,
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {start}, "
        "expiry time of assertion {end}. " + _CERTIFICATES + " .",
        "AzureAD/microsoft-authentication-library-for-dotnet#4951",
    ),
    700025: Refusal(
        "invalid_client",
        401,
        "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
    ),
    700027: Refusal(
        "invalid_client",
        401,
        "Client assertion failed signature validation. [Reason - {reason}, Thumbprint of key used by client: "
        "'{thumbprint}', Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured "
        "keys for app Id '{app}'. Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to "
        "determine the corresponding service endpoint and "
        "https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query "
        "request URL, such as 'https://graph.microsoft.com/beta/applications/{app}'].",
        "AzureAD/passport-azure-ad#453",
    ),
    700051: Refusal(
        "unsupported_response_type",
        400,
        "response_type 'token' is not enabled for the application.",
        "AzureAD/microsoft-authentication-library-for-js#766",
    ),
    700054: Refusal(
        "unsupported_response_type",
        400,
        "response_type 'id_token' is not enabled for the application.",
        "AzureAD/microsoft-authentication-library-for-js#3463",
    ),
    700082: Refusal(
        "invalid_grant",
        400,
        "The refresh token has expired due to inactivity. The token was issued on {issued} and was inactive for "
        "{inactive}.",
    ),
    700084: Refusal(
        "invalid_grant",
        400,
        "The refresh token was issued to a single page app (SPA), and therefore has a fixed, limited lifetime of "
        "1.00:00:00, which can't be extended. It is now expired and a new sign in request must be sent by the SPA to "
        "the sign in page. The token was issued on {issued}.",
    ),
    700211: Refusal(
        "invalid_client",
        401,
        "No matching federated identity record found for presented assertion issuer '{value}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion. " + _FIC,
        "Azure/azure-workload-identity#1200",
    ),
    700212: Refusal(
        "invalid_client",
        401,
        "No matching federated identity record found for presented assertion audience '{value}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion. " + _FIC,
        "Azure/azure-workload-identity#340",
    ),
    700213: Refusal(
        "invalid_client",
        401,
        "No matching federated identity record found for presented assertion subject '{value}'. Check your federated "
        "identity credential Subject, Audience and Issuer against the presented assertion. " + _FIC,
        "Azure/login#482",
    ),
    900023: Refusal(
        "invalid_request",
        400,
        "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
    ),
    900144: Refusal("invalid_request", 400, "The request body must contain the following parameter: '{name}'."),
    900561: Refusal(
        "invalid_request",
        400,
        "The endpoint only accepts {allowed} requests. Received a {method} request.",
        "JetBrains/teamcity-azure-active-directory#60",
    ),
    900971: Refusal("invalid_request", 400, "No reply address provided.", "MicrosoftDocs/azure-docs#72093"),
    1002012: Refusal(
        "invalid_scope",
        400,
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    7000112: Refusal("unauthorized_client", 400, "Application '{app}'({name}) is disabled."),
    7000215: Refusal(
        "invalid_client",
        401,
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not "
        "the client secret ID, for a secret added to app '{app}'.",
        "Azure/sap-automation#418",
    ),
    7000218: Refusal(
        "invalid_client",
        401,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
    ),
    7000222: Refusal(
        "invalid_client",
        401,
        "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for "
        "your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: "
        "https://aka.ms/certCreds.",
    ),
    7000229: Refusal(
        "invalid_client",
        401,
        "The client application {app} is missing service principal in the tenant {tenant}. See instructions here: "
        "https://go.microsoft.com/fwlink/?linkid=2225119",
        "Teams SDK, Authentication Troubleshooting",
    ),
    7002138: Refusal(
        "invalid_client",
        401,
        "No matching federated identity record found for presented assertion subject '{value}'. The subject matches "
        "with case-insensitive comparison, but not with case-sensitive comparison. Check your federated identity "
        "credential Subject, Audience and Issuer against the presented assertion. See documentation at: " + _FIC,
        "Azure/login#515",
    ),
    9001023: Refusal(
        "invalid_request",
        400,
        "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or "
        "tenant-specific endpoint.",
    ),
    9002325: Refusal(
        "invalid_request",
        400,
        "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
    ),
    9002326: Refusal(
        "invalid_request",
        400,
        "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request "
        "origin: '{origin}'.",
        "umijs/umi-request#299",
    ),
    9002327: Refusal(
        "invalid_request",
        400,
        "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin requests.",
        "clocked0ne/passport-outlook#16",
    ),
    9002332: Refusal(
        "invalid_request",
        400,
        "Application '{app}'({name}) is configured for use by Azure Active Directory users only. Please do not use the "
        "/consumers endpoint to serve this request.",
        "public notes on winget's download service, which quote it",
    ),
    9002346: Refusal(
        "invalid_request",
        400,
        "Application '{app}'({name}) is configured for use by Microsoft Account users only. Please use the /consumers "
        "endpoint to serve this request.",
        "oxalica/onedrive-api#3",
    ),
}
"""Every refusal that the local Entra knows; a new one is one row."""


class EntraError(Exception):
    """A refusal of the table with its placeholders filled in.

    Args:
        code: the AADSTS number.
        values: the placeholders' values; never a secret.
    """

    def __init__(self, code: int, **values: str) -> None:
        self.code = code
        self.refusal = TABLE[code]
        self.reason = self.refusal.text.format(**values)
        self.sentence = f"AADSTS{code}: {self.reason}"
        super().__init__(self.sentence)


def required(values: Mapping[str, str], name: str) -> str:
    """A request parameter; raises EntraError 900144 when it is missing."""
    value = values.get(name)
    if not value:
        raise EntraError(900144, name=name)
    return value


@dataclass(frozen=True)
class Incident:
    """The identifiers that Entra prints under every refusal."""

    trace_id: str
    correlation_id: str
    timestamp: str

    @classmethod
    def new(cls, clock: Clock, correlation_id: str | None) -> Incident:
        """Fresh identifiers; the client's own correlation id is echoed when it is a GUID."""
        try:
            correlation = str(uuid.UUID(correlation_id)) if correlation_id else str(uuid.uuid4())
        except ValueError:
            correlation = str(uuid.uuid4())
        return cls(str(uuid.uuid4()), correlation, clock.iso().replace("T", " "))

    def describe(self, error: EntraError) -> str:
        """The ``error_description``: the sentence and the identifiers."""
        return (
            f"{error.sentence} Trace ID: {self.trace_id} Correlation ID: {self.correlation_id} "
            f"Timestamp: {self.timestamp}"
        )


def json_refusal(error: EntraError, incident: Incident, login_base: str) -> Response:
    """The token endpoint's answer."""
    body: dict[str, Any] = {
        "error": error.refusal.oauth_error,
        "error_description": incident.describe(error),
        "error_codes": [error.code],
        "timestamp": incident.timestamp,
        "trace_id": incident.trace_id,
        "correlation_id": incident.correlation_id,
        "error_uri": f"{login_base}/error?code={error.code}",
    }
    if error.refusal.suberror:
        body["suberror"] = error.refusal.suberror
    return JSONResponse(body, status_code=error.refusal.status, headers={"Cache-Control": "no-store"})


def html_refusal(error: EntraError, incident: Incident) -> Response:
    """The browser's page, shown where a redirect cannot be trusted; Entra sends it as an ordinary page (200)."""
    page = render("error.html", title="Sign in to your account", sentence=error.sentence, incident=incident)
    return HTMLResponse(page, headers={"Cache-Control": "no-store", "X-Frame-Options": "DENY"})
