"""What Microsoft's and Google's answers mean: a row for each SMTP reply, AADSTS code, Graph or EWS refusal, broken
connection.

Owns: the words by which an answer is known, its meaning, what to do, the layers that it can come from. Does not own:
finding them in a text (``explain``). Microsoft says never to branch on AADSTS numbers ("Microsoft Entra authentication
and authorization error codes", "ref" below); they choose help text here, and rank causes that were found otherwise.

Phrases are compared without spaces and letter case, for texts are wrapped and localized around them. ``general`` rows
count only when no other row of the same enhanced status is met, and say less than who tried it himself knows.
"not read" in ``source``: Microsoft's own text for it was not found; the row follows reports.
"""

from __future__ import annotations

from dataclasses import dataclass

_ADMIN = "https://admin.microsoft.com"
_SWITCH = (
    f"Microsoft 365 admin center ({_ADMIN}) > Users > Active users > the mailbox > Mail > Manage email apps > tick "
    "Authenticated SMTP; or in PowerShell: Set-CASMailbox -Identity user@domain.com "
    "-SmtpClientAuthenticationDisabled $false"
)
_BETTER = "Better: send through Microsoft Graph, which needs no SMTP AUTH, or through SMTP with OAuth (SMTP.Send)."
_APP = "Entra admin center > App registrations > the application"
_ENTERPRISE = "Entra admin center > Enterprise applications > the application"
_AUTHENTICATION = f"{_APP} > Authentication"
_SECRETS = f"{_APP} > Certificates & secrets > New client secret"
_SIGN_IN_AGAIN = "The user signs in again in the product (Connect to Microsoft)."
_CONSENT = (
    f"{_APP} > API permissions > Grant admin consent, or open the admin consent address; provision up does the same"
)
_ODE = "Microsoft, Fix issues with printers, scanners, and LOB applications that send email using Microsoft 365"
_REF = "ref"


@dataclass(frozen=True)
class Code:
    """One answer that is known."""

    id: str
    """Stable name: ``AADSTS50011``, ``smtp-tenant-off``."""
    family: str
    """smtp, entra, graph, ews, google or connection; unknown for what stands for all others."""
    means: str
    """One sentence."""
    remedy: str
    """What to do, with the portal's path."""
    phrases: tuple[str, ...] = ()
    """Any of these words in the text; compared without spaces and letter case."""
    status: str = ""
    """Enhanced SMTP status, such as 5.7.139."""
    layers: tuple[str, ...] = ()
    """Where it can come from (``layers``), the likeliest first; empty when it does not tell."""
    general: bool = False
    """Whether the status alone is enough, when nothing more exact is met."""
    source: str = _REF


