"""What a support person pastes, in every shape in which it reaches them, and what they are told."""

from __future__ import annotations

import base64
import html
import json
import subprocess
import sys

import pytest

from provision.diagnose.codes import BY_ID, CODES, UNKNOWN
from provision.diagnose.explain import explain
from provision.diagnose.layers import LAYERS

UNSUCCESSFUL = "535 5.7.139 Authentication unsuccessful, "
SERVER = "[AM0PR06CA0126.eurprd06.prod.outlook.com 2026-11-14T14:50:26.590Z 08DC2D372B4C3DED]"

REPLIES = {
    f"{UNSUCCESSFUL}SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for "
    f"more information. {SERVER}": "smtp-tenant-off",
    f"{UNSUCCESSFUL}SmtpClientAuthentication is disabled for the Mailbox. {SERVER}": "smtp-mailbox-off",
    f"{UNSUCCESSFUL}the user credentials were incorrect. {SERVER}": "smtp-credentials",
    f"{UNSUCCESSFUL}user is locked by your organization's security defaults policy. Contact your administrator. "
    f"{SERVER}": "smtp-security-defaults",
    f"{UNSUCCESSFUL}the request did not meet the criteria to be authenticated successfully. Contact your administrator."
    f" {SERVER}": "smtp-criteria",
    f"{UNSUCCESSFUL}basic authentication is disabled. {SERVER}": "smtp-basic-disabled",
    f"{UNSUCCESSFUL}the user account is locked. {SERVER}": "smtp-account-locked",
    f"535 5.7.3 Authentication unsuccessful {SERVER}": "smtp-5.7.3",
    f"530 5.7.57 Client not authenticated to send mail. {SERVER}": "smtp-5.7.57",
    f"550 5.7.30 Basic authentication is not supported for Client Submission. {SERVER}": "smtp-retired",
    "550 5.7.60 SMTP; Client does not have permissions to send as this sender": "smtp-send-as",
    "554 5.2.252 SendAsDenied; ada@contoso.com not allowed to send as bob@contoso.com": "smtp-send-as",
    "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending": "smtp-connections",
    "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded": "smtp-connections",
    "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process": "smtp-quota",
    "550 5.1.8 Bad outbound sender": "smtp-restricted-sender",
    "421 4.7.66 TLS 1.0 and 1.1 are not supported. Please upgrade/update your client": "smtp-old-tls",
    "534-5.7.9 Application-specific password required. Learn more at": "google-app-password-required",
    "535-5.7.8 Username and Password not accepted. For more information": "google-bad-credentials",
    "550 5.4.5 Daily user sending quota exceeded.": "google-daily-limit",
    "454 4.7.0 Too many login attempts, please try again later.": "google-temporary",
    "421 4.7.0 Temporary System Problem.  Try again later": "google-temporary",
    "450 4.2.1 Peak SMTP relay limit exceeded for customer.": "google-relay-peak",
}

CONTROL = "HTTP/1.1 403 Forbidden\r\nrequest-id: 1\r\nX-EWS-Policy-Reason: "
EWS = {
    f"{CONTROL}EWS is disabled for this user or tenant": ["ews-disabled"],
    f"{CONTROL}EWS is blocked by policy for this user or tenant": ["ews-blocked"],
    f"{CONTROL}EWS is closed on Sundays": ["ews-policy"],
    "TransportError: Unknown failure in response. Code: 403 headers: {'X-EWS-Policy-Reason': 'EWS is disabled for this "
    "user or tenant'} content: ": ["ews-disabled"],
    "EwsApplicationAccessPolicy must be specified if to set EwsAllowList or EwsBlockList.": [
        "ews-lists-without-policy"
    ],
    'x-ms-diagnostics: 2000008;reason="The token contains not enough scope to make this call.";': ["ews-scope"],
    "Exchange does not accept the sign-in to open the mailbox (HTTP 401: The audience claim value is invalid 'x'.).": [
        "ews-audience"
    ],
    "Exchange does not accept the sign-in to open the mailbox (HTTP 401).": ["ews-sign-in"],
    "ErrorImpersonateUserDenied: The account does not have permission to impersonate the requested user.": [
        "ews-impersonation"
    ],
    "ExchangeImpersonation SOAP header must be present for this type of OAuth token.": ["ews-nobody-named"],
    "The SMTP address has no mailbox associated with it.": ["ews-no-mailbox"],
    "ErrorServerBusy: The server cannot service this request right now.": ["ews-busy"],
}

AADSTS = [
    "50011", "500113", "900971", "50020", "50034", "50053", "50057", "50126", "50076", "50079", "50072", "50105",
    "50173", "50194", "53000", "53003", "530034", "530035", "54005", "65001", "65004", "650056", "650057", "70008",
    "700082", "7000112", "700016", "700025", "7000215", "7000218", "7000222", "7000229", "90002", "90094", "90095",
    "90130", "9001023", "9002325", "9002326", "90023", "1002016",
]  # fmt: skip
GRAPH = [
    "Directory_ConcurrencyViolation", "Directory_QuotaExceeded", "Directory_ResourceSizeExceeded",
    "Authorization_RequestDenied", "Request_ResourceNotFound", "Request_BadRequest", "InvalidAuthenticationToken",
    "TooManyAppPasswords", "CredentialTypeNotAllowedAsPerAppPolicy", "CredentialInvalidLifetimeAsPerAppPolicy",
]  # fmt: skip


def first(text: str) -> str | None:
    found = explain(text).codes
    return found[0].id if found else None


@pytest.mark.parametrize(("reply", "expected"), REPLIES.items(), ids=lambda value: value[:40])
def test_each_smtp_reply_is_known_by_its_words(reply, expected):
    assert first(reply) == expected


@pytest.mark.parametrize(("text", "expected"), EWS.items(), ids=lambda value: str(value)[-40:])
def test_each_refusal_of_exchange_web_services_is_known_once(text, expected):
    assert [code.id for code in explain(text).codes] == expected


@pytest.mark.parametrize("id", ["ews-disabled", "ews-blocked"])
def test_a_refusal_that_ends_with_the_service_leads_to_graph_first_and_spares_own_servers(id):
    remedy = BY_ID[id].remedy
    assert remedy.startswith("Send through Microsoft Graph")
    assert "1 April 2027" in remedy
    assert remedy.endswith("The company's own Exchange servers keep EWS.")


@pytest.mark.parametrize("number", AADSTS)
def test_each_aadsts_code_is_known_in_a_sentence_and_in_json(number):
    assert first(f"AADSTS{number}: Some words. Trace ID: 1") == f"AADSTS{number}"
    assert first(json.dumps({"error": "invalid_grant", "error_codes": [int(number)]})) == f"AADSTS{number}"


@pytest.mark.parametrize("name", GRAPH)
def test_each_graph_code_is_known(name):
    assert first(json.dumps({"error": {"code": name, "message": "x"}})) == f"graph-{name}"


@pytest.mark.parametrize("code", [code for code in CODES if code is not UNKNOWN], ids=lambda code: code.id)
def test_every_row_can_be_met_and_says_what_to_do(code):
    text = next(iter(code.phrases), None) or (code.id if code.family == "entra" else f"535 {code.status} Refused")
    assert code in explain(text).codes
    assert set(code.layers) <= {layer.id for layer in LAYERS}
    assert code.means.endswith(".")
    assert code.remedy.endswith(("security.", ".")) or "$true" in code.remedy
    assert "Enabled $" not in code.remedy, "the parameter SmtpClientAuthenticationEnabled does not exist"


WRAPS = {
    "wrapped": lambda text: text.replace(" ", "\r\n  "),
    "narrow": lambda text: "\n".join(text[at : at + 24] for at in range(0, len(text), 24)),
    "quoted reply": lambda text: "> " + text.replace(", ", ",\n> "),
    "html": lambda text: f"<p>Se ha producido un error:&nbsp;<b>{html.escape(text).replace(' ', '&#32;')}</b></p>",
    "json in json": lambda text: json.dumps({"log": json.dumps({"message": text})}),
    "spanish": lambda text: f"El servidor respondió: {text} Póngase en contacto con su administrador.",
    "latvian .NET": lambda text: (
        f"SMTP serverim nepieciešams drošs savienojums. Servera atbilde: {text}\r\n   vietā A.B()"
    ),
    "upper case": lambda text: text.upper(),
    "quoted-printable": lambda text: text[:30] + "=\r\n" + text[30:],
    "base64": lambda text: base64.encodebytes(f"Diagnostic-Code: smtp; {text}".encode()).decode(),
    "continued reply": lambda text: text[:24] + "\r\n535-5.7.139 " + text[24:],
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_the_words_are_found_however_they_are_wrapped(wrap):
    for reply, expected in REPLIES.items():
        if reply.startswith(UNSUCCESSFUL):
            assert first(WRAPS[wrap](reply)) == expected, WRAPS[wrap](reply)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("AADSTS7000\n 215: Invalid client secret provided.", "7000215"),
        ("aadsts50011: l'URI di reindirizzamento non corrisponde", "50011"),
        ("Fehlercode: AADSTS 53003 - Zugriff blockiert", "53003"),
        ("https://x.example/cb?error=access_denied&amp;error_description=AADSTS65004%3a+User", "65004"),
    ],
)
def test_an_aadsts_number_is_read_in_any_language_and_over_a_line_break(text, number):
    assert first(text) == f"AADSTS{number}"