_SMTP = (
    Code(
        "smtp-tenant-off",
        "smtp",
        "SMTP AUTH is off for the whole organization and the mailbox has no exception; OAuth is refused, too.",
        f"{_SWITCH}. Leave the organization's switch off. {_BETTER}",
        ("SmtpClientAuthentication is disabled for the Tenant",),
        "5.7.139",
        ("organisation-off",),
        source="simonrob/email-oauth2-proxy#193; nodemailer/nodemailer#1484",
    ),
    Code(
        "smtp-mailbox-off",
        "smtp",
        "SMTP AUTH is switched off for this very mailbox.",
        f"{_SWITCH}. {_BETTER}",
        ("SmtpClientAuthentication is disabled for the Mailbox",),
        "5.7.139",
        ("mailbox-off",),
        source="not read: reports of the sentence, none by Microsoft",
    ),
    Code(
        "smtp-credentials",
        "smtp",
        "The name or the password is wrong, or the account has multifactor authentication and the normal password was "
        "used.",
        "Check the user principal name and the password. With MFA take an app password: "
        f"https://aka.ms/mysecurityinfo > Add sign-in method > App password. {_BETTER}",
        ("the user credentials were incorrect",),
        "5.7.139",
        ("credentials", "mfa"),
        source="freescout-help-desk/freescout#4930",
    ),
    Code(
        "smtp-security-defaults",
        "smtp",
        "Security Defaults are on: they block every sign-in by password over SMTP, app passwords too.",
        "Send through Microsoft Graph or SMTP with OAuth; both work with Security Defaults on. Only if neither can be: "
        "Entra admin center > Overview > Properties > Manage security defaults, which lowers the whole tenant's "
        "security.",
        ("user is locked by your organization's security defaults policy", "security defaults policy"),
        "5.7.139",
        ("security-defaults",),
        source="https://docs.bookyourpto.com/features/smtp-troubleshoot; Security defaults in Microsoft Entra ID",
    ),
    Code(
        "smtp-criteria",
        "smtp",
        "A policy refused the sign-in: usually Conditional Access that blocks legacy authentication, else MFA or the "
        "mailbox's switch.",
        "Entra admin center > Monitoring > Sign-in logs > the user > Conditional Access names the policy. "
        f"{_BETTER} Else exclude this one sender from the policy, and keep the mailbox's switch on.",
        ("the request did not meet the criteria to be authenticated successfully",),
        "5.7.139",
        ("conditional-access", "security-defaults", "mfa", "mailbox-off"),
        source="https://docs.bookyourpto.com/features/smtp-troubleshoot",
    ),
    Code(
        "smtp-basic-disabled",
        "smtp",
        "Exchange Online takes no password here at all: an authentication policy blocks Basic SMTP, or Microsoft's own "
        "default does (from the end of December 2026).",
        f"{_BETTER} An authentication policy is seen by: Get-User user@domain.com | Format-List AuthenticationPolicy, "
        "and lets Basic SMTP through by: Set-AuthenticationPolicy -Identity POLICY -AllowBasicAuthSmtp.",
        ("basic authentication is disabled",),
        "5.7.139",
        ("off-by-default", "authentication-policy"),
        source="nodemailer/nodemailer#1714; lukevella/rallly#3154; rpremraj/mailR#107",
    ),
    Code(
        "smtp-account-locked",
        "smtp",
        "The account is locked for a while after too many wrong passwords (smart lockout).",
        "Stop every program that still uses an old password, wait, then try again; the sign-in log shows AADSTS50053.",
        ("the user account is locked", "account is locked"),
        "5.7.139",
        ("locked",),
        source="not read",
    ),
    Code(
        "smtp-5.7.139",
        "smtp",
        "Exchange Online refused the sign-in; the words that say why are missing or not known here.",
        "Copy the whole line of the answer. Entra admin center > Monitoring > Sign-in logs shows the reason.",
        status="5.7.139",
        general=True,
        source="as the rows above",
    ),
    Code(
        "smtp-5.7.3",
        "smtp",
        "The sign-in is refused without a reason. With OAuth: the token is expired, is for another user, or is for "
        "Microsoft Graph where SMTP.Send of Outlook is wanted. With a password: wrong, or MFA, or no mailbox.",
        "With OAuth ask for https://outlook.office.com/SMTP.Send as the mailbox's own user. With a password check it, "
        f"the licence, MFA, Security Defaults and the switch: {_SWITCH}.",
        ("535 5.7.3", "5.7.3 Authentication unsuccessful"),
        "5.7.3",
        ("token", "credentials", "no-mailbox", "mailbox-type", "mfa", "security-defaults"),
        general=True,
        source=f"{_ODE}; tarickb/sasl-xoauth2#43; rustdesk/rustdesk-server-pro#942",
    ),
    Code(
        "smtp-5.7.57",
        "smtp",
        "A mail was handed in before the client had signed in: the sign-in was left out or had failed before.",
        "Turn on authentication in the program (SMTP AUTH, STARTTLS, port 587), and look at the answer to AUTH.",
        ("Client not authenticated to send mail", "Client was not authenticated to send anonymous mail"),
        "5.7.57",
        general=True,
        source=_ODE,
    ),
    Code(
        "smtp-retired",
        "smtp",
        "Microsoft has retired Basic authentication for SMTP submission: no password works any more, nor smtp-legacy.",
        "Send through Microsoft Graph, or through SMTP with OAuth (SMTP.Send), which stays.",
        ("Basic authentication is not supported for Client Submission",),
        "5.7.30",
        ("retired",),
        general=True,
        source="Microsoft, Exchange Online to retire Basic auth for Client Submission (techcommunity 4114750)",
    ),
    Code(
        "smtp-send-as",
        "smtp",
        "The sender's address is not the signed-in mailbox's, and it holds no Send As permission on it.",
        "Send as the signed-in address, or give it: Add-RecipientPermission -Identity sender@domain.com -Trustee "
        "user@domain.com -AccessRights SendAs; Exchange admin center > Recipients > Mailboxes > Delegation.",
        ("SendAsDenied", "does not have permissions to send as this sender"),
        "5.7.60",
        ("send-as",),
        general=True,
        source=_ODE,
    ),
    Code(
        "smtp-connections",
        "smtp",
        "More than three connections at once for one mailbox.",
        "Let the program use at most three connections, and try again after a pause; nothing has to be switched.",
        (
            "concurrent connection limit exceeded",
            "sender thread limit exceeded",
            "concurrent connections limit exceeded",
        ),
        "4.3.2",
        ("connections",),
        general=True,
        source="Microsoft, Changes coming to the SMTP Authenticated Submission client protocol (techcommunity 607825)",
    ),
    Code(
        "smtp-quota",
        "smtp",
        "The mailbox has reached 10,000 recipients within a day.",
        "Wait 24 hours; no administrator can lift it. Spread the mails, or use Azure Communication Services Email.",
        ("SubmissionQuotaExceededException",),
        "5.2.0",
        ("recipient-quota",),
        source="MicrosoftDocs/OfficeDocs-Support#1150; MicrosoftDocs/OfficeDocs-Exchange#2433",
    ),
    Code(
        "smtp-no-mailbox",
        "smtp",
        "The account has no mailbox that can send so: no Exchange Online licence, deleted, a room or equipment.",
        f"{_ADMIN} > Users > Active users > the user > Licenses and apps > Exchange Online; a new mailbox needs some "
        "minutes.",
        ("Mailbox cannot be accessed", "Mailbox unavailable or not found"),
        "5.2.1",
        ("no-mailbox", "mailbox-type"),
        source="not read at Microsoft for submission; Microsoft's non-delivery codes name 5.2.1 for disabled mailboxes",
    ),
    Code(
        "smtp-restricted-sender",
        "smtp",
        "Microsoft restricts the mailbox, because it sent what looked like spam.",
        "Make sure that the account is not in other hands, then Microsoft Defender portal > Email & collaboration > "
        "Review > Restricted entities > Unblock.",
        ("Bad outbound sender",),
        "5.1.8",
        ("restricted-sender",),
        general=True,
        source=_ODE,
    ),
    Code(
        "smtp-old-tls",
        "smtp",
        "The program speaks TLS 1.0 or 1.1, which Exchange Online refuses.",
        "Update the program or its system to TLS 1.2. smtp-legacy.office365.com lowers security for every mailbox "
        "(Set-TransportConfig -AllowLegacyTLSClients $true); only for a device that cannot be updated.",
        ("TLS 1.0 and 1.1 are not supported",),
        "4.7.66",
        ("tls",),
        general=True,
        source="https://m365scripts.com/security/opt-in-to-the-exchange-online-endpoint-for-legacy-tls-clients-using-smtp-auth/",
    ),
    Code(
        "smtp-starttls",
        "smtp",
        "The program did not encrypt the connection before it signed in or handed in a mail.",
        "Turn on STARTTLS (some programs call it TLS or Auto), port 587.",
        ("Must issue a STARTTLS command first",),
        layers=("tls",),
        source="RFC 3207; not read at Microsoft",
    ),
    Code(
        "smtp-no-such-mechanism",
        "smtp",
        "The way of signing in that the program chose is not offered: before STARTTLS none is.",
        "Turn on STARTTLS; let the program use AUTH LOGIN or XOAUTH2.",
        ("Unrecognized authentication type",),
        "5.7.4",
        ("tls",),
        source="reports",
    ),
)

_GOOGLE = (
    Code(
        "google-app-password-required",
        "google",
        "Google: 2-Step Verification is on and the normal password was used.",
        "Make an app password at https://myaccount.google.com/apppasswords and enter it in the product.",
        ("Application-specific password required", "InvalidSecondFactor"),
        "5.7.9",
        ("mfa",),
        general=True,
        source="https://support.google.com/accounts/answer/185833",
    ),
    Code(
        "google-bad-credentials",
        "google",
        "Google: the address or the app password is wrong, or the app password was revoked (a changed password does).",
        "Make a new app password at https://myaccount.google.com/apppasswords; no app passwords there means: turn on "
        "2-Step Verification, which the company's administrator must allow.",
        ("Username and Password not accepted", "p=BadCredentials"),
        "5.7.8",
        ("credentials",),
        general=True,
        source="https://support.google.com/a/answer/3726730",
    ),
    Code(
        "google-daily-limit",
        "google",
        "Google: the account has reached its mails for one day.",
        "Wait up to 24 hours, or spread the mails.",
        ("Daily user sending quota exceeded", "Daily user sending limit exceeded"),
        "5.4.5",
        ("recipient-quota",),
        general=True,
        source="gen-smtp/gen_smtp#140; https://support.google.com/a/answer/3726730",
    ),
    Code(
        "google-temporary",
        "google",
        "Google: signing in failed for now, or too many requests or connections.",
        "Try again in some minutes, with fewer connections.",
        ("454 4.7.0", "454-4.7.0", "421 4.7.0", "421-4.7.0"),
        layers=("connections",),
        source="https://support.google.com/a/answer/3726730",
    ),
    Code(
        "google-relay-peak",
        "google",
        "Google: the relay's peak rate is reached.",
        "Try again later, more slowly.",
        ("Peak SMTP relay limit exceeded",),
        "4.2.1",
        ("connections",),
        source="https://support.google.com/a/answer/3726730",
    ),
)