def test_several_answers_in_one_text_are_all_explained_the_exact_ones_first():
    text = (
        "The server response was: 5.7.57 Client not authenticated to send mail. Error: 535 5.7.139 Authentication "
        "unsuccessful, SmtpClientAuthentication is disabled for the Tenant.\n"
        "later: AADSTS50126: wrong. AADSTS50053: locked"
    )
    assert [code.id for code in explain(text).codes] == ["smtp-tenant-off", "smtp-5.7.57", "AADSTS50126", "AADSTS50053"]


def test_a_status_whose_words_are_not_known_is_said_to_be_that():
    found = explain("535 5.7.139 Authentication unsuccessful, the moon is full.")
    assert [code.id for code in found.codes] == ["smtp-5.7.139"]
    assert "not known" in found.codes[0].means


def test_a_neighbouring_status_is_not_mistaken():
    assert first("550 5.7.30 something") == "smtp-retired"
    assert first("535 5.7.3 Authentication unsuccessful") == "smtp-5.7.3"
    assert first("550 5.7.300 something") is None
    assert first("version 15.7.3 of the program") is None


def test_an_unknown_text_gets_an_honest_answer_with_what_was_understood():
    trace = "9f3a1e0c-1111-2222-3333-444455556666"
    found = explain(f"AADSTS99999: new. Trace ID: {trace} HTTP/1.1 400")
    assert not found.is_known
    assert found.unknown == ("AADSTS99999",)
    assert found.understood == ("HTTP status 400", f"trace id {trace}")
    assert explain('{"error":{"code":"ErrorSomethingNew"}}').unknown == ("ErrorSomethingNew",)
    nothing = explain("It does not work. Please help!")
    assert (nothing.codes, nothing.unknown, nothing.understood) == ((), (), ())


SECRETS = ("Qq7~8Q.aB3cD4eF5gH6iJ7kL8mN9oP0qR1sT2uV3wX", "abcdefghijklmnop", "hunter2hunter2", "eyJhbGciOiJSUzI1NiJ9")


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_secret_that_was_pasted_along_is_never_shown(form):
    token = SECRETS[3] + ".eyJhdWQiOiIwMDAwMDAwMyJ9.c2lnbmF0dXJl"
    pasted = (
        f"client_secret={SECRETS[0]}&code=0.{SECRETS[1]}\n"
        f"C: AUTH PLAIN {base64.b64encode(b'0u0' + SECRETS[2].encode()).decode()}\n"
        f"Authorization: Bearer {token}\npassword: {SECRETS[2]}\n"
        f'{{"error":"{SECRETS[1]}","error":{{"code":"{SECRETS[1]}"}}}}\n'
        "535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."
    )
    arguments = ["--json"] if form == "json" else []
    done = subprocess.run(
        [sys.executable, "-m", "provision", "explain", *arguments],
        input=pasted,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "smtp-credentials" in done.stdout
    for secret in (*SECRETS, token):
        assert secret not in done.stdout + done.stderr


def test_the_command_takes_words_a_file_or_standard_input_and_tells_by_its_code(tmp_path):
    def run(*arguments: str, pasted: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "provision", "explain", *arguments]
        return subprocess.run(command, input=pasted, capture_output=True, check=False)

    words = run("535", "5.7.3 Authentication unsuccessful")
    assert (words.returncode, b"smtp-5.7.3" in words.stdout) == (0, True)
    file = tmp_path / "error.txt"
    file.write_bytes("AADSTS50011: nicht übereinstimmend".encode("utf-16"))
    assert b"AADSTS50011" in run("--file", str(file)).stdout
    noise = run(pasted=bytes(range(256)) * 40)
    assert (noise.returncode, b"Not known" in noise.stdout) == (1, True)
    assert run(pasted=b"  ").returncode == 3
    assert run("--file", str(tmp_path / "missing")).returncode == 3


def test_a_pasted_megabyte_does_not_keep_anyone_waiting():
    """No pattern may backtrack over a long line; a second is far more than it takes."""
    for noise in (
        "A" * 1_000_000,
        "<" * 1_000_000,
        "535 " * 250_000,
        "5.7." * 250_000,
        '"code":"' * 100_000,
        "&#" * 400_000,
    ):
        assert explain(noise).codes == ()


def test_every_layer_is_named_once():
    assert len({layer.id for layer in LAYERS}) == len(LAYERS)
    assert len(BY_ID) == len(CODES)