def _entra(number: str, means: str, remedy: str, *layers: str, source: str = _REF) -> Code:
    return Code(f"AADSTS{number}", "entra", means, remedy, layers=layers, source=source)


_WRONG_TENANT = "Check the Directory (tenant) ID in the product, or invite the account as a guest."
_WEB = (
    f"{_AUTHENTICATION}: remove the URI under Single-page application and add it under Web; provision up does the same."
)

_ENTRA = (
    _entra(
        "50011",
        "The redirect URI of the request is not registered; letter case, slash and https count.",
        f"{_AUTHENTICATION} > Web: enter exactly the address that the product shows, company code included.",
        "redirect",
    ),
    _entra(
        "500113",
        "The application has no redirect URI at all.",
        f"{_AUTHENTICATION} > Add a platform > Web: the address that the product shows.",
        "redirect",
        source="OneDrive/onedrive-sample-apibrowser-dotnet#27",
    ),
    _entra(
        "900971",
        "The request names no redirect URI, or none is registered.",
        f"{_AUTHENTICATION} > Add a platform > Web: the address that the product shows.",
        "redirect",
    ),
    _entra("50020", "The account does not belong to this tenant.", _WRONG_TENANT, "credentials"),
    _entra("50034", "There is no such account in this tenant.", _WRONG_TENANT, "credentials"),
    _entra(
        "50053",
        "The account is locked after wrong passwords, or the sender's IP address is blocked.",
        "Wait, or unblock it; the sign-in log tells which. Find the program that still uses an old password.",
        "locked",
    ),
    _entra(
        "50057",
        "The account is disabled.",
        f"{_ADMIN} > Users > Active users > the account > Unblock sign-in.",
        "credentials",
    ),
    _entra("50126", "The name or the password is wrong.", "Enter them again, or reset the password.", "credentials"),
    _entra(
        "50076",
        "Multifactor authentication is asked for, and a program cannot answer.",
        f"{_SIGN_IN_AGAIN} Over SMTP with a password only an app password passes.",
        "mfa",
    ),
    _entra("50079", "The user must first register for MFA.", "The user registers at https://aka.ms/mfasetup.", "mfa"),
    _entra("50072", "The user must first register for MFA.", "The user registers at https://aka.ms/mfasetup.", "mfa"),
    _entra(
        "50105",
        "The user is not assigned to the application.",
        f"{_ENTERPRISE} > Users and groups > Add user; or Properties > Assignment required: No.",
        "assignment",
    ),
    _entra("50173", "The sign-in was revoked: password changed or sessions ended.", _SIGN_IN_AGAIN, "token"),
    _entra(
        "50194",
        "The application is single-tenant and the product asks at /common.",
        f"Let the product ask at the tenant's own id; else {_AUTHENTICATION} > Supported account types > multitenant.",
        "registration",
    ),
    _entra(
        "53000",
        "Conditional Access wants a device that complies.",
        "Sign in on such a device, or let the administrator except the application.",
        "conditional-access",
    ),
    _entra(
        "53003",
        "Conditional Access blocks the sign-in.",
        "Entra admin center > Monitoring > Sign-in logs > Conditional Access names the policy.",
        "conditional-access",
    ),
    _entra(
        "530034",
        "A delegated administrator was blocked because of the tenant's risk.",
        "An administrator of the customer's own tenant signs in instead.",
        "conditional-access",
    ),
    _entra(
        "530035",
        "Security Defaults block it: legacy authentication.",
        "Send through Microsoft Graph or SMTP with OAuth. Instead of switching Security Defaults off, "
        "Conditional Access can except one sender.",
        "security-defaults",
    ),
    _entra(
        "54005", "The sign-in's code was used twice.", f"{_SIGN_IN_AGAIN} Do not reload the callback page.", "token"
    ),
    _entra("65001", "Nobody has consented to the application's permissions.", f"{_CONSENT}.", "consent"),
    _entra("65004", "The user declined to consent.", f"Try again and accept; or {_CONSENT}.", "consent"),
    _entra(
        "650056",
        "The application lists no permission for what is asked, or nobody has consented.",
        f"{_APP} > API permissions > Add: Mail.Send, User.Read, offline_access; then {_CONSENT}.",
        "consent",
    ),
    _entra(
        "650057",
        "The product asks for a resource that the application does not list.",
        f"{_APP} > API permissions > Add a permission: Microsoft Graph (Mail.Send) or Office 365 Exchange Online "
        f"(SMTP.Send); then {_CONSENT}.",
        "consent",
    ),
    _entra("70008", "The sign-in has expired.", _SIGN_IN_AGAIN, "token"),
    _entra("700082", "The sign-in has expired from disuse.", _SIGN_IN_AGAIN, "token"),
    _entra(
        "7000112",
        "The application is switched off in this tenant.",
        f"{_ENTERPRISE} > Properties > Enabled for users to sign-in: Yes.",
        "application-off",
    ),
    _entra(
        "700016",
        "The tenant does not know the application: wrong client id, wrong tenant, or nobody has consented there yet.",
        "Compare ClientId and TenantId with App registrations > Overview. A multitenant application needs "
        "admin consent in this tenant first.",
        "registration",
    ),
    _entra(
        "700025",
        "The application is a public client, and the product sends a secret.",
        f"{_AUTHENTICATION}: redirect under Web, Allow public client flows: No.",
        "redirect",
    ),
    _entra(
        "7000215",
        "The client secret is wrong: often its Secret ID was copied instead of its Value.",
        f"{_SECRETS}; copy the Value at once and enter it in the product; provision rotate --now does the same.",
        "secret",
    ),
    _entra(
        "7000218",
        "The product sends no client secret.",
        f"Enter the client secret in the product; {_AUTHENTICATION} > Allow public client flows stays No.",
        "secret",
    ),
    _entra("7000222", "The client secret has expired.", f"{_SECRETS}; or provision rotate --now.", "secret"),
    _entra(
        "7000229",
        "The application has no service principal in this tenant: it was deleted, or nobody has consented here yet.",
        f"{_CONSENT}; a partner's application needs it in each customer's tenant.",
        "registration",
        source="Teams SDK, Authentication Troubleshooting",
    ),
    _entra("90002", "There is no such tenant.", "Check the Directory (tenant) ID and the cloud.", "registration"),
    _entra("90094", "An administrator must consent.", f"{_CONSENT}.", "consent"),
    _entra("90095", "An administrator must consent; the user can ask for it.", f"{_CONSENT}.", "consent"),
    _entra(
        "90130",
        "The application cannot be used at /common or /consumers.",
        "Let the product ask at the tenant's own id.",
        "registration",
    ),
    _entra(
        "9001023",
        "This kind of sign-in does not work at /common or /consumers.",
        "Let the product ask at the tenant's own id.",
        "registration",
    ),
    _entra(
        "9002325",
        "The redirect URI is registered as Single-page application.",
        _WEB,
        "redirect",
        source="not read: the sentence asks for PKCE",
    ),
    _entra(
        "9002326",
        "A browser page redeems the sign-in, which only a Single-page application may.",
        "Let the product's server redeem it; the redirect stays under Web.",
        "redirect",
        source="umijs/umi-request#299",
    ),
    _entra(
        "90023",
        "The request is not valid; with words about cross-origin, the redirect URI is under Single-page application.",
        _WEB,
        "redirect",
        source="clocked0ne/passport-outlook#16",
    ),
    _entra(
        "9002327",
        "The redirect URI is registered as Single-page application instead of Web.",
        _WEB,
        "redirect",
        source="clocked0ne/passport-outlook#16",
    ),
    _entra(
        "1002016",
        "The product's server speaks TLS 1.0 or 1.1 to Microsoft.",
        "Update the server's TLS to 1.2 or later: its outgoing connections (OpenSSL, curl, .NET), not its web site.",
        "tls",
        source="MicrosoftDocs/azure-docs#96851",
    ),
    _entra(
        "500011",
        "The tenant has no such resource.",
        "Check the scope that the product asks for: https://graph.microsoft.com or https://outlook.office.com.",
        "consent",
    ),
    _entra("70011", "The scope that the product asks for is not valid.", "Check its spelling.", "consent"),
    _entra(
        "700051",
        "The product asks for an access token from the sign-in page, which is not switched on.",
        f"{_AUTHENTICATION} > Implicit grant: Access tokens; better: authorization code.",
        "redirect",
    ),
    _entra(
        "700054",
        "The product asks for an ID token from the sign-in page, which is not switched on.",
        f"{_AUTHENTICATION} > Implicit grant: ID tokens.",
        "redirect",
    ),
)


def _graph(name: str, means: str, remedy: str, *layers: str) -> Code:
    source = "Microsoft Graph error responses and resource types"
    return Code(f"graph-{name}", "graph", means, remedy, (name,), layers=layers, source=source)


_GRAPH = (
    _graph(
        "Authorization_RequestDenied",
        "The token lacks the permission for this request.",
        f"{_CONSENT}. The user signs in again afterwards: an old token keeps its old permissions.",
        "consent",
    ),
    _graph(
        "ErrorAccessDenied",
        "The token may not send for this mailbox: Mail.Send is missing, or it is another user's mailbox.",
        f"{_APP} > API permissions > Mail.Send; {_CONSENT}. Delegated Mail.Send sends only as the signed-in user.",
        "consent",
        "send-as",
    ),
    _graph(
        "ErrorSendAsDenied",
        "The signed-in user may not send from this address.",
        "Send as the signed-in address, or give Send As: Exchange admin center > Recipients > Mailboxes > Delegation.",
        "send-as",
    ),
    _graph(
        "InvalidAuthenticationToken",
        "The token is expired, broken, or for another resource.",
        f"{_SIGN_IN_AGAIN} Graph takes tokens for https://graph.microsoft.com only.",
        "token",
    ),
    _graph(
        "MailboxNotEnabledForRESTAPI",
        "The account has no mailbox in Exchange Online: no licence, or its mailbox is on the company's own server.",
        f"{_ADMIN} > Users > Active users > the user > Licenses and apps > Exchange Online.",
        "no-mailbox",
    ),
    _graph(
        "ErrorInvalidUser",
        "There is no such user, or it has no mailbox.",
        "Check the address; give an Exchange Online licence.",
        "no-mailbox",
    ),
    _graph(
        "Request_ResourceNotFound",
        "What the request names is not there, or was made a moment ago and is not seen everywhere.",
        "Check the id; wait a minute after making something.",
        "registration",
    ),
    _graph("Request_BadRequest", "Graph does not understand a value.", "Read its sentence: it names the property."),
    _graph(
        "ErrorExceededMessageLimit",
        "The mailbox has reached its messages or recipients for a day.",
        "Wait 24 hours.",
        "recipient-quota",
    ),
    _graph(
        "ApplicationThrottled",
        "Too many requests for one mailbox: 4 at once, 10,000 in 10 minutes.",
        "Wait as long as Retry-After says, then go on more slowly.",
        "connections",
    ),
    _graph(
        "TooManyRequests",
        "Too many requests.",
        "Wait as long as Retry-After says, then go on more slowly.",
        "connections",
    ),
    _graph(
        "CredentialTypeNotAllowedAsPerAppPolicy",
        "A policy of the tenant forbids client secrets.",
        "Ask the tenant's administrator for an exemption, or use a certificate.",
        "secret",
    ),
    _graph(
        "CredentialInvalidLifetimeAsPerAppPolicy",
        "A policy of the tenant allows shorter client secrets only.",
        "Make one with a shorter lifetime (--secret-months).",
        "secret",
    ),
    _graph(
        "TooManyAppPasswords",
        "The application has two client secrets, and with personal accounts allowed it may have no more.",
        f"{_APP} > Supported account types without personal accounts; remove an old secret.",
        "secret",
    ),
    _graph("Directory_QuotaExceeded", "The tenant or the caller may make no more objects.", "Delete unused ones."),
    _graph("Directory_ConcurrencyViolation", "Two changes met.", "Try again."),
    _graph("Directory_ResourceSizeExceeded", "The object is too big.", "Remove old secrets, URIs or permissions."),
    _graph(
        "Request_MultipleObjectsWithSameKeyValue",
        "Such an object is there already.",
        "Take it over: provision adopt --client-id ID.",
    ),
)

_CONTROL = "Microsoft, Control access to EWS in Exchange (Understand HTTP 403 responses in Exchange Online)"
_EWS_ENDS = (
    "Send through Microsoft Graph: Exchange Online switches Exchange Web Services off from 1 October 2026, and ends "
    "them for everybody on 1 April 2027."
)
_OWN_SERVERS = "The company's own Exchange servers keep EWS."

_EWS = (
    Code(
        "ews-disabled",
        "ews",
        "Exchange Web Services are off for the organization or for this mailbox: one EwsEnabled that is False is "
        "enough, and since 1 October 2026 one that is empty for the organization counts as False.",
        f"{_EWS_ENDS} Until then an administrator can set EwsEnabled to True for the organization and for the mailbox, "
        f"and must list the application in EwsAllowedAppIDs. {_OWN_SERVERS}",
        ("EWS is disabled for this user or tenant",),
        layers=("ews-off", "retired"),
        source=f"{_CONTROL}; MC1015893; MC1227454",
    ),
    Code(
        "ews-blocked",
        "ews",
        "A list keeps this client from Exchange Web Services: the application is not in EwsAllowedAppIDs, or its "
        "User-Agent is not in EwsAllowList or is in EwsBlockList. The answer does not tell which; both must let it in.",
        f"{_EWS_ENDS} Until then: Get-OrganizationConfig -RetrieveEwsOperationAccessPolicy | Format-List "
        "EwsAllowedAppIDs,EwsApplicationAccessPolicy,EwsAllowList,EwsBlockList shows the lists; a change to "
        f"EwsAllowedAppIDs takes up to 24 hours. {_OWN_SERVERS}",
        ("EWS is blocked by policy for this user or tenant",),
        layers=("ews-list",),
        source=_CONTROL,
    ),
    Code(
        "ews-policy",
        "ews",
        "Exchange Online refuses Exchange Web Services by a setting; what its header X-EWS-Policy-Reason says is "
        "missing or not known here.",
        f"Copy the header's whole line. {_EWS_ENDS}",
        ("X-EWS-Policy-Reason",),
        layers=("ews-off", "ews-list", "retired"),
        source=_CONTROL,
    ),
    Code(
        "ews-lists-without-policy",
        "ews",
        "EwsAllowList or EwsBlockList was to be set without saying which of the two counts.",
        "Name it in the same command: -EwsApplicationAccessPolicy EnforceAllowList (or EnforceBlockList). These lists "
        "hold for Microsoft Graph, too.",
        ("EwsApplicationAccessPolicy must be specified",),
        layers=("ews-list",),
        source=f"MicrosoftDocs/microsoft-365-docs#10002; {_CONTROL}",
    ),
    Code(
        "ews-scope",
        "ews",
        "The token carries no permission for Exchange Web Services.",
        f"{_EWS_ENDS} Until then: {_APP} > API permissions > APIs my organization uses > Office 365 Exchange Online > "
        "EWS.AccessAsUser.All (the application's own token: full_access_as_app) > Grant admin consent.",
        ("The token contains not enough scope to make this call",),
        layers=("consent",),
        source="clients' logs (x-ms-diagnostics 2000008); Microsoft, Authenticate an EWS application by using OAuth",
    ),
    Code(
        "ews-audience",
        "ews",
        "The token is for something else than Exchange Online; one for Microsoft Graph is the classic.",
        "Ask for https://outlook.office365.com/EWS.AccessAsUser.All. A token for Microsoft Graph sends through "
        "Microsoft Graph (sendMail), which needs no EWS.",
        ("The audience claim value is invalid",),
        layers=("token",),
        source="clients' logs (x-ms-diagnostics 2000003)",
    ),
    Code(
        "ews-sign-in",
        "ews",
        "Exchange does not accept the sign-in. Exchange Online takes no password for Exchange Web Services, only a "
        "token of its own; a server of the company's own takes NTLM, Basic or a token, as it is set up.",
        "With Exchange Online get a fresh token for https://outlook.office365.com, or better: send through Microsoft "
        "Graph. With an own server check DOMAIN\\user and the password.",
        ("Exchange does not accept the sign-in",),
        layers=("token", "credentials"),
        general=True,
        source="this toolkit's own sentence for HTTP 401",
    ),
    Code(
        "ews-impersonation",
        "ews",
        "Whoever signed in may not act in this mailbox' name.",
        "With Exchange Online the application needs full_access_as_app with admin consent; on an own server: "
        "New-ManagementRoleAssignment -Role ApplicationImpersonation -User NAME.",
        ("The account does not have permission to impersonate the requested user",),
        layers=("consent",),
        source="Microsoft, Configure impersonation; quoted by public clients",
    ),
    Code(
        "ews-nobody-named",
        "ews",
        "The application signed in as itself and did not say for which mailbox.",
        "Let the product send an ExchangeImpersonation header, or let it sign in as the user (EWS.AccessAsUser.All).",
        ("ExchangeImpersonation SOAP header must be present",),
        layers=("token",),
        source="quoted by public clients",
    ),
    Code(
        "ews-no-mailbox",
        "ews",
        "No mailbox has this address here: no licence, deleted, or on the company's own server.",
        f"Check the address; {_ADMIN} > Users > Active users > the user > Licenses and apps > Exchange Online. Where "
        "it is on an own server, ask that one.",
        ("The SMTP address has no mailbox associated with it", "ErrorNonExistentMailbox"),
        layers=("no-mailbox",),
        source="Microsoft, Known issues with Microsoft Graph; ResponseCode (EWS reference)",
    ),
    Code(
        "ews-busy",
        "ews",
        "Too many requests for now.",
        "Wait as long as BackOffMilliseconds or Retry-After says, then go on more slowly.",
        ("ErrorServerBusy",),
        layers=("connections",),
        source="Microsoft, EWS throttling in Exchange",
    ),
)


def _connection(name: str, means: str, remedy: str, *phrases: str, layer: str = "network") -> Code:
    return Code(f"connection-{name}", "connection", means, remedy, phrases, layers=(layer,), source="operating systems")


_NETWORK = "Let the firewall pass outgoing TCP port 587 to smtp.office365.com (443 for Microsoft Graph)."
_CONNECTION = (
    _connection(
        "refused",
        "The server refuses the connection.",
        f"Check host and port. {_NETWORK}",
        "Connection refused",
        "the connection is refused",
    ),
    _connection(
        "no-host",
        "The server's name cannot be looked up.",
        "Check the host name (smtp.office365.com) and the machine's DNS.",
        "Name or service not known",
        "getaddrinfo failed",
        "No such host is known",
        "cannot be reached: no such host",
        "the name cannot be looked up",
        "Temporary failure in name resolution",
    ),
    _connection(
        "timeout",
        "The server does not answer in time, usually because a firewall drops the connection.",
        _NETWORK,
        "Connection timed out",
        "connection attempt failed",
        "ETIMEDOUT",
        "does not answer in time",
        "The operation has timed out",
    ),
    _connection(
        "untrusted",
        "The server's TLS certificate is not trusted: old certificates on this machine, or a proxy that reads along.",
        "Update the machine's certificates, or add the proxy's. Do not switch the check off.",
        "CERTIFICATE_VERIFY_FAILED",
        "is not trusted by",
        "certificate verify failed",
        "The remote certificate is invalid",
        layer="tls",
    ),
)

UNKNOWN = Code(
    "answer-unknown",
    "unknown",
    "The server refused, in words that are not known here.",
    "Read the answer itself; Entra admin center > Monitoring > Sign-in logs may show the reason.",
    source="this toolkit",
)
"""Stands for a live refusal that no other row fits; no text matches it."""

CODES: tuple[Code, ...] = (*_SMTP, *_GOOGLE, *_ENTRA, *_GRAPH, *_EWS, *_CONNECTION, UNKNOWN)
"""Every answer that is known; a new one is a row."""

BY_ID: dict[str, Code] = {code.id: code for code in CODES}
